"""Pages of a split's labels, for data without truth: an overview, and every row by photo; of one run or two."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np

from ssc_core.config.toys import ON_PHOTOS, toys_in
from ssc_core.drawing.marks import number_place, soften
from ssc_core.evaluate.pairs import LoadImage
from ssc_core.files import read_json
from ssc_core.masks import rle
from ssc_core.masks.reader import ColumnReader
from ssc_core.refer.ref_table import open_photos
from ssc_core.report.cards import Card, Gallery, PhotoShelf, Scores, candidate_layers, outline_all
from ssc_core.report.label_rows import CHECKED, REASONS, LabelRow, Run, by_class, label_rows
from ssc_core.report.pages import write_page
from ssc_core.report.select_cards import NUMBER

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
        Pages([run], open_photos(refs, images).or_grey, split, inspected, world).write(out, pages)


class Pages:
    """The overview and the pages of one run, or of two with the same refs."""

    def __init__(self, runs: Sequence[Run], photos: LoadImage, split: str, results: str, world: str) -> None:
        self.runs, self.photos, self.split, self.results = runs, photos, split, results
        self.world = ON_PHOTOS if world == "files" and any(map(_by_toys, runs)) else world
        self.rows = {row.key: row for row in label_rows(runs[0])}
        self.others = {row.key: row for row in label_rows(runs[1])} if len(runs) > 1 else {}
        both = [key for key, row in self.rows.items() if not self.others or self._same_ref(key, row)]
        self.left_out = [row.name for key, row in self.rows.items() if key not in set(both)]
        self.rows = {key: self.rows[key] for key in both}
        self.relations = {key: self._relation(key) for key in both} if self.others else {}
        self.parts = list(_pages(list(self.rows)))
        self.page_of = {key: number for number, keys in enumerate(self.parts, start=1) for key in keys}

    def write(self, out: Path, folder: Path) -> None:
        """Write both anew; the folder appears whole."""
        temporary = folder.with_name(f"{folder.name}.new.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        for number in range(1, len(self.parts) + 1):
            self._write_rows(temporary / f"{number}.html", number, f"../{out.name}")
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
        self._write_overview(out, folder.name)

    def _write_overview(self, out: Path, folder: str) -> None:
        rows = list(self.rows.values())
        check = sorted((row for row in rows if self._tags(row) & self._urgent), key=self._doubt)
        write_page(
            "label_overview.html",
            out,
            title=self.title,
            worlds=[self.world],
            runs=[run.name for run in self.runs],
            counts={
                "rows": len(rows),
                "photos": len({row.ref.image_id for row in rows}),
                "chosen": sum(row.chosen >= 0 for row in rows),
                "decided": sum(self._decided(row) for row in rows),
            },
            tags=self._tag_names,
            tag_counts=Counter(tag for row in rows for tag in self._tags(row)),
            classes=by_class(rows).to_dict("records"),
            pairs=self._pairs_by_class(),
            check=[
                (row, self._href(row, folder), self._notes(row), sorted(self._tags(row))) for row in check[:TO_CHECK]
            ],
            n_check=len(check),
            pages=[(f"{folder}/{number}.html", *self._ends(keys)) for number, keys in enumerate(self.parts, start=1)],
            left_out=self.left_out,
            made_with=[(run.name, list(_made_with(run))) for run in self.runs],
        )

    def _write_rows(self, path: Path, number: int, overview: str) -> None:
        keys = self.parts[number - 1]
        shelf = PhotoShelf(self.photos, "photo")
        cards = [self._card(key, shelf) for key in keys]
        first, last = self._ends(keys)
        beside = [("previous", number - 1), ("next", number + 1)]
        links = [(f"{one}.html", f"{word} page") for word, one in beside if 1 <= one <= len(self.parts)]
        write_page(
            "label_rows.html",
            path,
            title=f"{self.title}, page {number} of {len(self.parts)}",
            worlds=[],
            links=[(overview, "Overview"), *links],
            gallery=Gallery(cards, "rows", self._tag_names),
            photos=shelf,
            found=list(self._found(keys)),
            ends=(first, last),
        )

    @property
    def title(self) -> str:
        return f"Labels: {' and '.join(run.name for run in self.runs)}"

    @property
    def _tag_names(self) -> Mapping[str, str]:
        return PAIRS if self.others else REASONS

    @property
    def _urgent(self) -> set[str]:
        return {"other", "first", "second"} if self.others else set(CHECKED)

    def _tags(self, row: LabelRow) -> set[str]:
        return {self.relations[row.key][0]} if self.others else set(row.reasons)

    def _doubt(self, row: LabelRow) -> tuple[float, float]:
        relation, iou = self.relations.get(row.key, ("", 0.0))
        return (list(PAIRS).index(relation), iou) if self.others else row.doubt

    def _same_ref(self, key: tuple[int, int], row: LabelRow) -> bool:
        other = self.others.get(key)
        return other is not None and (other.ref.file_name, other.sentences) == (row.ref.file_name, row.sentences)

    def _relation(self, key: tuple[int, int]) -> tuple[str, float]:
        """How the choices of a row relate, and their IoU."""
        first, second = (run.selected.rle(*key) for run in self.runs)
        if first is None or second is None:
            return "first" if first else "second" if second else "neither", 0.0
        iou = float(rle.ious([first], [second], self.runs[0].selected.size(key[0]))[0, 0])
        return "same" if iou >= SAME else "other", iou

    def _pairs_by_class(self) -> list[tuple[str, Counter[str]]]:
        """Rows of each relation, by the class that the first run looked for."""
        found: dict[str, Counter[str]] = {}
        for key, (relation, _) in self.relations.items():
            found.setdefault(self.rows[key].asked, Counter())[relation] += 1
        return sorted(found.items(), key=lambda one: -one[1].total())

    def _href(self, row: LabelRow, folder: str) -> str:
        return f"{folder}/{self.page_of[row.key]}.html#{_anchor(row.key)}"

    def _ends(self, keys: Sequence[tuple[int, int]]) -> tuple[str, str]:
        """Names of the first and the last photo."""
        return self.rows[keys[0]].ref.file_name, self.rows[keys[-1]].ref.file_name

    def _found(self, keys: Sequence[tuple[int, int]]) -> Iterator[tuple[str, str, list[str], int, int]]:
        """Photos of a page: name, anchor of its first row, what each run found, rows, rows to check."""
        for image_id, members in groupby(keys, key=lambda key: self.rows[key].ref.image_id):
            own = list(members)
            rows = [self.rows[key] for key in own]
            found = [
                ", ".join(f"{count} {name}" for name, count in run.found_as(image_id).items()) or "nothing"
                for run in self.runs
            ]
            check = sum(bool(self._tags(row) & self._urgent) for row in rows)
            yield rows[0].ref.file_name, _anchor(own[0]), found, len(rows), check

    def _notes(self, row: LabelRow) -> list[str]:
        if self.others:
            relation, iou = self.relations[row.key]
            return [row.name] + [f"IoU of the choices {100 * iou:.0f} %"] * (relation in ("other", "same"))
        notes = [row.name, f"looked for {row.asked or 'nothing'}", f"{row.found} found"]
        notes += [] if np.isnan(row.margin) else [f"ahead by {row.margin:.2f}"]
        notes += [f"{row.against} of {len(row.sentences)} sentences would take another"] * bool(row.against)
        return notes + ["a person decided"] * self._decided(row)

    def _decided(self, row: LabelRow) -> bool:
        return row.ref.ref_id in self.runs[0].selected.reviewed

    def _card(self, key: tuple[int, int], shelf: PhotoShelf) -> Card:
        row = self.rows[key]
        card = replace(
            _drawn(self.runs[0], row, shelf),
            notes=self._notes(row),
            tags=self._tags(row),
            anchor=_anchor(key),
            command=f"ssc inspect {self.results} {self.split} {row.ref.ref_id}" if self.results else "",
        )
        return replace(card, beside=_drawn(self.runs[1], self.others[key], shelf)) if self.others else card


def _drawn(run: Run, row: LabelRow, shelf: PhotoShelf) -> Card:
    """The photo with a run's candidates, numbered, the chosen one and the scores."""
    photo, masks = shelf.photo(row.ref.file_name), run.candidates(row.ref.ref_id)
    places = [number_place(soften(mask, (photo.height, photo.width)), NUMBER / 2) for mask in masks]
    scores, choice = run.scores.scores(row.ref.ref_id), row.choice
    if run.selected.choice_per == "sentence":
        scores = scores[choice : choice + 1]
    return Card(
        title=" · ".join(f"“{text}”" for text in row.sentences),
        notes=[],
        tags=set(),
        category=row.asked,
        photo=photo,
        outlines=list(outline_all(candidate_layers(masks, row.chosen), photo)),
        numbers=[
            ("pick" if number == row.chosen else "candidates", *place, number + 1)
            for number, place in enumerate(places)
        ],
        scores=Scores(
            of_sentences=list(zip(row.sentences, scores.tolist(), strict=True)),
            decisive=run.selected.scores(row.ref.ref_id)[choice].tolist(),
            areas=run.scores.areas(row.ref.ref_id).tolist(),
            chosen=row.chosen,
        ),
        run=run.name,
    )


def _pages(keys: Sequence[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    for start in range(0, len(keys), ROWS_A_PAGE):
        yield list(keys[start : start + ROWS_A_PAGE])


def _anchor(key: tuple[int, int]) -> str:
    return f"ref-{key[0]}-{key[1] + 1}" if key[1] else f"ref-{key[0]}"


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
