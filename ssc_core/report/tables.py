"""The report's tables as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import pandas as pd

from ssc_core.evaluate.metrics import THRESHOLDS
from ssc_core.evaluate.schema import Groups, Interval, ModelEval
from ssc_core.report.collect import DatasetResults, Method
from ssc_core.report.published import Published, method_name


def results_table(dataset: DatasetResults) -> str:
    """Methods by split with their intervals and, in a column of its own, what was published."""
    methods = dataset.methods()
    other_world = dataset.world == "micro"
    with_published = any(method.published for method in methods)
    head = ["Method", "oIoU", "mIoU", *(f"P@{t}" for t in THRESHOLDS), "Measured on"]
    body = []
    for split in dict.fromkeys(method.split for method in methods):
        columns = len(head) + with_published
        body.append(f'<tr class="split"><th scope="rowgroup" colspan="{columns}">{escape(split)}</th></tr>')
        body += [_result_row(method, with_published, other_world) for method in methods if method.split == split]
    heads = "".join(f'<th scope="col">{escape(text)}</th>' for text in head)
    if with_published:
        world = "another world: real photos" if other_world else "real photos"
        heads += f'<th scope="col" class="published">Published oIoU<small>{world}</small></th>'
    caption = f"{dataset.name}: percentages with 95 % intervals"
    return _scrolling(caption, f"<thead><tr>{heads}</tr></thead><tbody>{''.join(body)}</tbody>")


def group_tables(evaluation: ModelEval) -> str:
    """Where a model is good and where it fails: one small table a breakdown."""
    parts = {
        "Category": evaluation.by_category,
        "Words in the sentence": evaluation.by_sentence_length,
        "Objects of that class that sentences name in the photo": evaluation.by_num_candidates,
        "Share of the photo that the object covers": evaluation.by_object_size,
    }
    return f'<div class="cards">{"".join(_group_table(name, groups) for name, groups in parts.items())}</div>'


def job_table(jobs: pd.DataFrame) -> str:
    """Time and memory by rule, from Snakemake's benchmarks."""
    ordered = jobs.sort_values("made")
    grouped = ordered.groupby(["rule", "split"], sort=False).agg(
        jobs=("seconds", "size"), seconds=("seconds", "sum"), rss_mb=("rss_mb", "max")
    )
    longest = max(float(grouped["seconds"].max()), 1e-9)
    lines: Any = zip(grouped.index, grouped.itertuples(), strict=True)
    rows = [
        [
            f'<th scope="row">{escape(rule)}</th>',
            f"<td>{escape(split) or '–'}</td>",
            f'<td class="number">{row.jobs}</td>',
            f"<td>{_bar(row.seconds / longest, _duration(row.seconds))}</td>",
            f'<td class="number">{_memory(row.rss_mb)}</td>',
        ]
        for (rule, split), row in lines
    ]
    total = _duration(grouped["seconds"].sum())
    head = ("Rule", "Split", "Jobs", f"Time, all jobs (sum {total})", "Peak memory")
    return _scrolling("Time and memory by rule", _head(head) + _body("".join(cells) for cells in rows))


def facts_table(facts: Sequence[tuple[str, str]]) -> str:
    """Names and values."""
    rows = (f'<th scope="row">{escape(name)}</th><td>{escape(value)}</td>' for name, value in facts)
    return f'<table class="facts">{_body(rows)}</table>'


def _result_row(method: Method, with_published: bool, other_world: bool) -> str:
    figures, ci = method.figures, method.figures.ci95
    bound = ' <span class="tag">test only</span>' if method.test_only else ""
    cells = [
        f'<th scope="row">{escape(method_name(method.name))}{bound}</th>',
        _figure(figures.oIoU, ci.oIoU if ci else None, strong=True),
        _figure(figures.mIoU, ci.mIoU if ci else None),
        *(_figure(figures.precision[str(t)], ci.precision[str(t)] if ci else None) for t in THRESHOLDS),
        f'<td class="quiet">{method.n_pairs} {method.per}s, {_at(method.resolution)}</td>',
    ]
    if with_published:
        cells.append(_published(method.published, other_world))
    return f"<tr>{''.join(cells)}</tr>"


def _figure(value: float, interval: Interval | None, *, strong: bool = False) -> str:
    text = f"<b>{value:.1f}</b>" if strong else f"{value:.1f}"
    between = "" if interval is None else f"<small>{interval[0]:.1f} – {interval[1]:.1f}</small>"
    return f'<td class="number">{text}{between}</td>'


def _published(published: Published | None, other_world: bool) -> str:
    if published is None:
        return '<td class="published number">–</td>'
    mark = "*" if published.second_hand else ""
    kind = "published number other" if other_world else "published number"
    return f'<td class="{kind}">{published.oIoU:.2f}{mark}<small>{escape(published.source)}</small></td>'


def _at(resolution: str) -> str:
    return "480 × 480" if resolution == "480" else "photo pixels"


def _group_table(name: str, groups: Groups) -> str:
    rows = (
        f'<th scope="row">{escape(label)}</th><td class="number quiet">{group.n}</td>'
        f"<td>{_bar(group.mIoU / 100, f'{group.mIoU:.1f}')}</td>"
        f'<td class="number">{group.oIoU:.1f}</td><td class="number">{group.precision_at_half:.1f}</td>'
        for label, group in groups.items()
    )
    head = _head(("", "n", "mIoU", "oIoU", "P@0.5"))
    tall = f' tabindex="0" role="region" aria-label="{escape(name)}"' if len(groups) > 12 else ""
    table = f'<table class="groups"><caption>{escape(name)}</caption>{head}{_body(rows)}</table>'
    return f'<div class="card"{tall}>{table}</div>'


def _bar(share: float, text: str) -> str:
    return f'<span class="bar" style="--share:{max(0.0, min(1.0, share)):.4f}"><span>{escape(text)}</span></span>'


def _head(names: Iterable[str]) -> str:
    return f"<thead><tr>{''.join(f'<th scope=col>{escape(name)}</th>' for name in names)}</tr></thead>"


def _body(rows: Iterable[str]) -> str:
    return f"<tbody>{''.join(f'<tr>{row}</tr>' for row in rows)}</tbody>"


def _scrolling(caption: str, content: str) -> str:
    """A wide table scrolls in its own box, by keyboard too."""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f"<table><caption>{escape(caption)}</caption>{content}</table></div>"
    )


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _memory(megabytes: float) -> str:
    if pd.isna(megabytes):
        return "–"
    return f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"
