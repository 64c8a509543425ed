"""The sentence side: BERT, its tokenizer, and the segmenter that joins BERT and LAVT."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertModel, BertTokenizer

from ssc_core.correct.lavt.decay import decay_groups
from ssc_core.correct.lavt.network import LAVT
from ssc_core.errors import FETCH, SscError
from ssc_core.pretrained import load_network, local_folder
from ssc_core.tensor_checks import check_tokenizer

OTHER_HEADS = (r"^cls\.", r"^(bert\.)?pooler\.", r"^(classifier|qa_outputs)\.")
"""What BERTs that were trained for another task have beside their layers."""


class TextEncoder(BertModel):
    """BERT without pooler. Its state dict has the key names of the published files' ``bert_model`` entry.

    It stays in eval mode while it is trained, as published: no dropout.
    """

    def __init__(self, config: Any) -> None:
        super().__init__(config, add_pooling_layer=False)
        self.eval()

    def train(self, mode: bool = True) -> TextEncoder:
        """Stay in eval mode, whatever ``mode`` is."""
        return super().train(False)

    def train_only_first(self, layers: int) -> None:
        """Give gradients to the first ``layers`` layers alone; the embeddings and the other layers are frozen."""
        total = self.config.num_hidden_layers
        if not 0 <= layers <= total:
            raise SscError(f"trainable_bert_layers is {layers}, but this BERT has {total} layers; use 0 to {total}")
        self.requires_grad_(False)
        self.encoder.layer[:layers].requires_grad_(True)


class ReferringSegmenter(nn.Module):
    """A photo and a sentence to a mask: LAVT on the words of BERT.

    ``trainable_layers``: BERT layers that are trained, from the first; the default is all but the last two, as
    published. The embeddings are never trained.
    """

    def __init__(self, lavt: LAVT, bert: TextEncoder, trainable_layers: int | None = None) -> None:
        super().__init__()
        if lavt.text_dim != bert.config.hidden_size:
            raise SscError(f"LAVT expects words of {lavt.text_dim} channels, this BERT gives {bert.config.hidden_size}")
        self.lavt = lavt
        self.bert = bert
        if trainable_layers is None:
            trainable_layers = max(0, bert.config.num_hidden_layers - 2)
        bert.train_only_first(trainable_layers)

    def forward(self, pixels: Tensor, ids: Tensor, mask: Tensor, photo_of: Tensor | None = None) -> Tensor:
        """Logits (B, 2, H, W), background first, for pixels (B, 3, H, W), ids and mask (B, T) from ``tokenize``;
        ``photo_of`` as in ``LAVT.forward``."""
        return self.lavt(pixels, self.encode(ids, mask), mask.unsqueeze(-1), photo_of)

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """As ``decay_groups`` has it."""
        return decay_groups(self, weight_decay)

    def encode(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Word features (B, text_dim, T), BERT's last hidden state, for ``lavt(pixels, words, mask[..., None])``."""
        return self.bert(input_ids=ids, attention_mask=mask).last_hidden_state.transpose(1, 2)


def load_text(
    path_or_name: Path | str, tokenizer_folder: Path | str | None = None, *, longest: int = 0
) -> tuple[BertTokenizer, TextEncoder]:
    """Tokenizer and BERT from a local folder in the ``bert-base-uncased`` layout, or a name in the local cache.

    tokenizer_folder: where the tokenizer lies, if not in the same; longest: tokens of a sentence that it will be given.
    Nothing is downloaded. Raises SscError when a folder is missing, incomplete, damaged or holds another kind of model,
    or as ``check_tokens`` does.
    """
    tokenizer = load_tokenizer(tokenizer_folder or path_or_name)
    bert = load_network(TextEncoder, local_folder(path_or_name), unused=OTHER_HEADS)
    check_tokens(bert, vocabulary=len(tokenizer), longest=longest, where=tokenizer_folder or path_or_name)
    return tokenizer, bert


def check_tokens(bert: TextEncoder, *, vocabulary: int, longest: int, where: Path | str) -> None:
    """Raise SscError, which begins with ``where``, unless BERT knows so many tokens, and takes sentences of so many."""
    known, places = bert.config.vocab_size, bert.config.max_position_embeddings
    if vocabulary > known:
        raise SscError(
            f"{where}: the tokenizer has {vocabulary} tokens, BERT knows {known}; take vocab.txt and the weights from "
            "the same model"
        )
    if longest > places:
        raise SscError(f"{where}: sentences have {longest} tokens (`network.max_tokens`), and this BERT takes {places}")


def load_tokenizer(path_or_name: Path | str) -> BertTokenizer:
    """The tokenizer alone, for workers that make batches. Raises SscError when it is missing."""
    if "/" in str(path_or_name) and not Path(path_or_name).is_dir():
        raise SscError(_unusable(path_or_name, FileNotFoundError("no such folder")))
    check_tokenizer(path_or_name)
    try:
        tokenizer = BertTokenizer.from_pretrained(path_or_name, local_files_only=True)
    except (OSError, ValueError, TypeError) as error:
        raise SscError(_unusable(path_or_name, error)) from error
    if len(tokenizer) <= len(tokenizer.all_special_tokens):  # what transformers makes of a folder without vocab.txt
        raise SscError(_unusable(path_or_name, ValueError("its vocabulary is missing or empty")))
    return tokenizer


def tokenize(tokenizer: BertTokenizer, sentences: Sequence[str], max_tokens: int = 20) -> tuple[Tensor, Tensor]:
    """Token ids and mask, both int64 (B, max_tokens): 1 in the mask at tokens, 0 at padding, whose id is 0.

    [CLS] and [SEP] count. Longer sentences are cut hard, as published: what is cut off includes [SEP].
    """
    ids = torch.zeros(len(sentences), max_tokens, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    if not sentences:
        return ids, mask
    for row, tokens in enumerate(tokenizer(list(sentences), verbose=False)["input_ids"]):
        tokens = tokens[:max_tokens]
        ids[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, : len(tokens)] = 1
    return ids, mask


def _unusable(path_or_name: Path | str, error: Exception) -> str:
    detail = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return (
        f"no usable BERT in {path_or_name} ({detail}); give a folder with config.json, vocab.txt and "
        f"model.safetensors or pytorch_model.bin, for example a copy of bert-base-uncased; {FETCH}"
    )
