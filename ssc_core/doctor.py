"""What this machine has, what the config needs of it, and what will therefore work. Changes nothing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ssc_core.checkout import DISTRIBUTION, HOME, INSTALLED
from ssc_core.config.data import MicroSource
from ssc_core.config.datasets import check_world, dataset_folder, dataset_source
from ssc_core.config.published_file import PublishedFile
from ssc_core.config.settings import Settings
from ssc_core.config.sources import DatasetSource
from ssc_core.config.stages import stage_names
from ssc_core.errors import SscError
from ssc_core.registry import possible_paths
from ssc_core.version import __version__
from ssc_core.weights.catalogue import needed_by
from ssc_core.weights.fetch import bytes_text, is_here
from ssc_core.weights.lock import LockFile

if TYPE_CHECKING:
    from ssc_core.refer.named_files import NamedFiles

CheckState = Literal["ok", "note", "problem"]

PACKAGES = {
    "snakemake": "workflow",
    "torch": "all networks",
    "transformers": "GroundingDINO, BERT",
    "segment-anything": "SAM",
    "open-clip-torch": "CLIP",
    "spacy": "nouns",
    "pycocotools": "masks",
    "h5py": "stores",
    "pandas": "tables",
    "pyarrow": "tables",
}
"""Packages without which a part of the pipeline does not run, and that part."""

MOST_PHOTOS = 100_000
"""Of a dataset, whose age is looked at."""

LITTLE_DISK = 10 * 2**30
LITTLE_MEMORY = 4 * 2**30
LITTLE_SHARED = 2**28


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. text: what was found; with a problem, also what to do."""

    name: str
    state: CheckState
    text: str


def examine(settings: Settings, root: Path) -> list[Check]:
    """All checks, in order. root: the folder that snakemake runs in. A check that fails is a problem, not an error."""
    results = root / settings.results
    steps: dict[str, Callable[[], Iterator[Check]]] = {
        "python": _python,
        "gpu": _gpu,
        "memory": _memory,
        "disk": lambda: _drive(results),
        "hdf5": lambda: _hdf5(results),
        "snakemake": lambda: _snakemake(root),
        "results": lambda: _built_from(settings),
        "data": lambda: _data(settings, root),
        "photos": lambda: _photos(settings, root),
        "weights": lambda: _weights(settings, root),
        "backend": lambda: _backends(settings),
        "plug-in": lambda: _plugins(settings),
        "spacy": lambda: _spacy(settings),
    }
    found: list[Check] = []
    for name, step in steps.items():
        try:
            found += step()
        except (SscError, OSError) as error:
            found.append(Check(name, "problem", str(error)))
    return [*found, *_verdict(found)]


def _python() -> Iterator[Check]:
    new_enough = sys.version_info >= (3, 11)
    text = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}, {_cores()} cores"
    yield Check("python", "ok" if new_enough else "problem", text + ("" if new_enough else "; 3.11 or newer is needed"))
    yield Check("project", "ok", f"{DISTRIBUTION} {__version__}, its workflow in {HOME}")
    absent = [name for name in PACKAGES if not _version(name)]
    if absent:
        mend = f"pip install {DISTRIBUTION}" if INSTALLED else "run `make env`, and use .venv/bin/python"
        needed = ", ".join(f"{name} ({PACKAGES[name]})" for name in absent)
        yield Check("packages", "problem", f"not installed: {needed}; {mend}")
    else:
        yield Check("packages", "ok", ", ".join(f"{name} {_version(name)}" for name in PACKAGES))


def _gpu() -> Iterator[Check]:
    if not _version("torch"):
        return
    import torch

    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            card = torch.cuda.get_device_properties(index)
            bf16 = "with" if card.major >= 8 else "without"
            yield Check("gpu", "ok", f"{card.name}, {bytes_text(card.total_memory)}, {bf16} fast bf16")
    elif shutil.which("nvidia-smi"):
        yield Check(
            "gpu",
            "problem",
            f"there is an NVIDIA driver, but torch {torch.__version__} cannot use it: install a torch build for CUDA, "
            "or check CUDA_VISIBLE_DEVICES",
        )
    else:
        yield Check("gpu", "note", "none: everything runs on the CPU, published network sizes only slowly")


def _memory() -> Iterator[Check]:
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for line in Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").exists() else ():
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) << 10
    hint = "; lower compute.threads and the batch settings" if free < LITTLE_MEMORY else ""
    yield Check("memory", "note" if hint else "ok", f"{bytes_text(free)} available{hint}")
    if Path("/dev/shm").is_dir():
        shared = shutil.disk_usage("/dev/shm").free
        if shared < LITTLE_SHARED:
            text = (
                f"{bytes_text(shared)} in /dev/shm: loader workers may die; start the container with more (--shm-size)"
            )
            yield Check("shared memory", "note", text)


