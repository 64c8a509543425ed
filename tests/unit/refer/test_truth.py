from __future__ import annotations

import hashlib
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from ssc_core.errors import SscError
from ssc_core.masks import rle
from ssc_core.refer.truth import TruthMask, TruthStore, write_truth


def masks() -> dict[int, np.ndarray]:
    generator = np.random.default_rng(0)
    return {7: generator.random((5, 9)) > 0.5, 3: generator.random((12, 4)) > 0.2}


def write(path: Path) -> Path:
    write_truth(path, [TruthMask(ref_id, *mask.shape, rle.encode(mask[None])[0]) for ref_id, mask in masks().items()])
    return path


def test_masks_read_back(tmp_path: Path) -> None:
    store = TruthStore(write(tmp_path / "truth.h5"))
    assert store.ref_ids == (7, 3)
    for ref_id, mask in masks().items():
        assert store.has(ref_id)
        read = store.mask(ref_id)
        assert read is not None and read.dtype == bool
        np.testing.assert_array_equal(read, mask)


def test_ref_without_ground_truth(tmp_path: Path) -> None:
    store = TruthStore(write(tmp_path / "truth.h5"))
    assert not store.has(4)
    assert store.mask(4) is None


def test_no_ground_truth_at_all(tmp_path: Path) -> None:
    write_truth(tmp_path / "truth.h5", [])
    assert TruthStore(tmp_path / "truth.h5").ref_ids == ()


def test_layout(tmp_path: Path) -> None:
    with h5py.File(write(tmp_path / "truth.h5")) as file:
        assert dict(file.attrs) == {"format": b"ssc-truth", "version": 1, "complete": True}
        assert file["ref/id"].dtype == np.int64
        assert file["ref/rle_first"].dtype == np.int64
        assert file["ref/size"].dtype == np.int32
        np.testing.assert_array_equal(file["ref/size"], [[5, 9], [12, 4]])
        assert file["rle"].dtype == np.uint8


def test_same_masks_same_bytes(tmp_path: Path) -> None:
    first = hashlib.sha256(write(tmp_path / "a.h5").read_bytes()).digest()
    time.sleep(1.1)  # HDF5 stamps whole seconds
    assert hashlib.sha256(write(tmp_path / "b.h5").read_bytes()).digest() == first


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(SscError, match=r"truth\.h5 does not exist"):
        TruthStore(tmp_path / "truth.h5")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_truncated(tmp_path: Path, share: float) -> None:
    path = write(tmp_path / "truth.h5")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(SscError, match=r"truth\.h5 is (damaged|not an HDF5 file)"):
        TruthStore(path)


def test_unfinished(tmp_path: Path) -> None:
    path = write(tmp_path / "truth.h5")
    with h5py.File(path, "a") as file:
        del file.attrs["complete"]
    with pytest.raises(SscError, match="is unfinished"):
        TruthStore(path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [("format", np.bytes_("ssc-masks"), "kind ssc-masks; this step needs ssc-truth"), ("version", 2, "version 2")],
)
def test_foreign(tmp_path: Path, name: str, value: object, message: str) -> None:
    path = write(tmp_path / "truth.h5")
    with h5py.File(path, "a") as file:
        file.attrs[name] = value
    with pytest.raises(SscError, match=message):
        TruthStore(path)


@pytest.mark.parametrize(
    ("dataset", "value"),
    [("ref/rle_first", [0, 5, 3]), ("ref/id", [7, 7]), ("ref/size", [[5, 9]]), ("rle", [48]), ("ref/id", None)],
)
def test_tables_that_disagree(tmp_path: Path, dataset: str, value: list[int] | None) -> None:
    path = write(tmp_path / "truth.h5")
    with h5py.File(path, "a") as file:
        del file[dataset]
        if value is not None:
            file[dataset] = value
    with pytest.raises(SscError, match="is damaged"):
        TruthStore(path)


def test_damaged_code_is_found_when_read(tmp_path: Path) -> None:
    path = write(tmp_path / "truth.h5")
    with h5py.File(path, "a") as file:
        file["rle"][:] = 255
    store = TruthStore(path)
    with pytest.raises(SscError, match="damaged at ref 7"):
        store.mask(7)


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = write(tmp_path / "truth.h5")
    before = path.read_bytes()
    with pytest.raises(OverflowError):
        write_truth(path, [TruthMask(2**70, 1, 1, b"1")])
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["truth.h5"]
