"""Ablations: the config with one value changed at a time, and which results two such variants share.

Imports nothing heavy: the Snakefile uses it.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from ssc_core.config_mistakes import mistakes
from ssc_core.errors import SscError
from ssc_core.settings import Settings

BASE = "config"
"""The row without a change."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What the files of a stage depend on besides code and data: config sections, compat switches, the stage before."""

    sections: tuple[str, ...] = ()
    compat: tuple[str, ...] = ()
    after: str | None = None


STAGES = {
    "truth": Stage(compat=("gt_overlap_hole",)),
    "nouns": Stage(("nouns",)),
    "boxes": Stage(("detect",), ("detector_retry_plural", "query_order", "unclipped_boxes"), after="nouns"),
    "masks": Stage(("segment",), ("candidates_any_noun",), after="boxes"),
    "scores": Stage(("score",), ("clip_bgr", "merged_masks"), after="masks"),
    "selected": Stage(("select",), ("merged_masks", "blind_to_size"), after="scores"),
    "pretrain": Stage(
        ("network", "pretrain"),
        ("lr_by_loader_length", "drop_first_batch", "loader_images", "palette_targets", "merged_masks"),
        after="selected",
    ),
    "correct": Stage(("correct",), ("matching_double_count",), after="pretrain"),
}
"""By the name of what they write. Metrics are measured for every row anew, so ``evaluate`` is none of them."""


@dataclass(frozen=True)
class Variant:
    """The config with ``setting`` at ``value`` (both BASE in the row without a change); trained: a network too."""

    setting: str
    value: str
    seed: int
    settings: Settings
    trained: bool

    def key(self, stage: str) -> str:
        """Equal for two variants exactly when they share a stage's files, e.g. ``scores-0f3a91c2``."""
        return f"{stage}-{_digest(self.settings, stage)}"

    @property
    def run(self) -> str:
        """The folder of its trainings, as the wildcard ``run`` has it: ``seed7/``, empty for the config's own seeds."""
        return run_folder(self.settings, self.seed)


class Ablations:
    """All variants of a config's ``ablations``.

    Raises SscError for a setting that does not exist or a value that it cannot have.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.base = Variant(BASE, BASE, settings.ablations.seeds[0], settings, trained=False)

    @cached_property
    def variants(self) -> list[Variant]:
        """Rows of the table, the unchanged config first. Where a seed changes nothing, there is one row."""
        grid = self.settings.ablations.grid
        changes = [(setting, value) for setting, values in grid.items() for value in values]
        trains = any(_trains(self.settings, setting) for setting, values in grid.items() if values)
        found = self._seeded(BASE, BASE, self.settings, trained=trains or self.settings.ablations.train)
        for setting, value in changes:
            changed = change(self.settings, setting, value)
            if changed != self.settings:
                found += self._seeded(setting, label(value), changed, trained=_trains(self.settings, setting))
        return found

    def variant(self, setting: str, value: str, seed: int) -> Variant:
        """The row of a path. Raises SscError when the config does not have it."""
        for variant in self.variants:
            if (variant.setting, variant.value, variant.seed) == (setting, value, seed):
                return variant
        raise SscError(f"the config's ablations have no {setting} = {value} with seed {seed}")

    @cached_property
    def by_key(self) -> dict[str, Variant]:
        """A variant for every key of a stage that differs from the config's own."""
        keys = [(variant.key(stage), stage, variant) for variant in self.variants for stage in STAGES]
        return {key: variant for key, stage, variant in keys if key != self.base.key(stage)}

    def folder(self, variant: Variant, stage: str) -> str:
        """Root of a stage's files of a variant: the results folder itself where nothing differs."""
        key = variant.key(stage)
        root = self.settings.results
        return f"{root}/ablations/stages/{key}" if key in self.by_key else root

    def _seeded(self, setting: str, value: str, settings: Settings, *, trained: bool) -> list[Variant]:
        seeds = self.settings.ablations.seeds
        random = settings.select.choice == "random"
        if not (trained or random):
            return [Variant(setting, value, seeds[0], settings, trained)]
        return [
            Variant(setting, value, seed, change(settings, "select.seed", seed) if random else settings, trained)
            for seed in seeds
        ]


def run_folder(settings: Settings, seed: int) -> str:
    """The folder of trainings with a seed below a dataset's: "" where the config's sections have it themselves."""
    return "" if {settings.pretrain.seed, settings.correct.seed} == {seed} else f"seed{seed}/"


def change(settings: Settings, setting: str, value: Any) -> Settings:
    """The settings with one value changed. setting: dotted, such as ``select.choice``. Raises SscError."""
    values = settings.model_dump(mode="json")
    *parents, last = setting.split(".")
    section: Any = values
    for name in parents:
        section = section.get(name)
        if not isinstance(section, dict):
            raise SscError(f"ablations.grid: the config has no '{setting}'; write section.key, e.g. select.choice")
    section[last] = value
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        lines = "; ".join(mistakes(error.errors(), values, Settings))
        raise SscError(f"ablations.grid: {setting} cannot be {json.dumps(value)}: {lines}") from error


def label(value: Any) -> str:
    """A value as part of a path: ``red_ellipse``, ``true``, ``reverse_blur-crop``."""
    return re.sub(r"[^\w.+]+", "-", json.dumps(value)).strip("-") or "empty"


def _trains(settings: Settings, setting: str) -> bool:
    """Whether a change of a setting is seen in the trained network only, or shall be seen there too."""
    section, _, name = setting.partition(".")
    stages = (STAGES["pretrain"], STAGES["correct"])
    in_training = any(section in stage.sections or (section == "compat" and name in stage.compat) for stage in stages)
    return in_training or settings.ablations.train


def _digest(settings: Settings, stage: str) -> str:
    text = json.dumps(_depends_on(settings, stage), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _depends_on(settings: Settings, stage: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    name: str | None = stage
    while name is not None:
        for section in STAGES[name].sections:
            found[section] = getattr(settings, section).model_dump(mode="json")
        found |= {f"compat.{switch}": getattr(settings.compat, switch) for switch in STAGES[name].compat}
        name = STAGES[name].after
    # a checkpoint that is kept by its validation depends on the truth
    if "best" in {found[phase]["keep"] for phase in ("pretrain", "correct") if phase in found}:
        found |= _depends_on(settings, "truth")
    return found