def _drive(results: Path) -> Iterator[Check]:
    place = _nearest(results)
    usage = shutil.disk_usage(place)
    hint = "; RefCOCO with photos and checkpoints needs about 30 GiB" if usage.free < LITTLE_DISK else ""
    yield Check("disk", "note" if hint else "ok", f"{bytes_text(usage.free)} free for {results}{hint}")
    try:
        with tempfile.NamedTemporaryFile(dir=place) as file:
            os.fsync(file.fileno())
    except OSError as error:
        text = f"{place} cannot be written ({error.strerror}); choose another folder with `results:` in the config"
        yield Check("results folder", "problem", text)


def _hdf5(results: Path) -> Iterator[Check]:
    """HDF5 locks files that it writes; network drives often refuse."""
    if not _version("h5py"):
        return
    import h5py

    place = _nearest(results)
    if not os.access(place, os.W_OK):
        return
    with tempfile.TemporaryDirectory(dir=place) as folder:
        path = Path(folder, "locks.h5")
        try:
            with h5py.File(path, "w", locking=True) as file:
                file["x"] = 1
            yield Check("hdf5 locks", "ok", f"work on the drive of {results}")
        except OSError as error:
            reason = str(error).splitlines()[0][:200]
            yield Check(
                "hdf5 locks",
                "problem",
                f"the drive of {results} has no file locks ({reason}); set HDF5_USE_FILE_LOCKING=FALSE in the "
                "environment of the jobs",
            )


def _snakemake(root: Path) -> Iterator[Check]:
    state = root / ".snakemake"
    locks = list((state / "locks").glob("*")) if (state / "locks").is_dir() else []
    if locks:
        text = (
            f"{root.resolve()} is locked: another snakemake runs there, or one was killed. If none runs, run the same "
            "command again; where that still says locked, `snakemake --unlock` first"
        )
        yield Check("snakemake lock", "note", text)
    else:
        yield Check("snakemake lock", "ok", "free")
    broken_off = list((state / "incomplete").glob("*")) if (state / "incomplete").is_dir() else []
    if broken_off:
        yield Check("interrupted jobs", "note", f"{len(broken_off)} outputs; they are made again by the next run")


def _built_from(settings: Settings) -> Iterator[Check]:
    try:
        check_world(settings)
    except SscError as error:
        yield Check("results", "problem", str(error))


def _data(settings: Settings, root: Path) -> Iterator[Check]:
    for name, dataset in settings.datasets.items():
        if isinstance(dataset.source, MicroSource):
            yield Check(f"data {name}", "ok", "generated (micro world)")
            continue
        source = dataset_source(settings, name)
        absent = [path for path in source.annotation_files if not (root / path).is_file()]
        photos = root / source.images_folder
        if absent:
            text = f"{', '.join(map(str, absent))} not there; `ssc fetch` gets published ones"
            yield Check(f"data {name}", "problem", text)
        elif not photos.is_dir() or not any(photos.iterdir()):
            yield Check(
                f"data {name}", "problem", f"no photos in {source.images_folder}; `ssc fetch` gets published ones"
            )
        else:
            yield Check(f"data {name}", "ok", f"annotations and photos in {source.images_folder}")


def _photos(settings: Settings, root: Path) -> Iterator[Check]:
    """Photos, and masks of a table, that were changed, replaced or added after they were indexed: Snakemake does not
    look at them."""
    if not _version("pandas") or not _version("pyarrow"):
        return
    from ssc_core.refer.ref_table import photos_seen, read_refs

    for name, dataset in settings.datasets.items():
        refs = root / dataset_folder(settings, name) / "refs.parquet"
        if isinstance(dataset.source, MicroSource) or not refs.is_file():
            continue
        source, seen = dataset_source(settings, name), photos_seen(refs)
        named = _named_files(source, root, None if seen else MOST_PHOTOS)
        if named is None:
            photos = read_refs(refs, columns=("file_name",))["file_name"].unique()[:MOST_PHOTOS]
            files = [(file, root / source.images_folder / file) for file in photos]
        else:
            files = named.paths
        indexed = refs.stat().st_mtime_ns
        newer = [file for file, path in files if os.path.isfile(path) and path.stat().st_ctime_ns > indexed]  # noqa: PTH113
        if newer if named is None or not seen else named.state() != seen:
            changed = f"{len(newer)} of {len(files)}" if newer else f"some of {len(files)}"
            first = f" (first: {newer[0]})" if newer else ""
            again = "`snakemake --forcerun index_refs -- TARGET` makes all of TARGET anew"
            text = (
                f"{changed} have changed since {refs.relative_to(root)} was made{first}. Other photos or masks of the "
                f"same names? {'The same `ssc label` again makes all anew' if seen else again}"
            )
            yield Check(f"photos {name}", "note", text)


