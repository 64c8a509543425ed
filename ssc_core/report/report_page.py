"""``results/report/index.html``: everything that a results folder tells, on one page."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import RootModel

from ssc_core.config.methods import method_name
from ssc_core.config.settings import Settings
from ssc_core.evaluate.eval_table import over_seeds, records
from ssc_core.evaluate.schema import ModelEval
from ssc_core.layout import dataset_folders
from ssc_core.masks.selection import SelectionStore
from ssc_core.masks.store import MaskStore
from ssc_core.refer.ref_table import open_photos
from ssc_core.refer.truth import TruthStore
from ssc_core.report.cards import PhotoShelf, examples_gallery
from ssc_core.report.charts import candidate_chart, iou_histogram, method_colour, success_curves, time_chart
from ssc_core.report.collect import DatasetResults, EvaluatedModel, collect
from ssc_core.report.curves import matching_chart, training_charts
from ssc_core.report.examples import ExampleFiles, tagged_sentences
from ssc_core.report.figures import Chart
from ssc_core.report.pages import write_page
from ssc_core.report.published import RUN_TO_RUN
from ssc_core.report.select_table import Ways
from ssc_core.report.ways_to_select import select_view
from ssc_core.wording import counted

_GALLERY = 60
"""About how many examples an evaluation shows."""


class PhotoFolders(RootModel[dict[str, Path]]):
    """Folder of the photos by dataset, as JSON."""


def write_report(results: Path, settings: Settings, images: PhotoFolders, selections: Ways, page: Path) -> None:
    """Write the report of those datasets of the config that have an eval file below ``results`` to ``page``. It names
    the others that have one, and what was made with other settings.

    images: of every dataset of the config.

    Raises SscError when there is no eval file, or one of the files that belong to it is missing or damaged.
    """
    datasets = collect(results, settings)
    unknown = [str(folder.folder) for folder in dataset_folders(results) if folder.name not in settings.datasets]
    links = [(f"#{dataset.name}", dataset.name) for dataset in datasets] if len(datasets) > 1 else []
    write_page(
        "report.html",
        page,
        title="Segment, Select, Correct",
        worlds=[dataset.world for dataset in datasets if dataset.world],
        links=links,
        unknown=unknown,
        datasets=[_view(dataset, images.root[dataset.name], selections) for dataset in datasets],
    )


def _view(dataset: DatasetResults, photos: Path, selections: Ways) -> dict[str, Any]:
    """What templates/report.html shows of a dataset."""
    over = records(over_seeds(dataset.figures))
    shelf = PhotoShelf(open_photos(dataset.folder("refs"), photos).or_grey, f"{dataset.name}-photo")
    return {
        "name": dataset.name,
        "world": dataset.world,
        "methods": dataset.lines(),
        "choices": dataset.choice_lines(),
        "seeds": [row for row in over if not row["variant"] and row["seeds"] > 1],
        "variants": [row for row in over if row["variant"]],
        "notes": list(_notes(dataset)),
        "others": list(dataset.others.items()),
        "curves": list(_curves(dataset)),
        "models": list(_models(dataset, shelf)),
        "photos": shelf,
        "training": [
            *matching_chart(dataset.matching),
            *(chart for phase, log in dataset.logs.items() for chart in training_charts(log, phase)),
        ],
        "candidates": [candidate_chart(masks) for masks in dataset.masks],
        "selections": [select_view(dataset.folder, split, selections, shelf) for split in dataset.selections],
        "facts": list(_facts(dataset)),
        "sheets": [(split, _data_url(path)) for split, path in dataset.sheets],
        "time": time_chart(dataset.jobs) if len(dataset.jobs) else None,
        "jobs": job_rows(dataset.jobs),
        "provenance": list(_provenance(dataset)),
    }


def _notes(dataset: DatasetResults) -> Iterator[str]:
    methods = dataset.lines()
    yield (
        "oIoU: intersections over unions, each summed over all pairs, so that big objects weigh more. mIoU: mean IoU. "
        "P@t: share of pairs with an IoU of at least t. Small figures: 95 % interval, photos resampled."
    )
    if dataset.masks:
        yield (
            "All lines of the first table are measured alike: every sentence counts. A choice among candidates is made "
            "once per ref, and published figures of choices count each ref once in photo pixels, as the table below."
        )
    if len({m.resolution for m in methods}) > 1:
        yield "Lines measured at 480 × 480 and lines in photo pixels differ a little for that reason alone."
    for split in dict.fromkeys(one.content.split for one in dataset.evaluations):
        here = [one.content for one in dataset.evaluations if one.content.split == split]
        # what reads no photos, or no refs of such, counts none: a network's choices, and choices among candidates
        if left_out := max(content.refs_without_truth for content in here):
            yield f"{split}: left out {counted(left_out, 'ref')} without ground truth."
        if unreadable := max(
            (content.unreadable_photos for content in here if isinstance(content, ModelEval)), default=0
        ):
            yield f"{split}: {counted(unreadable, 'photo')} cannot be read; masks there count as empty."
    if published := [m.published for m in methods if m.published]:
        second_hand = any(one.second_hand for one in published)
        yield (
            ("* Second-hand: read off later work. " if second_hand else "")
            + f"Two runs of one published training differ by about {RUN_TO_RUN} oIoU."
        )


def _curves(dataset: DatasetResults) -> Iterator[Chart]:
    methods = dataset.lines()
    for split in dict.fromkeys(m.split for m in methods):
        here = [m for m in methods if m.split == split]
        yield success_curves(here, f"{split}: precision at every IoU")
        for m in here:
            if not m.of_candidates or m.name == "selected":
                yield iou_histogram(m, f"{split}: IoU, {method_name(m.name)}", method_colour(m, here))


def _models(dataset: DatasetResults, shelf: PhotoShelf) -> Iterator[dict[str, Any]]:
    """Breakdowns and examples of each model; ``main``: shown from the start, the corrected one, else the first."""
    methods = [model.content.method for model in dataset.models]
    main = methods.index("corrected") if "corrected" in methods else 0
    for i, model in enumerate(dataset.models):
        with ExitStack() as stack:
            sources = _sources(dataset, model.content.split, shelf, stack)
            picked = dataset.masks_of(model.content.split)
            rows = picked.rows if picked is not None and "iou_selected" in picked.rows else None
            shown = tagged_sentences(model.rows, rows, _GALLERY)
            gallery = examples_gallery(shown, sources, shelf, key=f"{dataset.name}-{i}")
        yield {"title": _title(model), "content": model.content, "main": i == main, "gallery": gallery}


def _sources(dataset: DatasetResults, split: str, photos: PhotoShelf, stack: ExitStack) -> ExampleFiles:
    masks, selected = (dataset.folder(name, split=split) for name in ("masks", "selected"))
    has_masks = masks.is_file() and selected.is_file()
    return ExampleFiles(
        photos=photos,
        truth=TruthStore(dataset.folder("truth")),
        masks=stack.enter_context(MaskStore(masks, with_masks=True)) if has_masks else None,
        selected=stack.enter_context(SelectionStore(selected)) if has_masks else None,
    )


def _facts(dataset: DatasetResults) -> Iterator[tuple[str, str]]:
    for masks in dataset.masks:
        split, found = masks.content.split, masks.content.candidates
        yield f"{split}: candidates per ref", f"{found.mean:.2f} on average, {found.max} at most"
        yield f"{split}: refs without a candidate", f"{100 * found.share_empty:.1f} %"
    for method, training in {m.content.method: m.content.training for m in dataset.models}.items():
        if n := training.get("palette_corrupted_refs"):
            yield f"{method_name(method)}: targets that compat.palette_targets changed", counted(n, "ref")


def job_rows(jobs: pd.DataFrame) -> list[dict[str, Any]]:
    """``rule split jobs seconds rss_mb`` of each rule on each split, the longest first; rss_mb 0: not measured."""
    grouped = jobs.groupby(["rule", "split"], sort=False).agg(
        jobs=("seconds", "size"), seconds=("seconds", "sum"), rss_mb=("rss_mb", "max")
    )
    ordered = grouped.fillna({"rss_mb": 0.0}).sort_values("seconds", ascending=False, kind="stable").reset_index()
    return records(ordered)


def _provenance(dataset: DatasetResults) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    for found in dataset.evaluations:
        content = found.content
        title = _title(found) if isinstance(found, EvaluatedModel) else f"{content.split}: candidates"
        facts = [("world", content.world), ("code", content.code)]
        facts += [(f"weights: {name}", value) for name, value in content.model.items()]
        facts += [(f"data: {name}", value) for name, value in content.data.items()]
        facts += list(content.versions.items())
        if content.kind == "model":
            share, total = 100 * content.timing.model_share, content.timing.total_s
            facts.append(("time in the network", f"{share:.0f} % of {total:.1f} s"))
        yield title, facts


def _title(model: EvaluatedModel) -> str:
    return f"{model.content.split}: {method_name(model.content.method)}"


def _data_url(jpeg: Path) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg.read_bytes()).decode('ascii')}"
