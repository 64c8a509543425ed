"""What targets of the Makefile do by themselves."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def clean(folder: Path) -> str:
    """What it says."""
    command = ["make", "--silent", f"--file={ROOT / 'Makefile'}", "clean"]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_clean_keeps_what_people_decided(tmp_path: Path) -> None:
    files = [
        "build/x",
        ".snakemake/x",
        "results/a b/reviews.csv",
        "results/a b/train/masks.h5",
        "results/c/refs.parquet",
    ]
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "results/link").symlink_to(tmp_path / "elsewhere")
    assert clean(tmp_path) == "kept, since nothing makes decisions again: results/a b/reviews.csv\n"
    left = (path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert sorted(left) == ["results", "results/a b", "results/a b/reviews.csv"]


def test_clean_leaves_no_results_without_decisions(tmp_path: Path) -> None:
    (tmp_path / "results/a").mkdir(parents=True)
    (tmp_path / "results/a/refs.parquet").write_text("")
    assert clean(tmp_path) == ""
    assert list(tmp_path.iterdir()) == []
    assert clean(tmp_path) == "", "again"


def test_clean_looks_behind_a_link(tmp_path: Path) -> None:
    drive = tmp_path / "drive"
    (drive / "a").mkdir(parents=True)
    for name in ("a/reviews.csv", "a/masks.h5"):
        (drive / name).touch()
    (tmp_path / "here").mkdir()
    (tmp_path / "here/results").symlink_to(drive)
    assert "results/a/reviews.csv" in clean(tmp_path / "here")
    assert [path.name for path in (tmp_path / "here/results/a").iterdir()] == ["reviews.csv"]
