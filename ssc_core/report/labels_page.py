"""Pages of a split's labels, for data without truth: an overview, and every row by photo; of one run or two."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from itertools import groupby, islice
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
import pandas as pd

from ssc_core.config.toys import ON_PHOTOS, toys_in
from ssc_core.evaluate.pairs import LoadImage
from ssc_core.files import read_json
from ssc_core.folders import new_folder
from ssc_core.masks import rle
from ssc_core.masks.reader import ColumnReader
from ssc_core.refer.ref_table import open_photos
from ssc_core.report.cards import Card, Gallery, PhotoShelf, choice_card
from ssc_core.report.doubt import CHECKED, REASONS
from ssc_core.report.label_rows import LabelRow, Labels, by_class
from ssc_core.report.pages import write_page
from ssc_core.report.run import Run

ROWS_A_PAGE = 48
TO_CHECK = 100
"""Rows of the overview's list; all are in the pages."""

SAME = 0.9
"""IoU of two runs' choices from which on they are the same."""

PAIRS = {
    "other": "Other choice",
    "first": "Only the first run chose",
    "second": "Only the second run chose",
    "same": "Same choice",
    "neither": "Neither chose",
}
"""How the choices of two runs relate."""


def write_labels_page(
    *,
    refs: Path,
    nouns: Path,
    masks: Path,
    scores: list[Path],
    selected: Path,
    data: Path,
    images: Path,
    split: str,
    results: str,
    out: Path,
    pages: Path,
) -> None:
    """Write the overview ``out`` and a folder ``pages`` with all rows, of one run.

    scores: of every scorer that the choice was made from.
    results: folder of the dataset, for the commands that cards show; ``ssc inspect`` knows none of variants.
    Raises SscError when a file is missing, damaged or of others.
    """
    inspected = results if Path(selected).parent == Path(results, split) else ""
    with ExitStack() as stack:
        run = Run.open(stack, split, split, refs=refs, nouns=nouns, masks=masks, scores=scores, selected=selected)
        world = read_json(data).get("world", "files")
        photos = open_photos(refs, images)
        Pages([Labels(run, photos=photos)], photos.or_grey, split, inspected, world).write(out, pages)


def remove_pages(out: Path, folder: Path) -> None:
    """Remove an overview and its pages, as ``Pages`` wrote them; no other file."""
    if out.is_file():
        out.unlink()
        for path in folder.glob("*.html"):
            if path.stem.isdecimal():
                path.unlink()
        with suppress(OSError):  # what someone put there stays
            folder.rmdir()


class _Row(NamedTuple):
    """A row of the pages: which one, and of two runs the other's, too."""

    place: int
    row: LabelRow
    other: LabelRow | None = None


