from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssc_core.config.sources import DatasetSource
from ssc_core.errors import SscError
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.selection import ScoreStore, ScoreStoreWriter, SelectionStore, SelectionWriter
from ssc_core.masks.store import MaskStore, MaskStoreWriter
from ssc_core.refer.ref_table import refs_in_order
from ssc_core.refer.refs_digest import Store, TableRefs, digest_of
from tests.unit.refer.conftest import Index

ROWS = ["a.png,a cup|the cup,train", "sub/b.png,a dog,train", "a.png,a cat,val"]
SIZE = (6, 4)
"""Of the photos."""


def indexed(made: Index, photos: Path, rows: list[str]) -> TableRefs:
    table = photos.parent / "refs.csv"
    table.write_text("\n".join(["image,sentences,split", *rows]) + "\n")
    made.build(DatasetSource(layout="table", file=table, images=photos))
    return TableRefs(made.refs, "train")


def digest(made: Index, photos: Path, rows: list[str], ids: Sequence[int] = (1, 2)) -> str:
    return indexed(made, photos, rows).digest(np.array(ids))


def files(folder: Path, refs: str, size: tuple[int, int] = SIZE) -> list[Store]:
    """selected.h5, scores.h5 and masks.h5 of refs 1 and 2, without candidates."""
    info = StoreInfo(("thing",), {}, "", {}, refs)
    selected, scores, masks = (folder / f"{name}.h5" for name in ("selected", "scores", "masks"))
    with (
        SelectionWriter(selected, info) as selection,
        ScoreStoreWriter(scores, info) as scored,
        MaskStoreWriter(masks, info, with_masks=True) as found,
    ):
        none = {"boxes_xyxy": [], "box_scores": [], "labels": [], "rles": [], "mask_scores": []}
        for ref in (1, 2):
            selection.append_ref(ref, image_id=ref, size=size, chosen=[-1], scores=np.zeros((1, 0)), rles=[None])
            scored.append_ref(ref, np.zeros((1, 0)), np.zeros(0))
            found.append_image(ref, size, candidates={ref: []}, **none)
    return [SelectionStore(selected), ScoreStore(scores), MaskStore.open(masks)]


def test_rows_of_other_splits_and_after_these_change_nothing(photo_folder: Path, index: Index) -> None:
    before = digest(index, photo_folder, ROWS)
    assert digest(index, photo_folder, ROWS[:2]) == before
    more = [*ROWS, "a.png,a hat,train"]
    assert digest(index, photo_folder, more) == before
    assert digest(index, photo_folder, more, ids=[1, 2, 4]) != before


@pytest.mark.parametrize(
    "rows",
    [
        ["a.png,a hat,train", *ROWS],
        [ROWS[1], ROWS[0], ROWS[2]],
        [ROWS[0], "sub/b.png,the dog,train"],
        [ROWS[0], "a.png,a dog,train"],
        ["a.png,the cup|a cup,train", *ROWS[1:]],
        [ROWS[0]],
    ],
)
def test_refs_that_moved_or_changed_are_others(photo_folder: Path, index: Index, rows: list[str]) -> None:
    assert digest(index, photo_folder, rows) != digest(index, photo_folder, ROWS)


def test_a_photo_of_another_size_is_another(photo_folder: Path, index: Index) -> None:
    before = digest(index, photo_folder, ROWS)
    Image.new("RGB", (4, 6)).save(photo_folder / "a.png")
    assert digest(index, photo_folder, ROWS) == before
    Image.new("RGB", (4, 7)).save(photo_folder / "a.png")
    assert digest(index, photo_folder, ROWS) != before


def test_the_order_of_refs_is_nothing_to_their_digest(photo_folder: Path, index: Index) -> None:
    own = digest(index, photo_folder, ROWS)
    assert digest(index, photo_folder, ROWS, ids=[2, 1]) == own
    refs = list(refs_in_order(index.refs, "train"))
    assert digest_of(refs) == digest_of(refs[::-1]) == own


def test_files_of_these_rows_are_taken_and_of_others_refused(photo_folder: Path, index: Index, tmp_path: Path) -> None:
    for name in ("a.png", "sub/b.png"):
        Image.new("RGB", SIZE[::-1]).save(photo_folder / name)
    stores = files(tmp_path, digest(index, photo_folder, ROWS))
    TableRefs(index.refs, "train").check(*stores)
    TableRefs(index.refs).check(*stores)
    digest(index, photo_folder, [*ROWS, "a.png,a hat,train"])
    TableRefs(index.refs, "train").check(*stores)
    digest(index, photo_folder, [ROWS[1], ROWS[0], ROWS[2]])
    moved = TableRefs(index.refs, "train")
    assert [moved.has(store) for store in stores] == [False] * 3
    with pytest.raises(SscError, match=r"selected\.h5 is of other rows than .*refs\.parquet.*snakemake .*selected\.h5"):
        moved.check(*stores)
    with pytest.raises(SscError, match=r"selected\.h5 is of other rows"):
        TableRefs(index.refs, "val").check(*stores)


def test_of_files_that_do_not_say_the_photos_sizes_count(photo_folder: Path, index: Index, tmp_path: Path) -> None:
    for name in ("a.png", "sub/b.png"):
        Image.new("RGB", SIZE[::-1]).save(photo_folder / name)
    digest(index, photo_folder, ROWS)
    table = TableRefs(index.refs, "train")
    assert [table.has(store) for store in files(tmp_path, "")] == [True] * 3
    others = files(tmp_path, "", (7, 4))
    assert [table.has(store) for store in others] == [False, True, False], "scores have no sizes"
    digest(index, photo_folder, ROWS[:1])
    assert [TableRefs(index.refs, "train").has(store) for store in others] == [False] * 3
