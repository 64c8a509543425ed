"""What all sections share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ssc_core.sections.paths import NameOrPath, tidy_if_path

Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A config section: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Backend(Section):
    """A model behind the plug-in contract of ``ssc_core.backends``."""

    name: NameOrPath = Field(description="registered name, package.module:Class, or path/to/file.py:Class")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="keyword arguments of the class; null drops a key"
    )

    @field_validator("settings")
    @classmethod
    def _null_drops(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """A preset is merged over config.yaml, so a key of another backend can only be taken back by a null."""
        return {key: tidy_if_path(value) for key, value in settings.items() if value is not None}


def is_path_safe(name: str) -> bool:
    """Whether a name can be a folder of results."""
    return bool(name) and all(c.isalnum() or c in "_+-" for c in name)
