"""A ref: an object of a photo, and the sentences that refer to it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ref:
    """One ref of a RefTable. sentences and sent_ids: one entry per sentence, same order. height, width: pixels."""

    ref_id: int
    ann_id: int
    image_id: int
    file_name: str
    height: int
    width: int
    split: str
    category_id: int
    category: str
    sent_ids: tuple[int, ...]
    sentences: tuple[str, ...]
