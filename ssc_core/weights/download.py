"""One address to one partial file, over unreliable lines, from servers that are not trusted.

A download goes on where it stopped, if the server can say that its file is still the same (RFC 9110, If-Range). What
arrives is checked against the caller's hashes later; here only its length is, and that it is no web page.
"""

from __future__ import annotations

import errno
import http.client
import json
import re
import shutil
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.cookiejar import CookieJar
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from tqdm import tqdm

from ssc_core.errors import SscError
from ssc_core.files import is_web_page
from ssc_core.http_in_time import PASSING, Deadline, opener
from ssc_core.weights.web_pages import MOST_PAGE, read_page

_CHUNK = 2**18
_MOST_PAGES = 2
"""Web pages on the way to a file."""
_GOOD_PROGRESS = 2**18
"""Bytes, beyond all that a call ever had, after which a broken connection does not count as a failed try."""
_HOPELESS = (socket.gaierror, ssl.SSLCertVerificationError, http.client.InvalidURL, ValueError, str)
"""Reasons that another try will not mend: an unknown host, a certificate that is not the host's, an address with a
blank, with letters that are none of ASCII, or of another protocol, of which urllib says so in words alone."""
_HEADERS = {"User-Agent": "ssc-fetch", "Accept-Encoding": "identity"}


class SourceFailed(SscError):
    """This source does not give the file; another one may."""


class _Broken(Exception):
    """The connection broke off; what arrived is kept."""


class _Stale(Exception):
    """What is here does not go with what the server has now; it must be thrown away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to bear with a server.

    tries: in a row without progress. timeout_s: seconds for an answer to begin, and without a byte. least_rate: bytes a
    second, over each timeout_s. pause_s: seconds after the first try. most_bytes: of a file.
    """

    tries: int = 4
    timeout_s: float = 60.0
    least_rate: float = 4096.0
    pause_s: float = 1.0
    most_bytes: int = 64 * 2**30


def download(url: str, part: Path, *, size: int | None = None, patience: Patience | None = None) -> None:
    """Fetch ``url`` into ``part``, from where an earlier call stopped. Proxies come from the environment.

    size: bytes that the file must have, None when not known. Beside ``part``, ``{part}.json`` notes whose bytes it has.
    Raises SourceFailed when the server refuses, lies about its size, or breaks off too often without any progress;
    SscError when the disk is too small.
    """
    patience = patience or Patience()
    failures, furthest = 0, _progress_of(part, url)[0]
    while True:
        try:
            _one_request(url, part, size, patience)
            return
        except _Stale:
            forget(part)
            problem = "what it sent before does not go with what it has now"
        except (_Broken, http.client.HTTPException, ValueError, OSError) as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise SscError(f"cannot write {part}: {error.strerror}; free some space, then run it again") from error
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            problem = str(reason) or type(error).__name__
            if isinstance(reason, _HOPELESS):
                raise SourceFailed(f"{url}: {problem}") from error
        # What has to be thrown away, or cannot be gone on from, comes again: it would be progress without an end.
        have = _progress_of(part, url)[0]
        failures = 0 if have - furthest >= _GOOD_PROGRESS else failures + 1
        furthest = max(furthest, have)
        if failures >= patience.tries:
            raise SourceFailed(f"{url}: {problem} ({failures} tries)")
        time.sleep(min(patience.pause_s * 2**failures, 60.0))


def size_at(url: str, patience: Patience) -> int | None:
    """Bytes of the file at ``url`` by its server's word; None where it gives none. The file is not fetched."""
    try:
        with _answer(url, _HEADERS, patience) as response:
            return _content_length(response.headers.get("Content-Length"))
    except (SourceFailed, _Broken, _Stale, http.client.HTTPException, ValueError, OSError):
        return None


def _one_request(url: str, part: Path, size: int | None, patience: Patience) -> None:
    """One GET. Returns when the file is whole; raises _Broken, _Stale, SourceFailed or OSError."""
    start, total, validator = _progress_of(part, url)
    if start and start == total:
        return
    headers = dict(_HEADERS)
    if start and validator:
        headers |= {"Range": f"bytes={start}-", "If-Range": validator}
    with _answer(url, headers, patience) as response:
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise SourceFailed(f"{url}: the server sends the file re-encoded, so that its bytes cannot be checked")
        if response.status == 206:
            total = _total_of_range(response.headers.get("Content-Range"), start)
        else:
            start, total = 0, _content_length(response.headers.get("Content-Length"))
        _check_total(url, total, size, patience)
        _check_space(part, (total or size or 0) - start)
        _note(part, url, response.headers, total)
        with part.open("r+b" if start else "wb") as file:
            file.seek(start)
            most = min(total or size or patience.most_bytes, patience.most_bytes)
            _copy(_steadily(response, patience), file, url, start, total, most)


