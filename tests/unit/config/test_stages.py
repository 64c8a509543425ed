from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ssc_core.config.labelling import CompatSettings
from ssc_core.config.methods import EVALUATED, PHASES
from ssc_core.config.settings import Settings, load_settings
from ssc_core.config.stages import (
    MADE_BY,
    STAGES,
    depends_on,
    inputs,
    made_by,
    plugin_versions,
    reads,
    stage_named,
    stage_names,
)
from ssc_core.config.variants import change
from ssc_core.errors import SscError
from ssc_core.layout import DatasetFolder, template

TYPO = re.compile(r"\{(?!split\}|shard\}|shards\})")  # the wildcard of scorers has their name by then


@pytest.fixture(scope="module")
def settings(root: Path) -> Settings:
    """The default config with one more scorer, which has no weight."""
    config = yaml.safe_load((root / "config.yaml").read_text())
    return load_settings({**config, "scorers": {"dense": config["score"]}})


def test_every_compat_switch_reaches_a_stage() -> None:
    assert {name for stage in STAGES.values() for name in stage.compat} == set(CompatSettings.model_fields)


def test_every_stage_is_made_from_what_another_writes(settings: Settings) -> None:
    for name in stage_names(settings):
        stage = stage_named(name)
        assert {made_by(result) for result in stage.after} <= {*stage_names(settings)}, name
        assert {section.partition(".")[0] for section in stage.sections} <= {*Settings.model_fields}, name
        assert not any(TYPO.search(path) for path in stage.writes.values()), name
        assert reads(settings, name).keys() >= {*stage.sections, *stage.models}


def test_no_two_stages_write_one_file() -> None:
    paths = [path for stage in STAGES.values() for path in stage.writes.values()]
    assert len(paths) == len(set(paths))


def test_every_stage_calls_a_function_that_is_there() -> None:
    for stage in STAGES.values():
        module, _, function = stage.calls.partition(":")
        assert callable(getattr(importlib.import_module(module), function))


def test_what_is_evaluated_has_an_eval_file() -> None:
    assert {f"eval.{method}" for method in EVALUATED} <= MADE_BY.keys()


def test_no_mask_of_the_truth_reaches_segment_select_or_correct(settings: Settings) -> None:
    """Of the published method's results none depends on the truth; the upper bound does."""
    made_from = {phase: set(depends_on(settings, f"{phase}.pt")) for phase in PHASES}
    assert [phase for phase in PHASES if "compat.gt_overlap_hole" in made_from[phase]] == ["supervised"]


def test_an_evaluation_of_a_network_from_elsewhere_depends_on_whose_tokenizer_it_takes(settings: Settings) -> None:
    assert "network.bert" in depends_on(settings, "eval.published")
    assert "network.bert" not in reads(settings, "evaluate_corrected")


def test_init_from_takes_the_place_of_the_phase_before(settings: Settings) -> None:
    assert "pretrain.pt" in inputs(settings, "correct")
    other = settings.model_copy(update={"correct": settings.correct.model_copy(update={"init_from": "x.pth"})})
    assert "pretrain.pt" not in inputs(other, "correct")


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        (
            {"reviewer.share": 0.1},
            {
                "select_masks": {"simulated_reviews"},
                "correct": {"selected"},
                "correct_without_constraints": {"selected"},
            },
        ),
        (
            {"correct.prior_weight": 0.5},
            {"correct": {"selected"}, "correct_without_constraints": {"selected"}},
        ),
        ({"pretrain.keep": "best"}, {"pretrain": {"truth"}}),
        ({"supervised.keep": "best"}, {}),  # it learns from the truth anyhow
    ],
)
def test_settings_that_ask_for_more_results(
    settings: Settings, changes: dict[str, Any], more: dict[str, set[str]]
) -> None:
    varied = change(settings, changes)
    found = {name: {*inputs(varied, name)} - {*inputs(settings, name)} for name in stage_names(settings)}
    assert {name: added for name, added in found.items() if added} == more
    assert all(len(inputs(varied, name)) == len({*inputs(varied, name)}) for name in stage_names(settings))


