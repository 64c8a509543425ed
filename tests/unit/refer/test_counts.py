from __future__ import annotations

import pytest

from ssc_core.errors import SscError
from ssc_core.refer.counts import PUBLISHED_REFS, check_published_counts


def splits_of(name: str, split_by: str) -> list[str]:
    return [split for split, count in PUBLISHED_REFS[name, split_by].items() for _ in range(count)]


@pytest.mark.parametrize(
    ("name", "split_by", "total"),
    [("refcoco", "unc", 50000), ("refcoco+", "unc", 49856), ("refcocog", "umd", 49822), ("refcocog", "google", 49822)],
)
def test_published_datasets_pass(name: str, split_by: str, total: int) -> None:
    splits = splits_of(name, split_by)
    assert len(splits) == total
    check_published_counts("d", name, split_by, splits)


def test_mismatch_names_splits_and_the_way_on() -> None:
    kept = [s for s in splits_of("refcoco", "unc") if s != "testB"]
    splits = [*kept[1:], "extra"]
    with pytest.raises(SscError) as error:
        check_published_counts("mine", "refcoco", "unc", splits)
    message = str(error.value)
    assert "train has 42403 refs, published are 42404" in message
    assert "testB has 0 refs, published are 1810" in message
    assert "extra has 1 ref, published are 0" in message
    assert "testA" not in message
    assert "`datasets.mine.check_counts: false`" in message


def test_dataset_without_published_counts() -> None:
    with pytest.raises(SscError, match=r"no published counts for tiny \(unc\).*datasets\.mine\.check_counts: false"):
        check_published_counts("mine", "tiny", "unc", ["train"])
