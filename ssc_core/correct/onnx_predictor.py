"""A network of an ONNX file as a function of photos and sentences; nothing of it runs in PyTorch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ssc_core.checkout import find_path
from ssc_core.correct.export import ABOUT, NAMES, open_session
from ssc_core.correct.predictor import Predictor
from ssc_core.correct.text import load_tokenizer
from ssc_core.errors import SscError
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
            about = json.loads(session.get_modelmeta().custom_metadata_map[ABOUT])
            side, tokens = int(sizes["pixels"][3]), int(sizes["ids"][1])
            tokenizer, self.settings = str(about["tokenizer"]), {"network": about["network"]}
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise SscError(f"{path} is not a file of `ssc export-network`: it lacks {error}") from error
        self.device = torch.device("cpu")
        self._passes = ShrinkingBatches(samples, "LAVT in onnxruntime, sentences")
        self.side, self.max_tokens, self.meta = side, tokens, {}
        self.tokenizer = load_tokenizer(find_path(bert or tokenizer))
        self.model = _Session(session)


class _Session(nn.Module):
    """onnxruntime's session, called as a network is."""

    def __init__(self, session: Any) -> None:
        super().__init__()
        self._session = session

    def forward(self, pixels: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        inputs = zip(NAMES, (pixels, ids, mask), strict=True)
        return torch.from_numpy(self._session.run(None, {name: each.numpy() for name, each in inputs})[0])
