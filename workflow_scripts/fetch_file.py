"""Rule fetch_file: a published file, checked and pinned."""

from pathlib import Path

from ssc_core.config.data import SourceSettings
from ssc_core.weights.catalogue import published_files
from ssc_core.weights.fetch import Depot, fetch_file
from ssc_core.weights.lock import LockFile
from workflow_scripts._script import run


def main(name: str, sources: SourceSettings) -> None:
    depot = Depot(root=Path(), lock=LockFile(Path(sources.lock)), mirrors=sources.mirrors)
    print(f"{name}: {fetch_file(name, {**published_files(), **sources.files}[name], depot)}")


if __name__ == "__main__":
    run(main)
