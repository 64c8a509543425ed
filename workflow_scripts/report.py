"""Rule report: one HTML page of everything that has been evaluated."""

import json
from pathlib import Path

from ssc_core.report.html import build_report


def main(results: Path, images: str, page: Path) -> None:
    folders = {name: Path(folder) for name, folder in json.loads(images).items()}
    build_report(results=results, out=page, images=folders)
