from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from ssc_core.correct import matching
from ssc_core.correct.matching import NONE


def arrays(*rows):
    return tuple(np.array(r, dtype=np.int64) for r in rows)


def random_case(seed: int, *, shared: bool = False):
    """Images with refs of 1 to 3 sentences. shared: refs of an image have the same candidates, as many as refs."""
    rng = np.random.default_rng(seed)
    image_ids, ref_ids, rows, first, ref_id = [], [], [], 0, 100
    for image in rng.permutation(50)[: rng.integers(1, 4)]:
        refs = rng.integers(1, 5)
        instances = np.arange(first, first + (refs + rng.integers(0, 3) if shared else rng.integers(1, 5)))
        first += len(instances)
        for _ in range(refs):
            ref_id += int(rng.integers(1, 5))
            own = instances if shared else np.sort(rng.permutation(instances)[: rng.integers(1, len(instances) + 1)])
            for _ in range(rng.integers(1, 4)):
                image_ids.append(int(image))
                ref_ids.append(ref_id)
                rows.append(own)
    order = rng.permutation(len(ref_ids))
    iou = rng.random((len(ref_ids), first))
    return np.array(image_ids)[order], np.array(ref_ids)[order], iou, [rows[i] for i in order]


def brute_force(image_ids, ref_ids, iou, rows, double_count=False):
    """The rules of constrained greedy matching word by word, one pair at a time."""
    n = len(ref_ids)
    given: dict[int, int] = {}
    times = dict.fromkeys(ref_ids.tolist(), 0)
    taken: set[tuple[int, int]] = set()
    for i in range(n):
        if len(rows[i]) == 1:
            given[ref_ids[i]], times[ref_ids[i]] = int(rows[i][0]), 1
            if not double_count:
                taken.add((image_ids[i], int(rows[i][0])))
    done = set() if double_count else set(given)
    for image in set(image_ids.tolist()):
        if all(len(rows[i]) == 1 for i in np.flatnonzero(image_ids == image)):
            continue  # no rounds
        while True:
            pairs = [
                (iou[i, c], i, int(c))
                for i in range(n)
                if image_ids[i] == image and ref_ids[i] not in done
                for c in rows[i]
                if (image, int(c)) not in taken
            ]
            if not pairs:
                break
            _, i, c = max(pairs)
            given[ref_ids[i]] = c
            times[ref_ids[i]] += 1
            done.add(ref_ids[i])
            taken.add((image, c))
    return [given.get(r, NONE) for r in ref_ids], [times[r] for r in ref_ids]


def total(assignment, iou, ref_ids, rows):
    """Sum over refs with a choice of their samples' mean soft IoU with what they got."""
    value = 0.0
    for ref in set(ref_ids.tolist()):
        samples = np.flatnonzero(ref_ids == ref)
        row = assignment.rows[samples[0]]
        if row != NONE and len(rows[samples[0]]) > 1:
            value += iou[samples, row].mean()
    return value


@pytest.mark.parametrize("double_count", [False, True])
def test_greedy_agrees_with_brute_force(double_count):
    for seed in range(300):
        case = random_case(seed)
        assignment = matching.greedy(*case, double_count=double_count)
        rows, times = brute_force(*case, double_count=double_count)
        assert assignment.rows.tolist() == rows, seed
        assert assignment.times.tolist() == times, seed


def test_greedy_takes_the_highest_pair_first():
    iou = np.array([[0.9, 0.8], [0.85, 0.1]])
    got = matching.greedy(np.array([1, 1]), np.array([5, 6]), iou, arrays([0, 1], [0, 1]))
    assert got.rows.tolist() == [0, 1]


def test_optimal_can_beat_greedy():
    iou = np.array([[0.9, 0.8], [0.85, 0.1]])
    got = matching.optimal(np.array([1, 1]), np.array([5, 6]), iou, arrays([0, 1], [0, 1]))
    assert got.rows.tolist() == [1, 0]


@pytest.mark.parametrize("weight", [0.5, 1000.0])
def test_optimal_leaves_no_ref_without_a_candidate_where_all_can_have_one_however_much_select_says(weight):
    rows = arrays([0, 1], [1, 2], [1, 2])
    prior = [np.array([0.02, 0.98]), np.array([0.5, 0.5]), np.array([0.5, 0.5])]
    fit = matching.with_prior(np.full((3, 3), 0.3, np.float32), rows, prior, weight)
    assert sorted(matching.optimal(np.zeros(3, int), np.arange(3), fit, rows).rows.tolist()) == [0, 1, 2]


