from __future__ import annotations

import numpy as np
import pytest

from ssc_core.correct import items as items_module
from ssc_core.correct.batches import Pass, load_batches, make_batch
from ssc_core.correct.items import build_items
from ssc_core.correct.pixels import resized_photo
from ssc_core.correct.plan import Sample, make_plan
from ssc_core.errors import SscError
from ssc_core.refer.ref import Ref
from tests.unit.correct.toy import COLOURS, SIZE, WORDS, make_items


class Given:
    """Targets by ref id."""

    corrupted = 3

    def __init__(self, masks):
        self._masks = masks

    def masks(self, ref):
        return self._masks[ref.ref_id]


def ref(ref_id: int, image_id: int = 1, sentences=("a", "b")) -> Ref:
    return Ref(ref_id, 1, image_id, f"{image_id}.png", 8, 8, "train", 1, "box", tuple(range(len(sentences))), sentences)


def tokens(sentences):
    ids = np.array([[ord(s[0]), len(s)] for s in sentences])
    return ids, np.ones_like(ids)


def mask(*boxes):
    masks = np.zeros((len(boxes), 8, 8), dtype=bool)
    for one, (top, bottom) in zip(masks, boxes, strict=True):
        one[top:bottom] = True
    return masks


def build(masks, refs, **options):
    return build_items(
        refs.items(), Given(masks), tokens, lambda name: np.zeros((8, 8, 3), np.uint8), side=8, **options
    )


def test_photos_are_resized_with_antialiasing():
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 200
    assert np.all(np.abs(resized_photo(stripes, 8).astype(int) - 100) <= 5)


def test_equal_masks_of_an_image_are_one_instance():
    a, b = mask((0, 2), (3, 5)), mask((3, 5), (6, 7))
    items = build({1: (a,), 2: (b,), 3: (a,)}, {1: [ref(1), ref(2)], 2: [ref(3, 2)]})
    assert len(items.images[0].masks) == 3
    assert [r.rows[0].tolist() for r in items.images[0].refs] == [[0, 1], [1, 2]]
    assert items.images[1].refs[0].rows[0].tolist() == [0, 1]
    assert np.array_equal(items.arrays(0)[1][[1, 2]], b)


def test_sources_name_the_masks_of_the_file():
    """Of four: the first covers everything, the second and third are equal."""
    items = build({1: (mask((0, 8), (1, 3), (1, 3), (4, 6)),), 2: (mask((4, 6)),)}, {1: [ref(1), ref(2)]})
    assert [r.sources[0].tolist() for r in items.images[0].refs] == [[1, 3], [0]]
    assert [r.rows[0].tolist() for r in items.images[0].refs] == [[0, 1], [1]]


def test_refs_without_a_usable_mask_are_dropped_and_counted():
    masks = {
        1: (np.zeros((0, 1, 1), dtype=bool),),
        2: (mask((0, 0)),),
        3: (mask((0, 8)),),
        4: (mask((0, 0), (2, 4), (0, 8)),),
    }
    items = build(masks, {1: [ref(1)], 2: [ref(i, 2) for i in (2, 3, 4)]})
    assert [[r.ref_id for r in image.refs] for image in items.images] == [[4]]
    assert items.images[0].refs[0].rows[0].tolist() == [0]
    assert items.dropped == {"no candidate": 1, "mask empty": 1, "mask covers the whole photo": 1}
    assert items.corrupted == 3
    with pytest.raises(SscError, match=r"nothing to train on .*1 ref: no candidate"):
        build(masks, {1: [ref(1)]})


def test_refs_of_photos_that_are_skipped_are_dropped_and_counted():
    masks = {i: (mask((2, 4)),) for i in (1, 2, 3)}
    items = build(masks, {1: [ref(1)], 2: [ref(2, 2), ref(3, 2)]}, unreadable=lambda name: name == ref(2, 2).file_name)
    assert [[r.ref_id for r in image.refs] for image in items.images] == [[1]]
    assert items.dropped == {"photo cannot be read": 2}


def test_masks_of_each_sentence():
    items = build({1: (mask((0, 2)), mask((3, 5)))}, {1: [ref(1)]})
    batch = make_batch(items, [Sample(0, 0, 0), Sample(0, 0, 1)])
    assert [rows.tolist() for rows in batch.rows] == [[0], [1]]


