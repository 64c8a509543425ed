"""Puts the workflow into the wheel. An editable install has none of its own: it uses the checkout's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CarryWorkflow(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "standard":
            root = Path(self.root)
            found = [path for pattern in self.config["carries"] for path in root.glob(pattern)]
            into = {str(path): f"ssc_core/_workflow/{path.relative_to(root)}" for path in found}
            build_data["force_include"].update(into)
