from __future__ import annotations

import argparse
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ssc_core.errors import SscError
from ssc_core.provenance import file_sha256
from ssc_core.tensor_checks import check_weights
from ssc_core.tensor_files import named_tensors, read_safetensors, read_torch, state_dict_of, write_torch
from ssc_core.weights.lock import LockFile


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


def _spoiled(path: Path, at: int) -> bytes:
    content = bytearray(path.read_bytes())
    content[at // 8] ^= 1 << at % 8
    return bytes(content)


def test_any_flipped_bit_of_a_file_that_we_wrote_is_refused(tmp_path: Path) -> None:
    whole, spoiled = tmp_path / "x.pt", tmp_path / "y.pt"
    write_torch(whole, {"weight": torch.arange(200.0), "meta": {"epoch": 3}})
    assert read_torch(whole)["weight"].tolist() == list(range(200))
    assert torch.load(whole, weights_only=True)["meta"] == {"epoch": 3}, "others read it too"
    for at in np.random.default_rng(0).integers(0, 8 * whole.stat().st_size, 400).tolist():
        spoiled.write_bytes(_spoiled(whole, at))
        with pytest.raises(SscError, match=r"y\.pt is damaged"):
            read_torch(spoiled)


def test_a_flipped_bit_of_a_file_without_seal_changes_no_value(tmp_path: Path) -> None:
    whole, spoiled = tmp_path / "x.pt", tmp_path / "y.pt"
    values = torch.arange(2000.0)
    torch.save({"weight": values}, whole)
    refused = 0
    for at in np.random.default_rng(0).integers(0, 8 * whole.stat().st_size, 300).tolist():
        spoiled.write_bytes(_spoiled(whole, at))
        try:
            assert torch.equal(read_torch(spoiled)["weight"], values)
        except SscError as error:
            assert "y.pt is damaged" in str(error)
            refused += 1
    assert refused > 240, "but for time stamps and padding between records, which nobody reads"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16, torch.complex64])
def test_values_that_are_not_finite_are_refused(value: float, kind: torch.dtype) -> None:
    state = {"fine": torch.ones(3), "spoiled": torch.tensor([0, value, 1]).to(kind)}
    with pytest.raises(SscError, match=r"x\.pth: 'model': 'spoiled' has values that are not finite"):
        state_dict_of("x.pth", {"model": state}, "model")
    assert named_tensors("x.pth", {"empty": torch.ones(0), "count": torch.tensor(3)}).keys() == {"empty", "count"}


def test_a_tensor_that_a_small_file_only_claims_is_refused(tmp_path: Path) -> None:
    torch.save({"model": {"weight": torch.ones(1).expand(2**40)}}, tmp_path / "x.pth")
    with pytest.raises(SscError, match=r"'weight' claims \(1099511627776,\) values"):
        state_dict_of("x.pth", read_torch(tmp_path / "x.pth"), "model")


def _zip_with_pickle(path: Path, content: bytes, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/version", "3\n")
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"\x80\x02}" + b")" + b"\x85" * 10**6 + b"K\x01s.",
            "refused: it tries to nest values",
        ),  # SIGSEGV in torch.load
        (b"\x80\x02}" + b")q\x00" + b"h\x00h\x00\x86q\x00" * 40 + b"K\x01s.", "refused: it tries to spell out"),
        (b"\x80\x02cbuiltins\nbytearray\n\x8a\x05\x00\x00\x00\x00\x02\x85R.", r"wants to import builtins\.bytearray"),
        (b"\x80\x02ctorch\nTensor\n\x8a\x05\x00\x00\x00\x00\x02\x85R.", r"wants to import torch\.Tensor"),
        (b"\x80\x02}", "damaged.*before its last instruction"),
    ],
)
def test_pickles_that_crash_or_fill_the_memory_are_refused_before_torch_sees_them(
    tmp_path: Path, content: bytes, message: str
) -> None:
    with pytest.raises(SscError, match=message):
        read_torch(_zip_with_pickle(tmp_path / "x.pth", content))
    old = b"".join(pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {})) + content + b"\x80\x02]."
    (tmp_path / "old.pth").write_bytes(old)
    with pytest.raises(SscError, match=message):
        read_torch(tmp_path / "old.pth")


