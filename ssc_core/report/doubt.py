"""Which choices a person should look at first, and why: signs of doubt, and one order.

A sign is a number by choice, the larger the more doubtful. Signs have no common scale, so each becomes a place among
the split's choices, from 0 to 1, equal ones in the middle of their places; several signs are the mean of these places.
Pages of labels, check.csv, ``ssc review`` and the simulated reviewer all go by ``judge`` and ``in_order``, which take
``label_rows.NUMBERS`` of a split's choices (N,).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata

REASONS = {
    "none": "Nothing chosen",
    "margin": "Two candidates score alike",
    "sentences": "Its sentences disagree",
    "scorers": "Its scorers disagree",
    "network": "A network means something else",
    "together": "Doubtful by all signs together",
    "unreadable": "The photo cannot be read",
    "empty": "Nothing found",
    "alone": "One candidate, nothing to choose from",
}
"""Why a choice is worth a look, in the order in which this is said."""

CHECKED = frozenset(REASONS) - {"alone"}
"""Those that a person should look at; a single candidate may well be right."""

SAME = 0.5
"""IoU below which two masks are of different objects."""

DOUBTFUL = 0.1
"""Share of a split's choices, from the most doubtful on, that are worth a look: what a margin is worth depends on the
scorer."""

TOGETHER = ("margin", "scorers", "network")
"""Signs that count together. Sentences that disagree do so where the margin is small, and alone find fewer wrong
choices than it does: they would only blur it (measured: docs/review.md)."""


def judge(
    numbers: np.ndarray,
    order: str = "doubt",
    decided: frozenset[int] = frozenset(),
    unreadable: frozenset[int] = frozenset(),
) -> None:
    """Write ``doubt`` and ``reasons`` of all choices. order: "doubt", the signs that count ``TOGETHER``, or the name of
    one; decided: refs that a person decided, which need no second look and get no reason; unreadable: ids of photos in
    which nothing was found since they cannot be read."""
    signs = signs_of(numbers)
    together = places([signs[name] for name in TOGETHER])
    numbers["doubt"] = together if order == "doubt" else places([signs[order]])
    alone_say = {
        "margin": _most(signs["margin"]),
        "sentences": signs["sentences"] > 0,
        "scorers": signs["scorers"] > 0,
        "network": numbers["network"] < SAME,
    }
    cannot_be_read = np.isin(numbers["image_id"], list(unreadable))
    known = np.any([~np.isnan(signs[name]) for name in TOGETHER], axis=0)
    holds = {
        **alone_say,
        "none": (numbers["found"] > 0) & (numbers["chosen"] < 0),
        # said only where no single one says why
        "together": _most(np.where(known, together, np.nan)) & ~np.any(list(alone_say.values()), axis=0),
        "unreadable": cannot_be_read,
        "empty": (numbers["found"] == 0) & ~cannot_be_read,
        "alone": numbers["found"] == 1,
    }
    open_to_all = ~np.isin(numbers["ref_id"], list(decided))
    numbers["reasons"] = sum(np.where(holds[reason] & open_to_all, bit(reason), 0) for reason in REASONS)


def in_order(numbers: np.ndarray) -> np.ndarray:
    """Places of the choices, the most doubtful first, int64 (N,). Before them those without a choice, and last those
    for which nothing was found, where there is nothing to choose."""
    chosen = (numbers["reasons"] & bit("none")) == 0
    return np.lexsort((-numbers["doubt"], chosen, numbers["found"] == 0))


def signs_of(numbers: np.ndarray) -> dict[str, np.ndarray]:
    """The signs by name, float64 (N,) each; NaN for choices that one knows nothing of."""
    return {
        "margin": -numbers["margin"],
        "sentences": _share(numbers["against"], numbers["voices"]),
        "scorers": _share(numbers["scorers_against"], numbers["scorers"]),
        "network": 1 - numbers["network"],
    }


def places(signs: Sequence[np.ndarray]) -> np.ndarray:
    """How doubtful each choice is, 0..1: the mean of its places by each sign that knows any. What a sign knows nothing
    of has the lowest place."""
    ranks = [_places(sign) for sign in signs if not np.isnan(sign).all()]
    return np.mean(ranks, axis=0) if ranks else np.zeros(len(signs[0]))


def said(reason: str, line: Mapping[str, Any]) -> str:
    """What is to be said of a choice beyond the name of a reason, "" for nothing. line: its numbers."""
    if reason == "network":
        return f"the network means something else (IoU {100 * line['network']:.0f} %)"
    return {
        "margin": "two candidates score alike ({margin:.2f})",
        "sentences": "{against} of its {voices} sentences would take another",
        "scorers": "{scorers_against} of {scorers} scorers would take another",
    }.get(reason, "").format_map(line)


def bit(reason: str) -> int:
    """Of a reason, in ``reasons``."""
    return 1 << list(REASONS).index(reason)


def _places(sign: np.ndarray) -> np.ndarray:
    return (rankdata(np.where(np.isnan(sign), -np.inf, sign)) - 0.5) / len(sign)


def _most(sign: np.ndarray) -> np.ndarray:
    """Which choices are among the most doubtful of those that it knows, bool (N,)."""
    known = sign[~np.isnan(sign)]
    return sign >= np.quantile(known, 1 - DOUBTFUL) if len(known) else np.zeros(len(sign), bool)


def _share(against: np.ndarray, voices: np.ndarray) -> np.ndarray:
    """Of several voices, those that would choose otherwise."""
    return np.where(voices > 1, against / np.maximum(voices, 1), np.nan)
