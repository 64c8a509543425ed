"""Files that are whole or not there, and the same for the same content."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from ssc_core.errors import SscError
from ssc_core.masks import rle
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.store import MaskStore, MaskStoreWriter
from tests.patience import SECONDS


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
        from ssc_core.masks import rle
        from ssc_core.masks.columnar import StoreInfo
        from ssc_core.masks.store import MaskStoreWriter
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


@pytest.mark.parametrize("write", [1, 4, 8])
def test_ctrl_c_in_the_middle_of_a_write_neither_crashes_nor_hangs(tmp_path: Path, write: int) -> None:
    """HDF5, which calls us back to write, retries for ever what an exception ended, or crashes."""
    code = """
        import signal, sys
        from pathlib import Path
        from ssc_core.masks import writer
        from ssc_core.refer.truth import TruthMask, write_truth
        signal.signal(signal.SIGINT, signal.default_int_handler)
        class Interrupted(writer._Sink):
            count = 0
            def write(self, data):
                Interrupted.count += 1
                if self.count == int(sys.argv[2]):
                    signal.raise_signal(signal.SIGINT)
                return super().write(data)
        writer._Sink = Interrupted
        try:
            write_truth(Path(sys.argv[1]), (TruthMask(i, 4, 4, bytes(50_000)) for i in range(9)))
        except KeyboardInterrupt:
            print("interrupted")
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "truth.h5"), str(write)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=SECONDS, check=False)
    assert (done.returncode, done.stdout) == (0, "interrupted\n")
    assert list(tmp_path.iterdir()) == []


def test_a_full_drive_does_not_crash(tmp_path: Path) -> None:
    """Past the file size limit, writes fail as on a full drive; HDF5 alone would crash at exit."""
    code = """
        import resource, signal, sys
        from pathlib import Path
        import numpy as np
        from ssc_core.masks import rle
        from ssc_core.masks.columnar import StoreInfo
        from ssc_core.masks.store import MaskStoreWriter
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


def test_settings_must_be_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        MaskStoreWriter(tmp_path / "x.h5", StoreInfo((), {"threshold": float("nan")}, "", {}), with_masks=True)
