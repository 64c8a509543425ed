"""GroundingDINO by its authors' package (``rf-groundingdino`` on PyPI), as a second opinion on transformers' port.

The package's wrapper of BERT needs functions that transformers 5 no longer has. It is not used: a BERT that takes the
model's phrase-wise attention masks goes in its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import nn
from transformers import BertConfig, BertModel

from ssc_core.checkout import install
from ssc_core.claimed_sizes import as_large_as
from ssc_core.errors import SscError
from ssc_core.pretrained import Attention, load_tokenizer
from ssc_core.segment.captions import Caption
from ssc_core.segment.grounding_dino import GroundingDino
from ssc_core.segment.grounding_dino_build import LoadedDetector, bert_config, tokenizer_folder
from ssc_core.segment.grounding_dino_convert import UNUSED, fit, read_official

MAX_TOKENS = 256

SWIN_T_OGC: Mapping[str, Any] = {
    "modelname": "groundingdino",
    "backbone": "swin_T_224_1k",
    "position_embedding": "sine",
    "pe_temperatureH": 20,
    "pe_temperatureW": 20,
    "return_interm_indices": [1, 2, 3],
    "backbone_freeze_keywords": None,
    "enc_layers": 6,
    "dec_layers": 6,
    "pre_norm": False,
    "dim_feedforward": 2048,
    "hidden_dim": 256,
    "dropout": 0.0,
    "nheads": 8,
    "num_queries": 900,
    "query_dim": 4,
    "num_patterns": 0,
    "num_feature_levels": 4,
    "enc_n_points": 4,
    "dec_n_points": 4,
    "two_stage_type": "standard",
    "two_stage_bbox_embed_share": False,
    "two_stage_class_embed_share": False,
    "transformer_activation": "relu",
    "dec_pred_bbox_embed_share": True,
    "dn_box_noise_scale": 1.0,
    "dn_label_noise_ratio": 0.5,
    "dn_labelbook_size": 2000,
    "embed_init_tgt": True,
    "max_text_len": MAX_TOKENS,
    "text_encoder_type": "given",
    "use_text_enhancer": True,
    "use_fusion_layer": True,
    "use_checkpoint": False,
    "use_transformer_ckpt": False,
    "use_text_cross_attention": True,
    "text_dropout": 0.0,
    "fusion_dropout": 0.0,
    "fusion_droppath": 0.1,
    "sub_sentence_present": True,
}
"""The official settings of Swin-T OGC; ``use_checkpoint`` and ``use_transformer_ckpt`` matter in training only."""


class OriginalGroundingDino(GroundingDino):
    """``GroundingDino`` with the network of the authors' package. model: the official ``.pth`` file."""

    @classmethod
    def _load(cls, model: str, tokenizer: str | None, attention: Attention | None) -> LoadedDetector:
        if attention is not None:
            raise SscError("the authors' package of GroundingDINO has one way to compute attention; leave it out")
        folder = tokenizer_folder(model, tokenizer)
        words = load_tokenizer(folder)
        bert = bert_config(folder)
        _authors_package()  # where it is not installed, that is no fault of the file
        try:
            with as_large_as(Path(model)):
                network = build_original(bert, words)
            own = network.state_dict().keys()
            official = {name: tensor for name, tensor in read_official(Path(model)).items() if name in own}
            fit(network, official, may_miss=UNUSED)
        except SscError as error:
            raise SscError(f"{model} is no GroundingDINO Swin-T checkpoint: {error}") from error
        return LoadedDetector(network.eval(), words, MAX_TOKENS)

    def _forward(
        self, pixels: torch.Tensor, pixel_mask: torch.Tensor, rows: Sequence[int], captions: Sequence[Caption]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One caption at a time: in a batch, the package gives most heads of its text layers another image's mask."""
        from groundingdino.util.misc import NestedTensor

        found = [
            self.network(NestedTensor(pixels[i : i + 1], pixel_mask[i : i + 1] == 0), captions=[caption.text])
            for i, caption in zip(rows, captions, strict=True)
        ]
        return torch.cat([out["pred_logits"] for out in found]), torch.cat([out["pred_boxes"] for out in found])


class BertWithTokenMask(BertModel):
    """BERT that takes a mask of which token sees which, bool (B, T, T), as GroundingDINO's captions need."""

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
    ) -> Any:
        return super().forward(
            input_ids=input_ids,
            attention_mask=attention_mask[:, None],
            token_type_ids=token_type_ids,
            position_ids=position_ids,
        )


def build_original(bert: BertConfig, tokenizer: Any) -> nn.Module:
    """The authors' network, randomly initialised, with our text encoder. Raises SscError without their package."""
    package = _authors_package()
    text = SimpleNamespace(
        get_tokenlizer=lambda _: tokenizer,
        get_pretrained_language_model=lambda _: BertWithTokenMask(bert),
    )
    with _replaced(package, get_tokenlizer=text, BertModelWarper=lambda bert_model: bert_model):
        return package.build_groundingdino(SimpleNamespace(**SWIN_T_OGC))


def _authors_package() -> ModuleType:
    try:
        from groundingdino.models.GroundingDINO import groundingdino
    except ImportError as error:
        raise SscError(
            f"the authors' GroundingDINO is not installed ('{error.name}' is missing): {install('original')}, "
            "or use the backend grounding_dino, which gives the same boxes"
        ) from error
    return groundingdino  # type: ignore[no-any-return]


@contextmanager
def _replaced(module: ModuleType, **names: Any) -> Iterator[None]:
    """Names of a module, replaced for a while and in this process only."""
    before = {name: getattr(module, name) for name in names}
    vars(module).update(names)
    try:
        yield
    finally:
        vars(module).update(before)
