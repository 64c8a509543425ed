"""scores.h5 and selected.h5: how well each candidate fits each sentence, and the mask that was chosen for each ref.

scores.h5, for a ref with S sentences and K candidates:

    /ref/id int64 (R,)   /ref/sent_first int64 (R + 1,)   /ref/first int64 (R + 1,)  rows of /candidate
    /candidate/area int64 (N,)  pixels at native resolution   /score f4  blocks of (S, K), ref after ref

selected.h5 holds its masks itself, so that training needs no other file. A ref has C choices: one, or with
``choice_per="sentence"`` one per sentence.

    /ref/id int64 (R,)   /ref/image_id int64 (R,)   /ref/size int32 (R, 2) height, width
    /ref/choice_first int64 (R + 1,)   /ref/first int64 (R + 1,)  candidates   /ref/score f4  blocks of (C, K)
    /ref/chosen int32 (T,)  instance row in masks.h5, -1 none, -2 a mask that a person drew
    /ref/rle_first int64 (T + 1,)   /rle uint8 (bytes,)

Where people decided, the attribute ``reviews`` says so: JSON, {"refs": ids, "unfit": decisions that fit nothing}.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from ssc_core.masks import rle
from ssc_core.masks.choice import DRAWN, NONE
from ssc_core.masks.columnar import Column, StoreInfo, offsets
from ssc_core.masks.reader import ColumnReader, Ids
from ssc_core.masks.writer import ColumnWriter

ChoicePer = Literal["ref", "sentence"]

SCORES, SELECTED = "ssc-scores", "ssc-selected"

_SCORE_COLUMNS = {
    "ref/id": Column("<i8", 4096),
    "ref/sent_first": offsets(4096),
    "ref/first": offsets(4096),
    "candidate/area": Column("<i8", 1024),
    "score": Column("<f4", 4096),
}
_SELECTED_COLUMNS = {
    "ref/id": Column("<i8", 4096),
    "ref/image_id": Column("<i8", 4096),
    "ref/size": Column("<i4", 4096, width=2),
    "ref/choice_first": offsets(4096),
    "ref/first": offsets(4096),
    "ref/score": Column("<f4", 4096),
    "ref/chosen": Column("<i4", 4096),
    "ref/rle_first": offsets(4096),
    "rle": Column("|u1", 2**13),
}


class ScoreStoreWriter(ColumnWriter):
    """Context manager that writes scores.h5, ref by ref. See ``ColumnWriter``."""

    def __init__(self, path: Path, info: StoreInfo) -> None:
        super().__init__(path, info, kind=SCORES, columns=_SCORE_COLUMNS)

    def append_ref(self, ref_id: int, scores: np.ndarray, areas: np.ndarray) -> None:
        """Add a ref: scores (S, K) of every sentence and candidate, K may be 0; areas (K,) in pixels.

        Raises SscError for a ref that was added before, ValueError for wrong shapes.
        """
        scores, areas = np.asarray(scores, dtype=np.float32), np.asarray(areas, dtype=np.int64)
        if scores.ndim != 2 or areas.shape != scores.shape[1:]:
            raise ValueError(f"ref {ref_id}: scores {scores.shape} must be (S, K), areas {areas.shape} (K,)")
        self._claim("ref", [ref_id])
        self._append("ref/id", ref_id)
        self._append_range("ref/sent_first", len(scores))
        self._append_range("ref/first", len(areas))
        self._append("candidate/area", areas)
        self._append("score", scores.ravel())


class _RefReader(ColumnReader):
    """A file of refs, each with a block of scores: rows (sentences or choices) by candidates."""

    def __init__(self, path: Path, *, kind: str, columns: Mapping[str, Column], rows: str, scores: str) -> None:
        super().__init__(path, kinds={kind: columns})
        self.info = self._read_info()
        self._refs = Ids(self._read("ref/id"), "ref", self._path)
        self._rows = self._read_offsets(rows, len(self))
        self._first = self._read_offsets("ref/first", len(self))
        self._scores = scores
        if max(self._rows[-1], self._first[-1]) >= 2**31:  # their products must not overflow
            raise self._damaged(f"/{rows} or /ref/first ends too late")
        self._score_first = np.concatenate([[0], np.cumsum(np.diff(self._rows) * np.diff(self._first))])
        if self._score_first[-1] != self._length(scores):
            raise self._damaged(f"/{scores} has {self._length(scores)} values, not {self._score_first[-1]}")

    @property
    def ref_ids(self) -> np.ndarray:
        """int64 (R,), in the file's order."""
        return self._refs.values

    @property
    def merged_masks(self) -> bool:
        """Whether its candidates are what ``compat.merged_masks`` leaves of those in masks.h5."""
        return bool(self.info.settings.get("merged_masks", False))

    def __len__(self) -> int:
        """Number of refs."""
        return len(self._refs.values)

    def __contains__(self, ref_id: int) -> bool:
        return self._refs.find(ref_id) is not None

    def scores(self, ref_id: int) -> np.ndarray:
        """float32 (S, K): a row per sentence (scores.h5) or choice (selected.h5), a column per candidate."""
        row = self._refs.row(ref_id)
        shape = (int(np.diff(self._rows[row : row + 2])[0]), int(np.diff(self._first[row : row + 2])[0]))
        return self._read(self._scores, *self._score_first[row : row + 2]).reshape(shape)


