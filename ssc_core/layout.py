"""Where results lie: every path below the results folder, for rules, reports and the command line.

``results/{dataset}/{variant}`` and then the path that ``ssc_core.config.stages`` gives for a result. ``variant`` is
empty for the config itself, else a folder with its slash (``ssc_core.config.variants``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ssc_core.config.methods import MATCHED, PHASES
from ssc_core.config.stages import made_by, stage_named
from ssc_core.config.variants import PATTERN

RESULT_FOLDER = "{dataset}/{variant}"
"""What the path of a stage's result starts with, below the results folder."""

_EVAL = re.compile(r"eval_.*\.json")
_VARIANT = re.compile(PATTERN.removesuffix(")?").removeprefix("(?:").removesuffix("/"))


def template(result: str, results: str = "") -> str:
    """Path of a result with ``{dataset} {variant} {split} {shard} {shards}`` left open.

    results: the folder of all results; ``""``: relative to it. Raises KeyError for a result that no stage writes.
    """
    path = RESULT_FOLDER + stage_named(made_by(result)).writes[result]
    return f"{results}/{path}" if results else path


@dataclass(frozen=True, slots=True)
class Shown:
    """What the report shows of a dataset, as far as it is there. evals: of the config itself and of its variants;
    selections, sheets: evaluations of ways to select, and contact sheets, by split; logs, matching: of trainings, by
    phase.

    What goes along with an evaluation is not among them, nor are run times: a job that is done again has others.
    """

    evals: list[Path]
    selections: dict[str, Path]
    sheets: dict[str, Path]
    logs: dict[str, Path]
    matching: dict[str, Path]

    @property
    def files(self) -> list[Path]:
        by_name = (self.selections, self.sheets, self.logs, self.matching)
        return [*self.evals, *(path for found in by_name for path in found.values())]


@dataclass(frozen=True, slots=True)
class DatasetFolder:
    """What is made for a dataset: of the config itself, or of a variant of it."""

    folder: Path
    variant: str = ""

    def __call__(self, result: str, **wildcards: object) -> Path:
        """Path of a result, as ``folder("masks", split="val")``."""
        path = template(result).removeprefix(RESULT_FOLDER).format(**wildcards)
        return self.folder / f"{self.variant}{path}"

    @property
    def name(self) -> str:
        return self.folder.name

    def eval_files(self) -> list[Path]:
        """Eval files that are here, of the config itself or of this variant."""
        return sorted(path for path in (self.folder / self.variant).glob("eval_*.json") if _EVAL.fullmatch(path.name))

    def all_eval_files(self) -> list[Path]:
        """Eval files of the config itself and then of its variants."""
        return [path for one in (DatasetFolder(self.folder), *self.variants()) for path in one.eval_files()]

    def shown(self) -> Shown:
        """What a report shows."""
        return Shown(
            evals=self.all_eval_files(),
            selections=dict(self.of_splits("selections")),
            sheets=dict(self.of_splits("contact_sheet")),
            logs=self._of_phases(PHASES, "csv"),
            matching=self._of_phases(MATCHED, "matching"),
        )

    def _of_phases(self, phases: Iterable[str], kind: str) -> dict[str, Path]:
        found = {phase: self(f"{phase}.{kind}") for phase in phases}
        return {phase: path for phase, path in found.items() if path.is_file()}

    def splits(self) -> list[str]:
        """Splits that something may have been made for."""
        return sorted(path.name for path in (self.folder / self.variant).glob("*") if path.is_dir())

    def of_splits(self, result: str) -> list[tuple[str, Path]]:
        """Split and path of a result, where it is there."""
        found = ((split, self(result, split=split)) for split in self.splits())
        return [(split, path) for split, path in found if path.is_file()]

    def variants(self) -> list[DatasetFolder]:
        """Variants that something was made for."""
        folders = sorted(path for path in self.folder.glob("*") if path.is_dir() and is_variant(path.name))
        return [DatasetFolder(self.folder, f"{path.name}/") for path in folders]


def dataset_folders(results: Path) -> list[DatasetFolder]:
    """Datasets that something was evaluated for, of the config itself or of any variant, or ways to select; by name."""
    folders = map(DatasetFolder, sorted(path for path in Path(results).glob("*") if path.is_dir()))
    return [folder for folder in folders if folder.all_eval_files() or folder.of_splits("selections")]


def variant_of(path: Path) -> str:
    """The variant in whose folder an eval file lies, with its slash; ``""`` for the config itself."""
    name = path.parent.name
    return f"{name}/" if is_variant(name) else ""


def is_variant(folder: str) -> bool:
    """Whether a folder's name is that of a variant."""
    return _VARIANT.fullmatch(folder) is not None
