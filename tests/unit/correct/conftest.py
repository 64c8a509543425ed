from __future__ import annotations

from collections.abc import Callable

import pytest

Shapes = dict[str, tuple[int, ...]]


@pytest.fixture(scope="session")
def published_shapes() -> Callable[..., Shapes]:
    """Names and shapes of a published LAVT file for sizes of Swin, spelled out from the format's description."""
    return _published_shapes


def _published_shapes(
    embed_dim: int, depths: tuple[int, ...], heads: tuple[int, ...], window: int, text_dim: int = 768
) -> Shapes:
    shapes: Shapes = {}

    def layer(name: str, *weight: int, bias: bool = True) -> None:
        shapes[f"{name}.weight"] = weight
        if bias:
            shapes[f"{name}.bias"] = weight[:1]

    layer("backbone.patch_embed.proj", embed_dim, 3, 4, 4)
    layer("backbone.patch_embed.norm", embed_dim)
    for i, depth in enumerate(depths):
        stage, c = f"backbone.layers.{i}", embed_dim * 2**i
        for j in range(depth):
            block = f"{stage}.blocks.{j}"
            shapes[f"{block}.attn.relative_position_bias_table"] = ((2 * window - 1) ** 2, heads[i])
            shapes[f"{block}.attn.relative_position_index"] = (window**2, window**2)
            layer(f"{block}.norm1", c)
            layer(f"{block}.attn.qkv", 3 * c, c)
            layer(f"{block}.attn.proj", c, c)
            layer(f"{block}.norm2", c)
            layer(f"{block}.mlp.fc1", 4 * c, c)
            layer(f"{block}.mlp.fc2", c, 4 * c)
        layer(f"{stage}.fusion.vis_project.0", c, c, 1)
        layer(f"{stage}.fusion.image_lang_att.f_key.0", c, text_dim, 1)
        layer(f"{stage}.fusion.image_lang_att.f_query.0", c, c, 1)
        layer(f"{stage}.fusion.image_lang_att.f_value.0", c, text_dim, 1)
        layer(f"{stage}.fusion.image_lang_att.W.0", c, c, 1)
        layer(f"{stage}.fusion.project_mm.0", c, c, 1)
        layer(f"{stage}.res_gate.0", c, c, bias=False)
        layer(f"{stage}.res_gate.2", c, c, bias=False)
        if i < 3:
            layer(f"{stage}.downsample.norm", 4 * c)
            layer(f"{stage}.downsample.reduction", 2 * c, 4 * c, bias=False)
        layer(f"backbone.norm{i}", c)

    width, below = 4 * embed_dim, 8 * embed_dim
    for level, skip in ((4, 4 * embed_dim), (3, 2 * embed_dim), (2, embed_dim)):
        layer(f"classifier.conv1_{level}", width, below + skip, 3, 3, bias=False)
        layer(f"classifier.conv2_{level}", width, width, 3, 3, bias=False)
        for j in (1, 2):
            layer(f"classifier.bn{j}_{level}", width)
            shapes[f"classifier.bn{j}_{level}.running_mean"] = (width,)
            shapes[f"classifier.bn{j}_{level}.running_var"] = (width,)
            shapes[f"classifier.bn{j}_{level}.num_batches_tracked"] = ()
        below = width
    layer("classifier.conv1_1", 2, width, 1, 1)
    return shapes
