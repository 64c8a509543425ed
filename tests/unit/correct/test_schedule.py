from __future__ import annotations

import pytest
import torch

from ssc_core.correct.lavt.decay import decay_groups
from ssc_core.correct.lavt.network import LAVT
from ssc_core.correct.lavt.swin import SwinArchitecture
from ssc_core.correct.schedule import learning_rate


def rate(step, total=10, **changes):
    return learning_rate(step, total, **({"peak": 2.0, "warmup": 0, "power": 0.9} | changes))


def test_poly_decay_reaches_zero_after_the_last_step():
    assert rate(0) == 2.0
    assert rate(5) == pytest.approx(2.0 * 0.5**0.9)
    assert rate(9) > 0
    assert rate(10) == 0.0


def test_warm_up_rises_evenly():
    assert [rate(step, warmup=3, power=0) for step in range(5)] == [0.5, 1.0, 1.5, 2.0, 2.0]


def test_past_a_horizon_that_is_too_short_the_rate_is_zero():
    assert rate(25) == 0.0


def test_backbone_norms_and_position_tables_are_not_decayed():
    swin = SwinArchitecture(embed_dim=8, depths=(1, 1, 1, 1), heads=(1, 1, 2, 2), window=2)
    model = torch.nn.ModuleDict({"lavt": LAVT(swin, text_dim=4), "bert": torch.nn.LayerNorm(2)})
    decayed, free = decay_groups(model, 0.1)
    names = {id(p): name for name, p in model.named_parameters()}
    assert decayed["weight_decay"] == 0.1
    assert free["weight_decay"] == 0.0
    kinds = {names[id(p)].removeprefix("lavt.") for p in free["params"]}
    assert "backbone.layers.0.blocks.0.attn.relative_position_bias_table" in kinds
    assert "backbone.layers.0.blocks.0.norm1.weight" in kinds
    assert "backbone.layers.1.downsample.norm.bias" in kinds
    assert "backbone.patch_embed.norm.weight" in kinds
    assert "backbone.norm3.weight" in kinds
    assert all(kind.startswith("backbone.") for kind in kinds)
    assert all("norm" in kind or kind.endswith("bias_table") for kind in kinds)
    trained = {id(p) for p in model.parameters() if p.requires_grad}
    assert {id(p) for p in decayed["params"] + free["params"]} == trained
