"""`ssc demo`'s one bar: the plan, and how much of it is done."""

from __future__ import annotations

from ssc_core.cli.demo import _line, _time
from ssc_core.cli.progress import Progress, planned, seconds_of

DRY_RUN = [
    "Job stats:",
    "total                       3",
    "Job 2: refcoco: drawing the micro world",
    "Job 17: refcoco train: detecting boxes, shard 0 of 1 ",
    "Job 0: refcoco: training LAVT, phase pretrain ",
    "This was a dry-run.",
]


def test_the_plan_is_what_a_dry_run_says() -> None:
    jobs = planned(DRY_RUN)
    assert list(jobs) == ["2", "17", "0"]
    assert jobs["17"] == "refcoco train: detecting boxes, shard 0 of 1"
    assert Progress(jobs).total == sum(map(seconds_of, jobs.values()))
    assert seconds_of(jobs["17"]) > seconds_of("refcoco val: detecting boxes, shard 0 of 1") > seconds_of("refcoco: ?")


def test_progress_follows_jobs_and_their_own_bars() -> None:
    progress = Progress(planned(DRY_RUN))
    assert progress.done == 0
    progress.read(DRY_RUN[2])
    progress.read("drawing refcoco:  50%|#####     | 1100/2200 [00:52<01:02, 19.70image/s]")
    assert progress.doing == "refcoco: drawing the micro world"
    assert progress.done == seconds_of(progress.doing) / 2
    progress.read("Finished jobid: 2 (Rule: make_world)")
    drawn = seconds_of("drawing the micro world")
    assert progress.done == drawn
    progress.read("Job 0: refcoco: training LAVT, phase pretrain")
    progress.read("training:  25%|## | 3/12 [00:06<00:20,  2.29s/step]")
    assert progress.done == drawn + seconds_of("phase pretrain") / 4
    progress.read("Finished jobid: 0 (Rule: train)")
    progress.read("Job 17: refcoco train: detecting boxes, shard 0 of 1")
    progress.read("Finished jobid: 17 (Rule: detect_boxes)")
    assert progress.done == progress.total


def test_progress_of_jobs_side_by_side_is_that_of_those_that_ended() -> None:
    progress = Progress(planned(DRY_RUN))
    first, second = seconds_of("drawing the micro world"), seconds_of("train: detecting boxes")
    progress.read(DRY_RUN[2])
    progress.read("drawing refcoco:  50%|#####     | 1100/2200")
    assert progress.done == first / 2
    progress.read(DRY_RUN[3])
    progress.read("drawing refcoco:  60%|######    | 1320/2200")
    assert progress.done == first / 2, "nor does the bar go back"
    progress.read("Finished jobid: 2 (Rule: make_world)")
    progress.read("detect:  25%|##   | 400/1600")
    assert progress.done == first + second / 4


def test_minutes_are_told_of_the_config_that_was_measured() -> None:
    assert _time(["--cores", "4"], 600) == ", 6 to 16 minutes on two quiet cores"
    assert _time(["--configfile", "presets/tiny.yaml"], 600) == ""
    assert _time(["--configfile=mine.yaml"], 600) == ""
    assert _time(["--config", "correct={epochs: 3}"], 600) == ""


def test_a_line_of_the_table_has_an_interval_where_one_was_computed() -> None:
    figures = {"method": "selected", "oIoU": 38.91, "oIoU_low": 35.6, "oIoU_high": 41.88, "mIoU": 50.9, "P@0.5": 56.1}
    assert _line(figures).split("  ")[-1] == "56.1"
    assert "  38.9   35.6 to 41.9" in _line(figures)
    without = _line(figures | {"oIoU_low": float("nan"), "oIoU_high": float("nan")})
    assert without.split()[-3:] == ["38.9", "50.9", "56.1"]
    assert len(without) == len(_line(figures)), "columns stay below their names"
