"""What is compared with what: nothing here changes the main job."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import Field, JsonValue, field_validator

from ssc_core.sections.base import FolderName, Section, Seed


class SelectVariant(Section):
    """Another way to select: keys of the sections ``score`` and ``select`` that it replaces."""

    score: dict[str, JsonValue] = Field(
        default_factory=dict, description="keys of `score` with other values: a GPU job"
    )
    select: dict[str, JsonValue] = Field(
        default_factory=dict, description="keys of `select` with other values: seconds"
    )


class CompareSettings(Section):
    """What results/report/select.html compares."""

    dataset: str = Field(default="refcoco", description="dataset of the comparison")
    split: FolderName = Field(default="val", description="its split")
    variants: dict[FolderName, SelectVariant] = Field(
        default_factory=dict, description="ways to select by name, in the table's order; null drops one"
    )

    @field_validator("variants", mode="before")
    @classmethod
    def _null_drops(cls, variants: Any) -> Any:
        if not isinstance(variants, dict):
            return variants
        return {name: variant for name, variant in variants.items() if variant is not None}

    @field_validator("variants")
    @classmethod
    def _names_are_free(cls, variants: dict[str, SelectVariant]) -> dict[str, SelectVariant]:
        for name in variants:
            if name in ("random", "first", "selected", "best"):
                raise ValueError(f"'{name}' is a line of the table already; choose another name")
        return variants


class AblationSettings(Section):
    """What ``snakemake ablations`` compares: the config with one value changed at a time."""

    dataset: str = Field(default="refcoco", description="dataset that is measured")
    split: FolderName = Field(default="val", description="split that is measured")
    seeds: tuple[Seed, ...] = Field(
        default=(0,), min_length=1, description="seeds of trainings and random choices, a row of the table each"
    )
    train: bool = Field(
        default=False, description="train networks on the masks of every row, not only where training itself differs"
    )
    grid: dict[str, tuple[JsonValue, ...]] = Field(
        default_factory=dict, description="values to try, by section.key; an empty list drops a setting"
    )


Method = Literal[
    "corrected",
    "pretrained",
    "continued",
    "without_constraints",
    "supervised",
    "grounded_sentence",
    "corrected_choice",
    "pretrained_choice",
]


class FindingDataset(Section):
    """What docs/results.md tells of one dataset."""

    splits: tuple[FolderName, ...] = Field(default=("val",), min_length=1, description="splits with a table each")
    seeds: tuple[Seed, ...] = Field(default=(0, 1, 2), min_length=1, description="seeds of the trainings")
    methods: tuple[Method, ...] = Field(
        default=get_args(Method), description="methods in the tables besides the choices among candidates"
    )


class FindingSettings(Section):
    """What docs/results.md and, of all datasets but the first, docs/results_{dataset}.md tell (``snakemake
    results_page``). Pictures are of the first split and seed."""

    name: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9]{0,100}$",
        description="what a preset's pages are called: docs/results_{name}.md",
    )
    datasets: dict[str, FindingDataset] = Field(
        default={"refcoco": FindingDataset()}, min_length=1, description="datasets by name; null drops one"
    )
    beyond: tuple[str, ...] = Field(
        default=(),
        description="settings of ablations.grid that the page of ablations.dataset has a table of, with their gain",
    )

    @field_validator("datasets", mode="before")
    @classmethod
    def _null_drops(cls, datasets: Any) -> Any:
        return {name: told for name, told in datasets.items() if told} if isinstance(datasets, dict) else datasets


class ReportSettings(Section):
    """What results/report/index.html asks for. It shows every other evaluation that it finds, too."""

    datasets: tuple[str, ...] = Field(default=("refcoco",), min_length=1, description="datasets to evaluate")
    splits: tuple[FolderName, ...] = Field(default=("val",), min_length=1, description="splits to evaluate")
    methods: tuple[Method, ...] = Field(
        default=("corrected", "pretrained", "grounded_sentence"),
        description="methods to evaluate besides the choices among candidates; what is not trained yet is trained",
    )
