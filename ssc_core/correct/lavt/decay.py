"""Which of LAVT's parameters are decayed: all but the norms and the relative position tables of its backbone."""

from __future__ import annotations

from typing import Any

from torch import nn


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The trained parameters of a module that holds a LAVT, as AdamW takes them: with decay, and without."""
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (free if is_free_of_decay(name) else decayed).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]


def is_free_of_decay(name: str) -> bool:
    """Whether a parameter, by its name, is a norm's of the backbone or a relative position table."""
    path = name.split(".")
    return "backbone" in path and (
        any(part.startswith("norm") for part in path) or path[-1] == "relative_position_bias_table"
    )
