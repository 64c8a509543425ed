"""A network of an ONNX file as a function of photos and sentences; nothing of it runs in PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ssc_core.checkout import find_path
from ssc_core.correct.export import ABOUT, NAMES, first_line, open_session
from ssc_core.correct.predictor import Predictor, checked_sizes
from ssc_core.correct.text import load_tokenizer
from ssc_core.errors import SscError
from ssc_core.files import parse_json
from ssc_core.torch_runtime import ShrinkingBatches


class OnnxPredictor(Predictor):
    """As ``Predictor``, of a file that ``export_network`` wrote. bert: folder of the tokenizer; None: the one it names.

    Raises SscError for a file that is missing, that onnxruntime cannot run, or that is another network's.
    """

    def __init__(self, path: Path, *, bert: str | None = None, threads: int = 1, samples: int = 32) -> None:
        if not path.is_file():
            raise SscError(f"{path} does not exist; `ssc export-network CHECKPOINT -o {path}` writes one")
        session = open_session(path, threads)
        sizes = {each.name: each.shape for each in session.get_inputs()}
        try:
            about = parse_json(session.get_modelmeta().custom_metadata_map[ABOUT], f"{path}: its note")
            side, tokens = sizes["pixels"][3], sizes["ids"][1]
            tokenizer, self.settings = str(about["tokenizer"]), {"network": dict(about["network"])}
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise SscError(f"{path} is not a file of `ssc export-network`: it lacks {error}") from error
        self.device = torch.device("cpu")
        self._passes = ShrinkingBatches(samples, "LAVT in onnxruntime, sentences")
        (self.side, self.max_tokens), self.meta = checked_sizes(side, tokens, path), {}
        self.tokenizer = load_tokenizer(find_path(bert or tokenizer))
        self.model = _Session(session, path)


class _Session(nn.Module):
    """onnxruntime's session, called as a network is."""

    def __init__(self, session: Any, path: Path) -> None:
        super().__init__()
        self._session, self._path = session, path

    def forward(self, pixels: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        inputs = zip(NAMES, (pixels, ids, mask), strict=True)
        try:
            found = self._session.run(None, {name: each.numpy() for name, each in inputs})[0]
            return torch.from_numpy(found)
        except Exception as error:  # onnxruntime's own classes, one per kind of failure
            raise SscError(f"{self._path} cannot be computed: {first_line(error)}") from error
