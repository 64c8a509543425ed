"""One small WordPiece vocabulary for all text encoders of the micro world."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from transformers import BertTokenizerFast  # type: ignore[attr-defined]

SPECIAL = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103, ",": 1010, ".": 1012, "?": 1029}
"""BERT's own ids. GroundingDINO derives its text masks from 101, 102, 1012 and 1029, whatever the tokenizer says."""

FIRST_WORD = 104
SIZE = 1030


def build_vocabulary(texts: Iterable[str]) -> dict[str, int]:
    """Token ids: BERT's special ones, then characters and their continuations, then words by falling frequency.

    Characters are there so that an unknown word becomes letters and not [UNK]: no two words look the same.
    Raises ValueError when the words do not fit into SIZE.
    """
    counts = Counter(word for text in texts for word in re.findall(r"[a-z]+|[0-9]", text.lower()))
    characters = [*string.ascii_lowercase, *string.digits, "'", "-"]
    pieces = characters + [f"##{c}" for c in string.ascii_lowercase + string.digits]
    words = [word for word, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if len(word) > 1]
    free = [i for i in range(FIRST_WORD, SIZE) if i not in SPECIAL.values()]
    if len(pieces) + len(words) > len(free):
        raise ValueError(f"{len(words)} words do not fit into a vocabulary of {SIZE}")
    vocabulary = dict(SPECIAL)
    vocabulary.update(zip([*pieces, *words], free, strict=False))
    taken = set(vocabulary.values())
    vocabulary.update({f"[unused{i}]": i for i in range(SIZE) if i not in taken})
    return dict(sorted(vocabulary.items(), key=lambda item: item[1]))


def make_tokenizer(vocabulary: dict[str, int]) -> BertTokenizerFast:
    """A lower-casing BERT tokenizer over ``vocabulary``."""
    return BertTokenizerFast(vocab=vocabulary, do_lower_case=True)


def save_vocabulary(vocabulary: dict[str, int], path: Path) -> None:
    """One token a line, the line number being the id, as BERT's vocab.txt."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(vocabulary) + "\n", encoding="utf-8")


def load_vocabulary(path: Path) -> dict[str, int]:
    """Read what ``save_vocabulary`` wrote."""
    return {token: i for i, token in enumerate(path.read_text(encoding="utf-8").splitlines())}
