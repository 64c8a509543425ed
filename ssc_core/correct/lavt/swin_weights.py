"""Start a LAVT backbone from the official Swin weights (`swin_base_patch4_window12_384_22k.pth` and its siblings)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isqrt
from pathlib import Path

from torch import Tensor
from torch.nn import functional as F

from ssc_core.correct.lavt.network import LAVT
from ssc_core.errors import SscError
from ssc_core.tensor_files import read_torch, state_dict_of

NOT_NEEDED = re.compile(r"norm\.(weight|bias)|head\.(weight|bias)|.*\.attn_mask|.*\.relative_position_index")
"""In the official files, without use here: the classifier and its norm, and buffers that follow from the window."""

LAVT_ONLY = re.compile(r"layers\.\d\.(fusion|res_gate)\..*|norm\d\..*|.*\.relative_position_index")
"""In a LAVT backbone, never in the official files."""


def load_swin_22k(lavt: LAVT, path: Path | str) -> None:
    """Load the official classifier's backbone into ``lavt.backbone``, in place; fusions and decoder stay as they are.

    Relative position tables of another window are interpolated (bicubic). Raises SscError when a key of the file or of
    the backbone has no counterpart, or a shape differs.
    """
    state = state_dict_of(path, read_torch(path), "model")
    own = lavt.backbone.state_dict()
    wanted = {key for key in own if not LAVT_ONLY.fullmatch(key)}
    given = {key for key in state if not NOT_NEEDED.fullmatch(key)}
    if wanted != given:
        raise SscError(
            f"{path} does not fit this Swin ({lavt.settings}): "
            f"{_some('missing', wanted - given)}; {_some('unknown', given - wanted)}"
        )
    weights = {key: state[key] for key in wanted}
    for key in wanted:
        if key.endswith("relative_position_bias_table") and len(weights[key]) != len(own[key]):
            weights[key] = resize_position_table(weights[key], len(own[key]))
    _check_shapes(path, weights, own)
    lavt.backbone.load_state_dict(weights, strict=False)


def resize_position_table(table: Tensor, rows: int) -> Tensor:
    """Interpolate a relative position table ((2 w - 1)^2, heads) to ``rows`` = (2 w' - 1)^2 rows, bicubic."""
    old, new = isqrt(table.shape[0]), isqrt(rows)
    if old * old != table.shape[0]:
        raise SscError(f"a relative position table has {table.shape[0]} rows, which is not a square")
    grid = table.float().t().reshape(1, -1, old, old)
    grid = F.interpolate(grid, size=(new, new), mode="bicubic", align_corners=False)
    return grid.reshape(-1, rows).t().to(table.dtype)


def _check_shapes(path: Path | str, weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    for key, value in weights.items():
        if value.shape != own[key].shape:
            raise SscError(
                f"{path}: {key} is {tuple(value.shape)}, this Swin needs {tuple(own[key].shape)}; "
                "choose the Swin size that the file was made for"
            )


def _some(what: str, keys: set[str]) -> str:
    shown = sorted(keys)
    return f"{len(shown)} {what}" + (f" ({', '.join(shown[:3])}{', ...' if len(shown) > 3 else ''})" if shown else "")
