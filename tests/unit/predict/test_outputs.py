from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from ssc_core.errors import SscError
from ssc_core.predict.outputs import GrowingList, OutputWriter, Prediction


def prediction(image: str, sentence: str = "dog") -> Prediction:
    mask = np.zeros((20, 30), bool)
    mask[5:10, 3:9] = True
    return Prediction(image, sentence, np.full((20, 30, 3), 90, np.uint8), mask, {"score": 1.5})


def test_pictures_and_json(tmp_path: Path) -> None:
    writer = OutputWriter(tmp_path, ("overlay", "mask", "rle"))
    for one in (prediction("a.jpg"), prediction("a.png"), prediction("sub/b.jpg")):
        writer.add(one)
    rows = json.loads(writer.close().read_text())
    assert [row["files"][1] for row in rows] == ["a_1.mask.png", "a_2.mask.png", "sub/b_1.mask.png"]
    written = np.asarray(Image.open(tmp_path / "a_1.mask.png"))
    np.testing.assert_array_equal(written, prediction("").mask * np.uint8(255))
    np.testing.assert_array_equal(coco.decode(rows[0]["segmentation"]).astype(bool), prediction("").mask)
    assert (rows[0]["bbox"], rows[0]["area"], rows[0]["score"]) == ([3, 5, 6, 5], 30, 1.5)
    assert Image.open(tmp_path / "sub/b_1.overlay.png").width == 480


def test_only_what_is_wanted(tmp_path: Path) -> None:
    writer = OutputWriter(tmp_path, ("mask",))
    assert [path.name for path in writer.add(prediction("a.jpg"))] == ["a_1.mask.png"]
    assert writer.close() is None
    assert [path.name for path in tmp_path.iterdir()] == ["a_1.mask.png"]


def test_the_json_has_what_was_answered_after_every_answer(tmp_path: Path) -> None:
    (tmp_path / "predictions.json").write_text('["of a former run"]')
    writer = OutputWriter(tmp_path, ("rle",))
    assert json.loads((tmp_path / "predictions.json").read_text()) == ["of a former run"]
    for count in range(1, 4):
        writer.add(prediction(f"{count}.jpg", "größer"))
        rows = json.loads((tmp_path / "predictions.json").read_text())
        assert [row["image"] for row in rows] == [f"{i}.jpg" for i in range(1, count + 1)]
    assert rows[0]["sentence"] == "größer"


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_answers_of_a_former_run_go_with_the_first_of_this_one(tmp_path: Path) -> None:
    former = OutputWriter(tmp_path, ("mask", "overlay", "rle"))
    for image in ("a.jpg", "a.jpg", "sub/ö.jpg"):
        former.add(prediction(image))
    writer = OutputWriter(tmp_path, ("mask",), asked=["a.jpg", "b.jpg"])
    assert len(files_in(tmp_path)) == 7  # a model that cannot be read, say, costs nothing
    writer.add(prediction("a.jpg"))
    others = {"sub/ö_1.mask.png", "sub/ö_1.overlay.png"}  # a loop that calls this per photo keeps them all
    assert files_in(tmp_path) == {"a_1.mask.png", *others}
    OutputWriter(tmp_path, ("rle",), asked=["sub/ö.jpg"]).close()
    assert files_in(tmp_path) == {"a_1.mask.png", "predictions.json"}
    OutputWriter(tmp_path, ("mask",)).close()
    assert files_in(tmp_path) == {"a_1.mask.png"}


def test_a_run_that_was_stopped_between_pictures_and_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(GrowingList, "append", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            OutputWriter(tmp_path, ("mask", "rle")).add(prediction("a.jpg"))
    assert files_in(tmp_path) == {"a_1.mask.png"}
    OutputWriter(tmp_path, ("rle",), asked=["a.jpg"]).close()
    assert files_in(tmp_path) == {"predictions.json"}


def test_files_of_others_and_of_other_folders_stay(tmp_path: Path) -> None:
    OutputWriter(tmp_path / "day", ("mask", "rle")).add(prediction("a.jpg"))
    OutputWriter(tmp_path, ("mask",)).add(prediction("a.jpg"))
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/a_1.mask.png").write_bytes((tmp_path / "a_1.mask.png").read_bytes())
    Image.new("L", (3, 2)).save(tmp_path / "a_2.mask.png")
    (tmp_path / "predictions.json").write_text('[{"image_id": 3}]')
    OutputWriter(tmp_path, ("mask",), asked=["a.jpg", "c.jpg"]).add(prediction("c.jpg"))
    others = {"day/a_1.mask.png", "day/predictions.json", "kept/a_1.mask.png", "a_2.mask.png", "predictions.json"}
    assert files_in(tmp_path) == {*others, "c_1.mask.png"}


def test_nothing_answered_is_an_empty_list(tmp_path: Path) -> None:
    assert json.loads(OutputWriter(tmp_path, ("rle",)).close().read_text()) == []


def test_a_drive_that_fills_up_keeps_the_values_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = GrowingList(tmp_path / "rows.json")
    rows.append(1)
    rows.append([2] * 100)
    whole = GrowingList._write

    def half(file, place: int, content: bytes) -> int:
        if len(content) > 10:
            whole(file, place, content[: len(content) // 2])
            raise OSError(28, "No space left on device")
        return whole(file, place, content)

    with monkeypatch.context() as patch:
        patch.setattr(GrowingList, "_write", staticmethod(half))
        with pytest.raises(OSError, match="No space"):
            rows.append([3] * 100)
    assert json.loads(rows.path.read_text()) == [1, [2] * 100]
    rows.append(4)
    assert json.loads(rows.path.read_text()) == [1, [2] * 100, 4]


def test_names_that_are_nearly_too_long_for_a_drive(tmp_path: Path) -> None:
    writer = OutputWriter(tmp_path, ("overlay", "mask", "rle"))
    names = ["ä" * 120 + "1.jpg", "ä" * 120 + "2.jpg"]
    for name in names:
        writer.add(prediction(name))
    rows = json.loads(writer.close().read_text())
    assert [row["image"] for row in rows] == names
    assert len({file for row in rows for file in row["files"]}) == 4


@pytest.mark.parametrize("name", ["../a.jpg", "/tmp/a.jpg", "link/a.jpg"])
def test_nothing_is_written_outside_the_folder(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (out / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SscError, match="not inside"):
        OutputWriter(out, ("mask",)).add(prediction(name))
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(SscError, match="is a file"):
        OutputWriter(tmp_path / "out", ("mask",))
