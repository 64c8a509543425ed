"""Which module may import which: the table of rooms in docs/architecture.md, read off the imports themselves."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from ssc_core import provenance
from tests.unit.forgotten_digests import forget_digests

STAGES = ("segment", "select", "correct", "evaluate")
PROJECT = ("ssc_core", "microworld", "workflow_scripts")


def imports(node: ast.AST, *, lazy: bool) -> Iterator[str]:
    """Modules that code names in imports; lazy: in functions, too. Imports for type checkers alone do not count."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not lazy:
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute in this project"
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        yield from imports(child, lazy=lazy)


@pytest.fixture(scope="module")
def graph(root: Path) -> dict[bool, dict[str, set[str]]]:
    """By whether lazy imports count: module to the project's modules that it imports."""
    files = {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for package in PROJECT
        for path in (root / package).rglob("*.py")
    }
    trees = {name: ast.parse(path.read_bytes()) for name, path in files.items()}
    return {
        lazy: {
            name: {module for found in imports(tree, lazy=lazy) if (module := module_of(found, files))}
            for name, tree in trees.items()
        }
        for lazy in (False, True)
    }


def module_of(name: str, modules: Collection[str]) -> str | None:
    """The module that a name is, or is a value of."""
    return next((found for found in (name, name.rpartition(".")[0]) if found in modules), None)


def arrows(modules: dict[str, set[str]], source: str, targets: tuple[str, ...]) -> list[str]:
    def inside(name: str, package: str) -> bool:
        return name == package or name.startswith(f"{package}.")

    return [
        f"{name} -> {found}"
        for name in modules
        if inside(name, source)
        for found in modules[name]
        if any(inside(found, target) for target in targets)
    ]


def test_the_config_is_the_ground_floor(graph: dict[bool, dict[str, set[str]]]) -> None:
    below = ("ssc_core.config", "ssc_core.errors", "ssc_core.files", "ssc_core.registry")
    found = {name for module, named in graph[True].items() if module.startswith("ssc_core.config") for name in named}
    assert [name for name in found if not name.startswith(below)] == []


@pytest.mark.parametrize("stage", STAGES)
def test_stages_do_not_import_each_other(graph: dict[bool, dict[str, set[str]]], stage: str) -> None:
    others = tuple(f"ssc_core.{other}" for other in STAGES if other != stage)
    assert arrows(graph[True], f"ssc_core.{stage}", others) == []


def test_nothing_below_names_what_is_above(graph: dict[bool, dict[str, set[str]]]) -> None:
    assert arrows(graph[True], "ssc_core", ("microworld", "workflow_scripts")) == []
    assert arrows(graph[True], "microworld", ("workflow_scripts",)) == []
    by_package = [name for name, named in graph[True].items() if "ssc_core" in named]
    assert by_package == [], "the package loads `ssc_core.api`, which imports all below it"
    above = ("ssc_core.report", "ssc_core.predict", "ssc_core.cli")
    assert [arrow for stage in STAGES for arrow in arrows(graph[True], f"ssc_core.{stage}", above)] == []


def test_no_module_needs_itself_in_a_circle(graph: dict[bool, dict[str, set[str]]]) -> None:
    assert circle(graph[False]) == []


def test_names_are_imported_from_where_they_are_defined(root: Path) -> None:
    """``ssc_core.backends`` is the exception: the door at which plug-ins find their contract (docs/plug-ins.md)."""
    files = {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for package in PROJECT
        for path in (root / package).rglob("*.py")
    }
    passed_on = {
        f"{module}.{name}"
        for module, path in files.items()
        for node in ast.parse(path.read_bytes()).body
        if isinstance(node, ast.ImportFrom)
        for name in (alias.asname or alias.name for alias in node.names)
    }
    found = [
        f"{importer}: {name}"
        for importer, path in files.items()
        for name in imports(ast.parse(path.read_bytes()), lazy=True)
        if name in passed_on and name not in files and not name.startswith("ssc_core.backends.")
    ]
    assert found == []


def test_no_package_needs_itself_in_a_circle(graph: dict[bool, dict[str, set[str]]]) -> None:
    rooms: dict[str, set[str]] = {}
    for module, named in graph[True].items():
        room = rooms.setdefault(room_of(module), set())
        room |= {room_of(name) for name in named} - {room_of(module)}
    assert circle(rooms) == []


def room_of(module: str) -> str:
    """A module of a package, or one beside the packages: ``ssc_core.masks``, ``ssc_core.files``, ``microworld``."""
    return ".".join(module.split(".")[: 2 if module.startswith("ssc_core.") else 1])


def circle(arrows: dict[str, set[str]]) -> list[str]:
    """The first circle that is found, its first name again at the end; empty without one."""
    finished: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name not in finished:
            for found in sorted(arrows[name]):
                if way := walk(found, [*path, name]):
                    return way
            finished.add(name)
        return []

    return next((way for name in arrows if (way := walk(name, []))), [])


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.fixture
def copied(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the code that digests are made from."""
    for package in PROJECT:
        shutil.copytree(root / package, tmp_path / package, ignore=lambda _, names: set(names) & {"__pycache__"})
    monkeypatch.setattr(provenance, "ROOT", tmp_path / "ssc_core")
    forget_digests()
    yield tmp_path
    forget_digests()


TRAINING = ("trainer", "train_stage", "loggers", "losses", "batches", "run_state", "start", "targets")


@pytest.mark.parametrize("calls", ["workflow_scripts.evaluate", "ssc_core.correct.choose", "ssc_core.cli.predict"])
def test_an_edit_of_training_or_of_downloads_evaluates_nothing_again(copied: Path, calls: str) -> None:
    before = provenance.code_version(calls)
    for module in (*(f"correct/{name}" for name in TRAINING), "weights/unpack", "weights/fetch"):
        assert edited(copied / f"ssc_core/{module}.py", calls) == before, module
    assert edited(copied / "ssc_core/correct/predictor.py", calls) != before


@pytest.mark.parametrize("script", ["evaluate", "evaluate_masks", "evaluate_chosen", "evaluate_grounded"])
def test_an_edit_of_what_eval_files_say_of_their_origin_evaluates_again(copied: Path, script: str) -> None:
    calls = f"workflow_scripts.{script}"
    before = provenance.code_version(calls)
    assert edited(copied / "workflow_scripts/_script.py", calls) == before  # reads command lines, of all jobs
    assert edited(copied / "workflow_scripts/_evaluation.py", calls) != before


def edited(path: Path, calls: str) -> str:
    """The digest of ``calls`` after an edit of a module that it may import."""
    with path.open("a") as file:
        file.write("EDITED = 1\n")
    forget_digests()
    return provenance.code_version(calls)


@pytest.mark.parametrize(
    ("files", "most"), [("rules/*.smk", 150), ("Snakefile", 150), *((f"{package}/**/*.py", 400) for package in PROJECT)]
)
def test_a_file_has_one_subject(root: Path, files: str, most: int) -> None:
    found = list(root.glob(files))
    assert found
    long = {path.name: lines for path in found if (lines := len(path.read_text(encoding="utf-8").splitlines())) > most}
    assert not long, f"more than {most} lines: part them by subject"