class ScoreStore(_RefReader):
    """scores.h5, opened for reading. Errors as ``MaskStore``."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, kind=SCORES, columns=_SCORE_COLUMNS, rows="ref/sent_first", scores="score")
        areas = self._read("candidate/area")
        if len(areas) != self._first[-1] or np.any(areas < 0):
            raise self._damaged(f"/candidate/area has not the pixels of {self._first[-1]} candidates")

    def areas(self, ref_id: int) -> np.ndarray:
        """Pixels of each candidate at native resolution, int64 (K,)."""
        row = self._refs.row(ref_id)
        return self._read("candidate/area", *self._first[row : row + 2])


class SelectionWriter(ColumnWriter):
    """Context manager that writes selected.h5, ref by ref. See ``ColumnWriter``."""

    def __init__(
        self,
        path: Path,
        info: StoreInfo,
        *,
        choice_per: ChoicePer = "ref",
        reviewed: Iterable[int] = (),
        unfit: Sequence[str] = (),
    ) -> None:
        """reviewed: ids of refs whose choice a person made; unfit: decisions that could not be used, by name."""
        attributes: dict[str, str] = {"choice_per": choice_per}
        if (ids := sorted(reviewed)) or unfit:
            attributes["reviews"] = json.dumps({"refs": ids, "unfit": list(unfit)}, ensure_ascii=False)
        super().__init__(path, info, kind=SELECTED, columns=_SELECTED_COLUMNS, attributes=attributes)
        self._choice_per = choice_per

    def append_ref(
        self,
        ref_id: int,
        *,
        image_id: int,
        size: tuple[int, int],
        chosen: Sequence[int] | np.ndarray,
        scores: np.ndarray,
        rles: Sequence[bytes | None],
    ) -> None:
        """Add a ref of an image of ``size`` (height, width).

        chosen: (C,), the chosen instance's row in masks.h5, ``NONE`` or ``DRAWN``; scores: (C, K), of every candidate;
        rles: C chosen masks, None for none. C is 1, or the number of sentences with ``choice_per="sentence"``.

        Raises SscError for a ref that was added before and for a malformed RLE, ValueError for wrong shapes.
        """
        rows, scores = np.asarray(chosen, dtype=np.int32), np.asarray(scores, dtype=np.float32)
        if scores.shape[:-1] != rows.shape or scores.ndim != 2 or len(rles) != len(rows):
            raise ValueError(f"ref {ref_id}: chosen {rows.shape} (C,), scores {scores.shape} (C, K), {len(rles)} masks")
        if self._choice_per == "ref" and len(rows) != 1:
            raise ValueError(f"ref {ref_id}: {len(rows)} choices, but this file has one per ref")
        if [mask is None for mask in rles] != (rows == NONE).tolist():
            raise ValueError(f"ref {ref_id}: a mask goes with every choice but -1, and only with one")
        rle.check([mask for mask in rles if mask is not None], size, where=f"ref {ref_id}")
        self._claim("ref", [ref_id])
        self._append("ref/id", ref_id)
        self._append("ref/image_id", image_id)
        self._append("ref/size", size)
        self._append_range("ref/choice_first", len(rows))
        self._append_range("ref/first", scores.shape[1])
        self._append("ref/score", scores.ravel())
        self._append("ref/chosen", rows)
        self._append_blobs("rle", "ref/rle_first", [mask or b"" for mask in rles])


class SelectionStore(_RefReader):
    """selected.h5, opened for reading. Errors as ``MaskStore``.

    choice_per: "ref" or "sentence". With "ref", the ``sentence`` argument of the methods changes nothing: all sentences
    of a ref share its choice. reviewed: ids of the refs whose choice a person made; unfit: decisions that fit nothing.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, kind=SELECTED, columns=_SELECTED_COLUMNS, rows="ref/choice_first", scores="ref/score")
        self.choice_per: ChoicePer = self._attribute("choice_per")
        self.reviewed, self.unfit = self._read_reviews()
        self._image_ids = self._read("ref/image_id")
        self._rle_first = self._read_offsets("ref/rle_first", int(self._rows[-1]))
        self._read_sizes("ref/size", len(self))
        chosen = self._read("ref/chosen")
        if len(self._image_ids) != len(self) or len(chosen) != self._rows[-1]:
            raise self._damaged("/ref/image_id or /ref/chosen has not a row per ref or choice")
        if np.any(chosen < DRAWN) or np.any((chosen == NONE) != (np.diff(self._rle_first) == 0)):
            raise self._damaged("/ref/chosen has not a mask with every choice, and only with one")
        if self.choice_per not in get_args(ChoicePer) or (
            self.choice_per == "ref" and np.any(np.diff(self._rows) != 1)
        ):
            raise self._damaged("it has not one choice per ref, or per sentence, as it says")
        if self._rle_first[-1] != self._length("rle"):
            raise self._damaged("/ref/rle_first does not end where /rle does")

    @property
    def image_ids(self) -> np.ndarray:
        """int64 (I,), by first appearance."""
        ids, first = np.unique(self._image_ids, return_index=True)
        return ids[np.argsort(first)]

    def image_of(self, ref_id: int) -> int:
        """Id of a ref's image."""
        return int(self._image_ids[self._refs.row(ref_id)])

    def all_refs_of(self, image_id: int) -> list[int]:
        """Ids of the refs of an image, in the file's order."""
        ids, rows = self._by_image
        start, stop = np.searchsorted(ids, [image_id, image_id + 1])
        return self.ref_ids[rows[start:stop]].tolist()

    @cached_property
    def _by_image(self) -> tuple[np.ndarray, np.ndarray]:
        """Ids of the refs' images, ascending, and the refs' rows in that order."""
        rows = np.argsort(self._image_ids, kind="stable")
        return self._image_ids[rows], rows

    def size(self, ref_id: int) -> tuple[int, int]:
        """(height, width) of a ref's image."""
        row = self._refs.row(ref_id)
        height, width = self._read("ref/size", row, row + 1)[0]
        return int(height), int(width)

    def choices(self, ref_id: int) -> int:
        """Number of choices: 1, or the number of sentences with ``choice_per="sentence"``."""
        row = self._refs.row(ref_id)
        return int(self._rows[row + 1] - self._rows[row])

    def chosen(self, ref_id: int, sentence: int = 0) -> int:
        """Instance row in masks.h5 of the chosen candidate, ``NONE``, or ``DRAWN``."""
        choice = self._choice(ref_id, sentence)
        return int(self._read("ref/chosen", choice, choice + 1)[0])

    def all_chosen(self, ref_id: int) -> np.ndarray:
        """``chosen`` of every choice of a ref, int32 (C,)."""
        row = self._refs.row(ref_id)
        return self._read("ref/chosen", *self._rows[row : row + 2])

    def rle(self, ref_id: int, sentence: int = 0) -> bytes | None:
        """COCO compressed RLE of the chosen mask, None for none."""
        choice = self._choice(ref_id, sentence)
        return self._read("rle", *self._rle_first[choice : choice + 2]).tobytes() or None

    def drawn(self, ref_id: int) -> bytes | None:
        """COCO compressed RLE of the mask that a person drew for a ref, None where none was."""
        drawn = np.flatnonzero(self.all_chosen(ref_id) == DRAWN)
        return self.rle(ref_id, int(drawn[0])) if len(drawn) else None

    def mask(self, ref_id: int, sentence: int = 0) -> np.ndarray:
        """The chosen mask, bool (H, W); all False for none."""
        chosen, size = self.rle(ref_id, sentence), self.size(ref_id)
        if chosen is None:
            return np.zeros(size, dtype=bool)
        return rle.decode([chosen], size, where=f"{self._path}, ref {ref_id}")[0]

    def _read_reviews(self) -> tuple[frozenset[int], tuple[str, ...]]:
        text = self._attribute("reviews", "{}")
        try:
            found = {"refs": [], "unfit": [], **json.loads(text)}
            ids, unfit = frozenset(found["refs"]), tuple(found["unfit"])
        except (ValueError, TypeError, RecursionError) as error:
            raise self._damaged("/reviews is no list of refs and decisions") from error
        if not all(type(ref) is int for ref in ids) or not all(isinstance(line, str) for line in unfit):
            raise self._damaged("/reviews is no list of refs and decisions")
        return ids, unfit

    def _choice(self, ref_id: int, sentence: int) -> int:
        row, count = self._refs.row(ref_id), self.choices(ref_id)
        index = 0 if self.choice_per == "ref" else sentence
        if not 0 <= index < count:
            raise IndexError(f"ref {ref_id} has {count} choices, not one with index {index}")
        return int(self._rows[row]) + index
