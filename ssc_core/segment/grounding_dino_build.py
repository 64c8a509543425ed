"""GroundingDINO networks from a transformers folder or from the official checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoTokenizer, BertConfig, GroundingDinoForObjectDetection
from transformers.utils.logging import disable_progress_bar

from ssc_core.errors import FETCH, SscError
from ssc_core.files import read_json
from ssc_core.segment.grounding_dino_convert import load_official
from ssc_core.tensor_checks import check_tokenizer, check_weights
from ssc_core.tensor_files import named_tensors

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SHORT_SIDE, LONG_SIDE = 800, 1333


@dataclass(frozen=True, slots=True)
class LoadedDetector:
    """A network with what belongs to it. short_side, long_side: input size; mean, std: of RGB in 0..1."""

    network: nn.Module
    tokenizer: Any
    max_tokens: int
    short_side: int = SHORT_SIDE
    long_side: int = LONG_SIDE
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD


def load_grounding_dino(model: str, tokenizer: str | None) -> LoadedDetector:
    """Load ``model``: a folder of ``save_pretrained``, or the official ``.pth`` file.

    tokenizer: folder of a BERT tokenizer, and of BERT's config.json where its sizes are not those of bert-base-uncased;
    None looks in the model's folder. Nothing is downloaded. Raises SscError when something is missing, damaged, or does
    not fit.
    """
    path = Path(model)
    if path.is_file():
        folder = tokenizer_folder(model, tokenizer)
        network = load_official(path, bert_config(folder))
        return LoadedDetector(network, load_tokenizer(folder), network.config.max_text_len)
    if not (path / "config.json").is_file():
        raise SscError(
            f"GroundingDINO model '{model}' is neither a folder with config.json nor a checkpoint file; {FETCH}"
        )
    network = _from_folder(path)
    config = path / "preprocessor_config.json"
    processing: dict[str, Any] = read_json(config) if config.is_file() else {}
    size = processing.get("size", {})
    return LoadedDetector(
        network=network,
        tokenizer=load_tokenizer(Path(tokenizer or model)),
        max_tokens=network.config.max_text_len,
        short_side=size.get("shortest_edge", SHORT_SIDE),
        long_side=size.get("longest_edge", LONG_SIDE),
        mean=tuple(processing.get("image_mean", IMAGENET_MEAN)),
        std=tuple(processing.get("image_std", IMAGENET_STD)),
    )


def tokenizer_folder(model: str, tokenizer: str | None) -> Path:
    """The folder that a checkpoint file cannot do without. Raises SscError when it is not given."""
    if tokenizer is None:
        raise SscError(f"{model} has no tokenizer with it; set `tokenizer:` to a folder with bert-base-uncased's")
    return Path(tokenizer)


def bert_config(folder: Path) -> BertConfig:
    """Sizes of the text encoder: those of ``folder``'s config.json, else of bert-base-uncased."""
    config = folder / "config.json"
    return BertConfig(**read_json(config)) if config.is_file() else BertConfig()


def _from_folder(folder: Path) -> GroundingDinoForObjectDetection:
    check_weights(folder)
    disable_progress_bar()
    try:
        loaded: Any = GroundingDinoForObjectDetection.from_pretrained(
            folder,
            local_files_only=True,
            output_loading_info=True,
            disable_custom_kernels=True,
            dtype=torch.float32,  # whatever the file holds; autocast decides what is computed in less
        )
        network, loading = loaded
    except (OSError, ValueError, RuntimeError) as error:
        raise SscError(f"GroundingDINO in {folder} cannot be loaded: {str(error).splitlines()[0]}") from error
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if loading.get(what):
            raise SscError(f"GroundingDINO in {folder}: {len(loading[what])} {what}, as {sorted(loading[what])[0]}")
    named_tensors(folder, network.state_dict())
    return network


def load_tokenizer(folder: Path) -> Any:
    """The fast tokenizer of ``folder``. Raises SscError when there is none, or it is damaged."""
    check_tokenizer(folder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise SscError(f"no tokenizer in {folder}: {str(error).splitlines()[0]}") from error
    if not tokenizer.is_fast:
        raise SscError(f"the tokenizer in {folder} is a slow one; tokenizer.json is needed")
    return tokenizer
