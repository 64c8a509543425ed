"""Text in attributes: in place where it fits, and read from wherever it lies."""

from __future__ import annotations

from pathlib import Path

import h5py
import pytest

from ssc_core.masks.attributes import read_text, write_text


@pytest.mark.parametrize("text", ["ssc-masks", "", "Kühe 🐄", "x" * 100_000, '{"a": "\\u0000"}'])
def test_text_comes_back(tmp_path: Path, text: str) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        write_text(file.attrs, "text", text)
        assert read_text(file.attrs, "text") == text


def test_text_lies_in_the_attribute(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        write_text(file.attrs, "text", "ssc-masks")
    assert b"GCOL" not in (tmp_path / "x.h5").read_bytes()


def test_older_files_and_other_values(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.attrs["old"] = "on the heap"
        file.attrs["number"] = 3
        assert read_text(file.attrs, "old") == "on the heap"
        assert read_text(file.attrs, "number") == 3
        assert read_text(file.attrs, "none") is None
