"""Files that are whole or not there, and that nothing else is taken for."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest

from ssc_core.errors import SscError
from ssc_core.masks import MaskStore, MaskStoreWriter, StoreInfo, rle


def candidate_pixels(store: MaskStore, ref_id: int) -> int:
    return int(store.candidate_masks(ref_id).sum())


def test_info_comes_back(masks_h5: Path, photos) -> None:
    with MaskStore.open(masks_h5) as store:
        assert store.info == photos.info


def test_equal_content_gives_equal_bytes(photos, tmp_path: Path) -> None:
    one, other = (photos.write(tmp_path / name, list(range(50))) for name in ("one.h5", "other.h5"))
    assert one.read_bytes() == other.read_bytes()


def test_many_chunks_come_back(photos, tmp_path: Path) -> None:
    """Blobs bigger than a chunk and columns of several chunks."""
    noise = np.random.default_rng(0).random((3, 300, 300)) < 0.5
    path = tmp_path / "masks.h5"
    with MaskStoreWriter(path, photos.info, with_masks=True) as writer:
        for image_id in range(4200):
            empty = np.zeros((0, 4))
            writer.append_image(image_id, (1, 1), boxes_xyxy=empty, box_scores=[], labels=[], rles=[], mask_scores=[])
        writer.append_image(
            4200,
            (300, 300),
            boxes_xyxy=np.zeros((3, 4)),
            box_scores=[1, 1, 1],
            labels=[0, 0, 0],
            rles=rle.encode(noise),
            mask_scores=[1, 1, 1],
            candidates={1: [2]},
        )
        photos.append(writer, 4203)
    with MaskStore.open(path) as store:
        assert len(store.image_ids) == 4202
        np.testing.assert_array_equal(store.candidate_masks(1), noise[2:])
        np.testing.assert_array_equal(store.candidate_masks(42030), photos.masks(4203)[::-1])


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_in_the_writer_leaves_nothing(error: type[BaseException], photos, tmp_path: Path) -> None:
    def interrupted() -> None:
        with MaskStoreWriter(tmp_path / "masks.h5", photos.info, with_masks=True) as writer:
            photos.append(writer, 3)
            raise error

    with pytest.raises(error):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_an_error_in_the_writer_keeps_the_old_file(photos, masks_h5: Path) -> None:
    before = masks_h5.read_bytes()
    with pytest.raises(ZeroDivisionError), MaskStoreWriter(masks_h5, photos.info, with_masks=True):
        raise ZeroDivisionError
    assert masks_h5.read_bytes() == before


def test_a_killed_writer_leaves_no_final_file(tmp_path: Path) -> None:
    code = """
        import os, signal, sys
        from pathlib import Path
        from ssc_core.masks import MaskStoreWriter, StoreInfo, rle
        with MaskStoreWriter(Path(sys.argv[1]), StoreInfo(("cat",), {}, "", {}), with_masks=True) as writer:
            for i in range(2000):
                writer.append_image(i, (9, 9), boxes_xyxy=[[0, 0, 1, 1]], box_scores=[1], labels=[0],
                                    rles=[rle.empty((9, 9))], mask_scores=[1], candidates={i: [0]})
                if i == 1500:
                    writer._file.flush()
                    os.kill(os.getpid(), signal.SIGKILL)
    """
    path = tmp_path / "masks.h5"
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not path.exists()
    (left,) = tmp_path.iterdir()
    assert left.suffix == ".tmp"
    with pytest.raises(SscError, match=r"unfinished|damaged"):
        MaskStore.open(left)


def test_a_full_drive_does_not_crash(tmp_path: Path) -> None:
    """Past the file size limit, writes fail as on a full drive; HDF5 alone would crash at exit."""
    code = """
        import resource, signal, sys
        from pathlib import Path
        import numpy as np
        from ssc_core.masks import MaskStoreWriter, StoreInfo, rle
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        noise = np.random.default_rng(0).random((200, 99, 99)) < 0.5
        try:
            with MaskStoreWriter(Path(sys.argv[1]), StoreInfo(("cat",), {}, "", {}), with_masks=True) as writer:
                for i in range(200):
                    writer.append_image(i, (99, 99), boxes_xyxy=[[0, 0, 1, 1]], box_scores=[1], labels=[0],
                                        rles=rle.encode(noise[i : i + 1]), mask_scores=[1])
        except OSError as error:
            print(error.errno)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "masks.h5")], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "27\n", "")
    assert list(tmp_path.iterdir()) == []


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


def test_flipped_bits_are_noticed(masks_h5: Path, tmp_path: Path) -> None:
    """Every byte of the file is under a checksum, or does not matter."""

    def content(path: Path) -> list[bytes]:
        with MaskStore.open(path) as store:
            read = [(store.candidate_masks(ref), store.candidates(ref).box_scores) for ref in store.ref_ids]
        return [masks.tobytes() + scores.tobytes() for masks, scores in read]

    good, whole, broken = content(masks_h5), masks_h5.read_bytes(), tmp_path / "broken.h5"
    refused = 0
    for place in np.random.default_rng(0).integers(0, len(whole), 40):
        flipped = bytearray(whole)
        flipped[place] ^= 4
        broken.write_bytes(flipped)
        try:
            assert content(broken) == good
        except SscError:
            refused += 1
    assert refused > 20


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("image/first", [0, 3, 2, 6]),
        ("image/first", [0, 3, 6, 7]),
        ("image/first", [1, 3, 6, 6]),
        ("ref/first", [0, 3, 3]),
        ("ref/image", [0, 0, 1, 1, 2, 3]),
        ("ref/image", [0, 0, 2, 2, 1, 1]),
        ("instance/label", [0]),
        ("instance/rle_first", [0]),
    ],
)
def test_columns_that_contradict_each_other(name: str, values: list[int], masks_h5: Path) -> None:
    with h5py.File(masks_h5, "r+") as file:
        del file[name]
        file[name] = np.array(values)
    with pytest.raises(SscError, match="damaged"):
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


def test_settings_must_be_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        MaskStoreWriter(tmp_path / "x.h5", StoreInfo((), {"threshold": float("nan")}, "", {}), with_masks=True)


def test_a_file_that_the_system_will_not_open(masks_h5: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(h5py, "File", refuse)
    with pytest.raises(SscError, match=r"cannot read .*masks.h5: Too many open files"):
        MaskStore.open(masks_h5)
