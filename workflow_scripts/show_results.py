"""Print the figures of a dataset's split and where its pictures are: the end of `make demo`."""

from __future__ import annotations

import sys
from pathlib import Path

from ssc_core.files import read_json


def main(folder: Path, split: str) -> None:
    model = read_json(folder / f"eval_{split}.json")
    masks = read_json(folder / f"eval_masks_{split}.json")
    low, high = model["ci95"]["oIoU"]
    print(f"\n{model['dataset']} {split}, world: {model['world']}, {model['n_sentences']} sentences")
    print("\nmasks of Segment and Select, no training   oIoU    mIoU")
    for name, choice in masks["choices"].items():
        note = "  (looks at the truth)" if name == "best" else ""
        print(f"  {name:<40} {choice['oIoU']:5.1f}   {choice['mIoU']:5.1f}{note}")
    print("\ntrained network                            oIoU    mIoU   P@0.5")
    print(f"  {model['method']:<40} {model['oIoU']:5.1f}   {model['mIoU']:5.1f}   {model['precision']['0.5']:5.1f}")
    print(f"  95 % interval of its oIoU: {low:.1f} to {high:.1f}")
    print(f"\nfigures: {folder}/eval_{split}.json, {folder}/eval_masks_{split}.json")
    print(f"pictures: {folder}/eval_{split}.png")


main(Path(sys.argv[1]), sys.argv[2])
