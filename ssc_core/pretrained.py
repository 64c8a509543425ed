"""Networks and tokenizers of transformers from local folders: complete, or an error that says what does not fit.

transformers itself gives a weight that a file lacks random values, and says so in a log at most. So a published file
whose weights had other names than the class expected ran with a text encoder that had never been trained.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from huggingface_hub import try_to_load_from_cache
from transformers import AutoProcessor, AutoTokenizer
from transformers.utils import logging as transformers_logging

from ssc_core.claimed_sizes import as_large_as
from ssc_core.errors import FETCH, SscError
from ssc_core.files import read_json
from ssc_core.tensor_checks import check_digest, check_tokenizer, check_weights
from ssc_core.tensor_files import named_tensors

Dtype = Literal["float32", "bfloat16", "float16"]
Attention = Literal["eager", "sdpa", "flash_attention_2", "flex_attention"]

Normalisation = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of each colour."""

INDEX_TABLES = (r"(^|\.)position_ids$", r"\.relative_position_index$", r"\.num_batches_tracked$")
"""Left over in older files, and harmless: what they hold is computed, or counts steps of training."""


_PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")
"""Where a folder describes its image processor: the first by itself, the second, of newer folders, under a key."""


def load_network(
    kind: Any,
    folder: Path | str,
    *,
    unused: Collection[str] = (),
    dtype: Dtype = "float32",
    attention: Attention | None = None,
    **options: Any,
) -> Any:
    """A network of a transformers class from a folder of ``save_pretrained``, in eval mode, on the CPU.

    unused: patterns of names that published files have and this class has no place for, such as the heads of another
    task; beside ``INDEX_TABLES`` and what the class itself lists. dtype: of the weights, whatever the file holds;
    attention: how attention is computed, None: as transformers picks it; options: for the class's configuration.

    Nothing is downloaded, no code of the folder runs, and weights are never spread over devices. Raises SscError for a
    folder without a model, for a damaged or refused file, for a setting that is none, and unless every weight of the
    class is in the file, in its shape, and every one of the file in the class.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise SscError(f"{kind.__name__}: {folder} is no folder with config.json and weights; {FETCH}")
    held = torch_dtype(dtype)
    if attention is not None:
        _check_choice("attention", attention, get_args(Attention))
        options["attn_implementation"] = attention
    check_weights(folder)
    made_for = _model_type(folder / "config.json")
    with as_large_as(folder):
        network, report = _call(
            kind.from_pretrained,
            f"{kind.__name__} cannot be loaded from {folder}, whose config.json is of '{made_for}'",
            folder,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # so that they are listed; below they are an error like the others
            weights_only=True,
            dtype=held,
            **options,
        )
    if problems := _misfits(report, [*unused, *INDEX_TABLES]):
        raise SscError(
            f"{folder} does not fit {kind.__name__}: {'; '.join(problems)}. Its config.json is of '{made_for}'. "
            "Missing weights would be random; take the folder that was published for this class"
        )
    named_tensors(folder, network.state_dict())
    return network


def torch_dtype(name: str) -> torch.dtype:
    """PyTorch's own of a setting ``dtype``. Raises SscError for one that is none."""
    _check_choice("dtype", name, get_args(Dtype))
    return getattr(torch, name)  # type: ignore[no-any-return]


def load_tokenizer(folder: Path | str) -> Any:
    """The fast tokenizer of a folder. Raises SscError when there is none, or it is damaged."""
    check_tokenizer(folder)
    if not any(Path(folder).glob("*.json")):
        raise SscError(f"no tokenizer in {folder}: it needs tokenizer.json and tokenizer_config.json; {FETCH}")
    tokenizer = _call(AutoTokenizer.from_pretrained, f"no tokenizer in {folder}", folder)
    if not tokenizer.is_fast:
        raise SscError(f"the tokenizer in {folder} is a slow one; tokenizer.json is needed")
    return tokenizer


def load_processor(folder: Path | str) -> Any:
    """What turns a multimodal model's chat with pictures into tensors. Raises SscError when the folder has none."""
    load_tokenizer(folder)
    processor = _call(AutoProcessor.from_pretrained, f"no processor in {folder}", folder)
    if not getattr(processor, "chat_template", None):
        raise SscError(f"{folder} has no chat template (chat_template.jinja): is it a model that answers questions?")
    return processor


