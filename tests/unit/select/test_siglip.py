"""SigLIP 2 as open_clip has it, at a small random size: another image tower, pooling, tokenizer, loss and resizing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import open_clip
import pytest
import timm
from safetensors.torch import save_file
from timm.models.vision_transformer import VisionTransformer

from ssc_core.config.base import Backend
from ssc_core.config.labelling import CompatSettings
from ssc_core.masks.selection import ScoreStore
from ssc_core.select import clip
from ssc_core.select.clip import OpenClip
from ssc_core.select.score_stage import score_candidates

PUBLISHED = "ViT-B-32-SigLIP2-256"
TOWER = "ssc_vit_siglip"


@pytest.fixture
def siglip_folder(clip_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the published ones are, which hold config, weights and tokenizer; a few thousand weights."""

    def small_tower(pretrained: bool = False, **options: object) -> VisionTransformer:
        return VisionTransformer(
            img_size=32,
            patch_size=16,
            num_classes=0,
            embed_dim=32,
            depth=1,
            num_heads=2,
            class_token=False,
            global_pool="map",
        )

    monkeypatch.setitem(timm.models._registry._model_entrypoints, TOWER, small_tower)
    folder = tmp_path / "siglip2"
    shutil.copytree(clip_folder, folder)
    words = json.loads((clip_folder / "open_clip_config.json").read_text())["model_cfg"]["text_cfg"]["vocab_size"]
    published = open_clip.get_model_config(PUBLISHED)
    small = {
        **published,
        "embed_dim": 32,
        "vision_cfg": {**published["vision_cfg"], "image_size": 32, "timm_model_name": TOWER},
        "text_cfg": {**published["text_cfg"], "context_length": 16, "vocab_size": words, "width": 32, "heads": 2,
                     "layers": 1, "hf_tokenizer_name": "."},
    }  # fmt: skip
    tag = open_clip.get_pretrained_cfg(PUBLISHED, "webli")
    preprocess = {key: tag[key] for key in ("mean", "std", "interpolation", "resize_mode")}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": small, "preprocess_cfg": preprocess}))
    (folder / "open_clip_model.safetensors").unlink()
    network = open_clip.create_model(f"local-dir:{folder}", require_pretrained=False, load_weights=False)
    save_file(network.state_dict(), folder / "open_clip_model.safetensors")
    return folder


def test_it_is_an_encoder_like_any_other(siglip_folder: Path) -> None:
    encoder = OpenClip(str(siglip_folder), device="cpu")
    assert isinstance(encoder.model, open_clip.CustomTextCLIP)
    rng = np.random.default_rng(0)
    images = encoder.encode_images([rng.integers(0, 255, (*size, 3), dtype=np.uint8) for size in ((40, 60), (90, 20))])
    texts = encoder.encode_texts(["a red dog", "the cat " * 40, ""])
    for features, count in ((images, 2), (texts, 3)):
        assert features.shape == (count, 32)
        assert features.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)


def test_photos_are_squashed_and_not_cropped(siglip_folder: Path) -> None:
    wide = np.zeros((32, 96, 3), dtype=np.uint8)
    wide[:, :32] = 255
    prepared = OpenClip(str(siglip_folder), device="cpu").prepare_image(wide)
    assert prepared.shape == (32, 32, 3)
    assert prepared[:, :9].min() > 200
    assert prepared[:, 13:].max() < 50


def test_it_scores_candidates(siglip_folder: Path, world) -> None:
    out = world.folder / "scores.h5"
    score_candidates(
        refs=world.refs, split="val", masks=world.masks, images=world.images, out=out, device="cpu",
        settings=world.score_settings(backend=Backend(name="open_clip", settings={"model": str(siglip_folder)})),
        compat=CompatSettings(),
    )  # fmt: skip
    with ScoreStore(out) as scores:
        found = scores.scores(1)
    assert found.shape == (2, 3)
    assert np.isfinite(found).all()
    assert np.abs(found).max() <= 100


def test_the_published_weights_are_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, object] = {}
    monkeypatch.setattr(open_clip, "create_model", lambda name, **options: made.update(name=name, **options))
    monkeypatch.setattr(open_clip, "get_tokenizer", lambda name: made.update(tokenizer=name))
    clip.load_model("ViT-SO400M-14-SigLIP2-378", "webli", None)
    assert made == {
        "name": "ViT-SO400M-14-SigLIP2-378",
        "tokenizer": "ViT-SO400M-14-SigLIP2-378",
        "pretrained": "webli",
        "force_quick_gelu": False,
    }
