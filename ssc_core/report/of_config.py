"""What of a dataset's results is of the config as it is now: what earlier ones made lies in the same folders.

Snakemake makes anew what is asked for. The report asks for little and shows much, so it has to tell them apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from ssc_core.checkout import find_paths
from ssc_core.config.methods import EVALUATED, METHODS, PHASES
from ssc_core.config.settings import Settings
from ssc_core.config.stages import made_from
from ssc_core.config.variants import Variants, plain
from ssc_core.errors import SscError
from ssc_core.evaluate.schema import MasksEval, ModelEval, read_eval
from ssc_core.layout import DatasetFolder, Shown, variant_of
from ssc_core.provenance import file_sha256

_Key = TypeVar("_Key")


def of_config(folder: DatasetFolder, variants: Variants) -> tuple[Shown, dict[Path, str]]:
    """Those files of a dataset that are of the config and its variants, and why others are not.

    A file that does not say what it was made with is taken for one that is. Raises SscError for a damaged eval file.
    """
    shown, settings = folder.shown(), variants.settings
    refs = file_sha256(folder("refs")) if folder("refs").is_file() else ""
    contents = {path: read_eval(path) for path in shown.evals}
    others = {path: _why(contents[path], result_of(contents[path]), path, refs, variants) for path in contents}
    for path in shown.selections.values():
        others[path] = _why(read_eval(path), "selections", path, refs, variants)
    for split, path in shown.sheets.items():
        masks = folder("masks", split=split)
        # the sheet says nothing of its origin
        if masks.is_file() and masks.stat().st_mtime > path.stat().st_mtime:
            others[path] = "older than the masks"
    own = {path: result_of(content) for path, content in contents.items() if not variant_of(path)}
    trained, trained_otherwise = (
        set(_phases((result for path, result in own.items() if bool(others[path]) is other), settings))
        for other in (False, True)
    )
    for logs in (shown.logs, shown.matching):
        others |= {logs[phase]: "of a network that is not shown" for phase in logs.keys() & trained_otherwise - trained}
    others = {path: why for path, why in others.items() if why}
    kept = replace(
        shown,
        evals=[path for path in shown.evals if path not in others],
        selections=_without(shown.selections, others),
        sheets=_without(shown.sheets, others),
        logs=_without(shown.logs, others),
        matching=_without(shown.matching, others),
    )
    return kept, others


def differences(content: ModelEval | MasksEval, now: Mapping[str, Any]) -> list[str]:
    """How the settings that an eval file was made with differ, as ``correct.epochs: 1, now 3``.

    now: ``Variants.led_to``. What the file does not say, as one of an earlier version, is taken to be as it is now.
    """
    then = dict(content.settings)
    method = METHODS.get(content.method)
    if method and method.phase and "train" in then:
        then[method.phase] = then["train"]  # as its checkpoint says
    return [f"{key}: {plain(old)}, now {plain(new)}" for key, old, new in _pairs(then, now)]


def result_of(content: ModelEval | MasksEval) -> str:
    """The result that an eval file in its place is; of a method of the user's own, none that a stage makes."""
    return "eval.masks" if isinstance(content, MasksEval) else f"eval.{content.method}"


def _pairs(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Key and both values of what differs."""
    for key, new in now.items():
        old = then.get(key, new)
        pairs = {f"{key}.{name}": (old.get(name, of), of) for name, of in new.items()} if isinstance(new, dict) else {}
        for name, (was, is_now) in (pairs or {key: (old, new)}).items():
            # a job may have been told where in the package a model lies
            if find_paths(was) != find_paths(is_now):
                yield name, was, is_now


def _why(content: ModelEval | MasksEval, result: str, path: Path, refs: str, variants: Variants) -> str:
    """Why an eval file is not of the config; "" where it is."""
    if result not in ("selections", *(f"eval.{name}" for name in EVALUATED)):
        return ""
    if refs and content.data.get("refs", refs) != refs:
        return "of other refs than are there now"
    try:
        now = variants.led_to(result, variant_of(path))
    except SscError:
        return "the config cannot be varied so"
    found = differences(content, now)
    if content.method == "published":
        key, file = f"datasets.{content.dataset}.checkpoint", variants.settings.datasets[content.dataset].checkpoint
        was = content.model.get("path", file)
        found += [f"{key}: {plain(was)}, now {plain(file)}"] if find_paths(was) != find_paths(file) else []
    return "; ".join(found)


def _phases(results: Iterable[str], settings: Settings) -> Iterator[str]:
    """The trainings behind eval files."""
    known = {f"eval.{name}" for name in EVALUATED}
    for result in results:
        if result in known:
            yield from (phase for phase in PHASES if f"{phase}.pt" in made_from(settings, result))


def _without(files: Mapping[_Key, Path], others: Mapping[Path, str]) -> dict[_Key, Path]:
    return {key: path for key, path in files.items() if path not in others}
