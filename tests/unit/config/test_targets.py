"""What the workflow refuses when it is planned, and what it says instead."""

from __future__ import annotations

import re

import pytest

from ssc_core.cli.config_files import read_config
from ssc_core.config.settings import Settings
from ssc_core.config.stages import STAGES
from ssc_core.config.targets import check_split, dataset_pattern, refusal, refused_pattern
from ssc_core.errors import SscError

DATASETS = """
datasets:
  refcoco: {splits: [train, val, testA]}
  refcoco+: null
  refcocog_umd: {splits: [train, val, val+]}
  refcocog_google: {splits: [train]}
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    file = tmp_path_factory.mktemp("config") / "mine.yaml"
    file.write_text(DATASETS)
    return read_config([file])


TAKEN = [
    "refcoco/eval_val.json",
    "refcoco/eval_masks_testA.parquet",
    "refcoco/seed3/eval_corrected_choice_testA.png",
    "refcoco/train/selected.h5",
    "refcoco/train/shards/masks.0-of-2.h5",
    "refcoco/train/select/joint/scores.h5",
    "refcoco/seed3/train/chosen_corrected.h5",
    "refcocog_umd/val+/nouns.parquet",
    "refcocog_umd/eval_grounded_sentence_val+.json",
    "refcoco/refs.parquet",
]
REFUSED = {
    "refcoco/eval_test.json": "'refcoco' has no split 'test'; did you mean 'testA'? It has train, val, testA",
    "refcoco/eval_val+.json": "'refcoco' has no split 'val+'",
    "refcoco/val+/masks.h5": "'refcoco' has no split 'val+'",
    "refcoco/seed7/eval_masks_val+.parquet": "'refcoco' has no split 'val+'",
    "refcocog_google/eval_val.json": "'refcocog_google' has no split 'val'. It has train",
    "refcocog_google/seed12/val/chosen_corrected.h5": "'refcocog_google' has no split 'val'",
    "refcoco/tran/shards/masks.0-of-2.h5": "'refcoco' has no split 'tran'; did you mean 'train'?",
    "refcoco/eval_supervisd_val.json": "no evaluation is called 'supervisd'; did you mean 'supervised'?",
    "refcoco+/eval_val.json": "no dataset 'refcoco+'; did you mean 'refcoco'? It has refcoco, refcocog_umd",
    "cocoref/refs.parquet": "no dataset 'cocoref'",
    "mine/train/selected.h5": "no dataset 'mine'",
}


@pytest.mark.parametrize("path", TAKEN)
def test_what_the_config_has_is_not_refused(settings: Settings, path: str) -> None:
    assert not re.fullmatch(refused_pattern(settings), path)
    assert re.match(rf"(?:{dataset_pattern(settings)})/", path)


@pytest.mark.parametrize(("path", "message"), REFUSED.items())
def test_what_it_has_not_is_refused_with_what_there_is(settings: Settings, path: str, message: str) -> None:
    assert re.fullmatch(refused_pattern(settings), path)
    assert message in str(refusal(settings, path))


@pytest.mark.parametrize("path", ["refcoco/val+/masks.h5", "refcocog_google/seed1/eval_masks_val.json", "refcoco+/a"])
def test_a_split_that_only_others_have_is_no_rules_target(settings: Settings, path: str) -> None:
    assert not re.match(rf"(?:{dataset_pattern(settings)})/", path)


def test_files_of_other_kinds_are_left_alone(settings: Settings) -> None:
    """`init_from` may name a checkpoint of a dataset that the config no longer has."""
    for path in ("old/checkpoints/pretrain.pt", "report/index.html", "report/eval_x.json", "refcoco/world/world.json"):
        assert not re.fullmatch(refused_pattern(settings), path)


def test_sections_that_name_a_dataset_are_checked_by_the_same(settings: Settings) -> None:
    check_split(settings, "refcoco", "val")
    with pytest.raises(SscError, match="has no split 'val'"):
        check_split(settings, "refcocog_google", "val")
    with pytest.raises(SscError, match=r"no dataset 'refcoco\+'"):
        check_split(settings, "refcoco+", "val")


def test_every_result_of_a_split_is_refused_for_another() -> None:
    """Stages may get new results: what they name by split is what is refused for other splits."""
    config = read_config()
    paths = [path for stage in STAGES.values() for path in stage.writes.values() if "{split}" in path]
    assert len(paths) > 20
    for path in paths:
        for variant in ("", "seed7/", "select.choice=first/"):
            name = f"refcoco/{variant}{path.format(split='nope', shard=0, shards=1, scorer='dense')}"
            assert re.fullmatch(refused_pattern(config), name), name
            assert not re.fullmatch(refused_pattern(config), name.replace("nope", "val")), name
