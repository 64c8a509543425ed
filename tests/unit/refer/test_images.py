from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssc_core.refer.images import BadImage, PhotoReader, image_size, load_image, read_mask_png

HEIGHT, WIDTH = 24, 40


def picture() -> np.ndarray:
    """RGB uint8 (24, 40, 3): four quarters, red green / blue grey."""
    array = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    array[:12, :20] = (200, 0, 0)
    array[:12, 20:] = (0, 200, 0)
    array[12:, :20] = (0, 0, 200)
    array[12:, 20:] = (120, 120, 120)
    return array


def save_turned(path: Path, orientation: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """A JPEG stored as ``picture``, with an EXIF orientation; returns what is stored."""
    stored = picture()[: size[0], : size[1]]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(path, quality=100, subsampling=0, exif=exif)
    return stored


def close(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and bool(np.abs(a.astype(int) - b).max() <= 12)


@pytest.mark.parametrize("suffix", ["png", "bmp", "jpg", "webp"])
def test_rgb(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"photo.{suffix}"
    lossless = {"lossless": True} if suffix == "webp" else {"quality": 100, "subsampling": 0}
    Image.fromarray(picture()).save(path, **lossless)
    image = load_image(path, (HEIGHT, WIDTH))
    assert image.dtype == np.uint8
    assert image.flags.writeable
    assert close(image, picture())


def test_grey(tmp_path: Path) -> None:
    grey = picture()[..., 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(load_image(tmp_path / "grey.png"), np.stack([grey] * 3, axis=-1))


def test_cmyk(tmp_path: Path) -> None:
    Image.fromarray(picture()).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=100, subsampling=0)
    with Image.open(tmp_path / "cmyk.jpg") as stored:
        assert stored.mode == "CMYK"
    assert close(load_image(tmp_path / "cmyk.jpg"), picture())


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_grey_is_scaled(tmp_path: Path, suffix: str) -> None:
    ramp = np.linspace(0, 65535, HEIGHT * WIDTH).astype(np.uint16).reshape(HEIGHT, WIDTH)
    Image.fromarray(ramp).save(tmp_path / f"deep.{suffix}")
    image = load_image(tmp_path / f"deep.{suffix}")
    np.testing.assert_array_equal(image[..., 1], np.rint(ramp / 257.0))


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_32_bit_grey_is_read_as_16_bit(tmp_path: Path, kind: type) -> None:
    ramp = np.linspace(-10, 70000, HEIGHT * WIDTH).astype(kind).reshape(HEIGHT, WIDTH)
    Image.fromarray(ramp).save(tmp_path / "deep.tif")
    np.testing.assert_array_equal(load_image(tmp_path / "deep.tif")[..., 1], np.rint(ramp.clip(0, 65535) / 257.0))


def test_8_bit_values_in_a_16_bit_file_are_kept(tmp_path: Path) -> None:
    Image.fromarray(picture()[..., 0].astype(np.uint16)).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(load_image(tmp_path / "deep.png")[..., 0], picture()[..., 0])


def test_palette_and_one_bit(tmp_path: Path) -> None:
    Image.fromarray(picture()).convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "palette.png")
    assert close(load_image(tmp_path / "palette.png"), picture())
    Image.fromarray(picture()[..., 0] > 0).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(load_image(tmp_path / "bits.png")[..., 2], (picture()[..., 0] > 0) * 255)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_over_white(tmp_path: Path, mode: str) -> None:
    alpha = np.full((HEIGHT, WIDTH, 1), 255, np.uint8)
    alpha[:, :20] = 0
    image = Image.fromarray(np.concatenate([picture(), alpha], axis=-1))
    image.convert(mode).save(tmp_path / "see-through.png")
    loaded = load_image(tmp_path / "see-through.png")
    assert (loaded[:, :20] == 255).all()
    assert close(loaded[12:, 20:], picture()[12:, 20:])


UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a[::-1].transpose(1, 0, 2),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a[:, ::-1].transpose(1, 0, 2),
}
"""EXIF 2.32, tag 274: the side that row 0 and column 0 of the stored pixels show."""


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_without_a_size_the_photo_is_upright(tmp_path: Path, orientation: int) -> None:
    expected = UPRIGHT[orientation](save_turned(tmp_path / "turned.jpg", orientation))
    assert image_size(tmp_path / "turned.jpg") == expected.shape[:2]
    assert close(load_image(tmp_path / "turned.jpg"), expected)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_size_of_the_annotations_decides_about_quarter_turns(tmp_path: Path, orientation: int) -> None:
    stored = save_turned(tmp_path / "turned.jpg", orientation)
    assert close(load_image(tmp_path / "turned.jpg", (HEIGHT, WIDTH)), stored)
    assert close(load_image(tmp_path / "turned.jpg", (WIDTH, HEIGHT)), UPRIGHT[orientation](stored))


@pytest.mark.parametrize(("orientation", "size"), [(3, (HEIGHT, WIDTH)), (2, (HEIGHT, WIDTH)), (6, (HEIGHT, HEIGHT))])
def test_where_both_sizes_fit_upright_decides(tmp_path: Path, orientation: int, size: tuple[int, int]) -> None:
    stored = save_turned(tmp_path / "turned.jpg", orientation, size)
    assert close(load_image(tmp_path / "turned.jpg", size), stored)
    assert close(load_image(tmp_path / "turned.jpg", size, upright=True), UPRIGHT[orientation](stored))


def test_orientation_of_a_png(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture()).save(tmp_path / "turned.png", exif=exif)
    assert image_size(tmp_path / "turned.png") == (WIDTH, HEIGHT)
    np.testing.assert_array_equal(load_image(tmp_path / "turned.png"), UPRIGHT[6](picture()))


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_damaged_exif_does_not_matter(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"photo.{suffix}"
    Image.fromarray(picture()).save(path, exif=b"Exif\x00\x00garbage!")
    assert image_size(path) == (HEIGHT, WIDTH)
    assert load_image(path).shape == (HEIGHT, WIDTH, 3)


def test_another_size_than_annotated(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "photo.png")
    with pytest.raises(BadImage, match=r"photo\.png has 24 x 40 .* the annotations say 48 x 80"):
        load_image(tmp_path / "photo.png", (48, 80))
    with pytest.raises(BadImage, match="annotations say 40 x 24"):
        load_image(tmp_path / "photo.png", (40, 24))


def test_missing(tmp_path: Path) -> None:
    for read in (load_image, image_size):
        with pytest.raises(BadImage, match=r"gone\.jpg does not exist"):
            read(tmp_path / "gone.jpg")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_truncated(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"photo.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BadImage, match=rf"photo\.{suffix} cannot be read .* truncated"):
        load_image(path)
    assert image_size(path) == (64, 64)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"])
def test_no_image(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "photo.jpg").write_bytes(content)
    for read in (load_image, image_size):
        with pytest.raises(BadImage, match=r"photo\.jpg"):
            read(tmp_path / "photo.jpg")


def test_folder_and_unreadable_path(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="cannot be read"):
        load_image(tmp_path)


def test_decompression_bomb_is_refused(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b""))
    with pytest.raises(BadImage, match=r"bomb\.png is refused"):
        load_image(tmp_path / "bomb.png")


def test_photo_reader(tmp_path: Path) -> None:
    stored = save_turned(tmp_path / "turned.jpg", 6)
    assert close(PhotoReader(tmp_path, {"turned.jpg": (HEIGHT, WIDTH)}, upright=False)("turned.jpg"), stored)
    assert close(PhotoReader(tmp_path, {"turned.jpg": (WIDTH, HEIGHT)}, upright=True)("turned.jpg"), UPRIGHT[6](stored))
    with pytest.raises(BadImage, match=r"'other\.jpg' is not in the annotations"):
        PhotoReader(tmp_path, {}, upright=False)("other.jpg")


MASK = picture()[..., 0] == 200


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(MASK),
        Image.fromarray(MASK.astype(np.uint8)),
        Image.fromarray(MASK.astype(np.uint8) * 255),
        Image.fromarray(MASK.astype(np.uint16) * 60000),
        Image.fromarray(np.stack([MASK * 0, MASK * 9, MASK * 0], axis=-1).astype(np.uint8)),
        Image.fromarray(np.stack([MASK * 0 + 255] * 3 + [MASK * 255], axis=-1).astype(np.uint8)),
        Image.fromarray(MASK.astype(np.uint8) * 255).convert("P"),
    ],
    ids=["1 bit", "0 and 1", "0 and 255", "16 bit", "RGB", "RGBA", "palette"],
)
def test_mask_png(tmp_path: Path, image: Image.Image) -> None:
    image.save(tmp_path / "mask.png")
    mask = read_mask_png(tmp_path / "mask.png", HEIGHT, WIDTH)
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, MASK)


def test_mask_that_does_not_fit(tmp_path: Path) -> None:
    Image.fromarray(MASK).save(tmp_path / "mask.png")
    with pytest.raises(BadImage, match=r"mask\.png has 24 x 40 .* its photo 24 x 41"):
        read_mask_png(tmp_path / "mask.png", HEIGHT, WIDTH + 1)


def test_mask_in_another_format(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "mask.jpg")
    with pytest.raises(BadImage, match="is a JPEG file; save it as PNG"):
        read_mask_png(tmp_path / "mask.jpg", HEIGHT, WIDTH)
    with pytest.raises(BadImage, match=r"gone\.png does not exist"):
        read_mask_png(tmp_path / "gone.png", HEIGHT, WIDTH)
