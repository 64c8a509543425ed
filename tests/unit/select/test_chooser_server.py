"""The chooser's questions to a server, which here is slow, breaks off, answers nonsense, or limits its rate."""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ssc_core.config.labelling import CompatSettings, ScoreSettings
from ssc_core.drawing.marks import MARKS
from ssc_core.errors import SscError
from ssc_core.masks.selection import ScoreStore
from ssc_core.select.answers import SPENT, Answers
from ssc_core.select.chooser_server import ServerChooser
from ssc_core.select.score_stage import score_candidates
from tests.patience import SECONDS
from tests.unit.select import chat_stand_in as chat
from tests.unit.select.chat_stand_in import StandIn, stand_in

PHOTO = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
MASKS = np.zeros((3, 120, 160), bool)
for k in range(3):
    MASKS[k, 20:90, 10 + 50 * k : 50 + 50 * k] = True
GOOD = chat.tokens({"2": -0.2, "1": -2.0, "3": -3.0, "The": -5.0})
EXPECTED = np.log(np.exp([-2.0, -0.2, -3.0]) / np.exp([-2.0, -0.2, -3.0]).sum())
KEY = "sk-a-secret-that-must-not-be-seen"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    monkeypatch.setenv("no_proxy", "*")
    with stand_in(GOOD) as server:
        yield server


@pytest.fixture
def make(server: StandIn, tmp_path: Path):
    def make(**settings: object) -> ServerChooser:
        return ServerChooser(
            **{
                "server": server.address,
                "served_model": "a-model",
                "answers": str(tmp_path / "answers"),
                "pause_s": 0.01,
                "timeout_s": 5,
            }
            | settings
        )

    return make


def test_scores_come_from_the_log_probabilities(server: StandIn, make) -> None:
    scores = make().score_pairs(PHOTO, MASKS, ["left", "right"])
    np.testing.assert_allclose(scores, [EXPECTED, EXPECTED], atol=1e-3)
    assert {request.text.split('"')[1] for request in server.requests} == {"left", "right"}


def test_the_request_is_openais(server: StandIn, make) -> None:
    make().score_pairs(PHOTO, MASKS, ["left"])
    (request,) = server.requests
    assert request.path == "/v1/chat/completions"
    assert request.headers["Content-Type"] == "application/json"
    body = {key: value for key, value in request.body.items() if key != "messages"}
    assert body == {"model": "a-model", "temperature": 0, "max_tokens": 4, "logprobs": True, "top_logprobs": 20}
    assert "Authorization" not in request.headers
    assert request.picture.shape == PHOTO.shape
    reds = np.abs(request.picture.astype(int) - MARKS[0]).sum(axis=2) < 60
    assert reds.sum() > 50, "the marks are in the picture that is sent"


def test_extra_goes_into_the_request_and_null_takes_out(server: StandIn, make) -> None:
    make(
        extra={"max_tokens": None, "max_completion_tokens": 4, "chat_template_kwargs": {"enable_thinking": False}}
    ).score_pairs(PHOTO, MASKS, ["left"])
    body = server.requests[0].body
    assert "max_tokens" not in body
    assert (body["max_completion_tokens"], body["chat_template_kwargs"]) == (4, {"enable_thinking": False})


def test_blank_tokens_before_the_number_are_passed_over(server: StandIn, make) -> None:
    server.usual = chat.tokens({"2": -0.2, "1": -2.0, "3": -3.0}, before=("\n", " "))
    np.testing.assert_allclose(make().score_pairs(PHOTO, MASKS, ["left"]), [EXPECTED], atol=1e-3)


def test_a_server_that_lists_no_alternatives_gives_what_it_took(server: StandIn, make) -> None:
    place = {"token": "3", "logprob": -0.1}
    server.usual = chat.content(json.dumps(chat.answer({"content": [place]})).encode())
    scores = make().score_pairs(PHOTO, MASKS, ["left"])
    assert scores.argmax() == 2 or scores[0, 0] == scores[0, 1]


