"""``ssc review`` as a browser talks to it: what is asked, what is written, and who is let in."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ssc_core.cli.review import _list_unfit, _place_of_decisions, _split
from ssc_core.errors import SscError
from ssc_core.masks import reviews, rle
from ssc_core.masks.reviews import Decision, Review, append_review, read_lines, that_count
from ssc_core.masks.store import MaskStore
from ssc_core.review.server import MAX_BYTES, ReviewServer
from ssc_core.tables import table_writer
from tests.unit.review.conftest import choose, queue_of, run_of


def test_the_most_doubtful_come_first_and_those_without_candidates_last(browser):
    # 2: a margin of 1; 1: a margin of 2; 3 and 5: nothing else that may be chosen; 4: no candidate
    order = [one["ref"] for one in browser.json("/refs")]
    assert order == [2, 1, 3, 5, 4]
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
    review = that_count(read_lines(place.reviews))[1]
    with MaskStore.open(place.folder / "masks.h5", with_masks=True) as store:
        assert [review.rle] == store.rles([1])
    assert (review.photo, review.who, review.decision) == ("a.png", "ana", Decision.chosen)
    selected = choose(place)
    assert [selected.chosen(ref) for ref in (1, 2, 3)] == [1, -1, 2]
    assert selected.reviewed == {1, 2}


def test_a_decision_is_of_all_sentences_of_a_ref_which_is_said_where_each_has_a_choice(place, browser):
    assert not browser.json("/ref/1")["shared"]
    choose(place, per="sentence")
    with queue_of(place) as queue:
        assert [len(queue.ref(ref)["sentences"]) for ref in (1, 2)] == [2, 1]
        assert [queue.ref(ref)["shared"] for ref in (1, 2)] == [True, False]
        queue.decide(1, "chosen", 2, "ana")
    selected = choose(place, per="sentence")
    assert [selected.chosen(1, sentence) for sentence in (0, 1)] == [1, 1]


def test_undo_takes_back_and_nothing_is_ever_removed(place, browser):
    for decision in ("none", "undo"):
        last = browser.json("/decide", {"ref": 1, "decision": decision})
    assert last["decision"] == ""
    assert [line.decision for line in read_lines(place.reviews)] == ["none", "undo"]


def test_an_undo_takes_back_ones_own_decision_and_nobody_elses(place, browser):
    def decide(decision, **more):
        return browser.ask("/decide", {"ref": 1, "decision": decision, **more})

    first, second = (json.loads(decide(decision)[1])["turn"] for decision in ("none", "skipped"))
    assert decide("undo", turn=second)[0] == 200
    append_review(place.reviews, Review(1, "a.png", Decision.undo, who="ben"))
    append_review(place.reviews, Review(1, "a.png", Decision.skipped, who="ben"))
    status, answer = decide("undo", turn=first)
    assert status == 409 and "decided again since" in json.loads(answer)["error"]
    assert browser.json("/ref/1")["who"] == "ben"
    append_review(place.reviews, Review(1, "a.png", Decision.undo, who="ben"))
    third = json.loads(decide("none")[1])["turn"]
    fourth = json.loads(decide("skipped")[1])["turn"]
    assert [decide("undo", turn=turn)[0] for turn in (fourth, third)] == [200, 200], "one's own, one after the other"
    assert browser.json("/ref/1")["decision"] == ""


def test_a_key_waits_for_no_line_that_was_read_before(place, monkeypatch):
    """At 20,000 decisions a key took ten seconds: every request parsed them all."""
    for ref_id, photo in ((1, "a.png"), (2, "a.png"), (4, "b.png")):
        append_review(place.reviews, Review(ref_id, photo, Decision.none))
    parsed = []
    parse = reviews._review

    def noting(line: bytes, *more: Any) -> Review:
        parsed.extend([line] if line else [])  # what comes after the last line break is looked at, too
        return parse(line, *more)

    monkeypatch.setattr(reviews, "_review", noting)
    with queue_of(place) as queue:
        queue.list()
        assert len(parsed) == 3
        queue.decide(1, "skipped", None, "ana")
        for ask in (queue.ref, lambda ref: queue.picture(ref, 0)):
            ask(1)
        assert [one["decision"] for one in queue.list()].count("skipped") == 1
    assert len(parsed) == 4


def test_a_picture_decodes_the_candidates_that_it_shows(place, monkeypatch):
    """Not all: 300 of a photo of 12 megapixels are 3.6 GB."""
    decoded, decode = [], rle.decode
    monkeypatch.setattr(
        rle, "decode", lambda codes, *size, **where: decoded.append(len(codes)) or decode(codes, *size, **where)
    )
    with queue_of(place) as queue:
        queue.picture(1, 1)
        queue.picture(4, 0)
    assert decoded == [2, 0]


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
        ({"ref": 1, "decision": "drawn"}, 400, "lacks its mask"),
        ({"ref": 1, "decision": "drawn", "draft": 1}, 400, "not here any more"),
        ({"ref": 1, "decision": "drawn", "draft": True}, 400, "no decision"),
        ({"ref": 1, "decision": "none", "path": "/etc/passwd"}, 400, "no decision"),
        ({"ref": True, "decision": "none"}, 400, "no decision"),
        ({"ref": 1, "decision": ["none"]}, 400, "no decision"),
        ([], 400, "no decision"),
        (b"{", 400, "no decision"),
        (b"[" * MAX_BYTES, 400, "no decision"),
        (b" " * (MAX_BYTES + 1), 413, "at most"),
        (b'{"ref": 1, "decision": "none", "decision": "\\ud800"}', 400, "no decision of the page"),
    ],
)
def test_what_is_no_decision_is_refused_and_nothing_is_written(place, browser, body, status, words):
    found, content = browser.ask("/decide", body)
    assert found == status
    assert words in json.loads(content)["error"]
    assert not place.reviews.exists()


@pytest.mark.parametrize("path", ["/", "/refs", "/ref/1", "/photo/1", "/marked/1", "/draft/1"])
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
    assert _split(tmp_path) == place.folder, "the other is of an earlier table"
    table = pq.read_table(place.refs)
    both = pa.concat_tables([table, table.set_column(1, "split", pa.array(["test"] * len(table)))])
    with table_writer(place.refs, both.schema) as writer:
        writer.write_table(both)
    with pytest.raises(SscError, match="several splits"):
        _split(tmp_path)


def test_decisions_lie_where_the_config_has_them(tmp_path):
    """Those in another file would be read by nobody."""
    mine = tmp_path / "mine.yaml"
    mine.write_text("datasets: {refcoco: {reviews: decided/by_us.csv}}")
    (tmp_path / "refcoco").mkdir()
    (tmp_path / "other").mkdir()
    assert _place_of_decisions(tmp_path / "refcoco", [mine]) == Path("decided/by_us.csv")
    assert _place_of_decisions(tmp_path / "other", [mine]) == tmp_path / "other" / "reviews.csv"
    assert _place_of_decisions(tmp_path / "refcoco", None) == tmp_path / "refcoco" / "reviews.csv"


def test_the_page_shows_a_decision_where_its_row_is_now_and_notes_its_sentences(place):
    append_review(place.reviews, Review(3, "a.png", Decision.none, who="ben", sentences=("red",)))
    with queue_of(place) as queue:
        assert [(one["ref"], one["decision"]) for one in queue.list() if one["decision"]] == [(1, "none")]
        queue.decide(2, "skipped", None, "ana")
        queue.decide(1, "undo", None, "ana")
        assert [(one["ref"], one["decision"]) for one in queue.list() if one["decision"]] == [(2, "skipped")]
    assert [line.sentences for line in read_lines(place.reviews)] == [
        ("red",),
        ("the green square",),
        ("the red square", "red"),
    ]


def test_a_decision_is_open_again_after_its_photo_was_replaced(place, capsys):
    """Also by one of its size."""
    with queue_of(place) as queue:
        for ref, decision in ((1, "none"), (2, "skipped")):
            queue.decide(ref, decision, None, "ana")
        queue.decide(5, "none", None, "ana")
        photo = place.images / "a.png"
        Image.new("RGB", (60, 40), "white").save(photo)
        assert [(one["ref"], one["decision"]) for one in queue.list() if one["decision"]] == [(5, "none")]
        assert queue.ref(1)["decision"] == ""
        selected = choose(place)
        assert (selected.chosen(1), selected.reviewed) == (0, {5})
        assert selected.unfit == ("ref 1 of a.png: the photo was replaced since",)
        with run_of(place) as run:
            _list_unfit(place.reviews, place.refs, run, place.images)
        assert "ref 1 of a.png: the photo was replaced since\n" in capsys.readouterr().out
        queue.decide(1, "none", None, "ana")
        assert queue.ref(1)["decision"] == "none"
    assert choose(place).reviewed == {1, 5}


def test_a_decision_on_another_splits_ref_of_the_photo_is_none_here(place):
    table = pq.read_table(place.refs)
    rows = table.filter(pc.equal(table["ref_id"], 1))
    for column, value in {"ref_id": 70, "split": "train"}.items():
        at = table.schema.get_field_index(column)
        rows = rows.set_column(at, table.schema.field(at), pa.array([value] * len(rows), table.schema.field(at).type))
    with table_writer(place.refs, table.schema) as writer:
        writer.write_table(pa.concat_tables([table, rows]))
    append_review(place.reviews, Review(70, "a.png", Decision.none, sentences=("the red square",)))
    with queue_of(place) as queue:
        assert {one["decision"] for one in queue.list()} == {""}
    assert choose(place).reviewed == frozenset()


def test_decisions_that_fit_nothing_are_listed_with_what_to_do(place, capsys):
    nothing_there = np.zeros((40, 60), bool)
    nothing_there[-3:, -3:] = True
    code = rle.encode(nothing_there[None])[0]
    append_review(place.reviews, Review(1, "a.png", Decision.chosen, (40, 60), code, "ben"))
    append_review(place.reviews, Review(2, "b.png", Decision.none))
    append_review(place.reviews, Review(3, "a.png", Decision.drawn, (40, 60), code))
    append_review(place.reviews, Review(99, "gone.png", Decision.none))
    with run_of(place) as run:
        _list_unfit(place.reviews, place.refs, run, place.images)
        listed = capsys.readouterr().out
        choose(place)
    assert "ref 1 of a.png: no candidate is the object that was chosen\n    sentences: the red square | red\n" in listed
    assert "decided:   chosen, by ben\n    to do:     choose again, or draw it (D) in `ssc review`" in listed
    assert "ref 2 of b.png: the ref is of a.png now\n    sentences: the green square" in listed
    assert "ref 99 of gone.png: no row names gone.png any more\n    sentences: (of no ref here)" in listed
    assert listed.endswith(f"3 decisions of {place.reviews} fit nothing any more\n")
    place.reviews.unlink()
    append_review(place.reviews, Review(1, "a.png", Decision.none))
    with run_of(place) as run:
        _list_unfit(place.reviews, place.refs, run, place.images)
        assert capsys.readouterr().out == f"all of {place.reviews} fit\n"
        place.reviews.unlink()
        with pytest.raises(SscError, match="nobody decided anything yet"):
            _list_unfit(place.reviews, place.refs, run, place.images)
