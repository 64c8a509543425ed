"""Training on several processes: who is among them, and batch norms on a CPU against PyTorch's own."""

from __future__ import annotations

import copy
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
import torch.distributed as dist
from torch import nn

from ssc_core.correct.distributed import World, is_first_process, join_world, synchronise_batch_norm


@pytest.fixture
def world(tmp_path: Path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'meet'}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    "options", [{}, {"affine": False}, {"track_running_stats": False}, {"momentum": None}, {"momentum": 0.5}]
)
def test_batch_norm_over_processes_is_that_of_one(options: dict) -> None:
    torch.manual_seed(0)
    own = nn.BatchNorm2d(3, **options)
    for parameter in own.parameters():
        nn.init.normal_(parameter)
    synced = synchronise_batch_norm(nn.Sequential(copy.deepcopy(own)), torch.device("cpu"))[0]
    for training in (True, True, False):
        x = torch.randn(4, 3, 5, 7)
        inputs = [x.clone().requires_grad_(), x.clone().requires_grad_()]
        found, expected = (norm.train(training)(one) for norm, one in zip((synced, own), inputs, strict=True))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        for result in (found, expected):
            (result * torch.linspace(-1, 1, 7)).square().sum().backward()
        torch.testing.assert_close(inputs[0].grad, inputs[1].grad, rtol=1e-3, atol=1e-4)
    assert synced.state_dict().keys() == own.state_dict().keys()
    for name, value in own.state_dict().items():
        torch.testing.assert_close(synced.state_dict()[name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("world")
def test_values_that_are_large_beside_their_spread_are_normed() -> None:
    """The mean square minus the square of the mean is below 0 there, by rounding, and its root is NaN."""
    x = 100 + 0.01 * torch.randn(4, 3, 16, 16)
    synced = synchronise_batch_norm(nn.Sequential(nn.BatchNorm2d(3)), torch.device("cpu"))
    torch.testing.assert_close(synced(x), nn.BatchNorm2d(3)(x), rtol=0, atol=5e-3)


def test_variables_of_a_cluster_alone_start_no_training_on_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some set these two for whatever runs in their jobs; waiting for others would never end."""
    monkeypatch.setattr(dist, "init_process_group", Mock(side_effect=AssertionError("waits for a process")))
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert join_world(torch.device("cpu")) == (World(), torch.device("cpu"))
    assert is_first_process()
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert not is_first_process()
    monkeypatch.setenv("RANK", "0")
    assert is_first_process()
