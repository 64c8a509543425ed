"""The doctor finds what is missing and says what will work."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ssc_core import doctor
from ssc_core.cli.config_files import read_config
from ssc_core.cli.main import app
from ssc_core.config.settings import Settings
from ssc_core.config.sources import DatasetSource
from ssc_core.doctor import Check, examine
from ssc_core.errors import SscError
from ssc_core.weights.catalogue import published_files
from ssc_core.weights.lock import LockFile

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


def test_data_that_are_not_here_do_not_block_others(tmp_path: Path) -> None:
    found = checks(examine(settings(tmp_path, TABLE), tmp_path))
    assert found["data mine"].state == "problem"
    assert found["index and ground truth"].text == "will work, but not for mine"


def test_a_replaced_photo_is_found(tmp_path: Path) -> None:
    from PIL import Image

    from ssc_core.refer.index import build_index

    mine = settings(tmp_path, TABLE)
    (tmp_path / "photos").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (8, 6)).save(tmp_path / "photos" / name)
    Image.new("L", (8, 6), 255).save(tmp_path / "a.mask.png")
    code = '"[[0, 0, 4, 0, 4, 4]]"'
    (tmp_path / "refs.csv").write_text(f"image,sentences,mask\na.png,the top,a.mask.png\nb.png,the left,{code}\n")
    build_index(
        dataset="mine",
        source=DatasetSource(layout="table", file=tmp_path / "refs.csv", images=tmp_path / "photos"),
        out_refs=tmp_path / "results/mine/refs.parquet",
        out_truth=tmp_path / "results/mine/truth.h5",
        check_counts=False,
    )
    assert not list(doctor._photos(mine, tmp_path))
    Image.new("RGB", (8, 6), "red").save(tmp_path / "b.png")
    os.utime(tmp_path / "b.png", (1, 1))  # an old photo, moved over the other: only the inode knows
    (tmp_path / "b.png").replace(tmp_path / "photos" / "b.png")
    (found,) = doctor._photos(mine, tmp_path)
    assert (found.name, found.state) == ("photos mine", "note")
    assert "1 of 3 have changed since results/mine/refs.parquet was made (first: b.png)" in found.text
    Image.new("L", (8, 6), 0).save(tmp_path / "a.mask.png")  # its truth is another one, by the table's own name
    (found,) = doctor._photos(mine, tmp_path)
    assert "2 of 3 have changed" in found.text
    assert "--forcerun index_refs" in found.text


def time_of(path: Path) -> int:
    """Of the inode's last change, ns."""
    return path.stat().st_ctime_ns


def test_photos_are_what_they_were_when_they_were_indexed(tmp_path: Path) -> None:
    """By what `ssc label` wrote of them: photos whose rows were left out count, too."""
    from PIL import Image

    from ssc_core.refer.index import build_index
    from ssc_core.refer.named_files import NamedFiles
    from ssc_core.refer.table import read_whole_rows

    (tmp_path / "photos").mkdir()
    Image.new("RGB", (8, 6)).save(tmp_path / "photos" / "a.png")
    (tmp_path / "refs.csv").write_text("image,sentences\na.png,the top\ngone.png,the left\n")
    files = NamedFiles(tmp_path / "photos", tmp_path / "refs.csv")
    for row in read_whole_rows(tmp_path / "refs.csv"):
        files.add(row)
    mine = settings(tmp_path, TABLE)
    index = partial(
        build_index,
        dataset="mine",
        source=DatasetSource(layout="table", file=tmp_path / "refs.csv", images=tmp_path / "photos"),
        out_refs=tmp_path / "results/mine/refs.parquet",
        out_truth=tmp_path / "results/mine/truth.h5",
        check_counts=False,
        skip_bad_photos=True,
    )
    index(photos_seen=files.state())
    refs = tmp_path / "results/mine/refs.parquet"
    os.utime(refs, ns=(1, 1))  # a.png is newer, by the inode, and the same
    assert not list(doctor._photos(mine, tmp_path))
    Image.new("RGB", (8, 6)).save(tmp_path / "photos" / "gone.png")
    (found,) = doctor._photos(mine, tmp_path)
    assert "(first: a.png)" in found.text and "The same `ssc label` again makes all anew" in found.text
    (tmp_path / "photos/gone.png").unlink()
    assert not list(doctor._photos(mine, tmp_path))
    index()
    os.utime(refs, ns=(time_of(tmp_path / "photos/a.png"),) * 2)
    assert not list(doctor._photos(mine, tmp_path))
    while refs.stat().st_mtime_ns >= time_of(tmp_path):  # file systems count in ticks
        (tmp_path / "tick").touch()
        (tmp_path / "tick").unlink()
    Image.new("RGB", (8, 6)).save(tmp_path / "photos" / "gone.png")
    (found,) = doctor._photos(mine, tmp_path)
    assert "1 of 2 have changed" in found.text and "(first: gone.png)" in found.text


