"""docs/results.md: tables over seeds, and whether the order of the methods is what the method promises."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ssc_core.config.methods import method_name, method_order
from ssc_core.config.study import BASE
from ssc_core.report.collect import split_order
from ssc_core.report.published import PUBLISHED

_WORLDS = {
    "micro": "World: **micro**. These are generated scenes. The figures say how the method and the code behave, and "
    "nothing about photos; published figures stand beside them to show the same order in another world.",
    "files": "World: **files**, photos and sentences of the user's own files.",
    "toys": "World: **toys**, photos of the user's own, but small models that know drawings only: figures mean nothing.",
}

_MARGIN = 8.0
"""Points of oIoU by which constrained matching shall be above training on the picks, and above the picks."""

_ABOUT = 5.0
"""Points of oIoU within which the network pre-trained on the picks is called as good as they are; published: 2.6."""

_TOLD = ("corrected", "selected")
"""What a changed value is told by: the first one that was measured."""

_BEYOND = ["oIoU", "oIoU_low", "oIoU_high", "mIoU"]

_Row = Mapping[str, Any]


def results_page(
    summary: pd.DataFrame,
    pictures: Mapping[str, Path],
    notes: Sequence[str] = (),
    beyond: pd.DataFrame | None = None,
    note: str = "",
) -> str:
    """Markdown. summary: ``seeds.over_seeds`` of all datasets; pictures: caption to path, relative to the page.

    beyond: ``study_table`` of variants that go beyond the paper; note: a sentence for the head of the page.
    """
    parts = [
        "# Results",
        "Written by `make finding` from the eval files; nothing here was typed." + (f" {note}" if note else ""),
        *(_WORLDS[world] for world in summary["world"].unique()),
        "Every line counts every sentence, at 480 x 480, choices among candidates too. oIoU: mean over seeds, ± its "
        "standard deviation over seeds, and in brackets the mean of the seeds' 95 % bootstrap intervals (photos "
        "resampled). Percentages.",
        *notes,
        "## Does it do what it is for?",
        _claims_table(summary),
    ]
    for dataset, of_dataset in summary.groupby("dataset", sort=False):
        parts.append(f"## {dataset}")
        for split in sorted(of_dataset["split"].unique(), key=split_order):
            parts += [f"### {dataset} {split}", _method_table(of_dataset[of_dataset["split"] == split])]
    if beyond is not None and len(beyond):
        parts += ["## Beyond the paper", _beyond_table(beyond)]
    if pictures:
        parts.append("## Pictures")
    parts += [f"![{caption}]({path.as_posix()})\n\n*{caption}*" for caption, path in pictures.items()]
    return "\n\n".join(parts) + "\n"


def claims(rows: Mapping[str, _Row]) -> Iterator[tuple[str, str, bool]]:
    """What the method promises for a split, what was measured, and whether it held. rows: by method.

    Claims about a method that was not evaluated are left out.
    """
    difference = [
        ("Select is better than chance", "selected", "random", 0.0),
        (f"Correct is at least {_MARGIN:.0f} points above the network pre-trained on the picks", "corrected",
         "pretrained", _MARGIN),
        (f"… and above one trained on them for as long, by at least {_MARGIN:.0f}", "corrected", "continued", _MARGIN),
        (f"… and above the picks themselves, by at least {_MARGIN:.0f}", "corrected", "selected", _MARGIN),
        (f"… and with Segment's outlines, as the picks have them, by at least {_MARGIN:.0f}", "corrected_choice",
         "selected", _MARGIN),
        ("The constraints matter", "corrected", "without_constraints", 0.0),
        ("Ground truth is better still", "supervised", "corrected", 0.0),
    ]  # fmt: skip
    for text, better, worse, margin in difference:
        if better in rows and worse in rows:
            gain = rows[better]["oIoU"] - rows[worse]["oIoU"]
            yield (
                text,
                f"{gain:+.1f} ({better} {rows[better]['oIoU']:.1f}, {worse} {rows[worse]['oIoU']:.1f})",
                (gain > 0 and gain >= margin),
            )
    for text, method in (
        (f"Training on the picks keeps their mistakes: within {_ABOUT:.0f} points", "pretrained"),
        ("… and with Segment's outlines, as the picks have them", "pretrained_choice"),
    ):
        if method in rows and "selected" in rows:
            gain = rows[method]["oIoU"] - rows["selected"]["oIoU"]
            figures = f"{gain:+.1f} ({method} {rows[method]['oIoU']:.1f}, selected {rows['selected']['oIoU']:.1f})"
            yield text, figures, abs(gain) <= _ABOUT
    if "corrected" in rows and "selected" in rows:
        low, high = rows["corrected"]["low"], rows["selected"]["high"]
        yield (
            "Correct is above Select, their intervals apart",
            f"from {low:.1f}, and Select's up to {high:.1f}",
            bool(low > high),
        )
    if "best" in rows:
        best = rows["best"]["oIoU"]
        yield "Segment finds the object: best candidate at least 80", f"{best:.1f}", bool(best >= 80)


def _claims_table(summary: pd.DataFrame) -> str:
    lines = ["| split | claim | measured, oIoU | holds |", "|---|---|---|---|"]
    for (dataset, split), rows in summary.groupby(["dataset", "split"], sort=False):
        by_method: dict[str, Any] = {str(row["method"]): row for row in rows.to_dict("records")}
        for text, measured, holds in claims(by_method):
            lines.append(f"| {dataset} {split} | {text} | {measured} | {'yes' if holds else '**no**'} |")
    return "\n".join(lines)


def _method_table(rows: pd.DataFrame) -> str:
    world = rows["world"].iloc[0]
    head = "published oIoU, real photos" + (" (another world)" if world == "micro" else "")
    lines = [f"| method | oIoU | mIoU | P@0.5 | seeds | {head} |", "|---|---|---|---|---|---|"]
    ordered = sorted(rows.to_dict("records"), key=lambda row: method_order(str(row["method"])))
    for row in ordered:
        published = PUBLISHED.get((row["dataset"], row["split"], row["method"]))
        beside = "" if published is None else f"{published.oIoU:.2f}{'*' if published.second_hand else ''}"
        interval = "" if pd.isna(row["low"]) else f" ({row['low']:.1f} to {row['high']:.1f})"
        figures = [f"**{row['oIoU']:.1f}**{_spread(row, 'oIoU')}{interval}"]
        figures += [f"{row[name]:.1f}{_spread(row, name)}" for name in ("mIoU", "P@0.5")]
        cells = [method_name(str(row["method"])), *figures, str(row["seeds"] or "–"), beside]
        lines.append(f"| {' | '.join(cells)} |")
    if any("*" in line.split("|")[-2] for line in lines[2:]):
        lines.append("\n\\* second-hand")
    return "\n".join(lines)


def _beyond_table(table: pd.DataFrame) -> str:
    """A row a changed value: of Select's masks, and of the corrected network where the value changes its training."""
    wanted = table[(table["per"] == "sentence") & (table["resolution"] == "480") & table["method"].isin(_TOLD)]
    means = wanted.groupby(["variant", "method"], sort=False)[_BEYOND].mean().reset_index()
    rows: dict[str, dict[str, _Row]] = {}
    for row in means.to_dict("records"):
        rows.setdefault(str(row["variant"]), {})[str(row["method"])] = row  # type: ignore[assignment]
    plain = rows.pop(BASE)
    lines = [_beyond_row("as configured", method, plain[method], None) for method in _TOLD if method in plain]
    for variant, found in rows.items():
        method = next(method for method in _TOLD if method in found)
        lines.append(_beyond_row(f"`{variant}`", method, found[method], plain[method]))
    about, seeds = wanted.iloc[0], ", ".join(str(seed) for seed in sorted(wanted["seed"].unique()))
    head = ["| changed | measured | oIoU | gain | mIoU | gain |", "|---|---|---|---|---|---|"]
    return "\n".join(
        [
            f"{about['dataset']} {about['split']}, the config with one value changed at a time, seeds {seeds}. A "
            "changed training is told by its corrected network, a changed choice by the masks that it picks.\n",
            *head,
            *lines,
        ]
    )


def _beyond_row(variant: str, method: str, found: _Row, plain: _Row | None) -> str:
    gains = ["", ""] if plain is None else [f"{found[name] - plain[name]:+.1f}" for name in ("oIoU", "mIoU")]
    oiou = f"{found['oIoU']:.1f} ({found['oIoU_low']:.1f} to {found['oIoU_high']:.1f})"
    cells = [variant, method_name(method), oiou, gains[0], f"{found['mIoU']:.1f}", gains[1]]
    return f"| {' | '.join(cells)} |"


def _spread(row: Mapping[Any, Any], name: str) -> str:
    spread = row[f"{name}_sd"]
    return "" if pd.isna(spread) else f" ± {spread:.1f}"