@pytest.mark.parametrize(
    "trouble",
    [
        chat.breaks_off,
        chat.drips,
        chat.drips_headers,
        chat.continues_for_ever,
        chat.after(0.6, GOOD),
        chat.content(b"<html>nonsense</html>"),
        chat.content(b"{}"),
        chat.content(b"[" * 100_000),
        chat.content(b"x" * (2**22 + 1)),
        chat.content(b'{"choices": [{"message": {}, "logprobs": {"content": [{"word": 1}]}}]}'),
        chat.content(b'{"choices": [{"message": {}, "logprobs": {"content": [7]}}]}'),
        *(
            chat.content(b'{"choices": [{"message": {}, "logprobs": {"content": [%s]}}]}' % place)
            for place in (
                b'{"token": "1", "logprob": NaN}',
                b'{"token": "1", "logprob": 1%s}' % (b"0" * 400),
                b'{"token": "1", "logprob": 7.5}',
                b'{"token": "1", "logprob": "-0.1"}',
                b'{"token": null, "logprob": -0.1}',
                b'{"top_logprobs": [{"token": "1", "logprob": -0.1}]}',
            )
        ),
        chat.status(429, Retry_After="0.05"),
        chat.status(429),
        chat.status(500),
        chat.status(503, Retry_After="Wed, 21 Oct 2026 07:28:00 GMT"),
    ],
)
def test_trouble_that_passes_costs_only_time(server: StandIn, make, trouble) -> None:
    server.replies = [trouble, trouble]
    scores = make(timeout_s=0.4).score_pairs(PHOTO, MASKS, ["left"])
    np.testing.assert_allclose(scores, [EXPECTED], atol=1e-3)
    assert len(server.requests) == 3


def test_a_server_that_says_when_is_left_alone_until_then(server: StandIn, make) -> None:
    server.replies = [chat.status(429, Retry_After="0.5")]
    start = time.monotonic()
    make(pause_s=0.001).score_pairs(PHOTO, MASKS, ["left"])
    assert time.monotonic() - start >= 0.5


def test_trouble_that_stays_is_an_error_that_says_what_and_what_to_do(server: StandIn, make) -> None:
    server.usual = chat.status(503, "the model is loading")
    with pytest.raises(SscError, match=r"gave no answer in 3 tries: HTTP 503 \(the model is loading\).*run the same"):
        make(tries=3).score_pairs(PHOTO, MASKS, ["left"])
    assert len(server.requests) == 3


@pytest.mark.parametrize("hopeless", ["a", "b"])
def test_one_hopeless_question_ends_the_others_soon(server: StandIn, make, hopeless: str) -> None:
    def usual(handler: chat.Handler, request: chat.Request) -> None:
        bad = f'"{hopeless}"' in request.text
        (chat.after(0.3, chat.status(400, "no picture please")) if bad else chat.status(503))(handler, request)

    server.usual = usual
    start = time.monotonic()
    with pytest.raises(SscError, match="no picture please"):
        make(pause_s=2 * SECONDS, concurrency=2).score_pairs(PHOTO, MASKS, ["a", "b"])
    assert time.monotonic() - start < SECONDS


@pytest.mark.parametrize("slow", [chat.drips, chat.drips_headers, chat.continues_for_ever, chat.after(5, GOOD)])
def test_an_answer_that_does_not_come_in_time_is_told_so(server: StandIn, make, slow) -> None:
    server.usual = slow
    with pytest.raises(SscError, match=r"in 1 tries: no answer within 0\.2 s"):
        make(timeout_s=0.2, tries=1).score_pairs(PHOTO, MASKS, ["left"])


def test_a_proxy_of_the_environment_is_used(server: StandIn, make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", server.address.removesuffix("/v1"))
    make(server="http://far.example/v1").score_pairs(PHOTO, MASKS, ["left"])
    assert server.requests[0].path == "http://far.example/v1/chat/completions"


def test_a_server_that_is_not_there(make) -> None:
    with pytest.raises(SscError, match="gave no answer in 2 tries"):
        make(server="http://127.0.0.1:9/v1", tries=2).score_pairs(PHOTO, MASKS, ["left"])


@pytest.mark.parametrize("logprobs", [None, {}, {"content": []}, {"content": None}])
def test_a_server_without_log_probabilities_is_no_chooser(server: StandIn, make, logprobs: object) -> None:
    server.usual = chat.content(json.dumps(chat.answer(logprobs)).encode())
    with pytest.raises(SscError, match=r"no log probabilities.*Ollama"):
        make().score_pairs(PHOTO, MASKS, ["left"])
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("code", "message"),
    [(400, "refuses the request: HTTP 400"), (404, "is `served_model` its name there"), (307, "refused")],
)
def test_refusals_are_not_tried_again(server: StandIn, make, code: int, message: str) -> None:
    server.usual = chat.status(code, "no\n\x1b[31m such thing", Location="http://127.0.0.1:9/")
    with pytest.raises(SscError, match=message) as caught:
        make().score_pairs(PHOTO, MASKS, ["left"])
    assert len(server.requests) == 1
    assert "\x1b" not in str(caught.value) and "\n" not in str(caught.value)


