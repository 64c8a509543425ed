"""``ssc review`` as a browser talks to it: what is asked first, what is written, and who is let in."""

from __future__ import annotations

import http.client
import io
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ssc_core.cli.review import _split
from ssc_core.config.labelling import CompatSettings, SelectSettings
from ssc_core.errors import SscError
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.reviews import Decision, Review, append_review, read_lines, read_reviews
from ssc_core.masks.selection import ScoreStoreWriter, SelectionStore
from ssc_core.masks.store import MaskStore
from ssc_core.refer.ref_table import open_photos
from ssc_core.report.label_rows import Run
from ssc_core.review.queue import Queue
from ssc_core.review.server import MAX_BYTES, ReviewServer
from ssc_core.select.stage import select_masks
from ssc_core.tables import write_frame
from tests.unit.select.conftest import World
from tests.unit.select.test_stage import AREAS, SCORES


@dataclass(frozen=True)
class Place:
    folder: Path
    images: Path
    reviews: Path

    @property
    def refs(self) -> Path:
        return self.folder.parent / "refs.parquet"


@contextmanager
def queue_of(place: Place) -> Iterator[Queue]:
    with ExitStack() as stack:
        files = {name: place.folder / f"{name}.h5" for name in ("masks", "selected")}
        scores, nouns = [place.folder / "scores.h5"], place.folder / "nouns.parquet"
        run = Run.open(stack, "val", "val", refs=place.refs, nouns=nouns, scores=scores, **files)
        yield Queue(run, open_photos(place.refs, place.images), place.reviews)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    world = World(tmp_path)
    folder = tmp_path / "val"
    folder.mkdir()
    world.masks.rename(folder / "masks.h5")
    info = StoreInfo(class_names=(), settings={}, code="test", models={})
    with ScoreStoreWriter(folder / "scores.h5", info) as writer:
        for ref, values in SCORES.items():
            scores = np.array(values, dtype=np.float32).reshape(len(values), len(AREAS[ref]))
            writer.append_ref(ref, scores, AREAS[ref])
    write_frame(folder / "nouns.parquet", pd.DataFrame({"ref_id": [*SCORES], "query": ["square"] * len(SCORES)}))
    place = Place(folder, world.images, tmp_path / "reviews.csv")
    choose(place)
    return place


def choose(place: Place) -> SelectionStore:
    select_masks(
        refs=place.refs,
        split="val",
        masks=place.folder / "masks.h5",
        scores=[place.folder / "scores.h5"],
        out=place.folder / "selected.h5",
        settings=SelectSettings(min_area=9),
        compat=CompatSettings(),
        reviews=place.reviews if place.reviews.exists() else None,
    )
    return SelectionStore(place.folder / "selected.h5")


class Browser:
    """Asks a server. headers: in place of what a browser sends by itself."""

    def __init__(self, server: ReviewServer) -> None:
        self.port, self.token = server.server_address[1], server.token

    def ask(
        self, path: str, body: Any = None, *, token: str | None = None, method: str = "", **headers: str
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        sent = {"Content-Type": "application/json"} if body is not None else {}
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        separator = "&" if "?" in path else "?"
        address = f"{path}{separator}token={self.token if token is None else token}"
        try:
            connection.request(method or ("GET" if body is None else "POST"), address, content, {**sent, **names})
            answer = connection.getresponse()
            self.headers = answer.headers
            return answer.status, answer.read()
        finally:
            connection.close()

    def json(self, path: str, body: Any = None) -> Any:
        status, content = self.ask(path, body)
        assert status == 200, content
        return json.loads(content)


@pytest.fixture
def browser(place: Place) -> Iterator[Browser]:
    with queue_of(place) as queue, ReviewServer(queue, "ana") as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Browser(server)
        server.shutdown()
        thread.join()


def test_the_most_doubtful_come_first_and_those_without_candidates_last(browser):
    # 5: nothing but one that is large enough; 2: margin 1; 1: its sentences disagree; 3: one candidate; 4: none
    order = [one["ref"] for one in browser.json("/refs")]
    assert order.index(2) < order.index(1) < order.index(3)
    assert order[-1] == 4
    assert {one["decision"] for one in browser.json("/refs")} == {""}


def test_a_ref_has_sentences_and_numbered_candidates_the_best_first(browser):
    ref = browser.json("/ref/1")
    assert ref["sentences"] == ["the red square", "red"]
    assert ref["asked"] == "square"
    assert [one["number"] for one in ref["candidates"]] == [1, 2, 3]
    assert [one["score"] for one in ref["candidates"]] == [26, 24, 10]
    assert [one["select"] for one in ref["candidates"]] == [True, False, False]


def test_pictures_are_of_the_photo_and_of_its_candidates(browser):
    pictures = []
    for path in ("/photo/1", "/marked/1", "/marked/1?first=9", "/photo/4"):
        status, content = browser.ask(path)
        assert (status, browser.headers["Content-Type"]) == (200, "image/jpeg")
        pictures.append(np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int))
    photo, marked, beyond, _ = pictures
    assert max(photo.shape) == 1200
    assert np.abs(photo - marked).max() > 100
    assert np.array_equal(photo, beyond)


