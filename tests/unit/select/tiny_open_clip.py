"""open_clip's models by their published names, at a small size."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import open_clip
import timm
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer

SIGLIP, PE, METACLIP, MOBILECLIP = "ViT-B-32-SigLIP2-256", "PE-Core-T-16-384", "ViT-H-14-worldwide", "MobileCLIP2-S0"
TAGS = {SIGLIP: "webli", PE: "meta", METACLIP: "metaclip2_worldwide", MOBILECLIP: "dfndr2b"}

SIZES = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 1, "num_heads": 2}


def small_siglip(pretrained: bool = False, **options: Any) -> VisionTransformer:
    return VisionTransformer(**SIZES, class_token=False, **_head(options))


def small_pe(pretrained: bool = False, **options: Any) -> Eva:
    return Eva(
        **SIZES,
        attn_type="rope",
        use_pre_transformer_norm=True,
        use_rot_pos_emb=True,
        ref_feat_shape=(4, 4),
        **_head(options),
    )


def _head(options: dict[str, Any]) -> dict[str, Any]:
    """Of what open_clip asks timm for, what makes the head."""
    return {key: options[key] for key in ("num_classes", "global_pool") if key in options}


TOWERS = {SIGLIP: small_siglip, PE: small_pe}


def has_own_tokenizer(name: str) -> bool:
    """Whether a model has another tokenizer than CLIP's."""
    return "hf_tokenizer_name" in open_clip.get_model_config(name)["text_cfg"]


def small(name: str, words: Path) -> Iterator[tuple[dict[str, Any], str, Any]]:
    """What is to be put where (mapping, key, value) so that a name stands for a small network, but for MobileCLIP's
    image tower, which is as it is. words: folder of an open_clip model, whose tokenizer is taken where the name has not
    CLIP's."""
    config = copy.deepcopy(open_clip.get_model_config(name))
    config["embed_dim"] = 32
    config["vision_cfg"]["image_size"] = 64 if name == MOBILECLIP else 32
    config["text_cfg"] |= {"width": 32, "heads": 2, "layers": 1}
    if name in TOWERS:
        tower = f"small_{TOWERS[name].__name__}"
        yield timm.models._registry._model_entrypoints, tower, TOWERS[name]
        config["vision_cfg"]["timm_model_name"] = tower
    elif name == METACLIP:
        config["vision_cfg"] |= {"layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
    if has_own_tokenizer(name):
        known = json.loads((words / "open_clip_config.json").read_text())["model_cfg"]["text_cfg"]
        config["text_cfg"] |= {"vocab_size": known["vocab_size"], "eos_id": known["eos_id"]}
    yield open_clip.factory._MODEL_CONFIGS, name, config


def save_weights(name: str, file: Path) -> Path:
    """Random ones of the network that a name stands for."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    network = open_clip.create_model(name)
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, file)
    return file
