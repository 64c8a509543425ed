"""Masks that a person makes in ``ssc review``: drawn as a box, uploaded as a PNG; and what hostile ones do: nothing."""

from __future__ import annotations

import io
import json
import struct
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from ssc_core.cli.review import _recorded, _segmenter
from ssc_core.errors import SscError
from ssc_core.masks import rle
from ssc_core.masks.choice import DRAWN
from ssc_core.masks.reviews import Decision, Review, append_review, read_lines, that_count
from ssc_core.report.label_rows import Labels
from ssc_core.review.masks import KEPT, clipped
from ssc_core.review.server import MAX_BYTES, MAX_UPLOAD
from tests.unit.review.conftest import choose, run_of, serving
from tests.unit.select.conftest import HEIGHT, WIDTH

SIZE = (HEIGHT, WIDTH)


def blob() -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[20:38, 30:55] = True
    mask[25:30, 35:40] = False
    return mask


def png(pixels: np.ndarray, mode: str | None = None) -> bytes:
    into, image = io.BytesIO(), Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(into, "PNG")
    return into.getvalue()


def header_of(width: int, height: int) -> bytes:
    """A PNG that says it has so many pixels, and holds none."""
    fields = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    start = struct.pack(">I", 13) + fields + struct.pack(">I", zlib.crc32(fields))
    rows = b"IDAT" + zlib.compress(b"")
    return b"\x89PNG\r\n\x1a\n" + start + struct.pack(">I", len(rows) - 4) + rows + struct.pack(">I", zlib.crc32(rows))


def test_a_drawn_box_is_looked_at_and_then_counts(place, browser, segmenter):
    draft = browser.json("/draw", {"ref": 1, "box": [5, 6, 25.4, 30]})
    assert (draft["ref"], draft["decision"]) == (1, "drawn")
    assert draft["share"] == 20 * 24 / (HEIGHT * WIDTH)
    status, picture = browser.ask(f"/draft/{draft['draft']}")
    assert (status, browser.headers["Content-Type"]) == (200, "image/jpeg")
    plain, drafted = (np.asarray(Image.open(io.BytesIO(one))) for one in (browser.ask("/photo/1")[1], picture))
    assert np.abs(plain.astype(int) - drafted).max() > 100
    assert not place.reviews.exists()
    after = browser.json("/decide", {"ref": 1, "decision": "drawn", "draft": draft["draft"]})
    assert (after["decision"], after["fits"], after["who"]) == ("drawn", True, "ana")
    mask = that_count(read_lines(place.reviews))[1].mask()
    assert mask[6:30, 5:25].all()
    assert mask.sum() == 20 * 24
    selected = choose(place)
    assert selected.chosen(1) == DRAWN
    np.testing.assert_array_equal(selected.mask(1), mask)


def test_what_was_drawn_is_in_the_picture_and_in_the_rows_of_the_labels_page(place, browser):
    before = browser.ask("/marked/1")[1]
    draft = browser.json("/draw", {"ref": 1, "box": [5, 6, 25, 30]})["draft"]
    browser.json("/decide", {"ref": 1, "decision": "drawn", "draft": draft})
    assert browser.ask("/marked/1")[1] != before
    choose(place)
    with run_of(place) as run:
        row = next(row for row in Labels(run).rows() if row.ref.ref_id == 1)
        masks = run.candidates(1)
    assert (row.found, row.chosen, row.why) == (3, 3, [])
    assert np.isnan(row.score)
    assert len(masks) == 4
    assert masks[3].sum() == 20 * 24


def test_the_segmenter_is_loaded_once_and_only_to_draw(place, browser, segmenter):
    browser.json("/refs")
    browser.json("/ref/1")
    assert segmenter.loads == 0
    for _ in range(3):
        browser.json("/draw", {"ref": 1, "box": [5, 6, 25, 30]})
    assert (segmenter.loads, segmenter.asked) == (1, 3)


def test_the_page_says_why_there_is_no_segmenter_and_tries_again(place, segmenter):
    weights = []

    def load():
        if not weights:
            raise SscError("No box can be drawn: weights/sam.pth does not exist. Upload masks (U).")
        return segmenter

    with serving(place, load=load) as browser:
        status, content = browser.ask("/draw", {"ref": 1, "box": [5, 6, 25, 30]})
        assert (status, "sam.pth does not exist" in json.loads(content)["error"]) == (400, True)
        weights.append("fetched meanwhile")
        assert browser.ask("/draw", {"ref": 1, "box": [5, 6, 25, 30]})[0] == 200


