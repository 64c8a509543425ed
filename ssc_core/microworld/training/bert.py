"""A small BERT, pre-trained on the micro world's text by masked language modelling, as the big one was on books."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from transformers import BertConfig, BertForMaskedLM

from ssc_core.microworld.training.loop import fit, save_weights
from ssc_core.microworld.training.vocabulary import SIZE, make_tokenizer, save_vocabulary

MASK, CLS, SEP, PAD = 103, 101, 102, 0


def bert_config() -> BertConfig:
    """About 0.7 million parameters."""
    return BertConfig(
        vocab_size=SIZE,
        hidden_size=128,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=256,
        max_position_embeddings=64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


def train_bert(texts: list[str], vocabulary: dict[str, int], out: Path, *, steps: int, batch: int = 64, seed: int = 0) -> None:
    """Train on ``texts`` and write a transformers folder (no pooler, no head)."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    tokenizer = make_tokenizer(vocabulary)
    model = BertForMaskedLM(bert_config())
    ids = tokenizer(texts, truncation=True, max_length=32)["input_ids"]

    def step_loss(step: int) -> torch.Tensor:
        chosen = [ids[i] for i in rng.integers(len(ids), size=batch)]
        tokens = torch.zeros(batch, max(map(len, chosen)), dtype=torch.long)
        for row, sentence in zip(tokens, chosen, strict=True):
            row[: len(sentence)] = torch.tensor(sentence)
        masked, labels = _masked(tokens, rng)
        return model(input_ids=masked, attention_mask=(tokens != PAD).long(), labels=labels).loss

    fit(model, step_loss, steps=steps, lr=1e-3, warmup=100, average=0.995)
    out.mkdir(parents=True, exist_ok=True)
    model.bert.config.save_pretrained(out)
    save_weights(model.bert, out / "model.safetensors")
    tokenizer.save_pretrained(out)
    save_vocabulary(vocabulary, out / "vocab.txt")


def _masked(tokens: torch.Tensor, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """BERT's recipe with a quarter of the words instead of 15 %, since sentences have three: ids, and labels (-100)."""
    word = (tokens != PAD) & (tokens != CLS) & (tokens != SEP)
    draw = torch.from_numpy(rng.random(tokens.shape))
    picked = word & (draw < 0.25)
    labels = torch.where(picked, tokens, torch.full_like(tokens, -100))
    return torch.where(word & (draw < 0.22), torch.full_like(tokens, MASK), tokens), labels
