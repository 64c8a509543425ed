"""An exponential moving average of a network's weights (Tarvainen and Valpola 2017, "Mean teachers")."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Teacher:
    """``network`` has the averaged weights and running statistics, is in eval mode and gets no gradients.

    decay: share of the old average in the new one. The first steps forget faster, by (1 + step) / (10 + step), so that
    the average does not hang on to the start.
    """

    def __init__(self, student: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(student).eval().requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def follow(self, student: nn.Module, step: int) -> None:
        """Move towards the student after its step ``step`` (from 0). Counters are copied."""
        share = 1 - min(self._decay, (1 + step) / (10 + step))
        for mean, value in zip(self.network.state_dict().values(), student.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, share)
            else:
                mean.copy_(value)
