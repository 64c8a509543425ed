"""``reviews.csv``: what people said of refs, one decision a line, appended as they are made.

    ref,photo,digest,sentences,decision,mask,who,when
    17,beach.jpg,sha-5f1e0c77ab90d2e4,woman on the left|lady in blue,chosen,480x640:`5m9Q3...,ana,2026-11-26T09:30:12Z

ref, photo, sentences: id of the ref, name of its photo, and what it says, separated by |: ids count the rows of a
table, so that a row is found again by its photo and a sentence after others were put before it. digest: of the photo's
file (``refer.images.PhotoDigests``), so that a decision is of no other photo that gets its name; empty where nobody
knew it. decision: see ``Decision``.
mask: height x width and COCO compressed run lengths, so that a line stands for itself, whatever becomes of the
candidates. when: UTC. A file that was begun without ``digest``, or without ``sentences`` too, goes on so.

The last line of a ref counts, and ``undo`` takes back the one before it. A line is on the drive before
``append_review`` returns, and one writer at a time writes. What a crash left is half a line at the end: its last column
is no whole date, so it is told from a line and passed over.
"""

from __future__ import annotations

import csv
import fcntl
import getpass
import io
import logging
import os
import re
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import numpy as np

from ssc_core.errors import SscError, did_you_mean
from ssc_core.files import check_inside_folder
from ssc_core.masks import rle
from ssc_core.masks.runs import Size
from ssc_core.wording import counted

COLUMNS = ("ref", "photo", "digest", "sentences", "decision", "mask", "who", "when")
_EARLIER = [tuple(one for one in COLUMNS if one not in left_out) for left_out in (["digest"], ["digest", "sentences"])]
"""Of files that were begun by earlier versions."""

SAME_OBJECT = 0.5
"""Least IoU of a reviewed mask and a candidate that is taken for the same object: detection's usual measure."""

_HEADERS = {(",".join(columns) + "\n").encode(): columns for columns in (COLUMNS, *_EARLIER)}
_HEADER = next(iter(_HEADERS))
_MARK = b"\xef\xbb\xbf"
"""A byte order mark, which spreadsheets put first."""
_LONGEST_MASK = 100_000
"""Characters: 50,000 edges. A mask with more is noise, and the csv module reads no longer cells."""
_LONGEST_NAME = 100
_MOST_SENTENCES, _LONGEST_SENTENCE = 20, 500
"""What is noted of a ref's: enough to know it again."""
_LONGEST_LINE = 2 * _LONGEST_MASK
_LARGEST_FILE = 2**30
_WHEN = "%Y-%m-%dT%H:%M:%SZ"
_MASK = re.compile(r"([1-9]\d{0,8})x([1-9]\d{0,8}):(.+)", re.DOTALL)

log = logging.getLogger(__name__)


class Decision(StrEnum):
    """What was decided: a candidate, no candidate fits, a mask drawn or uploaded, not now, take back the last line."""

    chosen = "chosen"
    none = "none"
    drawn = "drawn"
    uploaded = "uploaded"
    skipped = "skipped"
    undo = "undo"


_WITH_MASK = frozenset({Decision.chosen, Decision.drawn, Decision.uploaded})
_DRAWN = frozenset({Decision.drawn, Decision.uploaded})
_SETTLED = _WITH_MASK | {Decision.none}


@dataclass(frozen=True, slots=True)
class Review:
    """One line. size: (height, width) of the photo, and rle: COCO compressed RLE, where the decision has a mask.
    digest: of the photo's file, "" where it is not known.

    Raises SscError for a mask that is missing, malformed or not wanted, and for a photo outside of its folder.
    """

    ref_id: int
    photo: str
    decision: Decision
    size: Size | None = None
    rle: bytes | None = None
    who: str = ""
    when: datetime = field(default_factory=lambda: datetime.now(UTC))
    sentences: Sequence[str] = ()
    digest: str = ""

    def __post_init__(self) -> None:
        check_inside_folder(self.photo, f"review of ref {self.ref_id}")
        if (self.rle is not None) != (self.decision in _WITH_MASK) or (self.rle is None) != (self.size is None):
            raise SscError(f"review of ref {self.ref_id}: a mask goes with {', '.join(sorted(_WITH_MASK))} alone")
        if self.rle is not None and self.size is not None:
            if len(self.rle) > _LONGEST_MASK:
                raise SscError(f"review of ref {self.ref_id}: its mask has too many edges, it is noise; smooth it")
            rle.check([self.rle], self.size, where=f"review of ref {self.ref_id}")

    @property
    def drawn(self) -> bool:
        """Whether its mask is a person's own, which no candidate stands for."""
        return self.decision in _DRAWN

    @property
    def settled(self) -> bool:
        """Whether it says what the ref's mask is, or that there is none."""
        return self.decision in _SETTLED

    def mask(self) -> np.ndarray | None:
        """bool (H, W); None for a decision without one."""
        return None if self.rle is None or self.size is None else rle.decode([self.rle], self.size)[0]

    def candidate(self, rles: Sequence[bytes]) -> int | None:
        """Place, among a ref's candidates, of the one that this mask is: the highest IoU, at least ``SAME_OBJECT``.

        None where no candidate is that object, as after other settings of Segment, or where there is no mask. Raises
        SscError for masks of another size.
        """
        return None if self.rle is None or self.size is None else same_object(self.rle, rles, self.size)


