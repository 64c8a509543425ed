"""Checkpoints: the published LAVT and S+S+C files, and ours, which either side can read.

All are ``torch.save`` dicts with the state dicts ``model`` (LAVT) and ``bert_model``; in files of LAVT-One, BERT is
part of ``model``. Published files add ``optimizer``, ``epoch``, ``args`` (argparse.Namespace) and ``lr_scheduler``;
ours add ``settings`` and ``meta``, plain values only. Of a network of the user's own ``model`` is all of it, and
``settings`` say what it is called. No code is imported for that: only what the reader names himself is run.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn
from transformers import BertConfig

from ssc_core.config.training import NetworkSettings
from ssc_core.correct.architecture import (
    BERT_FIELDS,
    UNSEEN_BERT_FIELDS,
    assumed_bert,
    bert_state,
    infer_architecture,
    with_saved,
    without_bert,
)
from ssc_core.correct.lavt.network import LAVT
from ssc_core.correct.lavt.swin import SwinArchitecture
from ssc_core.correct.network import LAVT_NAME, build_network
from ssc_core.correct.text import ReferringSegmenter, TextEncoder
from ssc_core.errors import SscError
from ssc_core.tensor_files import read_torch, state_dict_of, write_torch


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint file holds. ``args`` is the published namespace as a dict; what is absent is empty or None.

    bert_model: of LAVT alone.
    """

    model: dict[str, Tensor]
    bert_model: dict[str, Tensor]
    settings: dict[str, Any] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)
    args: dict[str, Any] = field(default_factory=dict)
    epoch: int | None = None
    optimizer: dict[str, Any] | None = None
    lr_scheduler: dict[str, Any] | None = None

    @property
    def network(self) -> Mapping[str, Any]:
        """The section ``network`` of the config that it was trained with; empty for published files."""
        return _network(self.settings)

    @property
    def network_name(self) -> str:
        """What ``network.name`` was; ``lavt`` for published files."""
        return _name(self.settings)

    def architecture(self) -> dict[str, Any]:
        """The network's sizes, read off the shapes of its weights; in our files with what is saved beside them.

        Raises SscError when the weights are not those of a LAVT, or what is saved is not of our form.
        """
        sizes = infer_architecture(self.model, self.bert_model, self.args)
        saved = self.settings.get("architecture")
        return sizes if saved is None else with_saved(sizes, saved)


def load_published(path: Path | str) -> Checkpoint:
    """Read a LAVT, S+S+C or own checkpoint, without running code from it.

    ``module.`` prefixes go, and old BERT names are brought up to date. Raises SscError when the file is missing,
    damaged, lacks LAVT or its BERT or asks to import anything but ``argparse.Namespace``.
    """
    content = read_torch(path)
    checkpoint = Checkpoint(
        model=state_dict_of(path, content, "model"),
        bert_model={},
        settings=_dict_of(path, content, "settings"),
        meta=_dict_of(path, content, "meta"),
        args=_namespace_dict(path, content.get("args")),
        epoch=content.get("epoch"),
        optimizer=content.get("optimizer"),
        lr_scheduler=content.get("lr_scheduler"),
    )
    if checkpoint.network_name != LAVT_NAME:
        return checkpoint
    bert = without_bert(checkpoint.model) or state_dict_of(path, content, "bert_model")
    return replace(checkpoint, bert_model=bert_state(bert))


