from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ssc_core.cli import main as cli
from ssc_core.masks import MaskStoreWriter, StoreInfo, rle

HEAVY = ("torch", "pandas", "numpy", "transformers", "open_clip", "spacy", "cv2", "h5py")


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Exit code of ``ssc`` with these arguments."""
    monkeypatch.setattr(sys, "argv", ["ssc", *arguments])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    return exit_.value.code


def test_the_command_imports_nothing_heavy() -> None:
    code = f"import sys, ssc_core.cli.main; print([m for m in {HEAVY} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


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
    ],
)
def test_predict_refuses_what_makes_no_sense(monkeypatch, capsys, arguments: list[str], message: str) -> None:
    assert run_main(monkeypatch, "predict", *arguments) == 1
    assert message in capsys.readouterr().err


def test_import_never_overwrites(monkeypatch, capsys, tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "masks.h5").write_bytes(b"precious")
    assert run_main(monkeypatch, "import", str(tmp_path / "train"), "--candidates", str(tmp_path)) == 1
    assert "masks.h5 exists" in capsys.readouterr().err
    assert (tmp_path / "train" / "masks.h5").read_bytes() == b"precious"
    assert run_main(monkeypatch, "import", str(tmp_path / "train")) == 1
    assert "nothing to import" in capsys.readouterr().err


def test_export_png_and_import_again(monkeypatch, tmp_path: Path) -> None:
    from ssc_core.refer.index import build_index
    from ssc_core.refer.sources import DatasetSource

    source = _table_of_one_photo(tmp_path)
    build_index(
        dataset="mine",
        source=DatasetSource(layout="table", file=source, images=tmp_path),
        out_refs=tmp_path / "mine" / "refs.parquet",
        out_truth=tmp_path / "mine" / "truth.h5",
        check_counts=False,
    )
    masks = np.zeros((2, 6, 8), bool)
    masks[0, :3], masks[1, 4:] = True, True
    info = StoreInfo(class_names=("object",), settings={}, code="", models={})
    (tmp_path / "mine" / "train").mkdir()
    with MaskStoreWriter(tmp_path / "mine" / "train" / "masks.h5", info, with_masks=True) as writer:
        writer.append_image(
            1,
            (6, 8),
            boxes_xyxy=np.array([[0, 0, 8, 3], [0, 4, 8, 6]]),
            box_scores=np.ones(2),
            labels=np.zeros(2, int),
            rles=rle.encode(masks),
            mask_scores=np.ones(2),
            candidates={1: [0, 1]},
        )
    _ok(monkeypatch, "export", tmp_path / "mine/train/masks.h5", "--to", "png", "-o", tmp_path / "png")
    _ok(monkeypatch, "export", tmp_path / "mine/train/masks.h5", "-o", tmp_path / "coco.json")
    (tmp_path / "mine" / "train" / "masks.h5").rename(tmp_path / "masks.h5")
    _ok(monkeypatch, "import", tmp_path / "mine/train", "--candidates", tmp_path / "png")

    from ssc_core.masks import MaskStore

    np.testing.assert_array_equal(MaskStore.open(tmp_path / "mine/train/masks.h5").candidate_masks(1), masks)


def _ok(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    assert run_main(monkeypatch, *map(str, arguments)) in (0, None)


def _table_of_one_photo(folder: Path) -> Path:
    from PIL import Image

    Image.new("RGB", (8, 6)).save(folder / "a.png")
    (folder / "refs.csv").write_text("image,sentences\na.png,the top half\n")
    return folder / "refs.csv"
