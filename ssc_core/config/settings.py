"""The config: one frozen pydantic class per section. ``schemas/config.schema.json`` is generated from these classes.

A stage function takes its own section only, so that a rule reruns when its section changes and not otherwise. What
reruns no rule (device, threads, batch caps) lives in ``ComputeSettings`` and reaches rules as resources.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import Field, ValidationError, field_validator, model_validator

from ssc_core.config.base import FolderName, ScorerName, Section
from ssc_core.config.compute import ComputeSettings
from ssc_core.config.data import Dataset, SourceSettings
from ssc_core.config.labelling import (
    DEFAULT_SCORER,
    CompatSettings,
    DetectSettings,
    EvaluateSettings,
    NounSettings,
    ReviewerSettings,
    ScoreSettings,
    SegmentSettings,
    SelectSettings,
)
from ssc_core.config.layers import check_size
from ssc_core.config.methods import PHASES
from ssc_core.config.mistakes import mistakes, with_texts
from ssc_core.config.paths import ResultsPath
from ssc_core.config.study import Study
from ssc_core.config.training import NetworkSettings, TrainSettings
from ssc_core.config.world import WorldSettings
from ssc_core.errors import SscError, did_you_mean


class Settings(Section):
    """The whole config."""

    results: ResultsPath = Field(default="results", description="folder of everything that is made")
    datasets: dict[FolderName, Dataset] = Field(description="datasets by name; null drops one", min_length=1)
    micro: WorldSettings = Field(default_factory=WorldSettings, description="the generated micro world")
    nouns: NounSettings = Field(description="sentences to object classes")
    detect: DetectSettings = Field(description="boxes for the classes of an image")
    segment: SegmentSettings = Field(description="boxes to masks")
    score: ScoreSettings = Field(description="scores of candidates against sentences")
    scorers: dict[ScorerName, ScoreSettings] = Field(
        default_factory=dict,
        description="more scorers by name, each with a job and a file of its own (scores_NAME.h5), for select.weights; "
        "null drops one",
    )
    select: SelectSettings = Field(default_factory=SelectSettings, description="one candidate per ref")
    reviewer: ReviewerSettings = Field(
        default_factory=ReviewerSettings, description="a simulated reviewer, for studies of what a review is worth"
    )
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
    studies: dict[FolderName, Study] = Field(
        default_factory=dict, description="what is compared with what, by name; null drops one"
    )
    compat: CompatSettings = Field(default_factory=CompatSettings, description="defects of the published code")
    compute: ComputeSettings = Field(default_factory=ComputeSettings, description="where and how wide jobs run")
    sources: SourceSettings = Field(default_factory=SourceSettings, description="where weights and data come from")
    allow_toy_models: bool = Field(
        default=False,
        description="photos may be given to the small models of the micro world (resources/micro), which know drawings "
        "only: for tests of the steps, whose masks mean nothing. Reruns nothing",
    )

    @field_validator("scorers")
    @classmethod
    def _name_is_free(cls, scorers: dict[str, ScoreSettings]) -> dict[str, ScoreSettings]:
        if DEFAULT_SCORER in scorers:
            raise ValueError(f"'{DEFAULT_SCORER}' is the section score; choose another name")
        return scorers

    @model_validator(mode="after")
    def _scorers_are_there(self) -> Settings:
        for name in self.select.weights:
            if name != DEFAULT_SCORER and name not in self.scorers:
                known = (DEFAULT_SCORER, *self.scorers)
                guess = did_you_mean(name, known)
                raise ValueError(f"select.weights: no scorer is called '{name}'{guess} There are {', '.join(known)}")
        return self

    @field_validator("datasets", "scorers", "studies", mode="before")
    @classmethod
    def _null_drops(cls, named: Any) -> Any:
        return {k: v for k, v in named.items() if v is not None} if isinstance(named, dict) else named

    @property
    def labels_are_drawn(self) -> bool:
        """Whether labels differ with a seed."""
        return self.select.choice == "random" or (self.reviewer.share > 0 and self.reviewer.order == "random")

    def training(self, phase: str) -> TrainSettings:
        """The settings of a training: of ``pretrain`` and ``correct``, or of a phase that starts from theirs."""
        about = PHASES[phase]
        if about.loss is None:
            found: TrainSettings = getattr(self, phase)
            return found
        epochs = {"epochs": self.pretrain.epochs + self.correct.epochs} if phase == "supervised" else {}
        base = getattr(self, about.section).model_dump()
        given = getattr(self, phase).model_dump(exclude_unset=True)
        return TrainSettings.model_validate({**base, "loss": about.loss, **epochs, **given})

    def scorer(self, name: str) -> ScoreSettings:
        """The settings of a scorer. Raises SscError when there is none of that name."""
        known = {DEFAULT_SCORER: self.score, **self.scorers}
        if name not in known:
            guess = did_you_mean(name, known)
            raise SscError(f"the config has no scorer '{name}'{guess} It has {', '.join(known)}")
        return known[name]

    def values(self, section: str) -> dict[str, Any]:
        """A section as JSON values; of a phase, its settings in full; ``scorers.dense``: one of several."""
        if section.startswith("scorers."):
            return self.scorer(section.partition(".")[2]).model_dump(mode="json")
        if section in PHASES:
            return self.training(section).model_dump(mode="json")
        values: dict[str, Any] = self.model_dump(mode="json", include={section})[section]
        return values


def load_settings(config: dict[str, Any], texts: Any = None) -> Settings:
    """Validate a config. Raises SscError with one line a mistake: where, what, and what would be right.

    texts: the part that came by ``--config``, before ``plain_values``. A value that is wrong becomes the text again
    that it was, as a split that is called 1 has to.
    """
    check_size(config, "the config")
    try:
        return Settings.model_validate(config)
    except ValidationError as error:
        if texts and (other := with_texts(error.errors(), config, texts)) != config:
            return load_settings(other)
        raise SscError(
            "\n  ".join(["the config has mistakes:", *mistakes(error.errors(), config, Settings)])
        ) from error


def schema_text() -> str:
    """The JSON schema of the whole config, as ``schemas/config.schema.json`` holds it."""
    return json.dumps(Settings.model_json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    print(schema_text(), end="")
