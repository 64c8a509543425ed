"""The doctor finds what is missing and says what will work."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from ssc_core import doctor
from ssc_core.cli.config_files import read_config
from ssc_core.cli.main import app
from ssc_core.doctor import Check, examine
from ssc_core.settings import Settings

ROOT = Path(__file__).parents[2]
TABLE = "datasets: {mine: {source: {layout: table, file: refs.csv, images: photos}, splits: [train]}}\n"


def settings(tmp_path: Path, text: str = "") -> Settings:
    (tmp_path / "mine.yaml").write_text(f"results: {tmp_path}/results\n{text}")
    return read_config([tmp_path / "mine.yaml"])


def checks(found: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in found}


def test_the_default_works_here(tmp_path: Path) -> None:
    found = checks(examine(settings(tmp_path), ROOT))
    for name in ("python", "packages", "hdf5 locks", "data refcoco", "weights", "Segment and Select"):
        assert found[name].state == "ok", found[name]
    assert "snakemake 9" in found["packages"].text
    assert not any(check.state == "problem" for check in found.values())
    assert not (tmp_path / "results").exists()


def test_missing_weights_and_data_are_named(tmp_path: Path) -> None:
    paper = read_config([ROOT / "presets" / "paper.yaml"])
    found = checks(examine(paper, tmp_path))
    assert "weights/sam_vit_h_4b8939.pth" in found["weights"].text
    assert "data/refcoco/refs(unc).p" in found["data refcoco"].text
    assert found["index and ground truth"].state == "problem"
    assert "weights" in found["Segment and Select"].text


def test_a_table_without_photos_then_with(tmp_path: Path) -> None:
    mine = settings(tmp_path, TABLE)
    name = "data mine"
    assert "refs.csv not there" in checks(examine(mine, tmp_path))[name].text
    (tmp_path / "refs.csv").touch()
    (tmp_path / "photos").mkdir()
    assert "no photos in photos" in checks(examine(mine, tmp_path))[name].text
    (tmp_path / "photos" / "a.jpg").touch()
    assert checks(examine(mine, tmp_path))[name].state == "ok"


def test_a_lock_and_broken_off_jobs(tmp_path: Path) -> None:
    assert checks(doctor._snakemake(tmp_path))["snakemake lock"].state == "ok"
    for folder in ("locks", "incomplete"):
        (tmp_path / ".snakemake" / folder).mkdir(parents=True)
        (tmp_path / ".snakemake" / folder / "0.lock").touch()
    found = checks(doctor._snakemake(tmp_path))
    assert "snakemake --unlock" in found["snakemake lock"].text
    assert found["interrupted jobs"].text.startswith("1 outputs")


def test_a_drive_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import h5py

    def refuse(*_: object, **__: object) -> None:
        raise OSError(95, "unable to lock file, errno = 95")

    monkeypatch.setattr(h5py, "File", refuse)
    (found,) = doctor._hdf5(tmp_path)
    assert (found.state, "HDF5_USE_FILE_LOCKING=FALSE" in found.text) == ("problem", True)


def test_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(doctor.PACKAGES, "no-such-package", "everything")
    found = checks(list(doctor._python()))
    assert "no-such-package (everything)" in found["packages"].text


def test_little_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = doctor.shutil.disk_usage(tmp_path)._replace(free=2**20)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage)
    assert checks(doctor._drive(tmp_path / "deep" / "results"))["disk"].state == "note"


def test_a_spacy_pipeline_that_is_not_installed(tmp_path: Path) -> None:
    mine = settings(tmp_path, "nouns: {spacy_model: no_such_pipeline}")
    assert checks(doctor._spacy(mine))["spacy"].state == "problem"


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(f"results: {tmp_path}/results\n{TABLE}")
    result = CliRunner().invoke(app, ["doctor", "--config", str(tmp_path / "mine.yaml")])
    assert result.exit_code == 1
    assert "PROBLEM  data mine" in result.output