def test_answers_are_kept_and_asked_for_once(server: StandIn, make) -> None:
    first = make().score_pairs(PHOTO, MASKS, ["left", "right", "left"])
    assert len(server.requests) == 2, "the same question twice is one"
    server.usual = chat.status(500)
    again = make(server="http://127.0.0.1:9/v1", api_key_env="SSC_TEST_NO_SUCH_KEY").score_pairs(
        PHOTO, MASKS, ["right"]
    )
    np.testing.assert_array_equal(first[1:2], again)


@pytest.mark.parametrize("change", ["photo", "masks", "sentence", "model", "question", "extra", "side"])
def test_an_answer_is_that_of_its_photo_marks_sentence_model_and_prompt(server: StandIn, make, change: str) -> None:
    make().score_pairs(PHOTO, MASKS, ["left"])
    settings = {
        "model": {"served_model": "other"},
        "question": {"question": "{sentence}?"},
        "extra": {"extra": {"seed": 1}},
        "side": {"side": 100},
    }
    photo = PHOTO ^ np.uint8(change == "photo")
    masks = MASKS[::-1] if change == "masks" else MASKS
    make(**settings.get(change, {})).score_pairs(photo, masks, ["other" if change == "sentence" else "left"])
    assert len(server.requests) == 2


def test_a_killed_job_goes_on_where_it_was(server: StandIn, make, tmp_path: Path) -> None:
    make().score_pairs(PHOTO, MASKS, ["left", "right"])
    (file,) = (tmp_path / "answers").glob("*.jsonl")
    text = file.read_text()
    file.write_text(text[: len(text) * 3 // 4])  # a kill in the middle of the second line
    scores = make().score_pairs(PHOTO, MASKS, ["left", "right"])
    assert len(server.requests) == 3
    np.testing.assert_allclose(scores, [EXPECTED] * 2, atol=1e-3)


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "[]",
        '{"key": "x"}',
        '{"key": 1, "tokens": []}',
        *(f'{{"key": "x", "tokens": [{token}]}}' for token in ('["1", "y"]', '["1", 1%s]' % ("0" * 400))),
        *(f'{{"key": "x", "tokens": [["1", {value}]]}}' for value in ("NaN", "true", "3.5")),
    ],
)
def test_a_damaged_line_of_answers_is_named(make, tmp_path: Path, line: str) -> None:
    (tmp_path / "answers").mkdir()
    (tmp_path / "answers" / "a.jsonl").write_text(f'{{"key": "x", "tokens": [["1", -1.0]]}}\n{line}\n')
    with pytest.raises(SscError, match=r"a\.jsonl, line 2"):
        make()


def test_every_answer_that_is_kept_can_be_read_again(tmp_path: Path) -> None:
    tokens = [("😀" * 100, -1.0)] * 100
    Answers(tmp_path).put("key", tokens, {"question": "é" * 50_000, "used_tokens": 3})
    assert Answers(tmp_path).get("key") == tokens


def test_what_a_model_rules_out_is_kept_and_read_again(server: StandIn, make) -> None:
    server.usual = chat.tokens({"1": -0.1, "2": -np.inf, "3": -9999.0})
    scores = make().score_pairs(PHOTO, MASKS, ["left"])
    np.testing.assert_array_equal(scores, make().score_pairs(PHOTO, MASKS, ["left"]))
    assert scores.tolist()[0][1:] == [-20, -20]
    assert len(server.requests) == 1


def test_requests_are_capped_for_all_jobs_together_and_tries_count(server: StandIn, make) -> None:
    server.replies = [chat.status(500)]
    make(max_requests=4).score_pairs(PHOTO, MASKS, ["left"])
    make(max_requests=4).score_pairs(PHOTO, MASKS, ["left", "right"])
    with pytest.raises(SscError, match=r"4 requests in all \(`max_requests`\)"):
        make(max_requests=4, concurrency=1).score_pairs(PHOTO, MASKS, ["middle", "far left"])
    assert len(server.requests) == 4
    make(max_requests=4).score_pairs(PHOTO, MASKS, ["middle"])
    make(max_requests=0).score_pairs(PHOTO, MASKS, ["left", "right", "middle"])
    assert len(server.requests) == 4