def _answer(url: str, headers: dict[str, str], patience: Patience) -> http.client.HTTPResponse:
    """The answer that brings the file. Where the host first wants a large file to be confirmed, that is done."""
    cookies = CookieJar()
    asked = url
    for _ in range(1 + _MOST_PAGES):
        response = _get(urllib.request.Request(asked, headers=headers), cookies, patience)
        if response.status == 206 or not is_web_page(response.peek(512)):
            return response
        with response:
            content = b""
            for chunk in _steadily(response, patience):
                content += chunk
                if len(content) >= MOST_PAGE:
                    break
        page = read_page(content, response.url, {cookie.name: cookie.value or "" for cookie in cookies})
        if page.way_on is None:
            break
        _check_encrypted(response.url, page.way_on)
        asked = page.way_on
    raise SourceFailed(
        f"{url}: a web page came instead of the file, and says: {page.text!r}. Open the address in a browser to see "
        "what the host wants"
    )


def _get(request: urllib.request.Request, cookies: CookieJar, patience: Patience) -> Any:
    """The answer as soon as it has begun. Redirects are followed."""
    try:
        with Deadline(patience.timeout_s) as deadline:
            return opener(
                deadline,
                urllib.request.HTTPCookieProcessor(cookies),
                urllib.request.HTTPDefaultErrorHandler(),
                _SafeRedirects(),
                urllib.request.HTTPErrorProcessor(),
            ).open(request, timeout=patience.timeout_s)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:
            raise _Stale from error
        if error.code in PASSING:
            raise _Broken(f"the server says {error.code} {error.reason}") from error
        raise SourceFailed(f"{request.full_url}: the server says {error.code} {error.reason}") from error


def _steadily(response: http.client.HTTPResponse, patience: Patience) -> Iterator[bytes]:
    """What arrives, as it arrives. Raises _Broken where it drips: a socket's timeout begins anew with every byte."""
    since, arrived = time.monotonic(), 0
    while chunk := response.read1(_CHUNK):
        yield chunk
        arrived += len(chunk)
        waited = time.monotonic() - since
        if waited >= patience.timeout_s:
            if arrived < waited * patience.least_rate:
                raise _Broken(f"only {arrived} bytes came in {waited:.0f} s")
            since, arrived = time.monotonic(), 0


def _copy(chunks: Iterator[bytes], file: IO[bytes], url: str, start: int, total: int | None, most: int) -> None:
    name = Path(urlsplit(url).path).name
    with tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=name, mininterval=2.0) as bar:
        have = start
        for chunk in chunks:
            have += len(chunk)
            if have > most:
                raise SourceFailed(f"{url}: the server sends more than {most} bytes")
            file.write(chunk)
            bar.update(len(chunk))
    if total is not None and have < total:
        raise _Broken(f"the connection broke off at {have} of {total} bytes")


def _progress_of(part: Path, url: str) -> tuple[int, int | None, str | None]:
    """Bytes that are here, of how many, and what the server calls the file; 0 bytes when they are not this url's."""
    try:
        note = json.loads(_note_of(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0, None, None
    if not isinstance(note, dict) or note.get("url") != url or not isinstance(note.get("validator"), str):
        return 0, None, None
    return _length(part), note.get("total"), note["validator"]


def _note(part: Path, url: str, headers: Any, total: int | None) -> None:
    etag = headers.get("ETag", "")
    # A weak ETag promises the same meaning, not the same bytes (RFC 9110, 8.8.3).
    validator = etag if etag.startswith('"') else headers.get("Last-Modified")
    _note_of(part).write_text(json.dumps({"url": url, "validator": validator, "total": total}), encoding="utf-8")


def _note_of(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def forget(part: Path) -> None:
    """Throw a partial download away."""
    part.unlink(missing_ok=True)
    _note_of(part).unlink(missing_ok=True)


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _total_of_range(header: str | None, start: int) -> int:
    found = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", header or "")
    if found is None or int(found[1]) != start or int(found[2]) + 1 != int(found[3]):
        raise _Stale
    return int(found[3])


def _content_length(header: str | None) -> int | None:
    return int(header) if header and re.fullmatch(r"\d{1,18}", header) else None


def _check_total(url: str, total: int | None, size: int | None, patience: Patience) -> None:
    if total is None:
        return
    if size is not None and total != size:
        raise SourceFailed(f"{url}: the server has a file of {total} bytes, the right one has {size}")
    if total > patience.most_bytes:
        raise SourceFailed(f"{url}: {total} bytes, over the limit of {patience.most_bytes}")


def _check_space(part: Path, wanted: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if wanted > free:
        raise SscError(f"{part.parent} has {free >> 20} MiB free, {wanted >> 20} MiB are needed; free some space there")


def _check_encrypted(url: str, following: str) -> None:
    if urlsplit(url).scheme == "https" and urlsplit(following).scheme != "https":
        raise SourceFailed(f"{url}: leads from https to {following}, which is not encrypted; refused")


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        _check_encrypted(req.full_url, newurl)
        fp.close()  # or urllib would read all that comes with the redirect, into memory and without an end
        return super().redirect_request(req, fp, code, msg, headers, newurl)
