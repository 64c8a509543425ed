from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ssc_core.errors import SscError
from ssc_core.evaluate.ablations import BASE, STAGES, Ablations, change, label
from ssc_core.settings import CompatSettings, Settings, load_settings


@pytest.fixture(scope="module")
def default(root: Path) -> dict[str, Any]:
    return yaml.safe_load((root / "config.yaml").read_text())


def ablations(default: dict[str, Any], grid: dict[str, list[Any]], **changes: Any) -> Ablations:
    return Ablations(load_settings({**default, "ablations": {"grid": grid, **changes}}))


def differing(found: Ablations, setting: str) -> list[str]:
    """Stages whose files the (only) row of ``setting`` does not share with the config."""
    variant = next(v for v in found.variants if v.setting == setting)
    return [stage for stage in STAGES if variant.key(stage) != found.base.key(stage)]


@pytest.mark.parametrize(
    ("setting", "value", "stages"),
    [
        ("nouns.project", False, ["nouns", "boxes", "masks", "scores", "selected", "pretrain", "correct"]),
        ("compat.candidates_any_noun", True, ["masks", "scores", "selected", "pretrain", "correct"]),
        ("score.prompt", "red_ellipse", ["scores", "selected", "pretrain", "correct"]),
        ("select.choice", "first", ["selected", "pretrain", "correct"]),
        ("correct.loss", "greedy_no_constraints", ["correct"]),
        ("compat.matching_double_count", True, ["correct"]),
        ("compat.gt_overlap_hole", True, ["truth"]),
        ("compat.oiou_skips_empty", True, []),
        ("evaluate.seed", 3, []),
    ],
)
def test_a_change_reaches_its_stage_and_those_after_it(
    default: dict[str, Any], setting: str, value: Any, stages: list[str]
) -> None:
    assert differing(ablations(default, {setting: [value]}), setting) == stages


def test_every_compat_switch_reaches_a_stage_or_the_metrics() -> None:
    reached = {name for stage in STAGES.values() for name in stage.compat} | {"oiou_skips_empty"}
    assert reached == set(CompatSettings.model_fields)


def test_shared_files_lie_in_the_results_folder(default: dict[str, Any]) -> None:
    found = ablations(default, {"select.choice": ["first"]})
    _, first = found.variants
    assert found.folder(first, "scores") == "results"
    assert found.folder(first, "selected") == f"results/ablations/stages/{first.key('selected')}"
    assert list(found.by_key) == [first.key(stage) for stage in ("selected", "pretrain", "correct")]


def test_a_checkpoint_kept_by_validation_depends_on_the_truth(default: dict[str, Any]) -> None:
    kept = {**default, "correct": {**default["correct"], "keep": "best"}}
    assert differing(ablations(kept, {"compat.gt_overlap_hole": [True]}), "compat.gt_overlap_hole") == [
        "truth",
        "correct",
    ]


def test_rows(default: dict[str, Any]) -> None:
    found = ablations(default, {"select.choice": ["score", "first"], "correct.loss": ["random_ce"]}, seeds=[0, 5])
    rows = [(v.setting, v.value, v.seed, v.run, v.trained) for v in found.variants]
    assert rows == [
        (BASE, BASE, 0, "", True),
        (BASE, BASE, 5, "seed5/", True),
        ("select.choice", "first", 0, "", False),  # the config's own value, score, is no row of its own
        ("correct.loss", "random_ce", 0, "", True),
        ("correct.loss", "random_ce", 5, "seed5/", True),
    ]


def test_random_choices_have_a_row_a_seed(default: dict[str, Any]) -> None:
    found = ablations(default, {"select.choice": ["random"]}, seeds=[0, 1])
    assert [(v.seed, v.settings.select.seed) for v in found.variants] == [(0, 0), (0, 0), (1, 1)]
    assert len({v.key("selected") for v in found.variants}) == 3


def test_networks_on_every_row_when_asked_for(default: dict[str, Any]) -> None:
    assert all(v.trained for v in ablations(default, {"select.choice": ["first"]}, train=True).variants)


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("selekt.choice", "first", "the config has no 'selekt.choice'"),
        ("select.choice", "worst", 'select.choice cannot be "worst": select.choice'),
        ("select.nothing", 1, "select.nothing cannot be 1"),
    ],
)
def test_mistakes_are_named(default: dict[str, Any], setting: str, value: Any, said: str) -> None:
    with pytest.raises(SscError, match=said):
        list(ablations(default, {setting: [value]}).variants)


def test_change_leaves_the_config_alone(default: dict[str, Any]) -> None:
    settings = load_settings(default)
    assert change(settings, "detect.backend.settings.box_threshold", 0.35).detect != settings.detect
    assert settings == Settings.model_validate(default)


def test_unknown_row(default: dict[str, Any]) -> None:
    with pytest.raises(SscError, match=r"have no select\.choice = last"):
        ablations(default, {}).variant("select.choice", "last", 0)


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), ("red_ellipse", "red_ellipse"), (0.35, "0.35"), (["crop", "reverse_blur"], "crop-reverse_blur")],
)
def test_labels_are_parts_of_a_path(value: Any, text: str) -> None:
    assert label(value) == text
