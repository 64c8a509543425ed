"""Nothing here runs what it reads: the calls that could are not made. Read off the syntax trees."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path
    for folder in ("ssc_core", "microworld", "workflow_scripts", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
)
FORBIDDEN = {
    "eval", "exec", "os.system", "os.popen", "pickle.load", "pickle.loads", "pickle.Unpickler", "yaml.load",
    "yaml.unsafe_load", "yaml.full_load", "marshal.loads", "marshal.load", "shelve.open", "pd.read_pickle",
    "joblib.load", "torch.hub.load", "shutil.unpack_archive", "subprocess.getoutput", "subprocess.getstatusoutput",
}  # fmt: skip


def problems(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if name in FORBIDDEN:
            yield f"line {node.lineno}: {name}"
        if name.endswith((".extractall", ".extract")):
            yield f"line {node.lineno}: {name}"
        if name == "torch.load" and options.get("weights_only") != "True":
            yield f"line {node.lineno}: torch.load without weights_only=True"
        if name == "Image.open" and "formats" not in options:
            yield f"line {node.lineno}: Image.open without formats"
        if options.get("shell") == "True":
            yield f"line {node.lineno}: shell=True"
        if options.get("allow_pickle") == "True":
            yield f"line {node.lineno}: allow_pickle=True"


@pytest.mark.parametrize(
    "bad",
    ["eval('1')", "pickle.load(f)", "torch.load(f)", "torch.load(f, weights_only=False)", "run(x, shell=True)",
     "np.load(f, allow_pickle=True)", "archive.extractall(x)", "yaml.load(f)", "Image.open(path)"],
)  # fmt: skip
def test_an_unsafe_call_is_seen(bad: str) -> None:
    assert list(problems(bad))


def test_no_unsafe_calls() -> None:
    found = [
        f"{path.relative_to(ROOT)}, {what}" for path in FILES for what in problems(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_values_in_shell_lines_of_rules_are_quoted() -> None:
    """Names of files, datasets and settings come from configs. The others are numbers, names that stand in the rules
    themselves, or options that ``shlex.quote`` made (``params.files``, ``params.joint``)."""
    plain = re.compile(
        r"\{(threads|resources\.\w+|wildcards\.(name|kind|shards?)|params\.(check|limit|skip|files|joint|method|build|out))\}"
    )
    for path in sorted((ROOT / "rules").glob("*.smk")):
        for block in re.findall(r"\n    shell:\n((?:        .*\n)+)", path.read_text(encoding="utf-8")):
            shown = re.sub(r'calls\(\s*"[^"]*"', "", block)  # the name of a stage, which no shell sees
            for field in re.findall(r"(?<!\{)\{[a-z][^{}]*\}(?!\})", shown):
                assert field.endswith(":q}") or plain.fullmatch(field), f"{path.name}: {field} without :q"
