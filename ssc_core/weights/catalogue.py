"""Which files are published, and which of them a config needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ssc_core.errors import SscError
from ssc_core.sections.stages import NLTK_TAGGER

if TYPE_CHECKING:
    from ssc_core.settings import Settings

SOURCES_FILE = Path(__file__).with_name("sources.yaml")


def _inside_project(text: str) -> str:
    path = PurePosixPath(text)
    if not text or path.is_absolute() or ".." in path.parts or "\\" in text:
        raise ValueError("must be a path inside the project folder, relative to it")
    return path.as_posix()


ProjectPath = Annotated[str, AfterValidator(_inside_project)]
"""POSIX path relative to the folder that the workflow runs in."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Unpack(_Model):
    """What becomes of an archive. The archive itself is deleted afterwards."""

    to: ProjectPath = Field(description="folder to unpack into")
    strip: str = Field(default="", description="folder in the archive: only what lies in it is unpacked, without it")
    holds: tuple[ProjectPath, ...] = Field(min_length=1, description="files, relative to `to`, that must be there then")
    most_bytes: int = Field(default=4 * 2**30, ge=1, description="refuse archives that unpack to more, bytes")


class PublishedFile(_Model):
    """One file, where it goes, where it comes from, and how it is known to be the right one."""

    path: ProjectPath = Field(description="where the file (or the archive, until it is unpacked) is put")
    urls: tuple[Annotated[str, Field(pattern=r"^https?://")], ...] = Field(
        default=(), description="http(s) addresses, tried in order; none: the file is yours to put in place"
    )
    size: int | None = Field(default=None, ge=1, description="bytes; null: not known")
    sha256: str | None = Field(
        default=None, pattern="^[0-9a-f]{64}$", description="null: recorded in the lock file at the first download"
    )
    md5: str | None = Field(
        default=None, pattern="^[0-9a-f]{32}$", description="checked besides, where it is all that was published"
    )
    licence: str = Field(default="", description="under what terms the file is published")
    unpack: Unpack | None = Field(default=None, description="for a .zip, .whl, .tar or .tar.gz; null: left as it is")

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


@cache
def published_files() -> Mapping[str, PublishedFile]:
    """The packaged ``sources.yaml``, by name."""
    raw = yaml.safe_load(SOURCES_FILE.read_text(encoding="utf-8"))
    return {name: PublishedFile.model_validate(entry) for name, entry in raw.items()}


def all_files(settings: Settings) -> dict[str, PublishedFile]:
    """The packaged files and those of the config's ``sources.files``, by name. Raises SscError for a shared path."""
    files = {**published_files(), **settings.sources.files}
    owner: dict[str, str] = {}
    for name, file in files.items():
        other = owner.setdefault(file.path, name)
        if other != name:
            raise SscError(f"sources.files: '{name}' and '{other}' both go to {file.path}; give one another path")
    return files


def pick(files: Mapping[str, PublishedFile], names: Sequence[str]) -> dict[str, PublishedFile]:
    """Files by name, by path, or by a folder of theirs. Raises SscError for a name that fits none."""
    picked: dict[str, PublishedFile] = {}
    for wanted in names:
        found = {
            name: file for name, file in files.items() if wanted == name or _touches(wanted, (file.path, *file.results))
        }
        if not found:
            raise SscError(f"no published file is called '{wanted}'; known are {', '.join(files)}")
        picked.update(found)
    return picked


def needed_by(settings: Settings) -> dict[str, PublishedFile]:
    """The files that a config names: as weights, as a folder of weights, as a spaCy pipeline, or as a dataset."""
    named = set(_strings(settings.model_dump(mode="json", exclude={"sources", "micro", "results", "datasets"})))
    if settings.nouns.extractor == "nltk" or "en_core_web_md" in PurePosixPath(settings.nouns.spacy_model).parts:
        named.add(NLTK_TAGGER)  # the published nouns: spaCy's first, then NLTK's
    for dataset in settings.datasets.values():
        if dataset.source.layout == "refer":
            named.update(path.as_posix() for path in dataset.source.annotation_files)
            named.add(dataset.source.images_folder.as_posix())
    return {
        name: file
        for name, file in all_files(settings).items()
        if name == settings.nouns.spacy_model or any(_touches(text, file.results) for text in named)
    }


def _touches(text: str, paths: Sequence[str]) -> bool:
    """Whether ``text`` is one of ``paths``, or a folder of one. A top folder alone (weights, data) names nothing."""
    wanted = PurePosixPath(text)
    return any(
        wanted == path or (len(wanted.parts) > 1 and wanted in path.parents) for path in map(PurePosixPath, paths)
    )


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)
