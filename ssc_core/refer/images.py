"""Photos as RGB arrays, in the orientation that the annotations refer to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from ssc_core.errors import SscError


class BadImage(SscError):
    """A photo that is missing, damaged, or not the one that the annotations describe."""


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
"""Formats of photos, as Pillow calls them, and how names of such files end. The one list: what a folder is searched
for, and what readers may open (``Image.open(path, formats=tuple(PHOTO_FORMATS))``): Pillow alone would open EPS too."""

PHOTO_SUFFIXES = frozenset(suffix for suffixes in PHOTO_FORMATS.values() for suffix in suffixes)

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


def load_image(path: Path, size: tuple[int, int] | None = None, *, upright: bool = False) -> np.ndarray:
    """Read a photo as RGB ``uint8 (H, W, 3)``. Grey, palette, CMYK, 16-bit and transparent files are converted.

    size: (height, width) that the annotations refer to. A photo with an EXIF rotation is left as it is stored when its
    stored size is ``size`` (COCO annotates stored pixels), and turned when only its upright size is. Where both fit
    (half a turn, a square), ``upright`` decides. Without ``size`` the photo is turned upright, as ``image_size`` says.

    Transparency is laid over white; 16-bit values are scaled to 8 bits; of an animation, the first frame is taken.
    Raises BadImage, naming the path, when the file is missing, truncated, no image, or of another size.
    """
    path = Path(path)
    try:
        with Image.open(path) as image:
            turn = _turn_for(path, image, size, upright)
            image.load()
            rgb = _to_rgb(image)
    except BadImage:
        raise
    except Exception as error:
        raise _bad_image(path, error) from error
    if turn is not None:
        rgb = rgb.transpose(turn)
    return np.array(rgb, dtype=np.uint8)


class PhotoReader:
    """Photos by file name, each in the orientation that the annotations refer to. See ``index.open_photos``.

    sizes: (height, width) by file name relative to ``folder``. upright: as in ``load_image``.
    """

    def __init__(self, folder: Path, sizes: Mapping[str, tuple[int, int]], *, upright: bool) -> None:
        self._folder = Path(folder)
        self._sizes = sizes
        self._upright = upright

    def __call__(self, file_name: str) -> np.ndarray:
        """RGB uint8 (H, W, 3). Raises BadImage, also for a photo that the annotations do not know."""
        size = self._sizes.get(file_name)
        if size is None:
            raise BadImage(f"photo '{file_name}' is not in the annotations")
        return load_image(self._folder / file_name, size, upright=self._upright)


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) of the upright photo, from the file's header alone. Raises BadImage."""
    path = Path(path)
    try:
        with Image.open(path) as image:
            return _upright_size(image)
    except Exception as error:
        raise _bad_image(path, error) from error


def read_mask_png(path: Path, height: int, width: int) -> np.ndarray:
    """Read a ground-truth mask: bool (H, W), true where a PNG is not black (palette: not entry 0) and not transparent.

    Raises BadImage when the file is missing, damaged, no PNG, or not of the photo's size.
    """
    path = Path(path)
    try:
        with Image.open(path) as image:
            if image.format != "PNG":
                raise BadImage(f"mask {path} is a {image.format} file; save it as PNG, which keeps every pixel's value")
            image.load()
            values = np.asarray(image)
            has_alpha = image.mode in ("RGBA", "LA")
    except BadImage:
        raise
    except Exception as error:
        raise _bad_image(path, error) from error
    if values.shape[:2] != (height, width):
        raise BadImage(
            f"mask {path} has {_size_text(values.shape[:2])} pixels, its photo {_size_text((height, width))}"
        )
    planes = values.reshape(height, width, -1)
    if has_alpha:
        planes = planes[..., :-1] * (planes[..., -1:] > 0)
    return np.asarray(planes.any(axis=-1))


def _turn_for(path: Path, image: Image.Image, size: tuple[int, int] | None, upright: bool) -> Image.Transpose | None:
    turn = _TURNS.get(_orientation(image))
    stored_size, upright_size = (image.height, image.width), _upright_size(image)
    if size is None:
        return turn
    size = (int(size[0]), int(size[1]))
    if size == stored_size and not (upright and size == upright_size):
        return None
    if size == upright_size:
        return turn
    raise BadImage(
        f"{path} has {_size_text(stored_size)} pixels, the annotations say {_size_text(size)}: "
        "put the original photo there, not a resized copy"
    )


def _upright_size(image: Image.Image) -> tuple[int, int]:
    swapped = _orientation(image) >= 5
    return (image.width, image.height) if swapped else (image.height, image.width)


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
        return _from_wide_grey(np.asarray(image).clip(0, 65535))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _from_wide_grey(values: np.ndarray) -> Image.Image:
    # Some 8-bit photos come in wide containers: scaling those would make them black.
    eight_bit = values if values.max() <= 255 else np.rint(values / 257.0)
    return Image.fromarray(eight_bit.astype(np.uint8)).convert("RGB")


def _bad_image(path: Path, error: Exception) -> BadImage:
    if isinstance(error, FileNotFoundError):
        return BadImage(f"{path} does not exist; check the paths of the dataset")
    if isinstance(error, UnidentifiedImageError):
        return BadImage(f"{path} is not an image, or damaged at its start")
    if isinstance(error, Image.DecompressionBombError):
        return BadImage(f"{path} is refused: {error}")
    return BadImage(f"{path} cannot be read ({error}); is it truncated? Get the file again")


def _size_text(size: tuple[int, ...]) -> str:
    return f"{size[0]} x {size[1]} (height x width)"