def test_a_model_that_fails_is_said_and_the_page_goes_on(place, capfd):
    def segment(images, boxes):
        raise RuntimeError("CUDA out of memory")

    with serving(place, load=lambda: SimpleNamespace(segment=segment)) as browser:
        status, content = browser.ask("/draw", {"ref": 1, "box": [5, 6, 25, 30]})
        assert status == 500
        assert "CUDA out of memory" in json.loads(content)["error"]
        assert browser.json("/decide", {"ref": 1, "decision": "none"})["decision"] == "none"
    assert "Traceback" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"ref": 1}, "four numbers"),
        ({"ref": 1, "box": [1, 2, 3]}, "four numbers"),
        ({"ref": 1, "box": [1, 2, 3, "4"]}, "no box"),
        ({"ref": 1, "box": [1, 2, 3, True]}, "no box"),
        ({"ref": 1, "box": "1234"}, "no box"),
        (b'{"ref": 1, "box": [1, 2, 3, NaN]}', "four numbers"),
        (b'{"ref": 1, "box": [1, 2, 3, 1e999]}', "four numbers"),
        ({"ref": 1, "box": [30, 2, 20, 30]}, "no pixel of the photo, which has 60 x 40"),
        ({"ref": 1, "box": [-50, -50, 0, 0]}, "no pixel"),
        ({"ref": 1, "box": [10**400, 0, 1, 1]}, "four numbers"),
        ({"ref": 77, "box": [1, 2, 30, 40]}, "no ref 77"),
    ],
)
def test_what_is_no_box_is_refused_before_any_model_sees_it(place, browser, segmenter, body, words):
    status, content = browser.ask("/draw", body)
    assert status == 400
    assert words in json.loads(content)["error"]
    assert segmenter.asked == 0


def test_a_box_is_cut_at_the_photos_edge():
    assert clipped([-3, 2, 99, 50], SIZE).tolist() == [0, 2, WIDTH, HEIGHT]


def test_an_uploaded_mask_counts_with_its_holes(place, browser):
    content = png(blob().astype(np.uint8) * 255)
    draft = browser.json("/upload?ref=2", content, Content_Type="image/png")
    assert (draft["decision"], draft["share"]) == ("uploaded", blob().mean())
    browser.json("/decide", {"ref": 2, "decision": "uploaded", "draft": draft["draft"]})
    np.testing.assert_array_equal(that_count(read_lines(place.reviews))[2].mask(), blob())
    np.testing.assert_array_equal(choose(place).mask(2), blob())


def palette() -> Image.Image:
    """Blue on black, with the numbers of the palette the other way round, and black twice."""
    image = Image.fromarray(np.where(blob(), 1, np.where(np.arange(WIDTH) % 2, 7, 2)).astype(np.uint8), "P")
    colours = np.zeros((256, 3), np.uint8)
    colours[1] = (0, 0, 255)
    image.putpalette(colours.ravel().tolist())
    return image


def transparent() -> Image.Image:
    pixels = np.zeros((*SIZE, 4), np.uint8)
    pixels[blob(), 3] = 255
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    "image",
    [palette(), transparent(), Image.fromarray(blob()), Image.fromarray(blob().astype(np.uint16) * 65535)],
    ids=["palette", "transparent", "one bit", "sixteen bits"],
)
def test_all_kinds_of_png_mean_what_can_be_seen(place, browser, image):
    into = io.BytesIO()
    image.save(into, "PNG")
    draft = browser.json("/upload?ref=1", into.getvalue(), Content_Type="image/png")
    browser.json("/decide", {"ref": 1, "decision": "uploaded", "draft": draft["draft"]})
    np.testing.assert_array_equal(that_count(read_lines(place.reviews))[1].mask(), blob())


def noise() -> bytes:
    return png((np.random.default_rng(0).random(SIZE) < 0.5).astype(np.uint8) * 255)


def jpeg() -> bytes:
    into = io.BytesIO()
    Image.fromarray(blob().astype(np.uint8) * 255).save(into, "JPEG")
    return into.getvalue()


