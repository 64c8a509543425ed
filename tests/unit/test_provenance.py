from __future__ import annotations

from pathlib import Path

import pytest

from ssc_core import provenance
from ssc_core.errors import SscError
from tests.unit.forgotten_digests import forget_digests


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A package where main imports helper, sub.deep and settings; gives the digest of main after edits."""
    root = tmp_path / "ssc_core"
    (root / "sub").mkdir(parents=True)
    (root / "config").mkdir()
    files = {
        "__init__.py": "",
        "main.py": "from ssc_core import helper\nfrom ssc_core.config.settings import X\n\n"
        "def f():\n    from .sub import deep\n    return helper.g() + deep.h() + X\n",
        "helper.py": "def g():\n    return 1\n",
        "config/settings.py": "X = 1\n",
        "other.py": "Y = 1\n",
        "sub/__init__.py": "",
        "sub/deep.py": "def h():\n    return 2\n",
    }
    for name, text in files.items():
        (root / name).write_text(text)
    monkeypatch.setattr(provenance, "ROOT", root)

    def digest(**edits: str) -> str:
        for name, text in edits.items():
            (root / f"{name.replace('__', '/')}.py").write_text(text)
        forget_digests()
        return provenance.code_version("ssc_core.main")

    yield digest
    forget_digests()


def test_names_of_plug_ins_and_what_only_refuses_files_do_not_count(package) -> None:
    before = package(main="import ssc_core.registry\nfrom ssc_core.tensor_checks import check\nX = 1\n")
    assert package(registry="REGISTRY = {}\n", tensor_checks="def check():\n    return 1\n") == before
    assert package(registry="REGISTRY = {1: 2}\n", tensor_checks="def check():\n    return 2\n") == before
    assert package(main="X = 1\n") != before


def test_what_was_parsed_is_kept_and_only_a_saving(package, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []
    monkeypatch.setattr(provenance.atexit, "register", kept.append)
    monkeypatch.setattr(provenance.sys, "dont_write_bytecode", False)
    provenance._known.cache_clear()
    before = package()
    kept[-1]()  # as at the end of the process
    (file,) = (provenance.ROOT / "__pycache__").glob("code_versions.*.json")

    provenance._known.cache_clear()
    with monkeypatch.context() as unparsed:
        unparsed.setattr(provenance.ast, "parse", None)
        assert package() == before
    assert package(helper="def g():\n    return 3\n") != before

    for damaged in ("{", "[1]", '{"a": 1}', '{"a": [1, 2, 3]}'):
        file.write_text(damaged)
        provenance._known.cache_clear()
        assert package(helper="def g():\n    return 1\n") == before
    provenance._known.cache_clear()


def test_a_module_that_is_new_counts_though_its_importer_is_known(package) -> None:
    before = package(main="from ssc_core.sub import late\n")
    assert package(sub__late="Z = 1\n") != before


@pytest.mark.parametrize(
    "edits",
    [
        {"helper": '"""Doc."""\n\n\ndef g():\n    """What."""\n    # why\n    return 1\n'},
        {"other": "Y = 2\n"},
        {"settings": "X = 2\n"},  # settings reach a rule by value
    ],
)
def test_prose_and_strangers_do_not_count(package, edits: dict[str, str]) -> None:
    assert package() == package(**edits)


@pytest.mark.parametrize(
    "edits",
    [
        {"helper": "def g():\n    return 3\n"},
        {"sub__deep": "def h():\n    return 3\n"},  # imported inside a function, relatively
        {"main": "def f():\n    return 1\n"},
    ],
)
def test_code_of_a_module_and_of_its_imports_counts(package, edits: dict[str, str]) -> None:
    assert package() != package(**edits)


def test_the_digest_is_the_same_in_every_python(package) -> None:
    """These are what 3.11, 3.12 and 3.13 have, whose `ast.dump` differ."""
    source = "class A:\n    def f(self, *, a=None, **k):\n        return f'{a}' f'{k}', {**k}, [], lambda: 0\n"
    assert package(main=source) == "30897e0c279c5a11"


def test_what_was_kept_in_another_form_is_not_taken(package, monkeypatch: pytest.MonkeyPatch) -> None:
    before = package()
    monkeypatch.setattr(provenance, "_FORM", 0)
    monkeypatch.setattr(provenance, "_written", lambda tree: "another")
    assert package() != before


def test_a_missing_module_is_named() -> None:
    with pytest.raises(SscError, match=r"ssc_core\.nowhere"):
        provenance.code_version("ssc_core.nowhere")


def test_tree_digest_sees_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    first = provenance.tree_sha256(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    second = provenance.tree_sha256(tmp_path)
    (tmp_path / "b").write_text("2")
    assert len({first, second, provenance.tree_sha256(tmp_path)}) == 3
