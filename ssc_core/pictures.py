"""Picture files of strangers: the one place where Pillow opens one, and what the colours of a mask's picture mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from ssc_core.errors import SscError

PHOTO_FORMATS: dict[str, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (".mpo",),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "AVIF": (".avif",),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "PPM": (".ppm", ".pgm", ".pnm"),
}
"""Formats of photos, as Pillow calls them, and how names of such files end. The one list: what a folder is searched for
and what readers open. Pillow alone would open EPS too, for which it starts Ghostscript on the file, and forty more."""

PHOTO_SUFFIXES = frozenset(suffix for suffixes in PHOTO_FORMATS.values() for suffix in suffixes)

MAX_PIXELS = 2**26
"""Of a photo: 8192 x 8192. As RGB it takes 0.2 GB; while it is read, three to five times as much."""

_FAINT, _STRONG = 32, 128
_FAINT_LEVELS = 8
_VISIBLE = 1 << 24
_ROWS_AT_ONCE = 64


class BadImage(SscError):
    """A photo that is missing, damaged, or not the one that the annotations describe."""


@contextmanager
def open_picture(path: Path) -> Iterator[Image.Image]:
    """Open a picture of one of ``PHOTO_FORMATS`` with Pillow; it is decoded when ``load`` is called.

    Raises BadImage that names the file, for whatever goes wrong in the block, too: it is missing, damaged, too big, or
    of another format.
    """
    try:
        with Image.open(path, formats=_formats()) as image:
            check_pixels(path, image.height, image.width)
            yield image
    except SscError:
        raise
    # Damaged files make Pillow fail in any way at all.
    except Exception as error:
        raise _bad_image(path, error) from error


@cache
def _formats() -> tuple[str, ...]:
    """Those that this Pillow can open. MPO, a JPEG with more than one picture, is none: JPEG's reader opens it."""
    Image.init()
    return tuple(name for name in PHOTO_FORMATS if name in Image.OPEN)


def check_pixels(where: Path | str, height: int, width: int) -> None:
    """Raise BadImage for a size that no photo has, or that is too big to be worked with."""
    if height < 1 or width < 1:
        raise BadImage(f"{where} has the size {height} x {width}, which no photo has")
    if height * width > MAX_PIXELS:
        raise BadImage(
            f"{where} has the size {size_text((height, width))}; {MAX_PIXELS} pixels are the most, so make it smaller"
        )


def size_text(size: tuple[int, ...]) -> str:
    """(height, width) in words."""
    return f"{size[0]} x {size[1]} (height x width)"


def read_levels(path: Path, size: tuple[int, int]) -> np.ndarray:
    """What a mask's picture shows: integers (H, W), 0 where it is black or transparent, else a number for each colour.

    size: (height, width) of the photo. Colours count, not their numbers in a palette; numbers rise with brightness, and
    are the values of a grey picture. Where nothing but black can be seen, beside something transparent, the shape is in
    the transparency: what can be seen is 255.

    Raises BadImage when the file is missing, damaged, no PNG, or not of the photo's size.
    """
    with open_picture(path) as image:
        if image.format != "PNG":
            raise BadImage(f"mask {path} is a {image.format} file; save it as PNG, which keeps every pixel's value")
        found = image.height, image.width
        if found != tuple(size):
            raise BadImage(f"mask {path} has {size_text(found)} pixels, its photo {size_text(tuple(size))}")
        image.load()
        if image.mode in ("1", "L", "I", "I;16", "I;16B") and "transparency" not in image.info:
            return np.asarray(image)
        return _levels_of_colours(image)


def looks_like_jpeg(levels: np.ndarray) -> bool:
    """Whether a mask's picture has the faint noise around its shape that JPEG leaves, even if it is a PNG by now.

    An edge that was drawn smooth passes through all shades; noise of JPEG is near black and near white.
    """
    if not _STRONG <= levels.max(initial=0) <= 255:
        return False
    counts = np.zeros(256, np.int64)
    for row in levels:
        counts += np.bincount(row, minlength=256)
    faint, between = counts[1:_FAINT], counts[_FAINT:_STRONG]
    return bool(np.count_nonzero(faint) >= _FAINT_LEVELS and faint.sum() > between.sum())


def _levels_of_colours(image: Image.Image) -> np.ndarray:
    codes = np.empty((image.height, image.width), np.uint32)
    for top in range(0, image.height, _ROWS_AT_ONCE):  # the whole picture at once would take 2 GB
        rows = image.crop((0, top, image.width, min(top + _ROWS_AT_ONCE, image.height)))
        red, green, blue, alpha = np.moveaxis(np.asarray(rows.convert("RGBA")).astype(np.uint32), -1, 0)
        visible = (alpha > 0).astype(np.uint32)
        codes[top : top + rows.height] = visible * (_VISIBLE + (red << 16) + (green << 8) + blue)
    distinct = np.unique(np.concatenate([np.unique(row) for row in codes]))
    numbers = _numbers_of_colours(distinct)
    for row in codes:
        row[:] = numbers[np.searchsorted(distinct, row)]
    return codes


def _numbers_of_colours(codes: np.ndarray) -> np.ndarray:
    """What ``read_levels`` says of each of the distinct colours of a picture, given in ascending order."""
    visible, colour = codes >= _VISIBLE, codes % _VISIBLE
    red, green, blue = colour >> 16, colour >> 8 & 255, colour & 255
    if not colour.any():
        return np.where(visible, 0 if visible.all() else 255, 0)
    if np.array_equal(red, green) and np.array_equal(green, blue):
        return red
    brightness = 299 * red + 587 * green + 114 * blue  # ITU-R BT.601
    rank = np.empty_like(codes)
    rank[np.lexsort((colour, brightness))] = np.arange(1, len(codes) + 1)
    return np.where(colour > 0, rank, 0)


def _bad_image(path: Path, error: Exception) -> BadImage:
    if isinstance(error, FileNotFoundError):
        return BadImage(f"{path} does not exist; check the paths of the dataset")
    if isinstance(error, UnidentifiedImageError):
        if Path(path).stat().st_size == 0:
            return BadImage(f"{path} is empty (0 bytes); get the file again")
        known = ", ".join(PHOTO_FORMATS)
        return BadImage(f"{path} is not an image that is read here, or damaged at its start; the formats are {known}")
    if isinstance(error, Image.DecompressionBombError):
        return BadImage(f"{path} is refused: {error}")
    return BadImage(f"{path} cannot be read ({error}); is it truncated? Get the file again")
