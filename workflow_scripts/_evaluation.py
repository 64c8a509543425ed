"""What all evaluations are given, and what they say of their origin."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssc_core.config.labelling import EvaluateSettings
from ssc_core.config.toys import ON_PHOTOS, toys_behind
from ssc_core.files import read_json
from ssc_core.provenance import file_sha256, versions
from ssc_core.refer.truth import TruthStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A split to be measured, and the eval file to be written. refs: refs.parquet; truth: truth.h5; data: data.json;
    chain: all of the config that led to it, as JSON (``Variants.led_to``); code: digest of the rule's."""

    refs: Path
    truth: Path
    data: Path
    split: str
    settings: EvaluateSettings
    chain: str
    code: str
    report: Path

    @property
    def led_to(self) -> dict[str, Any]:
        """``chain``, by section and ``compat.switch``."""
        found: dict[str, Any] = json.loads(self.chain)
        return found

    @property
    def common(self) -> dict[str, Any]:
        """Arguments of all functions that evaluate."""
        return {
            "split": self.split,
            "truth": TruthStore(self.truth),
            "out": self.report,
            "settings": self.settings,
        }

    def meta(
        self,
        *,
        method: str,
        model: dict[str, str],
        settings: dict[str, Any],
        made_from: dict[str, Path] | None = None,
        code: str = "",
        **more: Any,
    ) -> dict[str, Any]:
        """What every eval JSON says of its origin, as ``ssc_core.evaluate.schema.RunMeta`` has it.

        settings: besides ``chain``; made_from: files besides refs and truth; code: digests of what made these.
        """
        settings = {**settings, **self.led_to}
        stamp = read_json(self.data)
        toys = stamp["world"] == "files" and toys_behind(settings)
        files = {"refs": self.refs, "truth": self.truth, **(made_from or {})}
        return {
            "dataset": stamp["dataset"],
            "world": ON_PHOTOS if toys else stamp["world"],
            "method": method,
            "model": model,
            "settings": settings,
            "code": f"{self.code} {code}".rstrip(),
            "data": {name: file_sha256(path) for name, path in files.items()},
            "versions": versions(),
            **more,
        }
