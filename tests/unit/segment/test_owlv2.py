from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, Owlv2ForObjectDetection, Owlv2ImageProcessor, Owlv2Processor

from ssc_core.backends import Detector, load_backend
from ssc_core.errors import SscError
from ssc_core.segment.grounding_dino import absolute_xyxy
from ssc_core.segment.owlv2 import Owlv2
from tests.unit.segment.conftest import smooth_photo
from tests.unit.segment.tiny_networks import save_owlv2

SIZES = [(48, 64), (90, 60), (96, 96)]
PROMPTS = [["dog", "red cat", "the big kite"], ["Dog"], ["blue umbrella", "dog"]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_owlv2(tmp_path_factory.mktemp("owlv2"))


@pytest.fixture(scope="module")
def photos():
    return [smooth_photo(*size, seed) for seed, size in enumerate(SIZES)]


@pytest.fixture(scope="module")
def detector(folder):
    return load_backend("owlv2", {"model": str(folder)}, Detector, device="cpu", threads=1, batch_size=2)


def test_an_image_gets_the_same_boxes_alone_and_in_a_batch_with_other_prompts(detector, photos):
    together = detector.detect(photos, PROMPTS)
    assert all(len(found.scores) > 3 for found in together)
    for photo, prompt, found in zip(photos, PROMPTS, together, strict=True):
        (alone,) = detector.detect([detector.prepare(photo)], [prompt])
        assert np.allclose(alone.boxes_xyxy, found.boxes_xyxy, atol=1e-2)
        assert np.allclose(alone.scores, found.scores, atol=1e-4)
        assert np.array_equal(alone.labels, found.labels)


def test_they_are_what_transformers_own_processor_makes_but_for_boxes_of_the_padding(folder, detector, photos):
    network = Owlv2ForObjectDetection.from_pretrained(folder)
    processor = Owlv2Processor(Owlv2ImageProcessor.from_pretrained(folder), AutoTokenizer.from_pretrained(folder))
    beyond = 0
    for photo, prompt, found in zip(photos, PROMPTS, detector.detect(photos, PROMPTS), strict=True):
        height, width = photo.shape[:2]
        texts = [[f"a photo of a {name.lower()}" for name in prompt]]
        inputs = processor(text=texts, images=photo.copy(), return_tensors="pt")
        with torch.inference_mode():
            out = network(**{key: inputs[key] for key in ("pixel_values", "input_ids", "attention_mask")})
        (theirs,) = processor.post_process_grounded_object_detection(
            out, threshold=0.1, target_sizes=[(height, width)], text_labels=texts
        )
        boxes = theirs["boxes"].numpy()
        inside = (boxes[:, 0] < width) & (boxes[:, 1] < height)
        beyond += (~inside).sum()
        assert np.allclose(found.boxes_xyxy, boxes[inside], atol=1e-2)
        assert np.allclose(found.scores, theirs["scores"].numpy()[inside], atol=1e-4)
        names = [name for name, good in zip(theirs["text_labels"], inside, strict=True) if good]
        assert [texts[0][label] for label in found.labels] == names
    assert beyond > 0


def test_each_image_passes_the_network_once(detector, photos):
    seen = []
    hook = detector._backend.network.owlv2.vision_model.register_forward_hook(
        lambda _, args, kwargs, out: seen.append(len(kwargs["pixel_values"])), with_kwargs=True
    )
    detector.detect(photos, PROMPTS)
    twice = detector.detect([photos[0], photos[0], photos[1]], [PROMPTS[0], PROMPTS[1], PROMPTS[0]])
    hook.remove()
    assert seen == [2, 1, 1, 1]
    for one, photo, prompt in zip(twice, [photos[0], photos[0], photos[1]], PROMPTS[:2] + PROMPTS[:1], strict=True):
        (alone,) = detector.detect([photo.copy()], [prompt])
        assert np.allclose(alone.scores, one.scores, atol=1e-4) and np.array_equal(alone.labels, one.labels)


def test_an_image_without_classes_has_no_boxes(detector, photos):
    empty, other = detector.detect(photos[:2], [[], ["dog"]])
    assert empty.boxes_xyxy.shape == (0, 4) and len(other.scores) and detector.detect([], []) == []


def test_a_template_has_one_place_for_the_class(folder):
    with pytest.raises(SscError, match=r"needs one \{\}"):
        Owlv2(str(folder), template="a photo", device="cpu")


@pytest.mark.parametrize(("dtype", "attention"), [("bfloat16", "sdpa"), ("float32", "eager")])
def test_dtype_and_attention(folder, photos, dtype, attention):
    model = Owlv2(str(folder), dtype=dtype, attention=attention, device="cpu")
    assert (model.network.dtype, model.network.config._attn_implementation) == (getattr(torch, dtype), attention)
    found = model.detect(photos, PROMPTS)
    assert all(len(one.scores) and np.isfinite(one.boxes_xyxy).all() for one in found)
    if dtype == "float32":
        for one, right in zip(found, Owlv2(str(folder), device="cpu").detect(photos, PROMPTS), strict=True):
            assert one.boxes_xyxy == pytest.approx(right.boxes_xyxy, abs=0.01)


@pytest.mark.parametrize("half", [{"precision": "bf16"}, {"dtype": "bfloat16"}, {"dtype": "float16"}])
def test_what_half_precision_rounds_is_what_the_encoders_see_and_not_where_patches_are(folder, photos, half):
    model, seen = Owlv2(str(folder), device="cpu", threshold=-1, **half), []
    embed = model.network.image_embedder
    model.network.image_embedder = lambda pixels: seen.append(embed(pixels)) or seen[-1]
    found = model.detect(photos, PROMPTS)
    exact = Owlv2ForObjectDetection.from_pretrained(folder)
    exact.box_head.load_state_dict(model.network.box_head.state_dict())  # the rounding of weights is what `dtype` says
    ((grid, _),) = seen
    with torch.inference_mode():
        boxes = exact.box_predictor(grid.float().flatten(1, 2), grid.float())
    for photo, one, relative in zip(photos, found, boxes.numpy(), strict=True):
        right = absolute_xyxy(relative, (max(photo.shape[:2]),) * 2)
        right = right[(right[:, 0] < photo.shape[1]) & (right[:, 1] < photo.shape[0])]
        assert one.boxes_xyxy == pytest.approx(right, abs=1e-3), "in half precision it is 3 pixels, and more"
        assert one.scores.dtype == np.float32
