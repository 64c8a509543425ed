"""Rule write_results: docs/results.md and its pictures, from eval files and training logs alone."""

import os
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
from pydantic import BaseModel

from ssc_core.evaluate.schema import read_eval
from ssc_core.evaluate.study_table import StudyRows, study_table
from ssc_core.files import atomic_path
from ssc_core.masks.selection import SelectionStore
from ssc_core.masks.store import MaskStore
from ssc_core.refer.ref_table import open_photos
from ssc_core.refer.truth import TruthStore
from ssc_core.report.curves import write_learning
from ssc_core.report.examples import ExampleFiles
from ssc_core.report.finding_pictures import compare, repaired_line, write_repaired_picture
from ssc_core.report.results_page import results_page
from ssc_core.report.seeds import over_seeds, read_figures
from workflow_scripts._script import run


class PageFiles(BaseModel):
    """What a page is made from.

    network, candidates: eval files of the split that pictures show, as refs, truth, masks and selected are of it;
    matching, curves: of its trainings; beyond: eval files of changed values.
    """

    evals: list[Path]
    matching: list[Path]
    curves: list[Path]
    beyond: list[Path]
    refs: Path
    truth: Path
    masks: Path
    selected: Path
    network: Path
    candidates: Path


def main(
    files: PageFiles, images: Path, rows: StudyRows, note: str, page: Path, repaired: Path, learning: Path
) -> None:
    """rows: variant and seed of ``files.beyond``; note: a sentence for the head of the page."""
    about = read_eval(files.network)
    where = f"{about.dataset} {about.split}, {about.world} world"
    compared = compare(files.network, files.candidates)
    with ExitStack() as stack:
        sources = ExampleFiles(
            photos=open_photos(files.refs, images).or_grey,
            truth=TruthStore(files.truth),
            masks=stack.enter_context(MaskStore.open(files.masks)),
            selected=stack.enter_context(SelectionStore(files.selected)),
        )
        write_repaired_picture(compared, sources, repaired, where=where)
    write_learning(_by_phase(files.matching), _by_phase(files.curves), learning, where=where)

    pictures = {
        f"Picked wrong by Select, repaired by Correct ({where})": repaired,
        "The method at work: matching, and loss, a thin line per seed": learning,
    }
    relative = {caption: Path(os.path.relpath(path, page.parent)) for caption, path in pictures.items()}
    figures, beyond = over_seeds(read_figures(files.evals)), study_table(files.beyond, rows.root)
    with atomic_path(page) as temporary:
        content = results_page(figures, relative, [f"{where}: {repaired_line(compared)}"], beyond, note)
        temporary.write_text(content, encoding="utf-8")


def _by_phase(paths: list[Path]) -> dict[str, list[pd.DataFrame]]:
    tables: dict[str, list[pd.DataFrame]] = {}
    for path in paths:
        tables.setdefault(path.name.split(".")[0], []).append(pd.read_csv(path))
    return tables


if __name__ == "__main__":
    run(main)
