"""What a network is: the contract of LAVT and of any other that the config names.

A network is a ``torch.nn.Module`` with

* ``forward(pixels, ids, attention)``: pixels float32 (B, 3, S, S), ImageNet-normalised, S being ``network.image_size``;
  ids, attention int64 (B, T), tokens of ``network.tokenizer`` with T up to ``network.max_tokens``, attention 1 at
  tokens and 0 at padding. Returns logits, floats (B, 2, S, S), background first.
  If ``forward`` has an argument ``photo_of`` as well, it gets the pixels of P photos, each once, and in ``photo_of``,
  int64 (B,), which of them each sentence is of;
* ``parameter_groups(weight_decay)``, if it likes: a list of ``{"params": ..., "weight_decay": ..., "lr_scale": ...}``
  with each trained parameter once. Without it all of them are decayed. ``lr_scale`` (1 if it is not there) is a factor
  of the learning rate.

``network.name`` names what builds it, a class or a function. It is called with ``network.settings`` and, where it has
arguments of these names, with ``network`` (the section ``NetworkSettings``), ``vocabulary`` (int, number of tokens),
``pretrained`` (bool, false where a checkpoint replaces all weights) and ``checkpoint_activations`` (bool). What it
trains is what has ``requires_grad`` when it is built; its state dict is what is saved.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ssc_core.config.training import NetworkSettings
from ssc_core.errors import SscError
from ssc_core.plugins import build
from ssc_core.registry import NETWORK, NETWORK_OFFERED

LAVT_NAME = "lavt"
"""The network of the published method: its checkpoints have a form of their own."""

_PAGE = "See docs/extending.md"


def build_network(
    network: NetworkSettings, *, vocabulary: int, pretrained: bool, checkpoint_activations: bool = False
) -> nn.Module:
    """The network that the settings name, on the CPU; seed torch before.

    Raises SscError when the name does not resolve, its settings do not fit, or what is built is no network that can be
    saved.
    """
    values = (network, vocabulary, pretrained, checkpoint_activations)
    built = build(NETWORK, network.name, network.settings, dict(zip(NETWORK_OFFERED, values, strict=True)))
    if not isinstance(built, nn.Module):
        raise SscError(f"network '{network.name}' gave a {type(built).__name__}, not a torch.nn.Module. {_PAGE}")
    _check_state(built, network.name)
    return built


def takes_each_photo_once(network: nn.Module) -> bool:
    """Whether a network's ``forward`` takes ``photo_of``."""
    return "photo_of" in inspect.signature(network.forward).parameters


def checked_logits(
    network: Callable[..., Any], pixels: Tensor, photo_of: Tensor, ids: Tensor, attention: Tensor, *, once: bool
) -> Tensor:
    """What a network says, (B, 2, H, W), of B sentences on P photos. Raises SscError for anything that is no logits.

    pixels: (P, 3, H, W); photo_of: int64 (B,), the photo of each sentence; once: ``takes_each_photo_once``.
    """
    logits = network(pixels, ids, attention, photo_of) if once else network(pixels[photo_of], ids, attention)
    shape = (len(ids), 2, *pixels.shape[-2:])
    if not isinstance(logits, Tensor):
        found = f"a {type(logits).__name__}"
    elif logits.shape == shape and logits.is_floating_point():
        return logits
    else:
        found = f"{logits.dtype} {tuple(logits.shape)}"
    raise SscError(
        f"network {type(network).__name__} gave {found}, not logits of background and object, floats {shape}. {_PAGE}"
    )


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The trained parameters as AdamW takes them, each once, with ``lr_scale``. Raises SscError when they are not."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if not trained:
        raise SscError(f"network {type(network).__name__} has no parameter to train. {_PAGE}")
    own: Any = getattr(network, "parameter_groups", None)
    groups: Any = own(weight_decay) if own else [{"params": trained, "weight_decay": weight_decay}]
    where = f"network {type(network).__name__}: parameter_groups gave"
    known = {"params", "weight_decay", "lr_scale"}
    if not isinstance(groups, list) or not all(
        isinstance(group, dict) and "params" in group and known >= set(group) for group in groups
    ):
        raise SscError(f"{where} no list of dicts with the keys {', '.join(sorted(known))}. {_PAGE}")
    groups = [
        {"weight_decay": weight_decay, "lr_scale": 1.0, **group, "params": list(group["params"])} for group in groups
    ]
    given = [id(parameter) for group in groups for parameter in group["params"]]
    if sorted(given) != sorted(map(id, trained)):
        raise SscError(
            f"{where} {len(given)} parameters, not each of the {len(trained)} that are trained (`requires_grad`) once. "
            f"{_PAGE}"
        )
    return groups


def _check_state(network: nn.Module, name: str) -> None:
    """Raise SscError for weights that could not be read again: said now, and not after days of training."""
    state = network.state_dict()
    if not state:
        raise SscError(f"network '{name}' has no weights. {_PAGE}")
    for key, value in state.items():
        if not isinstance(value, Tensor):
            raise SscError(f"network '{name}' has '{key}' among its weights, which is no tensor. {_PAGE}")
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise SscError(
                f"network '{name}' has values that are not finite in '{key}', which a checkpoint may not hold; a "
                "constant is left out of it by register_buffer(..., persistent=False)"
            )
    if all(key.startswith("module.") for key in state):
        raise SscError(
            f"network '{name}': all names of weights begin with 'module.', as if wrapped; call that part otherwise"
        )
