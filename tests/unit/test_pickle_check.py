"""The walk through a pickle's instructions: what it refuses, and that it takes what picklers write."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

from ssc_core.pickle_check import MAX_DEPTH, BrokenPickleError, RefusedPickleError, check_pickle
from tests.patience import no_hang

MERSENNE = 2**61 - 1
"""Integers are hashed modulo this."""


def nested(depth: int) -> Any:
    value: Any = ()
    for _ in range(depth - 1):
        value = (value,)
    return value


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "value",
    [1, -(2**70), "text", b"bytes", None, [True, 1.5], {"a": {1: (2, 3, 4, 5)}}, nested(MAX_DEPTH), [[]] * 3000],
)
def test_what_picklers_write_of_plain_values_is_taken(value: Any, protocol: int) -> None:
    if isinstance(value, bytes) and protocol < 3:
        pytest.skip("written as a call")
    content = pickle.dumps(value, protocol)
    assert check_pickle(content, calls=False) == len(content)


@pytest.mark.parametrize("new", [True, False], ids=["zip", "before PyTorch 1.6"])
def test_what_pytorch_writes_is_taken(tmp_path: Path, new: bool) -> None:
    weights = OrderedDict((f"layer{i}.weight", torch.nn.Parameter(torch.ones(3, 2))) for i in range(3))
    torch.save({"model": weights, "epoch": 3}, tmp_path / "a.pt", _use_new_zipfile_serialization=new)
    if new:
        content, expected = torch._C.PyTorchFileReader(str(tmp_path / "a.pt")).get_record("data.pkl"), 1
    else:
        content, expected = (tmp_path / "a.pt").read_bytes(), 5
    end = 0
    for _ in range(expected):
        end = check_pickle(content, calls=True, start=end)
    assert (end == len(content)) == new


def cases() -> dict[str, tuple[bytes, str]]:
    dag = b"\x80\x02)q\x00" + b"h\x00h\x00\x86q\x00" * 40
    same_hash = {i * MERSENNE + 7: None for i in range(1, 3000)}
    return {
        "tuple that is 2**40 values as a key": (b"\x80\x02}" + dag[2:] + b"K\x01s.", "spell out more than"),
        "small tuple as a key": (pickle.dumps({(1, 2): 3}), "use as a key"),
        "nothing as a key": (pickle.dumps({None: 3}), "use as a key"),
        "numbers of one hash": (pickle.dumps(same_hash, 2), "use as a key"),
        "numbers of one hash, as text": (pickle.dumps(same_hash, 0), "use as a key"),
        "100,000 tuples deep": (b"\x80\x02}" + b")" + b"\x85" * 10**5 + b"K\x01s.", "nest values more than"),
        "100,000 lists deep": (b"\x80\x02" + b"]" * 10**5 + b"a" * (10**5 - 1) + b".", "nest values more than"),
        "shared lists, 2**40 in all": (dag + b".", "spell out more than"),
        "more lists than may be": (b"\x80\x02" + b"]" * 300_000, "make more than"),
        "a loop": (b"\x80\x02]q\x00h\x00a.", "change a list that lies in another, or in itself"),
        "a loop of two": (b"\x80\x02]q\x00]q\x01h\x00ah\x01a.", "change a list"),
        "a dict in itself": (b"\x80\x02}q\x00K\x01h\x00s.", "change a list"),
        "a set": (pickle.dumps({1}, 4), "kind set"),
    }


@pytest.mark.parametrize("name", list(cases()))
@pytest.mark.parametrize("calls", [False, True])
def test_what_could_hang_or_crash_is_refused(name: str, calls: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ssc_core.pickle_check.MAX_CONTAINERS", 200_000)
    content, message = cases()[name]
    with no_hang(), pytest.raises(RefusedPickleError, match=message):
        check_pickle(content, calls=calls)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"cbuiltins\nset\n((" + b"K\x01" * 20_000 + b"ltR.", "call a function with more than"),
        (b"\x80\x02((ttQ.", "outside object by more than a plain name"),
        (b"(ibuiltins\nset\n.", "builtins.set"),
    ],
)
def test_calls_of_a_checkpoint_have_limits(content: bytes, message: str) -> None:
    with pytest.raises(RefusedPickleError, match=message):
        check_pickle(content, calls=True)


def test_every_truncation_is_broken() -> None:
    for protocol in range(6):
        content = pickle.dumps([{"a": (1, 2.5, "text", [2**40])}] * 2, protocol)
        for end in range(len(content)):
            with pytest.raises(BrokenPickleError):
                check_pickle(content[:end], calls=False)


def test_whoever_reads_what_was_taken_needs_no_more_than_was_counted() -> None:
    content = b"\x80\x02(" + b"]" * 1000 + b"l."
    check_pickle(content, calls=False)
    assert pickle.load(io.BytesIO(content)) == [[]] * 1000
