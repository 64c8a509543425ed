from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ssc_core.config.settings import Settings
from ssc_core.errors import SscError
from ssc_core.report.collect import collect, method_order, split_order


@pytest.fixture
def copy(results: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(results, tmp_path / "results"))


def test_methods_go_from_least_to_most_information(results: Path, config: Settings) -> None:
    (dataset,) = collect(results, config)
    assert [m.name for m in dataset.lines()] == ["random", "first", "selected", "pretrained", "corrected", "best"]
    assert [m.name for m in dataset.lines() if m.test_only] == ["best"]
    corrected = next(m for m in dataset.lines() if m.name == "corrected")
    assert (corrected.per, corrected.n_pairs, len(corrected.ious)) == ("sentence", 18, 18)
    assert corrected.published is not None
    assert corrected.published.oIoU == 57.22


def test_order() -> None:
    assert sorted(["train", "testB", "mine", "val", "testA"], key=split_order) == [
        "val",
        "testA",
        "testB",
        "train",
        "mine",
    ]
    assert sorted(["mine", "best", "random"], key=method_order) == ["random", "best", "mine"]


def test_benchmarks(results: Path, config: Settings) -> None:
    jobs = collect(results, config)[0].jobs.set_index("rule")
    assert jobs.loc["pretrain", ["split", "seconds", "rss_mb"]].tolist() == ["", 75, 900]
    assert jobs.loc["detect_boxes", ["split", "seconds"]].tolist() == ["val", 3.5]
    assert jobs["rss_mb"].isna().tolist() == [False, True], "what Snakemake could not measure stays unknown"


def test_jobs_of_variants_and_deeper_in_a_splits_folder_have_the_split_that_they_are_of(
    copy: Path, config: Settings
) -> None:
    folder = copy / "refcoco"
    content = (folder / "benchmarks" / "pretrain.tsv").read_text()
    places = {"a": ("seed4", ""), "b": ("select.choice=first/val", "val"), "c": ("val/select", "val")}
    for rule, (place, _) in places.items():
        path = folder / place / "benchmarks" / f"{rule}.tsv"
        path.parent.mkdir(parents=True)
        path.write_text(content)
    jobs = collect(copy, config)[0].jobs.set_index("rule")
    assert {rule: jobs.loc[rule, "split"] for rule in places} == {rule: split for rule, (_, split) in places.items()}


def test_logs(results: Path, config: Settings) -> None:
    (dataset,) = collect(results, config)
    assert list(dataset.logs) == ["pretrain"]
    assert len(dataset.logs["pretrain"]) == 30


def test_nothing_there(tmp_path: Path, config: Settings) -> None:
    with pytest.raises(SscError, match="holds no eval file yet; make one first"):
        collect(tmp_path, config)


def test_rows_are_missing(copy: Path, config: Settings) -> None:
    (copy / "refcoco" / "eval_val.parquet").unlink()
    with pytest.raises(SscError, match=r"eval_val\.parquet does not exist"):
        collect(copy, config)


def test_rows_are_damaged(copy: Path, config: Settings) -> None:
    (copy / "refcoco" / "eval_val.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(SscError, match=r"eval_val\.parquet has no digest"):
        collect(copy, config)


def test_worlds_are_never_mixed(copy: Path, config: Settings) -> None:
    path = copy / "refcoco" / "eval_val.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"world": "files"}))
    with pytest.raises(SscError, match="mixes results of generated scenes and of photos"):
        collect(copy, config)


@pytest.mark.parametrize("text", ["", "a\tb\n1\t2\n"])
def test_foreign_benchmark(copy: Path, text: str, config: Settings) -> None:
    (copy / "refcoco" / "benchmarks" / "other.tsv").write_text(text)
    with pytest.raises(SscError, match=r"other\.tsv is no benchmark file"):
        collect(copy, config)