def test_a_decision_is_a_line_and_the_workflow_chooses_by_it(place, browser):
    chosen = browser.json("/decide", {"ref": 1, "decision": "chosen", "number": 2})
    assert (chosen["decision"], chosen["who"]) == ("chosen", "ana")
    assert [one["decided"] for one in chosen["candidates"]] == [False, True, False]
    browser.json("/decide", {"ref": 2, "decision": "none"})
    browser.json("/decide", {"ref": 3, "decision": "skipped"})
    review = read_reviews(place.reviews)[1]
    with MaskStore.open(place.folder / "masks.h5", with_masks=True) as store:
        assert [review.rle] == store.rles([1])
    assert (review.photo, review.who, review.decision) == ("a.png", "ana", Decision.chosen)
    selected = choose(place)
    assert [selected.chosen(ref) for ref in (1, 2, 3)] == [1, -1, 2]
    assert selected.reviewed == {1, 2}


def test_undo_takes_back_and_nothing_is_ever_removed(place, browser):
    for decision in ("none", "undo"):
        last = browser.json("/decide", {"ref": 1, "decision": decision})
    assert last["decision"] == ""
    assert [line.decision for line in read_lines(place.reviews)] == ["none", "undo"]


def test_what_others_decided_meanwhile_is_seen(place, browser):
    append_review(place.reviews, Review(2, "a.png", Decision.none, who="ben"))
    assert {one["ref"]: one["decision"] for one in browser.json("/refs")}[2] == "none"
    assert browser.json("/ref/2")["who"] == "ben"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"ref": 77, "decision": "none"}, 400, "no ref 77"),
        ({"ref": 1, "decision": "chosen", "number": 4}, 400, "3 candidates"),
        ({"ref": 1, "decision": "chosen", "number": 0}, 400, "3 candidates"),
        ({"ref": 1, "decision": "chosen"}, 400, "3 candidates"),
        ({"ref": 1, "decision": "drawn"}, 400, "no decision of the page"),
        ({"ref": True, "decision": "none"}, 400, "no decision"),
        ({"ref": 1, "decision": ["none"]}, 400, "no decision"),
        ([], 400, "no decision"),
        (b"{", 400, "no decision"),
        (b"[" * MAX_BYTES, 400, "no decision"),
        (b" " * (MAX_BYTES + 1), 413, "at most"),
    ],
)
def test_what_is_no_decision_is_refused_and_nothing_is_written(place, browser, body, status, words):
    found, content = browser.ask("/decide", body)
    assert found == status
    assert words in json.loads(content)["error"]
    assert not place.reviews.exists()


@pytest.mark.parametrize("path", ["/", "/refs", "/ref/1", "/photo/1", "/marked/1"])
def test_nothing_is_shown_without_the_token(browser, path: str):
    for token in ("", "x", "%C3%A4", browser.token[:-1]):
        status, content = browser.ask(path, token=token)
        assert status == 403
        assert b"a.png" not in content


def test_other_pages_and_other_names_are_refused(place, browser):
    body = {"ref": 1, "decision": "none"}
    own = f"127.0.0.1:{browser.port}"
    for headers, status in (
        ({"Host": f"evil.example:{browser.port}"}, 421),
        ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Host": "["}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": f"http://localhost:{browser.port}"}, 403),
        ({"Content_Type": "text/plain"}, 415),
    ):
        assert browser.ask("/decide", body, **headers)[0] == status, headers
    assert not place.reviews.exists()
    assert browser.ask("/decide", body, Origin=f"http://{own}")[0] == 200
    assert browser.ask("/refs", Host=f"localhost:{browser.port}")[0] == 200


def test_only_what_the_page_needs_is_there(browser):
    for path in ("/../reviews.csv", "/page/review.js", "/ref/1/..", "/ref/x", "/ref/99999999999999999999"):
        assert browser.ask(path)[0] == 404
    for path in ("/?" + "a=1&" * 20, "/refs?x=" + "&" * 100):
        assert browser.ask(path)[0] in (400, 403, 404)
    assert browser.ask("/refs", {"ref": 1, "decision": "none"})[0] == 404
    assert browser.ask("/decide")[0] == 404
    assert browser.ask("/decide", method="DELETE")[0] == 501


def test_the_page_is_whole_and_runs_its_own_script_alone(browser):
    status, content = browser.ask("/")
    policy = browser.headers["Content-Security-Policy"]
    nonce = policy.partition("script-src 'nonce-")[2].partition("'")[0]
    assert status == 200
    assert len(nonce) > 16
    assert content.count(f'nonce="{nonce}"'.encode()) == 2
    assert b"addEventListener" in content
    assert b"NONCE" not in content
    assert b"http://" not in content.replace(b"http://www.w3.org/2000/svg", b"")


def test_it_listens_on_this_machine_alone_and_says_when_a_port_is_taken(place):
    with queue_of(place) as queue, ReviewServer(queue, "ana") as server:
        assert server.server_address[0] == "127.0.0.1"
        with pytest.raises(SscError, match="choose another --port"):
            ReviewServer(queue, "ana", server.server_address[1])


def test_the_split_is_found(place, tmp_path):
    assert _split(place.folder) == place.folder
    assert _split(tmp_path) == place.folder
    with pytest.raises(SscError, match=r"no selected\.h5"):
        _split(place.images)
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "selected.h5").touch()
    with pytest.raises(SscError, match="several splits"):
        _split(tmp_path)
