from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from ssc_core.errors import SscError
from ssc_core.refer.safe_pickle import load_plain_pickle

PLAIN: list[Any] = [{"ref_id": 1, "sent": "a dog", "nested": [(1.5, None, True), {2: 3}, b"bytes", -(2**70)]}]


class Touch:
    """Unpickling it would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def save(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "refs(unc).p"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_python3_pickle_reads_back(tmp_path: Path, protocol: int) -> None:
    assert load_plain_pickle(save(tmp_path, pickle.dumps(PLAIN, protocol))) == PLAIN


@pytest.mark.parametrize(
    "content",
    [
        b"(lp0\n(dp1\nS'sent'\np2\nS'a dog'\np3\nsS'raw'\np4\nVa dog\np5\nsS'ref_id'\np6\nL7L\nsS'n'\nI01\nsa.",
        b"\x80\x02]q\x00}q\x01(U\x04sentq\x02U\x05a dogq\x03U\x03rawq\x04X\x05\x00\x00\x00a dogq\x05"
        b"U\x06ref_idq\x06\x8a\x01\x07U\x01nq\x07\x88ua.",
    ],
    ids=["protocol 0", "protocol 2"],
)
def test_python2_pickle_gives_text(tmp_path: Path, content: bytes) -> None:
    assert load_plain_pickle(save(tmp_path, content)) == [{"sent": "a dog", "raw": "a dog", "ref_id": 7, "n": True}]


@pytest.mark.parametrize("stored", [b"caf\xc3\xa9", b"caf\xe9"], ids=["utf-8", "latin-1"])
def test_python2_byte_string_keeps_its_accents(tmp_path: Path, stored: bytes) -> None:
    content = b"\x80\x02U" + bytes([len(stored)]) + stored + b"."
    assert load_plain_pickle(save(tmp_path, content)) == "café"


def test_list_that_contains_itself_is_refused(tmp_path: Path) -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    with pytest.raises(SscError, match="change a list that lies in another, or in itself"):
        load_plain_pickle(save(tmp_path, pickle.dumps(loop)))


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_pickle_that_calls_is_refused_before_it_does(tmp_path: Path, protocol: int) -> None:
    victim = tmp_path / "touched"
    path = save(tmp_path, pickle.dumps([1, Touch(victim)], protocol))
    with pytest.raises(SscError, match=r"refs\(unc\)\.p is refused: it tries to import '"):
        load_plain_pickle(path)
    assert not victim.exists()


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", "os.system"),
        (b"(S'true'\nios\nsystem\n.", "os.system"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "os.system"),
        (b"\x80\x02ccollections\nOrderedDict\n)R.", "collections.OrderedDict"),
        (b"\x80\x02\x82\x01.", "registered object number 1"),
        (b"Poutside\n.", "outside object"),
        (b"\x80\x02]K\x01R.", "call a function"),
        (b"\x80\x02]}K\x01K\x02sb.", "set the state of an object"),
        (b"\x80\x04\x8f.", "an object of the kind set"),
    ],
)
def test_forbidden_global_is_named(tmp_path: Path, content: bytes, named: str) -> None:
    with pytest.raises(SscError, match=named):
        load_plain_pickle(save(tmp_path, content))


def test_every_truncation_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    for protocol in (0, 2, 5):
        content = pickle.dumps(PLAIN[0]["sent"] if protocol == 0 else PLAIN, protocol)
        for end in range(len(content)):
            with pytest.raises(SscError, match=r"refs\(unc\)\.p"):
                load_plain_pickle(save(tmp_path, content[:end]))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SscError, match=r"cannot read .*gone\.p: No such file"):
        load_plain_pickle(tmp_path / "gone.p")


def test_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    path = save(tmp_path, pickle.dumps("x" * 100))
    with pytest.raises(SscError, match="over the limit of 50"):
        load_plain_pickle(path, max_bytes=50)
    assert load_plain_pickle(path, max_bytes=200) == "x" * 100


def test_huge_memo_index_takes_no_memory(tmp_path: Path) -> None:
    for content in (b"\x80\x02]r\xff\xff\xff\xff.", b"]p9999999999999\n."):
        with pytest.raises(SscError, match=r"no complete pickle \(it keeps a value as number"):
            load_plain_pickle(save(tmp_path, content))


@pytest.mark.parametrize(
    "content",
    [b"\x80\x02]K\x01a", b"\x80\x02]K\x01K\x02s.", b"\x80\x02K\x01K\x02a.", b"hello", b"L" + b"9" * 9999 + b"L\n."],
)
def test_nonsense_is_an_error(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(SscError, match="no complete pickle"):
        load_plain_pickle(save(tmp_path, content))


@pytest.mark.parametrize(
    ("opcode", "message"),
    [(pickle.BINBYTES8, "no complete pickle"), (pickle.BYTEARRAY8, "tries to make an array of bytes")],
)
def test_a_length_that_is_only_claimed_reserves_nothing(tmp_path: Path, opcode: bytes, message: str) -> None:
    import resource

    claimed = b"\x80\x05" + opcode + (2**34).to_bytes(8, "little") + b"short"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SscError, match=message):
        load_plain_pickle(save(tmp_path, claimed))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**16  # KiB


def test_an_outside_object_is_not_spelled_out(tmp_path: Path) -> None:
    bomb = b"\x80\x02]q\x00" + b"(h\x00h\x00tq\x00" * 40 + b"Q."  # nested pairs: 2**40 brackets as text
    with pytest.raises(SscError) as caught:
        load_plain_pickle(save(tmp_path, bomb))
    assert len(str(caught.value)) < 1000
