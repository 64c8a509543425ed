"""The page's controls, without a browser and without Gradio."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssc_core import pictures
from ssc_core.cli.predict import load_zero_shot, toys_of_models
from ssc_core.errors import SscError
from ssc_core.predict.desk import EXAMPLE, EXAMPLE_SENTENCE, HEADERS, MADE_BY_TOYS, SIDE, Desk, read_upload
from ssc_core.predict.exploring import Explorer
from ssc_core.predict.zero_shot import ZeroShot
from ssc_core.refer.images import BadImage
from tests.unit.predict.test_zero_shot import photo, toy_settings
from tests.unit.predict.toy_backends import Squares

__all__ = ["photo"]  # the fixture

TOYS = {"detect.backend.settings.model": "/home/someone/resources/micro/detector"}


@pytest.fixture
def uploaded(photo: np.ndarray, tmp_path: Path) -> str:
    Image.fromarray(photo).save(tmp_path / "squares.png")
    return str(tmp_path / "squares.png")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(Explorer(None, ZeroShot(toy_settings())), tmp_path, {}, allowed=False)


def saved(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_an_answer(desk: Desk, uploaded: str) -> None:
    view = desk.find(uploaded, "dark apple")
    assert max(view.mask.shape[:2]) == max(view.candidates.shape[:2]) == SIDE
    assert all(len(row) == len(HEADERS) for row in view.rows)
    assert [row[-1] for row in view.rows] == ["yes", ""]
    assert (view.chosen, view.title, view.shown.asked) == (1, "Mask of candidate 1", "apple")
    assert "“apple”: 2 candidates" in view.message
    assert MADE_BY_TOYS not in view.message
    assert view.file.name == "squares_1.mask.png"
    assert set(np.unique(saved(view.file))) == {0, 255}
    assert saved(view.file)[5:25, 5:30].all()


def test_a_click_and_a_number_take_a_candidate_and_its_mask_is_offered(desk: Desk, uploaded: str) -> None:
    first = desk.find(uploaded, "dark apple")
    by_click = desk.click(first.shown, [100, 400])  # (10, 40) of a photo of 80 x 60
    by_number = desk.choose(first.shown, 2)
    for view in (by_click, by_number):
        assert (view.chosen, view.title, [row[-1] for row in view.rows]) == (2, "Mask of candidate 2", ["", "yes"])
        assert saved(view.file)[35:55, 5:30].all()
        assert (saved(view.file) > 0).sum() == 20 * 25
        assert view.file.name == "squares_2.mask.png"
    assert not np.array_equal(by_click.candidates, first.candidates)
    assert first.file != by_click.file
    for nowhere in ([400, 10], [5000, 10], [-1, 3], None, ["a", 1], [1], 7, [float("nan"), 1]):
        with pytest.raises(SscError, match="no candidate at this place"):
            desk.click(first.shown, nowhere)
    for call in (lambda: desk.choose(None, 1), lambda: desk.click(None, [1, 1])):
        with pytest.raises(SscError, match="Find it"):
            call()


def test_the_class_in_the_form(desk: Desk, uploaded: str) -> None:
    first = desk.find(uploaded, "dark apple", "", 0.1)
    other = desk.find(uploaded, "light cup", "apple", 0.1, first.shown)
    assert other.shown.asked == "cup", "what an answer put there is not a wish for another sentence"
    typed = desk.find(uploaded, "dark apple", "cup", 0.1, first.shown)
    assert (typed.shown.asked, typed.shown.wish.sentence) == ("cup", "dark apple")
    kept = desk.find(uploaded, "dark apple", "cup", 0.7, typed.shown)
    assert (kept.shown.asked, len(kept.rows)) == ("cup", 1)
    assert desk.choose(typed.shown, 2).shown.asked == "cup"
    assert desk.find(uploaded, "dark apple", "", 0.1, kept.shown).shown.asked == "apple"
    assert Squares.calls == [("apple",), ("cup",), ("cup",)], "the rest was found already"


def test_empty_forms_and_masks(desk: Desk, uploaded: str) -> None:
    for form in ((None, "dark apple"), (uploaded, " "), (uploaded, None)):
        with pytest.raises(SscError, match="Give a photo and a sentence"):
            desk.find(*form)
    view = desk.find(uploaded, "zebra")
    assert (view.rows, view.chosen, "The mask is empty" in view.message) == ([], None, True)


def test_toys_get_the_example_alone(uploaded: str, tmp_path: Path) -> None:
    explorer = Explorer(None, ZeroShot(toy_settings()))
    refusing = Desk(explorer, tmp_path, TOYS, allowed=False)
    example = refusing.example()
    assert Path(example).is_relative_to(tmp_path)
    assert MADE_BY_TOYS in refusing.find(example, "a kite").message
    with pytest.raises(SscError) as error:
        refusing.find(uploaded, "dark apple")
    for part in ("detect.backend.settings.model", "presets/", "ssc serve --allow-toy-models"):
        assert part in str(error.value)
    assert "/home/someone" not in str(error.value), "where models lie is not the visitor's"
    assert Squares.calls == [("kite",)]
    assert MADE_BY_TOYS in Desk(explorer, tmp_path, TOYS, allowed=True).find(uploaded, "dark apple").message


def test_the_small_models_find_what_the_example_asks_for(tmp_path: Path) -> None:
    model = load_zero_shot((), None, "cpu", 1)
    toys = toys_of_models(None, model)
    assert toys
    desk = Desk(Explorer(None, model), tmp_path, toys, allowed=False)
    view = desk.find(desk.example(), EXAMPLE_SENTENCE)
    assert view.shown.asked == "kite"
    assert len(view.rows) == 3
    rows, columns = np.nonzero(saved(view.file))
    height, width = saved(EXAMPLE).shape[:2]
    assert columns.mean() < width / 2
    assert 0 < len(rows) < height * width / 10
    own = tmp_path / "own.png"
    shutil.copyfile(EXAMPLE, own)
    assert desk.find(str(own), EXAMPLE_SENTENCE).rows == view.rows, "uploaded by hand it is the example, too"


def test_uploads_have_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (80, 60), "red").save(tmp_path / "a.png")
    assert read_upload(tmp_path / "a.png", tmp_path).shape == (60, 80, 3)
    (tmp_path / "eps.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 5\n")
    (tmp_path / "other").mkdir()
    Image.new("RGB", (80, 60)).save(tmp_path / "other/b.png")
    (tmp_path / "other/link.png").symlink_to(tmp_path / "a.png")
    monkeypatch.setattr(pictures, "MAX_PIXELS", 80 * 60 - 1)
    for folder, path, message in [
        (tmp_path, tmp_path / "a.png", r"^a\.png has the size 60 x 80"),
        (tmp_path, tmp_path / "eps.jpg", r"^eps\.jpg "),
        (tmp_path / "other", tmp_path / "a.png", "Upload the photo itself"),
        (tmp_path / "other", Path("b.png"), "Upload the photo itself"),
        (tmp_path / "other", tmp_path / "other/link.png", "Upload the photo itself"),
        (tmp_path, Path("https://photos.example/a.png"), "Upload the photo itself"),
    ]:
        with pytest.raises(BadImage, match=message):
            read_upload(path, folder)
