"""Links between the pages of the documentation, and into the code, lead somewhere."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("**/*.md")),
    *sorted((ROOT / "resources").glob("**/README.md")),
]


def prose(page: Path) -> str:
    """The page without its code blocks and code spans."""
    text = re.sub(r"^(```|~~~).*?^\1", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(page: Path) -> set[str]:
    """Ids of the headings, as GitHub makes them."""
    found: set[str] = set()
    text = re.sub(r"^(```|~~~).*?^\1", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for heading in re.findall(r"^#{1,6}\s+(.+?)\s*#*$", text, flags=re.M):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        kept = "".join(c for c in words if c in " -_" or unicodedata.category(c)[0] in "LN")
        name = kept.replace(" ", "-")
        count = sum(1 for other in found if re.fullmatch(re.escape(name) + r"(-\d+)?", other))
        found.add(f"{name}-{count}" if count else name)
    return found


def links(page: Path) -> list[str]:
    """Targets of links and pictures, but for those on the web."""
    text = prose(page)
    targets = re.findall(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)", text)
    targets += re.findall(r"^\[[^]]+\]:\s*(\S+)", text, flags=re.M) + re.findall(r"(?:src|href)=\"([^\"]+)\"", text)
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


TEXTS = [
    *PAGES,
    ROOT / "config.yaml",
    ROOT / "Makefile",
    *(ROOT / "presets").glob("*"),
    *(ROOT / "profiles").rglob("*.*"),
]


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_page_names_a_file_outside_the_repository(page: Path) -> None:
    """Commands and code spans too: a reader has no folder beside the checkout, and no path of somebody's machine."""
    text = re.sub(r"\]\([^)]*\)", "", page.read_text(encoding="utf-8"))  # links are looked at below
    assert not re.findall(r"(?<![\w.])\.\./[\w.-]+|(?<![\w.:/])/(?:work|root|home/\w)[\w./-]*", text)


def test_there_are_pages_with_links() -> None:
    assert sum(len(links(page)) for page in PAGES) > 3


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in links(page):
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.is_relative_to(ROOT), f"{page.name}: {target} leaves the project"
        assert place.exists(), f"{page.name}: {target} does not exist"
        if anchor and place.suffix == ".md":
            assert anchor in anchors(place), (
                f"{page.name}: {target}: no such heading; there are {sorted(anchors(place))}"
            )
