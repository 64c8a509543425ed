"""The loop of the micro world's trainings."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from microworld.training.loop import fit


def test_a_gradient_that_is_not_finite_stops_it_before_the_weights_take_it() -> None:
    model = nn.Linear(1, 1, bias=False)
    before = model.weight.detach().clone()
    with pytest.raises(RuntimeError, match="non-finite"):
        fit(model, lambda step: (model.weight * 0).sqrt().sum(), steps=1, lr=0.1)  # 0, whose gradient is not a number
    assert torch.equal(model.weight, before)
