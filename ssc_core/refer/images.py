"""Photos as RGB arrays, in the orientation that the annotations refer to."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from ssc_core.pictures import BadImage, looks_like_jpeg, open_picture, read_levels, size_text
from ssc_core.provenance import file_sha256

log = logging.getLogger(__name__)

_ORIENTATION_TAG = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation to what makes the photo upright (EXIF 2.32, tag 274). From 5 on, height and width swap."""
_BACK = {**_TURNS, 6: _TURNS[8], 8: _TURNS[6]}
"""What makes an upright photo lie as it is stored."""
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257


def load_image(path: Path, size: tuple[int, int] | None = None, *, upright: bool = False) -> np.ndarray:
    """Read a photo as RGB ``uint8 (H, W, 3)``. Grey, palette, CMYK, 16-bit and transparent files are converted.

    size: (height, width) that the annotations refer to. A photo with an EXIF rotation is left as it is stored when its
    stored size is ``size`` (COCO annotates stored pixels), and turned when only its upright size is. Where both fit
    (half a turn, a square), ``upright`` decides. Without ``size`` the photo is turned upright, as ``image_size`` says.

    Transparency is laid over white; 16-bit values are scaled to 8 bits; of an animation, the first frame is taken.
    Raises BadImage, naming the path, when the file is missing, truncated, no image, or of another size.
    """
    path = Path(path)
    with open_picture(path) as image:
        orientation = _orientation(image)
        wants_upright = _wants_upright(path, image, size, upright)
        image.load()
        is_upright = _orientation(image) != orientation  # Pillow turns TIFFs itself, and says so by dropping the tag
        rgb = _to_rgb(image)
    if wants_upright != is_upright and orientation != 1:
        rgb = rgb.transpose((_TURNS if wants_upright else _BACK)[orientation])
    return np.array(rgb, dtype=np.uint8)


class PhotoReader:
    """Photos by file name, each in the orientation that the annotations refer to. See ``index.open_photos``.

    sizes: (height, width) by file name relative to ``folder``. upright: as in ``load_image``. skip_bad: whether
    ``or_none`` and ``or_grey`` do without a photo that cannot be read; who calls them says what that means. digest: of
    the files.
    """

    def __init__(
        self, folder: Path, sizes: Mapping[str, tuple[int, int]], *, upright: bool, skip_bad: bool = False
    ) -> None:
        self.skip_bad = skip_bad
        self.digest = PhotoDigests(folder)
        self._skipped: set[str] = set()
        self._folder = Path(folder)
        self._sizes = sizes
        self._upright = upright

    def __call__(self, file_name: str) -> np.ndarray:
        """RGB uint8 (H, W, 3). Raises BadImage, also for a photo that the annotations do not know."""
        size = self._sizes.get(file_name)
        if size is None:
            raise BadImage(f"photo '{file_name}' is not in the annotations")
        return load_image(self._folder / file_name, size, upright=self._upright)

    def check(self, file_name: str) -> None:
        """Raise BadImage as a call does, by the file's header alone, and for a photo whose ``upright`` size is another
        while that of its stored pixels is right: what else reads the file turns it."""
        path, size = self._folder / file_name, self._sizes[file_name]
        with open_picture(path) as image:
            if self._upright and _upright_size(image) != size:
                raise _of_another_size(path, _upright_size(image), size)
            _wants_upright(path, image, size, self._upright)

    def or_none(self, file_name: str) -> np.ndarray | None:
        """The photo; where bad ones are skipped, None for one that cannot be read, which is named in the log once."""
        try:
            return self(file_name)
        except BadImage as error:
            if not self.skip_bad:
                raise
            if file_name not in self._skipped:
                log.warning("photo %s is skipped: %s", file_name, error)
            self._skipped.add(file_name)
            return None

    def or_grey(self, file_name: str) -> np.ndarray:
        """The photo, or a grey picture of its size in place of one that is skipped: for pages and sheets."""
        photo = self.or_none(file_name)
        return np.full((*self._sizes[file_name], 3), 128, np.uint8) if photo is None else photo


