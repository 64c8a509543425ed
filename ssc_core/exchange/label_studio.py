"""Label Studio: tasks as JSON, masks as brush strokes, and the labelling config that shows them.

    tasks.json   labels.xml

Brush strokes are packed by rle-pack (thi.ng/umbrella): after a head, runs of equal values and of different ones, in
bits, of an RGBA picture whose alpha is the mask. Refs and sentences are the note (``meta.text``) of a region.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import quoteattr

import numpy as np

from ssc_core.errors import SscError
from ssc_core.exchange.annotations import AnnotatedImage, Export, LeftOut, note_of, refs_in, sentences_in, xml_text
from ssc_core.exchange.foreign import ForeignMask, Photo, PhotoNames, check_size, entries, score_of
from ssc_core.files import read_json, write_json
from ssc_core.folders import new_folder
from ssc_core.masks import rle
from ssc_core.masks.runs import Size
from ssc_core.refer.segmentation import segmentation_to_rle

_LOCAL = "/data/local-files/?d="
_UPLOADS = re.compile(r"^data/upload/[^/]*/")
_UPLOADED = re.compile(r"^[0-9a-f]{8}-(.+)$")
"""Label Studio puts uploaded photos of a project into a folder of its own, and eight digits before their names."""
_LENGTHS = (3, 4, 8, 16)
"""Bits of a run's length less 1, of the four kinds of runs: those that Label Studio's SDK writes."""
_CHANNELS, _WORD = 4, 8
_FARTHEST = 150
"""Percent: what was drawn a little outside of a photo is not farther."""


def write(export: Export, out: Path) -> None:
    """Write the folder. Masks are predictions of the tasks; photos are named as local files."""
    images = list(export.all_images())
    names = (*export.categories.values(), *(one.category for image in images for one in image.annotations))
    labels = dict.fromkeys(map(xml_text, names))
    with new_folder(out) as folder:
        write_json(folder / "tasks.json", tasks_of(images))
        lines = "".join(f"    <Label value={quoteattr(name)}/>\n" for name in labels)
        (folder / "labels.xml").write_text(
            '<View>\n  <Image name="image" value="$image" zoom="true"/>\n'
            f'  <BrushLabels name="mask" toName="image">\n{lines}  </BrushLabels>\n</View>\n',
            encoding="utf-8",
        )


def tasks_of(images: Iterable[AnnotatedImage]) -> list[dict[str, Any]]:
    """The tasks of photos."""
    return [
        {
            "data": {"image": f"{_LOCAL}{quote(image.file_name)}", "file_name": image.file_name},
            "predictions": [{"model_version": "ssc", "result": _results(image)}],
        }
        for image in images
    ]


def _results(image: AnnotatedImage) -> list[dict[str, Any]]:
    height, width = image.size
    return [
        {
            "id": f"mask{number}",
            "type": "brushlabels",
            "from_name": "mask",
            "to_name": "image",
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "value": {
                "format": "rle",
                "rle": packed(rle.decode([one.rle], image.size)[0]),
                "brushlabels": [xml_text(one.category)],
            },
            "meta": {"text": [note_of(one.about)]},
            **({"score": one.about["score"]} if "score" in one.about else {}),
        }
        for number, one in enumerate(image.annotations, start=1)
    ]


def packed(mask: np.ndarray) -> list[int]:
    """A mask, bool (H, W), as Label Studio packs it: bytes."""
    flat = mask.ravel()
    ends = np.append(np.flatnonzero(flat[1:] != flat[:-1]) + 1, len(flat))
    bits = [f"{flat.size * _CHANNELS:032b}{_WORD - 1:05b}", *(f"{length - 1:04b}" for length in _LENGTHS)]
    for end, count in zip(ends.tolist(), np.diff(ends, prepend=0).tolist(), strict=True):
        value, left = 255 * int(flat[end - 1]), count * _CHANNELS
        while left:
            run = min(left, 1 << _LENGTHS[-1])
            kind = next(number for number, length in enumerate(_LENGTHS) if run <= 1 << length)
            bits.append(f"1{kind:02b}{run - 1:0{_LENGTHS[kind]}b}{value:08b}")
            left -= run
    text = "".join(bits)
    return list(int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big"))


def unpacked(values: Any, size: Size, where: str) -> np.ndarray:
    """bool (H, W) of packed bytes. Raises SscError unless they are a picture of this size."""
    try:
        data = np.asarray(values, np.int64)
    except (TypeError, ValueError, OverflowError) as error:
        raise SscError(f"{where}: its rle is no list of bytes") from error
    if data.ndim != 1 or np.any((data < 0) | (data > 255)):
        raise SscError(f"{where}: its rle is no list of bytes")
    bits = _Bits(data.astype(np.uint8))
    count, word = bits.number(32), bits.number(5) + 1
    lengths = [bits.number(4) + 1 for _ in range(4)]
    if (count, word) != (size[0] * size[1] * _CHANNELS, _WORD):
        raise SscError(
            f"{where}: its rle has {count} values of {word} bits, and {size[0]} x {size[1]} pixels are meant"
        )
    alpha, filled = np.zeros(count, np.uint8), 0
    while filled < count:
        same = bits.number(1)
        end = min(filled + 1 + bits.number(lengths[bits.number(2)]), count)
        alpha[filled:end] = bits.number(_WORD) if same else bits.words(end - filled)
        filled = end
        if bits.over:
            raise SscError(f"{where}: its rle ends too early")
    return alpha.reshape(*size, _CHANNELS)[..., -1] > 0


class _Bits:
    """Numbers of any width from bytes, the highest bit first. Past the end there are zeros, and ``over`` is set."""

    def __init__(self, data: np.ndarray) -> None:
        self._bits = np.unpackbits(data)
        self._bytes = data.tobytes()
        self._at = 0

    @property
    def over(self) -> bool:
        return self._at > len(self._bits)

    def number(self, width: int) -> int:
        first, last = self._at // 8, (self._at + width + 7) // 8
        value = int.from_bytes(self._bytes[first:last].ljust(last - first, b"\0"), "big")
        self._at += width
        return value >> (8 * last - self._at) & ((1 << width) - 1)

    def words(self, count: int) -> np.ndarray:
        """uint8 (count,)."""
        start, self._at = self._at, self._at + _WORD * count
        found = np.packbits(self._bits[start : self._at])
        return np.pad(found, (0, count - len(found)))


def read(
    path: Path, photos: PhotoNames, passed_over: LeftOut, *, per_ref: bool
) -> Iterator[tuple[Photo, list[ForeignMask]]]:
    """Masks of a JSON export: brush strokes and polygons; other regions are passed over.

    Of a task the last annotation that was not cancelled counts, and without one its predictions.
    """
    tasks = read_json(path)
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise SscError(f"{path} is no JSON export of Label Studio: a list of tasks")
    for number, task in enumerate(tasks, start=1):
        where = f"{path}, task {number}"
        file, *others = _names(task, where)
        photo = photos.find(file, passed_over, *others)
        if photo is not None:
            regions = _regions(task, where)
            yield photo, list(_masks(regions, photo, f"{where} ({photo.file_name})", passed_over))


def _names(task: dict[str, Any], where: str) -> Iterator[str]:
    """What the photo of a task may be called: of its address, and without the digits of an upload."""
    data = task.get("data")
    texts = (
        [value for key in ("file_name", "image") if isinstance(value := (data or {}).get(key), str)]
        if isinstance(data, dict)
        else []
    )
    if not texts:
        raise SscError(f"{where} has no data.image, the address of its photo")
    for text in texts:
        try:
            address = urlsplit(text)
        except ValueError:  # in brackets, what is no address of a machine
            yield text
            continue
        local = parse_qs(address.query).get("d")
        name = local[0] if local else unquote(address.path).lstrip("/") if address.scheme or "/data/" in text else text
        name = _UPLOADS.sub("", name)
        yield name
        folder, _, last = name.rpartition("/")
        if (uploaded := _UPLOADED.match(last)) is not None:
            yield f"{folder}/{uploaded[1]}".lstrip("/")


def _regions(task: dict[str, Any], where: str) -> list[dict[str, Any]]:
    for key in ("annotations", "completions", "predictions"):
        made = [one for one in entries(task, key, where) if not one.get("was_cancelled")]
        if made:
            return entries(made[-1], "result", where)
    return []


def _masks(regions: list[dict[str, Any]], photo: Photo, where: str, passed_over: LeftOut) -> Iterator[ForeignMask]:
    """One for each region: what is said of it lies in one entry or, with labels of their own, in several of one id."""
    by_id: dict[Any, list[dict[str, Any]]] = {}
    for number, region in enumerate(regions):
        key = region.get("id")
        by_id.setdefault(key if isinstance(key, str) else number, []).append(region)
    for number, parts in enumerate(by_id.values(), start=1):
        name = f"{where}, region {number}"
        if any(part.get("image_rotation") for part in parts):  # their points are of the turned photo
            passed_over.add("regions of a photo that was turned", name)
            continue
        values = [part["value"] for part in parts if isinstance(part.get("value"), dict)]
        codes = [code for part in parts if (code := _code(part, photo, name)) is not None]
        if not codes:
            passed_over.add("regions that are neither brush strokes nor polygons", name)
            continue
        labels = [label for value in values for key in value if key.endswith("labels") for label in _list(value[key])]
        notes = [
            note for part in parts if isinstance(part.get("meta"), dict) for note in _list(part["meta"].get("text"))
        ]
        note = next(filter(refs_in, notes), None)
        label = next((one for one in labels if isinstance(one, str)), "")
        score = next((part["score"] for part in parts if "score" in part), None)
        yield ForeignMask(name, label, codes[0], refs_in(note), sentences_in(note), score_of(score))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _code(region: dict[str, Any], photo: Photo, where: str) -> bytes | None:
    """Of brush strokes and polygons; None for anything else."""
    value = region.get("value")
    if not isinstance(value, dict) or not ("rle" in value or region.get("type") in ("polygonlabels", "polygon")):
        return None
    check_size(photo, (region.get("original_height"), region.get("original_width")), where)
    if "rle" in value:
        return rle.encode(unpacked(value["rle"], photo.size, where)[None])[0]
    try:
        shares = np.asarray(value.get("points"), np.float64).reshape(-1, 2)
        if shares.size and not 1 < np.abs(shares).max() <= _FARTHEST:
            raise SscError("its numbers are percent of the photo's sides, not pixels, nor shares from 0 to 1")
        points = shares * np.array(photo.size[::-1]) / 100
        code = segmentation_to_rle([points.ravel().tolist()], *photo.size, overlap_hole=False, notes=Counter())
    except (TypeError, ValueError, SscError) as error:
        raise SscError(f"{where}: its points are no polygon ({error!s:.200})") from error
    return code or rle.empty(photo.size)
