"""Dense scorers: patches with sentences, pooled over masks. All networks are small and random."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from open_clip.modified_resnet import ModifiedResNet
from transformers import (
    AutoTokenizer,
    CLIPSegForImageSegmentation,
    Tipsv2ImageProcessor,
    Tipsv2Model,
    ViTImageProcessor,
)

from ssc_core.backends import PairScorer, load_backend
from ssc_core.config.base import Backend
from ssc_core.config.labelling import CompatSettings
from ssc_core.errors import SscError
from ssc_core.masks.selection import ScoreStore
from ssc_core.select.dense import pooled
from ssc_core.select.dense_clip import DenseOpenClip, patch_features
from ssc_core.select.dense_transformers import ClipSeg, Tipsv2
from ssc_core.select.score_stage import score_candidates
from tests.unit.segment.tiny_networks import save_clipseg, save_tipsv2

SENTENCES = ["a red dog", "the cat"]


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)


@pytest.fixture
def masks() -> np.ndarray:
    masks = np.zeros((4, 40, 60), bool)
    masks[0, :20], masks[1, 20:], masks[2, 3:5, 50:52] = True, True, True
    masks[3] = masks[0]
    return masks


def padded(folder: Path, length: int) -> dict[str, torch.Tensor]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = tokenizer(SENTENCES, padding="max_length", max_length=length, return_tensors="pt")
    return {key: found[key] for key in ("input_ids", "attention_mask")}


@pytest.fixture(scope="module")
def tipsv2_folder(tmp_path_factory) -> Path:
    return save_tipsv2(tmp_path_factory.mktemp("tipsv2"))


@pytest.fixture(scope="module")
def clipseg_folder(tmp_path_factory) -> Path:
    return save_clipseg(tmp_path_factory.mktemp("clipseg"))


def test_a_score_is_the_mean_over_the_mask_by_the_share_of_each_cell_that_it_covers() -> None:
    maps = torch.tensor([[[0.0, 1.0], [2.0, 3.0]], [[5.0, 5.0], [5.0, 5.0]]])
    masks = np.zeros((4, 4, 8), bool)
    masks[0, :2, :4] = True  # a cell
    masks[1, :2, 2:8] = True  # half of the first, and all of the second
    masks[2] = True
    expected = [[0, (0.5 * 0 + 1 * 1) / 1.5, 1.5, 1.5], [5, 5, 5, 5]]  # the last mask is empty
    assert np.allclose(pooled(maps, masks), expected)
    assert pooled(torch.tensor([[[1.0, 2.0, 3.0]]]), np.eye(3, dtype=bool)[:, None]).tolist() == [[1, 2, 3]]


def test_masks_of_large_photos_are_made_smaller_one_by_one(monkeypatch) -> None:
    """64 of a photo of 24 megapixels would be 6 GB of floats."""
    maps, masks = torch.rand(2, 3, 3), np.random.default_rng(0).random((5, 9, 12)) < 0.5
    together, seen = pooled(maps, masks), []
    shrink = torch.nn.functional.adaptive_avg_pool2d
    monkeypatch.setattr("ssc_core.select.dense.PIXELS_AT_ONCE", 2 * 9 * 12 + 1)
    monkeypatch.setattr(
        "torch.nn.functional.adaptive_avg_pool2d", lambda some, size: seen.append(len(some)) or shrink(some, size)
    )
    assert torch.equal(pooled(maps, masks), together)
    assert seen == [2, 2, 1]


@pytest.mark.parametrize("name", ["open_clip_dense", "tipsv2", "clipseg"])
def test_each_sees_a_photo_once_and_batches_are_what_each_is_alone(name, request, photo, masks, clip_folder) -> None:
    place = clip_folder if name == "open_clip_dense" else request.getfixturevalue(f"{name}_folder")
    scorer = load_backend(name, {"model": str(place)}, PairScorer, device="cpu", threads=1)
    calls, see = [], scorer._backend._see
    scorer._backend._see = lambda image: calls.append(image) or see(image)
    together = scorer.score_pairs(photo, masks, SENTENCES)
    assert together.shape == (2, 4) and together.dtype == np.float32
    assert len(np.unique(together[0])) == 3 and np.array_equal(together[:, 0], together[:, 3])
    assert not np.array_equal(together[0], together[1])
    for row, sentence in enumerate(SENTENCES):
        for column in range(4):
            alone = scorer.score_pairs(photo, masks[column : column + 1], [sentence])
            assert alone[0, 0] == pytest.approx(together[row, column], abs=2e-3)
    assert len(calls) == 1
    other = scorer.score_pairs(255 - photo, masks, SENTENCES)
    assert len(calls) == 2 and not np.allclose(other, together, atol=1e-2)
    assert np.array_equal(scorer.score_pairs(photo, masks, SENTENCES), together)


@pytest.mark.parametrize("kind", [Tipsv2, ClipSeg])
@pytest.mark.parametrize(("dtype", "attention"), [("bfloat16", "sdpa"), ("float32", "eager")])
def test_dtype_and_attention(kind, dtype, attention, request, photo, masks) -> None:
    folder = str(request.getfixturevalue(f"{kind.__name__.lower()}_folder"))
    model = kind(folder, dtype=dtype, attention=attention, device="cpu")
    assert (model.network.dtype, model.network.config._attn_implementation) == (getattr(torch, dtype), attention)
    found, right = (one.score_pairs(photo, masks, SENTENCES) for one in (model, kind(folder, device="cpu")))
    assert found == pytest.approx(right, rel=0.05, abs=0.5)


def test_tipsv2_compares_patches_with_sentences_as_its_own_forward_compares_the_photo(tipsv2_folder, photo) -> None:
    network = Tipsv2Model.from_pretrained(tipsv2_folder)
    tokens = padded(tipsv2_folder, 64)
    pixels = Tipsv2ImageProcessor.from_pretrained(tipsv2_folder)(photo.copy(), return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        out = network(**tokens, pixel_values=pixels)
    patches = torch.nn.functional.normalize(out.vision_model_output.last_hidden_state[0, 2:], dim=-1)
    expected = 100 * (patches @ out.text_embeds.T).T.reshape(2, 4, 4)
    scorer = Tipsv2(str(tipsv2_folder), device="cpu")
    assert torch.allclose(scorer._maps(scorer._see(photo), SENTENCES), expected, atol=1e-3)


def test_clipsegs_maps_are_those_of_its_own_forward(clipseg_folder, photo) -> None:
    network = CLIPSegForImageSegmentation.from_pretrained(clipseg_folder)
    tokens = padded(clipseg_folder, 77)
    pixels = ViTImageProcessor.from_pretrained(clipseg_folder)(photo.copy(), return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        out = network(**tokens, pixel_values=pixels.repeat(2, 1, 1, 1))
    scorer = ClipSeg(str(clipseg_folder), device="cpu")
    assert torch.allclose(scorer._maps(scorer._see(photo), SENTENCES), out.logits, atol=1e-4)


def test_in_clips_last_block_a_patch_sees_itself_alone(clip_folder) -> None:
    """As MaskCLIP has it: the values of the last attention, projected, with what that block adds."""
    tower = open_clip.create_model(f"local-dir:{clip_folder}").eval().visual
    pixels = torch.randn(2, 3, *(tower.image_size if isinstance(tower.image_size, tuple) else (tower.image_size,) * 2))
    with torch.inference_mode():
        found = patch_features(tower, pixels)
        *blocks, last = tower.transformer.resblocks
        tokens = tower._embeds(pixels)
        for block in blocks:
            tokens = block(tokens)
        weight, bias = last.attn.in_proj_weight.chunk(3)[2], last.attn.in_proj_bias.chunk(3)[2]
        tokens = tokens + last.attn.out_proj(torch.nn.functional.linear(last.ln_1(tokens), weight, bias))
        tokens = tower.ln_post(tokens + last.mlp(last.ln_2(tokens)))[:, 1:] @ tower.proj
    assert torch.allclose(found.flatten(1, 2), tokens, atol=1e-4)
    assert found.shape[1:3] == tower.grid_size


def test_of_a_resnet_a_place_is_what_its_pool_makes_of_it_alone() -> None:
    tower = ModifiedResNet((1, 1, 1, 1), 16, heads=4, image_size=64, width=8).eval()
    pixels = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        found = patch_features(tower, pixels)
        seen = pixels
        for part in (tower.stem, tower.layer1, tower.layer2, tower.layer3, tower.layer4):
            seen = part(seen)
        tower.attnpool.positional_embedding.zero_()
        alone = tower.attnpool(seen[:, :, 1:2, :1].repeat(1, 1, 2, 2))  # the same place everywhere
    assert found.shape == (1, 2, 2, 16)
    assert torch.allclose(found[:, 1, 0], alone, atol=1e-5)


def test_it_scores_candidates_through_the_stage(clip_folder, world) -> None:
    out = world.folder / "scores.h5"
    score_candidates(
        refs=world.refs, split="val", masks=world.masks, images=world.images, out=out, device="cpu",
        settings=world.score_settings(backend=Backend(name="open_clip_dense", settings={"model": str(clip_folder)})),
        compat=CompatSettings(),
    )  # fmt: skip
    with ScoreStore(out) as scores:
        assert scores.info.settings["backend"]["name"] == "open_clip_dense"


def test_a_tower_whose_patches_cannot_be_read_is_an_error(clip_folder, monkeypatch) -> None:
    from ssc_core.select import dense_clip

    monkeypatch.setattr(dense_clip, "VisionTransformer", ModifiedResNet)
    with pytest.raises(SscError, match="has a VisionTransformer, whose patches cannot be read"):
        DenseOpenClip(str(clip_folder), device="cpu")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_an_image_tower_of_16_bits(clip_folder: Path, photo: np.ndarray, masks: np.ndarray, dtype: str) -> None:
    whole, half = (DenseOpenClip(str(clip_folder), dtype=kind, device="cpu") for kind in ("float32", dtype))
    expected, found = (one.score_pairs(photo, masks, SENTENCES) for one in (whole, half))
    assert found.dtype == np.float32
    assert 0 < np.abs(found - expected).max() < 2  # points of cosine x 100
    towers = whole._clip.model.visual, half._clip.model.visual
    full, least = (sum(value.nbytes for value in tower.state_dict().values()) for tower in towers)
    assert least == full / 2
    assert {value.dtype for value in half._clip.model.transformer.parameters()} == {torch.float32}


def test_a_dtype_that_is_none(clip_folder: Path) -> None:
    with pytest.raises(SscError, match="`dtype: int8` is none of float32, bfloat16, float16"):
        DenseOpenClip(str(clip_folder), dtype="int8", device="cpu")
