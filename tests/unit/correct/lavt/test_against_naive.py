"""The network against a slow implementation that says the same in the plainest way: no shifting, no tricks."""

from __future__ import annotations

from collections import defaultdict

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ssc_core.correct.lavt.fusion import PixelWordAttention
from ssc_core.correct.lavt.network import LAVT
from ssc_core.correct.lavt.swin import PatchMerging, SwinArchitecture, SwinBlock

State = dict[str, Tensor]
SMALL = SwinArchitecture(embed_dim=8, depths=(2, 1, 2, 2), heads=(1, 2, 2, 4), window=3)


def part(state: State, prefix: str) -> State:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def norm(state: State, name: str, x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"])


def naive_window_attention(state: State, x: Tensor, window: int, heads: int, shift: int) -> Tensor:
    """(H, W, C), already padded. Windows are a grid that starts at ``shift``; those at the borders are just smaller."""
    height, width, channels = x.shape
    qkv = x @ state["qkv.weight"].T + state["qkv.bias"]
    members = defaultdict(list)
    for row in range(height):
        for column in range(width):
            members[(row - shift) // window, (column - shift) // window].append((row, column))
    out = torch.zeros_like(x)
    size = channels // heads
    for places in members.values():
        for head in range(heads):
            q, k, v = (
                torch.stack([qkv[r, c, i * channels + head * size :][:size] for r, c in places]) for i in range(3)
            )
            scores = q @ k.T * size**-0.5
            for i, (r1, c1) in enumerate(places):
                for j, (r2, c2) in enumerate(places):
                    entry = (r1 - r2 + window - 1) * (2 * window - 1) + (c1 - c2 + window - 1)
                    scores[i, j] += state["relative_position_bias_table"][entry, head]
            for (r, c), value in zip(places, scores.softmax(-1) @ v, strict=True):
                out[r, c, head * size : (head + 1) * size] = value
    return out @ state["proj.weight"].T + state["proj.bias"]


def naive_block(state: State, x: Tensor, window: int, heads: int, shift: int) -> Tensor:
    """(H, W, C)."""
    height, width, _ = x.shape
    padded = F.pad(norm(state, "norm1", x), (0, 0, 0, -width % window, 0, -height % window))
    x = x + naive_window_attention(part(state, "attn."), padded, window, heads, shift)[:height, :width]
    hidden = F.gelu(norm(state, "norm2", x) @ state["mlp.fc1.weight"].T + state["mlp.fc1.bias"])
    return x + hidden @ state["mlp.fc2.weight"].T + state["mlp.fc2.bias"]


def naive_pixel_words(state: State, pixels: Tensor, words: Tensor, mask: Tensor, heads: int) -> Tensor:
    """Convolutions on (B, C, N) and (B, D, T), mask (B, 1, T)."""
    channels = pixels.shape[1]
    query = F.instance_norm(F.conv1d(pixels, state["f_query.0.weight"], state["f_query.0.bias"]))
    key = F.conv1d(words, state["f_key.0.weight"], state["f_key.0.bias"]) * mask
    value = F.conv1d(words, state["f_value.0.weight"], state["f_value.0.bias"]) * mask
    mixed = []
    for q, k, v in zip(query.chunk(heads, 1), key.chunk(heads, 1), value.chunk(heads, 1), strict=True):
        scores = q.transpose(1, 2) @ k * channels**-0.5 + (1e4 * mask - 1e4)
        mixed.append((scores.softmax(-1) @ v.transpose(1, 2)).transpose(1, 2))
    return F.instance_norm(F.conv1d(torch.cat(mixed, 1), state["W.0.weight"], state["W.0.bias"]))


def naive_merging(state: State, x: Tensor) -> Tensor:
    """(B, H, W, C)."""
    x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
    neighbours = (x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2])
    return norm(state, "norm", torch.cat(neighbours, -1)) @ state["reduction.weight"].T


def naive_lavt(
    state: State, swin: SwinArchitecture, heads: tuple, pixels: Tensor, words: Tensor, mask: Tensor
) -> Tensor:
    """The whole network in eval mode."""
    size = pixels.shape[-2:]
    pixels = F.pad(pixels, (0, -size[1] % 4, 0, -size[0] % 4))
    embed = part(state, "backbone.patch_embed.")
    x = F.conv2d(pixels, embed["proj.weight"], embed["proj.bias"], stride=4).permute(0, 2, 3, 1)
    x = norm(embed, "norm", x)
    outputs = []
    for i, depth in enumerate(swin.depths):
        layer = part(state, f"backbone.layers.{i}.")
        for j in range(depth):
            block, shift = part(layer, f"blocks.{j}."), swin.window // 2 if j % 2 else 0
            x = torch.stack([naive_block(block, one, swin.window, swin.heads[i], shift) for one in x])
        flat, fusion = x.flatten(1, 2).transpose(1, 2), part(layer, "fusion.")
        seen = naive_pixel_words(part(fusion, "image_lang_att."), flat, words, mask.transpose(1, 2), heads[i])
        fused = F.gelu(F.conv1d(flat, fusion["vis_project.0.weight"], fusion["vis_project.0.bias"])) * seen
        fused = F.gelu(F.conv1d(fused, fusion["project_mm.0.weight"], fusion["project_mm.0.bias"]))
        fused = fused.transpose(1, 2).view_as(x)
        outputs.append(norm(part(state, "backbone."), f"norm{i}", fused).permute(0, 3, 1, 2))
        gate = F.relu(fused @ layer["res_gate.0.weight"].T) @ layer["res_gate.2.weight"].T
        x = x + gate.tanh() * fused
        if i < 3:
            x = naive_merging(part(layer, "downsample."), x)
    head = part(state, "classifier.")
    x = outputs[3]
    for i in (4, 3, 2):
        skip = outputs[i - 2]
        x = torch.cat([F.interpolate(x, skip.shape[-2:], mode="bilinear", align_corners=True), skip], 1)
        for j in (1, 2):
            bn = part(head, f"bn{j}_{i}.")
            x = F.conv2d(x, head[f"conv{j}_{i}.weight"], padding=1)
            x = F.relu(F.batch_norm(x, bn["running_mean"], bn["running_var"], bn["weight"], bn["bias"]))
    x = F.conv2d(x, head["conv1_1.weight"], head["conv1_1.bias"])
    return F.interpolate(x, size, mode="bilinear", align_corners=True)


def randomise(module: torch.nn.Module) -> State:
    """Fill every parameter and running statistic so that each has a say: matrices keep their input's size."""
    generator = torch.Generator().manual_seed(0)
    for key, value in module.state_dict().items():
        if key.endswith("running_var"):
            value.copy_(0.5 + torch.rand(value.shape, generator=generator))
        elif value.ndim > 1 and value.is_floating_point():
            fan_in = 1 if "bias_table" in key else value[0].numel()
            value.copy_(1.5 * fan_in**-0.5 * torch.randn(value.shape, generator=generator))
        elif value.is_floating_point():
            value.copy_(("norm" in key or "bn" in key) + 0.5 * torch.randn(value.shape, generator=generator))
    return module.state_dict()


@pytest.mark.parametrize("shift", [0, 1, 2])
@pytest.mark.parametrize("size", [(8, 8), (7, 10), (3, 5)], ids=str)
def test_block(size: tuple[int, int], shift: int) -> None:
    block = SwinBlock(6, heads=2, window=4, shift=shift, drop_path=0.0).eval()
    state = randomise(block)
    x = torch.randn(2, *size, 6, generator=torch.Generator().manual_seed(1))
    expected = torch.stack([naive_block(state, one, 4, 2, shift) for one in x])
    torch.testing.assert_close(block(x), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("heads", [1, 4])
def test_pixel_word_attention(heads: int) -> None:
    attention = PixelWordAttention(8, text_dim=12, heads=heads)
    state = randomise(attention)
    generator = torch.Generator().manual_seed(2)
    pixels, words = torch.randn(3, 30, 8, generator=generator), torch.randn(3, 5, 12, generator=generator)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]]).float()
    expected = naive_pixel_words(state, pixels.transpose(1, 2), words.transpose(1, 2), mask[:, None], heads)
    given = attention(pixels, words, mask[..., None])
    # The last sentence has one word: all pixels see the same, so what is normed is rounding noise around 0.
    torch.testing.assert_close(given[:2], expected.transpose(1, 2)[:2], atol=1e-5, rtol=1e-5)
    assert given[2].abs().max() < 1e-3


