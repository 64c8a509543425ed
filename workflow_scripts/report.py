"""Rule report: one HTML page of everything that has been evaluated."""

import json
from pathlib import Path

from ssc_core.report.html import build_report
from workflow_scripts._script import run


def main(results: Path, images: str, selections: str, page: Path) -> None:
    """images: folder of the photos by dataset; selections: what each way to select changes; both JSON."""
    folders = {name: Path(folder) for name, folder in json.loads(images).items()}
    build_report(results=results, out=page, images=folders, selections=json.loads(selections))


if __name__ == "__main__":
    run(main)
