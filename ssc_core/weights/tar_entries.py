"""Entries of a tar, one after the other, with a bound on everything that a header may claim.

`tarfile` reads names and PAX records of any length into memory, and some headers it never finishes; of it, only the
reading of one header of 512 bytes is used here.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import Protocol

_MOST_RECORDS = 2**16
"""Bytes of a long name, or of PAX records. A path on Linux has at most 4096."""
_MOST_IN_A_ROW = 4
"""Headers that only tell of the next one: a long name, a long link, PAX records, a global comment."""
_CHUNK = 2**20
_PAX = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
_ABOUT_THE_NEXT = (*_PAX, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_SPARSE = "GNU.sparse."


class Readable(Protocol):
    """Reads at most ``size`` bytes, and fewer only at the end."""

    def read(self, size: int, /) -> bytes: ...


class Content:
    """The bytes of one file of an archive that is read from front to back."""

    def __init__(self, stream: Readable, size: int) -> None:
        self._stream, self._left = stream, size

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(min(size, self._left))
        self._left -= len(data)
        return data

    def skip(self) -> None:
        while self._left:
            if not self.read(_CHUNK):
                raise EOFError("cut off inside a file")


def tar_entries(stream: Readable) -> Iterator[tuple[tarfile.TarInfo, Content]]:
    """Every entry of a tar with its name and size, and its content, to be read before the next entry is asked for.

    Sparse files have the type GNUTYPE_SPARSE, whatever way they are written in. Raises tarfile.TarError for a header
    that is damaged or claims too much, EOFError for a tar without an end.
    """
    told: dict[str, str] = {}
    in_a_row = 0
    while (block := _exactly(stream, tarfile.BLOCKSIZE)).strip(b"\0"):
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        if info.size < 0:
            raise tarfile.ReadError(f"a size of {info.size} bytes")
        if info.type in _ABOUT_THE_NEXT:
            in_a_row += 1
            if info.size > _MOST_RECORDS or in_a_row > _MOST_IN_A_ROW:
                raise tarfile.ReadError(f"a name or PAX header of {info.size} bytes, the {in_a_row}. in a row")
            told |= _told(info, _exactly(stream, _padded(info.size))[: info.size])
            continue
        info.name = told.get("path", info.name)
        info.size = _size(told["size"]) if "size" in told else info.size
        if any(key.startswith(_SPARSE) for key in told):
            info.type = tarfile.GNUTYPE_SPARSE
        content = Content(stream, _padded(info.size) if info.isreg() else 0)
        yield info, content
        content.skip()
        told, in_a_row = {}, 0


def _told(info: tarfile.TarInfo, data: bytes) -> dict[str, str]:
    """What a header says of the next entry, by PAX key."""
    if info.type == tarfile.GNUTYPE_LONGNAME:
        return {"path": data.rstrip(b"\0").decode("utf-8", "surrogateescape")}
    if info.type == tarfile.GNUTYPE_LONGLINK:
        return {}
    records = _pax_records(data)
    if info.type == tarfile.XGLTYPE:
        if {"path", "size"} & records.keys() or any(key.startswith(_SPARSE) for key in records):
            raise tarfile.ReadError("one name or size for all files")
        return {}
    return records


def _pax_records(data: bytes) -> dict[str, str]:
    r"""Records ``b"17 path=some/name\n"`` by key; the number counts the whole record (POSIX.1-2001, pax)."""
    found: dict[str, str] = {}
    start = 0
    while start < len(data):
        number, _, _ = data[start : start + 20].partition(b" ")
        end = start + (int(number) if number.isdigit() else 0)
        record = data[start + len(number) + 1 : end]
        key, equals, value = record[:-1].partition(b"=")
        if end > len(data) or not equals or not record.endswith(b"\n"):
            raise tarfile.ReadError("damaged PAX header")
        found[key.decode("utf-8", "surrogateescape")] = value.decode("utf-8", "surrogateescape")
        start = end
    return found


def _size(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise tarfile.ReadError(f"a size of {text!r:.40} bytes")
    return int(text)


def _padded(size: int) -> int:
    return -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def _exactly(stream: Readable, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError("cut off before its end")
    return data
