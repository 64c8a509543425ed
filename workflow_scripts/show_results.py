"""Print the figures of a dataset's split and where its pictures are: the end of `make demo`."""

from __future__ import annotations

import sys
from pathlib import Path

from ssc_core.config.methods import method_name, method_order
from ssc_core.layout import DatasetFolder
from ssc_core.report.seeds import over_seeds, seed_table


def main(folder: Path, split: str) -> None:
    table = seed_table(DatasetFolder(folder))
    rows = over_seeds(table[table["split"] == split]).to_dict("records")
    print(f"\n{folder.name} {split}, world: {rows[0]['world']}; every sentence counts, at 480 x 480")
    print(f"\n{'':<44}{'oIoU':>6}   {'95 % interval':<15}{'mIoU':>6}{'P@0.5':>8}")
    for row in sorted(rows, key=lambda row: method_order(str(row["method"]))):
        name, interval = method_name(str(row["method"])), f"{row['low']:.1f} to {row['high']:.1f}"
        print(f"  {name:<42}{row['oIoU']:6.1f}   {interval:<15}{row['mIoU']:6.1f}{row['P@0.5']:8.1f}")
    print(f"\nfigures: {folder}/eval_{split}.json, {folder}/eval_masks_{split}.json")
    print(f"pictures: {folder}/eval_{split}.png; `make report` writes one page of everything")


main(Path(sys.argv[1]), sys.argv[2])
