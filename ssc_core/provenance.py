"""Where a result comes from: digests of code, files and versions. Imports nothing heavy: the Snakefile uses it."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import platform
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from ssc_core.errors import SscError

ROOT = Path(__file__).resolve().parent
PACKAGE = ROOT.name

VALUE_MODULES = frozenset({"ssc_core.settings", "ssc_core.errors", "ssc_core.provenance"})
"""Modules that code_version() leaves out. Settings reach rules by value, as ``params``, and the other two change no
result; were they counted, a new key for one stage would rerun all stages."""


@cache
def code_version(*modules: str) -> str:
    """Digest of what the code of ``modules`` does: their syntax trees and those of every ssc_core module they import.

    Comments, docstrings and layout do not count, so that polishing prose reruns nothing. Returns 16 hex digits.
    Raises SscError when a module does not exist.
    """
    seen: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in seen or name in VALUE_MODULES:
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
    """Digest of one module's syntax tree, and the ssc_core modules that it imports (lazy imports included)."""
    path = _module_path(name)
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    imports = tuple(sorted(set(_ssc_imports(tree, name, is_package=path.name == "__init__.py"))))
    _drop_docstrings(tree)
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), imports


def _module_path(name: str) -> Path:
    base = ROOT.parent.joinpath(*name.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    raise SscError(f"no module {name} below {ROOT.parent}")


def _ssc_imports(tree: ast.Module, module: str, *, is_package: bool) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == PACKAGE)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                package = parts if is_package else parts[:-1]
                base = ".".join([*package[: len(package) - node.level + 1], *([base] if base else [])])
            if base.split(".")[0] != PACKAGE:
                continue
            yield base
            for alias in node.names:  # `from ssc_core.masks import rle` names a module, not a value
                if _exists(f"{base}.{alias.name}"):
                    yield f"{base}.{alias.name}"


def _exists(name: str) -> bool:
    base = ROOT.parent.joinpath(*name.split("."))
    return base.with_suffix(".py").is_file() or (base / "__init__.py").is_file()


def _drop_docstrings(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            # a docstring, and the bare strings that document module constants
            body = [n for n in node.body if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))]
            node.body = body or [ast.Pass()]
