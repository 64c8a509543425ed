"""What lies in a results folder: eval files with their rows, training logs and benchmarks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ssc_core.config.methods import method_order
from ssc_core.config.settings import Settings
from ssc_core.config.variants import Variants
from ssc_core.errors import SscError
from ssc_core.evaluate.eval_table import folder_table, networks_resolution, split_order
from ssc_core.evaluate.schema import MasksEval, Measured, ModelEval, read_eval
from ssc_core.layout import DatasetFolder, Shown, dataset_folders, is_variant, variant_of
from ssc_core.report.of_config import of_config
from ssc_core.report.published import PUBLISHED, Published
from ssc_core.tables import read_frame


@dataclass(frozen=True, slots=True)
class ResultLine:
    """A line of the results table.

    per: sentence or ref, what a pair is; resolution: 480 or native; ious: float (N,), 0..1, of all pairs; test_only:
    uses the ground truth; of_candidates: a choice among candidate masks, not a network's own.
    """

    split: str
    name: str
    figures: Measured
    per: str
    resolution: str
    n_pairs: int
    ious: pd.Series
    test_only: bool
    of_candidates: bool
    published: Published | None

    @property
    def measured_on(self) -> str:
        return f"{self.n_pairs} {self.per}s, {'480 × 480' if self.resolution == '480' else 'photo pixels'}"


@dataclass(frozen=True, slots=True)
class EvaluatedModel:
    """A model's eval file with its rows (``evaluate.pairs.measure_pairs``)."""

    content: ModelEval
    rows: pd.DataFrame


@dataclass(frozen=True, slots=True)
class EvaluatedMasks:
    """A masks' eval file with its rows (``evaluate.masks.candidates_path``)."""

    content: MasksEval
    rows: pd.DataFrame


@dataclass(frozen=True, slots=True)
class DatasetResults:
    """Everything that a dataset's folder holds.

    shown: the files; others: those of another config by their place in the folder, and why; world: whose figures they
    are, "" without any; logs: training log by phase; matching: accuracy of the matching by phase; figures:
    ``folder_table`` of the config and all its variants; models and masks are of the config itself; jobs: a row per
    benchmarked job.
    """

    folder: DatasetFolder
    shown: Shown
    others: dict[str, str]
    world: str
    models: tuple[EvaluatedModel, ...]
    masks: tuple[EvaluatedMasks, ...]
    logs: dict[str, pd.DataFrame]
    matching: dict[str, pd.DataFrame]
    figures: pd.DataFrame
    jobs: pd.DataFrame

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def evaluations(self) -> list[EvaluatedModel | EvaluatedMasks]:
        return [*self.models, *self.masks]

    @property
    def sheets(self) -> list[tuple[str, Path]]:
        """Splits that have a contact sheet of what Segment found, and its path."""
        return sorted(self.shown.sheets.items(), key=lambda one: split_order(one[0]))

    @property
    def selections(self) -> list[str]:
        """Splits whose ways to select were evaluated."""
        return sorted(self.shown.selections, key=split_order)

    def lines(self) -> list[ResultLine]:
        """Lines of the table by split, all measured alike: once per sentence, choices among candidates too."""
        return self._sorted([*self._model_lines(), *self._choice_lines(as_networks=True)])

    def choice_lines(self) -> list[ResultLine]:
        """The choices among candidates by split as they are published: once per ref, in photo pixels."""
        return self._sorted(list(self._choice_lines(as_networks=False)))

    def _sorted(self, lines: list[ResultLine]) -> list[ResultLine]:
        """By split, and within a split in the order of the methods."""
        return sorted(lines, key=lambda m: (split_order(m.split), method_order(m.name)))

    def masks_of(self, split: str) -> EvaluatedMasks | None:
        return next((c for c in self.masks if c.content.split == split), None)

    def _model_lines(self) -> Iterator[ResultLine]:
        for found in self.models:
            content = found.content
            yield ResultLine(
                split=content.split,
                name=content.method,
                figures=content,
                per="sentence",
                resolution=content.resolution,
                n_pairs=content.n_sentences,
                ious=found.rows[f"iou_{content.resolution}"],
                test_only=False,
                of_candidates=False,
                published=PUBLISHED.get((self.name, content.split, content.method)),
            )

    def _choice_lines(self, *, as_networks: bool) -> Iterator[ResultLine]:
        for found in self.masks:
            content, rows = found.content, found.rows
            resolution = networks_resolution(content)
            for name, choice in content.choices.items():
                ious = rows[f"iou_480_{name}" if as_networks and resolution == "480" else f"iou_{name}"]
                yield ResultLine(
                    split=content.split,
                    name=name,
                    figures=choice.per_sentence[resolution] if as_networks else choice,
                    per="sentence" if as_networks else content.per,
                    resolution=resolution if as_networks else content.resolution,
                    n_pairs=int(rows["sentences"].sum()) if as_networks else content.n_pairs,
                    ious=ious.repeat(rows["sentences"].to_list()) if as_networks else ious,
                    test_only=choice.test_only,
                    of_candidates=True,
                    published=PUBLISHED.get((self.name, content.split, name)),
                )


