"""What a dataset of the config is: its source, its files, and the check that results were built from it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ssc_core.config.data import MicroSource
from ssc_core.config.settings import Settings
from ssc_core.config.sources import DatasetSource
from ssc_core.config.world import WORLD_EDITIONS, of_dataset
from ssc_core.errors import SscError
from ssc_core.files import read_json
from ssc_core.registry import LAYOUT, own_versions

PLACES = ("root", "file", "images", "instances")
"""Keys of a source that say where its data lie."""


def dataset_folder(settings: Settings, name: str) -> Path:
    """Folder of everything made for a dataset."""
    return Path(settings.results) / name


def dataset_source(settings: Settings, name: str) -> DatasetSource:
    """The source to read; the micro world is read as what it is written as, the REFER layout."""
    source = settings.datasets[name].source
    if isinstance(source, MicroSource):
        root = dataset_folder(settings, name) / "world"
        return DatasetSource(layout="refer", root=root, name=source.name, split_by=source.split_by)
    return source


def source_files(settings: Settings, name: str) -> list[str]:
    """Files that index_refs depends on."""
    if isinstance(settings.datasets[name].source, MicroSource):
        return [str(dataset_folder(settings, name) / "world" / "world.json")]
    return [str(path) for path in dataset_source(settings, name).annotation_files]


def reviews_file(settings: Settings, name: str) -> Path:
    """What people decided of a dataset's refs: reviews.csv, which need not be there."""
    return Path(settings.datasets[name].reviews or dataset_folder(settings, name) / "reviews.csv")


def absent_reviews(settings: Settings) -> list[str]:
    """What to tell people of files of decisions that the config names and that are not there: it may be misspelt."""
    named = {name: dataset.reviews for name, dataset in settings.datasets.items() if dataset.reviews}
    return [
        f"note: datasets.{name}.reviews is {path}, which is not there: nothing is decided of {name}"
        for name, path in named.items()
        if not Path(path).is_file()
    ]


def reader_version(settings: Settings, name: str) -> str:
    """Digest of the code of a dataset's own reader; that of the registered layouts is part of the stage's code."""
    return own_versions(LAYOUT, settings.datasets[name].source.layout)


def check_annotations(settings: Settings, name: str, fetch: str) -> None:
    """Raise SscError when annotations are missing that are needed and that no rule makes. fetch: what gets them."""
    source = settings.datasets[name].source
    missing = [path for path in source_files(settings, name) if not Path(path).is_file()]
    if isinstance(source, MicroSource) or not missing or (dataset_folder(settings, name) / "refs.parquet").exists():
        return
    published = f"`{fetch}` gets what is published. " if source.layout == "refer" else ""
    raise SscError(
        f"dataset '{name}': {' and '.join(missing)} not found. {published}Data that lie elsewhere are named in "
        f"`datasets.{name}.source`; `datasets: {{{name}: null}}` drops the dataset"
    )


def dataset_world(settings: Settings, name: str) -> str:
    """``micro`` for generated data, ``files`` for anything else."""
    return "micro" if isinstance(settings.datasets[name].source, MicroSource) else "files"


def micro_name(settings: Settings, name: str) -> str:
    """What the micro world calls a dataset of the config: refcoco, refcoco+, refcocog_umd or refcocog_google."""
    source = _micro_source(settings, name)
    return source.name if source.split_by == "unc" else f"{source.name}_{source.split_by}"


def _micro_source(settings: Settings, name: str) -> MicroSource:
    source = settings.datasets[name].source
    assert isinstance(source, MicroSource), f"{name} is no dataset of the micro world"
    return source


def micro_settings(settings: Settings, name: str) -> dict[str, Any]:
    """The settings of the micro world that a dataset of it depends on, JSON values."""
    return of_dataset(settings.micro.model_dump(mode="json"), _micro_source(settings, name).name)


def dataset_identity(settings: Settings, name: str) -> str:
    """Which data the config names, as canonical JSON: results of one identity are never mixed with another's."""
    source = settings.datasets[name].source
    identity: dict[str, Any] = {"world": dataset_world(settings, name), "source": source.model_dump(mode="json")}
    if isinstance(source, MicroSource):
        identity |= {"micro": micro_settings(settings, name), "edition": WORLD_EDITIONS[source.name]}
    return json.dumps(identity, sort_keys=True)


