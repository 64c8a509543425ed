from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import Sam2Config, Sam2Model, SamHQConfig, SamHQModel

from ssc_core.backends import Segmenter, load_backend
from ssc_core.errors import SscError
from ssc_core.segment.sam_transformers import Sam2, SamHQ
from tests.unit.segment.conftest import smooth_photo

SIZES = [(48, 64), (90, 60)]
BOXES = [np.array([[5, 5, 40, 40], [0, 0, 64, 48], [10, 20, 30, 30]], np.float32), np.zeros((0, 4), np.float32)]


def randomise(network):
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return network


@pytest.fixture(scope="module")
def sam2_folder(tmp_path_factory):
    side, width = 64, 32
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": 8,
        "image_size": [side, side],
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [8, 16, 32, 64],
        "num_attention_heads_per_stage": [1, 1, 2, 4],
        "window_size_per_stage": [4, 4, 4, 4],
        "global_attention_blocks": [3],
        "window_positional_embedding_background_size": [2, 2],
    }
    config = Sam2Config(
        vision_config={
            "model_type": "sam2_vision_model",
            "backbone_config": backbone,
            "backbone_channel_list": [64, 32, 16, 8],
            "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
            "fpn_hidden_size": width,
        },
        prompt_encoder_config={"hidden_size": width, "image_size": side, "patch_size": 16},
        mask_decoder_config={"hidden_size": width, "mlp_dim": 32, "num_attention_heads": 4, "iou_head_hidden_dim": 32},
    )
    folder = tmp_path_factory.mktemp("sam2")
    randomise(Sam2Model(config)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def sam_hq_folder(tmp_path_factory):
    vision = {
        "model_type": "sam_hq_vision_model",
        "hidden_size": 32,
        "output_channels": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 64,
        "patch_size": 8,
        "window_size": 3,
        "global_attn_indexes": [1],
        "num_pos_feats": 16,
    }
    decoder = {"hidden_size": 32, "mlp_dim": 32, "num_attention_heads": 4, "iou_head_hidden_dim": 32, "vit_dim": 32}
    prompts = {"hidden_size": 32, "image_size": 64, "patch_size": 8}
    config = SamHQConfig(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder)
    folder = tmp_path_factory.mktemp("sam_hq")
    randomise(SamHQModel(config)).save_pretrained(folder)
    return folder


@pytest.fixture(params=["sam2", "sam_hq"])
def segmenter(request, sam2_folder, sam_hq_folder):
    kind, folder = {"sam2": (Sam2, sam2_folder), "sam_hq": (SamHQ, sam_hq_folder)}[request.param]
    return kind(str(folder), batch_size=2, boxes_per_pass=2, device="cpu")


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


def test_masks_are_those_of_transformers_own_forward(sam2_folder, photos):
    segmenter = Sam2(str(sam2_folder), device="cpu")
    pixels = segmenter._pixels([segmenter.prepare(photos[0])])
    scaled = torch.tensor(BOXES[0] * np.array([64 / 64, 64 / 48] * 2, np.float32))
    with torch.inference_mode():
        out = segmenter.network(pixel_values=pixels, input_boxes=scaled[None], multimask_output=True)
    best = out.iou_scores[0].argmax(-1)
    logits = out.pred_masks[0][torch.arange(3), best][:, None]
    expected = torch.nn.functional.interpolate(logits, (48, 64), mode="bilinear")[:, 0] > 0
    found = segmenter.segment(photos[:1], BOXES[:1])[0]
    assert np.array_equal(found.masks, expected.numpy())
    assert found.scores == pytest.approx(out.iou_scores[0].max(-1).values.numpy(), abs=1e-5)


@pytest.mark.parametrize(("name", "kind"), [("sam2", Sam2), ("sam_hq", SamHQ)])
def test_they_are_registered_and_a_folder_without_a_model_is_an_error(name, kind, sam2_folder, sam_hq_folder, tmp_path):
    folder = {"sam2": sam2_folder, "sam_hq": sam_hq_folder}[name]
    loaded = load_backend(name, {"model": str(folder)}, Segmenter, device="cpu", threads=1)
    assert type(loaded._backend) is kind
    with pytest.raises(SscError, match=r"config\.json"):
        load_backend(name, {"model": str(tmp_path)}, Segmenter, device="cpu", threads=1)
