"""Segment without boxes: a concept segmenter through the stage, with phrases, shards and photos that cannot be read."""

from __future__ import annotations

import numpy as np
import pytest

from ssc_core.errors import SscError
from ssc_core.masks.gather import gather
from ssc_core.masks.store import MaskStore
from ssc_core.refer.ref_table import refs_in_order
from ssc_core.refer.refs_digest import digest_of
from ssc_core.segment.nms import merge_labels
from tests.unit.segment.conftest import fake
from tests.unit.segment.fake_backends import ColourDetector

SPLIT = [[["dog"], ["cat", "cat", "dog"]], [[]]]


def test_the_same_instances_as_detector_and_segmenter_in_two_steps(make_split):
    split = make_split(SPLIT)
    two_steps = split.segment(split.detect(), "two.h5")
    with MaskStore.open(two_steps) as expected, MaskStore.open(split.concepts()) as store:
        assert store.info.class_names == expected.info.class_names == ("cat", "dog", "object")
        assert store.info.settings["detect"]["backend"] is None
        for ref in (1, 2, 3):
            found, other = store.candidates(ref), expected.candidates(ref)
            assert found.rows.tolist() == other.rows.tolist()
            assert found.boxes_xyxy.tolist() == other.boxes_xyxy.tolist()
            assert found.box_scores.tolist() == other.box_scores.tolist()
            assert np.array_equal(store.candidate_masks(ref), expected.candidate_masks(ref))


def test_an_image_is_asked_for_all_its_names_at_once(make_split):
    make_split(SPLIT).concepts(queries="one_query_per_noun")
    assert ColourDetector.calls == [("dog", "cat"), ("object",)]


def test_a_score_is_times_the_presence_of_its_phrase_and_the_masks_without(make_split):
    split = make_split(SPLIT)
    with MaskStore.open(split.concepts(backend=fake("ColourConcepts", presence={"cat": 0.25}))) as store:
        dog, cat = store.candidates(1), store.candidates(2)
        assert dog.box_scores == pytest.approx([0.5]) and dog.mask_scores == pytest.approx([0.5])
        assert cat.box_scores == pytest.approx([0.6 * 0.25]) and cat.mask_scores == pytest.approx([0.6])
        # order is by the product
        assert store.instances(1).labels.tolist() == [1, 0]


@pytest.mark.parametrize("shards", [1, 2, 5])
def test_every_number_of_shards_gives_the_same_bytes(make_split, shards):
    many = [[[["dog", "cat", "bird"][i % 3]], ["cat"]] for i in range(150)]
    split = make_split(many, sizes=[(24 + i % 3, 32) for i in range(150)], by_phrase=True)
    whole = split.concepts("whole.h5")
    parts = [split.concepts(f"masks{k}.h5", shard=(k, shards)) for k in range(shards)]
    gather(parts, split.folder / "joined.h5")
    assert (split.folder / "joined.h5").read_bytes() == whole.read_bytes()
    with MaskStore.open(whole) as store:
        assert store.info.refs == digest_of(refs_in_order(split.refs, "train"))


def test_one_box_of_a_name_is_left_of_twins(make_split):
    split, twins = make_split([[["dog"]]]), fake("ColourConcepts", twins=True)
    for iou, left in ((None, 2), (0.5, 1)):
        with MaskStore.open(split.concepts(backend=twins, nms_iou=iou)) as store:
            assert len(store.candidates(1)) == left
            assert len(store.candidate_masks(1)) == left


def test_a_photo_that_cannot_be_read_stops_the_job_or_has_no_candidates(make_split, caplog):
    split = make_split([[["dog"]], [["dog"]]])
    (split.images / "1.png").write_bytes(b"not a photo")
    with pytest.raises(SscError, match=r"1\.png is not an image"):
        split.concepts()
    with MaskStore.open(split.concepts(on_bad_image="skip")) as store:
        assert [len(store.candidates(ref)) for ref in (1, 2)] == [1, 0]
    assert "1 photo could not be read, skipped" in caplog.text


def test_a_detector_is_no_concept_segmenter_and_leaves_no_file(make_split):
    split = make_split([[["dog"]]])
    with pytest.raises(SscError, match="ColourDetector' is no ConceptSegmenter: it needs segment_concepts"):
        split.concepts(backend=fake("ColourDetector"))
    broken = fake("ColourConcepts", presence={"dog": 2.0})
    with pytest.raises(SscError, match=r"ColourConcepts\.segment_concepts gave presence .* from 2 to 2"):
        split.concepts(backend=broken)
    assert not (split.folder / "masks.h5").exists()


@pytest.mark.parametrize("way", ["boxes", "concepts"])
def test_a_ref_that_asks_by_phrases_has_the_instances_of_all_of_them(make_split, way):
    split = make_split([[["small dog", "cat"], ["cat"], []]], by_phrase=True)
    path = split.concepts() if way == "concepts" else split.segment(split.detect())
    with MaskStore.open(path) as store:
        names = [[store.info.class_names[label] for label in store.candidates(ref).labels] for ref in (1, 2, 3)]
    assert names == [["cat", "small dog"], ["cat"], ["object"]]


def test_boxes_of_several_phrases_on_one_object_are_one_that_answers_to_all():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 9, 10], [50, 50, 60, 60], [0, 0, 10, 10]], np.float32)
    man, red, kite = np.eye(3, dtype=bool)
    answers, kept = merge_labels(boxes, np.array([man, red, red, kite, man]))
    # the last is of the first one's own name, of which NMS has decided
    assert kept.tolist() == [0, 3, 4]
    assert answers.tolist() == [[True, True, False], [False, False, True], [True, False, False]]


def test_a_merged_instance_is_a_candidate_of_both_refs(make_split):
    split = make_split([[["man"], ["man in red"]]], by_phrase=True)
    with MaskStore.open(split.concepts(backend=fake("SamePlace"))) as store:
        assert len(store.instances(1)) == 1
        assert [store.candidates(ref).rows.tolist() for ref in (1, 2)] == [[0], [0]]
    with MaskStore.open(split.segment(split.detect(backend=fake("SamePlace")), "two.h5")) as store:
        assert [store.candidates(ref).rows.tolist() for ref in (1, 2)] == [[0], [0]]
