"""What the controls of the page of ``ssc serve`` do. Without Gradio, which ``web_page`` brings."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ssc_core.errors import SscError
from ssc_core.files import path_inside
from ssc_core.pictures import BadImage
from ssc_core.predict.exploring import Explorer, Look, Wish, candidate_at
from ssc_core.predict.outputs import write_png
from ssc_core.refer.images import load_image
from ssc_core.report.overlay import candidates_overlay, overlay
from ssc_core.toys import refuse_toys
from ssc_core.wording import counted

SIDE = 800
"""Longer side of the pictures, pixels."""

HEADERS = ["candidate", "score", "box score", "% of the photo", "chosen"]

EXAMPLE = Path(__file__).with_name("example.png")
"""A scene of the micro world: number 30 of the domain "example"."""

EXAMPLE_SENTENCE = "purple kite on the left"

MADE_BY_TOYS = "**Toy models made this**, which know drawings of the micro world only."


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page shows the answer to: an uploaded photo, what was asked, and the class that was looked for then."""

    photo: Path
    wish: Wish
    asked: str


@dataclass(frozen=True, slots=True)
class View:
    """What the page shows.

    mask, candidates: RGB uint8, None where no such model runs; title: whose mask it is; rows: as ``HEADERS``; chosen:
    number of the candidate that is shown, from 1, None for none; file: the mask as PNG, 255 at the object, in photo
    pixels.
    """

    shown: Shown
    mask: np.ndarray
    title: str
    candidates: np.ndarray | None
    rows: list[list[Any]]
    chosen: int | None
    message: str
    file: Path


class Desk:
    """The page's controls.

    uploads: folder of what visitors upload, and of what they may download. toys: small models of the micro world among
    the models, path by key of the config; unless ``allowed``, they are asked about the example alone.
    """

    def __init__(self, explorer: Explorer, uploads: Path, toys: Mapping[str, str], *, allowed: bool) -> None:
        self._explorer, self._uploads, self._toys, self._allowed = explorer, uploads, toys, allowed

    def find(
        self,
        photo: str | None,
        sentence: str | None,
        asked: str | None = None,
        threshold: float | None = None,
        shown: Shown | None = None,
    ) -> View:
        """Ask the models. asked: the class that is in the form; what an answer put there counts for the sentence of
        that answer, which ``shown`` is, and what a visitor typed for any.

        Raises SscError for what cannot be asked, and where toys would get a photo.
        """
        if photo is None:
            raise SscError("Give a photo and a sentence.")
        wish = Wish.of(sentence, asked, threshold)
        if shown is not None and wish.asked == shown.asked and wish.sentence != shown.wish.sentence:
            wish = Wish.of(sentence, None, threshold)
        return self._view(Path(photo), wish)

    def choose(self, shown: Shown | None, number: int) -> View:
        """The same answer with the candidate of this number, from 1."""
        if shown is None:
            raise SscError("Press “Find it” first.")
        return self._view(shown.photo, shown.wish, number)

    def click(self, shown: Shown | None, at: Any) -> View:
        """The same answer with the smallest candidate at a point of the picture of candidates, (x, y) in its pixels."""
        if shown is None:
            raise SscError("Press “Find it” first.")
        photo = self._photo(shown.photo)
        look = self._explorer.look(photo, shown.wish)
        number = None if look.masks is None else candidate_at(look.masks, _share(at, photo.shape))
        if number is None:
            raise SscError("There is no candidate at this place.")
        return self.choose(shown, number)

    def example(self) -> str:
        """The example among the uploads, as if it had been uploaded."""
        copy = self._new_file(EXAMPLE.name)
        shutil.copyfile(EXAMPLE, copy)
        return str(copy)

    def _view(self, path: Path, wish: Wish, number: int | None = None) -> View:
        photo = self._photo(path)
        look = self._explorer.look(photo, wish, number)
        file = self._new_file(f"{path.stem}{'' if look.chosen is None else f'_{look.chosen + 1}'}.mask.png")
        write_png(file, look.mask.astype(np.uint8) * 255)
        return View(
            shown=Shown(path, wish, look.asked),
            mask=overlay(photo, look.mask, side=SIDE),
            title=f"Mask of {look.of}",
            candidates=None
            if look.masks is None
            else candidates_overlay(photo, list(look.masks), look.chosen, side=SIDE),
            rows=_rows(look),
            chosen=None if look.chosen is None else look.chosen + 1,
            message=" ".join([*_said(look), *([MADE_BY_TOYS] if self._toys else [])]),
            file=file,
        )

    def _photo(self, path: Path) -> np.ndarray:
        photo = read_upload(path, self._uploads)
        if self._toys and not self._allowed and not np.array_equal(photo, load_image(EXAMPLE)):
            public = {key: f"…/{'/'.join(Path(path).parts[-2:])}" for key, path in self._toys.items()}
            refuse_toys(public, "your photo", "`ssc serve --allow-toy-models`")
        return photo

    def _new_file(self, name: str) -> Path:
        """In a folder that nobody can guess."""
        folder = self._uploads / secrets.token_hex(20)
        folder.mkdir(parents=True)
        return folder / name


def read_upload(path: Path, folder: Path) -> np.ndarray:
    """A visitor's photo, RGB uint8 (H, W, 3). folder: of uploads; ``path`` is what the visitor says.

    Raises BadImage as ``load_image``, and for a path outside of ``folder``.
    """
    try:
        check_uploaded(path, folder)
        return load_image(path)
    except BadImage as error:
        raise BadImage(str(error).replace(str(path), path.name)) from error  # where it lies is not the visitor's


def check_uploaded(path: Path, folder: Path) -> None:
    """Raise BadImage for a file that was not uploaded. An address is no absolute path."""
    try:
        inside = path.is_absolute() and path_inside(folder, path)
    except SscError:
        inside = False
    if not inside:
        raise BadImage("Upload the photo itself.")


def _share(at: Any, shape: tuple[int, ...]) -> tuple[float, float]:
    """A pixel of the picture of a photo of ``shape`` as shares of its sides; what is no pixel lies outside."""
    try:
        x, y = (float(value) for value in at)
    except (TypeError, ValueError):
        return -1.0, -1.0
    height, width = shape[:2]
    longer = max(height, width)
    return (x + 0.5) / max(1, round(width * SIDE / longer)), (y + 0.5) / max(1, round(height * SIDE / longer))


def _rows(look: Look) -> list[list[Any]]:
    if look.masks is None:
        return []
    return [
        [
            number,
            round(score, 2),
            round(box, 2),
            round(100 * float(mask.mean()), 1),
            "yes" if number - 1 == look.chosen else "",
        ]
        for number, (mask, score, box) in enumerate(zip(look.masks, look.scores, look.box_scores, strict=True), start=1)
    ]


def _said(look: Look) -> list[str]:
    said = []
    if look.masks is not None:
        said.append(f"Looked for “{look.asked}”: {counted(len(look.masks), 'candidate')}.")
        if look.full:
            said.append("More were not looked at: a higher threshold gives fewer.")
    said.append(
        f"The mask is {look.of}'s: {100 * look.mask.mean():.1f} % of the photo."
        if look.mask.any()
        else "The mask is empty."
    )
    return said