def collect(results: Path, settings: Settings) -> list[DatasetResults]:
    """Datasets of the config that have an eval file below ``results``, by name. Raises SscError when there is none."""
    folders = [folder for folder in dataset_folders(results) if folder.name in settings.datasets]
    if not folders:
        raise SscError(
            f"{results} holds no eval file yet; make one first, e.g. snakemake {results}/refcoco/eval_val.json"
        )
    variants = Variants(settings)
    return [_collect_dataset(folder, variants) for folder in folders]


def _collect_dataset(folder: DatasetFolder, variants: Variants) -> DatasetResults:
    shown, others = of_config(folder, variants)
    models: list[EvaluatedModel] = []
    masks: list[EvaluatedMasks] = []
    for path in shown.evals:
        if variant_of(path):
            continue
        content, rows = read_eval(path), _read_rows(path.with_suffix(".parquet"))
        if isinstance(content, ModelEval):
            models.append(EvaluatedModel(content, rows))
        else:
            masks.append(EvaluatedMasks(content, rows))
    figures = folder_table(shown.evals)
    worlds = {*figures["world"], *(read_eval(path).world for path in shown.selections.values())}
    if len({world == "micro" for world in worlds}) > 1:
        raise SscError(
            f"{folder.folder} mixes results of generated scenes and of photos; delete those that do not belong there"
        )
    return DatasetResults(
        folder=folder,
        shown=shown,
        others={path.relative_to(folder.folder).as_posix(): why for path, why in others.items()},
        world="toys" if "toys" in worlds else worlds.pop() if worlds else "",
        models=tuple(sorted(models, key=lambda m: (split_order(m.content.split), method_order(m.content.method)))),
        masks=tuple(sorted(masks, key=lambda c: split_order(c.content.split))),
        logs={phase: _read_log(path) for phase, path in shown.logs.items()},
        matching={phase: _read_log(path) for phase, path in shown.matching.items()},
        figures=figures,
        jobs=_read_jobs(folder.folder),
    )


def _read_rows(path: Path) -> pd.DataFrame:
    return read_frame(path, made_by="evaluate")


def _read_log(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise SscError(f"{path} is no training log ({error}); run the training again") from error


def _split_of(place: Path) -> str:
    """The split whose files lie in a folder below a dataset's, of the config itself or of a variant; "" for none."""
    return next((name for name in place.parts if not is_variant(name)), "")


def _read_jobs(folder: Path) -> pd.DataFrame:
    """``rule split shard seconds rss_mb`` of each of Snakemake's benchmark files; what it could not measure is NaN."""
    rows = []
    for path in sorted(folder.glob("**/benchmarks/*.tsv")):
        try:
            table = pd.read_csv(path, sep="\t", na_values=["-", "NA"])
        except ValueError:  # nothing in it, or something else than a table
            table = pd.DataFrame()
        if not {"s", "max_rss"} <= set(table.columns) or table.empty:
            raise SscError(f"{path} is no benchmark file of Snakemake; delete it")
        name, _, shard = path.stem.partition(".")
        rows.append(
            {
                "rule": name,
                "split": _split_of(path.parent.parent.relative_to(folder)),
                "shard": re.sub(r"-of-.*", "", shard),
                "seconds": float(table["s"].iloc[-1]),
                "rss_mb": float(table["max_rss"].iloc[-1]),
                "made": path.stat().st_mtime,
            }
        )
    return pd.DataFrame(rows, columns=["rule", "split", "shard", "seconds", "rss_mb", "made"])
