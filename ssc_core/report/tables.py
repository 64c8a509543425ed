"""The report's tables as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import pandas as pd

from ssc_core.config.methods import method_name
from ssc_core.evaluate.metrics import THRESHOLDS
from ssc_core.evaluate.schema import Groups, Interval, ModelEval
from ssc_core.report.collect import DatasetResults, Method
from ssc_core.report.published import Published
from ssc_core.report.seeds import FIGURES


def results_table(dataset: DatasetResults) -> str:
    """All methods by split, measured alike, with their intervals and, in a column of its own, what was published."""
    return _methods_table(dataset.methods(), f"{dataset.name}: percentages with 95 % intervals", dataset.world)


def choices_table(dataset: DatasetResults) -> str:
    """The choices among candidates as they are published: once a ref, in photo pixels. "" without candidates."""
    caption = f"{dataset.name}: choices among candidates as published, once a ref in photo pixels"
    return _methods_table(dataset.choices(), caption, dataset.world) if dataset.candidates else ""


def seeds_table(summary: pd.DataFrame, name: str) -> str:
    """Methods by split with mean and standard deviation over seeds, see ``seeds.over_seeds``."""
    body = []
    for split, rows in summary.groupby("split", sort=False):
        body.append(f'<tr class="split"><th scope="rowgroup" colspan="5">{escape(str(split))}</th></tr>')
        row: Any
        for row in rows.to_dict("records"):
            cells = "".join(
                f'<td class="number">{row[figure]:.1f}<small>± {row[f"{figure}_sd"]:.1f}</small></td>'
                for figure in FIGURES
            )
            body.append(
                f'<tr><th scope="row">{escape(method_name(row["method"]))}</th>{cells}'
                f'<td class="number">{row["seeds"]}</td></tr>'
            )
    head = table_head(("Method", *FIGURES, "Seeds"))
    return scrolling_table(f"{name}: mean and standard deviation over seeds", f"{head}<tbody>{''.join(body)}</tbody>")


def _methods_table(methods: Sequence[Method], caption: str, world: str) -> str:
    other_world = world == "micro"
    with_published = any(method.published for method in methods)
    head = ["Method", "oIoU", "mIoU", *(f"P@{t}" for t in THRESHOLDS)]
    body = []
    for split in dict.fromkeys(method.split for method in methods):
        here = [method for method in methods if method.split == split]
        measured = dict.fromkeys(_measured_on(method) for method in here)
        body.append(
            f'<tr class="split"><th scope="rowgroup" colspan="{len(head) + with_published}">{escape(split)}'
            f"<small>{escape('; '.join(measured))}</small></th></tr>"
        )
        body += [_result_row(m, with_published, other_world, named=len(measured) > 1) for m in here]
    heads = "".join(f'<th scope="col">{escape(text)}</th>' for text in head)
    if with_published:
        where = "another world: real photos" if other_world else "real photos"
        heads += f'<th scope="col" class="published">Published oIoU<small>{where}</small></th>'
    return scrolling_table(caption, f"<thead><tr>{heads}</tr></thead><tbody>{''.join(body)}</tbody>")


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
    """Time and memory by rule, from Snakemake's benchmarks, the longest first."""
    grouped = (
        jobs.groupby(["rule", "split"], sort=False)
        .agg(jobs=("seconds", "size"), seconds=("seconds", "sum"), rss_mb=("rss_mb", "max"))
        .sort_values("seconds", ascending=False, kind="stable")
    )
    total = max(float(grouped["seconds"].sum()), 1e-9)
    biggest = max(float(grouped["rss_mb"].max()), 1.0) if grouped["rss_mb"].notna().any() else 1.0
    lines: Any = zip(grouped.index, grouped.itertuples(), strict=True)
    rows = [
        [
            f'<th scope="row">{escape(rule)}</th>',
            f"<td>{escape(split) or '–'}</td>",
            f'<td class="number">{row.jobs}</td>',
            f"<td>{_bar(row.seconds / total, f'{_duration(row.seconds)} · {100 * row.seconds / total:.0f} %')}</td>",
            f"<td>{_bar(0 if pd.isna(row.rss_mb) else row.rss_mb / biggest, _memory(row.rss_mb))}</td>",
        ]
        for (rule, split), row in lines
    ]
    head = ("Rule", "Split", "Jobs", f"Time, all jobs (sum {_duration(total)})", "Peak memory")
    return scrolling_table("Time and memory by rule", table_head(head) + table_body("".join(cells) for cells in rows))


def facts_table(facts: Sequence[tuple[str, str]]) -> str:
    """Names and values."""
    rows = (f'<th scope="row">{escape(name)}</th><td>{escape(value)}</td>' for name, value in facts)
    return f'<table class="facts">{table_body(rows)}</table>'


def _result_row(method: Method, with_published: bool, other_world: bool, *, named: bool) -> str:
    """named: say how this line was measured, where lines of a split differ in it."""
    figures, ci = method.figures, method.figures.ci95
    bound = ' <span class="tag">test only</span>' if method.test_only else ""
    note = f"<small>{escape(_measured_on(method))}</small>" if named else ""
    cells = [
        f'<th scope="row">{escape(method_name(method.name))}{bound}{note}</th>',
        _figure(figures.oIoU, ci.oIoU if ci else None, strong=True),
        _figure(figures.mIoU, ci.mIoU if ci else None),
        *(_figure(figures.precision[str(t)], ci.precision[str(t)] if ci else None) for t in THRESHOLDS),
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


def _measured_on(method: Method) -> str:
    return f"{method.n_pairs} {method.per}s, {'480 × 480' if method.resolution == '480' else 'photo pixels'}"


def _group_table(name: str, groups: Groups) -> str:
    rows = (
        f'<th scope="row">{escape(label)}</th><td class="number quiet">{group.n}</td>'
        f"<td>{_bar(group.mIoU / 100, f'{group.mIoU:.1f}')}</td>"
        f'<td class="number">{group.oIoU:.1f}</td><td class="number">{group.precision_at_half:.1f}</td>'
        for label, group in groups.items()
    )
    head = table_head(("", "n", "mIoU", "oIoU", "P@0.5"))
    tall = f' tabindex="0" role="region" aria-label="{escape(name)}"' if len(groups) > 12 else ""
    table = f'<table class="groups"><caption>{escape(name)}</caption>{head}{table_body(rows)}</table>'
    return f'<div class="card"{tall}>{table}</div>'


def _bar(share: float, text: str) -> str:
    return f'<span class="bar" style="--share:{max(0.0, min(1.0, share)):.4f}"><span>{escape(text)}</span></span>'


def table_head(names: Iterable[str]) -> str:
    """Column heads of a table."""
    return f"<thead><tr>{''.join(f'<th scope=col>{escape(name)}</th>' for name in names)}</tr></thead>"


def table_body(rows: Iterable[str]) -> str:
    """Rows of a table. rows: HTML of each one's cells."""
    return f"<tbody>{''.join(f'<tr>{row}</tr>' for row in rows)}</tbody>"


def scrolling_table(caption: str, content: str) -> str:
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
