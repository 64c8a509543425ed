"""Files that are whole or not there: write beside, flush to disk, then rename. And names that strangers give them."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile
from typing import Any

from ssc_core.errors import SscError

_LONGEST_NAME = 250
"""Bytes of a photo's name, with its folders. Drives take 255 for a name alone."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it is synced and renamed to ``path``, on error removed.

    A process that is killed leaves at most ``{name}.{pid}.tmp``, which no rule takes for an output.
    """
    path = Path(path)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if number := _drive_error(error):
            raise SscError(f"cannot write {path}: {os.strerror(number)}; {DISK_ERRORS[number]}") from error
        raise


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically. NaN is refused: it is not JSON."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")


def write_json_lists(path: Path, keys: Sequence[str], entries: Iterable[tuple[str, Any]]) -> None:
    """Write a dict of lists as ``write_json`` would, from entries (key, value) in any order; memory holds none of them.

    keys: of the dict, in its order.
    """
    with atomic_path(path) as temporary, ExitStack() as stack:
        lists = {key: stack.enter_context(TemporaryFile("w+", encoding="utf-8", dir=temporary.parent)) for key in keys}
        begun: set[str] = set()
        for key, value in entries:
            text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False).replace("\n", "\n    ")
            lists[key].write(f"{',' if key in begun else ''}\n    {text}")
            begun.add(key)
        file = stack.enter_context(temporary.open("w", encoding="utf-8"))
        for number, (key, entries_of) in enumerate(lists.items()):
            file.write(f"{',' if number else '{'}\n  {json.dumps(key)}: [")
            if key in begun:
                entries_of.seek(0)
                shutil.copyfileobj(entries_of, file)
                file.write("\n  ")
            file.write("]")
        file.write("\n}\n")


def read_json(path: Path) -> Any:
    """Read a JSON file, with or without the byte order mark that Windows' tools put first.

    Raises SscError that names the file when it is missing or damaged, as ``parse_json`` does.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise SscError(f"{path} does not exist") from error
    except UnicodeDecodeError as error:
        raise SscError(f"{path} is not valid JSON ({error}); is the file truncated?") from error
    except OSError as error:
        raise SscError(f"cannot read {path}: {error.strerror}") from error
    return parse_json(text, path, "; is the file truncated?")


def parse_json(text: str, where: Path | str, advice: str = "") -> Any:
    """JSON from elsewhere. Raises SscError, which begins with ``where``, for what is no JSON, and also for a key that
    occurs twice in an object, of which Python would keep the later value, and numbers of thousands of digits."""
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except _TwiceError as error:
        raise SscError(f"{where} has the key '{error!s:.100}' twice in one object; which value is meant?") from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise SscError(f"{where} is not valid JSON ({error!s:.200}){advice}") from error
    except ValueError as error:
        raise SscError(f"{where} is not valid JSON (it has a number of thousands of digits){advice}") from error


class _TwiceError(Exception):
    """The key of a JSON object that occurs twice."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise _TwiceError(next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1))
    return value


def path_inside(folder: Path, name: str | Path) -> Path:
    """``folder / name``, for a name that was read from a file.

    Raises SscError when that is outside of ``folder``: an absolute path, "..", or a link that leads out.
    """
    path = Path(folder, name)
    with suppress(OSError, RuntimeError, ValueError):  # links in a circle, zero bytes in a name
        if path.resolve().is_relative_to(Path(folder).resolve()):
            return path
    raise SscError(
        f"'{name!s:.200}' is not inside {folder}: it is an absolute path, goes up by .., or is a link that leads out"
    )


_WEB_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype|!--|\?xml|html|head|body|title|meta|script)", re.IGNORECASE)


def is_web_page(head: bytes) -> bool:
    """Whether a file that begins so is a web page, or a host's error as XML, whatever its name says."""
    return _WEB_PAGE.match(head) is not None


def check_writable(folder: Path) -> None:
    """Raise SscError when ``folder``, or the nearest one above that exists, cannot be written to."""
    existing = next(path for path in (Path(folder).absolute(), *Path(folder).absolute().parents) if path.exists())
    if not os.access(existing, os.W_OK):
        raise SscError(
            f"cannot write to {existing}: the drive is read-only, or the folder belongs to someone else; choose "
            "another folder with `results:` in the config"
        )


DISK_ERRORS = {
    28: "free some space on this drive, then run the same command again",
    30: "the drive is read-only; choose another folder with `results:` in the config",
    13: "no permission to write there; check the folder's owner",
    122: "the disk quota is used up; free some space, then run the same command again",
}
"""What to do, by errno: ENOSPC, EROFS, EACCES, EDQUOT."""


def _drive_error(error: BaseException | None) -> int | None:
    """Errno of what the drive said, also where a library wrapped it: torch.save says "unexpected pos" instead."""
    while error is not None and not isinstance(error, SscError):
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            return error.errno
        error = error.__context__
    return None


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_inside_folder(file_name: str, where: str) -> None:
    """Raise SscError unless ``file_name`` is a relative path that stays inside the images folder."""
    path = PurePosixPath(file_name)
    if not file_name.strip() or path.is_absolute() or ".." in path.parts:
        raise SscError(f"{where}: photo '{file_name:.200}' must be a path inside the images folder, relative to it")
    if len(file_name.encode("utf-8", "replace")) > _LONGEST_NAME:
        raise SscError(f"{where}: photo '{file_name:.40}...' has a name of {len(file_name)} letters: no drive takes it")
