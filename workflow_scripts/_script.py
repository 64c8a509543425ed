"""What the workflow scripts share: typed command-line options, and errors that are for people."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ssc_core.errors import SscError
from ssc_core.files import read_json
from ssc_core.provenance import file_sha256, versions
from ssc_core.refer.sources import DatasetSource
from ssc_core.settings import (
    CompatSettings,
    DetectSettings,
    EvaluateSettings,
    NounSettings,
    ScoreSettings,
    Section,
    SegmentSettings,
    SelectSettings,
)


def _json(section: type[Any]) -> Any:
    return typer.Option(parser=section.model_validate_json, metavar="JSON")


Compat = Annotated[CompatSettings, _json(CompatSettings)]
Detect = Annotated[DetectSettings, _json(DetectSettings)]
Evaluate = Annotated[EvaluateSettings, _json(EvaluateSettings)]
Nouns = Annotated[NounSettings, _json(NounSettings)]
Score = Annotated[ScoreSettings, _json(ScoreSettings)]
Segment = Annotated[SegmentSettings, _json(SegmentSettings)]
Select = Annotated[SelectSettings, _json(SelectSettings)]
Source = Annotated[DatasetSource, _json(DatasetSource)]


def run(main: Callable[..., Any]) -> None:
    """Run ``main`` with options from the command line, one an argument; an SscError is printed without a traceback."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for noisy in ("httpx", "transformers", "h5py", "PIL", "root"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    try:
        app()
    except SscError as error:
        print(f"\nerror: {error}", file=sys.stderr)
        sys.exit(1)


def run_meta(
    *, data: Path, inputs: dict[str, Path], method: str, model: dict[str, str], code: str, **more: Any
) -> dict[str, Any]:
    """What every eval JSON says of its origin, as ``ssc_core.evaluate.schema.RunMeta`` has it."""
    stamp = read_json(data)
    return {
        "dataset": stamp["dataset"],
        "world": stamp["world"],
        "method": method,
        "model": model,
        "code": code,
        "data": {name: file_sha256(path) for name, path in inputs.items()},
        "versions": versions(),
        **more,
    }


def plain(**sections: Section) -> dict[str, Any]:
    """Settings as JSON values, by section."""
    return {name: section.model_dump(mode="json") for name, section in sections.items()}
