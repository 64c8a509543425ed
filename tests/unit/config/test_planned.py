"""Settings that are kept for the jobs of a run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ssc_core.checkout import HOME
from ssc_core.config.layers import plain_values, read_layers
from ssc_core.config.planned import keep, planned
from ssc_core.config.settings import Settings, load_settings

PRESETS = sorted((HOME / "presets").glob("*.yaml"))
BASE = HOME / "config.yaml"


def kept(settings: Settings, folder: Path) -> Path:
    file = keep(settings, folder)
    assert file
    return file


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_a_job_has_what_was_planned(preset: Path, tmp_path: Path) -> None:
    texts = {"correct": {"lr": "1e-4"}, "detect": {"nms_iou": "null"}}
    settings = load_settings(read_layers([BASE, preset], plain_values(texts)), texts)
    content = planned([preset, kept(settings, tmp_path)], tmp_path)
    assert content
    found = load_settings(content)
    assert found == settings
    assert found.training("continue_pretrain") == settings.training("continue_pretrain")


def test_what_is_the_same_is_kept_once_and_no_other_file_is_taken_for_it(tmp_path: Path) -> None:
    one, other = (load_settings(read_layers([BASE], {"results": name})) for name in ("one", "other"))
    assert kept(one, tmp_path) == kept(one, tmp_path) != kept(other, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    assert planned([BASE, *PRESETS], tmp_path) is None


def test_a_kept_file_is_a_config_file(tmp_path: Path) -> None:
    settings = load_settings(read_layers([BASE], {"results": "elsewhere", "select": {"choice": "first"}}))
    assert load_settings(read_layers([BASE, kept(settings, tmp_path)])) == settings


def test_others_may_keep_theirs_in_a_folder_that_is_shared(tmp_path: Path) -> None:
    tmp_path.chmod(0o775)
    before = os.umask(0o077)
    try:
        file = kept(load_settings(read_layers([BASE])), tmp_path / "planned")
    finally:
        os.umask(before)
    assert file.parent.stat().st_mode & 0o777 == 0o775


def test_a_plan_in_a_folder_that_cannot_be_written_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert keep(load_settings(read_layers([BASE])), tmp_path / "file" / "planned") is None
