"""GroundingDINO networks from a transformers folder or from the official checkpoint."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers import BertConfig, GroundingDinoForObjectDetection

from ssc_core.errors import FETCH, SscError
from ssc_core.files import read_json
from ssc_core.pretrained import Attention, image_settings, load_network, load_tokenizer, mean_and_std
from ssc_core.segment.grounding_dino_convert import load_official

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


def load_grounding_dino(
    model: str,
    tokenizer: str | None,
    *,
    kind: Any = GroundingDinoForObjectDetection,
    attention: Attention | None = None,
) -> LoadedDetector:
    """Load ``model``: a folder of ``save_pretrained`` of the class ``kind``, or the official ``.pth`` file.

    tokenizer: folder of a BERT tokenizer, and of BERT's config.json where its sizes are not those of bert-base-uncased;
    None looks in the model's folder. Nothing is downloaded. Raises SscError when something is missing, damaged, or does
    not fit.
    """
    path = Path(model)
    if path.is_file():
        if kind is not GroundingDinoForObjectDetection:
            raise SscError(f"{kind.__name__} is loaded from a folder of transformers, and {model} is a file")
        folder = tokenizer_folder(model, tokenizer)
        network = load_official(path, bert_config(folder), attention)
        return LoadedDetector(network, load_tokenizer(folder), network.config.max_text_len)
    if not (path / "config.json").is_file():
        raise SscError(
            f"GroundingDINO model '{model}' is neither a folder with config.json nor a checkpoint file; {FETCH}"
        )
    network = load_network(kind, path, attention=attention, disable_custom_kernels=True)
    short_side, long_side = _input_sides(path)
    mean, std = mean_and_std(path, (IMAGENET_MEAN, IMAGENET_STD))
    return LoadedDetector(
        network=network,
        tokenizer=load_tokenizer(Path(tokenizer or model)),
        max_tokens=network.config.max_text_len,
        short_side=short_side,
        long_side=long_side,
        mean=mean,
        std=std,
    )


CLS, SEP, STOP, WORD = 101, 102, 1012, 2000
"""Ids of BERT's vocabulary: "[CLS]", "[SEP]", "." and one of a word."""


class _Seen(Exception):
    """Ends a forward pass once the text encoder has its arguments."""


def check_token_positions(network: Any) -> None:
    """Raise SscError unless ``network`` numbers a caption's tokens as it was trained to: from 0 in every class, the
    full stop after it counted with it, and no class sees another (Liu et al., arXiv 2303.05499, section 3.4).

    Several releases of transformers before 5.23 count the full stop as 0. Nothing fails then: on the micro world 8 % of
    the boxes were others, and scores were off by 0.05.
    """
    seen: list[Any] = []

    def see(_: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        names = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
        seen.append({**dict(zip(names, arguments, strict=False)), **named})
        raise _Seen

    ids = torch.tensor([[CLS, WORD, WORD, STOP, WORD, STOP, SEP]])
    pixels = torch.zeros(1, 3, 32, 32, dtype=next(network.parameters()).dtype)
    hook = network.model.text_backbone.register_forward_pre_hook(see, with_kwargs=True)
    try:
        with torch.inference_mode(), suppress(_Seen):
            network(pixel_values=pixels, input_ids=ids)
    finally:
        hook.remove()
    phrase = torch.tensor([0, 1, 1, 1, 2, 2, 3])
    positions = [0, 0, 1, 2, 0, 1, 0]
    if seen[0]["position_ids"].tolist() != [positions] or not seen[0]["attention_mask"].reshape(7, 7).bool().equal(
        phrase[:, None] == phrase
    ):
        raise SscError(
            f"transformers {transformers.__version__} numbers the words of a caption otherwise than GroundingDINO was "
            f"trained with: {seen[0]['position_ids'].tolist()[0]}, not {positions}. Boxes and scores would be off, and "
            "nothing else would tell. Install the version in requirements.lock, or 5.23 at least"
        )


def _input_sides(folder: Path) -> tuple[int, int]:
    """Short and long side of the input, as the folder says; the published ones where it says nothing.

    Raises SscError for sizes of another kind: with ours in their place, results would be wrong in silence.
    """
    said = image_settings(folder)
    size = said.get("size", {})
    if isinstance(size, int):  # older files
        size = {"shortest_edge": size, "longest_edge": said.get("max_size", LONG_SIDE)}
    told = {key: side for key, side in size.items() if side is not None} if isinstance(size, dict) else {"": size}
    sides = {"shortest_edge": SHORT_SIDE, "longest_edge": LONG_SIDE, **told}
    short, long = sides["shortest_edge"], sides["longest_edge"]
    if len(sides) > 2 or not (type(short) is type(long) is int and 0 < short <= long):
        raise SscError(f"{folder}: the image processor's `size` {size!r:.80} is no shortest_edge and longest_edge")
    return short, long


def tokenizer_folder(model: str, tokenizer: str | None) -> Path:
    """The folder that a checkpoint file cannot do without. Raises SscError when it is not given."""
    if tokenizer is None:
        raise SscError(f"{model} has no tokenizer with it; set `tokenizer:` to a folder with bert-base-uncased's")
    return Path(tokenizer)


def bert_config(folder: Path) -> BertConfig:
    """Sizes of the text encoder: those of ``folder``'s config.json, else of bert-base-uncased. Raises SscError for a
    file that does not hold them."""
    config = folder / "config.json"
    if not config.is_file():
        return BertConfig()
    content = read_json(config)
    try:
        return BertConfig(**content)
    except Exception as error:  # transformers fails in any way at all
        problem = " ".join(str(error).split())
        raise SscError(f"{config} holds no configuration of a BERT ({problem:.200}); get it again") from error
