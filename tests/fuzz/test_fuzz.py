"""A short run of every fuzz target, and Hypothesis on the readers whose input has a shape. `make fuzz` runs long."""

from __future__ import annotations

import json
import logging
import math
import pickle
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ssc_core.errors import SscError
from ssc_core.masks import rle
from ssc_core.refer.safe_pickle import load_plain_pickle
from tests.fuzz.hostile import HOSTILE
from tests.fuzz.mutate import mutated
from tests.fuzz.run import fuzz
from tests.fuzz.targets import TARGETS, read_one
from tests.patience import SECONDS

SLOW = {"index_refs", "index_coco", "index_table", "checkpoint", "checkpoint_pickle"}
IN_THIS_PROCESS = sorted(set(TARGETS) - {name for name in TARGETS if name.endswith("_store")})
"""A damaged HDF5 file can hang the HDF5 library itself, so stores are fuzzed in child processes only."""

few = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", IN_THIS_PROCESS)
def test_damaged_files_are_taken_or_refused(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    seeds = target.seeds(tmp_path)
    outcomes = set()
    for number in range(30 if name in SLOW else 200):
        path = tmp_path / f"input{target.suffix}"
        path.write_bytes(mutated(target.kind, seeds, number))
        outcomes.add(read_one(target, path))
    # any bytes may be a page: what is asked of its reader is that it ends, and finds no more than there is
    assert "refused" in outcomes or name == "web_page"


@pytest.mark.parametrize("name", list(HOSTILE))
def test_hostile_files_are_refused_within_a_gigabyte(name: str, tmp_path: Path) -> None:
    files = len(HOSTILE[name]())
    counts, problems, _ = fuzz(name, -files, files, tmp_path, SECONDS)
    assert problems == []
    assert counts == {"refused": files}


@pytest.mark.parametrize("name", [name for name in TARGETS if name.endswith("_store")])
def test_damaged_stores_are_taken_or_refused(name: str, tmp_path: Path) -> None:
    counts, problems, _ = fuzz(name, 0, 50, tmp_path, SECONDS)
    assert not problems
    assert counts["refused"] > 20


@pytest.mark.parametrize("name", [name for name in TARGETS if name.endswith("_store")])
def test_truncated_stores_are_refused(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    whole = target.seeds(tmp_path)[0]
    path = tmp_path / "input.h5"
    for end in np.linspace(0, len(whole) - 1, 25).astype(int):
        path.write_bytes(whole[:end])
        assert read_one(target, path) == "refused"


def test_the_same_number_makes_the_same_file() -> None:
    seeds = [b"hello there", b"[1, 2, 3]"]
    for kind in ("bytes", "json"):
        made = [mutated(kind, [seeds[kind == "json"]], number) for number in range(50)]
        assert made == [mutated(kind, [seeds[kind == "json"]], number) for number in range(50)]
        assert len(set(made)) > 20


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    if isinstance(a, list | tuple) and type(a) is type(b):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(_same(a[key], b[key]) for key in a)
    return type(a) is type(b) and bool(a == b)


@few
@given(value=plain, protocol=st.sampled_from([3, 4, 5]))
def test_plain_values_come_back_from_a_pickle(
    tmp_path_factory: pytest.TempPathFactory, value: Any, protocol: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "plain.p"
    path.write_bytes(pickle.dumps(value, protocol))
    assert _same(load_plain_pickle(path), value)


@few
@given(content=st.binary(max_size=200))
def test_any_bytes_as_a_pickle(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.p"
    path.write_bytes(content)
    try:
        load_plain_pickle(path)
    except SscError as error:
        assert "any.p" in str(error)


@few
@given(seed=st.integers(0, 2**32), height=st.integers(1, 40), width=st.integers(1, 40), share=st.floats(0, 1))
def test_masks_come_back_from_run_lengths(seed: int, height: int, width: int, share: float) -> None:
    masks = np.random.default_rng(seed).random((2, height, width)) < share
    codes = rle.encode(masks)
    assert np.array_equal(rle.decode(codes, (height, width)), masks)
    assert rle.areas(codes, (height, width)).tolist() == masks.sum(axis=(1, 2)).tolist()


@few
@given(code=st.binary(max_size=40), height=st.integers(-1, 50), width=st.integers(-1, 50))
def test_any_bytes_as_run_lengths(code: bytes, height: int, width: int) -> None:
    try:
        mask = rle.decode([code], (height, width))
    except SscError:
        return
    assert mask.shape == (1, height, width)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@few
@given(mask=values, sentences=values, image=values)
def test_any_values_in_a_row_of_a_table(
    tmp_path_factory: pytest.TempPathFactory, mask: Any, sentences: Any, image: Any
) -> None:
    path = tmp_path_factory.getbasetemp() / "row.jsonl"
    row = {"image": image if zlib.crc32(repr(image).encode()) % 2 else "a.jpg", "sentences": sentences, "mask": mask}
    path.write_text(json.dumps(row))
    assert read_one(TARGETS["jsonl"], path) in ("taken", "refused")
