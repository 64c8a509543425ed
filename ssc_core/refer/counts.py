"""Refs per split of the published datasets, to notice a partial download or another version of the annotations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from ssc_core.errors import SscError
from ssc_core.wording import counted

PUBLISHED_REFS: Mapping[tuple[str, str], Mapping[str, int]] = {
    ("refcoco", "unc"): {"train": 42404, "val": 3811, "testA": 1975, "testB": 1810},
    ("refcoco+", "unc"): {"train": 42278, "val": 3805, "testA": 1975, "testB": 1798},
    ("refcocog", "umd"): {"train": 42226, "val": 2573, "test": 5023},
    ("refcocog", "google"): {"train": 44822, "val": 5000},
}
"""By folder name and split_by."""


def check_published_counts(dataset: str, name: str, split_by: str, splits: Iterable[str]) -> None:
    """Compare refs per split with the published counts. splits: the split of each ref.

    dataset: its name in the config. Raises SscError that lists every split that differs and says how to go on.
    """
    go_on = f"to use the data as they are, set `datasets.{dataset}.check_counts: false` in the config"
    published = PUBLISHED_REFS.get((name, split_by))
    if published is None:
        known = ", ".join(f"{n} ({s})" for n, s in PUBLISHED_REFS)
        raise SscError(f"dataset '{dataset}': no published counts for {name} ({split_by}), only for {known}; {go_on}")
    found = Counter(splits)
    wrong = [
        f"{split} has {counted(found[split], 'ref')}, published are {published.get(split, 0)}"
        for split in [*published, *sorted(set(found) - set(published))]
        if found[split] != published.get(split, 0)
    ]
    if wrong:
        raise SscError(
            f"dataset '{dataset}' is not the published {name} ({split_by}): {'; '.join(wrong)}. "
            f"Get the annotations again, or, {go_on}"
        )
