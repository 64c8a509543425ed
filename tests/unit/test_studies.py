from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ssc_core.config.settings import Settings, load_settings
from ssc_core.config.study import BASE
from ssc_core.config.variants import Variants
from ssc_core.errors import SscError
from ssc_core.studies import check_studies, evaluations, find_study, rows, training_logs


@pytest.fixture(scope="module")
def default(root: Path) -> dict[str, Any]:
    return yaml.safe_load((root / "config.yaml").read_text())


def settings(default: dict[str, Any], **study: Any) -> Settings:
    study = {"datasets": {"refcoco": ["val"]}, "methods": ["corrected"], **study}
    return load_settings({**default, "studies": {"mine": study}})


def told(config: Settings) -> list[tuple[str, int | None, bool]]:
    return [(row.variant, row.seed, row.trained) for row in rows(config, config.studies["mine"])]


def test_rows(default: dict[str, Any]) -> None:
    grid = {"select.choice": ["score", "first"], "correct.loss": ["random_ce"]}
    assert told(settings(default, grid=grid, seeds=[0, 5])) == [
        (BASE, 0, True),
        (BASE, 5, True),
        ("select.choice = first", 0, False),  # the config's own value, score, is no row of its own
        ("correct.loss = random_ce", 0, True),
        ("correct.loss = random_ce", 5, True),
    ]


def test_without_a_change_of_training_no_network_is_trained_but_when_asked_for(default: dict[str, Any]) -> None:
    grid = {"select.choice": ["first"]}
    assert told(settings(default, grid=grid)) == [(BASE, None, False), ("select.choice = first", None, False)]
    assert told(settings(default, grid=grid, train=True)) == [(BASE, None, True), ("select.choice = first", None, True)]
    assert told(settings(default)) == [(BASE, None, True)]


def test_random_choices_have_a_row_a_seed(default: dict[str, Any]) -> None:
    config = settings(default, grid={"select.choice": ["random"]}, seeds=[0, 1])
    assert told(config) == [
        (BASE, 0, False),
        ("select.choice = random", 0, False),
        ("select.choice = random", 1, False),
    ]
    paths = [one.path for one in evaluations(config, config.studies["mine"], Variants(config))]
    assert paths == [
        "results/refcoco/eval_masks_val.json",
        "results/refcoco/select.choice=random/eval_masks_val.json",
        "results/refcoco/seed1+select.choice=random/eval_masks_val.json",
    ]


def test_named_variants_change_several_values_together(default: dict[str, Any]) -> None:
    config = settings(default, variants={"both": {"score.prompt": "crop", "select.assignment": "joint"}}, methods=[])
    last = evaluations(config, config.studies["mine"], Variants(config))[-1]
    assert last.row.variant == "both"
    assert last.path == "results/refcoco/score.prompt=crop+select.assignment=joint/eval_masks_val.json"


def test_every_dataset_split_method_and_seed_once(default: dict[str, Any]) -> None:
    config = settings(
        default,
        datasets={"refcoco": ["val", "testA"]},
        methods=["pretrained_choice", "grounded_sentence"],
        seeds=[0, 2],
    )
    found = evaluations(config, config.studies["mine"], Variants(config))
    assert [one.path.removeprefix("results/refcoco/") for one in found] == [
        "eval_masks_val.json", "eval_pretrained_choice_val.json", "eval_grounded_sentence_val.json",
        "eval_masks_testA.json", "eval_pretrained_choice_testA.json", "eval_grounded_sentence_testA.json",
        "seed2/eval_pretrained_choice_val.json", "seed2/eval_pretrained_choice_testA.json",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("study", "said"),
    [
        ({"variants": {"mine": {"score.prompt": "blur"}}}, r"studies\.mine: .*score\.prompt=blur: score\.prompt"),
        ({"grid": {"select.chioce": ["first"]}}, r"studies\.mine: .*select\.chioce"),
        ({"grid": {"compute.threads": [1, 2]}}, r"studies\.mine: 'compute\.threads' is the same in all variants"),
    ],
)
def test_mistakes_are_named(default: dict[str, Any], study: dict[str, Any], said: str) -> None:
    with pytest.raises(SscError, match=said):
        check_studies(settings(default, **study))


@pytest.mark.parametrize("datasets", [{}, {"refcoco": None}, {"refcoco": []}])
def test_a_study_of_nothing_is_refused(default: dict[str, Any], datasets: dict[str, Any]) -> None:
    with pytest.raises(SscError, match=r"studies\.mine\.datasets.* at least 1 item"):
        settings(default, datasets=datasets)


def test_a_split_that_is_not_there_stops_what_asks_for_it_alone(default: dict[str, Any]) -> None:
    config = settings(default, datasets={"refcoco": ["testC"]})
    check_studies(config)
    with pytest.raises(SscError, match="has no split 'testC'"):
        evaluations(config, config.studies["mine"], Variants(config))


def test_a_study_that_is_not_there(default: dict[str, Any]) -> None:
    with pytest.raises(SscError, match="no study 'other'; its studies are: mine"):
        find_study(settings(default), "other")


def test_reviews_at_random_have_a_row_a_seed_and_those_by_doubt_one(default: dict[str, Any]) -> None:
    variants = {
        "doubt": {"reviewer.share": 0.1},
        "at random": {"reviewer.share": 0.1, "reviewer.order": "random"},
        "nobody": {"reviewer.order": "random"},
    }
    config = settings(default, methods=[], variants=variants, seeds=[0, 1])
    assert told(config) == [
        (BASE, 0, False),
        ("doubt", 0, False),
        ("at random", 0, False),
        ("at random", 1, False),
        ("nobody", 0, False),
    ]
    paths = {one.row.variant: one.path for one in evaluations(config, config.studies["mine"], Variants(config))}
    assert paths["at random"] == "results/refcoco/reviewer.order=random+reviewer.share=0.1+seed1/eval_masks_val.json"
    assert "nobody" not in paths, "with nobody who reviews, the order changes nothing: it is the config's own file"


@pytest.mark.parametrize(("study", "logs"), [
    ({"methods": ["grounded_sentence"]}, []),
    ({"methods": ["corrected"]}, ["correct.csv", "pretrain.csv"]),
    ({"methods": ["supervised"], "seeds": [0, 1]}, ["supervised.csv"]),
    ({"methods": ["corrected"], "seeds": [1]}, []),
])  # fmt: skip
def test_logs_are_those_of_trainings_of_the_config_itself(
    default: dict[str, Any], study: dict[str, Any], logs: list[str]
) -> None:
    config = settings(default, **study)
    found = training_logs(config, config.studies["mine"], Variants(config))
    assert found == [f"results/refcoco/checkpoints/{name}" for name in logs]


def test_a_training_that_starts_from_elsewhere_has_no_log_before_it(default: dict[str, Any]) -> None:
    config = settings({**default, "correct": {**default["correct"], "init_from": "elsewhere.pt"}})
    assert training_logs(config, config.studies["mine"], Variants(config)) == [
        "results/refcoco/checkpoints/correct.csv"
    ]