def test_a_concept_segmenter_needs_no_boxes(settings: Settings) -> None:
    both = change(settings, {"detect.backend": None, "segment.backend.name": "mine.py:Both"})
    assert inputs(settings, "segment_boxes") == ("refs", "nouns", "boxes_shard")
    assert inputs(both, "segment_boxes") == ("refs", "nouns")
    # how images are asked, and what is done with too many boxes, counts as before
    assert depends_on(both, "masks") != depends_on(change(both, {"detect.nms_iou": 0.9}), "masks")


@pytest.mark.parametrize(
    ("weights", "files"),
    [
        ({}, ("scores",)),
        ({"dense": 0.5}, ("scores", "scores@dense")),
        ({"default": 0, "dense": 1}, ("scores@dense",)),
        ({"dense": 0}, ("scores",)),
    ],
)
def test_a_choice_is_made_from_the_scorers_that_have_a_weight(
    settings: Settings, weights: dict[str, float], files: tuple[str, ...]
) -> None:
    varied = change(settings, {f"select.weights.{name}": weight for name, weight in weights.items()})
    assert inputs(varied, "select_masks") == ("refs", "masks", *files)


def test_one_more_scorer_reaches_no_result_but_its_own(settings: Settings) -> None:
    more = change(settings, {"scorers.more": settings.values("score")})
    for result in ("scores", "scores@dense", "selected", "correct.pt"):
        assert depends_on(more, result) == depends_on(settings, result)
    other = change(settings, {"scorers.dense.blur_sigma": 3})
    assert depends_on(other, "selected") == depends_on(settings, "selected")
    assert depends_on(other, "scores@dense") != depends_on(settings, "scores@dense")
    assert template("scores_shard@dense") == "{dataset}/{variant}{split}/shards/scores_dense.{shard}-of-{shards}.h5"
    assert template("scores@{scorer}", "out") == "out/{dataset}/{variant}{split}/scores_{scorer}.h5"


def test_paths() -> None:
    assert template("masks_shard", "out") == "out/{dataset}/{variant}{split}/shards/masks.{shard}-of-{shards}.h5"
    folder = DatasetFolder(Path("results/refcoco"), "seed7/")
    assert folder("eval.pretrained", split="val") == Path("results/refcoco/seed7/eval_pretrained_val.json")
    assert folder("correct.matching") == Path("results/refcoco/seed7/checkpoints/correct.matching.csv")


def test_variants_of_a_dataset_are_found(tmp_path: Path) -> None:
    for name in ("seed7", "select.choice=first+seed3", "val", "checkpoints", "world"):
        (tmp_path / name).mkdir()
    assert [one.variant for one in DatasetFolder(tmp_path).variants()] == ["seed7/", "select.choice=first+seed3/"]


@pytest.mark.parametrize(
    ("key", "value", "stages"),
    [
        ("score.prompt", "{plugin}:mine", {"score_candidates"}),
        ("score.prompt", ["crop", "{plugin}:mine"], {"score_candidates"}),
        ("scorers.dense.prompt", "{plugin}:mine", {"score_candidates@dense"}),
        ("correct.loss", "{plugin}:mine", {"correct"}),
        ("pretrain.loss", "{plugin}:mine", {"pretrain"}),
    ],
)
def test_an_edit_of_a_plug_in_reruns_what_names_it(
    settings: Settings, tmp_path: Path, key: str, value: str | list[str], stages: set[str]
) -> None:
    plugin = tmp_path / "plugin.py"
    names = [one.format(plugin=plugin) for one in ([value] if isinstance(value, str) else value)]
    varied = change(settings, {key: names if isinstance(value, list) else names[0]})
    with pytest.raises(SscError, match=r"plugin\.py does not exist"):
        plugin_versions(varied, min(stages))
    versions = []
    for text in ("mine = 1", "mine = 2"):
        plugin.write_text(text)
        versions.append({name: plugin_versions(varied, name) for name in stage_names(varied)})
    assert {name for name in versions[0] if versions[0][name] != versions[1][name]} == stages
    assert {plugin_versions(settings, name) for name in stage_names(settings)} == {""}
