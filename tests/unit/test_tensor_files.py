from __future__ import annotations

import argparse
import os
import pickle
import tracemalloc
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from ssc_core.errors import SscError
from ssc_core.tensor_files import read_torch, state_dict_of


class Harmful:
    """Unpickling it creates a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.target),)


def test_tensors_plain_values_and_the_namespace_are_read(tmp_path: Path) -> None:
    content = {
        "model": OrderedDict(weight=torch.arange(3.0)),
        "args": argparse.Namespace(epochs=40, mha="", nested=[1, None, {"a": (2.5, True)}]),
        "lr_scheduler": {"base_lrs": [1e-5], "lr_lambdas": [None]},
    }
    torch.save(content, tmp_path / "x.pth")
    read = read_torch(tmp_path / "x.pth")
    assert torch.equal(read["model"]["weight"], torch.arange(3.0))
    assert read["args"] == content["args"]
    assert read["lr_scheduler"] == content["lr_scheduler"]


def test_the_old_file_format_is_read(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "x.pth", _use_new_zipfile_serialization=False)
    assert read_torch(tmp_path / "x.pth")["a"].tolist() == [1.0, 1.0]


def test_a_harmful_pickle_is_refused_by_name_and_not_run(tmp_path: Path) -> None:
    target = tmp_path / "harm"
    torch.save({"model": Harmful(target)}, tmp_path / "x.pth")
    with pytest.raises(SscError, match=r"wants to import \w+\.mkdir .* refused"):
        read_torch(tmp_path / "x.pth")
    assert not target.exists()


def test_a_namespace_does_not_open_the_door_to_others(tmp_path: Path) -> None:
    target = tmp_path / "harm"
    torch.save({"args": argparse.Namespace(inner=Harmful(target))}, tmp_path / "x.pth")
    with pytest.raises(SscError, match="mkdir"):
        read_torch(tmp_path / "x.pth")
    assert not target.exists()


@pytest.mark.parametrize("value", [np.float64(3), np.zeros(2), {"a": np.int64(1)}], ids=str)
def test_numpy_values_are_refused_with_advice(tmp_path: Path, value: object) -> None:
    torch.save({"epoch": value}, tmp_path / "x.pth")
    with pytest.raises(SscError, match=r"holds NumPy values .* Python numbers"):
        read_torch(tmp_path / "x.pth")


@pytest.mark.parametrize("keep", [0, 10, 1000, 4000])
def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, keep: int) -> None:
    torch.save({"a": torch.zeros(1000)}, tmp_path / "x.pth")
    whole = (tmp_path / "x.pth").read_bytes()
    assert keep < len(whole)
    (tmp_path / "x.pth").write_bytes(whole[:keep])
    with pytest.raises(SscError, match=r"x\.pth is damaged, cut off"):
        read_torch(tmp_path / "x.pth")


@pytest.mark.parametrize("content", [b"hello there", b"abc", b"\x89PNG\r\n", pickle.dumps({"a": 1}, protocol=2)])
def test_other_kinds_of_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(SscError, match="not a PyTorch file"):
        read_torch(tmp_path / "x.pth")


def test_a_missing_file_a_folder_and_a_list(tmp_path: Path) -> None:
    with pytest.raises(SscError, match="does not exist"):
        read_torch(tmp_path / "none.pth")
    with pytest.raises(SscError, match="cannot be read"):
        read_torch(tmp_path)
    torch.save([1, 2], tmp_path / "x.pth")
    with pytest.raises(SscError, match="holds a list"):
        read_torch(tmp_path / "x.pth")


def test_the_prefix_of_distributed_training_goes_when_all_keys_have_it() -> None:
    one = torch.ones(1)
    assert list(state_dict_of("x", {"model": {"module.a": one, "module.module.b": one}}, "model")) == ["a", "module.b"]
    assert list(state_dict_of("x", {"model": {"module.a": one, "b": one}}, "model")) == ["module.a", "b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"other": 1}, "no weights under 'model'; it holds other"),
        ({"model": {}}, "no weights under 'model'"),
        ({"model": {"a": 1}}, "something other than named tensors: a"),
    ],
)
def test_an_entry_without_weights_is_refused(content: dict, message: str) -> None:
    with pytest.raises(SscError, match=message):
        state_dict_of("x.pth", content, "model")


def test_a_length_that_the_old_format_only_claims_is_not_reserved(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save({"weight": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    text = b"X" + len("weight").to_bytes(4, "little") + b"weight"  # BINUNICODE, length, text
    content = path.read_bytes()
    assert text in content
    path.write_bytes(content.replace(text, b"X" + (2**31).to_bytes(4, "little") + b"weight", 1))
    tracemalloc.start()
    try:
        with pytest.raises(SscError, match="is damaged"):
            read_torch(path)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()
