"""Plug-ins by name: what is registered, and the version of whatever code a name of the config stands for.

Apart from ``ssc_core.backends`` because config and Snakefile read it, and nothing heavy may be imported there.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssc_core.checkout import find_path
from ssc_core.errors import SscError, did_you_mean
from ssc_core.provenance import code_version, file_sha256, tree_sha256

REGISTRY: dict[str, str] = {
    "grounding_dino": "ssc_core.segment.grounding_dino:GroundingDino",
    "grounding_dino_original": "ssc_core.segment.grounding_dino_original:OriginalGroundingDino",
    "mm_grounding_dino": "ssc_core.segment.grounding_dino:MMGroundingDino",
    "owlv2": "ssc_core.segment.owlv2:Owlv2",
    "sam": "ssc_core.segment.sam:SegmentAnything",
    "sam2": "ssc_core.segment.sam_transformers:Sam2",
    "sam3": "ssc_core.segment.sam3:Sam3",
    "sam3_lite_text": "ssc_core.segment.sam3:Sam3LiteText",
    "sam3_tracker": "ssc_core.segment.sam_transformers:Sam3Tracker",
    "edgetam": "ssc_core.segment.sam_transformers:EdgeTam",
    "grounded_sam": "ssc_core.segment.grounded_sam:GroundedSam",
    "sam_hq": "ssc_core.segment.sam_transformers:SamHQ",
    "open_clip": "ssc_core.select.clip:OpenClip",
    "open_clip_dense": "ssc_core.select.dense_clip:DenseOpenClip",
    "tipsv2": "ssc_core.select.dense_transformers:Tipsv2",
    "clipseg": "ssc_core.select.dense_transformers:ClipSeg",
    "chooser": "ssc_core.select.chooser_transformers:TransformersChooser",
    "chooser_server": "ssc_core.select.chooser_server:ServerChooser",
}


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """A kind of plug-in. word: what messages call it; member: what a module or file has of that name; registered:
    ``module:member`` by short name."""

    word: str
    member: str
    registered: Mapping[str, str]

    def check(self, name: str) -> str:
        """``name``, if it is registered or says where code lies; nothing is looked for. Raises SscError."""
        place, _, member = self.registered.get(name, name).rpartition(":")
        if not place or not member.isidentifier():
            shown = name if len(name) <= 80 else f"{name[:80]}..."
            raise SscError(
                f"unknown {self.word} '{shown}'{did_you_mean(name, self.registered)} "
                f"Use one of {', '.join(sorted(self.registered))}, 'package.module:{self.member}' or "
                f"'path/to/file.py:{self.member}'"
            )
        return name


BACKEND = Kind("backend", "Class", REGISTRY)
VISUAL_PROMPT = Kind(
    "visual prompt",
    "function",
    {
        name: f"ssc_core.select.prompts:{name}"
        for name in ("reverse_blur", "red_ellipse", "rectangle", "red_dense_mask", "crop")
    },
)
LOSS = Kind(
    "loss",
    "function",
    {
        name: f"ssc_core.correct.losses:{name}"
        for name in ("random_ce", "greedy_ce", "greedy_no_constraints", "greedy_ce_contrastive", "supervised")
    },
)

NETWORK = Kind("network", "function", {"lavt": "ssc_core.correct.start:build_segmenter"})
"""What builds the network that is trained, a class or a function."""

NETWORK_OFFERED = ("network", "vocabulary", "pretrained", "checkpoint_activations")
"""What it gets besides its settings, where it takes it: see ``ssc_core.correct.network``."""

LAYOUT = Kind(
    "layout",
    "function",
    {
        "micro": "ssc_core.refer.refer_layout:read_refer",
        "refer": "ssc_core.refer.refer_layout:read_refer",
        "table": "ssc_core.refer.table:read_table",
    },
)
"""How a dataset lies on disk: its reader. The micro world is written in the REFER layout."""

NO_FILES = ("answers", "api_key_env", "question", "served_model", "server")
"""Settings of backends whose text is no file or folder that they read, whatever lies there."""

LARGE_FILE = 64 << 20
"""Bytes. Weights above this are known by size and time, since hashing gigabytes at every dry run is no option."""


def place_of(kind: Kind, name: str) -> tuple[str, str]:
    """(module or path/to/file.py, member) that a plug-in's name stands for.

    Raises SscError for a name that is none, and for a file or package that is not there. Nothing is imported.
    """
    kind.check(name)
    place, _, member = kind.registered.get(name, name).rpartition(":")
    if place.endswith(".py"):
        place = find_path(place)
        if not Path(place).is_file():
            raise SscError(
                f"{kind.word} file {place} does not exist (paths are relative to the folder that snakemake runs in)"
            )
    elif not _is_module(place.split(".")[0]):
        raise SscError(
            f"{kind.word} '{name}': there is no module '{place.split('.')[0]}'; is it installed, or misspelt?"
        )
    return place, member


def _is_module(top: str) -> bool:
    """Whether a job would find a module: installed, or in the current folder, which jobs have on their path."""
    here = Path(top).is_dir() or Path(f"{top}.py").is_file()
    return top.isidentifier() and (here or importlib.util.find_spec(top) is not None)


def plugin_version(kind: Kind, name: str) -> str:
    """Digest of the code behind a plug-in's name; for an installed package it is the package's version, and for a
    module in the current folder, which goes before one that is installed, the digest of its package's sources.

    Raises SscError as ``place_of`` does.
    """
    place, _ = place_of(kind, name)
    if place.startswith("ssc_core."):
        return code_version(place)
    if place.endswith(".py"):
        return file_sha256(Path(place))[:16]
    package = place.split(".")[0]
    if sources := _sources_here(package):
        lines = "".join(f"{file.as_posix()} {file_sha256(file)}\n" for file in sources)
        return f"{package} {hashlib.sha256(lines.encode()).hexdigest()[:16]}"
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return place


def _sources_here(package: str) -> list[Path]:
    """The files of a module or package in the current folder."""
    single = Path(f"{package}.py")
    return sorted(Path(package).rglob("*.py")) or ([single] if single.is_file() else [])


def backend_version(name: str) -> str:
    """``plugin_version`` of a detector, a segmenter or an encoder."""
    return plugin_version(BACKEND, name)


def own_versions(kind: Kind, *names: str) -> str:
    """Digests of those that are not registered, whose code no stage imports; ``""`` where all are."""
    own = [name for name in names if name not in kind.registered]
    return "; ".join(f"{kind.word} {name}: {plugin_version(kind, name)}" for name in own)


def weights_version(path: str | None) -> str:
    """Digest of a weights file or folder, by content up to LARGE_FILE bytes per file; ``""`` when nothing lies there.

    By content and not by time, so that a git checkout, which touches files, reruns nothing.
    """
    if path is None or not (place := Path(find_path(path))).exists():
        return ""
    digest = hashlib.sha256()
    for file in [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.is_file()):
        if file.suffix == ".md":
            continue
        stat = file.stat()
        known = file_sha256(file) if stat.st_size <= LARGE_FILE else f"{stat.st_size} {stat.st_mtime_ns}"
        digest.update(f"{file.relative_to(place).as_posix()} {known}\n".encode())
    return digest.hexdigest()[:16]


def possible_paths(settings: Mapping[str, Any], results: str = ".") -> dict[str, str]:
    """Values of a backend's settings that may be files or folders which it reads, by name of the setting; inside lists
    and sections by ``name.0`` and ``name.key``.

    results: the folder of everything that is made. It is none of them, nor is the current folder, nor what they lie in:
    "" and "." are texts of another kind, and with all that is written there, models would change from run to run.
    """
    folders = (Path().resolve(), Path(results).resolve())
    known = {key: value for key, value in settings.items() if key not in NO_FILES}
    return {key: text for key, text in _texts(known) if _may_be_read(text, folders)}


def _texts(values: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, str):
            yield str(key), value
        elif isinstance(value, Mapping | list):
            inner = value if isinstance(value, Mapping) else dict(enumerate(value))
            yield from ((f"{key}.{name}", text) for name, text in _texts(inner))


def _may_be_read(text: str, written: Iterable[Path]) -> bool:
    try:
        Path(text).exists()
    except OSError:  # longer than a file's name may be: a prompt, a template
        return False
    return not any(folder.is_relative_to(Path(text).resolve()) for folder in written)


def model_digests(settings: Mapping[str, Any], section: str) -> dict[str, str]:
    """SHA-256 of every file or folder that a backend's settings name, by ``section`` and name of the setting."""
    paths = {key: Path(value) for key, value in sorted(possible_paths(settings).items())}
    return {f"{section}.{key}": tree_sha256(path) for key, path in paths.items() if path.exists()}