def same_object(code: bytes, rles: Sequence[bytes], size: Size) -> int | None:
    """Place of the mask that is the same object: the highest IoU, at least ``SAME_OBJECT``; None where none is."""
    nearest = rle.nearest(code, rles, size)
    return nearest[0] if nearest is not None and nearest[1] >= SAME_OBJECT else None


def this_user() -> str:
    """The name of who runs this; the number of one without a name, as in a container (``docker run --user``)."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the latter from Python 3.13 on
        return str(os.getuid())


def append_review(path: Path, review: Review) -> None:
    """Add a line to a file, which is made where there is none. Safe with other writers, on any machine that shares it.

    Raises SscError for a file that is something else, and where it cannot be written to, as on a full drive: then the
    file is as before.
    """
    path = Path(path)
    _line(review, COLUMNS)  # says what is wrong with it before there is a file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # until it is closed
            before, columns = _mended_end(descriptor, path)
            _append(descriptor, before + _line(review, columns))
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SscError(f"this decision is not kept: cannot write {path}: {error.strerror}") from error


def read_lines(path: Path, known: MutableMapping[bytes, Review] | None = None) -> Iterator[Review]:
    """Every line in order, those that no longer count and ``undo`` too.

    known: lines that were read before, and now too: of a file that only grew, what is new alone is parsed. Raises
    SscError that names the line for a file that is missing, too large, or has something else in it.
    """
    known = {} if known is None else known
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(_LARGEST_FILE + 1)
    except FileNotFoundError as error:
        raise SscError(f"{path} does not exist") from error
    except OSError as error:
        raise SscError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > _LARGEST_FILE:
        raise SscError(f"{path} is larger than {_LARGEST_FILE >> 20} MB: these are no reviews")
    if _is_start(content):
        return
    header, *lines = content.removeprefix(_MARK).split(b"\n")
    columns = _columns(header, path)
    for number, line in enumerate(lines, start=2):
        last = number == len(lines) + 1
        if last and not _is_whole(line, columns):
            if line.strip():
                log.warning("%s, line %d: half a line, which a crash left; it is passed over", path, number)
        elif line.strip():
            if line not in known:
                known[line] = _review(line, f"{path}, line {number}", columns)
            yield known[line]


def noted(sentences: Iterable[str]) -> tuple[str, ...]:
    """Sentences as a line has them: none begins as a spreadsheet's formula does."""
    texts = (
        " ".join(text.split()).lstrip("=+-@' ")[:_LONGEST_SENTENCE].strip()
        for one in sentences
        for text in one.split("|")
    )
    return tuple(filter(None, texts))[:_MOST_SENTENCES]


def that_count(lines: Iterable[Review]) -> dict[int, Review]:
    """The last line of every ref that was not taken back, by its id, in the order in which they were made."""
    history: dict[int, list[Review]] = {}
    for review in lines:
        made = history.setdefault(review.ref_id, [])
        if review.decision is not Decision.undo:
            made.append(review)
        elif made:
            made.pop()
        if made:
            history[review.ref_id] = history.pop(review.ref_id)  # to the end
    return {ref_id: made[-1] for ref_id, made in history.items() if made}


def _line(review: Review, columns: Sequence[str]) -> bytes:
    mask = ""
    if review.rle is not None and review.size is not None:
        mask = f"{review.size[0]}x{review.size[1]}:{review.rle.decode('ascii')}"
    who, when = " ".join(review.who.split())[:_LONGEST_NAME], review.when.astimezone(UTC).strftime(_WHEN)
    said = "|".join(noted(review.sentences))
    values = (review.ref_id, review.photo, review.digest, said, review.decision.value, mask, who, when)
    cells = dict(zip(COLUMNS, values, strict=True))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([cells[column] for column in columns])
    line = text.getvalue().encode("utf-8", "replace")
    if line.count(b"\n") > 1 or b"\r" in line:
        raise SscError(f"review of ref {review.ref_id}: the photo's name {review.photo!r:.100} has a line break")
    return line