def test_archives_that_unpack_to_more_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SscError, match="its records overlap"):
        read_torch(_zip_with_pickle(tmp_path / "x.pth", b"\0" * 10**7, zipfile.ZIP_DEFLATED))


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"\n<!DOCTYPE html><html><body>Virus scan warning", "is a web page, not weights"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "is a pointer of Git LFS"),
        (b"", "it is empty"),
    ],
)
def test_what_came_instead_of_weights_is_named(tmp_path: Path, head: bytes, message: str) -> None:
    for name, read in (("x.pth", read_torch), ("x.safetensors", read_safetensors)):
        (tmp_path / name).write_bytes(head)
        if head or name == "x.pth":
            with pytest.raises(SscError, match=rf"{name} .*{message}"):
                read(tmp_path / name)
    save_file({"a": torch.ones(2)}, tmp_path / "x.pth")
    with pytest.raises(SscError, match="is a safetensors file"):
        read_torch(tmp_path / "x.pth")


def test_what_has_no_sums_is_checked_by_the_lock_above_it(tmp_path: Path) -> None:
    folder = tmp_path / "weights/bert"
    folder.mkdir(parents=True)
    save_file({"a": torch.ones(200)}, folder / "model.safetensors")
    (folder / "vocab.txt").write_text("cat\ndog\n")
    lock = LockFile(tmp_path / "sources.lock.json")
    for file in folder.iterdir():
        path = file.relative_to(tmp_path).as_posix()
        lock.add(path, sha256=file_sha256(file), size=file.stat().st_size, source="here")
    check_weights(folder)
    assert read_safetensors(folder / "model.safetensors")["a"].sum() == 200
    for name in ("model.safetensors", "vocab.txt"):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(_spoiled(folder / name, 8 * len(whole) - 20))
        with pytest.raises(SscError, match=rf"{name} does not have the bytes that .*sources\.lock\.json states"):
            check_weights(folder)
        (folder / name).write_bytes(whole)


def test_what_nobody_looks_at_takes_no_memory(tmp_path: Path) -> None:
    torch.save({"model": {"w": torch.ones(10)}, "optimizer": {"m": torch.ones(40_000_000)}}, tmp_path / "x.pth")
    code = (
        "import resource, sys; from ssc_core.tensor_files import read_torch, state_dict_of;"
        "read_torch(sys.argv[1] + '.small'); before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "state_dict_of('x', read_torch(sys.argv[1]), 'model');"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    torch.save({"model": {"w": torch.ones(10)}}, tmp_path / "x.pth.small")
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "x.pth")], capture_output=True, text=True)
    assert int(done.stdout) < 40_000, f"kB, of 160,000 that the optimizer has; {done.stderr}"


def test_every_file_of_the_micro_models_is_known_by_its_digest(tmp_path: Path) -> None:
    micro = Path(__file__).parents[2] / "resources/micro"
    files = [path for path in micro.rglob("*") if path.is_file() and path.suffix != ".md"]
    pinned = LockFile(micro / "sources.lock.json").pins()
    assert pinned.keys() == {path.relative_to(micro).as_posix() for path in files} - {"sources.lock.json"}
    shutil.copytree(micro, tmp_path / "micro")
    from ssc_core.correct.text import load_text, load_tokenizer
    from ssc_core.segment.grounding_dino_build import load_grounding_dino
    from ssc_core.segment.sam_build import load_sam
    from ssc_core.select.clip import load_model

    readers = {
        "lavt/bert": load_text,
        "detector": lambda folder: load_grounding_dino(folder, None),
        "sam": load_sam,
        "clip": lambda folder: load_model(folder, None, None),
    }
    vocabulary = tmp_path / "micro/lavt/bert/vocab.txt"
    whole = vocabulary.read_bytes()
    vocabulary.write_bytes(_spoiled(vocabulary, 4000))
    with pytest.raises(SscError, match=r"vocab\.txt does not have the bytes"):
        load_tokenizer(vocabulary.parent)
    vocabulary.write_bytes(whole)
    for name, read in readers.items():
        read(str(tmp_path / "micro" / name))
        for file in ("config.json", "open_clip_config.json", "model.safetensors", "open_clip_model.safetensors"):
            path = tmp_path / "micro" / name / file
            if path.exists():
                whole = path.read_bytes()
                path.write_bytes(_spoiled(path, 8 * (len(whole) // 2)))
                with pytest.raises(SscError, match=rf"{file} does not have the bytes"):
                    read(str(tmp_path / "micro" / name))
                path.write_bytes(whole)


def test_a_safetensors_list_without_a_bound_is_refused(tmp_path: Path) -> None:
    entry = json.dumps({"dtype": "F32", "shape": [0], "data_offsets": [0, 0]})
    header = "{" + ",".join(f'"a{i}":{entry}' for i in range(300_000)) + "}"
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", len(header)) + header.encode())
    with pytest.raises(SscError, match="its list of tensors has over 16777216 bytes"):
        read_safetensors(tmp_path / "x.safetensors")
