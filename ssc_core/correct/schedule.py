"""Learning rate of every optimiser step."""

from __future__ import annotations


def learning_rate(step: int, total: int, *, peak: float, warmup: int, power: float) -> float:
    """The rate of optimiser step ``step`` (from 0) of ``total``: linear warm-up, times (1 - step / total) ** power.

    Past ``total`` (``lr_by_loader_length``) the base is negative and has no real power: the rate is 0.
    """
    ramp = min(1.0, (step + 1) / (warmup + 1))
    return peak * ramp * max(0.0, 1 - step / total) ** power
