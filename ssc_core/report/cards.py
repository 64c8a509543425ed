"""The galleries of pages: each photo once as JPEG, masks as SVG outlines that can be switched on and off.

A card is of a sentence that was evaluated, or of a choice among candidates.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image

from ssc_core.drawing.marks import number_place, scale, soften
from ssc_core.evaluate.pairs import LoadImage
from ssc_core.refer.ref import Ref
from ssc_core.report.examples import SENTENCE_TAGS, ExampleFiles, load_example
from ssc_core.report.run import Run

SIDE = 360
"""Longer side of the gallery's photos, pixels: twice what a card is wide on most screens."""

NUMBER = 28
"""Pixels of a photo (``SIDE``) that a number of two digits takes, in page.css's letters."""

LAYERS = {
    "prediction": "prediction",
    "truth": "ground truth",
    "pick": "Select's pick",
    "candidates": "other candidates",
}


@dataclass(frozen=True, slots=True)
class ShelfPhoto:
    """A photo that a page holds. id: on the page; pixels: RGB uint8."""

    id: str
    pixels: np.ndarray

    @property
    def height(self) -> int:
        return self.pixels.shape[0]

    @property
    def width(self) -> int:
        return self.pixels.shape[1]

    @property
    def url(self) -> str:
        stream = io.BytesIO()
        Image.fromarray(self.pixels).save(stream, format="JPEG", quality=80, optimize=True, progressive=True)
        return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


class PhotoShelf:
    """Small versions of photos by file name; the page holds each one once, however many cards show it.

    prefix: unique on the page.
    """

    def __init__(self, photos: LoadImage, prefix: str) -> None:
        self._photos, self._prefix = photos, prefix
        self._small: dict[str, ShelfPhoto] = {}

    def __call__(self, file_name: str) -> np.ndarray:
        """RGB uint8, ``SIDE`` pixels on the longer side."""
        return self.photo(file_name).pixels

    def photo(self, file_name: str) -> ShelfPhoto:
        if file_name not in self._small:
            name = f"{self._prefix}-{len(self._small)}"
            self._small[file_name] = ShelfPhoto(name, scale(self._photos(file_name), SIDE))
        return self._small[file_name]

    def all(self) -> list[ShelfPhoto]:
        """All photos that were asked for."""
        return list(self._small.values())


@dataclass(frozen=True, slots=True)
class Scores:
    """A ref's scores. of_sentences: (sentence, (K,)); decisive: (K,), what the choice was made from; areas: (K,)
    pixels; chosen: index of a candidate, or -1."""

    of_sentences: list[tuple[str, list[float]]]
    decisive: list[float]
    areas: list[int]
    chosen: int


@dataclass(frozen=True, slots=True)
class Card:
    """An example. outlines: (layer, path) as ``outline`` makes it, the last on top; numbers: (layer, x, y, number) in
    the photo's pixels. anchor: its id on the page; command: what shows more; run: whose it is, where pages show two;
    beside: the same of the other."""

    title: str
    photo: ShelfPhoto
    outlines: list[tuple[str, str]]
    category: str
    notes: Sequence[str] = ()
    tags: Set[str] = frozenset()
    numbers: Sequence[tuple[str, float, float, int]] = ()
    scores: Scores | None = None
    anchor: str = ""
    command: str = ""
    run: str = ""
    beside: Card | None = None

    @property
    def pictures(self) -> list[Card]:
        """Itself, and what is beside it."""
        return [self, *([self.beside] if self.beside else [])]


@dataclass(frozen=True, slots=True)
class Gallery:
    """Cards with their filters. key: unique on the page; tag_names: what a reader calls each tag, in their order."""

    cards: list[Card]
    key: str
    tag_names: Mapping[str, str]

    @property
    def tags(self) -> dict[str, str]:
        """Those that some card has."""
        used = set().union(*(card.tags for card in self.cards))
        return {tag: name for tag, name in self.tag_names.items() if tag in used}

    @property
    def categories(self) -> list[str]:
        return sorted({card.category for card in self.cards} - {""})

    @property
    def layers(self) -> dict[str, str]:
        """Those that some card has."""
        used = {layer for card in self.cards for one in card.pictures for layer, _ in one.outlines}
        return {layer: name for layer, name in LAYERS.items() if layer in used}


def examples_gallery(
    shown: Iterable[tuple[Any, set[str]]], sources: ExampleFiles, photos: PhotoShelf, key: str
) -> Gallery:
    """Rows with their tags (``examples.tagged_sentences``). photos: those of ``sources``; key: unique on the page."""
    cards = []
    for row, tags in shown:
        example = load_example(row, sources)
        layers = [("truth", example.truth), ("prediction", example.prediction)]
        if example.candidates:
            layers = [*candidate_layers(example.candidates, example.pick), *layers]
        photo = photos.photo(row.file_name)
        outlines = list(outline_all(layers, photo))
        cards.append(Card(f"“{example.sentence}”", photo, outlines, row.category, example.notes, tags))
    return Gallery(cards, key, SENTENCE_TAGS)


def choice_card(
    run: Run,
    ref: Ref,
    choice: int,
    chosen: int,
    photos: PhotoShelf,
    *,
    truth: np.ndarray | None = None,
    **about: Any,
) -> Card:
    """A choice of a ref: the photo with all candidates, numbered from 1, the chosen one and the truth; and the scores.

    chosen: index of a candidate, -1 none; about: other fields of the card.
    """
    photo, masks, of_choice = photos.photo(ref.file_name), run.candidates(ref.ref_id), run.sentences_of(choice)
    sentences = ref.sentences[of_choice]
    layers = [*candidate_layers(masks, chosen), ("truth", truth)]
    places = [number_place(soften(mask, (photo.height, photo.width)), NUMBER / 2) for mask in masks]
    return Card(
        title=" · ".join(f"“{text}”" for text in sentences),
        photo=photo,
        outlines=list(outline_all(layers, photo)),
        numbers=[("pick" if i == chosen else "candidates", *place, i + 1) for i, place in enumerate(places)],
        scores=Scores(
            of_sentences=list(zip(sentences, run.scores.scores(ref.ref_id)[of_choice].tolist(), strict=True)),
            decisive=run.selected.scores(ref.ref_id)[choice].tolist(),
            areas=run.scores.areas(ref.ref_id).tolist(),
            chosen=chosen,
        ),
        run=run.name,
        **about,
    )


def candidate_layers(masks: Sequence[np.ndarray], pick: int | None) -> list[tuple[str, np.ndarray]]:
    """Candidates by layer, the picked one last: it is drawn over the others."""
    layers = [("pick" if i == pick else "candidates", mask) for i, mask in enumerate(masks)]
    return sorted(layers, key=lambda layer: layer[0])


def outline_all(layers: Iterable[tuple[str, np.ndarray | None]], photo: ShelfPhoto) -> Iterator[tuple[str, str]]:
    """Layer and outline of the masks that are known and not empty."""
    for name, mask in layers:
        if mask is not None and (data := outline(mask, (photo.height, photo.width))):
            yield name, data


def outline(mask: np.ndarray, size: tuple[int, int]) -> str:
    """Data of an SVG path for a mask in a picture of ``size`` (height, width); even-odd: holes stay holes."""
    inside = (soften(mask, size) >= 0.5).astype(np.uint8)
    contours, _ = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    shapes = [cv2.approxPolyDP(contour, 0.7, True)[:, 0] for contour in contours]
    return "".join("M" + "L".join(f"{x} {y}" for x, y in shape.tolist()) + "Z" for shape in shapes if len(shape) > 2)
