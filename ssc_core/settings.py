"""The config: one frozen pydantic class a section. ``schemas/config.schema.json`` is generated from these classes.

A stage function takes its own section only, so that a rule reruns when its section changes and not otherwise. What
reruns no rule (device, threads, batch caps) lives in ``ComputeSettings`` and reaches rules as resources.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import Field, ValidationError, field_validator, model_validator

from ssc_core.config_layers import check_size
from ssc_core.config_mistakes import mistakes
from ssc_core.errors import SscError
from ssc_core.microworld.world_settings import WorldSettings
from ssc_core.sections.base import Backend, FolderName, Section
from ssc_core.sections.compute import ComputeSettings
from ssc_core.sections.data import Dataset, MicroSource, SourceSettings
from ssc_core.sections.paths import ResultsPath
from ssc_core.sections.stages import (
    CompatSettings,
    DetectSettings,
    EvaluateSettings,
    NounSettings,
    ScoreSettings,
    SegmentSettings,
    SelectSettings,
    VisualPrompt,
)
from ssc_core.sections.studies import (
    AblationSettings,
    CompareSettings,
    FindingSettings,
    Method,
    ReportSettings,
    SelectVariant,
)
from ssc_core.sections.training import NetworkSettings, SwinSize, TrainSettings

__all__ = [
    "DERIVED_PHASES",
    "AblationSettings",
    "Backend",
    "CompareSettings",
    "CompatSettings",
    "ComputeSettings",
    "Dataset",
    "DetectSettings",
    "EvaluateSettings",
    "FindingSettings",
    "Method",
    "MicroSource",
    "NetworkSettings",
    "NounSettings",
    "ReportSettings",
    "ScoreSettings",
    "SegmentSettings",
    "SelectSettings",
    "SelectVariant",
    "Settings",
    "SourceSettings",
    "SwinSize",
    "TrainSettings",
    "VisualPrompt",
    "WorldSettings",
    "load_settings",
    "schema_text",
]

S = TypeVar("S", bound=Section)

DERIVED_PHASES: dict[str, tuple[str, str]] = {
    "supervised": ("pretrain", "supervised"),
    "correct_without_constraints": ("correct", "greedy_no_constraints"),
    "continue_pretrain": ("correct", "random_ce"),
}
"""Phases that pretrain and correct are compared with: the section that theirs starts from, and their loss."""


class Settings(Section):
    """The whole config."""

    results: ResultsPath = Field(default="results", description="folder of everything that is made")
    datasets: dict[FolderName, Dataset] = Field(description="datasets by name; null drops one", min_length=1)
    micro: WorldSettings = Field(default_factory=WorldSettings, description="the generated micro world")
    nouns: NounSettings = Field(description="sentences to object classes")
    detect: DetectSettings = Field(description="boxes for the classes of an image")
    segment: SegmentSettings = Field(description="boxes to masks")
    score: ScoreSettings = Field(description="scores of candidates against sentences")
    select: SelectSettings = Field(default_factory=SelectSettings, description="one candidate a ref")
    compare: CompareSettings = Field(default_factory=CompareSettings, description="ways to select that are compared")
    network: NetworkSettings = Field(description="LAVT and its text encoder")
    pretrain: TrainSettings = Field(description="training on the selected masks")
    correct: TrainSettings = Field(description="training on all candidates")
    supervised: TrainSettings = Field(
        default_factory=TrainSettings,
        description="training on ground truth, the upper bound; what is not given here is as in pretrain, but for the "
        "epochs, which are those of pretrain and correct together",
    )
    correct_without_constraints: TrainSettings = Field(
        default_factory=TrainSettings,
        description="correct with free matching, to compare; what is not given here is as in correct",
    )
    continue_pretrain: TrainSettings = Field(
        default_factory=TrainSettings,
        description="in place of correct, as long on the selected masks again, to compare; what is not given here is "
        "as in correct",
    )
    evaluate: EvaluateSettings = Field(default_factory=EvaluateSettings, description="metrics")
    ablations: AblationSettings = Field(
        default_factory=AblationSettings, description="settings that `snakemake ablations` compares"
    )
    finding: FindingSettings = Field(default_factory=FindingSettings, description="docs/results.md")
    report: ReportSettings = Field(default_factory=ReportSettings, description="the HTML report")
    compat: CompatSettings = Field(default_factory=CompatSettings, description="defects of the published code")
    compute: ComputeSettings = Field(default_factory=ComputeSettings, description="where and how wide jobs run")
    sources: SourceSettings = Field(default_factory=SourceSettings, description="where weights and data come from")

    @model_validator(mode="before")
    @classmethod
    def _derive_phases(cls, config: Any) -> Any:
        """Complete the sections of ``DERIVED_PHASES`` before they are validated."""
        if not isinstance(config, dict):
            return config
        phases = {name: config.get(name, {}) for name in ("pretrain", "correct", *DERIVED_PHASES)}
        if not all(isinstance(section, dict) for section in phases.values()):
            return config
        default = TrainSettings.model_fields["epochs"].default
        epochs = [phases[name].get("epochs", default) for name in ("pretrain", "correct")]
        length = {"supervised": {"epochs": sum(epochs)}} if all(isinstance(e, int) for e in epochs) else {}
        derived = {
            name: {**phases[base], "loss": loss, **length.get(name, {}), **phases[name]}
            for name, (base, loss) in DERIVED_PHASES.items()
        }
        return {**config, **derived}

    @field_validator("datasets", mode="before")
    @classmethod
    def _null_drops(cls, datasets: Any) -> Any:
        if not isinstance(datasets, dict):
            return datasets
        return {name: dataset for name, dataset in datasets.items() if dataset is not None}

    @model_validator(mode="after")
    def _variants_are_valid(self) -> Settings:
        for name in self.compare.variants:
            self.variant_score(name), self.variant_select(name)
        return self

    def variant_score(self, name: str) -> ScoreSettings:
        """The section ``score`` as a variant has it."""
        return _changed(self.score, self.compare.variants[name].score, f"compare.variants.{name}.score.")

    def variant_select(self, name: str) -> SelectSettings:
        """The section ``select`` as a variant has it."""
        return _changed(self.select, self.compare.variants[name].select, f"compare.variants.{name}.select.")

    def variant_scorer(self, name: str) -> str | None:
        """The first variant that scores as variant ``name`` does, whose scores serve both; None: ``score`` does."""
        score = self.variant_score(name)
        if score == self.score:
            return None
        return next(other for other in self.compare.variants if self.variant_score(other) == score)


def load_settings(config: dict[str, Any]) -> Settings:
    """Validate a config. Raises SscError with one line a mistake: where, what, and what would be right."""
    check_size(config, "the config")
    try:
        return Settings.model_validate(config)
    except ValidationError as error:
        told = [e for e in error.errors() if not _is_derived(e["loc"], config)]
        raise SscError("\n  ".join(["the config has mistakes:", *mistakes(told, config, Settings)])) from error


def _is_derived(place: tuple[str | int, ...], config: dict[str, Any]) -> bool:
    """Whether a value of a derived phase comes from the section that it starts from, where its mistake is named."""
    return len(place) > 1 and place[0] in DERIVED_PHASES and place[1] not in config.get(place[0], {})


def _changed(section: S, changes: dict[str, Any], prefix: str) -> S:
    """A section with other values. prefix: where they are, for messages. Raises ValueError."""
    values = section.model_dump() | changes
    try:
        return type(section).model_validate(values)
    except ValidationError as error:
        raise ValueError("; ".join(mistakes(error.errors(), values, type(section), prefix))) from None


def schema_text() -> str:
    """The JSON schema of the whole config, as ``schemas/config.schema.json`` holds it."""
    return json.dumps(Settings.model_json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    print(schema_text(), end="")