def _built(stamp: Path) -> dict[str, Any]:
    """The identity in a data.json; earlier ones have the whole world. Raises SscError where there is none."""
    try:
        identity: dict[str, Any] = json.loads(read_json(stamp)["identity"])
        if "micro" in identity:
            identity["micro"] = of_dataset(identity["micro"], identity["source"]["name"])
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise SscError(f"{stamp} does not say which data it is of; delete it and run the same command again") from error
    return identity


def spelled_as_built(source: dict[str, Any], stamp: Path) -> dict[str, Any]:
    """A source whose places are written as those that results were built from (``stamp``, a data.json that need not be
    there), where these are the same files or folders: by another path nothing is another, yet rules would run again."""
    built = _built(stamp).get("source", {}) if stamp.exists() else {}
    same = {key: built[key] for key in PLACES if _same_place(built.get(key), source.get(key))}
    return source | same


def _same_place(one: object, other: object) -> bool:
    with suppress(OSError, ValueError):
        return isinstance(one, str) and isinstance(other, str) and Path(one).samefile(other)
    return False


def check_world(
    settings: Settings, local_copy: Callable[[Path], Path | None] = Path, ways_out: Sequence[str] | None = None
) -> None:
    """Stop when a results folder was built from other data than the config names now.

    local_copy: where a result can be read, None if it is not made, for results that are not on a drive. ways_out: what
    can be done, where the config is not the user's to change.

    Raises SscError that names the dataset, the keys that differ, and the ways out.
    """
    for name in settings.datasets:
        original = dataset_folder(settings, name) / "data.json"
        stamp = local_copy(original)
        if stamp is None or not stamp.exists():
            continue
        built = _built(stamp)
        wanted = json.loads(dataset_identity(settings, name))
        differing, stored = _differing_keys(built, wanted), "" if stamp == original else ", and in the storage"
        if differing:
            ways = ways_out or (
                *_if_moved(built.get("source", {}), wanted["source"], differing),
                "keep both: put `results: another_folder` into the config (or `--config results=another_folder`)",
                f"start over: rm -r {dataset_folder(settings, name)}{stored}{_but_reviews(settings, name)}",
            )
            raise SscError(
                f"{dataset_folder(settings, name)} was built from other data than the config names now.\n"
                + "".join(f"  {line}\n" for line in differing)
                + "\n  ".join(("Ways out:", *ways))
            )


def _if_moved(built: dict[str, Any], wanted: dict[str, Any], differing: list[str]) -> list[str]:
    """A way out where paths alone differ: their data may be the same, which would be made into the same results."""
    places = [line.partition(":")[0].removeprefix("source.") for line in differing]
    if not set(places) <= set(PLACES) or not all(built.get(place) for place in places):
        return []
    if all(_same_place(built[place], wanted.get(place)) for place in places):
        return ["these are the same files: write their paths as the results were built with"]
    links = " && ".join(f"ln -s NEW_PLACE {shlex.quote(built[place])}" for place in places)
    return [f"the same data were moved: {links}, and leave the config as it was"]


def _but_reviews(settings: Settings, name: str) -> str:
    """What people decided lies among the results that are to be removed, unless the config names another place."""
    reviews = reviews_file(settings, name)
    if not reviews.is_file() or not reviews.is_relative_to(dataset_folder(settings, name)):
        return ""
    return (
        f", but first move {reviews} elsewhere: people's decisions, which nothing makes again "
        f"(`datasets.{name}.reviews` names their place)"
    )


def _differing_keys(built: dict, wanted: dict, prefix: str = "") -> list[str]:
    lines = []
    for key in sorted(built.keys() | wanted.keys()):
        old, new = built.get(key), wanted.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            lines += _differing_keys(old, new, f"{prefix}{key}.")
        elif old != new:
            lines.append(f"{prefix}{key}: built with {json.dumps(old)}, the config says {json.dumps(new)}")
    return lines