def save_checkpoint(path: Path | str, network: nn.Module, settings: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
    """Write our format, atomically; the same weights, settings and meta give the same bytes.

    ``settings`` and ``meta`` are plain Python (dict, list, tuple, str, number, bool, None). LAVT's architecture is
    added to the settings, so that ``load_segmenter`` needs nothing but the file.
    """
    if isinstance(network, ReferringSegmenter) and _name(settings) == LAVT_NAME:
        settings = {**settings, "architecture": architecture_of(network)}
    states = {entry: _plain_state(module) for entry, module in _parts(network, _name(settings)).items()}
    content = {**states, "settings": dict(settings), "meta": dict(meta)}
    for name in ("settings", "meta"):
        _check_plain(content[name], name)
    write_torch(path, content)


def save_published(path: Path | str, segmenter: ReferringSegmenter, *, position_ids: bool = True) -> None:
    """Write a file for the published loaders: all six entries, BERT without pooler, ``args`` as a namespace.

    It is to be evaluated or started from, and not to be gone on with: optimizer and schedule are empty.
    ``position_ids``: add BERT's ``embeddings.position_ids``, which transformers before 4.31 demands and later ones
    refuse in a strict load.

    Raises SscError for a BERT whose heads, activation or epsilon are not those that readers of such a file take it to
    have: its weights fit, and would compute something else.
    """
    _check_told(segmenter)
    bert = _plain_state(segmenter.bert)
    if position_ids:
        bert = {"embeddings.position_ids": torch.arange(segmenter.bert.config.max_position_embeddings)[None], **bert}
    heads = "-".join(str(heads) for heads in segmenter.lavt.fusion_heads)
    content = {
        "model": _plain_state(segmenter.lavt),
        "bert_model": bert,
        "optimizer": {},
        "epoch": 0,
        "args": argparse.Namespace(mha=heads),
        "lr_scheduler": {},
    }
    write_torch(path, content)


def _check_told(segmenter: ReferringSegmenter) -> None:
    """What a published file says nothing of, and its weights neither."""
    own, taken = architecture_of(segmenter)["bert"], assumed_bert(segmenter.bert.state_dict())
    differing = [f"{name} {own[name]}, not {taken[name]}" for name in UNSEEN_BERT_FIELDS if own[name] != taken[name]]
    if differing:
        raise SscError(
            f"a published file cannot hold this network: its BERT has {', '.join(differing)}, which nothing in the "
            "file would say: its readers would compute something else. Keep it in our format, as the rules write it"
        )


def load_segmenter(path: Path | str, device: torch.device | str = "cpu") -> ReferringSegmenter:
    """The segmenter of a checkpoint, published or ours, in eval mode on ``device``."""
    return segmenter_of(load_published(path), path).to(device).eval()


def segmenter_of(checkpoint: Checkpoint, path: Path | str) -> ReferringSegmenter:
    """The segmenter that a checkpoint holds, on the CPU. ``path`` is for messages.

    Raises SscError when there is none that has the shapes of its weights; before that it takes no memory.
    """
    try:
        sizes = checkpoint.architecture()
        swin: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in sizes["swin"].items()}
        config = BertConfig(**sizes["bert"])
        with torch.device("meta"):
            lavt = LAVT(
                SwinArchitecture(**swin),
                fusion_heads=tuple(sizes["fusion_heads"]),
                text_dim=sizes["text_dim"],
                decoder_width=sizes["decoder_width"],
            )
            planned = ReferringSegmenter(lavt, TextEncoder(config))
    except KeyError as error:
        raise SscError(f"{path}: BERT knows no activation {error}") from error
    except (SscError, ValueError) as error:  # ValueError: of BertConfig
        raise SscError(f"{path}: {error}") from error
    _check_fit(planned, checkpoint, path)
    segmenter = ReferringSegmenter(lavt.to_empty(device="cpu"), TextEncoder(config))
    load_weights(segmenter, checkpoint, path)
    return segmenter


def restore_network(checkpoint: Checkpoint, path: Path | str, name: str, *, vocabulary: int) -> nn.Module:
    """The network that a checkpoint holds, on the CPU: LAVT, or that which the reader names.

    name: ``network.name`` of the reader's config. For another network than LAVT, which is our own code, it must be what
    the checkpoint says: the file may come from anywhere, and code runs only because the reader names it. Of two files
    of that name the reader's is run. vocabulary: as of ``build_network``. Raises SscError when the names differ or the
    weights do not fit what is built.
    """
    said = checkpoint.network_name
    if said == LAVT_NAME:
        return segmenter_of(checkpoint, path)
    if _place(said) != _place(name):
        raise SscError(
            f"{path} was trained with the network '{said:.80}', and '{name}' is named: `--network`, or in a config "
            "`network: {name: ...}`. The code of another network than lavt is run only when you name it, since a "
            "checkpoint may name anybody's"
        )
    try:
        section = NetworkSettings.model_validate({**checkpoint.network, "name": name})
    except ValidationError as error:
        raise SscError(f"{path}: its settings are no settings of a network ({error.errors()[0]['msg']})") from error
    network = build_network(section, vocabulary=vocabulary, pretrained=False)
    load_weights(network, checkpoint, path)
    return network


def load_weights(network: nn.Module, checkpoint: Checkpoint, path: Path | str) -> None:
    """Copy a checkpoint's weights into ``network``, strictly. Raises SscError that names what does not fit.

    That is keys, shapes and, of LAVT, what leaves no trace in shapes. ``path`` is for messages.
    """
    if checkpoint.network_name == LAVT_NAME and not isinstance(network, ReferringSegmenter):
        raise SscError(f"{path} holds the network '{LAVT_NAME}', and a {type(network).__name__} is to start from it")
    _check_fit(network, checkpoint, path)
    if checkpoint.network_name == LAVT_NAME and isinstance(network, ReferringSegmenter):
        _check_unseen(network, checkpoint, path)
    for entry, module in _parts(network, checkpoint.network_name).items():
        module.load_state_dict(getattr(checkpoint, entry))


