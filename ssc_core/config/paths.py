"""Paths as people type them in a config: made the same text, once, when the config is read."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator


def tidy_path(path: str | Path) -> str:
    """``path`` with ``~`` expanded, and without a trailing slash, doubled slashes, ``./`` and ``x/..``.

    Raises ValueError for an empty path and for a home folder that is nobody's.
    """
    text = os.fspath(path)
    if not text:
        raise ValueError("is empty; name a file or a folder")
    expanded = os.path.expanduser(text)  # noqa: PTH111  Path drops the ./ of ./~
    if expanded.startswith("~"):
        raise ValueError(f"{text.split('/')[0]} is nobody's home folder here; a folder of that name is ./{text}")
    tidy = re.sub("^//", "/", os.path.normpath(expanded))  # which leaves two slashes in front, as POSIX allows
    return f"./{tidy}" if tidy.startswith("~") else tidy  # a folder that is called ~ stays one when it is read again


def tidy_if_path(value: Any) -> Any:
    """``value``, or what lies in it, tidied where it can only be a path: names of models and packages do not begin like
    one."""
    if isinstance(value, dict):
        return {key: tidy_if_path(item) for key, item in value.items()}
    if isinstance(value, list):
        return [tidy_if_path(item) for item in value]
    return tidy_path(value) if isinstance(value, str) and value.startswith(("~", "./", "../", "/")) else value


def _without_wildcards(path: str) -> str:
    if {"{", "}"} & set(path):
        raise ValueError("may not have { or } in it: the workflow takes these for wildcards")
    return path


def _a_folder_of_its_own(path: str) -> str:
    if path in (".", "..", "/"):
        raise ValueError("must be a folder of its own, such as results")
    return path


UserPath = Annotated[str, AfterValidator(tidy_path)]
"""A file or folder."""

FilePath = Annotated[Path, BeforeValidator(lambda path: tidy_path(path) if isinstance(path, str | Path) else path)]
"""The same as a Path."""

NameOrPath = Annotated[str, AfterValidator(tidy_if_path)]
"""A name or an address that means something elsewhere, or a path."""

WorkflowPath = Annotated[UserPath, AfterValidator(_without_wildcards)]
"""A path that names inputs or outputs of rules."""

ResultsPath = Annotated[WorkflowPath, AfterValidator(_a_folder_of_its_own)]
"""The folder of everything that is made."""
