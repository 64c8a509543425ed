from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ssc_core.cli import main as cli
from ssc_core.masks import rle
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.selection import SelectionWriter
from ssc_core.masks.store import MaskStoreWriter

HEAVY = (
    "torch",
    "pandas",
    "numpy",
    "transformers",
    "open_clip",
    "spacy",
    "cv2",
    "h5py",
    "snakemake",
    "PIL",
    "pydantic",
)


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Exit code of ``ssc`` with these arguments."""
    monkeypatch.setattr(sys, "argv", ["ssc", *arguments])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    return exit_.value.code


def test_the_command_imports_nothing_heavy() -> None:
    """So that ``ssc --help`` takes an eighth of a second of CPU."""
    shown = f"import atexit, sys; atexit.register(lambda: print([m for m in {HEAVY} if m in sys.modules]));"
    code = f"{shown} sys.argv = ['ssc', '--help']; import ssc_core.cli.main as cli; cli.main()"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"
    assert "predict" in result.stdout


def test_every_command_has_help() -> None:
    result = CliRunner().invoke(cli.app, ["--help"])
    assert result.exit_code == 0
    for name in ("predict", "export", "import"):
        assert name in result.output
        one = CliRunner().invoke(cli.app, [name, "--help"])
        assert one.exit_code == 0, one.output


def test_an_error_for_people_is_one_message(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    assert run_main(monkeypatch, "predict", "nowhere.jpg", "dog", "--zero-shot") == 1
    assert capsys.readouterr().err == "error: nowhere.jpg does not exist; give a photo or a folder of photos\n"


def test_lines_and_errors_are_in_their_order_in_a_log() -> None:
    told = "from ssc_core.errors import SscError; import ssc_core.cli.main as cli\n"
    code = f"{told}def app():\n    print('4 rows')\n    raise SscError('no photo')\ncli.app = app\ncli.main()"
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    result = subprocess.run(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=buffered,
        check=False,
    )
    assert result.stdout == "4 rows\nerror: no photo\n"


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_what_is_no_bug_is_explained(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    def full() -> None:
        raise MemoryError

    monkeypatch.setattr(cli, "app", full)
    assert run_main(monkeypatch) == 1
    assert "memory ran out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["photo.jpg", "dog"], "name one model"),
        (["photo.jpg", "dog", "--zero-shot", "--checkpoint", "a.pt"], "name one model"),
        (["photo.jpg", "dog", "--zero-shot", "--save", "gif"], "--save gif"),
        (["photo.jpg", "dog", "--zero-shot", "--snap"], "--snap takes a network's decision"),
        (["photo.jpg", "dog", "--zero-shot", "--both-ways"], "--both-ways is a network's"),
        (["photo.jpg", "dog", "--zero-shot", "--bert", "x"], "--bert belongs to a network"),
        (["photo.jpg", "dog", "--zero-shot", "--network", "x.py:X"], "--network belongs to a network"),
        (
            ["photo.jpg", "dog", "--checkpoint", "a.pt", "--config", "a.yaml"],
            "--config says what Segment and Select do",
        ),
        (["photo.jpg", "dog", "--checkpoint", "a.pt", "--classes", "dog"], "--classes says what Segment and Select do"),
        ([__file__, "dog", "--zero-shot", "--classes", " , "], "--classes names no class"),
        ([__file__, "dog", "--checkpoint", "a.pt", "--bert", "nowhere"], "--bert nowhere is no folder"),
        ([__file__, "dog", "--zero-shot", "--out", f"{__file__}/out", "--allow-toy-models"], "Not a directory"),
        ([__file__, "dog", "--zero-shot", "--out", __file__], "is a file; name a folder"),
    ],
)
def test_predict_refuses_what_makes_no_sense(monkeypatch, capsys, arguments: list[str], message: str) -> None:
    assert run_main(monkeypatch, "predict", *arguments) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "nowhere.h5", "-o", "a.json"], "nowhere.h5 does not exist"),
        (["import", "out", "--candidates", "nowhere"], "nowhere does not exist"),
        (["import", "out", "--candidates", "."], "refs.parquet is not there; name the dataset's refs.parquet"),
        (["serve"], "name a model"),
        (["serve", "--zero-shot", "--bert", "x"], "--bert belongs to a network"),
        (["serve", "--zero-shot", "--host", "203.0.113.7"], "cannot listen on 203.0.113.7:7860 (Cannot assign"),
        (["fetch", "sam_vit_h", "--offline", "--into", __file__], "Not a directory"),
    ],
)
def test_what_cannot_be_meant_is_one_message(monkeypatch, capsys, tmp_path: Path, arguments, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_main(monkeypatch, *arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert message in error


@pytest.mark.parametrize("command", [["predict", __file__, "dog"], ["serve"]])
def test_devices_are_named_as_in_the_config(monkeypatch, capsys, command: list[str]) -> None:
    assert run_main(monkeypatch, *command, "--zero-shot", "--device", "gpu") == 2
    assert "'auto', 'cpu'" in capsys.readouterr().err


def test_import_never_overwrites(monkeypatch, capsys, tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "masks.h5").write_bytes(b"precious")
    assert run_main(monkeypatch, "import", str(tmp_path / "train"), "--candidates", str(tmp_path)) == 1
    assert "masks.h5 exists" in capsys.readouterr().err
    assert (tmp_path / "train" / "masks.h5").read_bytes() == b"precious"
    assert run_main(monkeypatch, "import", str(tmp_path / "train")) == 1
    assert "nothing to import" in capsys.readouterr().err


def test_export_png_and_import_again(monkeypatch, tmp_path: Path) -> None:
    from ssc_core.masks.store import MaskStore

    split = _split_of_one_photo(tmp_path)
    _ok(monkeypatch, "export", split / "masks.h5", "--to", "png", "-o", tmp_path / "png")
    _ok(monkeypatch, "export", split / "masks.h5", "-o", tmp_path / "coco.json")
    (split / "masks.h5").rename(tmp_path / "masks.h5")
    _ok(monkeypatch, "import", split, "--candidates", tmp_path / "png")
    np.testing.assert_array_equal(
        MaskStore.open(split / "masks.h5").candidate_masks(1), MaskStore.open(tmp_path / "masks.h5").candidate_masks(1)
    )


def test_an_export_of_choices_has_the_classes_and_names_what_is_left_out(monkeypatch, capsys, tmp_path: Path) -> None:
    split = _split_of_one_photo(tmp_path)
    _ok(monkeypatch, "export", split / "selected.h5", "-o", tmp_path / "coco.json")
    content = json.loads((tmp_path / "coco.json").read_text())
    assert content["categories"] == [{"id": 1, "name": "cup"}, {"id": 2, "name": "kite"}]
    assert [(one["category_id"], one["sentences"]) for one in content["annotations"]] == [(2, ["the top half"])]
    assert "left out, refs without a choice: 1 (ref 2 of a.png)" in capsys.readouterr().out
    (split / "masks.h5").unlink()
    _ok(monkeypatch, "export", split / "selected.h5", "-o", tmp_path / "alone.json")
    assert [one["name"] for one in json.loads((tmp_path / "alone.json").read_text())["categories"]][-1] == "object"
    _ok(monkeypatch, "export", split / "selected.h5", "--to", "png", "-o", tmp_path / "png")
    assert "so that their pictures are black: 1 (2)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "masks.h5"], "ends in .json"),
        (["-o", "some.json", "--refs", "nowhere.parquet"], "--refs"),
        (["-o", "png", "--to", "fiftyone"], "needs --images"),
        (["-o", "png", "--to", "fiftyone", "--images", "nowhere"], "is no folder"),
        (["-o", "refs.csv", "--to", "png"], "is a file"),
    ],
)
def test_export_refuses_what_cannot_be_meant(monkeypatch, capsys, tmp_path: Path, options, message: str) -> None:
    split = _split_of_one_photo(tmp_path)
    before = (split / "masks.h5").read_bytes()
    monkeypatch.chdir(tmp_path)
    assert run_main(monkeypatch, "export", str(split / "masks.h5"), *options) == 1
    assert message in capsys.readouterr().err
    assert (split / "masks.h5").read_bytes() == before


def test_an_import_that_fails_leaves_nothing_in_the_way(monkeypatch, capsys, tmp_path: Path) -> None:
    split = _split_of_one_photo(tmp_path)
    _ok(monkeypatch, "export", split / "masks.h5", "--to", "png", "-o", tmp_path / "png")
    for name in ("masks.h5", "selected.h5"):
        (split / name).unlink()
    arguments = ("import", str(split), "--candidates", str(tmp_path / "png"), "--selected", str(tmp_path / "chosen"))
    assert run_main(monkeypatch, *arguments) == 1
    (tmp_path / "png").rename(tmp_path / "chosen")
    (tmp_path / "png").symlink_to(tmp_path / "chosen")
    assert run_main(monkeypatch, *arguments) in (0, None)
    assert "refs without a choice: 1 (ref 2 of a.png)" in capsys.readouterr().out


def _split_of_one_photo(folder: Path) -> Path:
    """A table's split with a ref that has two candidates, the second chosen, and one that has none."""
    from ssc_core.config.sources import DatasetSource
    from ssc_core.refer.index import build_index

    build_index(
        dataset="mine",
        source=DatasetSource(layout="table", file=_table_of_one_photo(folder), images=folder),
        out_refs=folder / "mine" / "refs.parquet",
        out_truth=folder / "mine" / "truth.h5",
        check_counts=False,
    )
    masks = np.zeros((2, 6, 8), bool)
    masks[0, 4:], masks[1, :3] = True, True
    info = StoreInfo(class_names=("cup", "kite"), settings={}, code="", models={})
    split = folder / "mine" / "train"
    split.mkdir()
    with MaskStoreWriter(split / "masks.h5", info, with_masks=True) as writer:
        writer.append_image(
            1,
            (6, 8),
            boxes_xyxy=np.array([[0, 4, 8, 6], [0, 0, 8, 3]]),
            box_scores=np.ones(2),
            labels=np.arange(2),
            rles=rle.encode(masks),
            mask_scores=np.ones(2),
            candidates={1: [0, 1], 2: []},
        )
    with SelectionWriter(split / "selected.h5", info) as writer:
        same = {"image_id": 1, "size": (6, 8)}
        writer.append_ref(1, **same, chosen=[1], scores=np.zeros((1, 2)), rles=rle.encode(masks[1:]))
        writer.append_ref(2, **same, chosen=[-1], scores=np.zeros((1, 0)), rles=[None])
    return split


def _ok(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    assert run_main(monkeypatch, *map(str, arguments)) in (0, None)


def _table_of_one_photo(folder: Path) -> Path:
    from PIL import Image

    Image.new("RGB", (8, 6)).save(folder / "a.png")
    (folder / "refs.csv").write_text("image,sentences\na.png,the top half\na.png,the sun\n")
    return folder / "refs.csv"
