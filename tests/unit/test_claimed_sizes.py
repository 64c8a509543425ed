"""Folders of strangers whose configuration claims more than their weights hold."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from ssc_core.claimed_sizes import as_large_as
from ssc_core.errors import SscError
from ssc_core.segment.sam_build import load_sam
from ssc_core.select.clip import load_model

MICRO = Path(__file__).parents[2] / "resources" / "micro"


def clip(folder: Path) -> Any:
    return load_model(str(folder), None, None)


def sam(folder: Path) -> Any:
    return load_sam(str(folder))


@pytest.mark.parametrize(
    ("name", "config", "load", "keys", "claim"),
    [
        ("clip", "open_clip_config.json", clip, ("model_cfg", "text_cfg", "layers"), 10**9),
        ("clip", "open_clip_config.json", clip, ("model_cfg", "text_cfg", "vocab_size"), 2 * 10**6),
        ("sam", "config.json", sam, ("encoder", "depth"), 10**9),
        ("sam", "config.json", sam, ("decoder", "mlp_dim"), 10**6),
    ],
)
def test_a_folder_that_claims_more_than_it_holds_is_refused(
    tmp_path: Path, name: str, config: str, load: Callable[[Path], Any], keys: tuple[str, ...], claim: int
) -> None:
    folder = tmp_path / name
    shutil.copytree(MICRO / name, folder)
    load(folder)  # the bound is above what is true
    section = content = json.loads((folder / config).read_text())
    for key in keys[:-1]:
        section = section[key]
    assert keys[-1] in section
    section[keys[-1]] = claim
    (folder / config).write_text(json.dumps(content))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SscError, match=f"configuration of .*{name}.* claims a network many times as large"):
        load(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500 << 10


@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_torch_bound_it_too(tmp_path: Path, zipped: bool) -> None:
    weights = load_file(MICRO / "sam" / "model.safetensors")
    torch.save(weights, tmp_path / "sam.pth", _use_new_zipfile_serialization=zipped)
    with as_large_as(tmp_path / "sam.pth"):
        torch.nn.Linear(1000, 1000)
    with pytest.raises(SscError, match=r"sam\.pth claims"), as_large_as(tmp_path / "sam.pth"):
        torch.nn.Linear(20_000, 20_000)
    torch.nn.Linear(20_000, 2_000)  # afterwards nothing is bounded
