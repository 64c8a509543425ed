from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from ssc_core.correct.items import ImageItem, Items, RefItem
from ssc_core.correct.matching import at_random
from ssc_core.correct.plan import Sample, crowded, make_plan
from ssc_core.errors import SscError


def items(*sentences_per_ref: tuple[int, ...]) -> Items:
    """One image for each argument: how many sentences its refs have."""
    images = []
    for image_id, counts in enumerate(sentences_per_ref, start=7):
        refs = tuple(
            RefItem(100 * image_id + i, np.ones((n, 2), int), np.ones((n, 2), int), (np.array([0]),), (np.array([0]),))
            for i, n in enumerate(counts)
        )
        images.append(ImageItem(image_id, "x", refs, (b"",)))
    return Items(tuple(images), 4, photos=SimpleNamespace(), dropped={}, listed=len(images))


MANY = items(*[(1,) * (1 + i % 4) for i in range(40)])


def test_an_epoch_takes_every_image_once_and_never_splits_one():
    plan = make_plan(MANY, epochs=3, batch_samples=8, seed=0)
    for epoch in range(3):
        steps = [step for step in plan.steps if step.epoch == epoch]
        assert sorted(np.concatenate([step.images for step in steps])) == list(range(40))
        assert all(step.samples <= 8 for step in steps)
        assert all(step.samples == sum(len(MANY.images[i].refs) for i in step.images) for step in steps)


def test_steps_are_as_full_as_whole_images_allow():
    plan = make_plan(MANY, epochs=1, batch_samples=8, seed=0)
    for step, following in zip(plan.steps, plan.steps[1:], strict=False):
        assert step.samples + len(MANY.images[following.images[0]].refs) > 8


def test_an_image_with_too_many_samples_is_a_step_of_its_own():
    plan = make_plan(items((1,), (1,) * 9, (1,)), epochs=1, batch_samples=4, seed=0)
    assert 9 in [step.samples for step in plan.steps]
    assert max(step.samples for step in plan.steps) == 9


def test_pairs_are_ordered_pairs_of_samples_of_one_image():
    (step,) = make_plan(items((1, 1, 1), (1,)), epochs=1, batch_samples=4, seed=0).steps
    assert (step.samples, step.pairs) == (4, 6)


def test_epochs_and_seeds_differ_and_the_same_seed_does_not():
    orders = [
        np.concatenate([s.images for s in make_plan(MANY, epochs=2, batch_samples=8, seed=seed).steps]).tolist()
        for seed in (0, 0, 1)
    ]
    assert orders[0] == orders[1] != orders[2]
    assert orders[0][:40] != orders[0][40:]


def test_one_random_sentence_a_ref():
    data = items((3, 1, 3))
    plan = make_plan(data, epochs=1, batch_samples=4, seed=0)
    drawn = [plan.samples(data, epoch, [0]) for epoch in range(50)]
    assert all([sample.ref for sample in samples] == [0, 1, 2] for samples in drawn)
    assert {samples[0].sentence for samples in drawn} == {0, 1, 2}
    assert {samples[1].sentence for samples in drawn} == {0}
    assert drawn[3] == plan.samples(data, 3, [0])


def test_photos_are_mirrored_at_random_with_all_their_samples():
    data = items((1, 2), (1, 1), (3,), (1,))
    plan = make_plan(data, epochs=1, batch_samples=4, seed=0, mirror=0.25)
    drawn = {(epoch, s.image): s.mirrored for epoch in range(200) for s in plan.samples(data, epoch, range(4))}
    assert 0.2 < np.mean(list(drawn.values())) < 0.3
    for epoch in range(200):
        assert all(drawn[epoch, s.image] == s.mirrored for s in plan.samples(data, epoch, range(4)))
    never, always = (make_plan(data, epochs=1, batch_samples=4, seed=0, mirror=share) for share in (0.0, 1.0))
    assert not any(s.mirrored for s in never.samples(data, 0, range(4)))
    assert [s[:3] for s in always.samples(data, 0, range(4))] == [s[:3] for s in never.samples(data, 0, range(4))]
    assert all(s.mirrored for s in always.samples(data, 0, range(4)))


def test_all_sentences():
    data = items((2, 1))
    plan = make_plan(data, epochs=1, batch_samples=4, seed=0, all_sentences=True)
    assert plan.steps[0].samples == 3
    assert plan.samples(data, 0, [0]) == [Sample(0, 0, 0), Sample(0, 0, 1), Sample(0, 1, 0)]


