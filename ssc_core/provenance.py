"""Where a result comes from: digests of code, files and versions. Imports nothing heavy: the Snakefile uses it."""

from __future__ import annotations

import ast
import atexit
import hashlib
import importlib.metadata
import json
import platform
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from ssc_core.errors import SscError
from ssc_core.files import atomic_path

ROOT = Path(__file__).resolve().parent
PACKAGES = (ROOT.name, "microworld", "workflow_scripts")
"""Whose modules count: ours, beside each other in a checkout; a wheel carries the others in ``ssc_core/_workflow``."""

_LEFT_OUT = (
    *("ssc_core.config", "ssc_core.errors", "ssc_core.provenance"),
    *("ssc_core.registry", "ssc_core.checkout", "ssc_core.pickle_check", "ssc_core.tensor_checks", "ssc_core.weights"),
    *("ssc_core.locks", "ssc_core.signals", "workflow_scripts._script"),
)
"""What code_version() leaves out: with it a new key for one stage, or the name of a new backend, would rerun them all.

The config reaches rules by value, as ``params``, and so does the code behind a registered backend. The others change no
result: they say where files lie, refuse them, read a command line, or let a process wait or end."""


_FORM = 2
"""Of ``_written``: digests of another form, which may be among those that were kept, are not taken."""


@cache
def code_version(*modules: str) -> str:
    """Digest of what the code of ``modules`` does: their syntax trees, and those of our modules that they import.

    Comments, docstrings and layout do not count, so that polishing prose reruns nothing. Returns 16 hex digits.
    Raises SscError when a module does not exist.
    """
    seen: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in seen or name.startswith(_LEFT_OUT):
            continue
        seen[name], imports = _read_module(name)
        waiting.extend(imports)
    text = "\n".join(f"{name} {digest}" for name, digest in sorted(seen.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree_sha256(path: Path) -> str:
    """SHA-256 of a file, or of a folder's files with their relative names in sorted order."""
    path = Path(path)
    if path.is_file():
        return file_sha256(path)
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()} {file_sha256(file)}\n".encode())
    return digest.hexdigest()


def versions(
    packages: Iterable[str] = ("torch", "transformers", "open-clip-torch", "segment-anything", "spacy"),
) -> dict[str, str]:
    """Installed versions of the packages that results depend on, plus Python's."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


@cache
def _read_module(name: str) -> tuple[str, tuple[str, ...]]:
    """Digest of one module's syntax tree, and our modules that it imports (lazy imports included)."""
    path = _module_path(name)
    source = path.read_bytes()
    is_package = path.name == "__init__.py"
    key = hashlib.sha256(f"{_FORM} {name} {is_package} ".encode() + source).hexdigest()
    if key not in _known():
        tree = ast.parse(source, filename=str(path))
        mentioned = sorted(set(_mentioned_modules(tree, name, is_package=is_package)))
        _drop_what_says_nothing(tree)
        _known()[key] = (hashlib.sha256(_written(tree).encode()).hexdigest(), mentioned)
    digest, mentioned = _known()[key]
    return digest, tuple(module for module in mentioned if _find_module(module))


@cache
def _known() -> dict[str, tuple[str, list[str]]]:
    """What ``_read_module`` found in earlier runs, by the digest of name and source: parsing them all takes a second.

    It lies with Python's own compiled files, and like these it is only a saving: lost, damaged or not to be written,
    it is made anew.
    """
    path = ROOT / "__pycache__" / f"code_versions.{sys.implementation.cache_tag}.json"
    known: dict[str, tuple[str, list[str]]] = {}
    with suppress(OSError, ValueError, AttributeError, TypeError):
        read = json.loads(path.read_text(encoding="utf-8"))
        known = {key: (str(digest), list(modules)) for key, (digest, modules) in read.items()}
    before = len(known)

    @atexit.register
    def keep() -> None:
        if len(known) == before or sys.dont_write_bytecode:
            return
        with suppress(OSError, SscError), atomic_path(path) as temporary:
            temporary.write_text(json.dumps(known), encoding="utf-8")

    return known


def _module_path(name: str) -> Path:
    path = _find_module(name)
    if path is None:
        raise SscError(f"no module {name} below {ROOT.parent}")
    return path


@cache
def _find_module(name: str) -> Path | None:
    places = [folder.joinpath(*name.split(".")) for folder in (ROOT.parent, ROOT / "_workflow")]
    files = (path for base in places for path in (base.with_suffix(".py"), base / "__init__.py"))
    return next((path for path in files if path.is_file()), None)


def _mentioned_modules(tree: ast.Module, module: str, *, is_package: bool) -> Iterator[str]:
    """Names that may be our modules: `from ssc_core.masks import rle` may name a module or a value."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in PACKAGES)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                package = parts if is_package else parts[:-1]
                base = ".".join([*package[: len(package) - node.level + 1], *([base] if base else [])])
            if base.split(".")[0] not in PACKAGES:
                continue
            yield from (base, *(f"{base}.{alias.name}" for alias in node.names))


def _written(value: Any) -> str:
    """A syntax tree as text, the same in every Python, which ``ast.dump`` is not: what is empty is left out, since
    versions differ in which fields there are, and in which of them are written where they hold nothing."""
    if isinstance(value, ast.AST):
        fields = (f"{name}={_written(held)}" for name, held in ast.iter_fields(value) if held not in (None, []))
        return f"{type(value).__name__}({', '.join(fields)})"
    return f"[{', '.join(map(_written, value))}]" if isinstance(value, list) else repr(value)


def _drop_what_says_nothing(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            # a docstring, and the bare strings that document module constants
            body = [n for n in node.body if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))]
            node.body = body or [ast.Pass()]
        elif isinstance(node, ast.JoinedStr):  # Python 3.12 has an empty text between two that are written side by side
            node.values = [n for n in node.values if not (isinstance(n, ast.Constant) and not n.value)]
