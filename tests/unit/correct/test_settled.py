from __future__ import annotations

import numpy as np

from ssc_core.correct.settled import kept_shares, unsettled


def test_refs_with_a_choice_that_keep_their_candidate() -> None:
    """Of three epochs; ref 3 has one candidate, ref 2 has two sentences, of which the first stands for both."""
    matches = [
        (1, 0, 1, 0), (1, 0, 2, 1), (1, 0, 2, 0), (1, 0, 3, 0),
        (2, 1, 1, 1), (2, 1, 2, 1), (2, 1, 2, 1), (2, 1, 3, 0),
        (3, 2, 1, 1), (3, 2, 2, 1), (3, 2, 2, 1), (3, 2, 3, 0),
    ]  # fmt: skip
    assert kept_shares(np.array(matches), {1, 2}) == [0.5, 1.0]


def test_a_ref_that_an_epoch_leaves_out_counts_for_neither() -> None:
    matches = [(1, 0, 1, 0), (1, 0, 2, 0), (2, 1, 1, 0), (3, 2, 2, 1)]
    assert kept_shares(np.array(matches), {1, 2}) == [1.0]


def test_nothing_to_choose_from() -> None:
    assert kept_shares(np.array([(1, 0, 1, 0), (2, 1, 1, 0)]), set()) == []
    assert kept_shares(np.zeros((0, 4), np.int64), {1}) == []


def test_the_last_epoch_decides_on_what_is_told() -> None:
    assert "candidates, 74 % got in the last epoch" in str(unsettled([0.9, 0.74]))
    assert [unsettled(shares) for shares in ([0.6, 0.87], [])] == [None, None]
