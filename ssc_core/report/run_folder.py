"""A split's folder as a ``Run``: what lies there and above it, a trained network's masks included."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pandas as pd

from ssc_core.config.methods import METHODS
from ssc_core.errors import SscError
from ssc_core.layout import RESULT_FOLDER, template
from ssc_core.masks import rle
from ssc_core.masks.selection import SelectionStore
from ssc_core.report.label_rows import Run
from ssc_core.report.voices import NetworkMasks
from ssc_core.select.ensemble import scores_behind
from ssc_core.tables import read_frame


def open_run(stack: ExitStack, folder: Path, name: str) -> Run:
    """Raises SscError for a folder in which nothing was selected, or files of each other's."""
    split, selected = folder.resolve().name, folder / "selected.h5"
    if not selected.is_file():
        raise SscError(f"{selected} is not there; make it: snakemake {selected}")

    def found(result: str) -> Path:
        return nearest(folder, template(result).removeprefix(RESULT_FOLDER).format(split=split))

    scores = [found(result) for result in scores_behind(selected)]
    all_scores = {nearest(folder, path.name) for path in (*folder.glob("scores.h5"), *folder.glob("scores_*.h5"))}
    return Run.open(
        stack,
        name,
        split,
        refs=found("refs"),
        nouns=found("nouns"),
        masks=found("masks"),
        scores=scores,
        selected=selected,
        more_scores=sorted(all_scores - set(scores)),
        network=_network(stack, folder),
    )


def nearest(folder: Path, name: str) -> Path:
    """A file of a split's folder or above it: variants share with their dataset what their changes do not reach."""
    for above in [folder.resolve(), *folder.resolve().parents][:4]:
        if (above / name).is_file():
            return above / name
    raise SscError(f"{folder} is no split of a results folder: there is no {name} in the folders above it")


def chosen_by(network: SelectionStore) -> NetworkMasks:
    """What a network chose among the candidates (``chosen_METHOD.h5``)."""
    known = set(network.ref_ids.tolist())

    def masks(ref_id: int) -> list[tuple[rle.Size, bytes | None]]:
        own = range(network.choices(ref_id)) if ref_id in known else ()
        return [(network.size(ref_id), network.rle(ref_id, one)) for one in own]

    return masks


def predicted_in(rows: pd.DataFrame) -> NetworkMasks:
    """A network's own masks, of the rows of its evaluation (``evaluate.pairs``)."""
    by_ref: dict[int, list[tuple[rle.Size, bytes | None]]] = {}
    columns = (rows[name].tolist() for name in ("ref_id", "rle_height", "rle_width", "rle"))
    for ref_id, height, width, mask in zip(*columns, strict=True):
        by_ref.setdefault(ref_id, []).append(((height, width), mask.encode("ascii")))
    return lambda ref_id: by_ref.get(ref_id, [])


def _network(stack: ExitStack, folder: Path) -> NetworkMasks | None:
    """What a trained network says of the split's refs: its choices, else its masks where it was evaluated."""
    chosen = [folder / f"chosen_{method}.h5" for method in ("corrected", *reversed(METHODS))]
    for path in (path for path in chosen if path.is_file()):
        return chosen_by(stack.enter_context(SelectionStore(path)))
    evaluated = folder.parent / f"eval_{folder.name}.parquet"
    if not evaluated.is_file():
        return None
    columns = ["ref_id", "rle", "rle_height", "rle_width"]
    return predicted_in(read_frame(evaluated, made_by="evaluate", columns=columns))
