"""Rule write_results: docs/results.md and its pictures, from eval files and training logs alone."""

import os
from contextlib import ExitStack
from pathlib import Path

import pandas as pd

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


def main(
    evals: list[Path],
    matching: list[Path],
    curves: list[Path],
    refs: Path,
    truth: Path,
    masks: Path,
    selected: Path,
    images: Path,
    network: Path,
    candidates: Path,
    page: Path,
    repaired: Path,
    learning: Path,
    rows: StudyRows,
    note: str,
    beyond: list[Path] | None = None,
) -> None:
    """network, candidates: eval files of the split that pictures show; rows: variant and seed of ``beyond``."""
    about = read_eval(network)
    where = f"{about.dataset} {about.split}, {about.world} world"
    compared = compare(network, candidates)
    with ExitStack() as stack:
        sources = ExampleFiles(
            photos=open_photos(refs, images).or_grey,
            truth=TruthStore(truth),
            masks=stack.enter_context(MaskStore.open(masks)),
            selected=stack.enter_context(SelectionStore(selected)),
        )
        write_repaired_picture(compared, sources, repaired, where=where)
    write_learning(_by_phase(matching), _by_phase(curves), learning, where=where)

    pictures = {
        f"Picked wrong by Select, repaired by Correct ({where})": repaired,
        "The method at work: matching, and loss, a thin line per seed": learning,
    }
    relative = {caption: Path(os.path.relpath(path, page.parent)) for caption, path in pictures.items()}
    with atomic_path(page) as temporary:
        content = results_page(
            over_seeds(read_figures(evals)),
            relative,
            [f"{where}: {repaired_line(compared)}"],
            study_table(beyond or [], rows.root),
            note=note,
        )
        temporary.write_text(content, encoding="utf-8")


def _by_phase(paths: list[Path]) -> dict[str, list[pd.DataFrame]]:
    tables: dict[str, list[pd.DataFrame]] = {}
    for path in paths:
        tables.setdefault(path.name.split(".")[0], []).append(pd.read_csv(path))
    return tables
