from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import (
    Sam2Config,
    Sam2ImageProcessor,
    Sam2VideoConfig,
    Sam2VideoModel,
    Sam3Config,
    Sam3ImageProcessor,
    Sam3VideoConfig,
    Sam3VideoModel,
)

from ssc_core.backends import Segmenter, load_backend
from ssc_core.errors import SscError
from ssc_core.segment.sam3 import Sam3
from ssc_core.segment.sam_transformers import EdgeTam, Sam2, Sam3Tracker, SamHQ
from tests.unit.segment.conftest import smooth_photo
from tests.unit.segment.tiny_networks import (
    DECODER,
    made,
    sam3_sizes,
    save_edgetam,
    save_sam2,
    save_sam3,
    save_sam3_tracker,
    save_sam_hq,
)

SIZES = [(48, 64), (90, 60)]
BOXES = [np.array([[5, 5, 40, 40], [0, 0, 64, 48], [10, 20, 30, 30]], np.float32), np.zeros((0, 4), np.float32)]


@pytest.fixture(scope="module")
def sam2_folder(tmp_path_factory):
    return save_sam2(tmp_path_factory.mktemp("sam2"))


@pytest.fixture(scope="module")
def sam_hq_folder(tmp_path_factory):
    return save_sam_hq(tmp_path_factory.mktemp("sam_hq"))


@pytest.fixture(scope="module")
def edgetam_folder(tmp_path_factory):
    return save_edgetam(tmp_path_factory.mktemp("edgetam"))


@pytest.fixture(scope="module")
def sam3_tracker_folder(tmp_path_factory):
    return save_sam3_tracker(tmp_path_factory.mktemp("sam3_tracker"))


KINDS = {"sam2": Sam2, "sam_hq": SamHQ, "edgetam": EdgeTam, "sam3_tracker": Sam3Tracker}


@pytest.fixture(params=KINDS)
def named_folder(request):
    return request.param, request.getfixturevalue(f"{request.param}_folder")


@pytest.fixture
def segmenter(named_folder):
    name, folder = named_folder
    return KINDS[name](str(folder), batch_size=2, boxes_per_pass=2, device="cpu")


@pytest.fixture(scope="module")
def photos():
    return [smooth_photo(*size, seed) for seed, size in enumerate(SIZES)]


def test_masks_have_the_photos_size_and_an_image_without_boxes_none(segmenter, photos):
    first, second = segmenter.segment(photos, BOXES)
    assert first.masks.shape == (3, 48, 64) and first.masks.dtype == bool and first.scores.shape == (3,)
    assert second.masks.shape == (0, 90, 60)
    assert 0 < first.masks.mean() < 1


def test_boxes_and_images_do_not_influence_each_other(segmenter, photos):
    other = np.array([[0, 0, 30, 60]], np.float32)
    together = segmenter.segment(photos, [BOXES[0], other])
    for photo, boxes, found in zip(photos, [BOXES[0], other], together, strict=True):
        for box, mask, score in zip(boxes, found.masks, found.scores, strict=True):
            (alone,) = segmenter.segment([photo], [box[None]])
            assert (alone.masks[0] & mask).sum() >= 0.999 * (alone.masks[0] | mask).sum()
            assert alone.scores[0] == pytest.approx(score, abs=1e-4)


@pytest.mark.parametrize("named_folder", ["sam2", "edgetam", "sam3_tracker"], indirect=True)
def test_masks_are_those_of_transformers_own_forward(segmenter, photos):
    pixels = segmenter._pixels([segmenter.prepare(photos[0])])
    scaled = torch.tensor(BOXES[0] * np.array([segmenter.side / 64, segmenter.side / 48] * 2, np.float32))
    with torch.inference_mode():
        out = segmenter.network(pixel_values=pixels, input_boxes=scaled[None], multimask_output=True)
    best = out.iou_scores[0].argmax(-1)
    logits = out.pred_masks[0][torch.arange(3), best][:, None]
    expected = torch.nn.functional.interpolate(logits, (48, 64), mode="bilinear")[:, 0] > 0
    found = segmenter.segment(photos[:1], BOXES[:1])[0]
    assert np.array_equal(found.masks, expected.numpy())
    assert found.scores == pytest.approx(out.iou_scores[0].max(-1).values.numpy(), abs=1e-5)


