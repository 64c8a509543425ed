"""Rule select_report: the page that compares ways to select, and its table for programs."""

from pathlib import Path

from ssc_core.report.select_page import write_select_page
from ssc_core.settings import CompareSettings, SelectSettings
from workflow_scripts._script import run


def main(
    refs: Path,
    truth: Path,
    masks: Path,
    scores: Path,
    selected: Path,
    evaluation: Path,
    images: Path,
    compare: CompareSettings,
    select: SelectSettings,
    page: Path,
    figures: Path,
    table: Path,
) -> None:
    write_select_page(
        refs=refs,
        truth=truth,
        masks=masks,
        scores=scores,
        selected=selected,
        evaluation=evaluation,
        images=images,
        compare=compare,
        select=select,
        page=page,
        figures=figures,
        table=table,
    )


run(main)