class PhotoDigests:
    """Digests of photos' files by name relative to ``folder``, as ``sha-3b1f...`` with 16 hex digits; "" for one that
    cannot be read. Digits alone could be a number, which spreadsheets write in their own way.

    A file is read once, and again where its size or time is another since.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = Path(folder)
        self._known: dict[str, tuple[tuple[int, int], str]] = {}

    def __call__(self, file_name: str) -> str:
        path = self._folder / file_name
        try:
            found = path.stat()
            state, known = (found.st_size, found.st_mtime_ns), self._known.get(file_name)
            if known is None or known[0] != state:
                known = self._known[file_name] = (state, f"sha-{file_sha256(path)[:16]}")
        except (OSError, ValueError):
            return ""
        return known[1]


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) of the upright photo, from the file's header alone. Raises BadImage."""
    with open_picture(Path(path)) as image:
        return _upright_size(image)


def read_mask_png(path: Path, size: tuple[int, int]) -> tuple[np.ndarray, bool]:
    """Read a ground-truth mask of a photo of (height, width) ``size``.

    Returns bool (H, W), true where the PNG is neither black nor transparent (see ``read_levels``), and whether it looks
    as if it had been saved as JPEG before. Raises BadImage as ``read_levels`` does.
    """
    levels = read_levels(Path(path), size)
    return levels > 0, looks_like_jpeg(levels)


def _wants_upright(path: Path, image: Image.Image, size: tuple[int, int] | None, upright: bool) -> bool:
    if size is None:
        return True
    size = (int(size[0]), int(size[1]))
    stored_size, upright_size = _stored_size(image), _upright_size(image)
    if size == stored_size and not (upright and size == upright_size):
        return False
    if size == upright_size:
        return True
    raise _of_another_size(path, stored_size, size)


def _of_another_size(path: Path, found: tuple[int, int], size: tuple[int, int]) -> BadImage:
    return BadImage(
        f"{path} has {size_text(found)} pixels, the annotations say {size_text(size)}: "
        "put the original photo there, not a resized copy"
    )


def _stored_size(image: Image.Image) -> tuple[int, int]:
    """(height, width) as the file has them. Of a TIFF that is to be turned, Pillow gives those of the turned one."""
    tags = getattr(image, "tag_v2", {})
    return int(tags.get(_TIFF_HEIGHT, image.height)), int(tags.get(_TIFF_WIDTH, image.width))


def _upright_size(image: Image.Image) -> tuple[int, int]:
    height, width = _stored_size(image)
    return (width, height) if _orientation(image) >= 5 else (height, width)


def _orientation(image: Image.Image) -> int:
    # Pillow decodes a whole PNG in search of EXIF data; what stands before the pixels is enough.
    if image.format == "PNG" and "exif" not in image.info:
        return 1
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    # Damaged EXIF data fails in many ways and says nothing about the pixels.
    except Exception:
        return 1
    return value if value in _TURNS else 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return _from_wide_grey(np.asarray(image))
    if image.mode in ("I", "F"):
        return _from_wide_grey(_in_levels(np.asarray(image)).clip(0, 65535))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        rgba = image if image.mode == "RGBA" else image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _in_levels(values: np.ndarray) -> np.ndarray:
    """Of floats, which go from 0 to 1 where none is above 1. Raises ValueError for NaN and infinity."""
    if values.dtype.kind != "f":
        return values
    if not np.isfinite(values).all():
        raise ValueError("it has pixels that are NaN or infinite")
    return np.rint(values * 255) if 0 < values.max() <= 1 else values


def _from_wide_grey(values: np.ndarray) -> Image.Image:
    # Some 8-bit photos come in wide containers: scaling those would make them black.
    if values.max() <= 255:
        eight_bit = values
    elif values.dtype == np.uint16:
        eight_bit = np.rint(np.arange(2**16) / 257.0).astype(np.uint8)[values]
    else:
        eight_bit = np.rint(values / 257.0)
    return Image.fromarray(eight_bit.astype(np.uint8)).convert("RGB")
