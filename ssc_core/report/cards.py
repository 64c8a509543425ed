"""The report's gallery: each photo once as JPEG, its masks as SVG outlines that can be switched on and off."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import cv2
import numpy as np
from PIL import Image

from ssc_core.evaluate.pairs import LoadImage
from ssc_core.report.examples import TAGS, Sources, load_example
from ssc_core.report.gallery import Example
from ssc_core.report.overlay import scale, soften

SIDE = 360
"""Longer side of the gallery's photos, pixels: twice what a card is wide on most screens."""

LAYERS = {
    "prediction": "prediction",
    "truth": "ground truth",
    "pick": "Select's pick",
    "candidates": "other candidates",
}


class PhotoShelf:
    """Small versions of photos by file name; the page holds each one once, however many cards show it.

    prefix: unique on the page.
    """

    def __init__(self, photos: LoadImage, prefix: str) -> None:
        self._photos, self._prefix = photos, prefix
        self._small: dict[str, np.ndarray] = {}

    def __call__(self, file_name: str) -> np.ndarray:
        """RGB uint8, ``SIDE`` pixels on the longer side."""
        if file_name not in self._small:
            self._small[file_name] = scale(self._photos(file_name), SIDE)
        return self._small[file_name]

    def use(self, file_name: str) -> str:
        """SVG that shows a photo of ``defs``."""
        return f'<use href="#{self._prefix}-{list(self._small).index(file_name)}"/>'

    def defs(self) -> str:
        """SVG, itself invisible, that holds all photos that were asked for."""
        images = "".join(
            f'<image id="{self._prefix}-{i}" href="{_jpeg(photo)}" width="{photo.shape[1]}" height="{photo.shape[0]}"/>'
            for i, photo in enumerate(self._small.values())
        )
        return f'<svg class="shelf" width="0" height="0" aria-hidden="true"><defs>{images}</defs></svg>'


def gallery_section(shown: Iterable[tuple[Any, set[str]]], sources: Sources, photos: PhotoShelf, *, key: str) -> str:
    """Filters and cards of rows with their tags (``examples.tagged``). photos: those of ``sources``; key: unique."""
    cards: list[str] = []
    used: set[str] = set()
    categories: set[str] = set()
    layers = {"prediction", "truth"}
    for row, tags in shown:
        example = load_example(row, sources)
        cards.append(_card(example, row, tags, photos.use(row.file_name), f"{key}-{len(cards)}"))
        used |= tags
        categories |= {row.category} - {""}
        layers |= {"pick", "candidates"} if example.candidates else set()
    return (
        f'<div class="gallery" data-gallery>{controls(used, sorted(categories), layers, key)}'
        f'<p class="count" role="status" aria-live="polite"></p><div class="grid">{"".join(cards)}</div></div>'
    )


def controls(
    tags: set[str], categories: list[str], layers: set[str], key: str, *, names: Mapping[str, str] = TAGS
) -> str:
    """Filters of a gallery, for page.js. names: what a reader calls each tag, in the order of the buttons."""
    buttons = "".join(
        f'<button type="button" data-tag="{tag}" aria-pressed="false">{escape(names[tag])}</button>'
        for tag in names
        if tag in tags
    )
    options = "".join(f"<option>{escape(name)}</option>" for name in categories)
    boxes = "".join(
        f'<label class="layer {name}"><input type="checkbox" data-layer="{name}" checked> {escape(label)}</label>'
        for name, label in LAYERS.items()
        if name in layers
    )
    return (
        '<div class="controls"><div class="filters" role="group" aria-label="Which examples">'
        f'<button type="button" data-tag="" aria-pressed="true">All</button>{buttons}</div>'
        f'<div class="fields"><label for="{key}-category">Category</label> <select id="{key}-category" data-category>'
        f'<option value="">all</option>{options}</select> <label for="{key}-text">Words</label> '
        f'<input id="{key}-text" type="search" data-text placeholder="left, red, …"></div>'
        f'<fieldset class="layers"><legend>Show</legend>{boxes}</fieldset></div>'
    )


def _card(example: Example, row: Any, tags: set[str], photo: str, key: str) -> str:
    height, width = example.image.shape[:2]
    layers = [("truth", example.truth), ("prediction", example.prediction)]
    if example.candidates:
        others = [mask for i, mask in enumerate(example.candidates) if i != example.pick]
        pick = None if example.pick is None else example.candidates[example.pick]
        layers = [*(("candidates", mask) for mask in others), ("pick", pick), *layers]
    paths = "".join(outline_path(name, mask, (height, width)) for name, mask in layers if mask is not None)
    marks = "".join(f'<span class="tag {tag}">{escape(TAGS[tag])}</span>' for tag in TAGS if tag in tags)
    return (
        f'<article class="example" data-tags="{" ".join(sorted(tags))}" data-category="{escape(row.category)}">'
        f'<button type="button" class="picture" aria-labelledby="{key}" data-open>'
        f'<svg viewBox="0 0 {width} {height}" aria-hidden="true">'
        f"{photo}{paths}</svg></button>"
        f'<h4 id="{key}">“{escape(example.sentence)}”</h4><p class="quiet">{escape(" · ".join(example.notes))}</p>'
        f"<p>{marks}</p></article>"
    )


def outline_path(name: str, mask: np.ndarray, size: tuple[int, int]) -> str:
    """SVG path of class ``name`` for a mask in a picture of ``size`` (height, width); even-odd: holes stay holes."""
    inside = (soften(mask, size) >= 0.5).astype(np.uint8)
    contours, _ = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    shapes = [cv2.approxPolyDP(contour, 0.7, True)[:, 0] for contour in contours]
    data = "".join("M" + "L".join(f"{x} {y}" for x, y in shape.tolist()) + "Z" for shape in shapes if len(shape) > 2)
    return f'<path class="{name}" d="{data}"/>' if data else ""


def _jpeg(photo: np.ndarray) -> str:
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, format="JPEG", quality=80, optimize=True, progressive=True)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
