"""The order in which refs are looked at: each sign by hand, and several together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ssc_core.cli.review import _check_order, _signs
from ssc_core.errors import SscError
from ssc_core.masks import rle
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.selection import ScoreStore, ScoreStoreWriter, SelectionStore, SelectionWriter
from ssc_core.report.doubt import Sign, chosen_by, places, predicted_in, signs_of
from ssc_core.review.queue import Queue, asked_rows
from tests.unit.review.conftest import place, run_of
from tests.unit.select.conftest import HEIGHT, WIDTH
from tests.unit.select.test_stage import AREAS

__all__ = ["place"]

SIZE = (HEIGHT, WIDTH)


@pytest.fixture
def run(place):
    with run_of(place) as run:
        yield run


def write_scores(path, scores: dict[int, list[list[float]]], name: str = "dense") -> ScoreStore:
    with ScoreStoreWriter(path, StoreInfo((), {"scorer": name}, "test", {})) as writer:
        for ref, values in scores.items():
            array = np.array(values, dtype=np.float32).reshape(len(values), len(AREAS[ref]))
            writer.append_ref(ref, array, AREAS[ref])
    return ScoreStore(path)


def test_margin_and_sentences_are_read_off_the_scores(run):
    signs = signs_of(run, asked_rows(run))
    assert set(signs) == {"margin", "sentences"}
    assert signs["margin"].amount == {1: -2, 2: -1}
    assert signs["margin"].words == {2: "two candidates score alike (1.00)"}
    assert signs["sentences"].amount == {1: 0.5, 5: 0}
    assert signs["sentences"].words == {1: "1 of its 2 sentences would take another"}


def test_scorers_that_would_take_another_count_with_a_weight_or_not(run, place, tmp_path):
    own = ScoreStore(place.folder / "scores.h5")
    other = write_scores(tmp_path / "scores_dense.h5", {1: [[1, 2, 0], [0, 9, 0]], 2: [[9, 1, 1]], 5: [[9, 1], [9, 1]]})
    sign = signs_of(run, asked_rows(run), [own, other])["scorers"]
    # of ref 5 the better candidate is too small to be chosen, by whichever scorer
    assert sign.amount == {1: 0.5, 2: 0, 5: 0}
    assert sign.words == {1: "1 of 2 scorers would take another"}
    assert "scorers" not in signs_of(run, asked_rows(run), [own])


def test_a_network_that_means_something_else(run, tmp_path):
    first, second = run.candidates(1)[:2]
    with SelectionWriter(tmp_path / "chosen.h5", StoreInfo((), {}, "", {}), choice_per="sentence") as writer:
        for ref, masks in ((1, [first, second]), (2, [first])):
            codes, scores = rle.encode(np.stack(masks)), np.zeros((len(masks), 3))
            writer.append_ref(ref, image_id=1, size=SIZE, chosen=[0] * len(masks), scores=scores, rles=codes)
    sign = signs_of(run, asked_rows(run), network=chosen_by(SelectionStore(tmp_path / "chosen.h5")))["network"]
    assert sign.amount == {1: 0.5, 2: 0}
    assert sign.words == {}


def test_a_networks_own_masks_at_another_size(run):
    small = np.zeros((HEIGHT // 2, WIDTH // 2), bool)
    small[-4:, -4:] = True
    same = run.candidates(2)[0][::2, ::2]
    code = [rle.encode(mask[None])[0].decode() for mask in (small, same)]
    rows = pd.DataFrame({"ref_id": [1, 2], "rle": code, "rle_height": HEIGHT // 2, "rle_width": WIDTH // 2})
    sign = signs_of(run, asked_rows(run), network=predicted_in(rows))["network"]
    assert sign.amount == {1: 1, 2: 0}
    assert sign.words == {1: "the network means something else (IoU 0 %)"}


def test_places_are_means_of_the_signs_and_what_nothing_knows_comes_last(run):
    rows = asked_rows(run)
    one, two = Sign({1: -5.0, 2: -1.0, 3: -1.0}, {}), Sign({1: 0.9, 4: 0.0}, {})
    found = places(rows, {"one": one, "two": two})
    # by `one` 4 and 5 share the lowest places, 1 is third, 2 and 3 share the highest; by `two` 1 is first, 4 second
    by_one = {1: 2.5, 2: 4, 3: 4, 4: 1, 5: 1}
    by_two = {1: 4.5, 2: 1.5, 3: 1.5, 4: 3.5, 5: 1.5}
    assert found == pytest.approx({ref: (by_one[ref] + by_two[ref]) / 2 / 5 for ref in by_one})
    assert sorted(found, key=lambda ref: -found[ref])[:3] == [1, 2, 3]
    assert found[5] == min(found.values())
    assert places(rows, {}) == dict.fromkeys(range(1, 6), 0.0)
    assert places([], {"one": one}) == {}


def order(run, place, signs, name: str) -> list[int]:
    return [one["ref"] for one in Queue(run, None, place.reviews, signs, name).list()]


def test_an_order_goes_by_one_sign_and_the_page_says_why(run, place):
    signs = signs_of(run, asked_rows(run))
    assert order(run, place, signs, "margin") == [2, 1, 3, 5, 4]
    assert order(run, place, signs, "doubt") == [2, 1, 3, 5, 4]
    assert order(run, place, signs, "sentences") == [1, 5, 2, 3, 4]
    assert order(run, place, signs, "table") == [1, 2, 3, 4, 5]
    network = {**signs, "network": Sign({3: 0.9, 1: 0.4, 2: 0.0}, {3: "another"})}
    assert order(run, place, network, "network") == [3, 1, 2, 5, 4]
    assert order(run, place, network, "doubt") == [1, 2, 3, 5, 4]
    assert Queue(run, None, place.reviews, network, "margin").ref(3)["why"][-1] == "another"
    queue = Queue(run, None, place.reviews, signs)
    assert queue.ref(1)["why"] == ["1 of its 2 sentences would take another"]
    assert queue.ref(2)["why"] == ["two candidates score alike (1.00)"]


def test_the_command_reads_what_lies_in_the_folder(run, place):
    from contextlib import ExitStack

    with ExitStack() as stack:
        known = _signs(stack, run, place.folder)
        assert set(known) == {"margin", "sentences"}
        for name, words in (("scorers", "one scorer's file"), ("network", "no chosen_corrected.h5")):
            with pytest.raises(SscError, match=f"--order {name}: .*{words}"):
                _check_order(name, known, place.folder)
        write_scores(place.folder / "scores_dense.h5", {1: [[1, 2, 0], [0, 9, 0]]})
        with SelectionWriter(place.folder / "chosen_pretrained.h5", StoreInfo((), {}, "", {})) as writer:
            code = rle.encode(run.candidates(1)[1][None])
            writer.append_ref(1, image_id=1, size=SIZE, chosen=[0], scores=np.zeros((1, 3)), rles=code)
        known = _signs(stack, run, place.folder)
        assert set(known) == {"margin", "sentences", "scorers", "network"}
        for name in ("doubt", "margin", "sentences", "scorers", "network", "table"):
            _check_order(name, known, place.folder)
