"""The page of a published dataset, written from its Parquet files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ssc_core.errors import SscError
from ssc_core.exchange.hugging_face import MADE_BY
from ssc_core.report.pages import render

MOST_CLASSES = 30
"""Classes that the page names; of more, the most frequent."""

_COUNTED = [f"objects.list.element.{name}" for name in ("category", "ref_ids", "sentences")]


@dataclass(slots=True)
class Split:
    """A file's counts. toys: whether small models of the micro world had a part; reviewed: refs whose mask a person
    chose; files: settings and models that made it, by name.
    """

    name: str
    photos: int = 0
    masks: int = 0
    sentences: int = 0
    refs: set[int] = field(default_factory=set)
    classes: Counter[str] = field(default_factory=Counter)
    version: str = ""
    toys: bool = False
    reviewed: int = 0
    files: Mapping[str, Any] = field(default_factory=dict)


def dataset_card(folder: Path, repository: str, licence: str | None = None) -> str:
    """Markdown with counts, settings and models of a folder of ``ssc export --to hf``, which may hold several splits.

    Raises SscError for Parquet files that are none of ours.
    """
    splits = [_split(path) for path in sorted(folder.rglob("*.parquet"))]
    classes = sum((one.classes for one in splits), Counter())
    return render(
        "dataset_card.md",
        title=repository.rpartition("/")[2],
        repository=repository,
        licence=licence,
        splits=splits,
        classes=classes.most_common(MOST_CLASSES),
        more_classes=max(0, len(classes) - MOST_CLASSES),
        chosen=any(one.sentences for one in splits),
        makers=list(_makers(splits)),
        toys=any(one.toys for one in splits),
    )


def _split(path: Path) -> Split:
    found = Split(path.name.partition("-")[0])
    try:
        with pq.ParquetFile(path) as file:
            made_by = json.loads((file.schema_arrow.metadata or {})[MADE_BY])
            found.version, found.toys = str(made_by["version"]), bool(made_by["toys"])
            found.reviewed = int(made_by["reviewed"])
            found.files = {
                str(name): {"settings": content["settings"], "models": dict(content["models"])}
                for name, content in made_by["files"].items()
            }
            for batch in file.iter_batches(columns=_COUNTED):
                for row in batch.column("objects").to_pylist():
                    _count(found, row)
    except (KeyError, TypeError, ValueError, AttributeError, pa.ArrowException) as error:
        raise SscError(
            f"{path} was not written by this version's `ssc export --to hf`, so there is no page for it: export again, "
            "or write a README.md into the folder"
        ) from error
    return found


def _count(split: Split, objects: Sequence[Mapping[str, Any]]) -> None:
    """Add a photo."""
    split.photos += 1
    split.masks += len(objects)
    for one in objects:
        split.classes[one["category"]] += 1
        split.refs.update(one["ref_ids"])
        split.sentences += len(one["sentences"])


def _makers(splits: Sequence[Split]) -> Iterator[tuple[str, str, str, list[tuple[str, str]]]]:
    """What made each file, once where splits were made alike: its name, splits, settings (JSON) and models."""
    made: dict[tuple[str, str], list[Split]] = {}
    for split in splits:
        for name, content in split.files.items():
            made.setdefault((name, json.dumps(content, sort_keys=True)), []).append(split)
    for (name, text), of in made.items():
        content = json.loads(text)
        settings = json.dumps(content["settings"], indent=2, sort_keys=True, ensure_ascii=False)
        yield name, ", ".join(one.name for one in of), settings, sorted(content["models"].items())
