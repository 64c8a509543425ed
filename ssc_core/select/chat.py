"""Log probabilities of an answer's first token, from a server with the OpenAI chat format: vLLM, llama.cpp, Ollama.

Servers are not trusted: what they send is bounded in size and time, and checked. The key is read from an environment
variable, sent in a header, and goes nowhere else.
"""

from __future__ import annotations

import http.client
import json
import logging
import os
import random
import re
import threading
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import urlsplit

from ssc_core.errors import SscError
from ssc_core.http_in_time import PASSING, Deadline, opener
from ssc_core.select.answers import checked_token

log = logging.getLogger(__name__)

_MOST_ANSWER = 2**22
"""Bytes of an answer."""
_MOST_SAID = 10_000
"""Letters of an error that are looked at."""
_CHUNK = 2**16
_LONGEST_PAUSE = 300.0
"""Seconds that a server may ask for."""


class _Failed(Exception):
    """This try gave nothing, another may. after: seconds that the server asked for."""

    def __init__(self, problem: str, after: float | None = None) -> None:
        super().__init__(problem)
        self.after = after


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to bear with a server: tries of a request, seconds for a whole answer, seconds after the first try."""

    tries: int
    timeout_s: float
    pause_s: float


class ChatServer:
    """One server. Threads may share it.

    address: of the API, as ``http://localhost:8000/v1``. key_variable: environment variable with its key, None for a
    server that asks for none. before: called before every request; what it raises stops the request.

    Raises SscError for an address that is none, and a variable that is not set.
    """

    def __init__(
        self, address: str, key_variable: str | None, patience: Patience, before: Callable[[], None] = lambda: None
    ) -> None:
        self._address, self._key_variable = checked_address(address), key_variable
        self._patience, self._before = patience, before
        key = _key(key_variable)
        self._hidden = lambda text: text.replace(key, "***") if key else text
        self._headers = {"User-Agent": "ssc", "Accept-Encoding": "identity", "Content-Type": "application/json"}
        self._headers |= {"Authorization": f"Bearer {key}"} if key else {}

    def ask(self, request: Mapping[str, Any], stopped: threading.Event) -> tuple[list[tuple[str, float]], int]:
        """The likely tokens at the beginning of the answer, with log probabilities, and how many tokens were used.

        request: the body; stopped: no other try once it is set. Raises SscError when the server refuses, or gives
        nothing usable in all tries.
        """
        body = json.dumps(request).encode()
        for turn in range(self._patience.tries):
            self._before()
            try:
                return read_answer(self._send(body))
            except _Failed as failed:
                problem = failed
            if turn + 1 == self._patience.tries:
                break
            pause = self._pause(turn, problem.after)
            log.warning("%s: %s; trying again in %.0f s", self._address, problem, pause)
            if stopped.wait(pause):
                break
        raise SscError(
            f"{self._address} gave no answer in {turn + 1} tries: {problem}. What was answered before is kept; "
            "run the same command again to go on"
        )

    def _pause(self, turn: int, after: float | None) -> float:
        """Seconds: as the server asked, or twice as many each time, spread, so that threads do not march in step."""
        if after is not None:
            return min(after, _LONGEST_PAUSE)
        return min(self._patience.pause_s * 2**turn, _LONGEST_PAUSE) * random.uniform(0.75, 1.25)

    def _send(self, body: bytes) -> Any:
        status, headers, content = self._exchange(body)
        if status in PASSING:
            raise _Failed(f"HTTP {status} ({self._said(content)})", _retry_after(headers))
        if status != 200:
            self._refused(status, content)
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise _Failed("an answer that is not JSON") from error

    def _exchange(self, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and content of the answer. Raises _Failed unless all of it comes in time."""
        seconds = self._patience.timeout_s
        request = urllib.request.Request(f"{self._address}/chat/completions", body, self._headers)
        try:
            with Deadline(seconds) as deadline, opener(deadline).open(request, timeout=seconds) as response:
                return response.status, response.headers, _content(response)
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise _Failed(_plain(str(reason)) or "the connection broke off") from error

    def _said(self, content: bytes) -> str:
        """What a server says of an error, short, on one line, and without the key, which some repeat."""
        try:
            value = json.loads(content)
            error = value.get("error", value)
            text = error.get("message", "") if isinstance(error, dict) else error
        except (ValueError, RecursionError, AttributeError):
            text = content.decode("utf-8", "replace")
        return _plain(self._hidden(str(text)[:_MOST_SAID])) or "it says nothing more"

    def _refused(self, status: int, content: bytes) -> NoReturn:
        if status in (401, 403):
            where = f"the key in ${self._key_variable}" if self._key_variable else "a request without a key"
            raise SscError(f"{self._address} refuses {where} (HTTP {status}); see `api_key_env` in docs/chooser.md")
        if 300 <= status < 400:
            raise SscError(
                f"{self._address} sends requests elsewhere (HTTP {status}), where the key would follow; refused"
            )
        advice = "; does the address end as the server's own, often in /v1, and is `served_model` its name there?" * (
            status == 404
        )
        raise SscError(f"{self._address} refuses the request: HTTP {status} ({self._said(content)}){advice}")


