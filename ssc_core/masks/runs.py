"""Masks as the places where their foreground begins and ends: areas and overlaps of many, without making any mask.

A run-length code here is what ``rle`` says. All codes of a photo are read in one go: numpy's cost is per call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ssc_core.errors import SscError

Size = tuple[int, int]
"""(height, width)."""

Measure = Callable[[np.ndarray], np.ndarray]
"""What counts of a photo's pixels before each of some, int64 (P,) to int64 (P,): pixels are counted down the columns,
and the one after the last may be asked for. ``every`` counts all, ``resize.taken_before`` those that a smaller picture
takes."""


def every(pixels: np.ndarray) -> np.ndarray:
    """The measure of photo pixels."""
    return pixels


@dataclass(frozen=True, slots=True)
class Runs:
    """Foreground of N masks of one photo, which has ``pixels``.

    starts, ends: int64 (R,), pixels counted down the columns, ends exclusive; first: int64 (N + 1,), mask n has the
    runs first[n] to first[n + 1].
    """

    starts: np.ndarray
    ends: np.ndarray
    first: np.ndarray
    pixels: int

    def __len__(self) -> int:
        return len(self.first) - 1

    def areas(self, measure: Measure = every) -> np.ndarray:
        """Foreground of each mask, int64 (N,)."""
        return np.diff(_before(measure(self.ends) - measure(self.starts))[self.first])


def shared(masks: Runs, others: Runs, pairs: tuple[np.ndarray, np.ndarray], measure: Measure = every) -> np.ndarray:
    """What mask and other have in common, int64 (M,). pairs: int64 (M,) each, indices of masks and of others.

    The foreground of a mask before a pixel is a sum over its runs that start there, of which the last may be cut short;
    an intersection is the sum of its differences over the other one's runs.
    """
    mask, other = pairs
    counts = np.diff(others.first)[other]
    ends = np.cumsum(counts)
    run = np.arange(counts.sum()) + np.repeat(others.first[other] - (ends - counts), counts)
    if len(run) == 0 or len(masks.starts) == 0:
        return np.zeros(len(mask), np.int64)
    # one search for all: every mask's pixels are counted on from those of the mask before
    owner = np.repeat(np.arange(len(masks)), np.diff(masks.first)) * (masks.pixels + 1)
    begun, worth = masks.starts + owner, measure(masks.ends) - measure(masks.starts)
    total = _before(worth)

    def foreground_before(pixels: np.ndarray) -> np.ndarray:
        places = pixels + np.repeat(mask * (masks.pixels + 1), counts)
        found = np.searchsorted(begun, places, side="right") - 1
        last = np.maximum(found, 0)
        stop = np.clip(places - owner[last], 0, masks.ends[last])
        return np.where(found < 0, 0, total[last] + measure(stop) - measure(masks.starts[last]))

    inside = foreground_before(others.ends[run]) - foreground_before(others.starts[run])
    sums = _before(inside)
    return sums[ends] - sums[ends - counts]


def foreground(codes: Sequence[bytes], size: Size, *, where: str = "") -> Runs:
    """Runs of codes of one photo. Raises SscError as ``read_lengths`` does."""
    lengths, first = read_lengths(codes, size, where=where)
    pixels = size[0] * size[1]
    counts = np.diff(first)
    ends = np.cumsum(lengths) - np.repeat(np.arange(len(codes)) * pixels, counts)
    odd = (np.arange(len(lengths)) - np.repeat(first[:-1], counts)) % 2 == 1
    return Runs((ends - lengths)[odd], ends[odd], _before(counts // 2), pixels)


def read_lengths(codes: Sequence[bytes], size: Size, *, where: str = "") -> tuple[np.ndarray, np.ndarray]:
    """Run lengths of N codes end to end, int64 (L,), and where each code's begin, int64 (N + 1,).

    Raises SscError, which begins with ``where``, unless every code is well formed and its runs cover ``size`` exactly.
    """
    name, pixels = f"{where}: RLE" if where else "RLE", size[0] * size[1]
    if len(codes) == 0:
        return np.zeros(0, np.int64), np.zeros(1, np.int64)
    lengths, first = _lengths(codes, name)
    starts, sums = first[:-1], np.add.reduceat(lengths, first[:-1])
    low, high = np.minimum.reduceat(lengths, starts), np.maximum.reduceat(lengths, starts)
    wrong = np.flatnonzero((low < 0) | (high > pixels) | (sums != pixels))
    if len(wrong):
        raise SscError(
            f"{name} {wrong[0]} does not fit its image: its runs cover {sums[wrong[0]]} pixels, "
            f"not {size[0]} x {size[1]} = {pixels}"
        )
    return lengths, first


def _lengths(codes: Sequence[bytes], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Run lengths without trusting the bytes.

    The format (pycocotools' maskApi.c, ``rleFrString``): a number is a group of characters 48 + x, x holding five bits
    (lowest first), 32 = more follow, and in the last one 16 = negative; from the fourth number on it is the difference
    to the number two before.
    """
    if not all(codes):
        raise _malformed(name, codes.index(b""))
    digits = np.frombuffer(b"".join(codes), dtype=np.uint8) - np.uint8(48)
    code_ends = np.cumsum([len(code) for code in codes])
    last = np.flatnonzero(digits & 32 == 0)
    begin = np.concatenate([[0], last[:-1] + 1])
    widths = last - begin + 1
    malformed = [
        np.searchsorted(code_ends, np.flatnonzero(digits > 63), side="right"),
        np.flatnonzero(digits[code_ends - 1] & 32),
        np.searchsorted(code_ends, last[widths > 7], side="right"),
    ]
    if wrong := [index for indices in malformed for index in indices[:1]]:
        raise _malformed(name, min(wrong))
    shifts = 5 * (np.arange(len(digits)) - np.repeat(begin, widths))
    numbers = np.add.reduceat((digits & 31).astype(np.int64) << shifts, begin)
    numbers -= np.where(digits[last] & 16, np.int64(1) << (5 * widths), 0)
    first = np.concatenate([[0], np.searchsorted(last, code_ends - 1) + 1])
    return _summed(numbers, first), first


def _malformed(name: str, index: int) -> SscError:
    return SscError(f"{name} {index} is malformed: its bytes are not COCO compressed run lengths")


def _summed(numbers: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Differences undone: within a code, all but its first number are sums over every other one so far."""
    counts = np.diff(first)
    rows = counts // 2  # of a table in which each code begins anew: odd places on the left, even ones on the right
    row_first = _before(rows)
    later = np.ones(len(numbers), bool)
    later[first[:-1]] = False
    place = (np.arange(len(numbers)) + np.repeat(2 * row_first[:-1] - first[:-1], counts) - 1)[later]
    table = np.zeros(2 * row_first[-1], np.int64)
    table[place] = numbers[later]
    sums = np.concatenate([np.zeros((1, 2), np.int64), table.reshape(-1, 2).cumsum(axis=0)])
    own = sums[1:] - np.repeat(sums[row_first[:-1]], rows, axis=0)
    numbers[later] = own.reshape(-1)[place]
    return numbers


def _before(counts: np.ndarray) -> np.ndarray:
    """Sums of what comes before each, and of all: (N,) to (N + 1,)."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
