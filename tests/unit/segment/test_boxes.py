from __future__ import annotations

import numpy as np
import pytest

from ssc_core.errors import SscError
from ssc_core.masks.gather import gather
from ssc_core.masks.store import MaskStore
from tests.unit.segment.conftest import fake
from tests.unit.segment.fake_backends import ColourDetector


def boxes_of(path):
    """Image id -> list of (class, score) in the file's order."""
    with MaskStore.open(path, with_masks=False) as store:
        names = store.info.class_names
        found = {i: store.instances(i) for i in store.image_ids.tolist()}
        return {
            i: [(names[label], round(float(score), 2)) for label, score in zip(x.labels, x.box_scores, strict=True)]
            for i, x in found.items()
        }


TWO_IMAGES = [[["dog"], ["cat", "cat", "bird"]], [[]]]


@pytest.mark.parametrize(
    ("queries", "asked"),
    [
        ("most_likely_noun", [("dog", "cat"), ("object",)]),
        ("all_nouns", [("dog", "cat", "bird"), ("object",)]),
        ("one_query_per_noun", [("dog",), ("cat",), ("bird",), ("object",)]),
        ("one_query_per_most_likely_noun", [("dog",), ("cat",), ("object",)]),
    ],
)
def test_what_an_image_is_asked_for(make_split, queries, asked):
    out = make_split(TWO_IMAGES).detect(queries=queries)
    shown = ColourDetector.calls
    assert sorted(shown) == sorted(asked)
    assert {name for name, _ in boxes_of(out)[1]} == {name for prompt in asked[:-1] for name in prompt}
    assert [name for name, _ in boxes_of(out)[2]] == ["object"]


def test_boxes_are_in_descending_order_of_score_and_labels_index_all_classes_of_the_split(make_split):
    out = make_split(TWO_IMAGES).detect()
    assert boxes_of(out) == {1: [("cat", 0.6), ("dog", 0.5)], 2: [("object", 0.5)]}
    with MaskStore.open(out) as store:
        assert store.info.class_names == ("cat", "dog", "object")
        assert store.instances(1).boxes_xyxy.tolist() == [[4, 2, 14, 12], [0, 2, 10, 12]]


def test_nms_drops_the_twin_and_without_it_both_stay(make_split):
    split = make_split([[["dog"]]])
    twins = fake("ColourDetector", twins=True)
    assert boxes_of(split.detect(backend=twins))[1] == [("dog", 0.5), ("dog", 0.49)]
    assert boxes_of(split.detect(backend=twins, nms_iou=0.7))[1] == [("dog", 0.5)]


def test_compat_query_order_keeps_the_order_of_the_detectors_queries(make_split):
    """Published: the order of the queries, which decides who is painted on top. Mended: that of the scores."""
    split = make_split([[["dog"], ["cat"]]])
    twins = fake("ColourDetector", twins=True)
    assert [name for name, _ in boxes_of(split.detect(backend=twins))[1]] == ["cat", "cat", "dog", "dog"]
    published = split.detect(backend=twins, compat={"query_order": True})
    assert boxes_of(published)[1] == [("dog", 0.5), ("dog", 0.49), ("cat", 0.6), ("cat", 0.59)]
    suppressed = split.detect(backend=twins, compat={"query_order": True}, nms_iou=0.7)
    assert boxes_of(suppressed)[1] == [("dog", 0.5), ("cat", 0.6)]


def test_compat_unclipped_boxes_reach_beyond_the_photo(make_split):
    split = make_split([[["cat"], ["dog"], ["bird"], ["cow"], ["cup"]]], sizes=[(24, 24)])  # 10 px wide, 4 px apart

    def rightmost(**switches):
        with MaskStore.open(split.detect(compat=switches)) as store:
            return store.instances(1).boxes_xyxy[:, 2].max()

    assert rightmost() == 24
    assert rightmost(unclipped_boxes=True) == 26


