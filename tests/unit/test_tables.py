"""Parquet tables with a digest: ordinary for others, and damaged in no bit without being refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ssc_core.errors import SscError
from ssc_core.tables import open_table, read_frame, table_writer, write_frame


def frame() -> pd.DataFrame:
    table = pd.DataFrame({"score": [0.5, float("nan")], "text": ["a dog", "ssc-sha256:"], "n": np.arange(2)})
    table.attrs["settings"] = {"a": 1}
    return table


def test_a_table_comes_back_and_is_parquet_for_others(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    write_frame(path, frame())
    for read in (read_frame(path, made_by="evaluate"), pd.read_parquet(path)):
        pd.testing.assert_frame_equal(read, frame())
        assert read.attrs == {"settings": {"a": 1}}
    assert list(read_frame(path, made_by="evaluate", columns=["n"])) == ["n"]


def test_the_same_table_has_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_frame(tmp_path / name, frame())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_every_flipped_bit_and_every_cut_is_found(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    with table_writer(path, pa.schema([("n", pa.int64())])) as writer:
        writer.write_table(pa.table({"n": [1, 2, 3]}))
    whole = path.read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(SscError, match=r"rows\.parquet .*(digest|damaged).* run it_all again"):
            read_frame(path, made_by="it_all")
    for end in range(0, len(whole), 7):
        path.write_bytes(whole[:end])
        with pytest.raises(SscError, match=r"rows\.parquet .*(digest|damaged)"):
            read_frame(path, made_by="it_all")


def test_tables_of_others_and_missing_ones_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": [1]}), tmp_path / "other.parquet")
    with pytest.raises(SscError, match=r"other\.parquet has no digest"):
        read_frame(tmp_path / "other.parquet", made_by="evaluate")
    with pytest.raises(SscError, match=r"gone\.parquet does not exist; the rule evaluate makes it"):
        read_frame(tmp_path / "gone.parquet", made_by="evaluate")
    write_frame(tmp_path / "rows.parquet", frame())
    with (
        pytest.raises(SscError, match=r"rows\.parquet is damaged"),
        open_table(tmp_path / "rows.parquet", made_by="evaluate") as file,
    ):
        file.read(columns=["n"]).cast(pa.schema([("n", pa.binary())]))


def test_nothing_is_left_of_a_table_that_was_not_finished(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), table_writer(tmp_path / "rows.parquet", pa.schema([("n", pa.int64())])):
        raise RuntimeError
    assert not list(tmp_path.iterdir())
