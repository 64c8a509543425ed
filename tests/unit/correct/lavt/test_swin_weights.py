from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from ssc_core.correct.lavt.network import LAVT
from ssc_core.correct.lavt.swin import SwinArchitecture
from ssc_core.correct.lavt.swin_weights import load_swin_22k, resize_position_table
from ssc_core.errors import SscError

SMALL = SwinArchitecture(embed_dim=8, depths=(1, 1, 2, 1), heads=(1, 2, 2, 4), window=3)


def official_file(swin: SwinArchitecture) -> dict[str, Tensor]:
    """A classifier's weights with the names and shapes of the official Swin files."""
    torch.manual_seed(7)
    state = {}

    def linear(name: str, outputs: int, inputs: int, bias: bool = True) -> None:
        state[f"{name}.weight"] = torch.randn(outputs, inputs)
        if bias:
            state[f"{name}.bias"] = torch.randn(outputs)

    def norm(name: str, channels: int) -> None:
        state[f"{name}.weight"], state[f"{name}.bias"] = torch.randn(channels), torch.randn(channels)

    state["patch_embed.proj.weight"] = torch.randn(swin.embed_dim, 3, 4, 4)
    state["patch_embed.proj.bias"] = torch.randn(swin.embed_dim)
    norm("patch_embed.norm", swin.embed_dim)
    for i, depth in enumerate(swin.depths):
        channels = swin.embed_dim * 2**i
        for j in range(depth):
            block, places = f"layers.{i}.blocks.{j}", swin.window**2
            norm(f"{block}.norm1", channels)
            state[f"{block}.attn.relative_position_bias_table"] = torch.randn((2 * swin.window - 1) ** 2, swin.heads[i])
            state[f"{block}.attn.relative_position_index"] = torch.zeros(places, places, dtype=torch.int64)
            linear(f"{block}.attn.qkv", 3 * channels, channels)
            linear(f"{block}.attn.proj", channels, channels)
            norm(f"{block}.norm2", channels)
            linear(f"{block}.mlp.fc1", 4 * channels, channels)
            linear(f"{block}.mlp.fc2", channels, 4 * channels)
            if j % 2:
                state[f"{block}.attn_mask"] = torch.zeros(16, places, places)
        if i < 3:
            norm(f"layers.{i}.downsample.norm", 4 * channels)
            linear(f"layers.{i}.downsample.reduction", 2 * channels, 4 * channels, bias=False)
    norm("norm", swin.embed_dim * 8)
    linear("head", 21841, swin.embed_dim * 8)
    return state


def write(path: Path, state: dict[str, Tensor]) -> Path:
    torch.save({"model": state}, path)
    return path


def test_every_backbone_weight_comes_from_the_file_and_nothing_else_changes(tmp_path: Path) -> None:
    state, lavt = official_file(SMALL), LAVT(SMALL, text_dim=10)
    before = {key: value.clone() for key, value in lavt.state_dict().items()}
    load_swin_22k(lavt, write(tmp_path / "swin.pth", state))
    for key, value in lavt.state_dict().items():
        source = key.removeprefix("backbone.")
        if source in state and not source.endswith("relative_position_index"):
            assert torch.equal(value, state[source]), key
        else:
            assert torch.equal(value, before[key]), key


def test_another_window_is_interpolated(tmp_path: Path) -> None:
    state, lavt = official_file(SMALL), LAVT(SMALL, window=5, text_dim=10)
    load_swin_22k(lavt, write(tmp_path / "swin.pth", state))
    name = "layers.1.blocks.0.attn.relative_position_bias_table"
    loaded = lavt.backbone.state_dict()[name]
    assert loaded.shape == (81, 2)
    assert torch.equal(loaded, resize_position_table(state[name], 81))


def test_interpolation_keeps_a_slope_and_each_head_apart() -> None:
    offsets = torch.arange(7.0) - 3
    rows, columns = offsets.repeat_interleave(7), offsets.repeat(7)
    resized = resize_position_table(torch.stack((rows, 10 * columns), dim=1), 13 * 13).reshape(13, 13, 2)
    middle = slice(4, 9)  # PyTorch's cubic (a = -0.75) keeps a straight line to a few hundredths, away from borders
    slope = (torch.arange(13.0) - 6)[middle] * 7 / 13
    torch.testing.assert_close(resized[middle, 6, 0], slope, atol=0.05, rtol=0)
    torch.testing.assert_close(resized[6, middle, 1], 10 * slope, atol=0.5, rtol=0)


def test_the_same_window_is_left_alone() -> None:
    table = torch.randn(25, 4)
    torch.testing.assert_close(resize_position_table(table, 25), table)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("layers.2.blocks.1.mlp.fc1.bias"), r"1 missing \(layers.2.blocks.1.mlp.fc1.bias\)"),
        (lambda s: s.update({"absolute_pos_embed": torch.zeros(1)}), r"1 unknown \(absolute_pos_embed\)"),
        (lambda s: s.update({"patch_embed.proj.bias": torch.zeros(12)}), r"patch_embed.proj.bias is \(12,\)"),
        (
            lambda s: s.update({"layers.0.blocks.0.attn.relative_position_bias_table": torch.zeros(26, 1)}),
            "not a square",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused_and_nothing_is_loaded(tmp_path: Path, change, message: str) -> None:
    state, lavt = official_file(SMALL), LAVT(SMALL, text_dim=10)
    change(state)
    before = {key: value.clone() for key, value in lavt.state_dict().items()}
    with pytest.raises(SscError, match=message):
        load_swin_22k(lavt, write(tmp_path / "swin.pth", state))
    assert all(torch.equal(value, before[key]) for key, value in lavt.state_dict().items())
