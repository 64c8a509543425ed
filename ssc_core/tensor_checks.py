"""What is checked of a file of weights before anything reads tensors from it: its kind, sums, pickles and digest.

PyTorch reads a file without looking at the sums that its container has, and believes what a small file claims.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path

from ssc_core.errors import FETCH, SscError
from ssc_core.files import is_web_page
from ssc_core.pickle_check import BrokenPickleError, RefusedPickleError, check_pickle
from ssc_core.provenance import file_sha256
from ssc_core.weights.lock import LockFile
from ssc_core.weights.zip_reads import ShortReads

LOCK_NAME = "sources.lock.json"
"""A lock file of ``ssc fetch`` by its default name; the micro models have one of their own beside them."""

WEIGHTS_SUFFIXES = frozenset({".safetensors", ".pt", ".pth", ".bin", ".ckpt"})

MAX_PICKLE = 16 * 2**20
"""Bytes that say how a file's tensors are called and shaped. Checkpoints of a thousand tensors have 0.2 MB."""

MAX_CODE = 64 * 2**20
"""Bytes of a TorchScript archive's code, which is compressed."""

_SEAL, _HEX = b"sha256 ", 64

IMPORTS = frozenset(
    {
        "argparse.Namespace",
        "collections.OrderedDict",
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2",
        "torch.Size",
        "torch.device",
        *(f"torch.{kind}Storage" for kind in ("Float", "Half", "Double", "BFloat16", "Long", "Int", "Short", "Char")),
        *(f"torch.{kind}Storage" for kind in ("Byte", "Bool")),
        *(f"torch.{kind}" for kind in ("float16", "float32", "float64", "bfloat16", "int8", "int16", "int32", "int64")),
        *(f"torch.{kind}" for kind in ("uint8", "bool")),
    }
)
"""All that a file of tensors, plain values and LAVT's namespace imports. Of what else PyTorch would allow, some reserve
as much memory as a file claims (``bytearray``, ``torch.Tensor``)."""


def check_weights(path: Path | str) -> None:
    """Check a file of weights, or all files of a model's folder, before a library reads them.

    Raises SscError, one line with the path, for a file that is missing, no file of weights, damaged, against its digest
    (see ``check_digest``), or that would make its reader import something or reserve memory for what it only claims.
    """
    path = Path(path)
    if path.is_dir():
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            check_weights(file) if file.suffix.lower() in WEIGHTS_SUFFIXES else check_digest(file)
    elif path.suffix.lower() == ".safetensors":
        _check_kind(path, safetensors=True)
        check_digest(path)
    elif _check_kind(path) == "zip":
        check_zip(path)
    else:
        _check_old_format(path)
        check_digest(path)


def check_digest(path: Path) -> None:
    """Compare a file with its SHA-256 in the lock file that lies in the nearest folder above it, if that has one.

    For files whose format has no sums of its own.
    """
    path = path.absolute()
    for folder in path.parents:
        if (folder / LOCK_NAME).is_file():
            pin = LockFile(folder / LOCK_NAME).get(path.relative_to(folder).as_posix())
            if pin is not None:
                if path.stat().st_size != pin.size or file_sha256(path) != pin.sha256:
                    raise SscError(
                        f"{path} does not have the bytes that {folder / LOCK_NAME} states: it is damaged or was "
                        "replaced. Get it again, or remove its entry there to accept it"
                    )
                return


def check_tokenizer(folder: Path | str) -> None:
    """Compare the files of a tokenizer, which are texts, with their digests. A name of no folder is passed over."""
    for pattern in ("*.txt", "*.json", "*.model"):
        for file in sorted(Path(folder).glob(pattern)):
            check_digest(file)


def check_zip(path: Path, *, script: bool = False) -> None:
    """Check a file of ``torch.save`` since PyTorch 1.6: its seal, else the sum of every record; and its pickle.

    script: a TorchScript archive, whose pickles ``torch.jit`` reads in its own restricted way.
    """
    sealed = _check_seal(path)
    most = path.stat().st_size + (MAX_CODE if script else 0)
    try:
        with ShortReads(path.open("rb", buffering=0)) as stream, zipfile.ZipFile(stream) as archive:
            records = archive.infolist()
            names = {record.filename.casefold() for record in records}
            if len(names) < len(records) or sum(record.file_size for record in records) > most:
                raise SscError(damaged(path, "its records overlap"))
            if archive.comment and not sealed:
                raise SscError(damaged(path, "its end is not as it was written"))
            if any(record.compress_type != zipfile.ZIP_STORED for record in records) and not script:
                raise SscError(damaged(path, "its records are compressed, as PyTorch never writes them"))
            bad = None if sealed else archive.testzip()
            if bad is not None:
                raise SscError(damaged(path, f"the sum of its record {bad} does not fit"))
            pickles = [record for record in records if record.filename.split("/", 1)[-1] == "data.pkl"]
            if len(pickles) != 1:
                raise SscError(damaged(path, "it has no data.pkl"))
            if not script:
                if any("/code/" in record.filename for record in records):
                    raise SscError(f"{path} is a TorchScript archive, such as OpenAI's CLIP, and no checkpoint")
                if pickles[0].file_size > MAX_PICKLE:
                    raise SscError(damaged(path, f"its data.pkl has over {MAX_PICKLE} bytes"))
                _check_pickle(path, archive.read(pickles[0]))
    except (SscError, MemoryError):
        raise
    except Exception as error:  # a damaged archive can fail in any way at all
        raise SscError(damaged(path, str(error) or type(error).__name__)) from error


