from __future__ import annotations

import numpy as np
import pytest
import torch
from segment_anything import SamPredictor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ssc_core.backends import Segmenter, load_backend
from ssc_core.errors import SscError
from ssc_core.segment.sam import SegmentAnything
from ssc_core.segment.sam_build import load_sam
from tests.unit.segment.conftest import smooth_photo

SIZES = [(48, 64), (90, 60), (33, 33)]


def some_boxes(size, count, seed):
    height, width = size
    corners = np.sort(np.random.default_rng(seed).uniform(0, 1, (count, 2, 2)), axis=1)
    return (corners.reshape(count, 4) * [width, height, width, height]).astype(np.float32)


@pytest.fixture(scope="module")
def photos():
    return [smooth_photo(*size, seed) for seed, size in enumerate(SIZES)]


BOXES = [some_boxes(size, count, seed) for seed, (size, count) in enumerate(zip(SIZES, (5, 0, 4), strict=True))]


@pytest.fixture(scope="module")
def segmenter(tiny_sam):
    return SegmentAnything(str(tiny_sam), batch_size=2, boxes_per_pass=3, device="cpu")


def test_masks_equal_the_authors_predictor_one_box_at_a_time(segmenter, tiny_sam, photos):
    predictor = SamPredictor(load_sam(str(tiny_sam)))
    compared = 0
    for photo, boxes, found in zip(photos, BOXES, segmenter.segment(photos, BOXES), strict=True):
        predictor.set_image(photo)
        for box, mask, score in zip(boxes, found.masks, found.scores, strict=True):
            masks, ious, _ = predictor.predict(box=box, multimask_output=True)
            best = masks[ious.argmax()]
            assert (best & mask).sum() >= 0.999 * (best | mask).sum() > 0
            assert score == pytest.approx(ious.max(), abs=1e-4)
            compared += 1
    assert compared == 9


def test_results_are_read_when_they_are_there(segmenter, photos, request):
    expected = segmenter.segment(photos, BOXES)
    request.getfixturevalue("late_results")
    for one, other in zip(segmenter.segment(photos, BOXES), expected, strict=True):
        assert np.array_equal(one.masks, other.masks) and np.array_equal(one.scores, other.scores)


def test_an_image_without_boxes_has_no_masks_and_keeps_its_size(segmenter, photos):
    found = segmenter.segment(photos, BOXES)[1]
    assert found.masks.shape == (0, 90, 60) and found.masks.dtype == bool and found.scores.shape == (0,)


def test_a_photo_too_thin_for_the_input_is_a_pixel_wide_there(segmenter):
    photo = np.zeros((1, 4 * segmenter.side, 3), np.uint8)
    assert segmenter.prepare(photo).pixels.shape == (1, segmenter.side, 3)
    (found,) = segmenter.segment([photo], [np.array([[0, 0, 8, 1]], np.float32)])
    assert found.masks.shape == (1, 1, 4 * segmenter.side)


def test_each_image_is_encoded_once(segmenter, photos):
    batches = []
    hook = segmenter.network.image_encoder.register_forward_pre_hook(lambda _, args: batches.append(len(args[0])))
    again = photos[0].copy()  # another photo, for all that is known
    found = segmenter.segment(
        [photos[0], photos[2], photos[0], again], [BOXES[0][:2], BOXES[2], BOXES[0][2:], BOXES[0]]
    )
    hook.remove()
    assert batches == [2, 1]
    assert [len(one.masks) for one in found] == [2, 4, 3, 5]
    assert np.array_equal(np.concatenate([found[0].masks, found[2].masks]), found[3].masks)
    assert np.allclose(np.concatenate([found[0].scores, found[2].scores]), found[3].scores, atol=1e-5)


def test_fused_attention_equals_the_packages(tiny_sam, segmenter):
    pixels = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = load_sam(str(tiny_sam)).image_encoder(pixels)
        assert torch.allclose(segmenter.network.image_encoder(pixels), expected, atol=1e-4)
    assert expected.std() > 0.1


class Crossings(TorchDispatchMode):
    """The operators that meet tensors of two devices, single numbers left out."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, operator, types, arguments=(), options=None):
        result = operator(*arguments, **(options or {}))
        tensors = [one for one in tree_leaves((arguments, options, result)) if isinstance(one, torch.Tensor)]
        if len({one.device for one in tensors if one.ndim}) > 1:
            self.found.append(str(operator))
        return result


def test_a_second_pass_brings_nothing_to_its_device(tiny_sam):
    """On a GPU each such copy waits for all work before it. No GPU is needed to see them: meta is another device."""
    encoder = SegmentAnything(str(tiny_sam)).network.image_encoder.to("meta")
    pixels = torch.empty(2, 3, encoder.img_size, encoder.img_size, device="meta")
    found = []
    with torch.inference_mode():
        for _ in range(2):
            with Crossings() as crossings:
                encoder(pixels)
            found.append(len(crossings.found))
    assert found[0] > 0  # what is kept from then on
    assert found[1] == 0


def test_full_batches_go_through_the_compiled_encoder_and_give_the_same_masks(tiny_sam, photos, monkeypatch):
    calls = []

    def compile(module, **options):  # as it is called: what compilers make of it differs by roundings
        assert options == {"dynamic": False}
        return lambda pixels: calls.append(len(pixels)) or module(pixels)

    monkeypatch.setattr(torch, "compile", compile)
    images = [photos[0], photos[1], photos[0]]
    boxes = [np.array([[2, 2, 20, 20]], np.float32)] * 3
    found = [SegmentAnything(str(tiny_sam), batch_size=2, compile=on).segment(images, boxes) for on in (False, True)]
    assert calls == [2]  # the last photo is a batch of one
    for plain, compiled in zip(*found, strict=True):
        assert np.array_equal(plain.masks, compiled.masks)


def test_out_of_memory_halves_the_batch_and_says_so(tiny_sam, photos, monkeypatch, caplog):
    greedy = SegmentAnything(str(tiny_sam), batch_size=3, boxes_per_pass=64, device="cpu")
    expected = greedy.segment(photos, BOXES)
    encode, decode = greedy._encode, greedy._decode

    def small_encode(pixels):
        if len(pixels) > 1:
            raise torch.OutOfMemoryError("no room")
        return encode(pixels)

    def small_decode(encoded, boxes):
        if len(boxes) > 16:
            raise torch.OutOfMemoryError("no room")
        return decode(encoded, boxes)

    monkeypatch.setattr(greedy, "_encode", small_encode)
    monkeypatch.setattr(greedy, "_decode", small_decode)
    found = greedy.segment(photos, [np.repeat(BOXES[0], 5, axis=0), *BOXES[1:]])
    assert np.array_equal(found[0].masks[::5], expected[0].masks) and np.array_equal(found[2].masks, expected[2].masks)
    assert "SAM, images: out of memory; going on with 1 a batch" in caplog.text
    assert "SAM, boxes: out of memory; going on with" in caplog.text


def test_it_is_registered(tiny_sam):
    backend = load_backend("sam", {"model": str(tiny_sam)}, Segmenter, device="cpu", threads=2)
    assert backend.prepare(smooth_photo(30, 60, 0)).value.pixels.shape == (32, 64, 3)


def test_a_wrong_precision_is_an_error(tiny_sam):
    with pytest.raises(SscError, match="precision"):
        SegmentAnything(str(tiny_sam), precision="int4", device="cpu")
