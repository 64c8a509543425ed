"""The ``ssc`` commands of README, docs and templates exist, with their options and as many arguments as they take."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from ssc_core.cli.main import app
from ssc_core.cli.run import PassOn

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "config/README.md"]
LINE = re.compile(r"^ {4}(ssc [a-z].*)$", re.MULTILINE)
CODE = re.compile(r"`(ssc [a-z][^`]*)`")
COMMANDS = get_command(app).commands


def written(pattern: re.Pattern[str]) -> list[tuple[str, str]]:
    found = ((page.name, line) for page in PAGES for line in pattern.findall(page.read_text(encoding="utf-8")))
    return sorted(set(found))


def words_of(line: str) -> list[str]:
    return shlex.split(" ".join(line.replace("REF_ID", "1").split()), comments=True)[1:]


def test_the_tutorials_have_commands() -> None:
    assert {"tutorial-own-data.md", "tutorial-refcoco.md"} <= {page for page, _ in written(LINE)}


@pytest.mark.parametrize(("page", "line"), written(LINE))
def test_a_line_is_understood(page: str, line: str) -> None:
    name, *words = words_of(line)
    command = COMMANDS[name]
    if isinstance(command, PassOn):
        return  # Snakemake's options: tests/workflow/test_documented_commands.py
    command.make_context(name, words)  # parses alone; raises UsageError


@pytest.mark.parametrize(("page", "line"), written(CODE))
def test_what_is_named_in_a_sentence_exists(page: str, line: str) -> None:
    name, *words = words_of(line)
    command = COMMANDS[name]
    known = {text for one in command.params for text in one.opts} | {"--help"}
    if not isinstance(command, PassOn):
        assert {word.partition("=")[0] for word in words if word.startswith("--") and word != "--"} <= known
