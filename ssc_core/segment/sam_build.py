"""Segment Anything networks from a description, at the published sizes or at any other, and their weights files.

The network is the ``segment_anything`` package's ``Sam``; only its sizes are ours to choose. A folder of ours holds
``config.json`` (the description) and ``model.safetensors`` (the state dict of ``Sam``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from ssc_core.claimed_sizes import as_large_as
from ssc_core.errors import FETCH, SscError
from ssc_core.files import atomic_path, read_json
from ssc_core.tensor_checks import check_digest
from ssc_core.tensor_files import named_tensors, read_safetensors, read_torch, state_dict_of

_DECODER = {"transformer_depth": 2, "num_heads": 8, "mlp_dim": 2048, "iou_head_depth": 3, "iou_head_hidden_dim": 256}


def _published(embed_dim: int, depth: int, num_heads: int, global_attn_indexes: list[int]) -> dict[str, Any]:
    encoder: dict[str, Any] = {
        "embed_dim": embed_dim,
        "depth": depth,
        "num_heads": num_heads,
        "patch_size": 16,
        "window_size": 14,
    }
    encoder["global_attn_indexes"] = global_attn_indexes
    return {"image_size": 1024, "prompt_embed_dim": 256, "encoder": encoder, "decoder": dict(_DECODER)}


CONFIGS: dict[str, dict[str, Any]] = {
    "vit_b": _published(768, 12, 12, [2, 5, 8, 11]),
    "vit_l": _published(1024, 24, 16, [5, 11, 17, 23]),
    "vit_h": _published(1280, 32, 16, [7, 15, 23, 31]),
}
"""The three published sizes (Kirillov et al., arXiv 2304.02643)."""


def build_sam(config: Mapping[str, Any]) -> Sam:
    """A ``Sam`` in eval mode, randomly initialised.

    config: ``image_size`` (input side, a multiple of the patch size), ``prompt_embed_dim``, ``encoder`` (``embed_dim,
    depth, num_heads, patch_size, window_size, global_attn_indexes``, and optionally ``mlp_ratio``), ``decoder``
    (``transformer_depth, num_heads, mlp_dim, iou_head_depth, iou_head_hidden_dim``), optionally ``mask_in_chans``,
    ``pixel_mean`` and ``pixel_std`` (of 0..255 RGB). Raises SscError when a key is missing, and for sizes that do
    not fit.
    """
    try:
        side, width = int(config["image_size"]), int(config["prompt_embed_dim"])
        encoder, decoder = config["encoder"], {**_DECODER, **config.get("decoder", {})}
        patch = int(encoder["patch_size"])
        if side % patch:
            raise SscError(f"SAM config: image_size {side} is no multiple of patch_size {patch}")
        if width % 8 or (width // 2) % decoder["num_heads"]:
            raise SscError(
                f"SAM config: prompt_embed_dim {width} must be a multiple of 8 and of twice the decoder's num_heads "
                f"({decoder['num_heads']})"
            )
        grid = side // patch
        sam = Sam(
            image_encoder=ImageEncoderViT(
                img_size=side,
                patch_size=patch,
                embed_dim=encoder["embed_dim"],
                depth=encoder["depth"],
                num_heads=encoder["num_heads"],
                mlp_ratio=encoder.get("mlp_ratio", 4.0),
                out_chans=width,
                norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
                use_rel_pos=True,
                window_size=encoder["window_size"],
                global_attn_indexes=tuple(encoder["global_attn_indexes"]),
            ),
            prompt_encoder=PromptEncoder(
                embed_dim=width,
                image_embedding_size=(grid, grid),
                input_image_size=(side, side),
                mask_in_chans=config.get("mask_in_chans", 16),
            ),
            mask_decoder=MaskDecoder(
                transformer_dim=width,
                transformer=TwoWayTransformer(
                    depth=decoder["transformer_depth"],
                    embedding_dim=width,
                    num_heads=decoder["num_heads"],
                    mlp_dim=decoder["mlp_dim"],
                ),
                iou_head_depth=decoder["iou_head_depth"],
                iou_head_hidden_dim=decoder["iou_head_hidden_dim"],
            ),
            pixel_mean=list(config.get("pixel_mean", (123.675, 116.28, 103.53))),
            pixel_std=list(config.get("pixel_std", (58.395, 57.12, 57.375))),
        )
    except KeyError as error:
        raise SscError(f"SAM config: the key {error} is missing") from error
    except (TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        problem = " ".join(str(error).split())
        raise SscError(f"SAM config: there is no such network ({problem:.200})") from error
    return sam.eval()


def save_sam(sam: Sam, config: Mapping[str, Any], folder: Path) -> None:
    """Write ``config.json`` and ``model.safetensors`` (fp32) into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / "config.json") as temporary:
        temporary.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    state = {name: tensor.detach().float().cpu().contiguous() for name, tensor in sam.state_dict().items()}
    with atomic_path(folder / "model.safetensors") as temporary:
        save_file(state, temporary, metadata={"format": "pt"})


def load_sam(model: str, checkpoint: str | None = None) -> Sam:
    """A ``Sam`` with weights, in eval mode, on the CPU.

    model: ``vit_h``, ``vit_l`` or ``vit_b`` with the official ``checkpoint``, or a folder of ``save_sam``.
    Raises SscError when a file is missing or damaged, or its tensors are not those of the network.
    """
    if model in CONFIGS:
        if checkpoint is None:
            raise SscError(
                f"SAM {model} needs `checkpoint:`, the path of the official weights file (sam_{model}_*.pth)"
            )
        config, weights = CONFIGS[model], Path(checkpoint)
    else:
        folder = Path(model)
        if not folder.is_dir():
            raise SscError(f"SAM model '{model}' is neither {', '.join(CONFIGS)} nor a folder with config.json")
        check_digest(folder / "config.json")
        config, weights = read_json(folder / "config.json"), Path(checkpoint or folder / "model.safetensors")
    state = read_state_dict(weights)
    with as_large_as(weights):
        sam = build_sam(config)
    mismatch = _load_strictly(sam, state)
    if mismatch:
        raise SscError(f"{weights} does not hold the weights of SAM '{model}': {mismatch}")
    return sam


def read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a ``.safetensors`` or ``.pth`` file, at its top or under ``model``. Raises SscError for all else."""
    if not path.is_file():
        raise SscError(f"weights file {path} does not exist; {FETCH}")
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    content = read_torch(path)
    return state_dict_of(path, content, "model") if "model" in content else named_tensors(path, content)


def _load_strictly(network: torch.nn.Module, state: Mapping[str, torch.Tensor]) -> str:
    """Load ``state``; return what does not fit, or ``""``."""
    own = network.state_dict()
    missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    if missing or unknown:
        return f"{len(missing)} tensors missing {missing[:3]}, {len(unknown)} unknown {unknown[:3]}"
    misfits = [name for name in own if own[name].shape != state[name].shape]
    if misfits:
        name = misfits[0]
        return f"{name} has shape {tuple(state[name].shape)}, not {tuple(own[name].shape)}"
    network.load_state_dict(dict(state))
    return ""