class Pages:
    """The overview and the pages of one run, or of two with the same refs. Memory holds the rows of a page, and of all
    rows numbers and their places in ``labels``."""

    def __init__(self, labels: Sequence[Labels], photos: LoadImage, split: str, results: str, world: str) -> None:
        self.labels, self.runs = labels, [one.run for one in labels]
        self.photos, self.split, self.results = photos, split, results
        self.world = ON_PHOTOS if world == "files" and any(map(_by_toys, self.runs)) else world
        self.left_out: list[str] = []
        self.places = [np.arange(len(one)) for one in labels[:1]] if len(labels) == 1 else self._in_both()
        self.relations = self._relations()

    def __len__(self) -> int:
        """Rows."""
        return len(self.places[0])

    def write(self, out: Path, folder: Path) -> None:
        """Write both anew; the folder appears whole."""
        ends, rows = [], self._rows(np.arange(len(self)))
        with new_folder(folder, replace=True) as pages:
            while some := list(islice(rows, ROWS_A_PAGE)):
                ends.append((some[0].row.ref.file_name, some[-1].row.ref.file_name))
                self._write_rows(pages / f"{len(ends)}.html", len(ends), some, f"../{quote(out.name)}")
        self._write_overview(out, quote(folder.name), ends)

    def _write_overview(self, out: Path, folder: str, ends: Sequence[tuple[str, str]]) -> None:
        numbers, has = self.labels[0].numbers[self.places[0]], self._has()
        check = self._to_check()
        write_page(
            "label_overview.html",
            out,
            title=self.title,
            worlds=[self.world],
            runs=[run.name for run in self.runs],
            counts={
                "rows": len(self),
                "photos": len(np.unique(numbers["image_id"])),
                "chosen": int((numbers["chosen"] >= 0).sum()),
                "decided": int(np.isin(numbers["ref_id"], list(self.runs[0].selected.reviewed)).sum()),
            },
            tags=self._tag_names,
            tag_counts={tag: int(rows.sum()) for tag, rows in has.items()},
            classes=by_class(self.labels[0], self.places[0]).to_dict("records"),
            pairs=self._pairs_by_class(),
            check=[
                (one.row, f"{folder}/{one.place // ROWS_A_PAGE + 1}.html#{_anchor(one.row)}", *self._said(one))
                for one in self._rows(check[:TO_CHECK])
            ],
            n_check=len(check),
            pages=[(f"{folder}/{number}.html", *photos) for number, photos in enumerate(ends, start=1)],
            left_out=self.left_out,
            made_with=[(run.name, list(_made_with(run))) for run in self.runs],
        )

    def _write_rows(self, path: Path, number: int, rows: Sequence[_Row], overview: str) -> None:
        shelf = PhotoShelf(self.photos, "photo")
        cards = [self._card(one, shelf) for one in rows]
        beside = [("previous", number - 1), ("next", number + 1)]
        links = [(f"{one}.html", f"{word} page") for word, one in beside if 1 <= one <= self._pages]
        write_page(
            "label_rows.html",
            path,
            title=f"{self.title}, page {number} of {self._pages}",
            worlds=[],
            links=[(overview, "Overview"), *links],
            gallery=Gallery(cards, "rows", self._tag_names),
            photos=shelf,
            found=list(self._found(rows)),
            ends=(rows[0].row.ref.file_name, rows[-1].row.ref.file_name),
        )

    @property
    def _pages(self) -> int:
        return -(-len(self) // ROWS_A_PAGE)

    @property
    def title(self) -> str:
        return f"Labels: {' and '.join(run.name for run in self.runs)}"

    @property
    def _compares(self) -> bool:
        return len(self.labels) > 1

    @property
    def _tag_names(self) -> Mapping[str, str]:
        return PAIRS if self._compares else REASONS

    @property
    def _urgent(self) -> set[str]:
        return {"other", "first", "second"} if self._compares else set(CHECKED)

    def _has(self) -> dict[str, np.ndarray]:
        """Which rows have each tag, bool (N,)."""
        if self._compares:
            return {pair: self.relations["pair"] == number for number, pair in enumerate(PAIRS)}
        return {reason: self.labels[0].has(reason) for reason in REASONS}

    def _to_check(self) -> np.ndarray:
        """Rows to look at, the most doubtful or the most different first."""
        if not self._compares:
            return self.labels[0].doubtful()
        order = np.lexsort((self.relations["iou"], self.relations["pair"]))
        return order[np.isin(self.relations["pair"][order], [list(PAIRS).index(pair) for pair in self._urgent])]

    def _rows(self, rows: np.ndarray) -> Iterator[_Row]:
        """Some of the rows, in this order."""
        own = (labels.rows(places[rows]) for labels, places in zip(self.labels, self.places, strict=True))
        for place, row, *other in zip(rows.tolist(), *own, strict=True):
            yield _Row(place, row, *other)

    def _in_both(self) -> list[np.ndarray]:
        """Places in each run's labels of the rows that are of the same refs; notes which of the first run's are not."""
        first, second = self.labels
        keys = [pd.MultiIndex.from_arrays([one.numbers["ref_id"], one.numbers["choice"]]) for one in self.labels]
        places = keys[1].get_indexer(keys[0])
        others = second.rows(places[places >= 0])
        same = np.zeros(len(first), bool)
        for index, row in enumerate(first.rows()):
            other = next(others) if places[index] >= 0 else None
            same[index] = other is not None and (other.ref.file_name, other.sentences) == (
                row.ref.file_name,
                row.sentences,
            )
            if not same[index]:
                self.left_out.append(row.name)
        return [np.flatnonzero(same), places[same]]

    def _relations(self) -> np.ndarray:
        """How the choices of each row relate, as index of ``PAIRS``, and their IoU."""
        found = np.zeros(len(self) if self._compares else 0, [("pair", "i1"), ("iou", "f8")])
        for index, line in enumerate(self.labels[0].numbers[self.places[0]] if self._compares else ()):
            pair, iou = self._relation((int(line["ref_id"]), int(line["choice"])))
            found[index] = list(PAIRS).index(pair), iou
        return found

    def _relation(self, key: tuple[int, int]) -> tuple[str, float]:
        first, second = (run.selected.rle(*key) for run in self.runs)
        if first is None or second is None:
            return "first" if first else "second" if second else "neither", 0.0
        iou = float(rle.ious([first], [second], self.runs[0].selected.size(key[0]))[0, 0])
        return "same" if iou >= SAME else "other", iou

    def _pairs_by_class(self) -> list[tuple[str, Counter[str]]]:
        """Rows of each relation, by the class that the first run looked for."""
        found: dict[str, Counter[str]] = {}
        if self._compares:
            asked = self.labels[0].numbers["asked"][self.places[0]]
            for number, pair in zip(asked.tolist(), self.relations["pair"].tolist(), strict=True):
                found.setdefault(self.runs[0].asked.names[number], Counter())[list(PAIRS)[pair]] += 1
        return sorted(found.items(), key=lambda one: -one[1].total())

    def _found(self, rows: Sequence[_Row]) -> Iterator[tuple[str, str, list[str], int, int]]:
        """Photos of a page: name, anchor of its first row, what each run found, rows, rows to check."""
        for image_id, members in groupby(rows, key=lambda one: one.row.ref.image_id):
            own = list(members)
            found = [
                ", ".join(f"{count} {name}" for name, count in run.found_as(image_id).items()) or "nothing"
                for run in self.runs
            ]
            check = sum(bool(self._tags(one) & self._urgent) for one in own)
            yield own[0].row.ref.file_name, _anchor(own[0].row), found, len(own), check

    def _said(self, one: _Row) -> tuple[list[str], list[str]]:
        """Notes and tags of a row."""
        return self._notes(one), sorted(self._tags(one))

    def _tags(self, one: _Row) -> set[str]:
        return {list(PAIRS)[self.relations["pair"][one.place]]} if self._compares else set(one.row.reasons)

    def _notes(self, one: _Row) -> list[str]:
        row = one.row
        if self._compares:
            number, iou = self.relations[one.place]
            both = list(PAIRS)[number] in ("other", "same")
            return [row.name] + [f"IoU of the choices {100 * iou:.0f} %"] * both
        notes = [row.name, f"looked for {row.asked or 'nothing'}", f"{row.found} found"]
        notes += [f"ahead by {row.margin:.2f}"] * (not np.isnan(row.margin) and "margin" not in row.reasons)
        notes += [said for said in row.reasons.values() if said]
        return notes + ["a person decided"] * (row.ref.ref_id in self.runs[0].selected.reviewed)

    def _card(self, one: _Row, shelf: PhotoShelf) -> Card:
        row, inspect = one.row, ("ssc", "inspect", self.results, self.split, str(one.row.ref.ref_id))
        return _drawn(
            self.runs[0],
            row,
            shelf,
            notes=self._notes(one),
            tags=self._tags(one),
            anchor=_anchor(row),
            command=shlex.join(inspect) if self.results else "",
            beside=_drawn(self.runs[1], one.other, shelf) if one.other else None,
        )


def _drawn(run: Run, row: LabelRow, shelf: PhotoShelf, **about: Any) -> Card:
    return choice_card(run, row.ref, row.choice, row.chosen, shelf, category=row.asked, **about)


def _anchor(row: LabelRow) -> str:
    return f"ref-{row.ref.ref_id}-{row.choice + 1}" if row.choice else f"ref-{row.ref.ref_id}"


def _stores(run: Run) -> Iterator[tuple[str, ColumnReader]]:
    yield "Segment", run.masks
    yield from ((f"scores of {scorer}", store) for scorer, store in run.scores.stores.items())
    yield "Select", run.selected


def _by_toys(run: Run) -> bool:
    """Whether a model of the micro world had a part in it."""
    return any(toys_in(store.info.settings) for _, store in _stores(run))


def _made_with(run: Run) -> Iterator[tuple[str, str]]:
    """Settings and models of the stages."""
    for name, store in _stores(run):
        yield f"{name}: settings", json.dumps(store.info.settings, ensure_ascii=False)
        if store.info.models:
            yield f"{name}: models", ", ".join(f"{model} {digest}" for model, digest in store.info.models.items())
