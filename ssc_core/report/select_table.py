"""Ways to select, side by side: figures, gains over the pipeline's own choice, and the table in every format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import JsonValue, RootModel

from ssc_core.config.variants import Changes, plain
from ssc_core.errors import SscError
from ssc_core.evaluate.masks import candidates_path, overlaps_by_ref
from ssc_core.evaluate.metrics import Figure, paired_gains
from ssc_core.evaluate.schema import MasksEval, read_eval
from ssc_core.files import atomic_path, write_json
from ssc_core.tables import read_frame

OWN = "selected"
"""The choice that the pipeline itself makes, which all gains are measured from."""

_NAMES = {
    "random": "a random candidate, seeded",
    "first": "the first candidate",
    OWN: "the pipeline's own choice",
    "best": "the candidate with the highest IoU: looks at the truth, a bound and no method",
}


class Ways(RootModel[dict[str, dict[str, JsonValue]]]):
    """What each way to select changes, by name, as JSON."""


@dataclass(frozen=True, slots=True)
class Line:
    """A way to select. what: how it differs from the pipeline's own choice, which the gains are measured from."""

    name: str
    what: str
    test_only: bool
    oIoU: Figure
    mIoU: Figure
    oIoU_gain: Figure
    mIoU_gain: Figure


def write_select_table(*, evaluation: Path, ways: Ways, figures: Path, table: Path) -> None:
    """Write the table as JSON (``figures``) and CSV.

    evaluation: an eval file of choices among masks, its rows beside it.

    Raises SscError when a file is missing or damaged, or the evaluation is of something else.
    """
    content, rows = read_selections(evaluation)
    lines = compared(content, rows, ways)
    with atomic_path(table) as temporary:
        temporary.write_text(csv_table(lines), encoding="utf-8")
    values = content.model_dump(mode="json")
    facts = ("dataset", "split", "world", "per", "resolution", "n_pairs", "n_refs", "n_images", "candidates", "code")
    write_json(figures, {**{name: values[name] for name in facts}, "lines": [asdict(line) for line in lines]})


def read_selections(evaluation: Path) -> tuple[MasksEval, pd.DataFrame]:
    """An eval file of ways to select and its rows; raises SscError as ``write_select_table``."""
    content = read_eval(evaluation)
    if not isinstance(content, MasksEval) or OWN not in content.choices:
        raise SscError(f"{evaluation} holds no choices of Select; run evaluate_selections again")
    return content, read_frame(candidates_path(evaluation), made_by="evaluate_selections")


def compared(evaluation: MasksEval, rows: pd.DataFrame, ways: Ways) -> list[Line]:
    """A line a choice of an eval file, in its order.

    rows: ``evaluate.masks.candidates_path`` of it. A choice that is not among ``ways`` has no description.
    """
    settings = evaluation.settings["evaluate"]
    lines = []
    for name, choice in evaluation.choices.items():
        ci = choice.ci95
        ours, own = (overlaps_by_ref(rows, one, skip_empty=evaluation.oiou_skips_empty) for one in (name, OWN))
        oiou_gain, miou_gain = paired_gains(
            ours, own, rows["image_id"].to_numpy(), samples=settings["bootstrap_samples"], seed=settings["seed"]
        )
        lines.append(
            Line(
                name=name,
                what=_NAMES[name] if name in _NAMES else changes(ways.root[name]) if name in ways.root else "",
                test_only=choice.test_only,
                oIoU=Figure(choice.oIoU, *(ci.oIoU if ci else ())),
                mIoU=Figure(choice.mIoU, *(ci.mIoU if ci else ())),
                oIoU_gain=oiou_gain,
                mIoU_gain=miou_gain,
            )
        )
    return lines


def changes(variant: Changes) -> str:
    """What a variant changes, in words of the config: ``score.prompt: crop; select.assignment: joint``."""
    return "; ".join(f"{key}: {plain(value)}" for key, value in variant.items()) or "nothing"


def csv_table(lines: Sequence[Line]) -> str:
    """The table for programs: a column a number, such as ``oIoU_gain_low``."""
    return pd.json_normalize([asdict(line) for line in lines], sep="_").to_csv(index=False)


def read_lines(values: Sequence[dict[str, Any]]) -> list[Line]:
    """Lines from what ``dataclasses.asdict`` made of them."""
    fields: list[dict[str, Any]] = [
        {key: Figure(**value) if isinstance(value, dict) else value for key, value in line.items()} for line in values
    ]
    return [Line(**line) for line in fields]


def cells(line: Line) -> Iterator[tuple[str, str]]:
    """Value and interval of each figure, as text; the pipeline's own choice has no gain over itself."""
    for figure, form in ((line.oIoU, ".1f"), (line.oIoU_gain, "+.1f"), (line.mIoU, ".1f"), (line.mIoU_gain, "+.1f")):
        if line.name == OWN and form == "+.1f":
            yield "–", ""
        else:
            yield f"{figure.value:{form}}", "" if figure.low is None else f"{figure.low:{form}} to {figure.high:{form}}"