def test_the_digest_knows_masks_and_sentences():
    refs = {1: [ref(1)]}
    digests = {
        build({1: (mask((0, 2)),)}, refs).digest(),
        build({1: (mask((0, 3)),)}, refs).digest(),
        build({1: (mask((0, 2)),)}, {1: [ref(1, sentences=("a", "cc"))]}).digest(),
    }
    assert len(digests) == 3
    assert build({1: (mask((0, 2)),)}, refs).digest() in digests


def test_a_batch_holds_each_photo_once(tmp_path):
    items = make_items(tmp_path, images=3)
    batch = make_batch(items, [Sample(2, 0, 0), Sample(2, 1, 2), Sample(0, 1, 1)])
    assert batch.photos.shape == (2, SIZE, SIZE, 3)
    assert batch.photo_of.tolist() == [0, 0, 1]
    assert batch.image_ids.tolist() == [3, 3, 1]
    assert batch.ref_ids.tolist() == [30, 31, 11]
    assert [rows.tolist() for rows in batch.rows] == [[0, 1], [0, 1], [2, 3]]
    assert batch.ids.shape == (3, 2), "padding that all share is cut off"
    assert batch.pixels.shape == (2, 3, SIZE, SIZE)
    colour = batch.photos[0][batch.masks[0]].float().mean(0)
    assert any(np.allclose(colour, value, atol=1) for value in COLOURS.values())
    expected = (batch.photos[1, 5, 6] / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    assert np.allclose(batch.pixels[1, :, 5, 6], expected, atol=1e-5)


def test_a_mirrored_photo_has_its_masks_and_sentences_mirrored(tmp_path):
    items = make_items(tmp_path, images=2, mirror=True)
    samples = [Sample(0, 0, 1), Sample(0, 1, 2), Sample(1, 0, 0)]  # "left red", "the right", "the green"
    plain = make_batch(items, samples)
    turned = make_batch(items, [s._replace(mirrored=s.image == 0) for s in samples])
    assert np.array_equal(turned.photos[0], plain.photos[0].numpy()[:, ::-1])
    assert np.array_equal(turned.masks[:2], plain.masks[:2].numpy()[:, :, ::-1])
    assert np.array_equal(turned.photos[1], plain.photos[1])
    assert np.array_equal(turned.masks[2:], plain.masks[2:])
    left, right = WORDS.index("left"), WORDS.index("right")
    assert [plain.ids[0, 0], plain.ids[1, 1]] == [left, right]
    assert [turned.ids[0, 0], turned.ids[1, 1]] == [right, left]
    assert turned.ids[0, 1] == plain.ids[0, 1]
    assert np.array_equal(turned.ids[2], plain.ids[2])
    assert [rows.tolist() for rows in turned.rows] == [rows.tolist() for rows in plain.rows]
    assert items.digest() != make_items(tmp_path, images=2).digest()


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_photo_that_cannot_be_read_is_told_of_alike_by_workers(tmp_path, monkeypatch, in_memory):
    """DataLoader raises what a worker raised with its whole traceback as message."""
    monkeypatch.setattr(items_module, "CACHE_BYTES", 2**30 if in_memory else 0)
    items = make_items(tmp_path, images=2)
    (tmp_path / "2.png").unlink()
    plan = make_plan(items, epochs=1, batch_samples=4, seed=0)
    with pytest.raises(SscError) as found:
        list(load_batches(items, plan, [Pass(0, step.images) for step in plan.steps]))
    assert str(found.value).startswith(f"{tmp_path / '2.png'} does not exist")
    assert "\n" not in str(found.value)


def test_workers_give_the_same_batches_in_the_same_order(tmp_path, monkeypatch):
    items = make_items(tmp_path, images=4)
    plan = make_plan(items, epochs=2, batch_samples=4, seed=0)
    passes = [(step.epoch, step.images) for step in plan.steps]
    at_once = list(load_batches(items, plan, passes))
    monkeypatch.setattr(items_module, "CACHE_BYTES", 0)
    items = make_items(tmp_path, images=4)
    decoded = list(load_batches(items, plan, passes, workers=2))
    assert not items.fits_in_memory
    assert not items._cache
    assert len(at_once) == len(decoded) == len(plan.steps)
    for a, b in zip(at_once, decoded, strict=True):
        assert a.ref_ids.tolist() == b.ref_ids.tolist()
        assert a.pixels.equal(b.pixels)
        assert a.ids.equal(b.ids)
        assert a.masks.equal(b.masks)
