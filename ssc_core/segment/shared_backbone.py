"""A detector's backbone, for batches with several captions of one image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


@contextmanager
def seen_once(backbone: nn.Module, pixels: Tensor, rows: Tensor) -> Iterator[Tensor]:
    """Have a backbone of transformers see each image of a batch once, although the batch has several rows of it.

    pixels: (U, 3, H, W), the different images; rows: int64 (B,), which of them each row of the batch is. Gives what to
    call the detector with, (B, 3, H, W), of which only the shape is used.
    """

    def of_each_row(_: nn.Module, __: Any, output: Any) -> Any:
        output.feature_maps = tuple(features[rows] for features in output.feature_maps)
        return output

    hooks = [
        backbone.register_forward_pre_hook(lambda *_: (pixels,)),
        backbone.register_forward_hook(of_each_row),
    ]
    try:
        yield pixels[:1].expand(len(rows), -1, -1, -1)
    finally:
        for hook in hooks:
            hook.remove()
