"""Rule ablations_table: the eval files of all rows as tables and a plot."""

from pathlib import Path

from ssc_core.evaluate.ablation_table import ablation_summary, ablation_table
from ssc_core.files import atomic_path
from ssc_core.report.ablation_plot import write_ablation_plot
from workflow_scripts._script import run


def main(evals: list[Path], table: Path, summary: Path, plot: Path) -> None:
    rows = ablation_table(evals)
    for frame, out in ((rows, table), (ablation_summary(rows), summary)):
        with atomic_path(out) as temporary:
            frame.to_csv(temporary, index=False)
    write_ablation_plot(rows, plot)


run(main)
