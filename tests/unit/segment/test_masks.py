from __future__ import annotations

import numpy as np
import pytest

from ssc_core.errors import SscError
from ssc_core.masks.gather import gather
from ssc_core.masks.store import MaskStore
from ssc_core.refer.ref_table import refs_in_order
from ssc_core.refer.refs_digest import digest_of
from ssc_core.segment.masks import candidates_of
from ssc_core.segment.tasks import RefQuery
from tests.files import write_nouns
from tests.unit.segment.conftest import fake

NAMES = ("cat", "dog", "object")
LABELS = np.array([0, 1, 1, 2])


@pytest.mark.parametrize(
    ("ref", "mended", "published"),
    [
        (RefQuery(1, "dog", ("dog", "cat")), [1, 2], [0, 1, 2]),
        (RefQuery(2, "cat", ("cat",)), [0], [0]),
        (RefQuery(3, "object", ()), [3], []),
        (RefQuery(4, "bird", ("bird",)), [], []),
    ],
)
def test_candidates_are_of_the_query_and_with_compat_of_any_noun(ref, mended, published):
    assert candidates_of(ref, LABELS, NAMES, any_noun=False).tolist() == mended
    assert candidates_of(ref, LABELS, NAMES, any_noun=True).tolist() == published


def test_masks_and_candidates(make_split):
    split = make_split([[["dog"], ["cat", "cat", "dog"]], [[]]])
    with MaskStore.open(split.segment(split.detect()), with_masks=True) as store:
        assert store.ref_ids.tolist() == [1, 2, 3]
        assert [store.candidates(ref).labels.tolist() for ref in (1, 2, 3)] == [[1], [0], [2]]
        dog = store.candidates(1)
        mask = store.candidate_masks(1)[0]
        assert mask.sum() == 100 and mask[2:12, 0:10].all()
        assert dog.mask_scores == pytest.approx([0.9]) and dog.box_scores == pytest.approx([0.5])


def test_candidates_any_noun_gives_a_ref_the_other_refs_classes_and_object_nothing(make_split):
    split = make_split([[["dog"], ["cat", "cat", "dog"]], [[]]])
    boxes = split.detect()
    with MaskStore.open(split.segment(boxes, any_noun=True)) as store:
        assert [len(store.candidates(ref)) for ref in (1, 2, 3)] == [1, 2, 0]
        assert store.info.settings["compat"]["candidates_any_noun"]


def test_images_without_boxes_are_not_read_and_their_refs_have_no_candidates(make_split):
    split = make_split([[["dog"]], [["dog"]]])
    (split.images / "1.png").write_bytes(b"not a photo")
    boxes = split.detect(on_bad_image="skip")
    with MaskStore.open(split.segment(boxes)) as store:
        assert store.image_ids.tolist() == [1, 2]
        assert [len(store.candidates(ref)) for ref in (1, 2)] == [1, 0]


@pytest.mark.parametrize("shards", [1, 2, 5])
def test_every_number_of_shards_gives_the_same_bytes(make_split, shards):
    many = [[[["dog", "cat", "bird"][i % 3]], ["cat"]] for i in range(150)]
    split = make_split(many, sizes=[(24 + i % 3, 32) for i in range(150)])
    whole = split.segment(split.detect("whole.h5"), "whole_masks.h5")
    parts = [split.segment(split.detect(f"boxes{k}.h5", shard=(k, shards)), f"masks{k}.h5") for k in range(shards)]
    gather(parts, split.folder / "joined.h5")
    assert (split.folder / "joined.h5").read_bytes() == whole.read_bytes()
    with MaskStore.open(whole) as store:
        assert store.info.refs == digest_of(refs_in_order(split.refs, "train"))


def test_masks_of_another_size_than_the_photo_are_an_error(make_split):
    split = make_split([[["dog"]]])
    with pytest.raises(
        SscError, match=r"segmenter .*gave bool \(1, 40, 40\) as masks for image 1 of 1, not .* bool \(1, 24, 32\)"
    ):
        split.segment(split.detect(), backend=fake("FilledBoxes", shape=[40, 40]))


def test_boxes_of_other_refs_are_an_error(make_split, tmp_path):
    from tests.files import read_nouns

    split = make_split([[["dog"]], [["dog"]]])
    boxes = split.detect()
    write_nouns(split.nouns, read_nouns(split.nouns).head(1).to_dict("records"))
    with pytest.raises(SscError, match="run detect_boxes again"):
        split.segment(boxes)
