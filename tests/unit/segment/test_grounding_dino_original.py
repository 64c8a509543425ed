from __future__ import annotations

import pytest
import torch

from ssc_core.errors import SscError
from ssc_core.pretrained import load_tokenizer
from ssc_core.segment.captions import captions_of
from ssc_core.segment.grounding_dino import GroundingDino
from ssc_core.segment.grounding_dino_build import bert_config
from ssc_core.segment.grounding_dino_original import OriginalGroundingDino, build_original
from tests.unit.segment.conftest import smooth_photo

PROMPTS = [["dog", "hot dog"], ["person", "cat", "umbrellas"]]


@pytest.fixture(scope="module")
def checkpoint(tiny_bert, tmp_path_factory):
    """A file as the official one, of the official sizes with random weights and a small BERT."""
    torch.manual_seed(0)
    network = build_original(bert_config(tiny_bert), load_tokenizer(tiny_bert))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * (0.05 if parameter.ndim == 1 else 0.02))
    state = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
    path = tmp_path_factory.mktemp("official") / "groundingdino_swint_ogc.pth"
    torch.save({"model": {**state, "module.label_enc.weight": torch.zeros(2, 256)}}, path)
    return path


def test_both_implementations_give_the_same_boxes_and_logits(checkpoint, tiny_bert):
    """Two photos with different prompts. Queries are ranked by their scores, of which random weights make near ties:
    float32 would rank some of them by its rounding, so this is in float64."""
    settings = {"tokenizer": str(tiny_bert), "short_side": 192, "long_side": 256, "device": "cpu"}
    backends = [kind(str(checkpoint), **settings) for kind in (OriginalGroundingDino, GroundingDino)]
    ready = [backends[0].prepare(smooth_photo(48, 64, seed)) for seed in range(2)]
    captions = [captions_of(prompt, backends[0]._tokenizer, 256)[0] for prompt in PROMPTS]
    pixels, mask = backends[0]._pixels(ready)
    found = []
    for backend in backends:
        backend.network.double()
        with torch.inference_mode():
            logits, boxes = backend._forward(pixels.double(), mask, range(len(captions)), captions)
        found.append((logits, boxes))
    (logits, boxes), (other_logits, other_boxes) = found
    assert boxes.shape == (2, 900, 4) and boxes.std() > 0.05
    assert torch.allclose(boxes, other_boxes, atol=1e-3)
    for row, caption in enumerate(captions):
        own = slice(0, len(caption.token_ids))
        assert logits[row, :, own].std() > 0.1
        assert torch.allclose(logits[row, :, own], other_logits[row, :, own], atol=1e-3)


def test_a_file_of_another_network_is_an_error(checkpoint, tiny_bert, tmp_path):
    torch.save({"model": {"module.label_enc.weight": torch.zeros(2)}}, tmp_path / "other.pth")
    for kind in (OriginalGroundingDino, GroundingDino):
        with pytest.raises(SscError, match="no GroundingDINO Swin-T checkpoint"):
            kind(str(tmp_path / "other.pth"), tokenizer=str(tiny_bert), device="cpu")


def test_the_checkpoint_needs_a_tokenizer(tmp_path):
    (tmp_path / "a.pth").write_bytes(b"")
    for kind in (OriginalGroundingDino, GroundingDino):
        with pytest.raises(SscError, match="set `tokenizer:`"):
            kind(str(tmp_path / "a.pth"), device="cpu")
