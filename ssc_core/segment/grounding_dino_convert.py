"""The official GroundingDINO checkpoint to transformers' key names, with every tensor accounted for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, GroundingDinoConfig, GroundingDinoForObjectDetection

from ssc_core.claimed_sizes import as_large_as
from ssc_core.errors import SscError
from ssc_core.pretrained import Attention
from ssc_core.segment.sam_build import read_state_dict

_SWIN = "model.backbone.conv_encoder.model"
_BLOCK = r"backbone\.0\.layers\.(\d+)\.blocks\.(\d+)"
_BLOCK_TO = rf"{_SWIN}.swin.encoder.layers.\1.blocks.\2"
_TEXT, _FUSION = r"transformer\.encoder\.text_layers\.(\d+)", r"transformer\.encoder\.fusion_layers\.(\d+)"
_DEFORMABLE, _DECODER = r"transformer\.encoder\.layers\.(\d+)", r"transformer\.decoder\.layers\.(\d+)"
_ENCODER_TO, _DECODER_TO = r"model.encoder.layers.\1", r"model.decoder.layers.\1"

RULES: tuple[tuple[str, str], ...] = (
    (r"backbone\.0\.patch_embed\.proj", f"{_SWIN}.swin.embeddings.patch_embeddings.projection"),
    (r"backbone\.0\.patch_embed\.norm", f"{_SWIN}.swin.embeddings.norm"),
    (rf"{_BLOCK}\.norm1", rf"{_BLOCK_TO}.layernorm_before"),
    (rf"{_BLOCK}\.norm2", rf"{_BLOCK_TO}.layernorm_after"),
    (rf"{_BLOCK}\.attn\.qkv", rf"{_BLOCK_TO}.attention.(q_proj,k_proj,v_proj)"),
    (rf"{_BLOCK}\.attn\.proj", rf"{_BLOCK_TO}.attention.o_proj"),
    (rf"{_BLOCK}\.attn\.(?=relative_position_bias_table)", rf"{_BLOCK_TO}.attention.relative_position_bias."),
    (rf"{_BLOCK}\.mlp", rf"{_BLOCK_TO}.mlp"),
    (r"backbone\.0\.layers\.(\d+)\.downsample", rf"{_SWIN}.swin.encoder.layers.\1.downsample"),
    (r"backbone\.0\.norm1", f"{_SWIN}.hidden_states_norms.stage2"),
    (r"backbone\.0\.norm2", f"{_SWIN}.hidden_states_norms.stage3"),
    (r"backbone\.0\.norm3", f"{_SWIN}.hidden_states_norms.stage4"),
    (r"bert\.", "model.text_backbone."),
    (r"feat_map\.", "model.text_projection."),
    (r"input_proj\.", "model.input_proj_vision."),
    # encoder: three modules a layer, in the file apart, in the port together
    (rf"{_DEFORMABLE}\.norm1", rf"{_ENCODER_TO}.deformable_layer.self_attn_layer_norm"),
    (rf"{_DEFORMABLE}\.norm2", rf"{_ENCODER_TO}.deformable_layer.final_layer_norm"),
    (rf"{_DEFORMABLE}\.linear", rf"{_ENCODER_TO}.deformable_layer.fc"),
    (rf"{_DEFORMABLE}\.self_attn", rf"{_ENCODER_TO}.deformable_layer.self_attn"),
    (rf"{_TEXT}\.norm1", rf"{_ENCODER_TO}.text_enhancer_layer.layer_norm_before"),
    (rf"{_TEXT}\.norm2", rf"{_ENCODER_TO}.text_enhancer_layer.layer_norm_after"),
    (rf"{_TEXT}\.linear", rf"{_ENCODER_TO}.text_enhancer_layer.fc"),
    (rf"{_TEXT}\.", rf"{_ENCODER_TO}.text_enhancer_layer."),
    (rf"{_FUSION}\.gamma_v", rf"{_ENCODER_TO}.fusion_layer.vision_param"),
    (rf"{_FUSION}\.gamma_l", rf"{_ENCODER_TO}.fusion_layer.text_param"),
    (rf"{_FUSION}\.", rf"{_ENCODER_TO}.fusion_layer."),
    # decoder
    (rf"{_DECODER}\.cross_attn", rf"{_DECODER_TO}.encoder_attn"),
    (rf"{_DECODER}\.norm1", rf"{_DECODER_TO}.encoder_attn_layer_norm"),
    (rf"{_DECODER}\.ca_text", rf"{_DECODER_TO}.encoder_attn_text"),
    (rf"{_DECODER}\.catext_norm", rf"{_DECODER_TO}.encoder_attn_text_layer_norm"),
    (rf"{_DECODER}\.norm2", rf"{_DECODER_TO}.self_attn_layer_norm"),
    (rf"{_DECODER}\.linear", rf"{_DECODER_TO}.fc"),
    (rf"{_DECODER}\.norm3", rf"{_DECODER_TO}.final_layer_norm"),
    (rf"{_DECODER}\.self_attn", rf"{_DECODER_TO}.self_attn"),
    (r"transformer\.decoder\.norm", "model.decoder.layer_norm"),
    (r"transformer\.decoder\.ref_point_head", "model.decoder.reference_points_head"),
    (r"transformer\.decoder\.bbox_embed", "model.decoder.bbox_embed"),
    (r"transformer\.enc_out_bbox_embed", "model.encoder_output_bbox_embed"),
    (r"transformer\.enc_output", "model.enc_output"),
    (r"transformer\.level_embed", "model.level_embed"),
    (r"transformer\.tgt_embed", "model.query_position_embeddings"),
    (r"bbox_embed\.", "bbox_embed."),
)
"""Beginnings of official names to beginnings of the port's; (a,b,c) stacks three modules in one tensor."""

