"""Tars whose headers claim more than any file needs, and those that real writers write."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssc_core.weights.tar_entries import tar_entries
from tests.patience import SECONDS

MOST = 4 * 2**30
"""As for archives of a config that names no limit."""


def header(name: str = "x", kind: bytes = tarfile.REGTYPE, size: int = 0) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def pax(records: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    return header("pax", kind, len(records)) + padded(records)


def record(key: str, value: str) -> bytes:
    body = f" {key}={value}\n".encode()
    length = next(n for n in range(len(body), len(body) + 20) if len(str(n)) + len(body) == n)
    return str(length).encode() + body


def megabytes(kind: bytes) -> Iterator[bytes]:
    yield header("long", kind, 2**28)
    yield from (b"a" * 2**20 for _ in range(2**8))
    yield header() + bytes(1024)


END = bytes(1024)
HOSTILE = {
    "name of 256 MiB": megabytes(tarfile.GNUTYPE_LONGNAME),
    "link of 256 MiB": megabytes(tarfile.GNUTYPE_LONGLINK),
    "PAX records of 256 MiB": megabytes(tarfile.XHDTYPE),
    "global records of 256 MiB": megabytes(tarfile.XGLTYPE),
    "ten thousand headers about the next": [(pax(record("comment", "x"))) * 10_000, header(), END],
    "ten thousand global headers": [(pax(record("comment", "x"), tarfile.XGLTYPE)) * 10_000, header(), END],
    "a size below zero": [header(size=1)[:124] + b"\xff" * 12 + header(size=1)[136:], END],
    "a size below zero, well signed": [header(size=-1), END],
    "records that claim no length": [pax(b"0 a=b\n"), header(), END],
    "records that claim too much": [pax(b"9999 a=b\n"), header(), END],
    "records of digits": [pax(b"1" * 60_000), header(), END],
    "records without equals": [pax(b"5 ab\n"), header(), END],
    "a size of many digits": [pax(record("size", "9" * 5000)), header(), END],
    "a size in other digits": [pax(record("size", "\u0661")), header(), END],
    "a sparse file by PAX": [pax(record("GNU.sparse.major", "1") + record("GNU.sparse.name", "y")), header(), END],
    "a sparse file": [header(kind=tarfile.GNUTYPE_SPARSE), END],
    "one name for all": [pax(record("path", "y"), tarfile.XGLTYPE), header(), END],
    "a million folders": [gzip.compress(header("d/", tarfile.DIRTYPE) * 2000, 1)] * 500,
    "no end": [header("x", size=3), padded(b"abc")],
    "cut off in the padding": [header("x", size=3), b"abc"],
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_tar_that_claims_too_much_is_refused_at_once(tmp_path: Path, what: str) -> None:
    parts = HOSTILE[what]
    with (tmp_path / "a.tar.gz").open("wb") as file:
        if what.endswith("folders"):
            file.writelines(parts)
        else:
            with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1) as packed:
                packed.writelines(parts)
    code = (
        "import sys, resource; from pathlib import Path; from ssc_core.weights.unpack import unpack\n"
        "from ssc_core.errors import SscError\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"try: unpack(Path({str(tmp_path / 'a.tar.gz')!r}), Path({str(tmp_path / 'out')!r}), most_bytes={MOST})\n"
        "except SscError as error: print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=SECONDS)
    *message, added = done.stdout.splitlines()
    assert "a.tar.gz is" in " ".join(message)
    assert int(added) < 100_000, "kilobytes"
    assert not list((tmp_path / "out").rglob("*"))


def entries(content: bytes) -> list[tuple[str, bytes]]:
    return [(info.name, content.read(info.size)) for info, content in tar_entries(io.BytesIO(content))]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_real_writers_write_is_read(form: int) -> None:
    long = "/".join(["folder"] * 20) + "/file"
    files = {
        "a": b"1",
        long: b"2" * 513,
        "empty": b"",
        **({} if form == tarfile.USTAR_FORMAT else {"\u00e4/\u4e00" * 40: b"3"}),
    }
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form, pax_headers={"comment": "c0ffee"}) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(content), 1.5  # a time of day that only PAX records can tell
            archive.addfile(info, io.BytesIO(content))
    assert entries(stream.getvalue()) == list(files.items())


def test_content_that_nobody_reads_is_passed_over() -> None:
    content = header("a", size=1000) + padded(b"1" * 1000) + header("b", size=2) + padded(b"22") + END
    assert [info.name for info, _ in tar_entries(io.BytesIO(content))] == ["a", "b"]
    assert entries(content)[1] == ("b", b"22")


def test_a_size_that_only_pax_records_can_tell() -> None:
    assert entries(pax(record("size", "3")) + header("a") + padded(b"abc") + END) == [("a", b"abc")]
