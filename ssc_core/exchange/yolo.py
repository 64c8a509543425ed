"""YOLO-seg: a text file per photo, a line per mask with its class and one polygon in shares of the photo's sides.

    data.yaml   images/{split}/beach.jpg   labels/{split}/beach.txt

One polygon is all that a line holds: holes and several parts are bridged, as Ultralytics' own converter does it, and
the bridge between two parts is a line of pixels that were not in the mask.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from ssc_core.exchange.annotations import AnnotatedImage, Export
from ssc_core.exchange.outlines import INSIDE, bridged, filled, rings
from ssc_core.files import path_inside
from ssc_core.folders import new_folder, place_photo
from ssc_core.masks import rle
from ssc_core.wording import counted


def write(export: Export, out: Path) -> None:
    """Write the folder. A mask that another of its class equals is written once: no line says which ref it is of."""
    numbers: dict[str, int] = {}
    for name in export.categories.values():
        numbers.setdefault(name, len(numbers))
    with new_folder(out) as folder:
        for label, image in export.images_by_label(".txt"):
            place_photo(export.photos, image.file_name, folder / "images" / export.split)
            path = path_inside(folder / "labels" / export.split, label)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(_lines(image, numbers, export)), encoding="ascii")
        names = {number: name for name, number in numbers.items()}
        content = {"path": ".", export.split: f"images/{export.split}", "names": names}
        (folder / "data.yaml").write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), "utf-8")


def _lines(image: AnnotatedImage, numbers: dict[str, int], export: Export) -> list[str]:
    lines: dict[str, None] = {}
    for one in image.annotations:
        mask = rle.decode([one.rle], image.size)[0]
        ring = bridged(rings(mask))
        wrong = int((filled([ring], image.size) != mask).sum())
        if wrong:
            export.left_out.add(
                "exact pixels of masks in several parts, joined by lines", f"{one.name}: {counted(wrong, 'pixel')}"
            )
        shares = (ring + INSIDE) / np.array([image.size[1], image.size[0]])
        number = numbers.setdefault(one.category, len(numbers))
        line = f"{number} {' '.join(f'{share:.6f}' for share in shares.ravel())}\n"
        if line in lines:
            export.leave_out_mask("masks that are the same as another of their class", one)
        lines[line] = None
    return list(lines)
