"""Text in attributes lies in place, checked or packed; nothing else is read as text."""

from __future__ import annotations

import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from ssc_core.masks.attributes import read_attribute, unpack, write_text


@pytest.mark.parametrize("libver", ["earliest", "v110"])
@pytest.mark.parametrize("text", ["ssc-masks", "", "Kühe 🐄", "x" * 100_000, '{"a": "\\u0000"}'])
def test_text_comes_back_and_lies_in_the_attribute(tmp_path: Path, text: str, libver: str) -> None:
    with h5py.File(tmp_path / "x.h5", "w", libver=(libver, "v110")) as file:
        write_text(file.attrs, "text", text)
        assert read_attribute(file.attrs, "text") == text
    assert b"GCOL" not in (tmp_path / "x.h5").read_bytes()


def test_the_names_of_a_large_vocabulary_come_back(tmp_path: Path) -> None:
    names = np.random.default_rng(0).bytes(300_000).hex()
    with h5py.File(tmp_path / "x.h5", "w", libver=("v110", "v110")) as file:
        write_text(file.attrs, "text", names)
    with h5py.File(tmp_path / "x.h5") as file:
        assert read_attribute(file.attrs, "text") == names


def test_plain_values_and_none(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.attrs["number"], file.attrs["complete"] = 3, True
        assert read_attribute(file.attrs, "number") == 3
        assert read_attribute(file.attrs, "complete") is np.True_
        assert read_attribute(file.attrs, "none") is None


@pytest.mark.parametrize(
    "value",
    [
        "on the heap",
        [1, 2],
        ["a", "b"],
        0.5,
        np.zeros(3, "V8"),
        h5py.Empty("S3"),
        np.void(b"no zlib"),
        np.bytes_(b"\xff"),
    ],
    ids=str,
)
def test_anything_else_is_refused(tmp_path: Path, value: object) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.attrs["odd"] = value
        with pytest.raises(ValueError):
            read_attribute(file.attrs, "odd")


def test_packed_bytes_are_whole_and_no_more_than_allowed() -> None:
    packed = zlib.compress(b"a" * 1000)
    assert unpack(packed, 1000) == b"a" * 1000
    for wrong, most in ((packed, 999), (packed[:-1], 1000), (packed + b"x", 1000), (packed[:-1] + b"x", 1000)):
        with pytest.raises(ValueError, match=r"decompressing|cut short"):
            unpack(wrong, most)