@pytest.mark.parametrize(
    ("processor", "folder"), [(Sam2ImageProcessor, "edgetam"), (Sam3ImageProcessor, "sam3_tracker")]
)
def test_pixels_are_nearly_those_of_transformers_own_processor(processor, folder, photos, request):
    """Pillow resizes here, torchvision there."""
    place = request.getfixturevalue(f"{folder}_folder")
    segmenter = KINDS[folder](str(place), device="cpu")
    theirs = processor.from_pretrained(place)(images=[photo.copy() for photo in photos], return_tensors="pt")
    ours = segmenter._pixels([segmenter.prepare(photo) for photo in photos])
    assert theirs["pixel_values"].shape == ours.shape
    assert (theirs["pixel_values"] - ours).abs().max() < 2.5 / 255 / 0.22


def test_a_folder_of_the_model_for_videos_loads_without_its_memory(sam2_folder, tmp_path, photos):
    """As SAM 2 is published."""
    image = Sam2Config.from_pretrained(sam2_folder)
    parts = {
        key: getattr(image, key).to_dict() for key in ("vision_config", "prompt_encoder_config", "mask_decoder_config")
    }
    memory = {"memory_attention_hidden_size": 32, "memory_encoder_hidden_size": 32, "memory_fuser_embed_dim": 32}
    config = Sam2VideoConfig(**parts, **memory, image_size=64, mask_downsampler_embed_dim=32)
    made(Sam2VideoModel, config).save_pretrained(tmp_path)
    video = Sam2VideoModel.from_pretrained(tmp_path)
    segmenter = Sam2(str(tmp_path), device="cpu")
    assert torch.equal(video.no_memory_embedding, segmenter.network.no_memory_embedding)
    assert len(segmenter.segment(photos[:1], BOXES[:1])[0].masks) == 3


def test_both_halves_of_sam3_load_from_the_folder_of_the_model_for_videos(tmp_path, photos):
    """As SAM 3 is published: detector and tracker share the image encoder's backbone."""
    tracker = {
        "vision_config": sam3_sizes()["vision_config"],
        "prompt_encoder_config": {"image_size": 112, "patch_size": 14, "hidden_size": 32},
        "mask_decoder_config": DECODER,
        "image_size": 112,
        "memory_attention_hidden_size": 32,
        "memory_encoder_hidden_size": 32,
        "memory_fuser_embed_dim": 32,
        "mask_downsampler_embed_dim": 32,
    }
    save_sam3(tmp_path)
    detector = Sam3Config.from_pretrained(tmp_path).to_dict()
    published = made(Sam3VideoModel, Sam3VideoConfig(detector_config=detector, tracker_config=tracker))
    published.save_pretrained(tmp_path)
    both = published.eval()
    pixels = torch.randn(1, 3, 112, 112)
    with torch.inference_mode():
        concepts = Sam3(str(tmp_path), device="cpu").network
        tracked = Sam3Tracker(str(tmp_path), device="cpu")
        right = both.detector_model.vision_encoder(pixels)
        assert torch.allclose(
            concepts.vision_encoder(pixels).fpn_hidden_states[0], right.fpn_hidden_states[0], atol=1e-5
        )
        neck = both.tracker_neck(right.last_hidden_state.transpose(1, 2).reshape(1, 32, 8, 8))[0]
        assert torch.allclose(tracked.network.vision_encoder(pixels).fpn_hidden_states[0], neck[0], atol=1e-5)
    assert len(tracked.segment(photos[:1], BOXES[:1])[0].masks) == 3


def test_they_are_registered_and_a_folder_without_a_model_is_an_error(named_folder, tmp_path):
    name, folder = named_folder
    loaded = load_backend(name, {"model": str(folder)}, Segmenter, device="cpu", threads=1)
    assert type(loaded._backend) is KINDS[name]
    with pytest.raises(SscError, match=r"config\.json"):
        load_backend(name, {"model": str(tmp_path)}, Segmenter, device="cpu", threads=1)
