"""Read a network's sizes off the shapes of its weights, for checkpoints that do not state them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field, ValidationError
from torch import Tensor

from ssc_core.errors import SscError

BERT_FIELDS = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
    "hidden_act",
    "layer_norm_eps",
)
"""What a ``transformers.BertConfig`` needs; dropout is not used."""


def infer_architecture(
    model: Mapping[str, Tensor], bert_model: Mapping[str, Tensor], args: Mapping[str, Any]
) -> dict[str, Any]:
    """Sizes of a published LAVT and its BERT, in the form of ``checkpoints.architecture_of``.

    Heads of the pixel-word attention leave no trace in shapes: they are in ``args["mha"]`` ("4-4-4-4"), else 1. BERT's
    heads have 64 channels, as in all published sizes. Raises SscError when the weights are not those of a LAVT.
    """
    try:
        return {
            "swin": _swin(model),
            "fusion_heads": [int(heads) for heads in str(args.get("mha") or "1-1-1-1").split("-")],
            "text_dim": model["backbone.layers.0.fusion.image_lang_att.f_key.0.weight"].shape[1],
            "decoder_width": model["classifier.conv1_1.weight"].shape[1],
            "bert": assumed_bert(bert_model),
        }
    except (KeyError, IndexError, ValueError) as error:
        raise SscError(f"these are not the weights of a LAVT and a BERT: cannot find {error}") from error


class _SavedBert(BaseModel):
    num_attention_heads: int = Field(ge=1)
    hidden_act: str
    layer_norm_eps: float = Field(gt=0)


UNSEEN_BERT_FIELDS = tuple(_SavedBert.model_fields)
"""Those of ``BERT_FIELDS`` that leave no trace in shapes."""


class _Saved(BaseModel):
    """What leaves no trace in shapes. The sizes beside it say nothing that these do not, and may claim anything."""

    fusion_heads: tuple[int, int, int, int]
    bert: _SavedBert


def with_saved(sizes: Mapping[str, Any], saved: Any) -> dict[str, Any]:
    """``sizes`` of ``infer_architecture``, with what our files say beside their weights. Raises SscError for others."""
    try:
        told = _Saved.model_validate(saved).model_dump()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, ("architecture", *first["loc"])))
        raise SscError(f"its settings are not of our form: {where}: {first['msg']}") from error
    return {**sizes, "fusion_heads": list(told["fusion_heads"]), "bert": {**sizes["bert"], **told["bert"]}}


def bert_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A BERT state dict with today's key names: no position ids (a constant), LayerNorm weight and bias."""
    renamed = {
        key.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias"): value
        for key, value in state.items()
    }
    renamed.pop("embeddings.position_ids", None)
    return renamed


def without_bert(model: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take the BERT out of the state dict of a LAVT-One, whatever it is called there; empty where there is none."""
    words = "embeddings.word_embeddings.weight"
    prefix = next((key.removesuffix(words) for key in model if key.endswith(f".{words}")), None)
    if prefix is None:
        return {}
    keys = [key for key in model if key.startswith(prefix)]
    return {key.removeprefix(prefix): model.pop(key) for key in keys}


def _swin(model: Mapping[str, Tensor]) -> dict[str, Any]:
    patches = model["backbone.patch_embed.proj.weight"]
    tables = [model[f"backbone.layers.{stage}.blocks.0.attn.relative_position_bias_table"].shape for stage in range(4)]
    return {
        "embed_dim": patches.shape[0],
        "depths": [_count(model, f"backbone.layers.{stage}.blocks.{{}}.norm1.weight") for stage in range(4)],
        "heads": [heads for _, heads in tables],
        "window": (round(tables[0][0] ** 0.5) + 1) // 2,
        "patch": patches.shape[-1],
    }


def assumed_bert(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """``BERT_FIELDS`` by a BERT's shapes; of what these do not show, as all published sizes have it."""
    vocabulary, hidden = state["embeddings.word_embeddings.weight"].shape
    return {
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "num_hidden_layers": _count(state, "encoder.layer.{}.output.dense.weight"),
        "num_attention_heads": max(1, hidden // 64),
        "intermediate_size": state["encoder.layer.0.intermediate.dense.weight"].shape[0],
        "max_position_embeddings": state["embeddings.position_embeddings.weight"].shape[0],
        "type_vocab_size": state["embeddings.token_type_embeddings.weight"].shape[0],
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
    }


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    number = 0
    while pattern.format(number) in state:
        number += 1
    return number
