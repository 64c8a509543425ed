from __future__ import annotations

import errno
import multiprocessing
import os
import pwd
import unicodedata
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from ssc_core.errors import SscError
from ssc_core.masks import rle
from ssc_core.masks.reviews import SAME_OBJECT, Decision, Review, append_review, read_lines, that_count, this_user
from ssc_core.masks.standing import KnownRefs, those_of

SIZE = (8, 12)
WHEN = datetime(2026, 11, 26, 9, 30, 12, tzinfo=UTC)


def mask(left: int = 2, right: int = 6) -> np.ndarray:
    """bool (8, 12): a bar with a hole."""
    bar = np.zeros(SIZE, bool)
    bar[1:7, left:right] = True
    bar[3, left + 1] = False
    return bar


def review(ref_id: int = 1, decision: str = "chosen", *, photo: str = "a.jpg", who: str = "ana") -> Review:
    with_mask = decision in ("chosen", "drawn", "uploaded")
    code = rle.encode(mask()[None])[0] if with_mask else None
    return Review(ref_id, photo, Decision(decision), SIZE if with_mask else None, code, who, WHEN)


@pytest.mark.parametrize("decision", ["chosen", "drawn", "uploaded", "none", "skipped"])
def test_a_line_is_read_as_it_was_written(tmp_path: Path, decision: str) -> None:
    written = review(7, decision, photo='with "quotes", and a comma.jpg', who="Müller, Anna\n")
    append_review(tmp_path / "reviews.csv", written)
    (read,) = that_count(read_lines(tmp_path / "reviews.csv")).values()
    assert (read.ref_id, read.photo, read.decision) == (7, written.photo, decision)
    assert (read.who, read.when, read.size) == ("Müller, Anna", WHEN, written.size)
    assert read.settled == (decision != "skipped")
    if written.rle:
        np.testing.assert_array_equal(read.mask(), mask())
    else:
        assert read.mask() is None


