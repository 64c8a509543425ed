"""What a person decided stands above scores, and follows its mask when candidates change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ssc_core.config.labelling import CompatSettings, SelectSettings
from ssc_core.errors import SscError
from ssc_core.masks import rle
from ssc_core.masks.choice import DRAWN
from ssc_core.masks.reviews import Decision, Review, append_review
from ssc_core.masks.selection import SelectionStore
from ssc_core.masks.store import MaskStore
from ssc_core.select.stage import select_masks
from tests.unit.select.conftest import HEIGHT, WIDTH
from tests.unit.select.test_stage import scores  # noqa: F401, the fixture

SIZE = (HEIGHT, WIDTH)


@pytest.fixture
def select(world, scores):  # noqa: F811
    def selected(*, reviews: bool = True, **settings) -> SelectionStore:
        select_masks(
            refs=world.refs,
            split="val",
            masks=world.masks,
            scores=[scores],
            out=world.folder / "selected.h5",
            settings=SelectSettings(**{"min_area": 9, **settings}),
            compat=CompatSettings(),
            reviews=world.folder / "reviews.csv" if reviews else None,
        )
        return SelectionStore(world.folder / "selected.h5")

    return selected


@pytest.fixture
def decide(world):
    def append(
        ref: int, decision: str, mask: np.ndarray | None = None, photo: str = "a.png", said: tuple[str, ...] = ()
    ) -> None:
        code = None if mask is None else rle.encode(mask[None])[0]
        review = Review(ref, photo, Decision(decision), None if mask is None else SIZE, code, sentences=said)
        append_review(world.folder / "reviews.csv", review)

    return append


def instance(world, row: int) -> np.ndarray:
    with MaskStore.open(world.masks, with_masks=True) as store:
        return store.masks([row])[0]


def test_the_chosen_candidate_is_found_by_its_mask(world, select, decide):
    assert select(reviews=False).chosen(1) == 0
    decide(1, "chosen", instance(world, 2))
    decide(2, "none")
    decide(5, "chosen", instance(world, 3), "c.png")  # 4 px: too small for Select, not for a person
    selected = select()
    assert [selected.chosen(ref) for ref in range(1, 6)] == [2, -1, 2, -1, 3]
    assert selected.reviewed == {1, 2, 5}
    assert selected.unfit == ()
    assert selected.scores(1).tolist() == [[26, 24, 10]]
    np.testing.assert_array_equal(selected.mask(1), instance(world, 2))


def test_a_decision_follows_its_row_and_is_of_no_other(world, select, decide):
    """As after a row was put before it, and after one was reworded."""
    decide(3, "chosen", instance(world, 2), said=("red", "a red thing"))
    decide(2, "none", said=("the old words",))
    selected = select()
    assert [selected.chosen(ref) for ref in (1, 2, 3)] == [2, 0, 2]
    assert selected.reviewed == {1}
    assert selected.unfit == ("ref 2 of a.png: the ref says “the green square” now",)


@pytest.mark.parametrize("decision", ["drawn", "uploaded"])
def test_a_drawn_mask_is_the_choice_whether_a_candidate_is_like_it_or_not(world, select, decide, decision: str):
    alike, elsewhere = np.roll(instance(world, 1), 1, axis=1), np.zeros(SIZE, dtype=bool)
    elsewhere[-3:, -3:] = True
    decide(1, decision, alike)
    decide(2, decision, elsewhere)
    selected = select()
    assert [selected.chosen(1), selected.chosen(2), selected.chosen(3)] == [DRAWN, DRAWN, 2]
    np.testing.assert_array_equal(selected.mask(1), alike)
    np.testing.assert_array_equal(selected.mask(2), elsewhere)
    assert [selected.drawn(2), selected.drawn(3)] == [rle.encode(elsewhere[None])[0], None]
    assert selected.reviewed == {1, 2}
    assert selected.unfit == ()


def test_all_sentences_of_a_ref_have_the_drawn_mask(world, select, decide):
    drawn = np.roll(instance(world, 1), 1, axis=1)
    decide(1, "drawn", drawn)
    selected = select(per="sentence")
    for sentence in (0, 1):
        np.testing.assert_array_equal(selected.mask(1, sentence), drawn)


def test_joint_assignment_leaves_others_what_is_not_drawn(world, select, decide):
    decide(1, "drawn", np.roll(instance(world, 1), 1, axis=1))
    selected = select(assignment="joint")
    assert [selected.chosen(1), selected.chosen(2)] == [DRAWN, 0]


def test_what_fits_nothing_is_listed_and_nothing_wrong_is_chosen(world, select, decide, caplog):
    elsewhere = np.zeros(SIZE, dtype=bool)
    elsewhere[-3:, -3:] = True
    decide(1, "chosen", elsewhere)
    decide(2, "none", photo="b.png")
    decide(99, "none")
    selected = select()
    assert [selected.chosen(1), selected.chosen(2)] == [-1, 0]
    assert selected.reviewed == {1}
    assert selected.unfit == (
        "ref 2 of b.png: the ref is of a.png now",
        "ref 99 of a.png: there is no such ref",
        "ref 1 of a.png: no candidate is the object that was chosen",
    )
    assert all(line in caplog.text for line in selected.unfit)


def test_joint_assignment_leaves_others_what_is_not_decided(world, select, decide):
    assert [select(reviews=False, assignment="joint").chosen(ref) for ref in (1, 2)] == [0, 1]
    decide(1, "chosen", instance(world, 1))
    assert [select(assignment="joint").chosen(ref) for ref in (1, 2)] == [1, 0]
    decide(2, "chosen", instance(world, 1))  # both are the same object, says a person
    assert [select(assignment="joint").chosen(ref) for ref in (1, 2)] == [1, 1]


def test_all_sentences_of_a_ref_share_the_decision(world, select, decide):
    decide(1, "chosen", instance(world, 2))
    selected = select(per="sentence")
    assert [selected.chosen(1, sentence) for sentence in (0, 1)] == [2, 2]


def test_without_decisions_every_byte_is_as_before(world, select, decide):
    select(reviews=False)
    before = (world.folder / "selected.h5").read_bytes()
    decide(1, "skipped")
    decide(2, "none")
    decide(2, "undo")
    assert select().reviewed == frozenset()
    assert (world.folder / "selected.h5").read_bytes() == before


@pytest.mark.parametrize("text", ["[]", "{", '{"refs": ["1"]}', '{"refs": 1}', '{"unfit": [1]}', '{"refs": [[1]]}'])
def test_a_damaged_attribute_is_refused(world, select, text: str):
    import h5py

    path = Path(select(reviews=False).path)
    with h5py.File(path, "r+") as file:
        file.attrs["reviews"] = np.bytes_(text.encode())
    with pytest.raises(SscError, match="reviews is no list"):
        SelectionStore(path)