def test_a_skipped_loader_batch_leaves_out_both_ends():
    data = items(*[(1,)] * 11)
    full = make_plan(data, epochs=1, batch_samples=4, seed=0)
    dropped = make_plan(data, epochs=1, batch_samples=4, seed=0, skip_images=2)
    assert [len(s.images) for s in full.steps] == [4, 4, 3]
    order = np.concatenate([step.images for step in full.steps])
    assert [s.images.tolist() for s in dropped.steps] == [order[2:6].tolist(), order[6:10].tolist()]
    with pytest.raises(SscError, match=r"too few .* first 11 images"):
        make_plan(data, epochs=1, batch_samples=11, seed=0, skip_images=11)


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("most", [None, 5, 3])
def test_passes_share_out_a_step_evenly(processes: int, most: int | None):
    plan = make_plan(MANY, epochs=1, batch_samples=12, seed=0, processes=processes)
    for step in plan.steps:
        shares = plan.passes(step, most, processes)
        assert len(shares) == processes
        assert len({len(passes) for passes in shares}) == 1
        flat = [images for passes in shares for images in passes]
        assert all(len(images) for images in flat)
        assert np.concatenate(flat).tolist() == step.images.tolist()
        if processes == 1 and most is not None:
            assert all(plan.samples_per_image[images].sum() <= most or len(images) == 1 for images in flat)


def test_seven_images_are_too_few_for_two_passes_of_four_processes():
    plan = make_plan(items(*[(1,) * 7] * 7), epochs=1, batch_samples=60, seed=0)
    assert [len(own) for own in plan.passes(plan.steps[0], 7, 4)] == [1, 1, 1, 1]
    assert crowded(plan, 7, 4).startswith("up to 14 samples go through a device at once, and not 7")
    assert [crowded(plan, most, processes) for most, processes in ((7, 7), (7, 1), (14, 4), (None, 4))] == [None] * 4


def test_a_short_last_step_joins_the_one_before_when_processes_would_go_without():
    data = items(*[(1,)] * 9)
    assert [len(s.images) for s in make_plan(data, epochs=1, batch_samples=4, seed=0).steps] == [4, 4, 1]
    assert [len(s.images) for s in make_plan(data, epochs=1, batch_samples=4, seed=0, processes=2).steps] == [4, 5]
    with pytest.raises(SscError, match="too few"):
        make_plan(items((1,)), epochs=1, batch_samples=4, seed=0, processes=2)


def test_an_image_of_too_many_samples_for_a_pass_leaves_the_others_together():
    plan = make_plan(items((1,) * 20, *[(1,) * 3] * 10), epochs=1, batch_samples=50, seed=0)
    step = plan.steps[0]
    step = replace(step, images=np.sort(step.images))
    assert [int(plan.samples_per_image[images].sum()) for images in plan.passes(step, 15, 1)[0]] == [20, 3, 12, 15]


def test_a_step_has_an_image_for_each_process_however_many_samples_they_have():
    data = items(*[(1,) * 5] * 7)
    assert [len(step.images) for step in make_plan(data, epochs=1, batch_samples=8, seed=0).steps] == [1] * 7
    plan = make_plan(data, epochs=1, batch_samples=8, seed=0, processes=2)
    assert [len(step.images) for step in plan.steps] == [2, 2, 3]
    assert sorted(np.concatenate([step.images for step in plan.steps])) == list(range(7))


def test_draws_of_an_image_whose_id_is_negative():
    """A reader of one's own may have made ids by Python's hash."""
    data = items((3, 3))
    image = replace(data.images[0], image_id=-5)
    data = replace(data, images=(image,))
    plan = make_plan(data, epochs=1, batch_samples=4, seed=0)
    drawn = [tuple(sample.sentence for sample in plan.samples(data, epoch, [0])) for epoch in range(30)]
    assert len(set(drawn)) == 9
    assert at_random(np.array([-5]), np.array([1]), (np.array([0, 1]),)).rows[0] in (0, 1)


def test_which_sentence_is_drawn_says_nothing_of_which_candidate():
    images = items(*[(2, 2)] * 1000)
    plan = make_plan(images, epochs=1, batch_samples=4, seed=0)
    counts = np.zeros((2, 2), int)  # sentence of one ref, candidate of the other
    for image, item in enumerate(images.images):
        sentences = [sample.sentence for sample in plan.samples(images, 0, [image])]
        ids = np.full(2, item.image_id), np.array([ref.ref_id for ref in item.refs])
        rows = at_random(*ids, (np.array([0, 1]), np.array([2, 3])), seed=(0, 0)).rows
        counts[sentences[1], rows[0]] += 1
    assert counts.min() > 200 and counts.max() < 300  # 250 each, with a deviation of 14
