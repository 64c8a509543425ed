"""Unpack archives that are not trusted: nothing lands outside the folder, no links, no more bytes than allowed."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tqdm import tqdm

from ssc_core.config.published_file import TAR, TAR_GZ, ZIP
from ssc_core.errors import SscError
from ssc_core.weights.tar_entries import Content, Readable, tar_entries
from ssc_core.weights.zip_reads import ShortReads

MOST_FILES = 200_000
"""Files and folders of an archive; COCO's biggest has 118,287. Not a bound on memory but on time."""
_COMPRESSED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Of the others, zipfile unpacks a whole block at once: a megabyte of bzip2 may be gigabytes."""
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_CHUNK = 2**20
_MAC_LEFTOVERS = "__MACOSX"
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    struct.error,
    EOFError,
    RuntimeError,
    ValueError,
    OverflowError,
    OSError,
)
"""What the archive modules raise on damaged bytes."""


@dataclass(frozen=True, slots=True)
class _Member:
    """A regular file of an archive. name: checked, relative. open: its content."""

    name: str
    size: int
    open: Callable[[], AbstractContextManager[Readable]]


def unpack(archive: Path, folder: Path, *, strip: str = "", holds: Sequence[str] = (), most_bytes: int) -> list[str]:
    """Unpack a .zip, .whl, .tar, .tar.gz or .tgz below ``folder`` and return the files' names, relative to it.

    strip: only what lies in this folder of the archive, written as ``a/b``, without it. holds: files that must be among
    them. Files are unpacked beside and moved when all are there; files that lay at their places are replaced. Raises
    SscError, with nothing moved, for a damaged archive, a path that leaves the folder, a link or device, two files of
    one name, more than MOST_FILES entries, more than ``most_bytes``, an absent file, and a place that cannot be taken.
    """
    temporary = unpacking_folder(archive, folder)
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        names = _extract(archive, temporary, strip, most_bytes)
        _check_places(archive, folder, names, holds)
    except _DAMAGE as error:
        shutil.rmtree(temporary, ignore_errors=True)
        # A damaged offset makes zipfile seek to where no file is; other errors of the system are not the archive's.
        if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile) and error.errno != errno.EINVAL:
            raise
        raise SscError(f"{archive} is damaged or no archive that can be read ({error}); get it again") from error
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    for name in names:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (temporary / name).replace(target)
    shutil.rmtree(temporary, ignore_errors=True)
    return names


def unpacking_folder(archive: Path, folder: Path) -> Path:
    """Where files lie until all are there. While it exists, the unpacking is unfinished."""
    return folder / f".{archive.name}.unpacking"


def _check_places(archive: Path, folder: Path, names: Sequence[str], holds: Sequence[str]) -> None:
    """Raises SscError unless every file can be moved to its place below ``folder``."""
    absent = sorted(set(holds) - set(names))
    if absent:
        raise SscError(f"{folder / absent[0]} was not in it: is {archive} the right archive? Nothing was changed")
    drive = folder.stat().st_dev
    for name in names:
        target = folder / name
        above = next(place for place in target.parents if os.path.lexists(place))
        if target.is_dir():
            why = "is a folder, and a file of that name is to be put there"
        elif not above.is_dir():
            target, why = above, "is no folder, and one of that name is needed"
        elif above.stat().st_dev != drive:
            target, why = above, f"lies on another drive than {folder}, so that files cannot be moved there"
        else:
            continue
        raise SscError(f"{archive} cannot be unpacked: {target} {why}; move it away. Nothing was changed")


def _extract(archive: Path, temporary: Path, strip: str, most_bytes: int) -> list[str]:
    names: list[str] = []
    seen: set[str] = set()
    room = most_bytes
    prefix = f"{strip}/" if strip else ""
    with _members(archive, most_bytes) as members:
        for member in tqdm(members, desc=archive.name, unit=" files", mininterval=2.0):
            if not member.name.startswith(prefix) or member.name.split("/")[0] == _MAC_LEFTOVERS:
                continue
            name = member.name.removeprefix(prefix)
            # Two names that differ in case are one file on some drives.
            if name.casefold() in seen:
                raise SscError(f"{archive} is refused: it holds '{name}' twice")
            seen.add(name.casefold())
            names.append(name)
            if len(names) > MOST_FILES:
                raise SscError(f"{archive} is refused: more than {MOST_FILES} files")
            room -= member.size
            if room < 0:
                raise SscError(f"{archive} is refused: it unpacks to more than {most_bytes} bytes")
            _write(member, temporary / name, archive)
    if not names:
        raise SscError(f"{archive} holds no file" + (f" in '{strip}'" if strip else ""))
    return names


def _write(member: _Member, target: Path, archive: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with member.open() as source, target.open("xb") as file:
            left = member.size
            while left and (chunk := source.read(min(_CHUNK, left))):
                file.write(chunk)
                left -= len(chunk)
    except (FileExistsError, NotADirectoryError) as error:
        raise SscError(f"{archive} is refused: '{member.name}' is both a file and a folder") from error
    if left:
        raise SscError(f"{archive} is cut off in '{member.name}'; delete it and get it again")


@contextmanager
def _members(archive: Path, most_bytes: int) -> Iterator[Iterator[_Member]]:
    """The regular files of an archive, each checked before it is handed out."""
    name = archive.name.casefold()
    if name.endswith(ZIP):
        with ShortReads(archive.open("rb", buffering=0)) as stream, zipfile.ZipFile(stream) as file:
            yield _zip_members(file, archive)
    elif name.endswith(TAR):
        with archive.open("rb") as tar:
            yield _tar_members(tar, archive)
    elif name.endswith(TAR_GZ):
        with gzip.open(archive) as unzipped:
            yield _tar_members(_Limited(unzipped, archive, most_bytes), archive)
    else:
        raise SscError(f"{archive}: only {', '.join((*ZIP, *TAR, *TAR_GZ))} are unpacked")


def _zip_members(file: zipfile.ZipFile, archive: Path) -> Iterator[_Member]:
    if len(file.infolist()) > MOST_FILES:
        raise SscError(f"{archive} is refused: more than {MOST_FILES} files")
    for info in file.infolist():
        name = _checked(info.filename, archive)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if info.is_dir():
            continue
        if kind not in (0, stat.S_IFREG):
            raise SscError(f"{archive} is refused: '{name}' is a link or a device, not a file")
        if info.flag_bits & 1:
            raise SscError(f"{archive} is refused: '{name}' is encrypted")
        if info.compress_type not in _COMPRESSED:
            raise SscError(f"{archive} is refused: '{name}' is compressed in another way than zip's usual one, deflate")
        yield _Member(name, info.file_size, partial(file.open, info))


def _tar_members(stream: Readable, archive: Path) -> Iterator[_Member]:
    for number, (info, content) in enumerate(tar_entries(stream)):
        if number == MOST_FILES:
            raise SscError(f"{archive} is refused: more than {MOST_FILES} files and folders")
        name = _checked(info.name, archive)
        if info.isdir():
            continue
        if info.type not in _PLAIN:
            raise SscError(f"{archive} is refused: '{name}' is a link or a device, or a file with holes")
        yield _Member(name, info.size, partial(_open, content))


def _open(content: Content) -> AbstractContextManager[Readable]:
    return nullcontext(content)


def _checked(name: str, archive: Path) -> str:
    """``name`` without a leading './'. Raises SscError unless it stays inside the folder on every system."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    bad = (
        not parts
        or name.startswith("/")
        or ".." in parts
        or "\\" in name
        or ":" in parts[0]
        or any(len(part.encode("utf-8", "replace")) > 255 or part != part.rstrip(" .") for part in parts)
        or any(ord(letter) < 32 or 0xD800 <= ord(letter) < 0xE000 for letter in name)
    )
    if bad and name not in ("./", "."):
        raise SscError(f"{archive} is refused: it holds the path {name!r:.100}, which is no plain path inside it")
    return "/".join(parts)


class _Limited:
    """A stream that refuses to give more than the files of an archive may have, with room for the headers."""

    def __init__(self, stream: Readable, archive: Path, most_bytes: int) -> None:
        self._stream, self._archive = stream, archive
        self._left = most_bytes + 2**20 + most_bytes // 4

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise SscError(f"{self._archive} is refused: it unpacks to more than it may")
        return data