def load_image_processor(kind: Any, folder: Path | str) -> Any:
    """The image processor of a folder, of a transformers class. Raises SscError where the folder does not describe it:
    sizes and means that are only assumed would give wrong results in silence."""
    files = [file for name in _PROCESSOR_FILES if (file := Path(folder) / name).is_file()]
    if not files:
        raise SscError(f"{kind.__name__}: {folder} has neither {' nor '.join(_PROCESSOR_FILES)}; {FETCH}")
    for file in files:
        check_digest(file)
    return _call(kind.from_pretrained, f"{kind.__name__} in {folder} cannot be read", folder)


def image_settings(folder: Path | str) -> dict[str, Any]:
    """What a folder says of its image processor, such as ``size`` and ``image_mean``; empty where it says nothing.
    Raises SscError for a file that holds something else."""
    for name in _PROCESSOR_FILES:
        if (file := Path(folder) / name).is_file():
            content = read_json(file)
            found = content.get("image_processor", content) if isinstance(content, dict) else content
            if not isinstance(found, dict):
                raise SscError(f"{file} holds no settings of an image processor; get it again")
            return found
    return {}


def mean_and_std(folder: Path | str, default: Normalisation) -> Normalisation:
    """By which a folder says that RGB in 0..1 is normalised; ``default`` where it says nothing. Raises SscError for
    what are no three numbers, or deviations that are not above 0."""
    said = image_settings(folder)
    found = tuple(said.get(key, own) for key, own in zip(("image_mean", "image_std"), default, strict=True))
    try:
        mean, std = (tuple(float(value) for value in values) for values in found)
    except (TypeError, ValueError):
        mean = std = ()
    if not (
        len(mean) == len(std) == 3 and all(map(math.isfinite, mean)) and all(0 < value < math.inf for value in std)
    ):
        raise SscError(
            f"{folder}: image_mean and image_std of its image processor are no three numbers each: {found!r:.100}"
        )
    return mean, std


def local_folder(path_or_name: Path | str) -> Path:
    """A folder, or that of a model by its name on the hub if it lies in this machine's cache. Nothing is downloaded."""
    if not Path(path_or_name).is_dir():
        try:
            cached = try_to_load_from_cache(str(path_or_name), "config.json")
        except ValueError:  # what cannot be a name
            cached = None
        if isinstance(cached, str):
            return Path(cached).parent
    return Path(path_or_name)


def _check_choice(setting: str, value: str, known: Sequence[str]) -> None:
    """Another name of an attention would be looked for on the hub."""
    if value not in known:
        raise SscError(f"`{setting}: {value}` is none of {', '.join(known)}")


def _model_type(config: Path) -> str:
    """What a config.json is of. Raises SscError where it is damaged."""
    content = read_json(config)
    if not isinstance(content, dict):
        raise SscError(f"{config} holds no settings of a model by name; get it again")
    return str(content.get("model_type", "a model without a name"))


def _misfits(report: dict[str, Any], unused: Sequence[str]) -> list[str]:
    """What does not fit, in words; report: transformers' loading info."""
    harmless = re.compile("|".join(f"(?:{pattern})" for pattern in unused))
    extra = sorted(name for name in report["unexpected_keys"] if not harmless.search(name))
    shapes = [f"{name} {tuple(have)}, not {tuple(want)}" for name, have, want in sorted(report["mismatched_keys"])]
    groups = {"missing": sorted(report["missing_keys"]), "left over": extra, "of another shape": shapes}
    return [f"weights {what}: {len(found)} ({_some(found)})" for what, found in groups.items() if found]


def _some(names: Sequence[str]) -> str:
    return ", ".join([*names[:3], *(["..."] if len(names) > 3 else [])])


def _call(load: Callable[..., Any], problem: str, folder: Path | str, **options: Any) -> Any:
    """A ``from_pretrained`` that reads files alone. Raises SscError with ``problem`` and what it was."""
    try:
        with _quiet():
            return load(folder, local_files_only=True, trust_remote_code=False, **options)
    except MemoryError:
        raise
    except Exception as error:  # damaged files make transformers fail in any way at all
        detail = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SscError(f"{problem}: {detail}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar, and no list of what does not fit: that is an error with us."""
    verbosity, bar = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bar:
            transformers_logging.enable_progress_bar()