_INSIDE: tuple[tuple[str, str], ...] = (
    (r"(?<=fusion_layer\.)layer_norm_v\b", "layer_norm_vision"),
    (r"(?<=fusion_layer\.)layer_norm_l\b", "layer_norm_text"),
    (r"(?<=fusion_layer\.attn\.)v_proj\b", "vision_proj"),
    (r"(?<=fusion_layer\.attn\.)l_proj\b", "text_proj"),
    (r"(?<=fusion_layer\.attn\.)values_v_proj\b", "values_vision_proj"),
    (r"(?<=fusion_layer\.attn\.)values_l_proj\b", "values_text_proj"),
    (r"(?<=fusion_layer\.attn\.)out_v_proj\b", "out_vision_proj"),
    (r"(?<=fusion_layer\.attn\.)out_l_proj\b", "out_text_proj"),
    (r"in_proj_(?=weight$|bias$)", "(query,key,value)."),
)

UNUSED = re.compile(r"label_enc\.|bert\.pooler\.|bert\.embeddings\.position_ids$|.*\.relative_position_index$")
"""Tensors that inference does not read: the denoising labels of training, BERT's pooler, and tables of indices."""

NOT_IN_FILE = re.compile(r".*\.swin\.layernorm\.")
"""A norm that the port has and never uses: it has one for each stage that is read."""


def convert_state_dict(official: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors by the port's names. Raises SscError for a name that no rule knows."""
    converted: dict[str, torch.Tensor] = {}
    for name, tensor in official.items():
        if UNUSED.match(name):
            continue
        target = _port_name(name)
        stacked = re.search(r"\((\w+),(\w+),(\w+)\)", target)
        if stacked is None:
            converted[target] = tensor
            continue
        for part, piece in zip(stacked.groups(), tensor.chunk(3), strict=True):
            converted[target.replace(stacked.group(), part)] = piece
    return converted


def load_official(path: Path, bert: BertConfig, attention: Attention | None = None) -> GroundingDinoForObjectDetection:
    """The Swin-T network of ``groundingdino_swint_ogc.pth``. Raises SscError unless every tensor has its place."""
    official = read_official(path)
    # the defaults of this config are the official Swin-T model
    options: dict[str, Any] = {} if attention is None else {"attn_implementation": attention}
    config = GroundingDinoConfig(text_config=bert, disable_custom_kernels=True, **options)
    try:
        with as_large_as(path):
            network = GroundingDinoForObjectDetection(config)
        fit(network, convert_state_dict(official))
    except SscError as error:
        raise SscError(f"{path} is no GroundingDINO Swin-T checkpoint: {error}") from error
    return network.eval()


def read_official(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of an official checkpoint, by their names without ``module.``."""
    return {name.removeprefix("module."): tensor for name, tensor in read_state_dict(path).items()}


def fit(network: torch.nn.Module, state: Mapping[str, torch.Tensor], may_miss: re.Pattern[str] = NOT_IN_FILE) -> None:
    """Load ``state`` into ``network``. Raises SscError when a tensor is missing, left over, or of another shape."""
    own = network.state_dict()
    missing = sorted(name for name in own.keys() - state.keys() if not may_miss.match(name))
    unknown = sorted(state.keys() - own.keys())
    if missing or unknown:
        raise SscError(f"{len(missing)} tensors missing {missing[:3]}, {len(unknown)} left over {unknown[:3]}")
    for name, tensor in state.items():
        if tensor.shape != own[name].shape:
            raise SscError(f"{name} has shape {tuple(tensor.shape)}, not {tuple(own[name].shape)}")
    network.load_state_dict(dict(state), strict=False)


def _port_name(name: str) -> str:
    for pattern, replacement in RULES:
        match = re.match(pattern, name)
        if match:
            target = match.expand(replacement) + name[match.end() :]
            for inside, to in _INSIDE:
                target = re.sub(inside, to, target)
            return target
    raise SscError(f"unknown tensor '{name}'")
