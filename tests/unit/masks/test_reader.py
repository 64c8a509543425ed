"""Nothing else is taken for a store, and a store reads on in other processes."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import h5py
import pytest

from ssc_core.errors import SscError
from ssc_core.masks.store import MaskStore
from tests.unit.masks.conftest import replace_column


def candidate_pixels(store: MaskStore, ref_id: int) -> int:
    return int(store.candidate_masks(ref_id).sum())


def test_info_comes_back(masks_h5: Path, photos) -> None:
    with MaskStore.open(masks_h5) as store:
        assert store.info == photos.info


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(SscError, match="does not exist"):
        MaskStore.open(tmp_path / "masks.h5")


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n" + bytes(2000), b"not a store"])
def test_not_hdf5(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "masks.h5"
    path.write_bytes(content)
    with pytest.raises(SscError, match="not an HDF5 file"):
        MaskStore.open(path)


def test_foreign_hdf5(tmp_path: Path) -> None:
    path = tmp_path / "masks.h5"
    with h5py.File(path, "w") as file:
        file["image/id"] = [1, 2]
    with pytest.raises(SscError, match="another program"):
        MaskStore.open(path)


def test_unfinished(masks_h5: Path) -> None:
    with h5py.File(masks_h5, "r+") as file:
        del file.attrs["complete"]
    with pytest.raises(SscError, match="unfinished: the job that wrote it was stopped; run the same command again"):
        MaskStore.open(masks_h5)


def test_newer_version(masks_h5: Path) -> None:
    with h5py.File(masks_h5, "r+") as file:
        file.attrs["version"] = 99
    with pytest.raises(SscError, match="version 99"):
        MaskStore.open(masks_h5)


def test_the_other_kind(photos, tmp_path: Path) -> None:
    boxes = photos.write(tmp_path / "boxes.h5", [3], with_masks=False)
    masks = photos.write(tmp_path / "masks.h5", [3])
    with pytest.raises(SscError, match="ssc-boxes; this step needs ssc-masks"):
        MaskStore.open(boxes, with_masks=True)
    with pytest.raises(SscError, match="ssc-masks; this step needs ssc-boxes"):
        MaskStore.open(masks, with_masks=False)
    assert [MaskStore.open(path).has_masks for path in (boxes, masks)] == [False, True]


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_truncated(kept: float, masks_h5: Path) -> None:
    os.truncate(masks_h5, int(masks_h5.stat().st_size * kept))
    with pytest.raises(SscError, match="damaged or cut short"):
        MaskStore.open(masks_h5)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("image/first", [0, 3, 2, 6]),
        ("image/first", [0, 3, 6, 7]),
        ("image/first", [1, 3, 6, 6]),
        ("ref/first", [0, 3, 3]),
        ("ref/image", [0, 0, 1, 1, 2, 3]),
        ("ref/image", [0, 0, 2, 2, 1, 1]),
        ("ref/image", [-1, 0, 1, 1, 2, 2]),
        ("instance/label", [0]),
        ("instance/rle_first", [0]),
    ],
)
def test_columns_that_contradict_each_other(name: str, values: list[int], masks_h5: Path) -> None:
    replace_column(masks_h5, name, values)
    with pytest.raises(SscError, match=r"masks.h5 is damaged or cut short \(/"):
        MaskStore.open(masks_h5)


def test_a_pickled_store_reads_on(masks_h5: Path) -> None:
    with MaskStore.open(masks_h5) as store:
        expected = candidate_pixels(store, 70)
        copy = pickle.loads(pickle.dumps(store))
    assert candidate_pixels(copy, 70) == expected > 0


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_stores_work_in_worker_processes(method: str, masks_h5: Path) -> None:
    with MaskStore.open(masks_h5) as store:
        expected = candidate_pixels(store, 70)
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
            found = list(pool.map(candidate_pixels, [store] * 3, [70] * 3))
        assert [*found, candidate_pixels(store, 70)] == [expected] * 4


def test_an_inherited_store_is_opened_anew(masks_h5: Path) -> None:
    """A forked child must not read through its parent's HDF5 handle."""
    with MaskStore.open(masks_h5) as store:
        expected = candidate_pixels(store, 70)
        parent_file = store._file
        child = os.fork()
        if child == 0:
            same = candidate_pixels(store, 70) == expected and store._file is not parent_file
            os._exit(0 if same else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert candidate_pixels(store, 70) == expected


def test_a_replaced_file_is_noticed(masks_h5: Path, photos, tmp_path: Path) -> None:
    with MaskStore.open(masks_h5) as store:
        copy = pickle.dumps(store)
    shutil.copy(photos.write(tmp_path / "new.h5", [7]), masks_h5)
    with pytest.raises(SscError, match="replaced"):
        pickle.loads(copy).candidates(70)
    masks_h5.unlink()
    with pytest.raises(SscError, match="deleted"):
        pickle.loads(copy).candidates(70)


def test_a_file_that_the_system_will_not_open(masks_h5: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(h5py, "File", refuse)
    with pytest.raises(SscError, match=r"cannot read .*masks.h5: Too many open files"):
        MaskStore.open(masks_h5)
