"""Networks as files for other programs: they compute what PyTorch does, for any number of photos."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from ssc_core.cli.main import app
from ssc_core.correct import export
from ssc_core.correct.export import export_network
from ssc_core.correct.onnx_predictor import OnnxPredictor
from ssc_core.correct.predictor import Predictor
from ssc_core.errors import SscError
from tests.unit.predict.conftest import BERT

pytest.importorskip("onnxscript")


@pytest.fixture(scope="module", autouse=True)
def traced_once() -> Iterator[None]:
    """Both kinds of file are of one program, which takes seconds to trace."""
    trace, programs = export._traced, []

    def once(*given: Any) -> torch.export.ExportedProgram:
        if not programs:
            programs.append(trace(*given))
        return programs[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "_traced", once)
        yield


@pytest.fixture(scope="module")
def onnx(micro_network: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "micro.onnx"
    assert export_network(micro_network, path) < 1e-4
    return path


def test_margins_are_those_of_pytorch_in_every_batch(onnx: Path, micro_network: Path) -> None:
    rng = np.random.default_rng(0)
    photos = [rng.integers(0, 255, (40, 60, 3), np.uint8) for _ in range(3)]
    sentences = [["blue kite"], ["a dog", "the red bus on the left"], []]
    expected = Predictor(micro_network, device="cpu")(photos, sentences)
    for samples in (1, 2, 8):
        found = OnnxPredictor(onnx, samples=samples)(photos, sentences)
        for one, other in zip(found, expected, strict=True):
            assert one.shape == other.shape
            np.testing.assert_allclose(one, other, atol=1e-5, rtol=0)
    assert expected[0].std() > 0


def test_ssc_predict_takes_the_file(onnx: Path, micro_network: Path, tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (50, 70, 3), np.uint8)).save(tmp_path / "a.png")
    for option, model in (("--onnx", onnx), ("--checkpoint", micro_network)):
        arguments = [
            "predict",
            str(tmp_path / "a.png"),
            "dog",
            option,
            str(model),
            "--allow-toy-models",
            "--out",
            str(tmp_path / option),
        ]
        done = CliRunner().invoke(app, [*arguments, "--save", "mask"])
        assert done.exit_code == 0, done.output
    one, other = (np.asarray(Image.open(tmp_path / option / "a_1.mask.png")) for option in ("--onnx", "--checkpoint"))
    np.testing.assert_array_equal(one, other)


def test_torch_export(micro_network: Path, tmp_path: Path) -> None:
    path = tmp_path / "micro.pt2"
    assert export_network(micro_network, path) == 0
    extra = {export.ABOUT: ""}
    program = torch.export.load(path, extra_files=extra)
    assert "lavt/bert" in extra[export.ABOUT]
    inputs = export.sample(Predictor(micro_network, device="cpu"), 5)
    assert program.module()(*inputs).shape == (5, 2, 96, 96)


def test_a_file_that_computes_something_else_gets_no_name(micro_network: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(export, "_traced", lambda *_: None)  # takes seconds, and what is written here is nothing
    monkeypatch.setattr(export, "_write_program", lambda _, path, about: path.write_text(about))
    monkeypatch.setattr(export, "_program_logits", lambda path, inputs: np.full((3, 2, 96, 96), 7, np.float32))
    with pytest.raises(SscError, match="computes something else"):
        export_network(micro_network, tmp_path / "micro.pt2")
    assert not list(tmp_path.iterdir())


def test_files_that_are_no_networks_of_ours(tmp_path: Path) -> None:
    with pytest.raises(SscError, match="ends in "):
        export_network(tmp_path / "a.pt", tmp_path / "a.pth")
    with pytest.raises(SscError, match="does not exist"):
        OnnxPredictor(tmp_path / "a.onnx")
    (tmp_path / "a.onnx").write_bytes(b"no protobuf at all")
    with pytest.raises(SscError, match="no ONNX file that onnxruntime can run"):
        OnnxPredictor(tmp_path / "a.onnx")
    import onnx.helper as helper

    value = helper.make_tensor_value_info("x", 1, [1])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [value], [
        helper.make_tensor_value_info("y", 1, [1])
    ])  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    (tmp_path / "a.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(SscError, match="not a file of `ssc export-network`"):
        OnnxPredictor(tmp_path / "a.onnx")


def strangers(path: Path, *nodes: Any, side: int = 32, tokens: int = 20, note: str = "", **constants: Any) -> Path:
    """An ONNX file that passes for ours; its logits are what ``nodes`` (operator, inputs) make of the pixels."""
    import onnx.helper as helper
    from onnx import numpy_helper

    shapes = {"pixels": ["B", 3, side, side], "ids": ["B", tokens], "mask": ["B", tokens]}
    inputs = [helper.make_tensor_value_info(name, 1 if name == "pixels" else 7, shapes[name]) for name in shapes]
    made = [helper.make_node("Slice", ["pixels", "from", "to", "axis"], ["x" if nodes else "logits"])]
    made += [helper.make_node(kind, given, ["logits"]) for kind, given in nodes]
    values = {"from": [0], "to": [2], "axis": [1], **constants}
    graph = helper.make_graph(
        made,
        "g",
        inputs,
        [helper.make_tensor_value_info("logits", 1, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    helper.set_model_props(model, {export.ABOUT: note or json.dumps({"tokenizer": BERT, "network": {}})})
    path.write_bytes(model.SerializeToString())
    return path


def ask(path: Path) -> list[np.ndarray]:
    return OnnxPredictor(path)([np.zeros((40, 60, 3), np.uint8)], [["a dog"]])


def test_files_of_strangers_are_refused_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    assert ask(strangers(path))[0].shape == (1, 32, 32)
    for made, message in (
        ({"side": 10**6}, "1000000 x 1000000 pixels"),
        ({"side": 0}, "no side of a photo"),
        ({"tokens": 10**9}, "1000000000 tokens"),
        ({"note": "[" * 100_000}, "its note is not valid JSON"),
        ({"note": '{"tokenizer": "x", "network": "y"}'}, "not a file of `ssc export-network`"),
    ):
        with pytest.raises(SscError, match=message):
            OnnxPredictor(strangers(path, **made))


def test_what_a_strangers_network_gives_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    for node, constants, message in (
        (("Div", ["x", "zero"]), {"zero": np.float32(0)}, "NaN or infinite"),
        (("ReduceMean", ["x"]), {}, "not logits of background and object"),
        (("Reshape", ["x", "to_shape"]), {"to_shape": [7, 11]}, "a.onnx cannot be computed"),
        (("Expand", ["x", "to_shape"]), {"to_shape": [2**40, 1, 1, 1]}, "a.onnx cannot be computed"),
    ):
        with pytest.raises(SscError, match=message):
            ask(strangers(path, node, **constants))


def test_an_onnxruntime_that_reads_other_files_too_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    path = strangers(tmp_path / "a.onnx")
    monkeypatch.setattr(onnxruntime, "__version__", "1.23.2")
    with pytest.raises(SscError, match=r"onnxruntime 1\.23\.2 is too old.* 1\.24\.1 refuses"):
        ask(path)
    monkeypatch.setattr(onnxruntime, "__version__", "1.24.1")
    assert ask(path)[0].shape == (1, 32, 32)


@pytest.mark.parametrize("place", ["/etc/passwd", "../secret", "link"])
def test_no_file_of_strangers_reads_another_of_this_machine(tmp_path: Path, place: str) -> None:
    import onnx

    (tmp_path / "secret").write_bytes(bytes(8))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")
    path = strangers(folder / "a.onnx", ("Add", ["x", "w"]), w=np.float32([0]))
    model = onnx.load(path)
    (weights,) = (one for one in model.graph.initializer if one.name == "w")
    weights.ClearField("raw_data")
    weights.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": place, "offset": "0", "length": "4"}.items():
        weights.external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(SscError, match="no ONNX file that onnxruntime can run"):
        ask(path)
