"""Get published files, check them, pin them, unpack them; or say what is missing and where it goes."""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from ssc_core.config.published_file import PublishedFile
from ssc_core.errors import SscError
from ssc_core.files import is_web_page, write_json
from ssc_core.locks import only_process
from ssc_core.provenance import file_sha256
from ssc_core.weights.download import Patience, SourceFailed, download, forget, size_at
from ssc_core.weights.lock import LockFile
from ssc_core.weights.unpack import unpack, unpacking_folder

IN_PLACE = "found in place"
ASKING_S = 10.0
"""Seconds that a server has to tell the size of a file."""

Outcome = Literal["present", "found", "fetched"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Depot:
    """Where files are put and where they may come from.

    root: the folder that all paths are relative to. mirrors: folders, or http(s) addresses, that hold files under the
    same relative paths; tried before the published addresses. offline: only folders are tried.
    """

    root: Path
    lock: LockFile
    mirrors: tuple[str, ...] = ()
    offline: bool = False
    patience: Patience = field(default_factory=Patience)


def is_here(file: PublishedFile, root: Path) -> bool:
    """Whether everything that the pipeline reads of ``file`` lies in place. Nothing is opened."""
    if file.unpack is not None and unpacking_folder(root / file.path, root / file.unpack.to).exists():
        return False
    return all((root / path).is_file() for path in file.results)


def fetch_file(name: str, file: PublishedFile, depot: Depot) -> Outcome:
    """Make sure that a file is in place, checked and pinned. Returns how it came there.

    present: it was there, with its pin; found: it was put there by hand, and is checked and pinned now; fetched.
    Raises SscError that lists what every source said when none has the right file.
    """
    target = depot.root / file.path
    if is_here(file, depot.root):
        return _take_note(name, file, depot)
    target.parent.mkdir(parents=True, exist_ok=True)
    with only_process(target.with_name(target.name + ".fetching"), wait=False) as alone:
        if not alone:
            raise SscError(f"another process is fetching {target}; wait for it, or stop it")
        if target.is_file():  # an archive that is not unpacked yet
            source, sha256 = IN_PLACE, _check(target, file, depot.lock, IN_PLACE)
        else:
            source, sha256 = _from_any_source(name, file, depot)
        depot.lock.add(file.path, sha256=sha256, size=target.stat().st_size, source=source)
        if file.unpack is not None:
            _unpack(name, file, depot, source)
    return "fetched"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """right: names of files that have the bytes that they should have. wrong: a line for each that has not. unknown:
    names of files of which no hash is known, so that they were not compared."""

    right: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def verify(files: Mapping[str, PublishedFile], depot: Depot) -> Verified:
    """Read every file that is here and compare it with its hash."""
    found = Verified()
    for name, file in files.items():
        target = depot.root / file.path
        if target.is_file():
            try:
                _check(target, file, depot.lock, str(target))
            except SourceFailed as error:
                found.wrong.append(str(error))
            else:
                known = _known_sha256(file, depot.lock) or file.md5
                (found.right if known else found.unknown).append(name)
    return found


def missing_report(files: Mapping[str, PublishedFile], depot: Depot) -> str:
    """What is not here, where to put it and where it comes from: the way to go on without a network. "" for nothing."""
    missing = {name: file for name, file in files.items() if not is_here(file, depot.root)}
    if not missing:
        return ""
    lines = [f"{len(missing)} of {len(files)} files are not here. Put them below {depot.root.resolve()}:"]
    for name, file in missing.items():
        known = [name, size_text(file), file.licence]
        lines.append(f"  {file.path}  ({', '.join(text for text in known if text)})")
        lines += [f"      from {url}" for url in file.urls] or [
            f"      {file.access or 'no address is known: ask its authors'}"
        ]
        sha256 = _known_sha256(file, depot.lock)
        lines += [f"      sha256 {sha256}"] if sha256 else []
        lines += [f"      md5 {file.md5}"] if file.md5 else []
    lines.append(
        "Then run the same command again: it checks them, and unpacks the archives. "
        "Another folder that holds them under the same paths can be named with --mirror FOLDER."
    )
    return "\n".join(lines)


def with_sizes(files: Mapping[str, PublishedFile], depot: Depot) -> dict[str, PublishedFile]:
    """The files, each missing one of unknown size with what a server says, to tell people before it is fetched.

    All are asked at once, and none for long: a size that nobody tells stays unknown.
    """
    patience = replace(depot.patience, tries=1, timeout_s=min(depot.patience.timeout_s, ASKING_S))

    def told(file: PublishedFile) -> PublishedFile:
        if depot.offline or file.size is not None or is_here(file, depot.root):
            return file
        sizes = (size_at(url, patience) for url in file.urls)
        return file.model_copy(update={"size": next((size for size in sizes if size), None)})

    with ThreadPoolExecutor(max_workers=8) as pool:
        return dict(zip(files, pool.map(told, files.values()), strict=True))


def total_text(files: Mapping[str, PublishedFile], depot: Depot) -> str:
    """How much `ssc fetch` would get of these files, and what the drive has room for; unpacked, archives need more."""
    missing = [file for file in files.values() if not is_here(file, depot.root)]
    unknown = sum(not (file.size or file.about) for file in missing)
    size = bytes_text(sum(file.size or file.about or 0 for file in missing))
    about = "about " if any(file.about and not file.size for file in missing) else ""
    place = next(place for place in (depot.root.resolve(), *depot.root.resolve().parents) if place.is_dir())
    sizes = [f"{about}{size}"] if unknown < len(missing) or not missing else []
    sizes += [f"{unknown} of a size that is not known"] if unknown else []
    return (
        f"{len(missing)} of {len(files)} files are not here: {' and '.join(sizes)}; "
        f"{bytes_text(shutil.disk_usage(place).free)} are free"
    )


def size_text(file: PublishedFile) -> str:
    """Of a file, for people: ``2.4 GiB``, ``~2.4 GiB`` where it is estimated, ``""`` where nothing is known."""
    if file.size:
        return bytes_text(file.size)
    return f"~{bytes_text(file.about)}" if file.about else ""


def bytes_text(size: int) -> str:
    """Bytes for people: 2.4 GiB."""
    value, unit = float(size), "B"
    for bigger in ("KiB", "MiB", "GiB"):
        if value < 1024:
            break
        value, unit = value / 1024, bigger
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def _take_note(name: str, file: PublishedFile, depot: Depot) -> Outcome:
    """Pin a file that was put in place by hand; note unpacked data, so that the workflow has a file to look at."""
    if file.unpack is not None:
        if (depot.root / file.product).is_file():
            return "present"
        _write_note(name, file, depot, IN_PLACE, None)
        return "found"
    target = depot.root / file.path
    pin = depot.lock.get(file.path)
    if pin is not None and pin.size == target.stat().st_size:
        return "present"
    sha256 = _check(target, file, depot.lock, IN_PLACE)
    depot.lock.add(file.path, sha256=sha256, size=target.stat().st_size, source=IN_PLACE)
    return "found"


def _from_any_source(name: str, file: PublishedFile, depot: Depot) -> tuple[str, str]:
    """Put the file in place from the first source that has the right one; return that source and the SHA-256."""
    problems = []
    for source, get in _sources(file, depot):
        part = _part(depot.root / file.path)
        try:
            resumed = part.exists()
            get(part)
            try:
                sha256 = _check(part, file, depot.lock, source)
            except SourceFailed:
                forget(part)
                if not resumed:
                    raise
                get(part)  # the older half may have been of another file
                sha256 = _check(part, file, depot.lock, source)
            with part.open("rb") as written:
                os.fsync(written.fileno())
            part.replace(depot.root / file.path)
            forget(part)
            return source, sha256
        except SourceFailed as error:
            problems.append(f"  {error}")
    if not problems:
        why = "offline, and in no mirror folder" if file.urls else file.access or "no address is known for it"
        problems.append(f"  {why}")
    raise SscError(
        f"'{name}' could not be fetched to {file.path}:\n" + "\n".join(problems) + "\n"
        "Put the file there by hand and run the same command again, or name a folder that holds it with --mirror"
    )


def _sources(file: PublishedFile, depot: Depot) -> Iterator[tuple[str, Callable[[Path], None]]]:
    """(name, function that fills a partial file) of every source, in the order in which they are tried."""
    for mirror in depot.mirrors:
        if mirror.startswith(("http://", "https://")):
            if not depot.offline:
                url = f"{mirror.rstrip('/')}/{quote(file.path)}"
                yield url, _downloader(url, file, depot)
        elif (Path(mirror) / file.path).is_file():
            yield str(Path(mirror) / file.path), _copier(Path(mirror) / file.path)
    if not depot.offline:
        for url in file.urls:
            yield url, _downloader(url, file, depot)


def _downloader(url: str, file: PublishedFile, depot: Depot) -> Callable[[Path], None]:
    return lambda part: download(url, part, size=file.size, patience=depot.patience)


def _copier(origin: Path) -> Callable[[Path], None]:
    def copy(part: Path) -> None:
        forget(part)
        shutil.copyfile(origin, part)

    return copy


def _check(path: Path, file: PublishedFile, lock: LockFile, source: str) -> str:
    """SHA-256 of ``path``. Raises SourceFailed unless it has the size, the hash and the kind that it should have."""
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        raise SourceFailed(f"{source}: {size} bytes, the right file has {file.size}")
    wanted = _known_sha256(file, lock)
    found = file_sha256(path)
    if wanted is not None and found != wanted:
        raise SourceFailed(f"{source}: wrong bytes for {file.path}: SHA-256 {found}, it should be {wanted}")
    if wanted is None and file.md5 is not None and _md5(path) != file.md5:
        raise SourceFailed(f"{source}: wrong bytes for {file.path}: its MD5 is not {file.md5}")
    _check_kind(path, Path(file.path).suffix.casefold(), source)
    return found


def _known_sha256(file: PublishedFile, lock: LockFile) -> str | None:
    pin = lock.get(file.path)
    return file.sha256 or (pin.sha256 if pin else None)


def _check_kind(path: Path, suffix: str, source: str) -> None:
    """Where no hash is known, at least a web page, or a file that is cut off, is not taken for weights."""
    with path.open("rb") as stream:
        head = stream.read(512)
    if is_web_page(head):
        raise SourceFailed(f"{source}: what came is a web page and no {suffix} file; it begins with {head[:32]!r}")
    if not head or not _LOOKS.get(suffix, bool)(head):
        raise SourceFailed(f"{source}: what came is no {suffix} file; it begins with {head[:32]!r}")
    if head[:2] == b"PK" and not zipfile.is_zipfile(path):
        raise SourceFailed(f"{source}: what came is no whole {suffix} file: its end is missing")


def _is_torch(head: bytes) -> bool:
    return head[:2] in (b"PK", b"\x80\x02")


def _is_zip(head: bytes) -> bool:
    return head[:2] == b"PK"


_LOOKS: Mapping[str, Callable[[bytes], bool]] = {
    ".pth": _is_torch,
    ".pt": _is_torch,
    ".zip": _is_zip,
    ".whl": _is_zip,
    ".json": lambda head: head.lstrip()[:1] in (b"{", b"["),
    ".safetensors": lambda head: head[8:9] == b"{",
    ".txt": lambda head: head.lstrip()[:1] != b"<",
}
"""By suffix, in lower case: whether the first bytes fit."""


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _unpack(name: str, file: PublishedFile, depot: Depot, source: str) -> None:
    assert file.unpack is not None
    archive, folder = depot.root / file.path, depot.root / file.unpack.to
    how = file.unpack
    names = unpack(archive, folder, strip=how.strip, holds=how.holds, most_bytes=how.most_bytes)
    os.sync()
    _write_note(name, file, depot, source, len(names))
    archive.unlink()


def _write_note(name: str, file: PublishedFile, depot: Depot, source: str, n_files: int | None) -> None:
    pin = depot.lock.get(file.path)
    note = {"name": name, "source": source, "sha256": pin.sha256 if pin else None, "files": n_files}
    write_json(depot.root / file.product, note)


def _part(target: Path) -> Path:
    return target.with_name(target.name + ".part")
