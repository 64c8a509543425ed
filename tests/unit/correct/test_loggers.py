from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ssc_core.correct.loggers import make_logger
from ssc_core.errors import SscError

FOLDER = Path("results/refcoco/checkpoints/x/correct")


class Recorder:
    """Stands for SummaryWriter and for a W&B run."""

    calls: list[tuple[Any, ...]]

    def __init__(self, **options: Any) -> None:
        Recorder.calls = [("open", options)]

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.calls.append((name, value, step))

    def log(self, values: dict[str, float], step: int) -> None:
        self.calls.append(("log", values, step))

    def close(self) -> None:
        self.calls.append(("close",))

    finish = close


def module(name: str, **content: Any) -> ModuleType:
    made = ModuleType(name)
    vars(made).update(content)
    return made


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_missing_package_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SscError, match=f"needs the package {name}: pip install {name}"):
        make_logger(name, FOLDER, {})


def test_csv_needs_no_logger() -> None:
    assert make_logger("csv", FOLDER, {}) is None


def test_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", module("tensorboard"))
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module("tb", SummaryWriter=Recorder))
    logger = make_logger("tensorboard", FOLDER, {})
    logger.start(7)
    logger.log(8, {"loss": 0.5, "lr": 0.1})
    logger.close()
    assert Recorder.calls == [
        ("open", {"log_dir": str(FOLDER), "purge_step": 8}), ("loss", 0.5, 8), ("lr", 0.1, 8), ("close",),
    ]  # fmt: skip


def test_weights_and_biases(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "wandb", module("wandb", init=Recorder))
    folder = tmp_path / "refcoco" / "checkpoints" / "wandb" / "correct"
    logger = make_logger("wandb", folder, {"train": {"lr": 1}})
    logger.start(0)
    logger.log(1, {"loss": 0.5})
    logger.close()
    opened = {
        "dir": str(folder), "name": "refcoco/checkpoints/wandb/correct", "config": {"train": {"lr": 1}},
        "id": (folder / "run_id").read_text(), "resume": "allow",
    }  # fmt: skip
    assert Recorder.calls == [("open", opened), ("log", {"loss": 0.5}, 1), ("close",)]


def test_a_training_that_goes_on_goes_on_in_its_run_of_weights_and_biases(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", module("wandb", init=Recorder))

    def run_after(steps: int) -> str:
        logger = make_logger("wandb", tmp_path / "wandb" / "correct", {})
        logger.start(steps)
        ((_, opened),) = Recorder.calls
        return opened["id"]

    first = run_after(0)
    assert run_after(7) == first
    assert run_after(0) != first  # it began anew: what was trained before is another run
    (tmp_path / "wandb/correct/run_id").unlink()
    assert len(run_after(7)) == 8
