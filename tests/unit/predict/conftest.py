"""Checkpoints of small networks, and a few photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import BertConfig

from ssc_core.checkout import HOME
from ssc_core.cli.config_files import read_config
from ssc_core.correct.checkpoints import save_checkpoint, save_published
from ssc_core.correct.lavt.network import LAVT
from ssc_core.correct.lavt.swin import SwinArchitecture
from ssc_core.correct.predictor import PUBLISHED_SIDE
from ssc_core.correct.start import build_segmenter
from ssc_core.correct.text import ReferringSegmenter, TextEncoder, load_tokenizer

BERT = str(HOME / "resources/micro/lavt/bert")


@pytest.fixture(scope="session")
def micro_network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The micro network with a random decoder, in our format."""
    network = read_config(find_models=True).network
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("network") / "micro.pt"
    save_checkpoint(path, build_segmenter(network, pretrained=False), {"network": network.model_dump(mode="json")}, {})
    return path


@pytest.fixture(scope="session")
def both_formats(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small random network in our format and in the published one, whose BERT heads always have 64 channels."""
    torch.manual_seed(0)
    swin = SwinArchitecture(embed_dim=8, depths=(1, 1, 1, 1), heads=(1, 2, 2, 4), window=3)
    bert = BertConfig(
        vocab_size=len(load_tokenizer(BERT)),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=1,
        intermediate_size=64,
        max_position_embeddings=40,
    )
    segmenter = ReferringSegmenter(LAVT(swin, text_dim=64), TextEncoder(bert))
    folder = tmp_path_factory.mktemp("formats")
    save_checkpoint(folder / "ours.pt", segmenter, {"network": {"image_size": PUBLISHED_SIDE, "bert": BERT}}, {})
    save_published(folder / "published.pth", segmenter)
    return folder / "ours.pt", folder / "published.pth"


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photos of different sizes."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for name, size in {"a.png": (60, 90), "b.png": (110, 70), "c.png": (96, 96)}.items():
        blocks = rng.integers(0, 255, (size[0] // 10, size[1] // 10, 3)).astype(np.uint8)
        Image.fromarray(blocks).resize(size[::-1], Image.Resampling.BICUBIC).save(folder / name)
    return folder