GOOD = png(blob().astype(np.uint8) * 255)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (header_of(2**31 - 1, 2**31 - 1), "refused"),
        (header_of(20000, 20000), "refused"),
        (header_of(8000, 8000), "its photo 40 x 60"),
        (header_of(0, 40), "the file"),
        (header_of(WIDTH, HEIGHT), "cannot be read"),
        (png(np.zeros((WIDTH, HEIGHT), np.uint8)), "its photo 40 x 60"),
        (png(np.zeros(SIZE, np.uint8)), "no pixel"),
        (jpeg(), "no PNG"),
        (b"GIF89a" + bytes(40), "no PNG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 60 40\n", "no PNG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no PNG"),
        (b"", "no PNG"),
        (GOOD[: len(GOOD) // 2], "cannot be read"),
        (GOOD.replace(b"IDAT", b"IDAT"[::-1]), "the file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "the file"),
    ],
)
def test_hostile_uploads_are_refused_and_leave_nothing(place, browser, tmp_path, monkeypatch, content, words):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    status, answer = browser.ask("/upload?ref=1", content, Content_Type="image/png")
    said = json.loads(answer)["error"]
    assert status == 400
    assert words in said
    assert str(tmp_path) not in said, "where it lay is nobody's business"
    assert not place.reviews.exists()
    assert list((tmp_path / "temporary").iterdir()) == []


def test_what_is_too_long_or_of_another_kind_is_not_read(browser):
    for headers, status in (
        ({"Content_Type": "image/png", "Content_Length": str(MAX_UPLOAD + 1)}, 413),
        ({"Content_Type": "image/png", "Content_Length": "-1"}, 413),
        ({"Content_Type": "image/svg+xml"}, 415),
        ({"Content_Type": "application/json"}, 415),
    ):
        assert browser.ask("/upload?ref=1", GOOD, **headers)[0] == status, headers
    assert browser.ask("/draw", b" " * (MAX_BYTES + 1))[0] == 413
    for ref, status in (("", 400), ("x", 400), ("1/../2", 400), ("77", 400)):
        assert browser.ask(f"/upload?ref={ref}", GOOD, Content_Type="image/png")[0] == status


@pytest.mark.parametrize(("path", "kind"), [("/draw", "application/json"), ("/upload?ref=1", "image/png")])
def test_what_draws_is_as_closed_as_what_decides(place, browser, segmenter, path: str, kind: str):
    body = GOOD if kind == "image/png" else {"ref": 1, "box": [5, 6, 25, 30]}
    for headers, status in (
        ({"Host": f"evil.example:{browser.port}"}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ):
        assert browser.ask(path, body, Content_Type=kind, **headers)[0] == status, headers
    assert browser.ask(path, body, token="x", Content_Type=kind)[0] == 403
    assert browser.ask(path)[0] == 404
    assert segmenter.asked == 0


def test_a_draft_is_of_its_ref_and_kind_alone_and_old_ones_go(place, browser):
    draft = browser.json("/draw", {"ref": 1, "box": [5, 6, 25, 30]})["draft"]
    for body in (
        {"ref": 2, "decision": "drawn", "draft": draft},
        {"ref": 1, "decision": "uploaded", "draft": draft},
        {"ref": 1, "decision": "chosen", "draft": draft},
    ):
        assert browser.ask("/decide", body)[0] == 400
    assert not place.reviews.exists()
    for _ in range(KEPT):
        browser.json("/draw", {"ref": 2, "box": [5, 6, 25, 30]})
    assert browser.ask("/decide", {"ref": 1, "decision": "drawn", "draft": draft})[0] == 400
    assert browser.ask(f"/draft/{draft}")[0] == 400
    assert browser.ask("/draft/-1")[0] == 400


def store_of(backend: object) -> SimpleNamespace:
    info = SimpleNamespace(settings={"segment": {"backend": backend}})
    return SimpleNamespace(masks=SimpleNamespace(info=info, path="masks.h5"))


@pytest.mark.parametrize("name", ["evil.py:Segmenter", "os:system", "/tmp/evil.py:Segmenter"])
def test_a_plug_in_that_a_store_names_never_runs(name: str, tmp_path):
    with pytest.raises(SscError, match=r"runs only where you name it.*--config"):
        _recorded(store_of({"name": name, "settings": {}}))


@pytest.mark.parametrize("backend", [None, [], {"name": 7}, {"settings": {}}, {"name": "sam", "more": 1}])
def test_a_store_without_a_segmenter_says_what_to_do(backend: object):
    with pytest.raises(SscError, match=r"does not say which segmenter made it.*--config"):
        _recorded(store_of(backend))


def test_a_segmenter_without_weights_says_so_when_somebody_draws(tmp_path):
    run = store_of({"name": "sam", "settings": {"model": str(tmp_path / "nowhere")}})
    with pytest.raises(SscError, match=r"cannot be loaded: .*nowhere.*Upload masks \(U\)"):
        _segmenter(run, None, "cpu", 1)()


def test_the_recorded_segmenter_of_the_small_models_draws():
    run = store_of({"name": "sam", "settings": {"model": "resources/micro/sam"}})
    segmenter = _segmenter(run, None, "cpu", 1)()
    photo = np.full((120, 160, 3), 255, np.uint8)
    photo[30:80, 40:110] = (200, 30, 30)
    (found,) = segmenter.segment([photo], [np.array([[38, 28, 112, 82]], np.float32)])
    truth = np.zeros((120, 160), bool)
    truth[30:80, 40:110] = True
    assert (found.masks[0] & truth).sum() / (found.masks[0] | truth).sum() > 0.7


def test_noise_is_no_mask(browser, monkeypatch):
    monkeypatch.setattr("ssc_core.masks.reviews._LONGEST_MASK", 500)
    status, content = browser.ask("/upload?ref=1", noise(), Content_Type="image/png")
    assert (status, "too many edges" in json.loads(content)["error"]) == (400, True)


def test_a_decision_that_no_candidate_fits_is_open_again(place, browser):
    mask = np.zeros(SIZE, bool)
    mask[-3:, -3:] = True
    append_review(place.reviews, Review(1, "a.png", Decision.chosen, SIZE, rle.encode(mask[None])[0], "ben"))
    assert browser.json("/ref/1")["fits"] is False
    assert {one["ref"]: one["fits"] for one in browser.json("/refs")} == {1: False, 2: True, 3: True, 4: True, 5: True}
    assert browser.json("/decide", {"ref": 1, "decision": "chosen", "number": 1})["fits"] is True
