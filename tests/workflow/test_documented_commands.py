"""The snakemake and `ssc run` commands of the README and the docs say to Snakemake what they say to the reader."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from snakemake.cli import get_argument_parser

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINE = re.compile(r"^(?: {4}|\$ )?(?:[A-Z_]+=\S+ )*((?:snakemake|ssc run) .*)$", re.MULTILINE)
CONTINUED = re.compile(r"\\\n\s*")
COMMANDS = [
    (page.name, line) for page in PAGES for line in LINE.findall(CONTINUED.sub("", page.read_text(encoding="utf-8")))
]


def test_the_pages_have_commands() -> None:
    assert {"first-steps.md", "plug-ins.md"} <= {page for page, _ in COMMANDS}


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_no_option_swallows_a_target(page: str, command: str) -> None:
    """``--configfile a.yaml results/x`` reads results/x as a second config file."""
    words = shlex.split(command.removeprefix("ssc "), comments=True)[1:]
    for part in "\n".join(words).split("\n&&\n"):
        said = get_argument_parser().parse_args([word for word in part.split("\n") if word != "snakemake"])
        assert all(Path(file).suffix in (".yaml", ".yml", ".json") for file in said.configfile or []), command
        assert all("=" in pair for pair in said.config or []), command