def test_optimal_hears_all_sentences_of_a_ref_and_greedy_the_one_that_fits_best():
    iou = np.array([[0.65, 0.1], [0.3, 0.6], [0.3, 0.6]])
    case = (np.array([1, 1, 1]), np.array([5, 5, 5]), iou, arrays([0, 1], [0, 1], [0, 1]))
    assert matching.optimal(*case).rows.tolist() == [1, 1, 1]
    assert matching.greedy(*case).rows.tolist() == [0, 0, 0]


def test_optimal_is_the_best_of_all_assignments():
    for seed in range(100):
        image_ids, ref_ids, iou, rows = random_case(seed, shared=True)
        got = total(matching.optimal(image_ids, ref_ids, iou, rows), iou, ref_ids, rows)
        assert got >= total(matching.greedy(image_ids, ref_ids, iou, rows), iou, ref_ids, rows) - 1e-9
        best = 0.0
        for image in set(image_ids.tolist()):
            refs = sorted(set(ref_ids[image_ids == image].tolist()))
            instances = rows[np.flatnonzero(image_ids == image)[0]]
            if len(instances) == 1:
                continue
            table = np.array([iou[np.ix_(np.flatnonzero(ref_ids == r), instances)].mean(0) for r in refs])
            ways = itertools.permutations(range(len(instances)), len(refs))
            best += max(table[range(len(refs)), columns].sum() for columns in ways)
        assert got == pytest.approx(best)


@pytest.mark.parametrize("name", ["greedy", "optimal", "at_random"])
def test_no_candidate_is_shared_while_there_are_enough(name):
    for seed in range(100):
        image_ids, ref_ids, iou, rows = random_case(seed, shared=True)
        assignment = (
            matching.at_random(image_ids, ref_ids, rows, (seed,))
            if name == "at_random"
            else getattr(matching, name)(image_ids, ref_ids, iou, rows)
        )
        for image in set(image_ids.tolist()):
            of_ref = {}
            for ref, row in zip(ref_ids[image_ids == image], assignment.rows[image_ids == image], strict=True):
                assert of_ref.setdefault(ref, row) == row, "samples of a ref agree"
            assert NONE not in of_ref.values()
            assert len(set(of_ref.values())) == len(of_ref)


@pytest.mark.parametrize("name", ["greedy", "optimal", "best", "at_random"])
def test_order_of_samples_is_nothing_to_the_result(name):
    for seed in range(50):
        image_ids, ref_ids, iou, rows = random_case(seed)
        table = () if name == "at_random" else (iou,)
        before = getattr(matching, name)(image_ids, ref_ids, *table, rows).rows
        order = np.random.default_rng(seed).permutation(len(ref_ids))
        table = () if name == "at_random" else (iou[order],)
        after = getattr(matching, name)(image_ids[order], ref_ids[order], *table, [rows[i] for i in order]).rows
        assert after.tolist() == before[order].tolist()


@pytest.mark.parametrize("name", ["greedy", "optimal", "best", "at_random"])
def test_everybody_gets_one_of_their_own(name):
    for seed in range(50):
        image_ids, ref_ids, iou, rows = random_case(seed)
        table = () if name == "at_random" else (iou,)
        got = getattr(matching, name)(image_ids, ref_ids, *table, rows).rows
        assert all(row == NONE or row in own for row, own in zip(got, rows, strict=True))


def test_equal_soft_ious_go_to_the_lower_ref_and_row():
    got = matching.greedy(np.array([1, 1]), np.array([9, 4]), np.full((2, 2), 0.5), arrays([1, 0], [0, 1]))
    assert got.rows.tolist() == [1, 0]


def test_a_single_candidate_is_taken_and_kept_from_others():
    iou = np.array([[0.1, 0.0, 0.0], [0.9, 0.2, 0.0]])
    got = matching.greedy(np.array([1, 1]), np.array([5, 6]), iou, arrays([0], [0, 1]))
    assert got.rows.tolist() == [0, 1]


def test_two_refs_with_the_same_single_candidate_both_take_it():
    got = matching.greedy(np.array([1, 1]), np.array([5, 6]), np.array([[0.1], [0.9]]), arrays([0], [0]))
    assert got.rows.tolist() == [0, 0]
    assert got.times.tolist() == [1, 1]