def test_a_group_that_shares_the_folder_shares_its_count(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        assert Answers(tmp_path).spend() == 1
    finally:
        os.umask(before)
    assert (tmp_path / SPENT).stat().st_mode & 0o777 == 0o664


@pytest.mark.parametrize("concurrency", [1, 3])
def test_requests_at_once_are_bounded(server: StandIn, make, concurrency: int) -> None:
    server.usual = chat.after(0.1, GOOD)
    make(concurrency=concurrency).score_pairs(PHOTO, MASKS, [f"number {i}" for i in range(9)])
    assert server.most_at_once == concurrency


def test_the_key_is_sent_and_goes_nowhere_else(
    server: StandIn, make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SSC_TEST_KEY", f" {KEY}\n")
    server.replies = [chat.status(500, f"your key {KEY} is fine")]
    chooser = make(api_key_env="SSC_TEST_KEY")
    with caplog.at_level(0):
        chooser.score_pairs(PHOTO, MASKS, ["left"])
        server.usual = chat.status(401, f"Incorrect API key provided: {KEY}")
        with pytest.raises(SscError, match=r"refuses the key in \$SSC_TEST_KEY") as caught:
            chooser.score_pairs(PHOTO, MASKS, ["right"])
    assert server.requests[0].headers["Authorization"] == f"Bearer {KEY}"
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert KEY not in caplog.text + str(caught.value) + repr(vars(chooser))
    assert KEY.encode() not in files


@pytest.mark.parametrize(
    ("value", "message"), [(None, "which is not set"), (" ", "which is not set"), ("a b", "is no key")]
)
def test_a_key_that_is_none(make, monkeypatch: pytest.MonkeyPatch, value: str | None, message: str) -> None:
    monkeypatch.delenv("SSC_TEST_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("SSC_TEST_KEY", value)
    with pytest.raises(SscError, match=f"SSC_TEST_KEY.*{message}"):
        make(api_key_env="SSC_TEST_KEY").score_pairs(PHOTO, MASKS, ["left"])


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("localhost:8000", "is no server's address"),
        ("file:///etc/passwd", "is no server's address"),
        ("http://[::1", "is no server's address"),
        ("http://host:port/v1", "is no server's address"),
        ("http://host:99999/v1", "is no server's address"),
        ("http://host/v1\r\nX: y", "is no server's address"),
        ("http://host..name/v1", "is no server's address"),
        ("http://ho st/v1", "is no server's address"),
        ("https://me:secret@host/v1", "has a name or password"),
        ("https://host/v1?key=secret", "goes on after its path"),
    ],
)
def test_addresses_that_are_none(make, address: str, message: str) -> None:
    with pytest.raises(SscError, match=message):
        make(server=address)


def test_a_split_is_scored_by_the_stage_stopped_in_the_middle_and_gone_on_with_to_the_same_scores(
    server: StandIn, world, tmp_path: Path
) -> None:
    def by_sentence(handler: chat.Handler, request: chat.Request) -> None:
        count = int(request.text.split("from 1 to ")[1].split()[0])
        seed = zlib.crc32(request.text.encode())
        chat.tokens({str(n): -float((seed >> n) % 7) for n in range(1, count + 1)})(handler, request)

    def score(name: str, answers: str, **settings: object) -> Path:
        backend = {
            "name": "chooser_server",
            "settings": {"server": server.address, "served_model": "m", "answers": str(tmp_path / answers), **settings},
        }
        out = tmp_path / name
        score_candidates(
            refs=world.refs,
            split="val",
            masks=world.masks,
            images=world.images,
            out=out,
            settings=ScoreSettings(backend=backend),
            compat=CompatSettings(),
            device="cpu",
        )
        return out

    server.usual = by_sentence
    whole = score("whole.h5", "a")
    asked = len(server.requests)
    assert asked > 3
    with pytest.raises(SscError, match="max_requests"):
        score("part.h5", "b", max_requests=asked // 2)
    assert not (tmp_path / "part.h5").exists()
    scores = score("part.h5", "b")
    assert len(server.requests) == 2 * asked, "what was answered before is not asked for again"
    server.usual = chat.status(500)
    offline = score("offline.h5", "b", max_requests=0)
    for other in (scores, offline):
        with ScoreStore(whole) as one, ScoreStore(other) as two:
            assert one.info.settings["scale"] == "log probability"
            for ref in one.ref_ids.tolist():
                np.testing.assert_array_equal(one.scores(ref), two.scores(ref))
