"""What open_clip knows of a model by its name: how it was trained, and its tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
from huggingface_hub import try_to_load_from_cache
from open_clip.tokenizer import HFTokenizer

from ssc_core.errors import FETCH, SscError
from ssc_core.tensor_checks import check_tokenizer

PREPROCESSING = ("mean", "std", "interpolation", "resize_mode")


def trained_ways(model: str, tag: str | None) -> dict[str, Any]:
    """How the weights of a model's tags were trained: PREPROCESSING and ``quick_gelu``.

    Of one tag, or what all of them agree on: a file of SigLIP 2 has the means of all SigLIP 2 of that name. Raises
    SscError for a tag that the model does not have.
    """
    tags = open_clip.list_pretrained_tags_by_model(model)
    if tag is not None and tag not in tags:
        raise SscError(f"open_clip: {model} has no tag '{tag}'; its tags: {', '.join(tags) or 'none'}")
    known = [open_clip.get_pretrained_cfg(model, one) for one in ([tag] if tag else tags)]
    ways = [{key: one[key] for key in PREPROCESSING if key in one} | {"quick_gelu": _gelu(one)} for one in known]
    first = ways[0] if ways else {}
    return {key: value for key, value in first.items() if all(way.get(key) == value for way in ways)}


def tokenizer_of(model: str, folder: str | None, *, download: bool) -> Callable[..., Any]:
    """A named model's tokenizer: texts -> int64 (N, context length).

    CLIP's own comes with open_clip. Another lies in ``folder``, or in the cache of this machine; download: the weights
    are got from open_clip's hosts by their tag, so that the tokenizer may be too. Raises SscError when there is none.
    """
    text: dict[str, Any] = (open_clip.get_model_config(model) or {}).get("text_cfg", {})
    name = text.get("hf_tokenizer_name")
    if not name and folder is not None:
        raise SscError(f"open_clip: {model} has CLIP's own tokenizer; leave `tokenizer` out")
    try:
        if not name or (folder is None and (download or _is_cached(name))):
            return open_clip.get_tokenizer(model)
        if folder is None or not Path(folder).is_dir():
            missing = f"there is no folder {folder}" if folder else "none is given"
            raise SscError(
                f"open_clip: {model} has the tokenizer of '{name}', and {missing}: set `tokenizer` to a local folder "
                f"with its files ({FETCH})"
            )
        check_tokenizer(folder)
        return HFTokenizer(
            folder,
            context_length=text.get("context_length", 77),
            tokenizer_mode=text.get("tokenizer_mode"),
            **text.get("tokenizer_kwargs", {}),
        )
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise SscError(f"open_clip has no tokenizer for '{model}': {error}") from error


def _gelu(tag: dict[str, Any]) -> bool:
    return bool(tag.get("quick_gelu", False))


def _is_cached(name: str) -> bool:
    return isinstance(try_to_load_from_cache(name, "tokenizer_config.json"), str)
