from __future__ import annotations

import itertools

import pytest

from ssc_core.errors import SscError
from ssc_core.segment.tasks import ImageTask, RefQuery, TaskBatch, image_tasks, plan_batches, shard_of
from tests.files import write_nouns


def tasks(count: int) -> list[ImageTask]:
    return [ImageTask(i, f"{i}.jpg", (100 + 10 * (i % 3), 200), ()) for i in range(count)]


def test_queries_and_classes_are_in_order_of_appearance_without_duplicates():
    refs = (RefQuery(1, "dog", ("dog", "cat")), RefQuery(2, "object", ()), RefQuery(3, "dog", ("dog",)))
    task = ImageTask(1, "a.jpg", (10, 10), refs)
    assert task.queries == ("dog", "object")
    assert task.classes == ("dog", "cat", "object")


def test_tasks_join_refs_and_nouns(make_split):
    split = make_split([[["dog"], ["cat", "cat", "dog"]], [[]]], sizes=[(24, 32), (30, 20)])
    first, second = image_tasks(split.refs, split.nouns)
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
        image_tasks(split.refs, split.nouns)


@pytest.mark.parametrize("count", [0, 1, 7, 130, 1500])
@pytest.mark.parametrize("shards", [1, 2, 5])
def test_shards_are_a_partition_and_nearly_equal(count, shards):
    batches = plan_batches(tasks(count))
    parts = [[t.image_id for b in shard_of(batches, (k, shards)) for t in b.tasks] for k in range(shards)]
    assert sorted(itertools.chain(*parts)) == list(range(count))
    largest = max((len(batch.tasks) for batch in batches), default=0)
    assert max(map(len, parts)) - min(map(len, parts)) <= largest <= max(1, count // 64)


def test_batches_are_of_equal_size_and_hold_photos_of_one_size_where_they_can():
    batches = plan_batches(tasks(1500))
    assert {len(batch.tasks) for batch in batches[:-1]} == {16}
    mixed = sum(len({task.size for task in batch.tasks}) > 1 for batch in batches)
    assert mixed <= 2 * (max(batch.window for batch in batches) + 1)


def test_a_window_holds_a_range_of_ids_so_that_results_can_leave_in_order():
    ranges: dict[int, list[int]] = {}
    for batch in plan_batches(tasks(1500)):
        ranges.setdefault(batch.window, []).extend(task.image_id for task in batch.tasks)
    ends = [(min(ids), max(ids)) for _, ids in sorted(ranges.items())]
    assert len(ends) > 2 and all(a[1] < b[0] for a, b in itertools.pairwise(ends))


@pytest.mark.parametrize("shard", [(-1, 2), (2, 2), (0, 0)])
def test_a_shard_that_does_not_exist_is_an_error(shard):
    with pytest.raises(SscError, match="shard"):
        shard_of([TaskBatch(0, ())], shard)