def test_a_ref_that_is_left_gets_none():
    iou = np.array([[0.9, 0.3], [0.8, 0.2], [0.7, 0.1]])
    got = matching.greedy(np.array([1] * 3), np.array([5, 6, 7]), iou, arrays([0, 1], [0, 1], [0, 1]))
    assert got.rows.tolist() == [0, 1, NONE]
    assert got.times.tolist() == [1, 1, 0]


def test_double_count_counts_a_single_that_wins_twice():
    iou = np.array([[0.9, 0.0], [0.5, 0.4]])
    got = matching.greedy(np.array([1, 1]), np.array([5, 6]), iou, arrays([0], [0, 1]), double_count=True)
    assert got.rows.tolist() == [0, 1]
    assert got.times.tolist() == [2, 1]


def test_an_image_of_singles_has_no_rounds_in_which_they_could_count_twice():
    iou = np.array([[0.9, 0.0, 0.0], [0.0, 0.5, 0.0], [0.9, 0.0, 0.4], [0.0, 0.0, 0.3]])
    rows = arrays([0], [1], [0], [0, 2])
    got = matching.greedy(np.array([1, 1, 2, 2]), np.array([5, 6, 7, 8]), iou, rows, double_count=True)
    assert got.rows.tolist() == [0, 1, 0, 2]
    assert got.times.tolist() == [1, 1, 2, 1]


def test_confidence_by_hand():
    iou = np.array([[0.5, 0.3, 0.9], [0.2, 0.2, 0.0], [0.1, 0.0, 0.0], [0.4, 0.4, 0.4]])
    rows = arrays([0, 1], [0, 1], [0], [0, 1, 2])
    got = matching.confidence(iou, rows, np.array([1, 0, 0, NONE]), temperature=0.1)
    assert got.tolist() == [pytest.approx(1 / (1 + np.exp(2)), rel=1e-6), 0.5, 1.0, 0.0]


def test_what_select_says_adds_to_the_soft_iou_of_own_candidates():
    iou = np.array([[0.5, 0.3, 0.9], [0.2, 0.2, 0.0]])
    fit = matching.with_prior(iou, arrays([1, 0], [2]), (np.array([0.75, 0.25]), np.ones(1)), 0.4)
    assert fit.tolist() == [[0.6, pytest.approx(0.6), 0.9], [0.2, 0.2, 0.4]]
    assert iou.tolist() == [[0.5, 0.3, 0.9], [0.2, 0.2, 0.0]]


def test_images_do_not_constrain_each_other():
    iou = np.array([[0.9, 0.1], [0.9, 0.1]])
    got = matching.greedy(np.array([1, 2]), np.array([5, 6]), iou, arrays([0, 1], [0, 1]))
    assert got.rows.tolist() == [0, 0]


def test_without_constraints_each_sample_takes_its_best():
    iou = np.array([[0.9, 0.8], [0.85, 0.1]])
    got = matching.best(np.array([1, 1]), np.array([5, 6]), iou, arrays([0, 1], [0, 1]))
    assert got.rows.tolist() == [0, 0]


def test_a_random_candidate_is_uniform_and_depends_on_the_seed():
    drawn = [
        matching.at_random(np.array([3]), np.array([1]), arrays([0, 1, 2]), (0, epoch)).rows[0] for epoch in range(600)
    ]
    assert np.bincount(drawn, minlength=3).min() > 150
    again = matching.at_random(np.array([3]), np.array([1]), arrays([0, 1, 2]), (0, 7)).rows[0]
    assert again == drawn[7]


def test_random_refs_differ_even_where_the_lists_overlap_in_part():
    for epoch in range(30):
        got = matching.at_random(np.array([1, 1]), np.array([5, 6]), arrays([0, 1], [0]), (epoch,)).rows
        assert got.tolist() == [1, 0]


def test_soft_iou_by_hand():
    foreground = torch.tensor([[[1.0, 0.5], [0.0, 0.0]]])
    masks = torch.tensor([[[True, True], [False, False]], [[False, False], [True, True]]])
    got = matching.soft_iou(foreground, masks)
    assert got.tolist() == [[pytest.approx(1.5 / (1.5 + 2 - 1.5)), 0.0]]