def seal(path: Path) -> None:
    """Write the SHA-256 of all that comes before it to a zip file's end, as its comment, which readers pass over."""
    comment = _SEAL + b"0" * _HEX
    with path.open("r+b") as file:
        file.seek(-2, os.SEEK_END)
        file.write(len(comment).to_bytes(2, "little") + comment)
    digest = _sha256_before(path, path.stat().st_size - _HEX)
    with path.open("r+b") as file:
        file.seek(-_HEX, os.SEEK_END)
        file.write(digest)


def damaged(path: Path | str, reason: str) -> str:
    """The message for a file that cannot be used."""
    return f"{path} is damaged, cut off, or not a PyTorch file ({reason:.200}); download or write it again"


def refused_import(path: Path | str, name: str) -> str:
    """The message for a file that asks for more than tensors and plain values."""
    if name.startswith("numpy"):
        return f"{path} holds NumPy values ({name}); save them as Python numbers or tensors, then try again"
    return (
        f"{path} wants to import {name} while it is read, and was refused: a checkpoint may hold tensors, plain values "
        f"and argparse.Namespace only. If you trust its origin, save it again without {name}; else do not use it"
    )


def _check_kind(path: Path, *, safetensors: bool = False) -> str:
    """ "zip" or "old" by a file's first bytes. Raises SscError that says what it is instead."""
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except FileNotFoundError as error:
        raise SscError(f"{path} does not exist; {FETCH}") from error
    except OSError as error:
        raise SscError(f"{path} cannot be read: {error.strerror}") from error
    if is_web_page(head):
        raise SscError(f"{path} is a web page, not weights: its host answered with a page. Download it again")
    if head.startswith(b"version https://git-lfs"):
        raise SscError(f"{path} is a pointer of Git LFS, not weights; `git lfs pull` gets them")
    if safetensors:
        if MAX_PICKLE < int.from_bytes(head[:8], "little") < path.stat().st_size:  # safetensors refuses what is longer
            raise SscError(f"{path} is refused: its list of tensors has over {MAX_PICKLE} bytes")
        return "safetensors"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**32:
        raise SscError(f"{path} is a safetensors file; give it a name that ends in .safetensors")
    if head.startswith(b"PK\x03\x04"):
        return "zip"
    if head.startswith(b"\x80"):
        return "old"
    raise SscError(damaged(path, "it is empty" if not head else f"it begins with {head[:8]!r}"))


def _check_old_format(path: Path) -> None:
    """Five pickles one after the other, then the numbers, which have no sums."""
    with path.open("rb") as file:
        content = file.read(min(MAX_PICKLE, path.stat().st_size))
    end = 0
    for _ in range(5):
        end = _check_pickle(path, content, end)


def _check_pickle(path: Path, content: bytes, start: int = 0) -> int:
    try:
        return check_pickle(content, calls=True, imports=IMPORTS, start=start)
    except BrokenPickleError as error:
        raise SscError(damaged(path, str(error))) from error
    except RefusedPickleError as error:
        verb, _, name = str(error).partition(" ")
        if verb == "import":
            raise SscError(refused_import(path, name.strip("'"))) from error
        raise SscError(f"{path} is refused: it tries to {error}, which no file of weights needs") from error


def _check_seal(path: Path) -> bool:
    """Whether a file has a seal. Raises SscError for a broken one."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - len(_SEAL) - _HEX))
        tag, digest = file.read(len(_SEAL)), file.read(_HEX)
    if tag != _SEAL:
        return False
    if _sha256_before(path, size - _HEX) != digest:
        raise SscError(damaged(path, "its bytes are not those that were written"))
    return True


def _sha256_before(path: Path, end: int) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while end > 0:
            block = file.read(min(end, 2**20))
            if not block:
                break
            digest.update(block)
            end -= len(block)
    return digest.hexdigest().encode()