def _content(response: http.client.HTTPResponse) -> bytes:
    content = bytearray()
    while chunk := response.read1(_CHUNK):
        content += chunk
        if len(content) > _MOST_ANSWER:
            raise _Failed(f"an answer of more than {_MOST_ANSWER >> 20} MiB")
    return bytes(content)


def read_answer(value: Any) -> tuple[list[tuple[str, float]], int]:
    """The tokens that may stand at the answer's first place that is not blank, and how many tokens were used.

    Raises SscError for an answer without log probabilities, and _Failed for what is none at all.
    """
    try:
        choice = value["choices"][0]
        choice["message"]
    except (KeyError, IndexError, TypeError) as error:
        raise _Failed("an answer that has no `choices[0].message`") from error
    places = (choice.get("logprobs") or {}).get("content") if isinstance(choice.get("logprobs"), dict | None) else None
    if not places:
        raise SscError(
            "the server's answer has no log probabilities, which are all that a choice is read from. vLLM, llama.cpp's "
            "server and recent ones of Ollama give them; models that think first often do not"
        )
    try:
        tokens = [[checked_token(one["token"], one["logprob"]) for one in _alternatives(place)] for place in places[:8]]
        blank = [not place["token"].strip() for place in places[:8]]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _Failed("log probabilities of another form than OpenAI's") from error
    first = next((found for found, empty in zip(tokens, blank, strict=True) if not empty), tokens[0])
    usage = value.get("usage")
    used = usage.get("total_tokens") if isinstance(usage, dict) else None
    return first, used if isinstance(used, int) else 0


def _alternatives(place: Any) -> list[Any]:
    """The likely tokens of a place; where a server lists none, the one that it took."""
    return (place.get("top_logprobs") or [place])[:100]


def checked_address(address: str) -> str:
    """Without a slash at its end. Raises SscError for what is no address of an API."""
    try:
        parts = urlsplit(address)
        host = (parts.hostname or "").encode("idna")
        sound = parts.scheme in ("http", "https") and host and parts.port != 0 and re.fullmatch("[!-~]+", address)
    except ValueError:  # also for a port or a host's name that is none
        sound = None
    if not sound:
        raise SscError(f"{address!r:.200} is no server's address; one looks like http://localhost:8000/v1")
    if parts.username or parts.password:
        raise SscError(
            "the server's address has a name or password in it, which would get into files; use `api_key_env`"
        )
    if parts.query or parts.fragment:
        raise SscError(f"the server's address '{address}' goes on after its path; leave ? and # out")
    return address.rstrip("/")


def _key(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise SscError(f"the server's key is to come from the environment variable {variable}, which is not set")
    if not re.fullmatch(r"[!-~]+", key):
        raise SscError(f"what the environment variable {variable} has is no key: it has blanks or letters beyond ASCII")
    return key


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = headers.get("retry-after", "")
    return float(value) if re.fullmatch(r"\d{1,6}(\.\d{1,6})?", value) else None


def _plain(text: str) -> str:
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())[:300]
