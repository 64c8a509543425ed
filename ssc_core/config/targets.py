"""What may be asked of the workflow: files of the config's datasets and of the splits that each has, and no others."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ssc_core.config.settings import Settings
from ssc_core.config.stages import MADE_BY, SCORER, STAGES
from ssc_core.config.variants import PATTERN
from ssc_core.errors import SscError, did_you_mean

_EVALS = [name.removeprefix("eval.") for name in MADE_BY if name.startswith("eval.")]
EVAL_NAMES = tuple(name for name in _EVALS if name != "corrected" and "." not in name)
"""What stands between ``eval_`` and the split in names of files; of the corrected network, nothing does."""


def _pattern(path: str) -> str:
    """Regular expression of a stage's result, of any split."""
    escaped = re.escape(path).replace(r"\{split\}", r"(?!seed\d+/)[^/=]+")
    return re.sub(r"\\\{shards?\\\}", r"\\d+", escaped).replace(re.escape(SCORER), r"\w+")


_SPLIT_PATHS = sorted({path for stage in STAGES.values() for path in stage.writes.values() if "{split}" in path})
_OF_SPLIT = rf"{PATTERN}(?:{'|'.join(map(_pattern, _SPLIT_PATHS))}|eval_[^/]+\.(?:json|parquet|png))"
_OF_DATASET = r"(?:refs\.parquet|truth\.h5|data\.json)"
"""Not checkpoints: `init_from` may name one of a dataset that the config no longer has."""


def dataset_pattern(settings: Settings) -> str:
    """Regular expression of a dataset in a path, unless what follows belongs to a split that only others have."""
    every = {split for dataset in settings.datasets.values() for split in dataset.splits}
    alike: dict[frozenset[str], list[str]] = {}
    """Names by the splits that they lack: Snakemake compiles the expression for every output of every rule."""
    for name, dataset in settings.datasets.items():
        alike.setdefault(frozenset(every.difference(dataset.splits)), []).append(re.escape(name))
    return "|".join(
        f"(?:{'|'.join(names)})" + (f"(?!/{_split(lacking)})" if lacking else "") for lacking, names in alike.items()
    )


def refused_pattern(settings: Settings) -> str:
    """Regular expression of paths below the results folder that look like results, and are none of this config's."""
    known = "|".join(map(re.escape, settings.datasets))
    good = "|".join(f"{re.escape(name)}/{_split(dataset.splits)}" for name, dataset in settings.datasets.items())
    unknown = rf"(?!(?:{known})/)[^/]+/{_OF_DATASET}"
    no_datasets = "|".join(map(re.escape, ("report", "fetch", *settings.studies)))
    return rf"(?!(?:{no_datasets})/)(?:(?!{good})[^/]+/{_OF_SPLIT}|{unknown})"


def check_split(settings: Settings, name: str, split: str) -> None:
    """Raise SscError unless the config has a dataset of that name, with that split."""
    if name not in settings.datasets or split not in settings.datasets[name].splits:
        raise refusal(settings, f"{name}/{split}/")


def refusal(settings: Settings, asked: str) -> SscError:
    """Why a path that ``refused_pattern`` matches is none of this config's."""
    name, _, rest = asked.partition("/")
    if name not in settings.datasets:
        guess = did_you_mean(name, settings.datasets)
        return SscError(f"the config has no dataset '{name}'{guess} It has {', '.join(settings.datasets)}")
    splits = settings.datasets[name].splits
    rest = re.sub(rf"^{PATTERN}", "", rest)
    split = rest.partition("/")[0]
    if "/" not in rest:
        stem = rest.removeprefix("eval_").rpartition(".")[0]
        method = next((stem.removesuffix(f"_{known}") for known in splits if stem.endswith(f"_{known}")), None)
        if method is not None:
            return SscError(
                f"no evaluation is called '{method}'{did_you_mean(method, EVAL_NAMES)} "
                f"There are {', '.join(EVAL_NAMES)}"
            )
        split = re.sub(rf"^(?:{'|'.join(sorted(EVAL_NAMES, key=len, reverse=True))})_", "", stem)
    return SscError(
        f"dataset '{name}' has no split '{split}'{did_you_mean(split, splits)} It has {', '.join(splits)}, "
        f"as `datasets.{name}.splits` says"
    )


def _split(splits: Iterable[str]) -> str:
    """What comes after a dataset's folder in the path of a file of one of ``splits``."""
    return rf"{PATTERN}(?:eval_(?:(?:{'|'.join(EVAL_NAMES)})_)?)?(?:{'|'.join(map(re.escape, sorted(splits)))})[./]"
