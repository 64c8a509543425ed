"""Shards are joined to the same bytes, however many there are."""

from __future__ import annotations

import dataclasses
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from ssc_core.errors import SscError
from ssc_core.masks.gather import gather, gather_scores
from ssc_core.masks.selection import ScoreStore, ScoreStoreWriter
from ssc_core.masks.store import MaskStore

IDS = [5, 1, 9, 3, 8, 2, 7, 0, 11, 6]


def shards(photos, folder: Path, count: int, **kwargs) -> list[Path]:
    return [photos.write(folder / f"{i}of{count}.h5", IDS[i::count], **kwargs) for i in range(count)]


@pytest.mark.parametrize("with_masks", [True, False])
def test_any_number_of_shards_gives_the_same_bytes(with_masks: bool, photos, tmp_path: Path) -> None:
    whole = photos.write(tmp_path / "whole.h5", sorted(IDS), with_masks=with_masks).read_bytes()
    for count in (1, 2, 5):
        out = tmp_path / f"{count}.h5"
        gather(shards(photos, tmp_path, count, with_masks=with_masks), out)
        assert out.read_bytes() == whole


def test_more_shards_than_files_may_be_open(photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = photos.write(tmp_path / "whole.h5", sorted(IDS), with_masks=True).read_bytes()
    parts, most = shards(photos, tmp_path, 6), []
    stores: list[MaskStore] = []
    start, open_file = MaskStore.__init__, MaskStore._open

    def noting(store: MaskStore):
        file = open_file(store)
        most.append(1 + sum(other._file is not None for other in stores if other is not store))
        return file

    def started(store: MaskStore, *args: object) -> None:
        start(store, *args)
        stores.append(store)

    monkeypatch.setattr("ssc_core.masks.gather.MOST_OPEN", 2)
    monkeypatch.setattr(MaskStore, "_open", noting)
    monkeypatch.setattr(MaskStore, "__init__", started)
    gather(parts, tmp_path / "out.h5")
    assert (tmp_path / "out.h5").read_bytes() == whole
    assert max(most) == 3 and len(most) > 6


def test_order_and_content(photos, tmp_path: Path) -> None:
    gather(shards(photos, tmp_path, 3), tmp_path / "out.h5")
    with MaskStore.open(tmp_path / "out.h5", with_masks=True) as store:
        assert store.image_ids.tolist() == sorted(IDS)
        for image_id in IDS:
            np.testing.assert_array_equal(
                store.masks(store.instances(image_id).rows).sum(), photos.masks(image_id).sum()
            )
            np.testing.assert_array_equal(store.candidate_masks(10 * image_id), photos.masks(image_id)[::-1])
            assert store.all_refs_of(image_id) == [10 * image_id, 10 * image_id + 1]


def test_masks_are_not_decoded(photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = shards(photos, tmp_path, 2)
    monkeypatch.setattr("pycocotools.mask.decode", lambda *_: pytest.fail("decoded"))
    gather(parts, tmp_path / "out.h5")


def test_memory_does_not_grow_with_the_split(photos, tmp_path: Path) -> None:
    def peak(images: int) -> int:
        part = photos.write(tmp_path / f"{images}.h5", list(range(images)))
        tracemalloc.start()
        gather([part], tmp_path / "out.h5")
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    few, many = peak(50), peak(250)
    index_bytes_an_image = 500
    assert many - few < 200 * index_bytes_an_image


@pytest.mark.parametrize(
    ("field", "value"),
    [("settings", {"box_threshold": 0.3}), ("code", "0ther"), ("models", {}), ("class_names", ("a", "b"))],
)
def test_parts_made_differently_are_refused(field: str, value: object, photos, tmp_path: Path) -> None:
    one = photos.write(tmp_path / "one.h5", [1])
    two = photos.write(tmp_path / "two.h5", [2], info=dataclasses.replace(photos.info, **{field: value}))
    with pytest.raises(SscError, match=f"different {field}"):
        gather([one, two], tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()


def test_what_is_joined_is_about_the_refs_of_all_parts(photos, tmp_path: Path) -> None:
    def joined(*digests: str) -> str:
        parts = [
            photos.write(tmp_path / f"{i}.h5", [i], info=dataclasses.replace(photos.info, refs=one))
            for i, one in enumerate(digests)
        ]
        gather(parts, tmp_path / "out.h5")
        return MaskStore.open(tmp_path / "out.h5").info.refs

    assert joined("000000000000000f", "fffffffffffffff2") == "0000000000000001"
    assert joined("000000000000000f", "") == "", "one does not say"


def test_parts_of_different_kinds_are_refused(photos, tmp_path: Path) -> None:
    masks, boxes = photos.write(tmp_path / "m.h5", [1]), photos.write(tmp_path / "b.h5", [2], with_masks=False)
    with pytest.raises(SscError, match="cannot join"):
        gather([masks, boxes], tmp_path / "out.h5")


def test_an_image_in_two_parts_is_refused(photos, tmp_path: Path) -> None:
    parts = [photos.write(tmp_path / "one.h5", [1, 2]), photos.write(tmp_path / "two.h5", [2, 3])]
    with pytest.raises(SscError, match=r"image 2 is in .*one.h5 and in .*two.h5"):
        gather(parts, tmp_path / "out.h5")


def test_no_parts(tmp_path: Path) -> None:
    with pytest.raises(SscError, match="no parts"):
        gather([], tmp_path / "out.h5")


def test_scores(photos, tmp_path: Path) -> None:
    def write(path: Path, ref_ids: list[int]) -> Path:
        with ScoreStoreWriter(path, photos.info) as writer:
            for ref in ref_ids:
                writer.append_ref(ref, np.full((3, ref % 4), ref), np.arange(ref % 4))
        return path

    for count in (1, 2, 5):
        gather_scores([write(tmp_path / f"p{i}.h5", IDS[i::count]) for i in range(count)], tmp_path / f"{count}.h5")
    whole = write(tmp_path / "whole.h5", sorted(IDS)).read_bytes()
    assert [(tmp_path / f"{count}.h5").read_bytes() == whole for count in (1, 2, 5)] == [True] * 3
    with ScoreStore(tmp_path / "5.h5") as store:
        np.testing.assert_array_equal(store.scores(11), np.full((3, 3), 11))
    with pytest.raises(SscError, match="ref 0 is in"):
        gather_scores([tmp_path / "1.h5", tmp_path / "2.h5"], tmp_path / "twice.h5")
