"""Networks as files for other programs: they compute what PyTorch does, for any number of photos."""

from __future__ import annotations

from pathlib import Path

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

pytest.importorskip("onnxscript")


@pytest.fixture(scope="module")
def onnx(micro_network: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "micro.onnx"
    assert export_network(micro_network, path) < 1e-4
    return path


def test_foregrounds_are_those_of_pytorch_in_every_batch(onnx: Path, micro_network: Path) -> None:
    rng = np.random.default_rng(0)
    photos = [rng.integers(0, 255, (40, 60, 3), np.uint8) for _ in range(3)]
    sentences = [["blue kite"], ["a dog", "the red bus on the left"], []]
    expected = Predictor(micro_network, device="cpu").foreground(photos, sentences)
    for samples in (1, 2, 8):
        found = OnnxPredictor(onnx, samples=samples).foreground(photos, sentences)
        for one, other in zip(found, expected, strict=True):
            assert one.shape == other.shape
            torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
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