def test_patch_merging() -> None:
    merging = PatchMerging(5)
    state = randomise(merging)
    x = torch.randn(2, 5, 8, 5, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(merging(x), naive_merging(state, x))


@pytest.mark.parametrize(("size", "heads"), [((48, 48), (1, 1, 1, 1)), ((30, 53), (1, 2, 4, 8))], ids=str)
def test_whole_network(size: tuple[int, int], heads: tuple[int, int, int, int]) -> None:
    lavt = LAVT(SMALL, fusion_heads=heads, text_dim=10).eval()
    randomise(lavt)
    state = lavt.double().state_dict()
    generator = torch.Generator().manual_seed(4)
    pixels, words = torch.randn(2, 3, *size, generator=generator), torch.randn(2, 10, 6, generator=generator)
    inputs = pixels.double(), words.double(), torch.tensor([[1.0] * 6, [1.0] * 4 + [0.0] * 2]).double()[..., None]
    with torch.no_grad():
        expected = naive_lavt(state, SMALL, heads, *inputs)
        given = lavt(*inputs)
        single = lavt.float()(*(x.float() for x in inputs))
    assert expected.std() > 0.1
    torch.testing.assert_close(given, expected, atol=1e-9, rtol=0)
    # These weights are far wilder than trained ones; the naive network in single precision is off by as much.
    torch.testing.assert_close(single, expected.float(), atol=1e-3, rtol=0)
