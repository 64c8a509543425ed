"""The ``ssc`` commands of the README and the docs are ones that ``ssc`` understands. None is run."""

from __future__ import annotations

import re
import shlex

import pytest
from typer.main import get_command

from ssc_core.checkout import HOME
from ssc_core.cli.main import app

LINE = re.compile(r"^ {4}(ssc .*)$", re.MULTILINE)
PAGES = [HOME / "README.md", *sorted((HOME / "docs").glob("*.md"))]
COMMANDS = [(page.name, line) for page in PAGES for line in LINE.findall(page.read_text(encoding="utf-8"))]


def test_the_tutorials_have_commands() -> None:
    assert {"tutorial-own-data.md", "tutorial-refcoco.md"} <= {page for page, _ in COMMANDS}


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_every_command_is_understood(page: str, command: str) -> None:
    name, *arguments = shlex.split(command.replace("REF_ID", "1"), comments=True)[1:]
    commands = get_command(app).commands
    assert name in commands, f"{page}: ssc has no command {name}"
    commands[name].make_context(name, arguments)  # raises UsageError for what it does not know
