"""Web pages of hosts, and pages that were made to be slow to read."""

from __future__ import annotations

import pytest

from ssc_core.files import is_web_page
from ssc_core.weights.web_pages import MOST_PAGE, read_page
from tests.patience import grows_linearly
from tests.unit.weights.conftest import QUOTA, WARNING

URL = "https://drive.google.com/uc?export=download&id=1"


@pytest.mark.parametrize(
    ("head", "page"),
    [
        (b"<!DOCTYPE html>", True),
        (b"\xef\xbb\xbf\n <HTML lang=en>", True),
        (b"<!-- saved from -->", True),
        (b"<head>", True),
        (b"PK\x03\x04", False),
        (b"\x80\x02}", False),
        (b"<annotation>", False),
        (b"", False),
    ],
)
def test_a_web_page_is_known_by_its_content(head: bytes, page: bool) -> None:
    assert is_web_page(head) is page


def test_a_form_leads_on_with_its_fields() -> None:
    page = read_page(
        WARNING.format(action="https://drive.usercontent.google.com/download?authuser=0").encode(), URL, {}
    )
    assert page.way_on == (
        "https://drive.usercontent.google.com/download?authuser=0&id=file-1&export=download&confirm=t&uuid=a-b%26c"
    )
    assert page.text == "Google Drive - Virus scan warning Google Drive can't scan this file for viruses."


@pytest.mark.parametrize(
    "page",
    [
        QUOTA,
        '<html><form method="post" action="/x"><input name="confirm" value="t"></form>',
        '<html><form action="/login"><input name="password"></form><a href="/help">help</a>',
        '<html><a href="http://[">confirm</a><form action="http://["></form>',
        "<html>",
    ],
)
def test_a_page_that_confirms_nothing_leads_nowhere(page: str) -> None:
    assert read_page(page.encode(), URL, {"other": "x"}).way_on is None


def test_what_a_page_says_is_short_and_harms_no_terminal() -> None:
    text = read_page(b"<html>\x1b[2J" + b"a &#27; &lt; " * 1000, URL, {}).text
    assert len(text) <= 300
    assert text.isprintable()
    assert "<" in text


TAGS = ["<a ", "<a b='", '<a b="c', "<a/", "<!--", "</", "<![", "<form>", "<script>", "<input name=confirm>"]
SLOW = [*TAGS, "&#9", " ", "<a href=?confirm>", "<a " + "a=" * 900 + ">", "<a " + "a" * 1900 + ">"]


@pytest.mark.parametrize("unit", SLOW)
def test_no_page_takes_long(unit: str) -> None:
    content = (unit * MOST_PAGE).encode()

    def read(size: int) -> None:
        is_web_page(content[:size])
        read_page(content[:size], URL, {})

    assert grows_linearly(read, MOST_PAGE)
