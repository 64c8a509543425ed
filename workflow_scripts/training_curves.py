"""Rule training_curves: a picture of loss, soft IoU, learning rate and matching accuracy."""

from pathlib import Path

from ssc_core.report.curves import draw_curves
from workflow_scripts._script import run


def main(curves: list[Path], matching: list[Path], picture: Path) -> None:
    draw_curves(curves, matching, picture)


run(main)
