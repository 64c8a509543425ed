"""A file that is published: where it comes from, where it goes, and how it is known to be the right one."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from ssc_core.config.base import Section

ZIP = (".zip", ".whl")
TAR = (".tar",)
TAR_GZ = (".tar.gz", ".tgz")
"""What the names of archives end in that can be unpacked, in lower case."""


def _inside_project(text: str) -> str:
    path = PurePosixPath(text)
    if not text or path.is_absolute() or ".." in path.parts or "\\" in text:
        raise ValueError("must be a path inside the project folder, relative to it")
    return path.as_posix()


ProjectPath = Annotated[str, AfterValidator(_inside_project)]
"""POSIX path relative to the folder that the workflow runs in."""


def _folder_in_archive(text: str) -> str:
    path = PurePosixPath(text.strip("/"))
    if ".." in path.parts or "\\" in text:
        raise ValueError("must be a folder in the archive")
    return "/".join(path.parts)


class Unpack(Section):
    """What becomes of an archive. The archive itself is deleted afterwards."""

    to: ProjectPath = Field(description="folder to unpack into")
    strip: Annotated[str, AfterValidator(_folder_in_archive)] = Field(
        default="", description="folder in the archive: only what lies in it is unpacked, without it"
    )
    holds: tuple[ProjectPath, ...] = Field(min_length=1, description="files, relative to `to`, that must be there then")
    most_bytes: int = Field(default=4 * 2**30, ge=1, description="refuse archives that unpack to more, bytes")


class PublishedFile(Section):
    """One file, where it goes, where it comes from, and how it is known to be the right one."""

    path: ProjectPath = Field(description="where the file (or the archive, until it is unpacked) is put")
    urls: tuple[Annotated[str, Field(pattern=r"^https?://[!-~]+$")], ...] = Field(
        default=(),
        description="http(s) addresses, a blank as %20, tried in order; none: the file is yours to put in place",
    )
    size: int | None = Field(default=None, ge=1, description="bytes; null: not known")
    about: int | None = Field(
        default=None,
        ge=1,
        description="bytes, to tell people, where `size` is not known: the network's weights, 4 each",
    )
    sha256: str | None = Field(
        default=None, pattern="^[0-9a-f]{64}$", description="null: recorded in the lock file at the first download"
    )
    md5: str | None = Field(
        default=None, pattern="^[0-9a-f]{32}$", description="checked besides, where it is all that was published"
    )
    licence: str = Field(default="", description="under what terms the file is published")
    access: str = Field(default="", description="how to get a file that is not given out to everybody")
    unpack: Unpack | None = Field(default=None, description="for a .zip, .whl, .tar or .tar.gz; null: left as it is")

    @field_validator("unpack")
    @classmethod
    def _is_an_archive(cls, unpack: Unpack | None, about: ValidationInfo) -> Unpack | None:
        path = about.data.get("path")
        if unpack is not None and path is not None and not path.casefold().endswith((*ZIP, *TAR, *TAR_GZ)):
            raise ValueError(f"{path} cannot be unpacked, only {', '.join((*ZIP, *TAR, *TAR_GZ))} can")
        return unpack

    @property
    def product(self) -> str:
        """The file that is there when all is done: itself, or the note that an archive was unpacked."""
        return self.path if self.unpack is None else f"{self.path}.unpacked.json"

    @property
    def results(self) -> tuple[str, ...]:
        """Files that the pipeline reads."""
        if self.unpack is None:
            return (self.path,)
        return tuple(f"{self.unpack.to}/{name}" for name in self.unpack.holds)
