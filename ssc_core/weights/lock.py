"""The lock file: which bytes were got, so that a later download gets the same ones or says so.

Kept by the user, best in version control. It never holds a hash that was not computed from a file here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ssc_core.errors import SscError
from ssc_core.files import read_json, write_json
from ssc_core.locks import only_process

_VERSION = 1


class Pin(BaseModel):
    """One file as it was first seen here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size: int = Field(ge=0)
    source: str = Field(description="address or folder that it came from, or 'found in place'")
    recorded: str = Field(description="time, UTC")


class LockFile:
    """Pins by path. Several processes may add to it at once."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def pins(self) -> dict[str, Pin]:
        """All pins. Raises SscError when the file is damaged."""
        if not self.path.is_file():
            return {}
        content = read_json(self.path)
        try:
            if content["version"] != _VERSION:
                raise SscError(
                    f"{self.path} has version {content['version']}, this program reads {_VERSION}: update ssc"
                )
            return {path: Pin.model_validate(pin) for path, pin in content["files"].items()}
        except (ValidationError, LookupError, TypeError, AttributeError) as error:
            raise SscError(f"{self.path} is no lock file, or damaged; restore it from version control") from error

    def get(self, path: str) -> Pin | None:
        """The pin of a file."""
        return self.pins().get(path)

    def add(self, path: str, *, sha256: str, size: int, source: str, replace: bool = False) -> None:
        """Pin a file. Raises SscError when it is pinned to other bytes already, unless they are replaced."""
        with only_process(self.path.with_name(self.path.name + ".adding"), wait=True):
            pins = self.pins()
            pinned = None if replace else pins.get(path)
            if pinned is not None and pinned.sha256 != sha256:
                raise SscError(
                    f"{path} is pinned to other bytes in {self.path}; remove its entry there to accept the new"
                )
            if pinned is None:
                now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                pins[path] = Pin(sha256=sha256, size=size, source=source, recorded=now)
                files: dict[str, Any] = {name: pins[name].model_dump() for name in sorted(pins)}
                write_json(self.path, {"version": _VERSION, "files": files})
