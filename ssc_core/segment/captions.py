"""Classes to GroundingDINO's caption, and token probabilities back to classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Caption:
    """A caption that asks for some classes of a prompt.

    text: the classes joined by a separator, in lower case, with a final "."; labels: index in the prompt, a class;
    token_ids: (T,), with the special tokens; class_tokens: bool (classes, T), which tokens are a class's own.
    """

    text: str
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    token_ids: tuple[int, ...]
    class_tokens: np.ndarray


def captions_of(prompt: Sequence[str], tokenizer: Any, max_tokens: int, separator: str = ", ") -> list[Caption]:
    """Captions for all classes of a prompt: one, or several when they do not fit into ``max_tokens``.

    A single class that does not fit is cut. tokenizer: a fast BERT tokenizer. No classes give no captions.
    """
    return [
        _caption([prompt[label] for label in labels], labels, tokenizer, max_tokens, separator)
        for labels in _fitting(prompt, tokenizer, max_tokens)
    ]


def labels_by_token_spans(probabilities: np.ndarray, caption: Caption) -> np.ndarray:
    """The class with the highest mean probability over its own tokens, for each query: labels int64 (Q,).

    probabilities: (Q, T). Ties go to the class that is asked for first. Every query gets a class.
    """
    counts = caption.class_tokens.sum(axis=1)
    means = probabilities @ caption.class_tokens.T / np.maximum(counts, 1)
    return np.array(caption.labels, dtype=np.int64)[means.argmax(axis=1)]


def labels_by_exact_phrase(
    probabilities: np.ndarray, caption: Caption, tokenizer: Any, text_threshold: float
) -> np.ndarray:
    """The class whose text equals the tokens above ``text_threshold``, for each query: labels int64 (Q,), -1 for none.

    This is how the published code does it. Two classes above the threshold, half of a class, or [CLS] or [SEP] beside
    one, match no class.
    """
    label_of = dict(zip(reversed(caption.classes), reversed(caption.labels), strict=True))
    above = probabilities > text_threshold
    ids = np.array(caption.token_ids)
    phrases = [tokenizer.decode(ids[row].tolist()).replace(".", "").strip() for row in above]
    return np.array([label_of.get(phrase, -1) for phrase in phrases], dtype=np.int64)


def _caption(classes: Sequence[str], labels: Sequence[int], tokenizer: Any, max_tokens: int, separator: str) -> Caption:
    texts = [_clean(name) for name in classes]
    text = separator.join(texts) + "."
    encoded = tokenizer(
        text, truncation=True, max_length=max_tokens, return_offsets_mapping=True, return_special_tokens_mask=True
    )
    special = np.array(encoded["special_tokens_mask"], dtype=bool)
    starts, ends = np.array(encoded["offset_mapping"]).T
    class_tokens = np.zeros((len(texts), len(special)), dtype=bool)
    position = 0
    for row, name in enumerate(texts):
        class_tokens[row] = (starts >= position) & (ends <= position + len(name)) & (ends > starts) & ~special
        position += len(name) + len(separator)
    return Caption(text, tuple(labels), tuple(texts), tuple(encoded["input_ids"]), class_tokens)


def _fitting(prompt: Sequence[str], tokenizer: Any, max_tokens: int) -> Iterator[list[int]]:
    """Labels in runs that fit into a caption."""
    around = len(tokenizer(".")["input_ids"])
    run: list[int] = []
    used = around
    for label, name in enumerate(prompt):
        length = len(tokenizer(f"{_clean(name)},", add_special_tokens=False)["input_ids"])
        if run and used + length > max_tokens:
            yield run
            run, used = [], around
        run.append(label)
        used += length
    if run:
        yield run


def _clean(name: str) -> str:
    return " ".join(name.lower().split())
