"""Training logs for people who watch: TensorBoard and Weights & Biases. The CSV file is written without them."""

from __future__ import annotations

import importlib
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from ssc_core.errors import SscError
from ssc_core.files import atomic_path


class Logger(Protocol):
    """Gets numbers after every optimiser step; a resumed run starts again at the step that it goes on from."""

    def start(self, steps: int) -> None: ...

    def log(self, step: int, values: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


class TensorBoardLog:
    """Event files in ``folder``, for ``tensorboard --logdir``."""

    def __init__(self, folder: Path) -> None:
        _need("tensorboard", "tensorboard")
        self._folder = folder

    def start(self, steps: int) -> None:
        writer = importlib.import_module("torch.utils.tensorboard").SummaryWriter
        # events after the saved state are from steps that are done again
        self._writer = writer(log_dir=str(self._folder), purge_step=steps + 1)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class WandbLog:
    """A run of Weights & Biases; account, project and offline mode come from its own environment variables.

    A training that goes on goes on in its run, whose id is kept in ``folder``. Of steps that are done again, the run
    keeps the first numbers: it takes no step twice.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self._wandb = _need("wandb", "wandb")
        self._folder, self._settings = folder, settings

    def start(self, steps: int) -> None:
        self._run = self._wandb.init(
            dir=str(self._folder), name="/".join(self._folder.parts[-4:]), config=dict(self._settings),
            id=self._run_id(new=steps == 0), resume="allow",
        )  # fmt: skip

    def _run_id(self, new: bool) -> str:
        self._folder.mkdir(parents=True, exist_ok=True)
        kept = self._folder / "run_id"
        if new or not kept.is_file():
            with atomic_path(kept) as temporary:
                temporary.write_text(secrets.token_hex(4), encoding="utf-8")
        return kept.read_text(encoding="utf-8")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        self._run.finish()


def make_logger(name: str, folder: Path, settings: Mapping[str, Any]) -> Logger | None:
    """The logger for ``compute.log_to``; None for csv. Raises SscError when its package is not installed."""
    if name == "tensorboard":
        return TensorBoardLog(folder)
    return WandbLog(folder, settings) if name == "wandb" else None


def _need(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise SscError(
            f"`log_to: {module}` needs the package {package}: pip install {package}, or set `log_to: csv`"
        ) from error
