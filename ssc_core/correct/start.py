"""LAVT as training starts from it: what the network name ``lavt`` stands for."""

from __future__ import annotations

from pathlib import Path

from ssc_core.config.training import NetworkSettings
from ssc_core.correct.lavt.network import LAVT
from ssc_core.correct.lavt.swin import SwinArchitecture
from ssc_core.correct.lavt.swin_weights import load_swin_22k
from ssc_core.correct.part_weights import load_part
from ssc_core.correct.text import ReferringSegmenter, load_text


def build_segmenter(
    network: NetworkSettings, *, pretrained: bool = True, checkpoint_activations: bool = False
) -> ReferringSegmenter:
    """LAVT at random, with BERT's weights and, where ``pretrained``, those of ``swin_weights``; seed torch before.

    ``swin_weights`` is an official file, or safetensors with LAVT's names. ``checkpoint_activations``: as of ``LAVT``.
    Raises SscError when weights cannot be read or do not fit the sizes.
    """
    _, bert = load_text(network.bert, network.tokenizer, longest=network.max_tokens)
    swin = network.swin if isinstance(network.swin, str) else SwinArchitecture(**network.swin.model_dump())
    lavt = LAVT(
        swin,
        network.window,
        fusion_heads=network.fusion_heads,
        text_dim=bert.config.hidden_size,
        drop_path=network.drop_path,
        fusion_dropout=network.fusion_dropout,
        checkpoint_activations=checkpoint_activations,
        decoder_width=network.decoder_width,
    )
    if pretrained and network.swin_weights is not None:
        path = Path(network.swin_weights)
        load_part(lavt, path) if path.suffix == ".safetensors" else load_swin_22k(lavt, path)
    return ReferringSegmenter(lavt, bert, network.trainable_bert_layers)
