"""The device that networks run on."""

from __future__ import annotations

import torch

from ssc_core.errors import SscError


def resolve_device(device: str) -> torch.device:
    """ "auto": a GPU when there is one. Raises SscError when a GPU is asked for and there is none."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise SscError("`device: cuda`, but torch sees no GPU; set `device: auto` or `cpu`")
    return torch.device(device)
