"""Web pages that come where a file was asked for: what they say, and how a host wants a large file to be confirmed.

Google Drive puts a page before files that it has not scanned for viruses: a form to be sent, in older pages a link, or
a cookie with the word to be added to the address. Pages come from strangers: `html.parser` takes minutes for some of
64 KiB, so that only tags are looked for here, each once.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

MOST_PAGE = 2**16
"""Bytes of a page that are read."""
_MOST_TEXT = 300
_TAG = re.compile(r"<(/?[a-z][a-z0-9]*)\b([^<>]{0,2000})>|<!--|<![^<>]*>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""(?<![\w-])([\w-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'<>]+))""")
_COOKIE = "download_warning"
_WORD = "confirm"


@dataclass(frozen=True, slots=True)
class WebPage:
    """text: what it says, shortened. way_on: the address of the file behind it, None when it offers none."""

    text: str
    way_on: str | None


def read_page(content: bytes, url: str, cookies: Mapping[str, str]) -> WebPage:
    """The page that ``url`` gave, and the cookies that came with it. At most MOST_PAGE bytes are looked at."""
    page = content[:MOST_PAGE].decode("utf-8", "replace")
    words = (word for name, word in cookies.items() if name.startswith(_COOKIE))
    by_cookie = (_with(url, {_WORD: word}) for word in words)
    return WebPage(_text(page), next((way for way in (*_ways_on(page, url), *by_cookie) if way), None))


def _text(page: str) -> str:
    words: list[str] = []
    end = 0
    quiet = None
    for tag in (*_TAG.finditer(page), None):
        if quiet is None:
            words += page[end : tag.start() if tag else None].split()
        if tag is not None:
            name, end = (tag[1] or "").lower(), tag.end()
            quiet = name if name in ("script", "style") else None if name == f"/{quiet}" else quiet
    text = html.unescape(" ".join(words)[:_MOST_TEXT])
    return "".join(letter for letter in text if letter.isprintable())


def _ways_on(page: str, url: str) -> Iterator[str]:
    """Addresses of forms and links that confirm a download."""
    action = ""
    fields: dict[str, str] | None = None
    for tag in _TAG.finditer(page):
        name = (tag[1] or "").lower()
        found = _attributes(tag[2]) if name in ("form", "input", "a") else {}
        if name == "form":
            action, fields = found.get("action", ""), {} if found.get("method", "get").lower() == "get" else None
        elif name == "input" and fields is not None:
            fields[found.get("name", "")] = found.get("value", "")
        elif name == "/form" and fields and _WORD in fields:
            fields.pop("", None)
            yield _with(_joined(url, action), fields)
        elif name == "a" and _WORD in dict(parse_qsl(urlsplit(link := _joined(url, found.get("href", ""))).query)):
            yield link


def _joined(url: str, link: str) -> str:
    try:
        return urljoin(url, link)
    except ValueError:  # no address at all, such as http://[
        return url


def _attributes(text: str) -> dict[str, str]:
    return {m[1].lower(): html.unescape(m[2] or m[3] or m[4] or "") for m in _ATTRIBUTE.finditer(text)}


def _with(url: str, fields: Mapping[str, str]) -> str:
    parts = urlsplit(url)
    return parts._replace(query=urlencode({**dict(parse_qsl(parts.query)), **fields})).geturl()
