"""docs/results.md: tables over seeds, and whether the order of the methods is what the method promises."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ssc_core.config.study import BASE
from ssc_core.evaluate.study_table import of_first_split
from ssc_core.report.pages import render
from ssc_core.report.published import PUBLISHED
from ssc_core.report.seeds import records

_MARGIN = 8.0
"""Points of oIoU by which constrained matching shall be above training on the picks, and above the picks."""

_ABOUT = 5.0
"""Points of oIoU within which the network pre-trained on the picks is called as good as they are; published: 2.6."""

_TOLD = ("corrected", "selected")
"""What a changed value is told by: the first one that was measured."""

_BEYOND = ["oIoU", "oIoU_low", "oIoU_high", "mIoU"]

_Row = Mapping[str, Any]


class Claim(NamedTuple):
    """What the method promises for a split, what was measured, and whether it held."""

    text: str
    measured: str
    holds: bool


@dataclass(frozen=True, slots=True)
class MethodTable:
    """What was measured on a split, for the config (``variant`` is empty) or a variant of it.

    lines: rows of ``seeds.over_seeds`` with ``published``; published figures are of no variant.
    """

    dataset: str
    split: str
    variant: str
    world: str
    lines: Sequence[_Row]

    @property
    def title(self) -> str:
        return f"{self.dataset} {self.split}" + (f", `{self.variant}`" if self.variant else "")

    @property
    def claims(self) -> list[Claim]:
        """Those about methods that were measured here."""
        return list(claims({line["method"]: line for line in self.lines}))

    @property
    def second_hand(self) -> bool:
        return any(line["published"] and line["published"].second_hand for line in self.lines)


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
    page = render(
        "results.md",
        worlds=summary["world"].unique().tolist(),
        tables=list(_tables(summary)),
        notes=notes,
        note=note,
        beyond=None if beyond is None or beyond.empty else _beyond(beyond),
        pictures=pictures,
    )
    return page.rstrip("\n") + "\n"


def _tables(summary: pd.DataFrame) -> Iterator[MethodTable]:
    for (dataset, split, variant), rows in summary.groupby(["dataset", "split", "variant"], sort=False):
        lines = [
            row | {"published": None if variant else PUBLISHED.get((row["dataset"], row["split"], row["method"]))}
            for row in records(rows)
        ]
        yield MethodTable(str(dataset), str(split), str(variant), lines[0]["world"], lines)


def claims(rows: Mapping[str, _Row]) -> Iterator[Claim]:
    """The method's claims. rows: by method; claims about a method that was not evaluated are left out."""
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
            measured = f"{gain:+.1f} ({better} {rows[better]['oIoU']:.1f}, {worse} {rows[worse]['oIoU']:.1f})"
            yield Claim(text, measured, bool(gain > 0 and gain >= margin))
    for text, method in (
        (f"Training on the picks keeps their mistakes: within {_ABOUT:.0f} points", "pretrained"),
        ("… and with Segment's outlines, as the picks have them", "pretrained_choice"),
    ):
        if method in rows and "selected" in rows:
            gain = rows[method]["oIoU"] - rows["selected"]["oIoU"]
            figures = f"{gain:+.1f} ({method} {rows[method]['oIoU']:.1f}, selected {rows['selected']['oIoU']:.1f})"
            yield Claim(text, figures, bool(abs(gain) <= _ABOUT))
    if "corrected" in rows and "selected" in rows:
        low, high = rows["corrected"]["low"], rows["selected"]["high"]
        measured = f"from {low:.1f}, and Select's up to {high:.1f}"
        yield Claim("Correct is above Select, their intervals apart", measured, bool(low > high))
    if "best" in rows:
        best = rows["best"]["oIoU"]
        yield Claim("Segment finds the object: best candidate at least 80", f"{best:.1f}", bool(best >= 80))


def _beyond(table: pd.DataFrame) -> dict[str, Any]:
    """A line a changed value: of Select's masks, and of the corrected network where the value changes its training."""
    alike = (table["per"] == "sentence") & (table["resolution"] == "480") & table["method"].isin(_TOLD)
    wanted = of_first_split(table[alike])
    means = records(wanted.groupby(["variant", "method"], sort=False)[_BEYOND].mean().reset_index())
    figures = {(row["variant"], row["method"]): row for row in means}
    lines = []
    for variant in dict.fromkeys(row["variant"] for row in means):
        measured = [method for method in _TOLD if (variant, method) in figures]
        for method in measured if variant == BASE else measured[:1]:
            line, plain = figures[variant, method], figures[BASE, method]
            gains = {f"{name}_gain": line[name] - plain[name] for name in ("oIoU", "mIoU")}
            lines.append({**line, **gains, "changed": "" if variant == BASE else variant})
    about = wanted.iloc[0]
    seeds = sorted(wanted["seed"].unique().tolist())
    return {"dataset": about["dataset"], "split": about["split"], "seeds": seeds, "lines": lines}
