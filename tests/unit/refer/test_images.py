from __future__ import annotations

import os
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssc_core.pictures import BadImage
from ssc_core.refer.images import PhotoDigests, PhotoReader, image_size, load_image, read_mask_png

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


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "avif", "tif"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_every_format_is_turned_once(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned.{suffix}"
    options = {"webp": {"lossless": True}, "tif": {}, "png": {}}.get(suffix, {"quality": 100, "subsampling": "4:4:4"})
    Image.fromarray(picture()).save(path, exif=exif, **options)
    expected = UPRIGHT[orientation](picture())
    assert image_size(path) == expected.shape[:2]
    assert close(load_image(path), expected)
    assert close(load_image(path, expected.shape[:2], upright=True), expected)
    assert close(load_image(path, (HEIGHT, WIDTH)), picture())  # as COCO has it


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
def test_a_tiff_is_read_by_either_decoder(tmp_path: Path, compression: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture()).save(tmp_path / "turned.tif", exif=exif, compression=compression)
    np.testing.assert_array_equal(load_image(tmp_path / "turned.tif"), UPRIGHT[6](picture()))


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


def test_digests_are_of_the_files_as_they_are(tmp_path: Path) -> None:
    digests = PhotoDigests(tmp_path)
    assert digests("a.jpg") == ""
    found = []
    for colour in ("red", "blue", "red"):
        Image.new("RGB", (4, 3), colour).save(tmp_path / "a.jpg")
        os.utime(tmp_path / "a.jpg", ns=(0, len(found)))
        found.append(digests("a.jpg"))
    assert re.fullmatch("sha-[0-9a-f]{16}", found[0]), "which no spreadsheet takes for a number"
    assert found[0] == found[2] != found[1]


@pytest.mark.parametrize("upright", [False, True])
def test_a_photos_header_alone_says_whether_it_is_of_its_size(tmp_path: Path, upright: bool) -> None:
    picture = tmp_path / "turned.jpg"
    save_turned(picture, 6)
    picture.write_bytes(picture.read_bytes()[:700])  # no pixels
    PhotoReader(tmp_path, {"turned.jpg": (WIDTH, HEIGHT)}, upright=upright).check("turned.jpg")
    stored = PhotoReader(tmp_path, {"turned.jpg": (HEIGHT, WIDTH)}, upright=upright)
    if upright:
        with pytest.raises(BadImage, match=rf"turned\.jpg has {WIDTH} x {HEIGHT} .* the annotations say {HEIGHT} x "):
            stored.check("turned.jpg")
    else:
        stored.check("turned.jpg")
    with pytest.raises(BadImage, match=r"turned\.jpg has .* pixels, the annotations say 9 x 9"):
        PhotoReader(tmp_path, {"turned.jpg": (9, 9)}, upright=upright).check("turned.jpg")


def test_a_bad_photo_is_done_without_only_where_that_was_asked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"none")
    stop, skip = (PhotoReader(tmp_path, {"bad.jpg": (3, 4)}, upright=False, skip_bad=s) for s in (False, True))
    for read in (stop, stop.or_none, stop.or_grey, skip):
        with pytest.raises(BadImage, match=r"bad\.jpg"):
            read("bad.jpg")
    assert skip.or_none("bad.jpg") is None
    np.testing.assert_array_equal(skip.or_grey("bad.jpg"), np.full((3, 4, 3), 128, np.uint8))
    assert caplog.text.count("photo bad.jpg is skipped") == 1


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
    mask, noisy = read_mask_png(tmp_path / "mask.png", (HEIGHT, WIDTH))
    assert mask.dtype == bool
    assert not noisy
    np.testing.assert_array_equal(mask, MASK)


def in_palette(*entries: tuple[int, int, int]) -> Image.Image:
    """``MASK`` as a palette picture: background is entry 0, the object entry 1."""
    image = Image.fromarray(MASK.astype(np.uint8), "P")
    image.putpalette([value for entry in entries for value in entry])
    return image


def with_alpha(colour: np.ndarray, alpha: np.ndarray) -> Image.Image:
    return Image.fromarray(np.dstack([np.stack([colour] * 3, axis=-1), alpha]).astype(np.uint8))


def test_colours_of_a_palette_count_and_not_their_numbers(tmp_path: Path) -> None:
    black, red, navy = (0, 0, 0), (128, 0, 0), (0, 0, 9)
    for name, image, expected in (
        ("black first", in_palette(black, red), MASK),
        ("black second", in_palette(red, black), ~MASK),
        ("black twice", in_palette(black, black), np.zeros_like(MASK)),
        ("no black", in_palette(red, navy), np.ones_like(MASK)),
    ):
        image.save(tmp_path / "mask.png")
        mask, _ = read_mask_png(tmp_path / "mask.png", (HEIGHT, WIDTH))
        np.testing.assert_array_equal(mask, expected, err_msg=name)


