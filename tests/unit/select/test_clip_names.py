"""Models by open_clip's names and local files: SigLIP 2, PE-Core, MetaCLIP 2, MobileCLIP 2. Sizes here are small."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from open_clip.transformer import QuickGELU

from ssc_core.errors import SscError
from ssc_core.select.clip import OpenClip
from ssc_core.select.clip_names import trained_ways
from ssc_core.select.dense_clip import DenseOpenClip
from tests.unit.select.tiny_open_clip import METACLIP, PE, SIGLIP, TAGS, has_own_tokenizer, save_weights, small

HALF = (0.5, 0.5, 0.5)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something looked for the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(params=TAGS)
def named(request, clip_folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, dict[str, str]]:
    """A published name whose network is small (MobileCLIP's image tower is as it is), and its `tokenizer`, if any."""
    name = request.param
    for mapping, key, value in small(name, clip_folder):
        monkeypatch.setitem(mapping, key, value)
    return name, {"tokenizer": str(clip_folder)} if has_own_tokenizer(name) else {}


@pytest.fixture
def file(named, tmp_path: Path) -> str:
    return str(save_weights(named[0], tmp_path / "model.safetensors"))


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)


def test_a_local_file_is_prepared_for_as_its_tag_says_and_nothing_is_downloaded(named, file, photo, no_network) -> None:
    name, settings = named
    encoder = OpenClip(name, file, device="cpu", **settings)
    tag = open_clip.get_pretrained_cfg(name, TAGS[name])
    used = encoder.model.visual.preprocess_cfg
    assert {key: used[key] for key in ("mean", "std", "interpolation", "resize_mode")} == {
        key: tag[key] for key in ("mean", "std", "interpolation", "resize_mode")
    }
    assert any(isinstance(module, QuickGELU) for module in encoder.model.modules()) is bool(tag.get("quick_gelu"))
    for features in (encoder.encode_images([photo, photo[:, ::-1]]), encoder.encode_texts(["a red dog", "the cat"])):
        assert features.shape == (2, 32)
        assert np.allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)
        assert not np.allclose(features[0], features[1], atol=1e-4)


def test_features_are_those_of_open_clips_own_transform_and_tokenizer(named, file, photo) -> None:
    from PIL import Image

    name, settings = named
    encoder = OpenClip(name, file, device="cpu", **settings)
    config = open_clip.transform.PreprocessCfg(**encoder.model.visual.preprocess_cfg)
    pixels = open_clip.transform.image_transform_v2(config, is_train=False)(Image.fromarray(photo))[None]
    with torch.inference_mode():
        image = encoder.model.encode_image(pixels, normalize=True).numpy()
        text = encoder.model.encode_text(encoder.tokenizer(["a red dog"]), normalize=True).numpy()
    assert np.allclose(encoder.encode_images([photo]), image, atol=1e-5)
    assert np.allclose(encoder.encode_texts(["a red dog"]), text, atol=1e-5)


def test_each_is_a_dense_scorer(named, file, photo) -> None:
    name, settings = named
    scorer = DenseOpenClip(name, file, device="cpu", **settings)
    masks = np.zeros((2, 40, 60), bool)
    masks[0, :20], masks[1, 20:] = True, True
    scores = scorer.score_pairs(photo, masks, ["a red dog", "the cat", "a dog"])
    assert scores.shape == (3, 2) and scores.dtype == np.float32 and np.abs(scores).max() <= 100
    assert len(np.unique(scores)) == 6


def test_what_tags_disagree_on_is_left_open_until_one_is_named() -> None:
    assert trained_ways("ViT-SO400M-14-SigLIP2-378", None)["mean"] == HALF
    ways = trained_ways("ViT-L-14", None)
    assert "mean" not in ways and "quick_gelu" not in ways and ways["resize_mode"] == "shortest"
    assert trained_ways("ViT-L-14", "laion2b_s32b_b82k")["mean"] == HALF
    assert trained_ways("ViT-L-14", "openai")["quick_gelu"] is True
    with pytest.raises(SscError, match="ViT-L-14 has no tag 'opnai'; its tags: openai"):
        trained_ways("ViT-L-14", "opnai")


def test_a_tokenizer_that_is_not_there_is_named_at_once(tmp_path: Path, no_network) -> None:
    (tmp_path / "file.safetensors").write_bytes(b"")
    with pytest.raises(SscError, match="set `tokenizer` to a local folder"):
        OpenClip(METACLIP, str(tmp_path / "file.safetensors"), device="cpu")
    with pytest.raises(SscError, match="there is no folder weights/none"):
        OpenClip(SIGLIP, str(tmp_path / "file.safetensors"), tokenizer="weights/none", device="cpu")
    with pytest.raises(SscError, match="CLIP's own tokenizer; leave `tokenizer` out"):
        OpenClip(PE, str(tmp_path / "file.safetensors"), tokenizer=str(tmp_path), device="cpu")
