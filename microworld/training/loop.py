"""The loop that all four trainings share, and the files that they leave."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from tqdm import trange

from ssc_core.files import atomic_path
from ssc_core.provenance import file_sha256
from ssc_core.tensor_checks import LOCK_NAME
from ssc_core.weights.lock import LockFile


def fit(
    model: nn.Module,
    step_loss: Callable[[int], torch.Tensor],
    *,
    steps: int,
    lr: float,
    weight_decay: float = 1e-2,
    warmup: int = 200,
    clip_norm: float = 1.0,
    average: float = 0.0,
) -> float:
    """Train ``model`` with AdamW, linear warm-up and cosine decay; ``step_loss(step)`` makes a batch and its loss.

    average: decay of an exponential moving average of the weights, which replaces them at the end; 0 for none.
    Returns the seconds that it took.
    """
    decayed = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    plain = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}], lr=lr
    )
    rate = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps, warmup))
    averaged = {name: value.detach().clone() for name, value in model.state_dict().items()} if average else None
    started, smooth = time.monotonic(), None
    model.train()
    progress = trange(steps, mininterval=10)
    for step in progress:
        loss = step_loss(step)
        if not torch.isfinite(loss):
            raise RuntimeError(f"the loss is {loss.item()} at step {step}")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), clip_norm, error_if_nonfinite=True)
        optimiser.step()
        rate.step()
        if averaged is not None:
            _average(averaged, model, min(average, (1 + step) / (10 + step)))
        smooth = loss.item() if smooth is None else 0.98 * smooth + 0.02 * loss.item()
        progress.set_postfix(loss=f"{smooth:.4f}", refresh=False)
    if averaged is not None:
        model.load_state_dict(averaged)
    model.eval()
    return time.monotonic() - started


def save_weights(weights: Mapping[str, torch.Tensor], path: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write a state dict as safetensors; floating-point tensors in ``dtype``, which halves what git carries."""
    state = {}
    for name, tensor in weights.items():
        kept = tensor.detach().cpu().to(dtype) if tensor.is_floating_point() else tensor.detach().cpu()
        state[name] = kept.clone().contiguous()  # clone: tied tensors share memory, which safetensors refuses
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        save_file(state, temporary, metadata={"format": "pt"})


def write_card(folder: Path, *, title: str, what: str, data: str, figures: Mapping[str, float | int | str]) -> None:
    """Write the model card. ``figures`` are measured, never typed."""
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file() and f.suffix != ".md")
    rows = "\n".join(
        f"| {name} | {value:.4g} |" if isinstance(value, float) else f"| {name} | {value} |"
        for name, value in figures.items()
    )
    text = (
        f"# {title}\n\n{what}\n\n## Training data\n\n{data}\n\n## Measured on unseen scenes\n\n"
        f"| what | value |\n|---|---|\n{rows}\n| size of the folder, MB | {size / 1e6:.2f} |\n\n"
        "## Limits\n\nIt knows the drawn world of `microworld` and nothing else: on photos its output means "
        "nothing.\nMade by `make micro-models`, which also writes this card. Apache-2.0.\n"
    )
    with atomic_path(folder / "README.md") as temporary:
        temporary.write_text(text, encoding="utf-8")


def pin_files(folder: Path) -> None:
    """Note the digests of a model's files in the lock file beside its folder, where readers look for them."""
    lock = LockFile(folder.parent / LOCK_NAME)
    for file in sorted(f for f in folder.rglob("*") if f.is_file() and f.suffix != ".md"):
        path = file.relative_to(folder.parent).as_posix()
        lock.add(path, sha256=file_sha256(file), size=file.stat().st_size, source="make micro-models", replace=True)


def _rate(step: int, steps: int, warmup: int) -> float:
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


@torch.no_grad()
def _average(averaged: dict[str, torch.Tensor], model: nn.Module, decay: float) -> None:
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            averaged[name].lerp_(value, 1 - decay)
        else:
            averaged[name].copy_(value)
