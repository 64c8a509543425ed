"""Repositories of the Hugging Face Hub: what is fetched from one is whole and checked before it gets its name.

``huggingface_hub`` talks to the hub that ``HF_ENDPOINT`` names. The token is that of ``HF_TOKEN`` or of the hub's own
login; it is neither read nor written here.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ssc_core.errors import SscError
from ssc_core.files import path_inside
from ssc_core.provenance import file_sha256
from ssc_core.tensor_checks import WEIGHTS_SUFFIXES, check_weights

if TYPE_CHECKING:
    from huggingface_hub import HfApi

Kind = Literal["model", "dataset"]

WANTED = {
    "model": (*WEIGHTS_SUFFIXES, ".json", ".txt", ".md"),
    "dataset": (".parquet", ".json", ".jsonl", ".csv", ".md", ".jpg", ".jpeg", ".png"),
}
"""Endings of files that go up and come down. Code never does."""

MOST_FILES = 200_000


def is_data(name: str, kind: Kind) -> bool:
    """Whether a file of a repository, by its name there, goes up and comes down: data by its ending, nothing hidden."""
    return name.lower().endswith(WANTED[kind]) and not any(part.startswith(".") for part in name.split("/"))


def push(repository: str, files: Mapping[str, Path | bytes], *, kind: Kind, private: bool = False) -> str:
    """Put files into a repository as one commit; it is made where it is missing. Returns the commit's address.

    files: by their names there. Raises SscError with what the hub said.
    """
    from huggingface_hub import CommitOperationAdd

    with _explained(repository) as api:
        api.create_repo(repository, repo_type=kind, private=private, exist_ok=True)
        operations = [CommitOperationAdd(name, content) for name, content in files.items()]
        done = api.create_commit(repository, operations, commit_message="Published with ssc", repo_type=kind)
    return str(done.commit_url)


def pull(repository: str, out: Path, *, kind: Kind, revision: str | None = None) -> tuple[list[str], list[str]]:
    """Fetch a repository's data into the new folder ``out``. Returns the names of the files, and of those left out.

    Every file has the size and hash that the hub states for the commit, and weights pass ``check_weights``. After an
    error ``out`` is not there; what was whole waits in ``out.part`` for the next call. Raises SscError.
    """
    if out.exists():
        raise SscError(f"{out} exists; remove it, or choose another folder")
    staging = out.with_name(f"{out.name}.part")
    with _explained(repository) as api:
        info: Any = api.repo_info(repository, repo_type=kind, revision=revision, files_metadata=True)
        stated = {one.rfilename: one for one in info.siblings or ()}
        names = [name for name in stated if is_data(name, kind)]
        _check_claims(repository, names, stated, staging)
        for name in names:
            api.hf_hub_download(repository, name, repo_type=kind, revision=info.sha, local_dir=staging)
    for name in names:
        _check(staging / name, stated[name], repository)
    shutil.rmtree(staging / ".cache", ignore_errors=True)  # the library's notes
    _remove_others(staging, names)
    staging.rename(out)
    return names, sorted(stated.keys() - set(names))


def _remove_others(staging: Path, names: Sequence[str]) -> None:
    """Remove what another repository or commit left in the folder when its call did not come to its end."""
    wanted = {staging / name for name in names}
    for path in staging.rglob("*"):
        if path not in wanted and not path.is_dir():
            path.unlink()


def _check_claims(repository: str, names: Sequence[str], stated: Mapping[str, Any], staging: Path) -> None:
    """Raise SscError for a repository without data, with too much, or with names that leave the folder."""
    if not names:
        raise SscError(f"{repository} holds no file that is fetched; it has {', '.join(sorted(stated)[:10]) or 'none'}")
    if len(names) > MOST_FILES:
        raise SscError(f"{repository} holds {len(names)} files; more than {MOST_FILES} are not fetched")
    staging.mkdir(parents=True, exist_ok=True)
    for name in stated:
        path_inside(staging, name)
    needed, free = sum(stated[name].size or 0 for name in names), shutil.disk_usage(staging).free
    if needed > free:
        raise SscError(
            f"{repository} takes {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free in {staging.parent}"
        )


def _check(path: Path, stated: Any, repository: str) -> None:
    """Raise SscError, and remove the file, when it is not the hub's or nothing that may be read."""
    expected = stated.lfs.sha256 if stated.lfs else stated.blob_id
    found = file_sha256(path) if stated.lfs else _git_sha1(path)
    if found != expected or path.stat().st_size != stated.size:
        path.unlink()
        raise SscError(
            f"{path.name} of {repository} came with other bytes than the hub states ({found} instead of {expected}); "
            "nothing was kept of it. Try again; if it stays so, the hub or a proxy before it is at fault"
        )
    if path.suffix.lower() in WEIGHTS_SUFFIXES:
        try:
            check_weights(path)
        except SscError:
            path.unlink()
            raise


def _git_sha1(path: Path) -> str:
    """A file's name in git, by which the hub knows small files."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


@contextmanager
def _explained(repository: str) -> Iterator[HfApi]:
    """The hub, whose errors become one line each. Addresses lose what may be a signature."""
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        yield HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    except (HfHubHTTPError, HFValidationError, httpx2.HTTPError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None and not isinstance(error, HfHubHTTPError):
            raise  # of the disk, whose errors are explained elsewhere
        said = " ".join(re.sub(r"\?[^\s)>]+", "", str(error)).split()) or type(error).__name__
        raise SscError(
            f"{repository}: {said}. Check the name, and that `hf auth whoami` names who may do this (HF_TOKEN, or `hf "
            "auth login`). What was fetched is kept for the next try"
        ) from error