def _review(line: bytes, where: str, columns: Sequence[str]) -> Review:
    try:
        (cells,) = csv.reader([line.decode("utf-8").rstrip("\r")], strict=True)
    except UnicodeDecodeError as error:
        raise SscError(f"{where} is not UTF-8 text; a spreadsheet saves it as 'CSV UTF-8'") from error
    except (csv.Error, ValueError) as error:
        raise SscError(f"{where} is no line of a review ({error})") from error
    if len(cells) != len(columns):
        raise SscError(f"{where} has {counted(len(cells), 'cell')}, not {len(columns)}: {', '.join(columns)}")
    of = dict(zip(columns, cells, strict=True))
    ref, photo, decision, mask, who, when = (of[column] for column in _EARLIER[-1])
    digest, said = of.get("digest", ""), noted([of.get("sentences", "")])
    if not re.fullmatch(r"-?\d{1,18}", ref, re.ASCII):
        raise SscError(f"{where}: '{ref:.40}' is no id of a ref")
    if digest and not re.fullmatch("sha-[0-9a-f]{16}", digest):
        raise SscError(f"{where}: '{digest:.40}' is no digest of a photo")
    if decision not in Decision.__members__:
        raise SscError(f"{where}: '{decision:.40}' is no decision{did_you_mean(decision, Decision)}")
    size, code = _mask(mask, where) if mask else (None, None)
    made = _time(when, where)
    try:
        return Review(int(ref), photo, Decision(decision), size, code, who, made, said, digest)
    except SscError as error:
        raise SscError(f"{where}: {error}") from error


def _mask(text: str, where: str) -> tuple[Size, bytes]:
    found = _MASK.fullmatch(text)
    if found is None or not text.isascii():
        raise SscError(f"{where}: '{text:.40}' is no mask; one is height x width : run lengths, as 480x640:...")
    return (int(found[1]), int(found[2])), found[3].encode("ascii")


def _time(text: str, where: str) -> datetime:
    try:
        return datetime.strptime(text, _WHEN).replace(tzinfo=UTC)
    except ValueError as error:
        raise SscError(f"{where}: '{text:.40}' is no time such as 2026-11-26T09:30:12Z") from error


def _is_whole(line: bytes, columns: Sequence[str]) -> bool:
    """Whether a last line, without a line break after it, was written to its end."""
    try:
        _review(line, "", columns)
    except SscError:
        return False
    return True


def _columns(header: bytes, path: Path) -> Sequence[str]:
    """The columns of a file by its first line. Raises SscError for one that is none of reviews."""
    columns = _HEADERS.get(header.strip() + b"\n")
    if columns is None:
        shown = header.decode("utf-8", "replace").strip()
        raise SscError(f"{path} begins '{shown:.80}'; reviews begin '{_HEADER.decode().strip()}', with commas")
    return columns


def _is_start(content: bytes) -> bool:
    """Whether a file is empty, or has half a header."""
    return any(header.startswith(content.removeprefix(_MARK)) for header in _HEADERS)


def _mended_end(descriptor: int, path: Path) -> tuple[bytes, Sequence[str]]:
    """Cut off half a line that a crash left; what has to come before the next line, and the file's columns."""
    size = os.fstat(descriptor).st_size
    start = os.pread(descriptor, len(_MARK) + len(_HEADER), 0)
    if size == len(start) and _is_start(start):
        os.ftruncate(descriptor, 0)
        return _HEADER, COLUMNS
    columns = _columns(start.removeprefix(_MARK).split(b"\n")[0], path)
    before, _, last = os.pread(descriptor, _LONGEST_LINE, max(0, size - _LONGEST_LINE)).rpartition(b"\n")
    if not before:
        raise SscError(f"{path} ends with a line that is too long to be a review; look at its end")
    if not last:
        return b"", columns
    if _is_whole(last, columns):
        return b"\n", columns
    os.ftruncate(descriptor, size - len(last))
    return b"", columns


def _append(descriptor: int, content: bytes) -> None:
    """All of it, on the drive, or nothing."""
    before, left = os.fstat(descriptor).st_size, memoryview(content)
    try:
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, before)
        raise