def test_what_is_transparent_is_background(tmp_path: Path) -> None:
    in_palette((255, 255, 255), (255, 0, 0)).save(tmp_path / "palette.png", transparency=0)
    Image.fromarray(np.where(MASK, 200, 90).astype(np.uint8)).save(tmp_path / "grey.png", transparency=90)
    with_alpha(np.full_like(MASK, 1) * 255, MASK * 255).save(tmp_path / "alpha.png")
    with_alpha(np.zeros_like(MASK), MASK * 255).save(tmp_path / "only-alpha.png")
    with_alpha(MASK * 255, np.full_like(MASK, 1) * 255).save(tmp_path / "opaque.png")
    for name in ("palette", "grey", "alpha", "only-alpha", "opaque"):
        mask, _ = read_mask_png(tmp_path / f"{name}.png", (HEIGHT, WIDTH))
        np.testing.assert_array_equal(mask, MASK, err_msg=name)


@pytest.mark.parametrize("alpha", [0, 255])
def test_black_or_transparent_everywhere_is_no_mask(tmp_path: Path, alpha: int) -> None:
    with_alpha(np.zeros_like(MASK), np.full(MASK.shape, alpha)).save(tmp_path / "mask.png")
    assert not read_mask_png(tmp_path / "mask.png", (HEIGHT, WIDTH))[0].any()


def test_noise_of_a_jpeg_is_noticed_and_smooth_edges_are_not(tmp_path: Path) -> None:
    y, x = np.mgrid[:120, :160]
    distance = np.hypot(y - 60, x - 80)
    drawn = Image.fromarray((255 * np.clip(40.5 - distance, 0, 1)).astype(np.uint8))
    blurred = Image.fromarray((255 * np.clip((50 - distance) / 20, 0, 1)).astype(np.uint8))
    drawn.save(tmp_path / "mask.jpg", quality=80)
    with Image.open(tmp_path / "mask.jpg") as image:
        image.save(tmp_path / "noisy.png")
    for name, picture, noisy in (("drawn", drawn, False), ("blurred", blurred, False), ("noisy", None, True)):
        if picture is not None:
            picture.save(tmp_path / f"{name}.png")
        assert read_mask_png(tmp_path / f"{name}.png", (120, 160))[1] == noisy, name


def test_only_named_formats_are_opened(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "photo.eps")
    Image.fromarray(picture()).save(tmp_path / "photo.tga")
    for path in sorted(tmp_path.iterdir()):
        path = path.rename(path.with_suffix(".jpg"))
        for read in (load_image, image_size):
            with pytest.raises(
                BadImage, match=r"photo\.jpg is not an image that is read here, .* the formats are JPEG, "
            ):
                read(path)


def test_mask_that_does_not_fit(tmp_path: Path) -> None:
    Image.fromarray(MASK).save(tmp_path / "mask.png")
    with pytest.raises(BadImage, match=r"mask\.png has 24 x 40 .* its photo 24 x 41"):
        read_mask_png(tmp_path / "mask.png", (HEIGHT, WIDTH + 1))


def test_mask_in_another_format(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "mask.jpg")
    with pytest.raises(BadImage, match="is a JPEG file; save it as PNG"):
        read_mask_png(tmp_path / "mask.jpg", (HEIGHT, WIDTH))
    with pytest.raises(BadImage, match=r"gone\.png does not exist"):
        read_mask_png(tmp_path / "gone.png", (HEIGHT, WIDTH))


def test_floats_from_0_to_1_are_shares_of_white(tmp_path: Path) -> None:
    values = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    Image.fromarray(values).save(tmp_path / "a.tif")
    grey = load_image(tmp_path / "a.tif")[..., 0]
    np.testing.assert_array_equal(grey, np.rint(values * 255).astype(np.uint8))
    Image.fromarray(values * 200).save(tmp_path / "b.tif")
    assert load_image(tmp_path / "b.tif").max() == 200


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_photo_with_pixels_that_are_no_numbers_is_refused(tmp_path: Path, value: float) -> None:
    values = np.full((3, 4), 100, np.float32)
    values[1, 2] = value
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(BadImage, match=r"a\.tif.*NaN or infinite"):
        load_image(tmp_path / "a.tif")
