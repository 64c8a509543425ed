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
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ssc_core.datasets import check_world, dataset_source
from ssc_core.errors import SscError
from ssc_core.settings import MicroSource, Settings
from ssc_core.weights.catalogue import needed_by
from ssc_core.weights.fetch import is_here, size_text

State = Literal["ok", "note", "problem"]

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

LITTLE_DISK = 10 * 2**30
LITTLE_MEMORY = 4 * 2**30
LITTLE_SHARED = 2**28


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. text: what was found; with a problem, also what to do."""

    name: str
    state: State
    text: str


def examine(settings: Settings, root: Path) -> list[Check]:
    """All checks, in order. root: the folder that snakemake runs in. A check that fails is a problem, not an error."""
    results = root / settings.results
    steps: list[Callable[[], Iterator[Check]]] = [
        _python,
        _gpu,
        _memory,
        lambda: _drive(results),
        lambda: _hdf5(results),
        lambda: _snakemake(root),
        lambda: _built_from(settings),
        lambda: _data(settings, root),
        lambda: _weights(settings, root),
        lambda: _spacy(settings),
    ]
    found: list[Check] = []
    for step in steps:
        try:
            found += step()
        except (SscError, OSError) as error:
            found.append(Check(getattr(step, "__name__", "check").strip("_<>"), "problem", str(error)))
    return [*found, *_verdict(found)]


def _python() -> Iterator[Check]:
    new_enough = sys.version_info >= (3, 11)
    text = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}, {_cores()} cores"
    yield Check("python", "ok" if new_enough else "problem", text + ("" if new_enough else "; 3.11 or newer is needed"))
    absent = [name for name in PACKAGES if not _version(name)]
    if absent:
        needed = ", ".join(f"{name} ({PACKAGES[name]})" for name in absent)
        yield Check("packages", "problem", f"not installed: {needed}; run `make env`, and use .venv/bin/python")
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
            yield Check("gpu", "ok", f"{card.name}, {size_text(card.total_memory)}, {bf16} fast bf16")
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
    yield Check("memory", "note" if hint else "ok", f"{size_text(free)} available{hint}")
    if Path("/dev/shm").is_dir():
        shared = shutil.disk_usage("/dev/shm").free
        if shared < LITTLE_SHARED:
            text = (
                f"{size_text(shared)} in /dev/shm: loader workers may die; start the container with more (--shm-size)"
            )
            yield Check("shared memory", "note", text)


def _drive(results: Path) -> Iterator[Check]:
    place = _nearest(results)
    usage = shutil.disk_usage(place)
    hint = "; RefCOCO with photos and checkpoints needs about 30 GiB" if usage.free < LITTLE_DISK else ""
    yield Check("disk", "note" if hint else "ok", f"{size_text(usage.free)} free for {results}{hint}")
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


def _weights(settings: Settings, root: Path) -> Iterator[Check]:
    published = {name: file for name, file in needed_by(settings).items() if file.path.startswith("weights/")}
    absent = [file.path for file in published.values() if not is_here(file, root)]
    named = {path for path in _named_paths(settings) if not (root / path).exists()}
    absent += sorted(named - {path for file in published.values() for path in (file.path, *file.results)})
    if absent:
        text = (
            f"not there: {', '.join(dict.fromkeys(absent))}; `ssc fetch` gets published files, `--offline` lists them"
        )
        yield Check("weights", "problem", text)
    else:
        yield Check("weights", "ok", "every file that the config names is there")


def _spacy(settings: Settings) -> Iterator[Check]:
    pipeline = settings.nouns.spacy_model
    if settings.nouns.extractor == "spacy" and not Path(pipeline).is_dir() and not importlib.util.find_spec(pipeline):
        text = f"the pipeline '{pipeline}' is not installed; install it, or set nouns.spacy_model to one that is"
        yield Check("spacy", "problem", text)


def _verdict(found: Sequence[Check]) -> Iterator[Check]:
    """What will work, from what was found."""
    broken = {check.name.split()[0] for check in found if check.state == "problem"}
    basis = {"python", "packages", "disk", "results", "hdf5"}
    gpu = any(check.name == "gpu" and check.state == "ok" for check in found)
    stages = {
        "index and ground truth": basis | {"data"},
        "Segment and Select": basis | {"data", "weights", "spacy"},
        f"training and evaluation ({'GPU' if gpu else 'CPU'})": basis | {"data", "weights", "spacy"},
    }
    for stage, needs in stages.items():
        missing = sorted(needs & broken)
        text = f"needs what is told above about {', '.join(missing)}" if missing else "will work"
        yield Check(stage, "problem" if missing else "ok", text)


def _named_paths(settings: Settings) -> Iterator[str]:
    """Files and folders of weights in the config: of backends, and of the network."""
    backends = (settings.nouns.encoder, settings.detect.backend, settings.segment.backend, settings.score.backend)
    values = [value for backend in backends for value in backend.settings.values()]
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
