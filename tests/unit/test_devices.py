"""GPUs are lent to one job each; a killed job gives its card back. No GPU is needed: cards are names here."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ssc_core.devices import VISIBLE, lease, visible_cards
from ssc_core.errors import SscError

HOLD = """
import sys, time
from pathlib import Path
from ssc_core.devices import lease
environment, locks = {}, Path(sys.argv[1])
with lease("cuda", int(sys.argv[2]), environment=environment, cards=["0", "1"], locks=locks, poll_seconds=0.02):
    print(environment["CUDA_VISIBLE_DEVICES"], flush=True)
    time.sleep(float(sys.argv[3]))
"""


def hold(locks: Path, count: int = 1, seconds: float = 60.0) -> subprocess.Popen[str]:
    """Another process with a lease."""
    command = [sys.executable, "-c", HOLD, str(locks), str(count), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_jobs_never_share_a_card(tmp_path: Path) -> None:
    first = hold(tmp_path)
    try:
        other = {"0": "1", "1": "0"}[first.stdout.readline().strip()]
        environment: dict[str, str] = {}
        with lease("auto", environment=environment, cards=["0", "1"], locks=tmp_path) as names:
            assert names == (other,)
            assert environment == {VISIBLE: other}
        assert environment == {}
    finally:
        first.kill()
        first.wait()


def test_a_third_job_waits_and_a_killed_one_gives_back(tmp_path: Path) -> None:
    holders = [hold(tmp_path), hold(tmp_path)]
    taken = {holder.stdout.readline().strip() for holder in holders}
    waiting = hold(tmp_path, seconds=0)
    try:
        assert taken == {"0", "1"}
        time.sleep(0.4)
        assert waiting.poll() is None, "the third job did not wait"
        holders[0].send_signal(signal.SIGKILL)
        assert waiting.stdout.readline().strip() in taken
        assert waiting.wait(10) == 0
    finally:
        for process in (*holders, waiting):
            process.kill()
            process.wait()


def test_a_job_of_two_cards_takes_both_or_none(tmp_path: Path) -> None:
    one = hold(tmp_path)
    one.stdout.readline()
    pair = hold(tmp_path, count=2, seconds=0)
    try:
        time.sleep(0.4)
        assert pair.poll() is None
        one.kill()
        assert pair.stdout.readline().strip() == "0,1"
    finally:
        for process in (one, pair):
            process.kill()
            process.wait()


@pytest.mark.parametrize(
    ("device", "cards", "environment", "expected"),
    [
        ("cpu", ["0"], {}, {}),
        ("auto", [], {}, {}),
        ("cuda", ["0"], {"SLURM_JOB_ID": "7", VISIBLE: "3"}, {"SLURM_JOB_ID": "7", VISIBLE: "3"}),
        # a node may show its GPUs to a job of SLURM that asked for none
        ("auto", ["0"], {"SLURM_JOB_ID": "7"}, {"SLURM_JOB_ID": "7", VISIBLE: ""}),
        ("cuda", ["0"], {"LOCAL_RANK": "1", VISIBLE: "0,1"}, {"LOCAL_RANK": "1", VISIBLE: "0,1"}),
    ],
)
def test_others_who_hand_out_gpus_are_left_alone(tmp_path, device, cards, environment, expected) -> None:
    with lease(device, environment=environment, cards=cards, locks=tmp_path) as names:
        assert names == ()
        assert environment == expected


def test_the_cards_that_the_user_named_are_the_ones_to_lend(tmp_path: Path) -> None:
    environment = {VISIBLE: "2, GPU-8f3a"}
    assert visible_cards(environment) == ("2", "GPU-8f3a")
    with lease("auto", environment=environment, locks=tmp_path) as names:
        assert names == ("2",)
        with lease("auto", environment={VISIBLE: "2,GPU-8f3a"}, locks=tmp_path) as more:
            assert more == ("GPU-8f3a",)
    assert environment == {VISIBLE: "2, GPU-8f3a"}


def test_cards_are_counted_without_cuda(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidia3", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert visible_cards({}, dev=tmp_path) == ("0", "1")
    assert visible_cards({VISIBLE: ""}, dev=tmp_path) == ()
    assert visible_cards({VISIBLE: "-1"}, dev=tmp_path) == ()


def test_more_gpus_than_there_are_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(SscError, match=r"asks for 3 GPUs.*2 here"),
        lease("cuda", 3, environment={}, cards=["0", "1"], locks=tmp_path),
    ):
        pass


def test_another_users_lock_file_can_be_used(tmp_path: Path) -> None:
    file = tmp_path / "gpu-0.lock"
    file.touch(mode=0o444)
    with lease("cuda", environment={}, cards=["0"], locks=tmp_path) as names:
        assert names == ("0",)
