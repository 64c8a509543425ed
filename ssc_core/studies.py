"""What a study of the config asks for: variants x seeds x datasets x splits x methods, as eval files.

Imports nothing heavy: the Snakefile uses it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ssc_core.config.methods import METHODS, PHASES
from ssc_core.config.settings import Settings
from ssc_core.config.stages import STAGES, made_from
from ssc_core.config.study import BASE, Study
from ssc_core.config.targets import check_split
from ssc_core.config.variants import SEED, Variants, change, in_words
from ssc_core.errors import SscError
from ssc_core.layout import template


@dataclass(frozen=True, slots=True)
class StudyRow:
    """A variant and seed of a study. seed: None where the config's own seeds are taken; trained: networks too."""

    variant: str
    changes: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    trained: bool = True

    @property
    def all_changes(self) -> dict[str, Any]:
        return self.changes if self.seed is None else {**self.changes, SEED: self.seed}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An eval file that a study needs."""

    row: StudyRow
    dataset: str
    split: str
    method: str
    path: str


def find_study(settings: Settings, name: str) -> Study:
    """A study of the config by name. Raises SscError when there is none."""
    if name not in settings.studies:
        known = ", ".join(settings.studies) or "none"
        raise SscError(f"the config has no study '{name}'; its studies are: {known}")
    return settings.studies[name]


def check_studies(settings: Settings) -> None:
    """Raises SscError for a study that varies the config in a way that it cannot."""
    for name, study in settings.studies.items():
        try:
            rows(settings, study)
        except SscError as error:
            raise SscError(f"studies.{name}: {error}") from error


def named_changes(study: Study) -> dict[str, dict[str, Any]]:
    """Changes by the name of a variant: ``variants``, and each value of ``grid`` by itself."""
    grid = {in_words({key: value}): {key: value} for key, values in study.grid.items() for value in values}
    return {**study.variants, **grid}


def rows(settings: Settings, study: Study) -> list[StudyRow]:
    """Variants and seeds, the config itself first. What equals it is no row, nor is a seed that changes nothing.

    Raises SscError for a change that the config cannot have.
    """
    named = named_changes(study)
    changed = {name: change(settings, changes) for name, changes in named.items()}
    changed = {name: one for name, one in changed.items() if one != settings}
    trains = {name: study.train or _trains(named[name]) for name in changed}
    alone = study.train or not changed or any(trains.values())
    found = list(_seeded(StudyRow(BASE, trained=alone), settings, study))
    for name, one in changed.items():
        found += _seeded(StudyRow(name, named[name], trained=trains[name]), one, study)
    return found


def evaluations(settings: Settings, study: Study, variants: Variants) -> list[Evaluation]:
    """The eval files of a study, each once: what a seed or change does not reach is shared.

    Raises SscError for a dataset or split that the config does not have.
    """
    for dataset, splits in study.datasets.items():
        for split in splits:
            check_split(settings, dataset, split)
    found: dict[str, Evaluation] = {}
    for row in rows(settings, study):
        for dataset, splits in study.datasets.items():
            for split in splits:
                for method in ("masks", *study.methods):
                    if row.trained or not uses_network(method):
                        path = eval_path(variants, dataset, split, method, row.all_changes)
                        found.setdefault(path, Evaluation(row, dataset, split, method, path))
    return list(found.values())


def eval_path(variants: Variants, dataset: str, split: str, method: str, changes: dict[str, Any] | None = None) -> str:
    """Path of an eval file of a variant."""
    result = f"eval.{method}"
    folder = variants.folder(result, changes=changes)
    return template(result, variants.settings.results).format(dataset=dataset, variant=folder, split=split)


def training_logs(settings: Settings, study: Study, variants: Variants) -> list[str]:
    """Logs of the trainings behind the networks of a study, as far as these are of the config itself."""
    found = {
        template(f"{phase}.csv", settings.results).format(dataset=one.dataset, variant="")
        for one in evaluations(settings, study, variants)
        for phase in PHASES
        if f"{phase}.pt" in made_from(change(settings, one.row.all_changes), f"eval.{one.method}")
        and not variants.folder(f"{phase}.csv", changes=one.row.all_changes)
    }
    return sorted(found)


def uses_network(method: str) -> bool:
    """Whether a method needs a training."""
    return method in METHODS and METHODS[method].phase is not None


def _seeded(row: StudyRow, settings: Settings, study: Study) -> Iterator[StudyRow]:
    if not study.seeds:
        yield row
    elif (row.trained and any(map(uses_network, study.methods))) or settings.labels_are_drawn:
        yield from (StudyRow(row.variant, row.changes, seed, row.trained) for seed in study.seeds)
    else:
        yield StudyRow(row.variant, row.changes, study.seeds[0], row.trained)


def _trains(changes: dict[str, Any]) -> bool:
    """Whether a change is one of training itself, which is seen in a trained network only."""
    stages = [STAGES[name] for name in PHASES]
    sections = {section for stage in stages for section in stage.sections}
    switches = {f"compat.{switch}" for stage in stages for switch in stage.compat}
    return any(key.split(".")[0] in sections or key in switches for key in changes)
