"""The chooser's questions to a server with the OpenAI chat format; answers are kept on disk."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image

from ssc_core.errors import SscError
from ssc_core.select.answers import Answers
from ssc_core.select.chat import ChatServer, Patience, checked_address
from ssc_core.select.chooser import QUESTION, SIDE, Chooser, Question, Tokens

JPEG_QUALITY = 92


class ServerChooser(Chooser):
    """See ``Chooser``. A question whose answer is on disk is not sent: without new ones, no server is needed.

    server: address of the API, as ``http://localhost:8000/v1``; served_model: the model's name there. answers: folder
    of answers, for any number of jobs, models and datasets. api_key_env: environment variable with the key.
    max_requests: to be sent at most, by all jobs that share the folder together, those of the past and those in vain
    included; 0: none. concurrency: requests at once. tries, timeout_s, pause_s: see ``Patience``. extra: goes into
    each request, and null takes a key out, as ``{max_tokens: null, max_completion_tokens: 4}``.

    A key of an answer is made from the picture with its marks, the question, the model and ``extra``.
    Raises SscError when a setting cannot be, the server does not answer usably, or requests run out.
    """

    def __init__(
        self,
        server: str,
        served_model: str,
        *,
        answers: str = "answers",
        api_key_env: str | None = None,
        max_requests: int | None = None,
        concurrency: int = 4,
        tries: int = 8,
        timeout_s: float = 120.0,
        pause_s: float = 1.0,
        side: int = SIDE,
        question: str = QUESTION,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(question, side)
        if min(concurrency, tries) < 1 or min(timeout_s, pause_s) <= 0:
            raise SscError("chooser_server: concurrency and tries are at least 1, timeout_s and pause_s above 0")
        self._model, self._extra, self._concurrency = served_model, dict(extra or {}), concurrency
        self._most = max_requests
        self._kept = Answers(Path(answers))
        self._address, self._key_variable = checked_address(server), api_key_env
        self._patience = Patience(tries=tries, timeout_s=timeout_s, pause_s=pause_s)

    @cached_property
    def _connected(self) -> ChatServer:
        return ChatServer(self._address, self._key_variable, self._patience, self._spend)

    def _ask(self, questions: Sequence[Question]) -> list[Tokens]:
        keys = [self._key(question) for question in questions]
        new = {key: question for key, question in zip(keys, questions, strict=True) if self._kept.get(key) is None}
        if new:
            self._fetch(new)
        return [self._kept.get(key) or [] for key in keys]

    def _fetch(self, questions: Mapping[str, Question]) -> None:
        server, stopped = self._connected, threading.Event()

        def one(key: str, question: Question) -> None:
            tokens, used = server.ask(self._request(question), stopped)
            self._kept.put(key, tokens, {"model": self._model, "question": question.text, "used_tokens": used})

        with ThreadPoolExecutor(self._concurrency) as pool:
            futures = [pool.submit(one, key, question) for key, question in questions.items()]
            try:
                for done in as_completed(futures):
                    done.result()
            except BaseException:
                stopped.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _spend(self) -> None:
        if self._most is None:
            self._kept.spend()
            return
        if self._kept.spent >= self._most or self._kept.spend() > self._most:
            raise SscError(
                f"the chooser may send {self._most} requests in all (`max_requests`), and did. Their answers are kept: "
                "raise it, and run the same command again"
            )

    def _key(self, question: Question) -> str:
        digest = hashlib.sha256()
        picture = question.picture
        about = [self._model, question.text, list(picture.shape), self._extra]
        digest.update(json.dumps(about, sort_keys=True).encode())
        digest.update(picture.tobytes())
        return digest.hexdigest()

    def _request(self, question: Question) -> dict[str, Any]:
        with io.BytesIO() as file:
            Image.fromarray(question.picture).save(file, format="JPEG", quality=JPEG_QUALITY, subsampling=0)
            encoded = base64.b64encode(file.getvalue()).decode()
        content = [
            {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{encoded}"}},
            {"type": "text", "text": question.text},
        ]
        request = {
            "model": self._model,
            "messages": [{"role": "user", "content": content}],
            "temperature": 0,
            "max_tokens": 4,
            "logprobs": True,
            "top_logprobs": 20,
            **self._extra,
        }
        return {key: value for key, value in request.items() if value is not None}
