"""A trained network as a file for other programs: ONNX, or an exported program of PyTorch.

Both take ``pixels`` float32 (B, 3, side, side), ImageNet-normalised, ``ids`` and ``mask`` int64 (B, tokens), as
``correct.pixels`` and ``correct.text.tokenize`` make them, and give ``logits`` float32 (B, 2, side, side), background
first. B is free, the other sizes are the checkpoint's.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from packaging.version import Version
from torch import Tensor, nn

from ssc_core.checkout import install
from ssc_core.correct.network import LAVT_NAME
from ssc_core.correct.predictor import Predictor
from ssc_core.errors import SscError
from ssc_core.files import atomic_path

NAMES = ("pixels", "ids", "mask")
ABOUT = "ssc"
"""Key of the file's metadata: which tokenizer, what checkpoint."""

CLOSE = 1e-3
"""Largest difference of a logit that rounding in another order makes; published networks have logits of about 10."""

READS_ONE_FILE = Version("1.24.1")
"""Of onnxruntime. Older ones (1.20, 1.22 and 1.23 were tried) follow a link to weights outside of the file's folder."""

_MOST_BATCH = 4096


def export_network(
    checkpoint: Path,
    out: Path,
    *,
    bert: str | None = None,
    default_bert: str | None = None,
    network: str = LAVT_NAME,
) -> float:
    """Write ``checkpoint`` as ``out``: ``.onnx`` or ``.pt2``. Returns the largest difference to PyTorch, of a logit.

    The written file is run before it gets its name, on another batch size than it was traced with. Raises SscError for
    another ending, a package that is missing, a checkpoint that cannot be used, and a file that computes otherwise.
    """
    if out.suffix not in (".onnx", ".pt2"):
        raise SscError(f"{out}: name a file that ends in .onnx (ONNX) or .pt2 (torch.export)")
    predictor = Predictor(checkpoint, bert=bert, default_bert=default_bert, network=network, device="cpu")
    model = predictor.model.requires_grad_(False)
    about = {
        "tokenizer": str(bert or predictor.tokenizer.name_or_path),
        "checkpoint": checkpoint.name,
        "network": predictor.settings.get("network", {}),
    }
    with torch.no_grad(), atomic_path(out) as temporary:
        model(*sample(predictor, 2))  # fills the cache of shift masks, which tracing must not fill with its stand-ins
        program = _traced(model, sample(predictor, 2))
        write = _write_onnx if out.suffix == ".onnx" else _write_program
        write(program, temporary, json.dumps(about))
        run = _onnx_logits if out.suffix == ".onnx" else _program_logits
        inputs = sample(predictor, 3)
        apart = float(np.abs(run(temporary, inputs) - model(*inputs).numpy()).max())
        if not apart <= CLOSE:
            raise SscError(f"{out.suffix} of {checkpoint} computes something else: logits differ by {apart:.2g}")
    return apart


def sample(predictor: Predictor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs of the network's sizes: noise, and sentences of different lengths."""
    noise = torch.Generator().manual_seed(count)
    pixels = torch.randn(count, 3, predictor.side, predictor.side, generator=noise)
    vocabulary = len(predictor.tokenizer)
    ids = torch.randint(0, vocabulary, (count, predictor.max_tokens), generator=noise)
    lengths = torch.arange(1, count + 1) * predictor.max_tokens // count
    mask = (torch.arange(predictor.max_tokens) < lengths[:, None]).long()
    return pixels, ids * mask, mask


def _traced(model: nn.Module, inputs: tuple[Tensor, ...]) -> torch.export.ExportedProgram:
    batch = torch.export.Dim("batch", min=1, max=_MOST_BATCH)
    return torch.export.export(model, inputs, dynamic_shapes=tuple({0: batch} for _ in inputs), strict=False)


def _write_program(program: torch.export.ExportedProgram, path: Path, about: str) -> None:
    with path.open("wb") as file:
        torch.export.save(program, file, extra_files={ABOUT: about})


def _write_onnx(program: torch.export.ExportedProgram, path: Path, about: str) -> None:
    _need("onnxscript")
    _need("onnxruntime")
    for noisy in ("onnxscript", "onnx_ir"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    names: dict[str, Any] = {"input_names": list(NAMES), "output_names": ["logits"]}
    made = torch.onnx.export(program, (), dynamo=True, external_data=False, verbose=False, **names)
    assert made is not None  # None is of the old exporter only
    made.model.metadata_props[ABOUT] = about
    made.save(str(path), external_data=False)


def _program_logits(path: Path, inputs: tuple[Tensor, ...]) -> np.ndarray:
    with path.open("rb") as file:
        return torch.export.load(file).module()(*inputs).numpy()


def _onnx_logits(path: Path, inputs: tuple[Tensor, ...]) -> np.ndarray:
    return open_session(path).run(None, {name: each.numpy() for name, each in zip(NAMES, inputs, strict=True)})[0]


def open_session(path: Path, threads: int = 1) -> Any:
    """The file in onnxruntime, on the CPU. Raises SscError for one that it cannot read, and without an onnxruntime that
    reads that file alone."""
    runtime = _need("onnxruntime")
    if Version(runtime.__version__) < READS_ONE_FILE:
        raise SscError(
            f"onnxruntime {runtime.__version__} is too old: a network's file could have it read any other file of this "
            f"machine, which {READS_ONE_FILE} refuses: {install('onnx')}"
        )
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    try:
        return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own classes, one per kind of failure
        raise SscError(f"{path} is no ONNX file that onnxruntime can run: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """Of what a library says; some say pages."""
    return (str(error).strip().splitlines() or ["unknown"])[0]


def _need(package: str) -> Any:
    try:
        return __import__(package)
    except ImportError as error:
        raise SscError(f"ONNX needs the package {package}: {install('onnx')}") from error