def test_the_last_line_counts_and_undo_takes_it_back(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    for ref_id, decision in [(1, "chosen"), (2, "none"), (1, "drawn"), (1, "undo"), (3, "skipped"), (2, "undo")]:
        append_review(path, review(ref_id, decision))
    assert {ref_id: one.decision.value for ref_id, one in that_count(read_lines(path)).items()} == {
        1: "chosen",
        3: "skipped",
    }
    append_review(path, review(2, "undo"))  # more than there is to take back
    assert list(that_count(read_lines(path))) == [1, 3]
    append_review(path, review(1, "none"))
    assert list(that_count(read_lines(path))) == [3, 1]
    assert len(list(read_lines(path))) == 8


def test_every_cut_of_the_last_line_is_passed_over_and_mended(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    append_review(path, review(1))
    whole = path.read_bytes()
    append_review(path, review(2, who="bo"))
    both = path.read_bytes()
    for end in range(len(whole), len(both) + 1):
        path.write_bytes(both[:end])
        complete = end >= len(both) - 1  # without its line break it is whole, too
        assert list(that_count(read_lines(path))) == ([1, 2] if complete else [1]), both[:end]
        append_review(path, review(3))
        assert list(that_count(read_lines(path))) == ([1, 2, 3] if complete else [1, 3]), both[:end]


def test_every_cut_of_the_first_write_is_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    append_review(path, review(1))
    header = path.read_bytes().index(b"\n") + 1
    for end in range(header + 1):
        path.write_bytes(b"ref,photo,decision,mask,who,when\n"[:end])
        assert that_count(read_lines(path)) == {}
        append_review(path, review(3))
        assert list(that_count(read_lines(path))) == [3]


def _write_many(path: Path, first: int) -> None:
    for ref_id in range(first, first + 50):
        append_review(path, review(ref_id))


def test_two_writers_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(tmp_path / "reviews.csv", first)) for first in (0, 50)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert sorted(that_count(read_lines(tmp_path / "reviews.csv"))) == list(range(100))


def test_a_group_that_shares_a_folder_shares_the_file(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        append_review(tmp_path / "reviews.csv", review())
    finally:
        os.umask(before)
    assert (tmp_path / "reviews.csv").stat().st_mode & 0o777 == 0o664


def test_a_file_that_a_spreadsheet_or_another_system_touched(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    append_review(path, review(1))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    append_review(path, review(2))
    assert list(that_count(read_lines(path))) == [1, 2]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,a.jpg,maybe,,ana,2026-11-26T09:30:12Z", "line 2: 'maybe' is no decision"),
        ("1,a.jpg,none,ana,2026-11-26T09:30:12Z", "line 2 has 5 cells, not 6"),
        ("x,a.jpg,none,,ana,2026-11-26T09:30:12Z", "'x' is no id of a ref"),
        ("1,a.jpg,none,,ana,26.11.2026", "'26.11.2026' is no time"),
        ("1,a.jpg,chosen,,ana,2026-11-26T09:30:12Z", "line 2: review of ref 1: a mask goes with"),
        ("1,a.jpg,none,8x12:0,ana,2026-11-26T09:30:12Z", "a mask goes with"),
        ("1,a.jpg,drawn,12,ana,2026-11-26T09:30:12Z", "'12' is no mask"),
        ("1,a.jpg,drawn,8x12:zz,ana,2026-11-26T09:30:12Z", "RLE 0"),
        ("1,a.jpg,drawn,99999999x99999999:0,ana,2026-11-26T09:30:12Z", "is the most"),
        ("1,../a.jpg,none,,ana,2026-11-26T09:30:12Z", "inside the images folder"),
        ('1,"a.jpg,none,,ana,2026-11-26T09:30:12Z', "is no line of a review"),
        ("1,\udcff.jpg,none,,ana,2026-11-26T09:30:12Z", "line 2 is not UTF-8 text"),
    ],
)
def test_lines_that_are_no_reviews_are_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "reviews.csv"
    path.write_bytes(f"ref,photo,decision,mask,who,when\n{line}\n".encode("utf-8", "surrogateescape"))
    with pytest.raises(SscError, match=message):
        that_count(read_lines(path))


def test_a_file_of_another_kind_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "refs.csv"
    path.write_text("image,sentences\na.jpg,cat\n")
    for use in (lambda: append_review(path, review()), lambda: that_count(read_lines(path))):
        with pytest.raises(SscError, match="begins 'image,sentences'"):
            use()
    assert path.read_text() == "image,sentences\na.jpg,cat\n"
    with pytest.raises(SscError, match="does not exist"):
        that_count(read_lines(tmp_path / "none.csv"))


def test_a_place_that_takes_no_line_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "reviews.csv"):
        with pytest.raises(SscError, match="this decision is not kept: cannot write"):
            append_review(path, Review(1, "a.jpg", Decision.none))
    with pytest.raises(SscError, match="cannot read"):
        that_count(read_lines(tmp_path))