def _named_files(source: DatasetSource, root: Path, rows: int | None) -> NamedFiles | None:
    """What a table names, of its first rows or of all (None); None where there is no table that can be read."""
    if source.layout != "table" or source.file is None:
        return None
    from ssc_core.refer.named_files import NamedFiles
    from ssc_core.refer.table import read_whole_rows

    found = NamedFiles(root / source.images_folder, root / source.file)
    with suppress(SscError):  # of a table that is broken by now, indexing tells
        for row in islice(read_whole_rows(root / source.file), rows):
            found.add(row)
        return found
    return None


def _backends(settings: Settings) -> Iterator[Check]:
    """Whether the classes that the config names are there, take its settings and do what is asked of them."""
    from ssc_core.named_code import backends_of

    for one in backends_of(settings, stage_names(settings)):
        yield _named(f"backend {one.key}", one.fault, f"{one.name} takes these settings")


def _plugins(settings: Settings) -> Iterator[Check]:
    """Whether the functions of the user's own that the config names are there."""
    from ssc_core.named_code import layouts_of, plugins_of

    for one in (*plugins_of(settings, stage_names(settings)), *layouts_of(settings)):
        yield _named(f"plug-in {one.key}", one.fault, f"{one.name} is there")


def _named(name: str, fault: str, text: str) -> Check:
    return Check(name, "problem" if fault else "ok", fault or text)


def _weights(settings: Settings, root: Path) -> Iterator[Check]:
    published = {name: file for name, file in needed_by(settings).items() if file.path.startswith("weights/")}
    absent = [file.path for file in published.values() if not is_here(file, root)]
    named = {path for path in _named_paths(settings) if not ((root / path).exists() or (HOME / path).exists())}
    absent += sorted(named - {path for file in published.values() for path in (file.path, *file.results)})
    lock = LockFile(root / settings.sources.lock)
    wrong = [line for file in published.values() for line in _wrong_size(file, lock, root)]
    if wrong:
        yield Check("weights sizes", "problem", f"{'; '.join(wrong)}. Delete what is cut off and run `ssc fetch` again")
    if absent:
        text = (
            f"not there: {', '.join(dict.fromkeys(absent))}; `ssc fetch` gets published files, `--offline` lists them"
        )
        yield Check("weights", "problem", text)
    elif not wrong:
        yield Check("weights", "ok", "every file that the config names is there")


def _wrong_size(file: PublishedFile, lock: LockFile, root: Path) -> Iterator[str]:
    """A line unless a file has the size that was published, or that it had when it was fetched."""
    pin, path = lock.get(file.path), root / file.path
    size = file.size or (pin.size if pin else None)
    if file.unpack is None and size is not None and path.is_file() and path.stat().st_size != size:
        yield f"{file.path} has {path.stat().st_size} bytes, the right file has {size}"


def _spacy(settings: Settings) -> Iterator[Check]:
    pipeline = settings.nouns.spacy_model
    if settings.nouns.extractor == "spacy" and not Path(pipeline).is_dir() and not importlib.util.find_spec(pipeline):
        text = f"the pipeline '{pipeline}' is not installed; install it, or set nouns.spacy_model to one that is"
        yield Check("spacy", "problem", text)


def _verdict(found: Sequence[Check]) -> Iterator[Check]:
    """What will work, from what was found."""
    broken = {check.name.split()[0] for check in found if check.state == "problem"} - {"gpu"}  # the CPU is there
    data = {check.name: check.state == "problem" for check in found if check.name.startswith("data")}
    gone = [name.removeprefix("data ") for name, absent in data.items() if absent]
    if len(gone) < len(data) and "data" not in gone:  # datasets that are there work without the others
        broken.discard("data")
    gpu = any(check.name == "gpu" and check.state == "ok" for check in found)
    stages = {
        "index and ground truth": broken - {"weights", "spacy", "backend"},
        "Segment and Select": broken,
        f"training and evaluation ({'GPU' if gpu else 'CPU'})": broken,
    }
    for stage, missing in stages.items():
        works = f"will work, but not for {', '.join(gone)}" if gone else "will work"
        text = f"needs what is told above about {', '.join(sorted(missing))}" if missing else works
        yield Check(stage, "problem" if missing else "ok", text)


def _named_paths(settings: Settings) -> Iterator[str]:
    """Files and folders of weights in the config: of backends, and of the network."""
    scorers = [scorer.backend for scorer in (settings.score, *settings.scorers.values())]
    backends = [settings.nouns.encoder, settings.detect.backend, settings.segment.backend, *scorers]
    given = [*(one.settings for one in backends if one), settings.network.settings]
    values: list[str | None] = [path for one in given for path in possible_paths(one).values()]
    values += [settings.network.bert, settings.network.tokenizer, settings.network.swin_weights]
    yield from (value for value in values if isinstance(value, str) and "/" in value)


def _nearest(path: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    path = path.resolve()
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
