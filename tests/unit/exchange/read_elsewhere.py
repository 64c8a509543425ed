"""Read an export with a library of readers.txt: ``python read_elsewhere.py FORMAT PATH OUT.npz``.

OUT has, by file name, the masks of the photo in the file's order, bool (N, H, W). Imports nothing of this project.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np


def label_studio(path: Path) -> dict[str, np.ndarray]:
    from label_studio_sdk.converter.brush import decode_rle

    found = {}
    for task in json.loads(path.read_text(encoding="utf-8")):
        masks = []
        for result in task["predictions"][0]["result"]:
            picture = decode_rle(result["value"]["rle"])
            masks.append(picture.reshape(result["original_height"], result["original_width"], 4)[..., 3] > 0)
        found[task["data"]["file_name"]] = np.array(masks)
    return found


def cvat(path: Path) -> dict[str, np.ndarray]:
    from datumaro.plugins.data_formats.cvat.base import CvatBase

    return {item.id: np.array([one.image for one in item.annotations]).astype(bool) for item in CvatBase(str(path))}


if __name__ == "__main__":
    name, path, out = sys.argv[1:]
    np.savez(out, **{"label-studio": label_studio, "cvat": cvat}[name](Path(path)))
