"""Rule study_table: the eval files of a study as tables and a plot."""

from pathlib import Path

from ssc_core.evaluate.study_table import StudyRows, study_summary, study_table
from ssc_core.files import atomic_path
from ssc_core.report.study_plot import write_study_plot
from workflow_scripts._script import run


def main(evals: list[Path], rows: StudyRows, table: Path, summary: Path, plot: Path) -> None:
    found = study_table(evals, rows.root)
    for frame, out in ((found, table), (study_summary(found), summary)):
        with atomic_path(out) as temporary:
            frame.to_csv(temporary, index=False)
    write_study_plot(found, plot)


if __name__ == "__main__":
    run(main)
