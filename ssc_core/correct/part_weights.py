"""Start a part of LAVT from safetensors with LAVT's own key names."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from ssc_core.errors import SscError
from ssc_core.tensor_files import read_safetensors


def load_part(lavt: nn.Module, path: Path) -> None:
    """Copy the tensors of a safetensors file, such as a pre-trained ``backbone.*``, into ``lavt``; the rest stays.

    Raises SscError when the file is missing or damaged, or holds no tensor, or one that LAVT has not, or has in another
    shape.
    """
    weights = read_safetensors(path)
    if not weights:
        raise SscError(f"{path} holds no weights to start from")
    own = lavt.state_dict()
    for key, value in weights.items():
        if key not in own:
            raise SscError(f"{path} holds '{key}', which this LAVT has not; check `network.swin`")
        if own[key].shape != value.shape:
            raise SscError(
                f"{path}: '{key}' is {tuple(value.shape)}, this LAVT needs {tuple(own[key].shape)}; "
                "check `network.swin`, `network.window` and `network.decoder_width`"
            )
    lavt.load_state_dict(weights, strict=False)
