"""Archives: good ones come out whole, bad ones leave nothing behind."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ssc_core.errors import SscError
from ssc_core.weights import unpack as module
from ssc_core.weights import zip_reads
from ssc_core.weights.unpack import unpack, unpacking_folder

FILES = {"refcoco/instances.json": b"{}", "refcoco/refs(unc).p": b"refs", "readme.txt": b"hello"}


def make_zip(path: Path, files: dict[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return path


def make_tar(path: Path, files: dict[str, bytes], change: Callable[[tarfile.TarInfo], None] | None = None) -> Path:
    with tarfile.open(path, "w:gz" if path.name.lower().endswith("gz") else "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            if change is not None:
                change(info)
            archive.addfile(info, io.BytesIO(content))
    return path


def make(path: Path, files: dict[str, bytes]) -> Path:
    return make_zip(path, files) if path.suffix in (".zip", ".whl", ".ZIP") else make_tar(path, files)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["a.zip", "a.whl", "a.tar", "a.tar.gz", "a.tgz", "A.ZIP", "A.Tar.GZ"])
def test_files_come_out(tmp_path: Path, name: str) -> None:
    names = unpack(make(tmp_path / name, FILES), tmp_path / "out", most_bytes=1000)
    assert contents(tmp_path / "out") == FILES
    assert sorted(names) == sorted(FILES)


def test_only_what_lies_in_the_stripped_folder(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.whl", {**FILES, "refcoco2/x": b"", "__MACOSX/refcoco/._x": b"junk"})
    unpack(archive, tmp_path / "out", strip="refcoco", most_bytes=1000)
    assert contents(tmp_path / "out") == {"instances.json": b"{}", "refs(unc).p": b"refs"}


def test_what_is_there_is_replaced_and_the_rest_stays(tmp_path: Path) -> None:
    (tmp_path / "out" / "refcoco").mkdir(parents=True)
    (tmp_path / "out" / "refcoco" / "instances.json").write_text("old")
    (tmp_path / "out" / "mine.txt").write_text("mine")
    unpack(make_zip(tmp_path / "a.zip", FILES), tmp_path / "out", most_bytes=1000)
    assert contents(tmp_path / "out") == {**FILES, "mine.txt": b"mine"}


BAD_NAMES = [
    "../evil",
    "a/../../evil",
    "/evil",
    "a\\..\\evil",
    "C:evil",
    "a/b\n",
    "x" * 300,
    "a./b",
    "a/b ",
    "a/\udcff",
]


@pytest.mark.parametrize("bad", BAD_NAMES)
@pytest.mark.parametrize("kind", ["a.zip", "a.tar.gz"])
def test_a_path_that_leaves_the_folder(tmp_path: Path, kind: str, bad: str) -> None:
    if kind == "a.zip" and "\udcff" in bad:
        bad = "a/\x01"  # zip names are text
    archive = make(tmp_path / kind, {"good": b"1", bad: b"2"})
    with pytest.raises(SscError, match="no plain path inside it"):
        unpack(archive, tmp_path / "out", most_bytes=1000)
    assert contents(tmp_path) == {kind: archive.read_bytes()}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.BLKTYPE])
def test_a_link_or_device_in_a_tar(tmp_path: Path, kind: bytes) -> None:
    def change(info: tarfile.TarInfo) -> None:
        info.type, info.linkname, info.size = kind, "/etc/passwd", 0

    archive = make_tar(tmp_path / "a.tar", {"good": b""}, change)
    with pytest.raises(SscError, match="link or a device"):
        unpack(archive, tmp_path / "out", most_bytes=1000)


@pytest.mark.parametrize("mode", [stat.S_IFLNK | 0o777, stat.S_IFCHR, stat.S_IFIFO])
def test_a_link_or_device_in_a_zip(tmp_path: Path, mode: int) -> None:
    archive = make_zip(tmp_path / "a.zip", {"link": b"/etc/passwd"}, mode)
    with pytest.raises(SscError, match="link or a device"):
        unpack(archive, tmp_path / "out", most_bytes=1000)


@pytest.mark.parametrize("kind", ["a.zip", "a.tar.gz"])
def test_a_bomb_is_refused(tmp_path: Path, kind: str) -> None:
    archive = make(tmp_path / kind, {"zeros": bytes(10_000_000)})
    assert archive.stat().st_size < 20_000
    with pytest.raises(SscError, match="unpacks to more than"):
        unpack(archive, tmp_path / "out", most_bytes=1_000_000)
    assert contents(tmp_path) == {kind: archive.read_bytes()}


def test_a_bomb_of_tar_headers_is_refused(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "a.tar.gz", {f"{i}": b"" for i in range(2200)})
    with pytest.raises(SscError, match="unpacks to more than"):
        unpack(archive, tmp_path / "out", most_bytes=1)


def test_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_FILES", 2)
    for name in ("a.zip", "a.tar"):
        with pytest.raises(SscError, match="more than 2 files"):
            unpack(make(tmp_path / name, FILES), tmp_path / "out", most_bytes=1000)


@pytest.mark.parametrize("names", [("a", "A"), ("a", "a/b"), ("x", "./x")])
def test_two_files_of_one_name(tmp_path: Path, names: tuple[str, str]) -> None:
    archive = make_tar(tmp_path / "a.tar", dict.fromkeys(names, b""))
    with pytest.raises(SscError, match=r"twice|both a file and a folder"):
        unpack(archive, tmp_path / "out", most_bytes=1000)


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_every_truncation_is_noticed(tmp_path: Path, name: str) -> None:
    whole = make(tmp_path / name, {"data.bin": bytes(range(256)) * 4}).read_bytes()
    # after its last file, a tar has only zeros
    for end in range(0, len(whole) - (0 if name == "a.zip" else 9000 if name == "a.tar" else 40), 37):
        (tmp_path / name).write_bytes(whole[:end])
        with pytest.raises(SscError):
            unpack(tmp_path / name, tmp_path / "out", most_bytes=10_000)
        assert not contents(tmp_path / "out") if (tmp_path / "out").exists() else True


def test_a_changed_byte_is_noticed(tmp_path: Path) -> None:
    content = bytearray(make_zip(tmp_path / "a.zip", {"data.bin": bytes(range(256)) * 4}).read_bytes())
    content[60] ^= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(SscError, match="damaged"):
        unpack(tmp_path / "a.zip", tmp_path / "out", most_bytes=10_000)


def test_encrypted_and_empty_and_unknown(tmp_path: Path) -> None:
    content = bytearray(make_zip(tmp_path / "a.zip", {"x": b"1"}).read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(SscError, match="encrypted"):
        unpack(tmp_path / "a.zip", tmp_path / "out", most_bytes=1000)
    with pytest.raises(SscError, match="holds no file"):
        unpack(make_zip(tmp_path / "b.zip", {}), tmp_path / "out", most_bytes=1000)
    with pytest.raises(SscError, match="holds no file in 'elsewhere'"):
        unpack(make_zip(tmp_path / "c.zip", FILES), tmp_path / "out", strip="elsewhere", most_bytes=1000)
    (tmp_path / "a.rar").write_bytes(b"Rar!")
    with pytest.raises(SscError, match=r"only \.zip"):
        unpack(tmp_path / "a.rar", tmp_path / "out", most_bytes=1000)


def test_what_an_interrupted_unpacking_left_is_cleared(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", FILES)
    left = unpacking_folder(archive, tmp_path / "out")
    left.mkdir(parents=True)
    (left / "readme.txt").write_text("half")
    unpack(archive, tmp_path / "out", most_bytes=1000)
    assert contents(tmp_path / "out") == FILES


def snapshot(folder: Path) -> dict[str, bytes | None]:
    found = sorted(folder.rglob("*"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None for path in found}


def a_folder_where_a_file_goes(out: Path) -> None:
    (out / "b").mkdir(parents=True)


def a_file_where_a_folder_goes(out: Path) -> None:
    out.mkdir()
    (out / "c").write_text("mine")


def a_link_to_nowhere_where_a_folder_goes(out: Path) -> None:
    out.mkdir()
    (out / "c").symlink_to(out / "gone")


@pytest.mark.parametrize("kind", ["a.zip", "a.tar.gz"])
@pytest.mark.parametrize(
    "occupy", [a_folder_where_a_file_goes, a_file_where_a_folder_goes, a_link_to_nowhere_where_a_folder_goes]
)
def test_a_place_that_is_taken_is_told_before_anything_moves(
    tmp_path: Path, kind: str, occupy: Callable[[Path], None]
) -> None:
    archive = make(tmp_path / kind, {"a": b"1", "b": b"2", "c/d": b"3"})
    occupy(tmp_path / "out")
    before = snapshot(tmp_path / "out")
    with pytest.raises(SscError, match=r"out/[bc] is .* move it away. Nothing was changed"):
        unpack(archive, tmp_path / "out", most_bytes=1000)
    assert snapshot(tmp_path / "out") == before


def test_a_folder_on_another_drive_is_told_before_anything_moves(tmp_path: Path) -> None:
    elsewhere = Path("/dev/shm") / f"ssc-{tmp_path.name}-{id(tmp_path)}"
    if not Path("/dev/shm").is_dir() or Path("/dev/shm").stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("one drive only")
    elsewhere.mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "c").symlink_to(elsewhere)
    try:
        with pytest.raises(SscError, match="out/c lies on another drive"):
            unpack(make_zip(tmp_path / "a.zip", {"a": b"1", "c/d": b"3"}), tmp_path / "out", most_bytes=1000)
        assert not (tmp_path / "out" / "a").exists()
    finally:
        elsewhere.rmdir()


def test_an_archive_without_what_it_must_hold_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "readme.txt").write_text("mine")
    with pytest.raises(SscError, match="out/absent was not in it"):
        unpack(make_zip(tmp_path / "a.zip", FILES), tmp_path / "out", holds=["readme.txt", "absent"], most_bytes=1000)
    assert contents(tmp_path / "out") == {"readme.txt": b"mine"}


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_whose_blocks_have_no_bound_is_refused(tmp_path: Path, kind: int) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", kind) as archive:
        archive.writestr("zeros", bytes(1000))
    with pytest.raises(SscError, match="compressed in another way"):
        unpack(tmp_path / "a.zip", tmp_path / "out", most_bytes=10_000)


def test_a_zip_with_a_list_of_files_that_has_no_bound_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = make_zip(tmp_path / "a.zip", {f"{i}": b"" for i in range(100)})
    monkeypatch.setattr(zip_reads, "_MOST_DIRECTORY", 4000)
    with pytest.raises(SscError, match=r"its list of files claims \d+ bytes"):
        unpack(archive, tmp_path / "out", most_bytes=10_000)