def test_missing_weights_of_a_network_of_ones_own_are_named(tmp_path: Path) -> None:
    mine = settings(tmp_path, "network: {name: 'tiny.py:Tiny', settings: {weights: [weights/start.pt]}}")
    assert "weights/start.pt" in checks(doctor._weights(mine, tmp_path))["weights"].text


def test_a_file_that_was_cut_off_is_found(tmp_path: Path) -> None:
    text = "segment: {backend: {name: sam, settings: {model: vit_b, checkpoint: weights/sam_vit_b_01ec64.pth}}}"
    mine = settings(tmp_path, text)
    published = published_files()["sam_vit_b"]
    path = tmp_path / published.path
    path.parent.mkdir()
    path.touch()
    os.truncate(path, published.size * 3 // 4)
    found = checks(doctor._weights(mine, tmp_path))["weights sizes"]
    assert (found.state, f"the right file has {published.size}" in found.text) == ("problem", True)
    os.truncate(path, published.size)
    assert "weights sizes" not in checks(doctor._weights(mine, tmp_path))


def test_a_file_is_compared_with_what_was_fetched(tmp_path: Path) -> None:
    mine = settings(tmp_path, "network: {swin_weights: weights/swin_base_patch4_window12_384_22k.pth}")
    path = tmp_path / published_files()["swin_base_22k"].path
    path.parent.mkdir()
    path.write_bytes(b"123")
    LockFile(tmp_path / mine.sources.lock).add(
        path.relative_to(tmp_path).as_posix(), sha256="0" * 64, size=4, source="x"
    )
    assert "has 3 bytes, the right file has 4" in checks(doctor._weights(mine, tmp_path))["weights sizes"].text


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        ("{name: grounding_dion}", "did you mean 'grounding_dino'?"),
        ("{name: grounding_dino_original, settings: {box_treshold: 1}}", "did you mean 'box_threshold'?"),
        ("{settings: {text_treshold: 1}}", "did you mean 'text_threshold'?"),
        ("{name: sam, settings: {model: x}}", "'sam' is no Detector: it lacks detect"),
        ("{name: FOLDER/plugin.py:Broken}", "ZeroDivisionError"),
    ],
)
def test_backends_are_looked_at(tmp_path: Path, backend: str, message: str) -> None:
    (tmp_path / "plugin.py").write_text("1 / 0")
    mine = settings(tmp_path, f"detect: {{backend: {backend.replace('FOLDER', str(tmp_path))}}}")
    found = checks(list(doctor._backends(mine)))
    assert found["backend detect.backend"].state == "problem"
    assert message in found["backend detect.backend"].text
    assert found["backend segment.backend"].state == "ok"
    verdict = {check.name: check for check in doctor._verdict(list(found.values()))}
    assert verdict["Segment and Select"].text == "needs what is told above about backend"


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


@pytest.mark.parametrize(
    ("step", "index", "labelling"),
    [("_photos", "photos", "photos"), ("_data", "data", "data"), ("_weights", "", "weights")],
)
def test_a_check_that_fails_has_its_name_and_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, index: str, labelling: str
) -> None:
    """Whatever cannot be looked at is no reason to say that it will work."""

    def fail(*_: object) -> list[Check]:
        raise SscError("refs.parquet is cut short; delete it")

    monkeypatch.setattr(doctor, step, fail)
    found = checks(examine(settings(tmp_path, TABLE), ROOT))
    assert found[labelling] == Check(labelling, "problem", "refs.parquet is cut short; delete it")
    told = {stage: check.text for stage, check in found.items() if stage.startswith(("index", "Segment", "training"))}
    needs = "needs what is told above about {}"
    assert [*told.values()] == [needs.format(index) if index else "will work, but not for mine"] + 2 * [
        needs.format(labelling)
    ]


def test_a_card_that_torch_cannot_use_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_gpu", lambda: [Check("gpu", "problem", "install a torch build for CUDA")])
    assert checks(examine(settings(tmp_path), ROOT))["training and evaluation (CPU)"].state == "ok"


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(f"results: {tmp_path}/results\n{TABLE}")
    result = CliRunner().invoke(app, ["doctor", "--config", str(tmp_path / "mine.yaml")])
    assert result.exit_code == 1
    assert "PROBLEM  data mine" in result.output


@pytest.mark.parametrize(
    "mine",
    [
        "score: {prompt: [crop, 'FOLDER/plugin.py:mine']}",
        "correct: {loss: 'FOLDER/plugin.py:mine'}",
        "datasets: {own: {source: {layout: 'FOLDER/plugin.py:mine', file: a, images: b}, splits: [train]}}",
    ],
)
def test_plug_ins_are_looked_at(tmp_path: Path, mine: str) -> None:
    states = []
    for text in ("1 / 0", "def miine(): ...", "def mine(): ..."):
        (tmp_path / "plugin.py").write_text(text)
        (found,) = doctor._plugins(settings(tmp_path, mine.replace("FOLDER", str(tmp_path))))
        states.append((found.state, found.text))
    assert [state for state, _ in states] == ["problem", "problem", "ok"]
    assert "ZeroDivisionError" in states[0][1]
    assert "did you mean 'miine'?" in states[1][1]
