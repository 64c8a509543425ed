"""What ``--help`` prints is what was written: no bracket is swallowed, no percent sign breaks it."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from ssc_core.cli.main import app

ROOT = Path(__file__).parents[3]
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]
SCRIPTS = sorted(p.stem for p in (ROOT / "workflow_scripts").glob("[a-z]*.py") if "run(main)" in p.read_text())


def squeezed(text: str | None) -> str:
    """Without white space, which wrapping changes."""
    return re.sub(r"\s+", "", text or "")


@pytest.mark.parametrize("name", COMMANDS)
def test_ssc_help_is_complete(name: str) -> None:
    command = COMMANDS[name]
    shown = CliRunner().invoke(app, [name, "--help"])
    assert shown.exit_code == 0, shown.output
    for text in (command.help, *(parameter.help for parameter in command.params if hasattr(parameter, "help"))):
        assert squeezed(text) in squeezed(shown.output)


def test_brackets_of_an_extra_are_shown() -> None:
    assert "pip install 'segment-select-correct[serve]'" in re.sub(
        r"\s+", " ", CliRunner().invoke(app, ["serve", "--help"]).output
    )


def test_brackets_of_what_was_typed_are_shown() -> None:
    assert "[bold]x" in CliRunner().invoke(app, ["[bold]x"]).output


@pytest.mark.parametrize("name", SCRIPTS)
def test_workflow_scripts_say_what_they_do(name: str, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module(f"workflow_scripts.{name}", run_name="__main__", alter_sys=True)
    assert end.value.code == 0
    shown = capsys.readouterr().out
    first = (ROOT / "workflow_scripts" / f"{name}.py").read_text().splitlines()[0].strip('"')
    assert squeezed(first) in squeezed(shown)
