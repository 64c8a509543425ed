"""Which files are published, and which of them a config needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import yaml

from ssc_core.config.labelling import NLTK_TAGGER
from ssc_core.config.published_file import PublishedFile
from ssc_core.errors import SscError

if TYPE_CHECKING:
    from ssc_core.config.settings import Settings
from ssc_core.config.sources import DatasetSource

SOURCES_FILE = Path(__file__).with_name("sources.yaml")


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
    return _needed(settings, {"sources", "micro", "results", "datasets"})


def needed_for_labels(settings: Settings) -> dict[str, PublishedFile]:
    """The same without what trainings need."""
    return _needed(settings, set(type(settings).model_fields) - {"nouns", "detect", "segment", "score", "scorers"})


def _needed(settings: Settings, without: set[str]) -> dict[str, PublishedFile]:
    named = set(_strings(settings.model_dump(mode="json", exclude=without)))
    if settings.nouns.extractor == "nltk" or _touches(settings.nouns.spacy_model, _published_pipeline().results):
        named.add(NLTK_TAGGER)  # the published nouns: spaCy's first, then NLTK's
    for dataset in settings.datasets.values():
        if isinstance(dataset.source, DatasetSource) and dataset.source.layout == "refer":
            named.update(path.as_posix() for path in dataset.source.annotation_files)
            named.add(dataset.source.images_folder.as_posix())
    return {
        name: file
        for name, file in all_files(settings).items()
        if _to_install(name, settings) or any(_touches(text, file.results) for text in named)
    }


def _to_install(name: str, settings: Settings) -> bool:
    """Whether a file is the spaCy pipeline that a config has by its package's name, and that is not installed."""
    return name == settings.nouns.spacy_model and find_spec(name) is None


def _published_pipeline() -> PublishedFile:
    """That of the published method. Any other, a copy of it elsewhere too, does without NLTK where it is not there."""
    return published_files()["en_core_web_md"]


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
