"""One HTML page with everything that a results folder tells. It needs no network and no other file."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from html import escape
from pathlib import Path

from ssc_core.config.methods import method_name
from ssc_core.evaluate.schema import ModelEval
from ssc_core.files import atomic_path
from ssc_core.masks.selection import SelectionStore
from ssc_core.masks.store import MaskStore
from ssc_core.refer.ref_table import open_photos
from ssc_core.refer.truth import TruthStore
from ssc_core.report.cards import PhotoShelf, gallery_section
from ssc_core.report.charts import candidate_chart, iou_histogram, method_colour, success_curves, time_chart
from ssc_core.report.collect import DatasetResults, Evaluated, collect, split_order
from ssc_core.report.curves import matching_chart, training_charts
from ssc_core.report.examples import Sources, tagged
from ssc_core.report.figures import Chart
from ssc_core.report.published import RUN_TO_RUN
from ssc_core.report.seeds import over_seeds
from ssc_core.report.style import PICK, PREDICTION, TRUTH, css
from ssc_core.report.tables import choices_table, facts_table, group_tables, job_table, results_table, seeds_table

_HERE = Path(__file__).parent
_WORLDS = {
    "micro": "Generated micro world: drawn scenes, not photos. Its figures say that the method works end to end; they "
    "say nothing about real photos and cannot be compared with published figures.",
    "files": "Photos and sentences of your own files.",
}


def build_report(*, results: Path, out: Path, images: Mapping[str, Path], gallery_size: int = 60) -> None:
    """Write the report of every dataset below ``results`` that has an eval file to ``out``.

    images: folder of the photos by dataset. gallery_size: about how many examples an evaluation shows.

    Raises SscError when there is no eval file, or one of the files that belong to it is missing or damaged.
    """
    datasets = collect(results)
    sections = [_dataset(dataset, images[dataset.name], gallery_size) for dataset in datasets]
    links = "".join(f'<a href="#{escape(d.name)}">{escape(d.name)}</a>' for d in datasets) if len(datasets) > 1 else ""
    worlds = [dataset.world for dataset in datasets]
    page = whole_page("".join(sections), title="Segment, Select, Correct", worlds=worlds, links=links)
    with atomic_path(out) as temporary:
        temporary.write_text(page, encoding="utf-8")


def whole_page(sections: str, *, title: str, worlds: Iterable[str], links: str = "") -> str:
    """A page that needs no other file: HTML sections with style, script, and a notice of each world figures are of."""
    notices = "".join(f'<p class="world {world}">{escape(_WORLDS[world])}</p>' for world in dict.fromkeys(worlds))
    return _PAGE.format(
        css=_colours() + (_HERE / "page.css").read_text(encoding="utf-8"),
        js=(_HERE / "page.js").read_text(encoding="utf-8"),
        title=escape(title),
        notices=notices,
        links=links,
        sections=sections,
    )


def _dataset(dataset: DatasetResults, photos: Path, gallery_size: int) -> str:
    parts = [
        ("Results", results_table(dataset) + _seeds(dataset) + choices_table(dataset) + _results_note(dataset)),
        ("How often a mask is how good", _curves(dataset)),
        ("Where it is good, and where it fails", _breakdowns(dataset)),
        ("Training", _training(dataset)),
        ("Segment and Select", _stages(dataset)),
        ("Examples", _galleries(dataset, photos, gallery_size)),
        (
            "Time and memory",
            _figures([time_chart(dataset.jobs)]) + job_table(dataset.jobs) if len(dataset.jobs) else "",
        ),
        ("Made with", _provenance(dataset)),
    ]
    body = "".join(f"<section><h3>{escape(title)}</h3>{content}</section>" for title, content in parts if content)
    return f'<section class="dataset" id="{escape(dataset.name)}"><h2>{escape(dataset.name)}</h2>{body}</section>'


def _results_note(dataset: DatasetResults) -> str:
    methods = dataset.methods()
    notes = [
        "oIoU: intersections over unions, each summed over all pairs, so that big objects weigh more. mIoU: mean IoU. "
        "P@t: share of pairs with an IoU of at least t. Small figures: 95 % interval, photos resampled."
    ]
    if dataset.candidates:
        notes.append(
            "All lines of the first table are measured alike: every sentence counts. A choice among candidates is made "
            "once a ref, and published figures of choices count each ref once in photo pixels: the table below it does."
        )
    if len({m.resolution for m in methods}) > 1:
        notes.append("Lines measured at 480 × 480 and lines in photo pixels differ a little for that reason alone.")
    left_out = {e.content.split: e.content.refs_without_truth for e in dataset.evaluations}
    notes += [f"{split}: {n} refs without ground truth are left out." for split, n in left_out.items() if n]
    unreadable = {
        e.content.split: e.content.unreadable_photos for e in dataset.evaluations if isinstance(e.content, ModelEval)
    }
    notes += [
        f"{split}: {n} photos cannot be read; their masks count as empty." for split, n in unreadable.items() if n
    ]
    if any(m.published for m in methods):
        second_hand = any(m.published and m.published.second_hand for m in methods)
        notes.append(
            ("* Second-hand: read off later work. " if second_hand else "")
            + f"Two runs of one published training differ by about {RUN_TO_RUN} oIoU."
        )
    return f'<ul class="notes">{"".join(f"<li>{escape(note)}</li>" for note in notes)}</ul>'


def _seeds(dataset: DatasetResults) -> str:
    """The table over seeds, once a method was trained with several."""
    summary = over_seeds(dataset.seeds)
    several = summary[summary["seeds"] > 1]
    return seeds_table(several, dataset.name) if len(several) else ""


def _curves(dataset: DatasetResults) -> str:
    methods = dataset.methods()
    charts = []
    for split in dict.fromkeys(m.split for m in methods):
        here = [m for m in methods if m.split == split]
        charts.append(success_curves(here, f"{split}: precision at every IoU"))
        charts += [
            iou_histogram(m, f"{split}: IoU, {method_name(m.name)}", method_colour(m, here))
            for m in here
            if not m.of_candidates or m.name == "selected"
        ]
    return _figures(charts)


def _breakdowns(dataset: DatasetResults) -> str:
    return _folded([(_name(model), group_tables(model.content)) for model in dataset.models], _main_model(dataset))


def _training(dataset: DatasetResults) -> str:
    charts = matching_chart(dataset.matching)
    for phase, log in dataset.logs.items():
        charts += training_charts(log, phase)
    return _figures(charts)


def _stages(dataset: DatasetResults) -> str:
    if not dataset.candidates:
        return ""
    charts = _figures([candidate_chart(candidates) for candidates in dataset.candidates])
    facts = []
    for candidates in dataset.candidates:
        found = candidates.content.candidates
        facts.append(
            (f"{candidates.content.split}: candidates a ref", f"{found.mean:.2f} on average, {found.max} at most")
        )
        facts.append((f"{candidates.content.split}: refs without a candidate", f"{100 * found.share_empty:.1f} %"))
    corrupted = {
        method_name(model.content.method): model.content.training.get("palette_corrupted_refs")
        for model in dataset.models
    }
    facts += [
        (f"{name}: targets that compat.palette_targets changed", f"{n} refs") for name, n in corrupted.items() if n
    ]
    return charts + facts_table(facts) + _contact_sheets(dataset)


def _contact_sheets(dataset: DatasetResults) -> str:
    """What Segment found, photo by photo, for the splits that have a sheet."""
    sheets = sorted(dataset.folder.folder.glob("*/contact_sheet.jpg"), key=lambda path: split_order(path.parent.name))
    blocks = []
    for path in sheets:
        name = f"{path.parent.name}: contact sheet of boxes, masks and candidates"
        data = base64.b64encode(path.read_bytes()).decode("ascii")
        image = f'<img class="sheet" alt="{escape(name)}" src="data:image/jpeg;base64,{data}" loading="lazy">'
        blocks.append(
            (name, f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(name)}">{image}</div>')
        )
    return _folded(blocks, None)


def _galleries(dataset: DatasetResults, photos: Path, size: int) -> str:
    blocks = []
    shelf = PhotoShelf(open_photos(dataset.folder("refs"), photos).or_grey, f"{dataset.name}-photo")
    for i, model in enumerate(dataset.models):
        with ExitStack() as stack:
            sources = _sources(dataset, model.content.split, shelf, stack)
            picked = dataset.candidates_of(model.content.split)
            rows = picked.rows if picked is not None and "iou_selected" in picked.rows else None
            cards = gallery_section(tagged(model.rows, rows, size), sources, shelf, key=f"{dataset.name}-{i}")
        blocks.append((_name(model), cards))
    return shelf.defs() + _folded(blocks, _main_model(dataset)) if blocks else ""


def _sources(dataset: DatasetResults, split: str, photos: PhotoShelf, stack: ExitStack) -> Sources:
    masks, selected = (dataset.folder(name, split=split) for name in ("masks", "selected"))
    has_masks = masks.is_file() and selected.is_file()
    return Sources(
        photos=photos,
        truth=TruthStore(dataset.folder("truth")),
        masks=stack.enter_context(MaskStore(masks, with_masks=True)) if has_masks else None,
        selected=stack.enter_context(SelectionStore(selected)) if has_masks else None,
    )


def _provenance(dataset: DatasetResults) -> str:
    blocks = []
    for found in dataset.evaluations:
        content = found.content
        title = f"{content.split}: {'candidates' if content.kind == 'masks' else method_name(content.method)}"
        facts = [("world", content.world), ("code", content.code)]
        facts += [(f"weights: {name}", value) for name, value in content.model.items()]
        facts += [(f"data: {name}", value) for name, value in content.data.items()]
        facts += list(content.versions.items())
        if content.kind == "model":
            facts.append(
                ("time in the network", f"{100 * content.timing.model_share:.0f} % of {content.timing.total_s:.1f} s")
            )
        blocks.append((title, facts_table(facts)))
    return _folded(blocks, None)


def _name(model: Evaluated) -> str:
    return f"{model.content.split}: {method_name(model.content.method)}"


def _main_model(dataset: DatasetResults) -> int:
    """Index of the model that is open when the page is: the corrected one, else the first."""
    methods = [model.content.method for model in dataset.models]
    return methods.index("corrected") if "corrected" in methods else 0


def _folded(blocks: list[tuple[str, str]], opened: int | None) -> str:
    """Titled blocks that open on demand; opened: index of the one that is open from the start."""
    return "".join(
        f"<details{' open' if i == opened else ''}><summary>{escape(title)}</summary>{content}</details>"
        for i, (title, content) in enumerate(blocks)
    )


def _figures(charts: list[Chart]) -> str:
    figures = "".join(
        f'<figure class="chart"><figcaption>{escape(chart.title)}</figcaption>'
        f'<div role="img" aria-label="{escape(chart.title)}">{chart.svg}</div></figure>'
        for chart in charts
    )
    return f'<div class="charts">{figures}</div>' if charts else ""


def _colours() -> str:
    """The colours of overlays as CSS variables, so that page and pictures agree."""
    return f":root{{--prediction:{css(PREDICTION)};--truth:{css(TRUTH)};--pick:{css(PICK)}}}"


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{title}: report</title>
<style>{css}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the results</a>
<header><h1>{title}</h1>{notices}<nav aria-label="Datasets">{links}</nav></header>
<main id="main">{sections}</main>
<dialog aria-labelledby="dialog-title"><div class="dialog-head"><h2 id="dialog-title"></h2>
<button type="button" data-close aria-label="Close">✕</button></div><div data-picture></div>
<p class="quiet" data-notes></p>
<p class="quiet keys">← and → show the previous and the next example</p></dialog>
<script>{js}</script>
</body>
</html>
"""
