from __future__ import annotations

import pandas as pd
import pytest

from ssc_core.report.tables import facts_table, job_table

COLUMNS = ["rule", "split", "shard", "seconds", "rss_mb", "made"]


@pytest.mark.parametrize(("seconds", "said"), [(0.44, "0.4 s"), (61.2, "1 min 01 s"), (3 * 3600 + 125, "3 h 02 min")])
def test_times(seconds: float, said: str) -> None:
    jobs = pd.DataFrame(
        [("a", "", "", seconds, 10.0, 0.0)], columns=["rule", "split", "shard", "seconds", "rss_mb", "made"]
    )
    assert said in job_table(jobs)


def test_jobs_of_a_rule_are_summed_in_the_order_they_ran() -> None:
    rows = [
        ("late", "", "", 1.0, 1500.0, 9.0),
        ("boxes", "val", "0", 2.0, 100.0, 1.0),
        ("boxes", "val", "1", 3.0, 300.0, 2.0),
    ]
    table = job_table(pd.DataFrame(rows, columns=["rule", "split", "shard", "seconds", "rss_mb", "made"]))
    assert table.index("boxes") < table.index("late")
    assert "5.0 s" in table
    assert "300 MB" in table
    assert "1.5 GB" in table


def test_facts_are_escaped() -> None:
    assert "&lt;b&gt;" in facts_table([("a", "<b>")])
