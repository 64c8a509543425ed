"""Networks of the published sizes, or small ones, with random weights that are made on the spot; photos and boxes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import nn

if TYPE_CHECKING:
    from ssc_core.correct.text import ReferringSegmenter

PROMPT = ("person", "dog", "umbrella")
SMALL_SWIN = {"embed_dim": 24, "depths": (1, 1, 2, 1), "heads": (1, 2, 4, 8), "window": 6}
NOISE = 0.02
"""Beside weights that are mostly about 0.02 themselves."""
SMALL_SAM = {
    "image_size": 256,
    "prompt_embed_dim": 64,
    "encoder": {
        "embed_dim": 64,
        "depth": 4,
        "num_heads": 4,
        "patch_size": 16,
        "window_size": 7,
        "global_attn_indexes": [1, 3],
    },
    "decoder": {"num_heads": 4, "mlp_dim": 128, "iou_head_hidden_dim": 64},
}


def photos(count: int, height: int = 480, width: int = 640) -> list[np.ndarray]:
    """Blobs of colours, uint8 (H, W, 3), different ones."""
    rng = np.random.default_rng(0)
    size, way = (width, height), Image.Resampling.BICUBIC
    blobs = [Image.fromarray(rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)) for _ in range(count)]
    return [np.asarray(blob.resize(size, way)) for blob in blobs]


def boxes(count: int, largest: int = 420) -> np.ndarray:
    """Corners float32 (count, 4) within ``largest`` pixels."""
    corners = np.sort(np.random.default_rng(0).uniform(0, largest, (count, 2, 2)), axis=1)
    return corners.reshape(count, 4).astype(np.float32)


def save_detector(folder: Path, *, small: bool, noise: float = NOISE) -> None:
    """GroundingDINO with Swin-T and BERT base, or small, and a tokenizer of few words. noise: as ``stir`` has it."""
    from transformers import GroundingDinoConfig, GroundingDinoForObjectDetection, SwinConfig

    settings: dict[str, Any] = {"disable_custom_kernels": True}
    if small:
        swin: dict[str, Any] = {"depths": [1, 1, 1, 1], "num_heads": [1, 2, 4, 8], "out_indices": [2, 3, 4]}
        backbone = SwinConfig(image_size=96, embed_dim=24, window_size=7, **swin)
        text = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
        settings |= {
            "backbone_config": backbone,
            "text_config": {"model_type": "bert", "vocab_size": 30522, **text},
            "d_model": 64,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "encoder_ffn_dim": 128,
            "decoder_ffn_dim": 128,
            "num_queries": 50,
        }
    torch.manual_seed(0)
    network = GroundingDinoForObjectDetection(GroundingDinoConfig(**settings))
    stir(network, noise)
    network.save_pretrained(folder)
    _save_tokenizer(folder)


def _save_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    ids = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, ",": 1010, ".": 1012, "?": 1029}
    ids |= {word: 2000 + i for i, word in enumerate(PROMPT)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 101), ("[SEP]", 102)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)


def save_sam_folder(folder: Path, size: str, noise: float = NOISE) -> None:
    """SAM of its authors' package. size: ``vit_b``, ``vit_l``, ``vit_h`` or ``small``."""
    from ssc_core.segment.sam_build import CONFIGS, build_sam, save_sam

    config = {**CONFIGS, "small": SMALL_SAM}[size]
    torch.manual_seed(0)
    sam = build_sam(config)
    stir(sam, noise)
    save_sam(sam, config, folder)


def save_sam2(folder: Path) -> None:
    """A small SAM 2 of transformers: for machines without the package of SAM's authors."""
    from transformers import Sam2Config, Sam2Model

    hiera = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": 16,
        "num_attention_heads": 1,
        "image_size": [256, 256],
        "blocks_per_stage": [1, 2, 2, 1],
        "embed_dim_per_stage": [16, 32, 64, 128],
        "num_attention_heads_per_stage": [1, 2, 4, 8],
        "window_size_per_stage": [8, 4, 8, 4],
        "global_attention_blocks": [4],
        "window_positional_embedding_background_size": [7, 7],
    }
    vision = {
        "model_type": "sam2_vision_model",
        "backbone_config": hiera,
        "backbone_channel_list": [128, 64, 32, 16],
        "backbone_feature_sizes": [[64, 64], [32, 32], [16, 16]],
        "fpn_hidden_size": 32,
    }
    prompts = {"hidden_size": 32, "image_size": 256}
    decoder = {"hidden_size": 32, "mlp_dim": 64, "num_attention_heads": 2, "iou_head_hidden_dim": 32}
    torch.manual_seed(0)
    network = Sam2Model(Sam2Config(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder))
    stir(network)
    network.save_pretrained(folder)


def make_lavt(*, small: bool, drop_path: float = 0.0, checkpoint_activations: bool = False) -> ReferringSegmenter:
    """LAVT with Swin base and BERT base, or with Swin and BERT of a micro world's sizes; on the CPU."""
    from transformers import BertConfig

    from ssc_core.correct.lavt.network import LAVT
    from ssc_core.correct.lavt.swin import SwinArchitecture
    from ssc_core.correct.text import ReferringSegmenter, TextEncoder

    sizes: dict[str, Any] = {
        "hidden_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 128,
    }
    torch.manual_seed(0)
    config = BertConfig(vocab_size=30522, **(sizes if small else {}))
    swin: Any = SwinArchitecture(**SMALL_SWIN) if small else "base"  # type: ignore[arg-type]
    more = {"drop_path": drop_path, "checkpoint_activations": checkpoint_activations}
    lavt = LAVT(swin, text_dim=config.hidden_size, **more)  # type: ignore[arg-type]
    return ReferringSegmenter(lavt, TextEncoder(config))


def stir(network: nn.Module, scale: float = NOISE) -> None:
    """Add noise to all weights: many are zeros or ones at first, with which half of a network would do nothing."""
    if not scale:
        return
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * scale)


def words(samples: int, length: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids of BERT and attention, int64 (samples, length), the last sentence shorter than the others."""
    ids = np.random.default_rng(1).integers(1, 400, (samples, length))
    attention = np.ones_like(ids)
    attention[-1, length // 2 :] = 0
    return torch.from_numpy(ids), torch.from_numpy(attention)


def candidate_masks(side: int, counts: Sequence[int]) -> np.ndarray:
    """Rectangles bool (sum of counts, side, side) of clearly different sizes."""
    masks = np.zeros((sum(counts), side, side), dtype=bool)
    for row, mask in enumerate(masks):
        edge = side // 8 + row * side // (2 * len(masks))
        start = (row * 7) % (side - edge)
        mask[start : start + edge, side // 10 : side // 10 + edge] = True
    return masks
