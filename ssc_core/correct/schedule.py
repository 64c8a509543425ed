"""Learning rate and parameter groups."""

from __future__ import annotations

from typing import Any

from torch import nn


def learning_rate(step: int, total: int, *, peak: float, warmup: int, power: float) -> float:
    """The rate of optimiser step ``step`` (from 0) of ``total``: linear warm-up, times (1 - step / total) ** power.

    Past ``total`` (``lr_by_loader_length``) the base is negative and has no real power: the rate is 0.
    """
    ramp = min(1.0, (step + 1) / (warmup + 1))
    return peak * ramp * max(0.0, 1 - step / total) ** power


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Trained parameters in two groups: the backbone's norms and relative position tables are not decayed."""
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