def _check_fit(network: nn.Module, checkpoint: Checkpoint, path: Path | str) -> None:
    name = checkpoint.network_name
    for entry, module in _parts(network, name).items():
        problems = _misfits(module.state_dict(), getattr(checkpoint, entry))
        if problems:
            more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
            same = "the swin, window and BERT" if name == LAVT_NAME else f"the network '{name:.80}' and the settings"
            raise SscError(
                f"the weights '{entry}' of {path} do not fit this network: {'; '.join(problems[:5])}{more}. "
                f"Use {same} that the file was trained with"
            )


def _check_unseen(segmenter: ReferringSegmenter, checkpoint: Checkpoint, path: Path | str) -> None:
    """What weights of the same shapes may have been trained with, as far as the file says it."""
    own, theirs = architecture_of(segmenter), checkpoint.architecture()
    ours = "architecture" in checkpoint.settings
    if (ours or checkpoint.args) and theirs["fusion_heads"] != own["fusion_heads"]:
        raise SscError(
            f"{path} was trained with fusion_heads {theirs['fusion_heads']}, and this network has "
            f"{own['fusion_heads']}: set `network: {{fusion_heads: {theirs['fusion_heads']}}}`"
        )
    for name in UNSEEN_BERT_FIELDS if ours else ():  # of published files they are assumed
        if theirs["bert"][name] != own["bert"][name]:
            raise SscError(
                f"{path} was trained with a BERT whose {name} is {theirs['bert'][name]}, and that of this network has "
                f"{own['bert'][name]}: name the file's own BERT in `network: {{bert: ...}}`"
            )


def architecture_of(segmenter: ReferringSegmenter) -> dict[str, Any]:
    """The sizes that ``load_segmenter`` needs, as plain values."""
    lavt, config = segmenter.lavt, segmenter.bert.config
    return {
        "swin": {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(lavt.settings).items()},
        "fusion_heads": list(lavt.fusion_heads),
        "text_dim": lavt.text_dim,
        "decoder_width": lavt.classifier.width,
        "bert": {name: getattr(config, name) for name in BERT_FIELDS},
    }


def _parts(network: nn.Module, name: str) -> dict[str, nn.Module]:
    """The modules whose weights are a file's entries: LAVT and its BERT apart, as published; another network whole."""
    if name == LAVT_NAME and isinstance(network, ReferringSegmenter):
        return {"model": network.lavt, "bert_model": network.bert}
    return {"model": network}


def _network(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    found = settings.get("network")
    return found if isinstance(found, Mapping) else {}


def _name(settings: Mapping[str, Any]) -> str:
    return str(_network(settings).get("name", LAVT_NAME))


def _place(name: str) -> str:
    """A network's name without the folder of its file: from where it is seen does not make it another one."""
    file, colon, member = name.rpartition(":")
    return f"{Path(file).name}{colon}{member}"


def _misfits(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> list[str]:
    missing = [f"{key} is missing" for key in own if key not in state]
    unknown = [f"{key} is unknown" for key in state if key not in own]
    shapes = [
        f"{key} is {tuple(state[key].shape)} instead of {tuple(value.shape)}"
        for key, value in own.items()
        if key in state and state[key].shape != value.shape
    ]
    return shapes + missing + unknown


def _plain_state(module: nn.Module) -> dict[str, Tensor]:
    return {key: value.detach().cpu().contiguous() for key, value in module.state_dict().items()}


def _check_plain(value: Any, where: str) -> None:
    if type(value) is dict:
        for key, item in value.items():
            _check_plain(key, f"a key of {where}")
            _check_plain(item, f"{where}.{key}")
    elif type(value) in (list, tuple):
        for index, item in enumerate(value):
            _check_plain(item, f"{where}[{index}]")
    elif value is not None and type(value) not in (str, int, float, bool):
        raise SscError(f"checkpoint: {where} is a {type(value).__name__}; only plain Python values can be saved")


def _dict_of(path: Path | str, content: Mapping[str, Any], entry: str) -> dict[str, Any]:
    found = content.get(entry)
    if found is not None and not isinstance(found, Mapping):
        raise SscError(f"{path}: '{entry}' is a {type(found).__name__}, expected a dict")
    return dict(found or {})


def _namespace_dict(path: Path | str, args: Any) -> dict[str, Any]:
    if args is None:
        return {}
    if isinstance(args, argparse.Namespace):
        return vars(args)
    if isinstance(args, Mapping):
        return dict(args)
    raise SscError(f"{path}: 'args' is a {type(args).__name__}, expected a namespace")