def test_a_full_drive_keeps_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, write, room = tmp_path / "reviews.csv", os.write, [10**6]

    def full(descriptor: int, content: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = write(descriptor, content[: room[0]])
        room[0] -= taken
        return taken

    monkeypatch.setattr(os, "write", full)
    append_review(path, Review(1, "a.jpg", Decision.none))
    room[0] = 20
    with pytest.raises(SscError, match=r"not kept: .*No space left"):
        append_review(path, Review(2, "a.jpg", Decision.none))
    assert list(that_count(read_lines(path))) == [1]
    room[0] = 10**6
    append_review(path, Review(3, "a.jpg", Decision.none))
    assert list(that_count(read_lines(path))) == [1, 3]


def test_a_mask_of_noise_is_refused_before_it_is_written(tmp_path: Path) -> None:
    noise = rle.encode(np.random.default_rng(0).random((1, 512, 512)) < 0.5)[0]
    with pytest.raises(SscError, match="noise"):
        Review(1, "a.jpg", Decision.uploaded, (512, 512), noise)


def test_a_choice_is_found_among_other_candidates_by_its_mask() -> None:
    one = review(1)
    grown, other, half = mask(2, 7), mask(8, 11), mask(2, 4)
    assert one.candidate(rle.encode(np.array([other, grown, half]))) == 1
    assert one.candidate(rle.encode(np.array([other, half]))) is None  # below SAME_OBJECT
    assert one.candidate([]) is None
    assert review(1, "none").candidate(rle.encode(mask()[None])) is None
    assert 0 < SAME_OBJECT < 1


@dataclass(frozen=True)
class Ref:
    ref_id: int
    sentences: tuple[str, ...] = ()
    file_name: str = "a.jpg"
    height: int = SIZE[0]
    width: int = SIZE[1]


def test_reviews_of_refs_that_are_another_photos_now_are_named() -> None:
    lines = [review(1), review(2), review(3, "none"), review(4)]
    kept, others = those_of(lines, KnownRefs([Ref(1), Ref(2, file_name="b.jpg"), Ref(4, height=9)]))
    assert list(kept) == [1]
    assert [one.why for one in others] == [
        "the ref is of b.jpg now",
        "there is no such ref",
        "the photo had another size",
    ]


def test_a_decision_is_of_no_other_photo_that_has_the_name_now(tmp_path: Path) -> None:
    path, digests = tmp_path / "reviews.csv", {"a.jpg": f"sha-{0:016}", "gone.jpg": ""}
    for ref_id, decision in enumerate(("chosen", "drawn", "none"), 1):
        append_review(path, replace(review(ref_id, decision), digest=f"sha-{0:016}"))
    append_review(path, review(4, "none"))
    append_review(path, replace(review(5), photo="gone.jpg", digest=f"sha-{0:016}"))
    lines, refs = list(read_lines(path)), KnownRefs([*map(Ref, range(1, 5)), Ref(5, file_name="gone.jpg")])
    assert [line.digest for line in lines] == [f"sha-{0:016}"] * 3 + ["", f"sha-{0:016}"]
    kept, others = those_of(lines, refs, digests.__getitem__)
    assert (list(kept), others) == ([1, 2, 3, 4, 5], [])
    digests["a.jpg"] = f"sha-{1:016}"
    kept, others = those_of(lines, refs, digests.__getitem__)
    assert list(kept) == [4, 5], "what does not say which photo it is of, and a photo that cannot be read"
    assert [(one.review.ref_id, one.why) for one in others] == [(n, "the photo was replaced since") for n in (1, 2, 3)]
    assert list(those_of(lines, refs)[0]) == [1, 2, 3, 4, 5]


def test_a_photo_that_no_row_names_any_more_is_named() -> None:
    lines = [replace(review(1), sentences=("dog",)), replace(review(9), sentences=("cat",))]
    _, others = those_of(lines, KnownRefs([Ref(1, ("dog",), "new name.jpg")]))
    assert [one.why for one in others] == ["no row names a.jpg any more"] * 2


def test_a_decision_counts_whichever_computer_spelled_the_photo() -> None:
    composed, apart = (unicodedata.normalize(form, "Bär.jpg") for form in ("NFC", "NFD"))
    for photo, file_name in ((composed, apart), (apart, composed)):
        line = replace(review(1), photo=photo)
        kept, others = those_of([line], KnownRefs([Ref(1, file_name=file_name)]))
        assert (list(kept), others) == ([1], [])
        moved = replace(line, sentences=("dog",))
        kept, others = those_of([moved], KnownRefs([Ref(1, file_name="a.jpg"), Ref(2, ("dog",), file_name)]))
        assert (list(kept), others) == ([2], [])


def test_a_row_is_found_again_after_others_were_put_before_it(tmp_path: Path) -> None:
    """Ids count rows: the decision on ref 1 would else be of the new first row."""
    path = tmp_path / "reviews.csv"
    of = {"woman": ("woman  on the left", "lady|in blue"), "dog": ("the small brown dog",), "=bus": ("=1+1 bus",)}
    for ref_id, (decision, sentences) in enumerate(zip(["chosen", "none", "skipped"], of.values(), strict=True), 1):
        append_review(path, replace(review(ref_id, decision), sentences=sentences))
    lines = list(read_lines(path))
    assert [line.sentences for line in lines] == [
        ("woman on the left", "lady", "in blue"),
        ("the small brown dog",),
        ("1+1 bus",),
    ]
    before = [Ref(number, texts) for number, texts in enumerate(of.values(), 1)]
    assert {ref: one.decision for ref, one in those_of(lines, KnownRefs(before))[0].items()} == {
        1: "chosen",
        2: "none",
        3: "skipped",
    }
    after = [Ref(1, ("a new row",)), Ref(2, (*of["woman"], "one more")), Ref(3, ("reworded",)), Ref(4, of["=bus"])]
    kept, others = those_of(lines, KnownRefs(after))
    assert {ref: one.decision for ref, one in kept.items()} == {2: "chosen", 4: "skipped"}
    assert [(one.review.ref_id, one.why) for one in others] == [
        (2, "the ref says “woman  on the left | lady|in blue | one more” now")
    ]
    lines += [replace(review(1, "none"), sentences=("a new row",)), replace(review(2, "undo"), sentences=of["woman"])]
    kept, _ = those_of(lines, KnownRefs(after))
    assert {ref: one.decision for ref, one in kept.items()} == {4: "skipped", 1: "none"}, "taken back under its new id"
    assert those_of(lines, KnownRefs(before))[0].keys() == {2, 3}, "a row that is gone again takes nobody's decision"


def test_rows_that_share_a_sentence_keep_their_own_decisions_when_they_move() -> None:
    """Two objects of a photo are both called "man": the row that says more of what was said was meant."""
    left, right = ("man", "left man"), ("man", "right man")
    lines = [replace(review(1, "chosen"), sentences=left), replace(review(2, "none"), sentences=right)]

    def found(*rows: tuple[str, ...]) -> dict[int, str]:
        now = KnownRefs([Ref(number, texts) for number, texts in enumerate(rows, 1)])
        return {ref: one.decision for ref, one in those_of(lines, now)[0].items()}

    assert found(left, right) == {1: "chosen", 2: "none"}
    assert found(("the dog",), left, right) == {2: "chosen", 3: "none"}
    assert found(right, left) == {1: "none", 2: "chosen"}
    assert found(("man", "man at the left"), ("man", "right man", "more")) == {1: "chosen", 2: "none"}, "reworded"
    lines = [replace(review(number, decision), sentences=("man",)) for number, decision in ((1, "none"), (2, "chosen"))]
    assert found(("man",), ("man",)) == {1: "none", 2: "chosen"}, "nothing but the id tells them apart"
    assert found(("dog",), ("man",), ("man",)) == {2: "chosen"}, "no other takes the first one's"
    assert found(("man", "boy"), ("man",)) == {2: "chosen"}, "a new sentence, or rows that moved: in doubt, nobody's"
    assert found(("boy",), ("cat",), ("man", "dog"), ("man",)) == {4: "chosen"}, "the one that says nothing else"


def test_a_file_that_was_begun_without_sentences_goes_on_without_them(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text("ref,photo,decision,mask,who,when\n1,a.jpg,none,,ana,2026-11-26T09:30:12Z\n")
    append_review(path, replace(review(2), sentences=("dog",)))
    assert path.read_text().splitlines()[2].startswith("2,a.jpg,chosen,8x12:")
    lines = list(read_lines(path))
    assert [line.sentences for line in lines] == [(), ()]
    assert list(those_of(lines, KnownRefs([Ref(1, ("cat",)), Ref(2, ("dog",))]))[0]) == [1, 2]
    for start in (b"ref,photo,decis", b"\xef\xbb\xbf", b"\xef\xbb\xbfref,"):  # half a header of before, or a mark
        path.write_bytes(start)
        assert that_count(read_lines(path)) == {}
    append_review(path, review(3))
    assert list(that_count(read_lines(path))) == [3]


@pytest.mark.parametrize("error", [KeyError, OSError])
def test_a_user_of_a_container_has_a_number_and_no_name(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def none(number: int) -> NoReturn:
        raise error(number)

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", none)
    assert this_user() == str(os.getuid())
    monkeypatch.setenv("USER", "ana")
    assert this_user() == "ana"
