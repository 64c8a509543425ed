"""What is compared with what: nothing here changes the main job."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, JsonValue, field_validator

from ssc_core.config.base import FolderName, Section, Seed
from ssc_core.config.methods import EVALUATED

BASE = "config"
"""The variant without a change."""

_METHODS = [name for name in EVALUATED if name != "masks"]


def _known_method(name: str) -> str:
    if name not in _METHODS:
        raise ValueError(f"no method '{name}'; there are {', '.join(_METHODS)}")
    return name


MethodName = Annotated[str, AfterValidator(_known_method), Field(json_schema_extra={"enum": list(_METHODS)})]


class Study(Section):
    """Variants x seeds x datasets x splits x methods, measured alike and put into one table.

    Choices among candidates (``masks``) are always measured.
    """

    datasets: dict[FolderName, Annotated[tuple[FolderName, ...], Field(min_length=1)]] = Field(
        description="splits by dataset; null drops one", min_length=1
    )
    methods: tuple[MethodName, ...] = Field(default=(), description="methods besides the choices among candidates")
    seeds: tuple[Seed, ...] = Field(
        default=(), description="seeds of trainings and random choices; none: those that the config states"
    )
    variants: dict[str, dict[str, JsonValue]] = Field(
        default_factory=dict, description="by name, what is changed together: values by section.key; null drops one"
    )
    grid: dict[str, tuple[JsonValue, ...]] = Field(
        default_factory=dict, description="values to try one at a time, by section.key; an empty list drops one"
    )
    train: bool = Field(
        default=False, description="networks for every variant, and not only where training itself differs"
    )
    beyond: tuple[str, ...] = Field(
        default=(), description="of a page of results: keys of the study ablations' grid whose gain it tells"
    )

    note: str = Field(default="", description="of a page of results: a sentence for its head")

    @field_validator("datasets", "variants", mode="before")
    @classmethod
    def _null_drops(cls, named: Any) -> Any:
        return {k: v for k, v in named.items() if v is not None} if isinstance(named, dict) else named

    @field_validator("variants")
    @classmethod
    def _names_are_free(cls, variants: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name in variants:
            if name in ("random", "first", "selected", "best", "config"):
                raise ValueError(f"'{name}' is a line of the table already; choose another name")
        return variants
