from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from jinja2 import UndefinedError

from ssc_core.report.pages import _environment, duration, memory, runs, write_page
from ssc_core.report.report_page import job_rows

COLUMNS = ["rule", "split", "shard", "seconds", "rss_mb", "made"]


def parts(name: str, *values: object) -> str:
    return str(getattr(_environment().get_template("parts.html").module, name)(*values))


@pytest.mark.parametrize(("seconds", "said"), [(0.44, "0.4 s"), (61.2, "1 min 01 s"), (3 * 3600 + 125, "3 h 02 min")])
def test_times(seconds: float, said: str) -> None:
    assert duration(seconds) == said
    assert said in parts("jobs_table", job_rows(pd.DataFrame([("a", "", "", seconds, 10.0, 0.0)], columns=COLUMNS)))


def test_jobs_of_a_rule_are_summed_the_longest_first() -> None:
    rows = [
        ("late", "", "", 1.0, 1500.0, 9.0),
        ("boxes", "val", "0", 2.0, 100.0, 1.0),
        ("boxes", "val", "1", 3.0, 300.0, 2.0),
        ("unknown", "", "", 0.1, float("nan"), 2.0),
    ]
    jobs = job_rows(pd.DataFrame(rows, columns=COLUMNS))
    assert [(job["rule"], job["jobs"], job["seconds"], job["rss_mb"]) for job in jobs] == [
        ("boxes", 2, 5.0, 300.0), ("late", 1, 1.0, 1500.0), ("unknown", 1, 0.1, 0.0),
    ]  # fmt: skip
    table = parts("jobs_table", jobs)
    assert table.index("boxes") < table.index("late")
    assert all(words in table for words in ("5.0 s", "300 MB", "1.5 GB", "sum 6.1 s"))
    assert job_rows(pd.DataFrame([], columns=COLUMNS)) == []


def test_memory_that_was_not_measured() -> None:
    assert memory(0) == "–"


def test_what_pages_are_told_is_text() -> None:
    assert "&lt;b&gt;" in parts("facts", [("a", "<b>")])


def test_runs_keep_the_order() -> None:
    rows = [{"split": "val"}, {"split": "testA"}, {"split": "testA"}]
    assert [(split, len(same)) for split, same in runs(rows, "split")] == [("val", 1), ("testA", 2)]
    assert list(runs([], "split")) == []


def test_a_page_that_is_told_too_little_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(UndefinedError):
        write_page("report.html", tmp_path / "x.html", title="T", worlds=[])
    assert not list(tmp_path.iterdir())
