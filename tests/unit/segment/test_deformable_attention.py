"""The kernel by Triton's interpreter, which runs it on a CPU, and what a detector does where it cannot have it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from transformers.models.grounding_dino.modeling_grounding_dino import MultiScaleDeformableAttention

from ssc_core.segment.deformable_attention import REPLACED, example, fuse_deformable_attention
from ssc_core.segment.grounding_dino import GroundingDino, MMGroundingDino
from tests.unit.segment.tiny_networks import save_mm_grounding_dino

INTERPRETED = """
import sys
for name in [name for name in sys.modules if name.split(".")[0] == "triton" and "._C" not in name]:
    del sys.modules[name]  # it looks at TRITON_INTERPRET when it is imported; its C library is loaded once
import torch
from transformers.models.grounding_dino.modeling_grounding_dino import MultiScaleDeformableAttention
from ssc_core.segment.deformable_attention import FusedDeformableAttention, example
from ssc_core.segment.deformable_kernel import sample
arguments = list(example(torch.device("cpu")))
expected = MultiScaleDeformableAttention()(*arguments)
fused = FusedDeformableAttention(sample)
print(float((fused(*arguments) - expected).norm() / expected.norm()))
arguments[0] = arguments[0][..., :12]  # heads of no power of two
expected = MultiScaleDeformableAttention()(*arguments)
print(float((fused(*arguments) - expected).norm() / expected.norm()))
arguments[0] = arguments[0].bfloat16()
found = fused(*arguments)
assert found.dtype == torch.bfloat16
print(float((found.float() - expected).norm() / expected.norm()))
"""


def test_the_kernel_gives_what_transformers_module_gives(warm: Path, root: Path) -> None:
    pytest.importorskip("triton", reason="Triton is only in environments with GPU packages")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    run = subprocess.run(
        [warm, "-c", INTERPRETED], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    same, odd, bf16 = map(float, run.stdout.split())
    assert same < 1e-6 and odd < 1e-6 and 1e-4 < bf16 < 1e-2


def kernels(monkeypatch: pytest.MonkeyPatch, scale: float | None = 1.0) -> None:
    """In the kernel's place transformers' own module, times ``scale``; None: as where there is no Triton."""

    def sample(value, shapes, starts, locations, weights):
        return MultiScaleDeformableAttention()(value, shapes, shapes.tolist(), starts, locations, weights, 64) * scale

    stand_in = SimpleNamespace(sample=sample) if scale is not None else None
    monkeypatch.setitem(sys.modules, "ssc_core.segment.deformable_kernel", stand_in)


def kinds(network: nn.Module) -> set[str]:
    """Of its classes, those of deformable sampling."""
    return {type(part).__name__ for part in network.modules()} & {REPLACED, "FusedDeformableAttention"}


@pytest.fixture
def detector(tiny_grounding_dino) -> GroundingDino:
    return GroundingDino(str(tiny_grounding_dino), device="cpu")


def test_both_detectors_get_the_kernel(detector, tmp_path, tiny_bert, monkeypatch) -> None:
    kernels(monkeypatch)
    for one in (detector, MMGroundingDino(str(save_mm_grounding_dino(tmp_path, tiny_bert)), device="cpu")):
        assert kinds(one.network) == {REPLACED}
        assert fuse_deformable_attention(one.network)
        assert kinds(one.network) == {"FusedDeformableAttention"}


def test_a_kernel_that_is_off_is_left_and_told(detector, monkeypatch, caplog) -> None:
    kernels(monkeypatch, scale=1.01)
    assert not fuse_deformable_attention(detector.network)
    assert kinds(detector.network) == {REPLACED}
    assert "on this GPU that is off by 0.01" in caplog.text


def test_without_triton_the_detector_stays_as_it_is(detector, monkeypatch, caplog) -> None:
    kernels(monkeypatch, scale=None)
    assert not fuse_deformable_attention(detector.network)
    assert kinds(detector.network) == {REPLACED}
    assert "without its fused attention, slower" in caplog.text


def test_a_network_without_such_attention_is_left_in_silence(caplog) -> None:
    assert not fuse_deformable_attention(nn.Linear(2, 2))
    assert not caplog.text


def test_the_example_that_is_compared_reaches_over_the_edges() -> None:
    locations = example(torch.device("cpu"))[4]
    assert locations.min() < 0 and locations.max() > 1
