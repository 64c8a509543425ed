"""Predicted masks as files: overlay and mask PNGs beside each other, and one JSON with COCO run lengths."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ssc_core.errors import SscError
from ssc_core.files import atomic_path, check_writable, path_inside
from ssc_core.masks import rle
from ssc_core.wording import counted

KINDS = ("overlay", "mask", "rle")
RLE_FILE = "predictions.json"
OVERLAY_SIDE = 480
"""Pixels of an overlay's longer side at least: on a small photo the outline would cover what it surrounds."""

LONGEST_STEM = 200
"""Bytes of a photo's name that its pictures are called after."""

_PICTURE = re.compile(r".+_[0-9]+\.(overlay|mask)\.png", re.DOTALL)
_HEAD = 4096
"""Bytes at the start of a file that say whether it is ours."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prediction:
    """A sentence's mask, bool (H, W) in the pixels of its photo, RGB uint8 (H, W, 3).

    image: name of the photo, relative; details: more plain values for the JSON, such as scores.
    """

    image: str
    sentence: str
    photo: np.ndarray
    mask: np.ndarray
    details: dict[str, Any]


class OutputWriter:
    """Writes predictions to ``folder`` as they come: {photo}_{n}.overlay.png, {photo}_{n}.mask.png and
    predictions.json. n counts the sentences of a photo from 1. Each picture is whole or not there, and the JSON has
    every prediction that was added, however the program ends. At the first prediction or by ``close``, what a former
    run wrote of the photos ``asked``, and no other file, is removed: a picture says in a comment what it was called.

    kinds: some of ``KINDS``; asked: names of the photos that there will be predictions of. A mask PNG has 255 at the
    object and 0 elsewhere. The JSON is a list of COCO results (``segmentation`` as ``pycocotools.mask`` reads it,
    ``bbox`` x, y, width, height, ``area``) with ``image``, ``sentence`` and ``files``, one result per line. Raises
    SscError if ``folder`` cannot be written to, and for a photo whose pictures would lie outside of it.
    """

    def __init__(self, folder: Path, kinds: Collection[str], asked: Iterable[str] = ()) -> None:
        self._folder, self._kinds = Path(folder), frozenset(kinds)
        self._asked = set(map(_stem, asked))
        if self._folder.exists() and not self._folder.is_dir():
            raise SscError(f"{folder} is a file; name a folder for what is written")
        check_writable(self._folder)
        self._numbers: Counter[str] = Counter()
        self._rows = GrowingList(self._folder / RLE_FILE) if "rle" in self._kinds else None
        self._begun = False

    def add(self, prediction: Prediction) -> list[Path]:
        """Write a prediction. Returns the paths of its pictures."""
        self._begin()
        stem = _stem(prediction.image)
        self._numbers[stem] += 1
        base = path_inside(self._folder, f"{stem}_{self._numbers[stem]}")
        written = []
        if "overlay" in self._kinds:
            from ssc_core.report.overlay import overlay  # matplotlib's fonts take a while to import

            side = max(OVERLAY_SIDE, *prediction.photo.shape[:2])
            picture = overlay(prediction.photo, prediction.mask, sentence=prediction.sentence, side=side)
            written.append(self._write(base.with_name(f"{base.name}.overlay.png"), picture))
        if "mask" in self._kinds:
            written.append(self._write(base.with_name(f"{base.name}.mask.png"), prediction.mask.astype(np.uint8) * 255))
        if self._rows is not None:
            self._rows.append(_row(prediction, [path.relative_to(self._folder) for path in written]))
        return written

    @property
    def listing(self) -> Path | None:
        """Path of the JSON, when one is wanted."""
        return self._rows.path if self._rows is not None else None

    def close(self) -> Path | None:
        """Without any prediction, the JSON is an empty list. Returns its path, when one is wanted."""
        self._begin()
        if self._rows is not None:
            self._rows.close()
        return self.listing

    def _begin(self) -> None:
        """Once: remove the answers of a former run, first the JSON, so that it names no picture that is gone."""
        if self._begun:
            return
        self._begun = True
        if _is_listing(self._folder / RLE_FILE):
            (self._folder / RLE_FILE).unlink()
        pictures = list(_pictures(self._folder, self._asked))
        for path in pictures:
            path.unlink()
        if pictures:
            log.warning("%s: removed %s of a former run", self._folder, counted(len(pictures), "picture"))

    def _write(self, path: Path, picture: np.ndarray) -> Path:
        return write_png(path, picture, comment=_comment(path.relative_to(self._folder)))


class GrowingList:
    """A JSON list in a file, valid after every value: each is written over the closing bracket, in one go.

    The file, and with it what a former run left there, is replaced at the first value or by ``close``.
    """

    _END = b"\n]\n"

    def __init__(self, path: Path) -> None:
        self.path, self._size = path, 0

    def append(self, value: Any) -> None:
        """Add a value. Where the drive is full, the values before it stay."""
        text = json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
        if self._size == 0:
            self._replace(b"[\n" + text + self._END)
            return
        place = self._size - len(self._END)
        with self.path.open("r+b", buffering=0) as file:
            try:
                self._size = place + self._write(file, place, b",\n" + text + self._END)
            except OSError:
                file.truncate(self._size)
                self._write(file, place, self._END)
                raise

    def close(self) -> None:
        """Write the empty list where nothing was added."""
        if self._size == 0:
            self._replace(b"[\n]\n")

    def _replace(self, content: bytes) -> None:
        with atomic_path(self.path) as temporary:
            temporary.write_bytes(content)
        self._size = len(content)

    @staticmethod
    def _write(file: BinaryIO, place: int, content: bytes) -> int:
        file.seek(place)
        if (written := file.write(content)) != len(content):  # a drive that fills up takes the first part
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file.name))
        return written


def _stem(photo: str) -> str:
    """What the pictures of a photo begin with: names that leave room for the rest, since drives take 255 bytes."""
    parts = Path(photo).with_suffix("").parts
    return "/".join(part.encode()[:LONGEST_STEM].decode(errors="ignore") for part in parts)


def _row(prediction: Prediction, files: Iterable[Path]) -> dict[str, Any]:
    height, width = prediction.mask.shape
    counts = rle.encode(prediction.mask[None])[0]
    return {
        "image": prediction.image,
        "sentence": prediction.sentence,
        "segmentation": {"size": [height, width], "counts": counts.decode("ascii")},
        "bbox": rle.boxes([counts], (height, width))[0].tolist(),
        "area": int(np.count_nonzero(prediction.mask)),
        "files": [path.as_posix() for path in files],
        **prediction.details,
    }


def _comment(name: Path) -> str:
    """Of a picture that is written to a folder as ``name``: a copy, also in a folder within, has another name there."""
    return f"ssc predict {json.dumps(name.as_posix())}"


def is_answer(folder: Path, path: Path) -> bool:
    """Whether ``OutputWriter`` wrote a picture to ``folder``, or below it."""
    named = _PICTURE.fullmatch(path.name) is not None
    return named and _comment(path.relative_to(folder)).encode() in _head(path)


def _pictures(folder: Path, stems: Collection[str]) -> Iterator[Path]:
    """The pictures that were written to a folder of some photos."""
    for place, _, names in os.walk(folder):
        for path in (Path(place, name) for name in names):
            stem = path.relative_to(folder).as_posix().rpartition("_")[0]
            if stem in stems and is_answer(folder, path):
                yield path


def _is_listing(path: Path) -> bool:
    """Whether ``OutputWriter`` wrote a JSON."""
    head = _head(path)
    return head == b"[\n]\n" or (head.startswith(b'[\n{"image": ') and b'"sentence": ' in head)


def _head(path: Path) -> bytes:
    """How a file begins; nothing of what cannot be read."""
    with suppress(OSError):
        if path.is_file():
            with path.open("rb") as stream:
                return stream.read(_HEAD)
    return b""


def write_png(path: Path, picture: np.ndarray, *, comment: str = "") -> Path:
    """Write RGB or grey uint8, whole or not at all; returns the path. comment: ASCII, for those who read it there."""
    about = PngInfo()
    if comment:
        about.add_text("Comment", comment)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        Image.fromarray(picture).save(file, format="PNG", pnginfo=about)
    return path