def test_detector_retry_plural(make_split):
    """Published: one box without a class, and all are asked for again in the plural. Mended: that box is dropped."""
    split = make_split([[["dog"], ["cat"]], [["dog"]], [["cat"]]])
    backend = fake("ColourDetector", classless=["dog"])
    assert boxes_of(split.detect(backend=backend)) == {1: [("cat", 0.6)], 2: [], 3: [("cat", 0.5)]}
    assert ColourDetector.calls.count(("all dogs", "all cats")) == 0
    found = boxes_of(split.detect(backend=backend, retry=True))
    assert found == {1: [("cat", 0.6), ("dog", 0.5)], 2: [("dog", 0.5)], 3: [("cat", 0.5)]}
    assert sorted(ColourDetector.calls) == [("all dogs",), ("all dogs", "all cats"), ("cat",), ("dog",), ("dog", "cat")]


def test_detector_retry_plural_asks_once_and_skips_what_still_has_no_class(make_split):
    backend = fake("ColourDetector", classless=["dog", "all dogs"])
    assert boxes_of(make_split([[["dog"], ["cat"]]]).detect(backend=backend, retry=True)) == {1: [("cat", 0.6)]}
    assert ColourDetector.calls == [("dog", "cat"), ("all dogs", "all cats")]


@pytest.mark.parametrize("shards", [2, 5])
def test_every_number_of_shards_gives_the_same_bytes(make_split, shards):
    many = [[[["dog", "cat", "bird"][i % 3]], ["cat"]] for i in range(150)]
    split = make_split(many, sizes=[(24 + i % 3, 32) for i in range(150)])
    whole = split.detect("whole.h5")
    parts = [split.detect(f"part{k}.h5", shard=(k, shards)) for k in range(shards)]
    gather(parts, split.folder / "joined.h5")
    assert (split.folder / "joined.h5").read_bytes() == whole.read_bytes()
    with MaskStore.open(whole) as store:
        assert store.image_ids.tolist() == list(range(1, 151))


def test_a_job_that_breaks_leaves_nothing_and_the_next_one_gives_the_same_bytes(make_split):
    split = make_split([[["dog"]]] * 20)
    expected = split.detect("expected.h5").read_bytes()
    with pytest.raises(RuntimeError, match="broken on purpose"):
        split.detect(backend=fake("ColourDetector", fail_at=12))
    assert not list(split.folder.glob("boxes.h5*"))
    assert split.detect().read_bytes() == expected


def test_a_bad_photo_stops_with_its_path_or_is_skipped_and_counted(make_split, caplog):
    split = make_split([[["dog"]]] * 5)
    broken = split.images / "2.png"
    broken.write_bytes(broken.read_bytes()[:-30])
    with pytest.raises(SscError, match=r"2\.png"):
        split.detect()
    found = boxes_of(split.detect(on_bad_image="skip"))
    assert found[3] == [] and all(found[i] == [("dog", 0.5)] for i in (1, 2, 4, 5))
    assert "2.png" in caplog.text and "1 photo could not be read" in caplog.text


def test_a_backend_may_prepare_its_images_in_the_workers(make_split):
    split = make_split(TWO_IMAGES)
    assert boxes_of(split.detect(backend=fake("PreparingDetector"))) == boxes_of(split.detect())


@pytest.mark.parametrize("how", ["too few", "nan", "label", "shape"])
def test_a_detector_that_breaks_its_contract_is_an_error(make_split, how):
    with pytest.raises(SscError, match=r"detector .*BrokenDetector\.detect gave .* for (image 1 of )?1"):
        make_split([[["dog"]]]).detect(backend=fake("BrokenDetector", how=how))


def test_the_file_says_what_made_it(make_split):
    with MaskStore.open(make_split([[["dog"]]]).detect(retry=True, nms_iou=0.5)) as store:
        switches = {"detector_retry_plural": True, "query_order": False, "unclipped_boxes": False}
        assert store.info.settings["compat"] == switches
        assert store.info.settings["detect"]["nms_iou"] == 0.5
        stage, module, detector = store.info.code.split()  # the detector's package lies in the current folder
        assert module == "tests"
        assert len(stage) == len(detector) == 16
        assert np.array_equal(store.ref_ids, [])
