from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ssc_core.errors import SscError
from ssc_core.refer.ref_table import FORMAT, SCHEMA
from ssc_core.segment.plan import SplitPlan
from ssc_core.segment.tasks import ImageTask, RefQuery, TaskBatch
from ssc_core.tables import table_writer
from tests.files import write_nouns

PHOTOS = 1500
whole = pq.ParquetFile.read_row_group


def test_queries_and_classes_are_in_order_of_appearance_without_duplicates():
    refs = (RefQuery(1, "dog", ("dog", "cat")), RefQuery(2, "object", ()), RefQuery(3, "dog", ("dog",)))
    task = ImageTask(1, "a.jpg", (10, 10), refs)
    assert task.queries == ("dog", "object")
    assert task.classes == ("dog", "cat", "object")


def test_tasks_join_refs_and_nouns(make_split):
    split = make_split([[["dog"], ["cat", "cat", "dog"]], [[]]], sizes=[(24, 32), (30, 20)])
    first, second = (task for batch in SplitPlan(split.refs, split.nouns).shard(0, 1) for task in batch.tasks)
    assert (first.image_id, first.file_name, first.size) == (1, "0.png", (24, 32))
    assert [(ref.ref_id, ref.query, ref.classes) for ref in first.refs] == [
        (1, "dog", ("dog",)),
        (2, "cat", ("cat", "dog")),
    ]
    assert second.size == (30, 20) and second.refs[0].query == "object" and second.refs[0].classes == ()


def test_nouns_of_other_refs_are_an_error(make_split):
    split = make_split([[["dog"]]])
    write_nouns(split.nouns, [{"ref_id": 99, "image_id": 1, "nouns": [[]], "classes": [[]], "query": "dog"}])
    with pytest.raises(SscError, match="run extract_nouns again"):
        list(SplitPlan(split.refs, split.nouns).shard(0, 1))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A RefTable and nouns of 1500 photos of three sizes, and of three refs each that lie in different places."""
    folder = tmp_path_factory.mktemp("tasks")
    rng = np.random.default_rng(0)
    order = rng.permutation(np.repeat(np.arange(PHOTOS), 3))
    rows = [
        {
            "dataset": "d",
            "split": "val",
            "image_id": image,
            "file_name": f"{image}.jpg",
            "height": 100,
            "raw": "",
            "width": 100 + 10 * (image % 3),
            "ref_id": ref,
            "ann_id": ref,
            "category_id": 0,
            "category": "",
            "sent_id": ref,
            "sentence": "it",
        }
        for ref, image in enumerate(order.tolist())
    ]
    schema = SCHEMA.with_metadata({**FORMAT, b"categories": b"{}", b"upright": b"false"})
    with table_writer(folder / "refs.parquet", schema) as writer:
        for start in range(0, len(rows), 700):
            writer.write_table(pa.Table.from_pylist(rows[start : start + 700], schema=schema))
    write_nouns(
        folder / "nouns.parquet",
        [
            {"ref_id": row["ref_id"], "image_id": row["image_id"], "nouns": [], "classes": [], "query": "it"}
            for row in rows
        ],
    )
    return folder / "refs.parquet", folder / "nouns.parquet"


def shard(table: tuple[Path, Path], index: int = 0, count: int = 1) -> list[TaskBatch]:
    return list(SplitPlan(*table, "val").shard(index, count))


def test_batches_are_of_equal_size_and_hold_photos_of_one_size_where_they_can(table):
    batches = shard(table)
    assert {len(batch.tasks) for batch in batches[:-1]} == {16}
    mixed = sum(len({task.size for task in batch.tasks}) > 1 for batch in batches)
    assert 0 < mixed <= 2 * (max(batch.window for batch in batches) + 1)
    assert all(len(task.refs) == 3 for batch in batches for task in batch.tasks)


def test_a_window_holds_a_range_of_ids_so_that_results_can_leave_in_order(table):
    ranges: dict[int, list[int]] = {}
    for batch in shard(table):
        ranges.setdefault(batch.window, []).extend(task.image_id for task in batch.tasks)
    ends = [(min(ids), max(ids)) for _, ids in sorted(ranges.items())]
    assert len(ends) > 2 and all(a[1] < b[0] for a, b in itertools.pairwise(ends))


@pytest.mark.parametrize("count", [2, 5, 64, 200])
def test_shards_part_the_batches_of_the_split_evenly(table, count):
    whole = shard(table)
    parts = [shard(table, index, count) for index in range(count)]
    assert list(itertools.chain(*parts)) == whole
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_shards_photos_are_in_the_batches_of_the_split(table):
    own = shard(table, 3, 5)
    photos = np.array([task.image_id for batch in own for task in batch.tasks])
    assert list(SplitPlan(*table, "val").of(photos)) == own
    assert [len(batch.tasks) for batch in SplitPlan(*table, "val").of(photos[:1])] == [1]
    assert list(SplitPlan(*table, "val").of(photos[:0])) == []


@pytest.mark.parametrize("index", [(-1, 2), (2, 2), (0, 0)])
def test_a_shard_that_does_not_exist_is_an_error(table, index):
    with pytest.raises(SscError, match="shard"):
        shard(table, *index)


def test_a_shard_reads_its_own_row_groups(make_split, monkeypatch):
    """Of a table in the order of its photos; of another one, the ids of all."""
    monkeypatch.setattr("ssc_core.refer.index._ROWS_AT_ONCE", 3)
    split = make_split([[["dog"]]] * 40)
    read = []
    monkeypatch.setattr(
        pq.ParquetFile, "read_row_group", lambda self, group, **what: read.append(group) or whole(self, group, **what)
    )
    plan = SplitPlan(split.refs, split.nouns)
    assert [task.image_id for batch in plan.shard(9, 20) for task in batch.tasks] == [19, 20]
    # the window of photos 17 to 32, three of them a row group; the nouns are one group
    assert set(read) == {0, *range(5, 11)}
