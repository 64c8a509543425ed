"""Nothing that a person decided is lost: by two tabs, two processes, a kill in the middle, or a full drive."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import urllib.request
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import pytest

from ssc_core.errors import SscError
from ssc_core.masks.reviews import Decision, Review, append_review, read_lines, that_count
from tests.patience import SECONDS
from tests.unit.review.conftest import serving


def test_two_tabs_of_two_people_decide_at_once_and_the_last_line_counts(place, segmenter):
    with serving(place, "ana", load=segmenter.load) as ana, serving(place, "ben", load=segmenter.load) as ben:
        errors: list[BaseException] = []

        def decide(tab, refs):
            try:
                for turn in range(12):
                    for ref in refs:
                        tab.json("/decide", {"ref": ref, "decision": ("none", "skipped", "undo")[turn % 3]})
            except BaseException as error:
                errors.append(error)

        tabs = [threading.Thread(target=decide, args=(tab, refs)) for tab in (ana, ben) for refs in ((1, 2), (2, 3))]
        for tab in tabs:
            tab.start()
        for tab in tabs:
            tab.join()
        assert errors == []
        lines = list(read_lines(place.reviews))
        assert len(lines) == 4 * 12 * 2
        draft = ana.json("/draw", {"ref": 1, "box": [5, 6, 25, 30]})["draft"]
        ben.json("/decide", {"ref": 1, "decision": "none"})
        ana.json("/decide", {"ref": 1, "decision": "drawn", "draft": draft})
        assert (ben.json("/ref/1")["decision"], ben.json("/ref/1")["who"]) == ("drawn", "ana")
    assert [line.who for line in read_lines(place.reviews)][-2:] == ["ben", "ana"]


SERVER = """
import sys
from pathlib import Path
from tests.unit.review.conftest import Place, queue_of
from ssc_core.review.server import ReviewServer

folder, images, reviews = map(Path, sys.argv[1:])
with queue_of(Place(folder, images, reviews)) as queue, ReviewServer(queue, "ana") as server:
    print(server.url, flush=True)
    server.serve_forever()
"""


def test_killed_in_the_middle_every_decision_that_was_answered_is_there(place, root: Path):
    said: list[int] = []
    for _ in range(3):
        command = [sys.executable, "-c", SERVER, *map(str, (place.folder, place.images, place.reviews))]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as server:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            base, _, token = url.partition("?")
            stop = threading.Event()

            def decide(base: str = base, token: str = token, stop: threading.Event = stop) -> None:
                while not stop.is_set():
                    body = json.dumps({"ref": 1 + len(said) % 5, "decision": "none"}).encode()
                    headers = {"Content-Type": "application/json"}
                    try:
                        with urllib.request.urlopen(
                            urllib.request.Request(f"{base}decide?{token}", body, headers), timeout=SECONDS
                        ) as answer:
                            assert json.load(answer)["decision"] == "none"
                    except (OSError, HTTPException):  # killed before it answered, or in the middle of the answer
                        return
                    said.append(1)

            hand, before = threading.Thread(target=decide), len(said)
            hand.start()
            while len(said) < before + 5 and hand.is_alive():
                stop.wait(0.01)
            server.kill()
            stop.set()
            hand.join()
        lines = len(list(read_lines(place.reviews)))
        assert len(said) <= lines <= len(said) + 1, "one more may have been written and not answered"
        del said[lines:]
        said.extend([1] * (lines - len(said)))
    assert len(said) >= 15
    append_review(place.reviews, Review(1, "a.png", Decision.skipped))
    assert that_count(read_lines(place.reviews))[1].decision is Decision.skipped


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_a_scripts_background_too(place, root: Path, number: signal.Signals):
    """Where shells start jobs with Ctrl+C ignored."""
    options = f"--reviews {place.reviews} --images {place.images} --who ana"
    command = f"{sys.executable} -m ssc_core.cli.main review {place.folder} {options} & echo $!; wait $!; echo $?"
    with subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE, text=True, cwd=root) as shell:
        assert shell.stdout is not None
        server, url, _ = (shell.stdout.readline().strip() for _ in range(3))
        base, _, token = url.partition("?")
        body, headers = b'{"ref": 1, "decision": "none"}', {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(f"{base}decide?{token}", body, headers), timeout=SECONDS):
            os.kill(int(server), number)
        try:
            assert shell.communicate(timeout=SECONDS)[0].split() == ["0"]
        finally:
            with suppress(ProcessLookupError):
                os.kill(int(server), signal.SIGKILL)
    assert that_count(read_lines(place.reviews))[1].who == "ana"


LIMITS = (300, 301, 320, 366)


def _fill(folder: Path, answers) -> None:
    """Append until a file may not grow any more, as on a full drive: the system takes the first part of a line."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    for most in LIMITS:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
        count = 0
        try:
            while True:
                append_review(folder / f"{most}.csv", Review(1, "a.png", Decision.none, who="a person with a name"))
                count += 1
        except SscError as error:
            answers.put((most, count, str(error)))


def test_a_full_drive_is_said_and_what_was_there_stays(tmp_path: Path):
    answers = multiprocessing.get_context("spawn").Queue()
    process = multiprocessing.get_context("spawn").Process(target=_fill, args=(tmp_path, answers))
    process.start()
    told = [answers.get(timeout=SECONDS) for _ in LIMITS]
    process.join()
    assert [most for most, *_ in told] == list(LIMITS)
    for most, count, said in told:
        path = tmp_path / f"{most}.csv"
        assert count > 2
        assert re.search(rf"this decision is not kept: cannot write .*{most}\.csv: \w", said)
        assert path.read_bytes().endswith(b"\n"), "no half line stays"
        assert len(list(read_lines(path))) == count
        append_review(path, Review(1, "a.png", Decision.skipped))
        assert len(list(read_lines(path))) == count + 1


def test_a_full_drive_is_told_to_the_page_and_the_next_decision_counts(place, browser, monkeypatch):
    real, full = os.write, [True]

    def write(descriptor: int, content: bytes) -> int:
        if full[0] and b"a.png" in bytes(content):
            real(descriptor, bytes(content)[:7])
            raise OSError(28, "No space left on device")
        return real(descriptor, content)

    monkeypatch.setattr("ssc_core.masks.reviews.os.write", write)
    status, content = browser.ask("/decide", {"ref": 1, "decision": "none"})
    assert (status, "No space left on device" in json.loads(content)["error"]) == (400, True)
    full[0] = False
    assert browser.json("/ref/1")["decision"] == ""
    assert browser.json("/decide", {"ref": 1, "decision": "none"})["decision"] == "none"
    assert len(list(read_lines(place.reviews))) == 1


def test_a_file_that_may_not_be_written_is_said(tmp_path: Path):
    (tmp_path / "reviews.csv").mkdir()
    with pytest.raises(SscError, match="cannot write"):
        append_review(tmp_path / "reviews.csv", Review(1, "a.png", Decision.none))
