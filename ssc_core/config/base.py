"""What all sections share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from ssc_core.config.paths import NameOrPath, tidy_if_path
from ssc_core.errors import SscError
from ssc_core.registry import Kind

Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""NumPy's legacy generators take 32 bits."""


def folder_name(name: str) -> str:
    """``name``, of a dataset or a split. Raises ValueError where no folder is called so."""
    safe = 0 < len(name) <= 100 and name[0] != "-" and all(c.isalnum() or c in "_+-" for c in name)
    if not safe:
        raise ValueError("use letters, digits, '_', '+' and '-' only, it becomes a folder")
    return name


def _scorer_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) or len(name) > 40:
        raise ValueError("use letters, digits and '_' only, a letter first: it becomes a part of a file's name")
    return name


ScorerName = Annotated[str, AfterValidator(_scorer_name)]
"""A name that becomes a part of a file's name, as scores_NAME.h5."""

FolderName = Annotated[str, AfterValidator(folder_name)]
"""A name that becomes a folder of results, or a part of a file's name."""


def named(kind: Kind) -> AfterValidator:
    """Of a key that names a plug-in: a registered name, ``module:name`` or ``file.py:name``."""

    def known(name: str) -> str:
        try:
            return kind.check(name)
        except SscError as error:
            raise ValueError(str(error)) from error

    return AfterValidator(known)


def name_schema(kind: Kind) -> WithJsonSchema:
    """For editors: the registered names, to choose from, and the form of others."""
    return WithJsonSchema({"anyOf": [{"enum": list(kind.registered)}, {"type": "string", "pattern": r"^.+:\w+$"}]})


class Section(BaseModel):
    """A config section: immutable; an unknown key is an error, and so is true or false for a number."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """pydantic takes them for 1 and 0: ``nms_iou: off`` would leave no two boxes that touch."""
        types = _types(cls, str(info.field_name))
        if {int, float} & types and bool not in types and _has_truth(value):
            none = ", or null for none" if type(None) in types else ""
            raise ValueError(f"takes numbers{none}: true and false (on, off, yes, no) are no numbers")
        return value


@cache
def _types(section: type[Section], field: str) -> frozenset[Any]:
    return frozenset(_leaves(section.model_fields[field].annotation))


def _leaves(annotation: Any) -> set[Any]:
    """The types that an annotation is made of."""
    inner = get_args(annotation)
    return set().union(*map(_leaves, inner)) if inner else {annotation} if isinstance(annotation, type) else set()


def _has_truth(value: Any) -> bool:
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return isinstance(value, bool) or any(map(_has_truth, inner))


class Backend(Section):
    """A model behind the plug-in contract of ``ssc_core.backends``."""

    name: NameOrPath = Field(description="registered name, package.module:Class, or path/to/file.py:Class")
    settings: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="keyword arguments of the class; null drops a key. Another name starts from empty settings",
    )

    @field_validator("settings")
    @classmethod
    def _null_drops(cls, settings: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """A file is merged over config.yaml, so a key can only be taken back by a null."""
        return {key: tidy_if_path(value) for key, value in settings.items() if value is not None}
