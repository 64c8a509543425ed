"""Settings that are kept for the jobs of a run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from snakemake.settings.types import ConfigSettings

from ssc_core.checkout import HOME
from ssc_core.config.layers import plain_values, read_layers
from ssc_core.config.planned import keep, planned
from ssc_core.config.settings import Settings, load_settings

PRESETS = sorted((HOME / "presets").glob("*.yaml"))
BASE = HOME / "config.yaml"


def kept(settings: Settings, folder: Path, module: str = "") -> Path:
    file = keep(settings, module, folder)
    assert file
    return file


def in_job(*files: Path, module: str = "") -> Settings:
    """What a job has that is given config files, as Snakemake reads them."""
    found = planned(ConfigSettings(configfiles=files).overwrite_config, module)
    assert found
    return load_settings(found)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_a_job_has_what_was_planned(preset: Path, tmp_path: Path) -> None:
    texts = {"correct": {"lr": "1e-4"}, "detect": {"nms_iou": "null"}}
    settings = load_settings(read_layers([BASE, preset], plain_values(texts)), texts)
    found = in_job(preset, kept(settings, tmp_path))
    assert found == settings
    assert found.training("continue_pretrain") == settings.training("continue_pretrain")


def test_settings_of_several_modules_are_kept_apart(tmp_path: Path) -> None:
    one, other = (load_settings(read_layers([BASE], {"results": name})) for name in ("one", "other"))
    files = kept(one, tmp_path, "first"), kept(other, tmp_path, "second")
    assert in_job(*files, module="first").results == "one"
    assert in_job(*files, module="second").results == "other"
    assert planned(ConfigSettings(configfiles=files).overwrite_config, "") is None
    assert kept(one, tmp_path, "first") == files[0]
    assert len(list(tmp_path.iterdir())) == 2


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
    assert keep(load_settings(read_layers([BASE])), "", tmp_path / "file" / "planned") is None
