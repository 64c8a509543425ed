"""GPUs are lent to one job each; a killed job gives its card back. No GPU is needed: cards are names here."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from ssc_core.devices import LEASED, VISIBLE, card_uuids, lease, visible_cards
from ssc_core.errors import SscError
from tests.patience import SECONDS

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
    return start(HOLD, locks, count, seconds)


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def check_waits(process: subprocess.Popen[str], count: int = 1) -> None:
    """Read what a process says first, which looked for cards and got none."""
    assert process.stderr.readline().startswith(f"waiting for {count} of the GPUs"), process.stdout.readline()


def test_two_jobs_never_share_a_card(tmp_path: Path) -> None:
    first = hold(tmp_path)
    try:
        other = {"0": "1", "1": "0"}[first.stdout.readline().strip()]
        environment: dict[str, str] = {}
        with lease("auto", environment=environment, cards=["0", "1"], locks=tmp_path) as names:
            assert names == (other,)
            assert environment == {VISIBLE: other, LEASED: str(tmp_path / f"gpu-{other}.lock")}
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
        check_waits(waiting)
        holders[0].send_signal(signal.SIGKILL)
        assert waiting.stdout.readline().strip() in taken
        assert waiting.wait(SECONDS) == 0
    finally:
        for process in (*holders, waiting):
            process.kill()
            process.wait()


def test_a_job_of_two_cards_takes_both_or_none(tmp_path: Path) -> None:
    one = hold(tmp_path)
    one.stdout.readline()
    pair = hold(tmp_path, count=2, seconds=0)
    try:
        check_waits(pair, 2)
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


UUIDS = {"0": "GPU-8f3a11c2-aaaa", "1": "GPU-8f3b22c2-bbbb"}


@pytest.mark.parametrize(
    ("named", "uuids", "different"),
    [
        ("0,0", {}, ["0"]),
        ("0,00,1", {}, ["0", "1"]),
        ("GPU-8f3a11c2-aaaa,GPU-8f3a", {}, ["GPU-8f3a11c2-aaaa"]),
        ("0,GPU-8f3a11c2-aaaa", UUIDS, ["0"]),
        ("GPU-8f3a,1,0", UUIDS, ["GPU-8f3a", "1"]),
        ("GPU-8f3b,GPU-8f3a", UUIDS, ["GPU-8f3b", "GPU-8f3a"]),
        ("MIG-1,MIG-2", UUIDS, ["MIG-1", "MIG-2"]),
    ],
)
def test_a_card_with_two_names_is_one_card(
    tmp_path: Path, named: str, uuids: dict[str, str], different: list[str]
) -> None:
    environment = {VISIBLE: named}
    with lease("cuda", len(different), environment=dict(environment), uuids=uuids, locks=tmp_path) as names:
        assert list(names) == different
    with (
        pytest.raises(SscError, match=f"there are {len(different)} here"),
        lease("cuda", len(different) + 1, environment=environment, uuids=uuids, locks=tmp_path),
    ):
        pass


def test_two_jobs_that_call_a_card_differently_do_not_share_it(tmp_path: Path) -> None:
    both = ["GPU-8f3a", "GPU-8f3b22c2-bbbb"]
    with (
        lease("cuda", environment={}, cards=["0"], uuids=UUIDS, locks=tmp_path),
        lease("cuda", environment={}, cards=both, uuids=UUIDS, locks=tmp_path) as names,
    ):
        assert names == ("GPU-8f3b22c2-bbbb",)


def test_the_driver_is_asked_for_uuids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho '0, GPU-8f3a11c2-aaaa'\necho '1, GPU-8f3b22c2-bbbb'\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    card_uuids.cache_clear()
    assert card_uuids() == UUIDS
    smi.write_text("#!/bin/sh\necho 'has failed because it could not communicate with the driver'; exit 9\n")
    card_uuids.cache_clear()
    assert card_uuids() == {}
    card_uuids.cache_clear()


PARENT = """
import subprocess, sys, time
from pathlib import Path
from ssc_core.devices import lease
with lease("cuda", cards=["0"], uuids={}, locks=Path(sys.argv[1])):
    print(subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL, start_new_session=True).pid, flush=True)
    time.sleep(600)
"""


def test_a_card_is_not_lent_while_what_its_killed_job_started_runs(tmp_path: Path) -> None:
    """As torchrun's processes do: started by another program, in a session of their own, without its open files."""
    parent = start(PARENT, tmp_path)
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    waiting = start(HOLD.replace('cards=["0", "1"]', 'cards=["0"], uuids={}'), tmp_path, 1, 0)
    try:
        check_waits(waiting)
        os.kill(child, signal.SIGKILL)
        assert waiting.stdout.readline().strip() == "0"
        assert waiting.wait(SECONDS) == 0
    finally:
        waiting.kill()
        waiting.wait()
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def test_a_forked_child_keeps_the_card(tmp_path: Path) -> None:
    with lease("cuda", environment={}, cards=["0"], uuids={}, locks=tmp_path):
        child = os.fork()
        if child == 0:
            time.sleep(600)
            os._exit(0)
    waiting = hold(tmp_path, count=2, seconds=0)
    try:
        check_waits(waiting, 2)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert waiting.stdout.readline().strip() == "0,1"
    finally:
        waiting.kill()
        waiting.wait()
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def test_a_program_that_the_job_becomes_keeps_the_card(tmp_path: Path) -> None:
    become = "    import os; os.execvp('sh', ['sh', '-c', 'echo on; exec sleep 600'])\n#"
    job = start(PARENT.replace("    print(sub", become), tmp_path)
    try:
        assert job.stdout.readline() == "on\n"
        with (tmp_path / "gpu-0.lock").open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        job.kill()
        job.wait()


def test_what_a_leaseholder_starts_has_its_cards(tmp_path: Path) -> None:
    environment: dict[str, str] = {}
    with lease("cuda", environment=environment, cards=["0"], uuids={}, locks=tmp_path):
        inherited = dict(environment)
        with lease("cuda", environment=inherited, locks=tmp_path) as names:
            assert names == ()
        assert inherited[VISIBLE] == "0"


def plant_folder(locks: Path, elsewhere: Path) -> None:
    locks.symlink_to(elsewhere)


def plant_dangling(locks: Path, elsewhere: Path) -> None:
    locks.symlink_to(elsewhere / "new")


def plant_file(locks: Path, elsewhere: Path) -> None:
    locks.mkdir()
    (locks / "gpu-0.lock").symlink_to(elsewhere / "new")


def plant_pipe(locks: Path, elsewhere: Path) -> None:
    locks.mkdir()
    os.mkfifo(locks / "gpu-0.lock")


@pytest.mark.parametrize("plant", [plant_folder, plant_dangling, plant_file, plant_pipe])
def test_what_another_user_planted_is_not_followed(tmp_path: Path, plant) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    plant(tmp_path / "locks", elsewhere)
    words = r"is a link, which anybody may have put there|it is not a file"
    with (
        pytest.raises(SscError, match=rf"cannot use .*gpu-0.lock.*({words}).*set TMPDIR"),
        lease("cuda", environment={}, cards=["0"], uuids={}, locks=tmp_path / "locks"),
    ):
        pass
    assert list(elsewhere.iterdir()) == []
    assert elsewhere.stat().st_mode & 0o777 == 0o700
