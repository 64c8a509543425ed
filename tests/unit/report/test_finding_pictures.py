from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from ssc_core.masks.selection import SelectionStore
from ssc_core.masks.store import MaskStore
from ssc_core.refer.ref_table import open_photos
from ssc_core.refer.truth import TruthStore
from ssc_core.report.examples import ExampleFiles, beside_picks
from ssc_core.report.finding_pictures import repairs, write_repaired_picture
from tests.unit.report.conftest import PHOTOS


@pytest.fixture
def compared(results: Path) -> pd.DataFrame:
    folder = results / "refcoco"
    return beside_picks(
        pd.read_parquet(folder / "eval_val.parquet"), pd.read_parquet(folder / "eval_masks_val.parquet")
    )


@pytest.fixture
def sources(results: Path, photos_folder: Path) -> Iterator[ExampleFiles]:
    folder = results / "refcoco"
    with MaskStore(folder / "val" / "masks.h5") as masks, SelectionStore(folder / "val" / "selected.h5") as selected:
        photos = open_photos(folder / "refs.parquet", photos_folder)
        yield ExampleFiles(photos, TruthStore(folder / "truth.h5"), masks, selected)


def test_repairs(compared: pd.DataFrame) -> None:
    # Select always takes the left disc; the network knows "left" and "right" and answers "disc" with nothing
    assert repairs(compared) == {"wrong": PHOTOS, "repaired": PHOTOS, "right": 2 * PHOTOS, "lost": PHOTOS}


def test_picture(compared: pd.DataFrame, sources: ExampleFiles, tmp_path: Path) -> None:
    out = tmp_path / "repaired.png"
    write_repaired_picture(compared, sources, out, where="refcoco val", count=4)
    with Image.open(out) as picture:
        assert picture.width > picture.height / 2


def test_where_nothing_was_repaired_the_picture_says_so(
    compared: pd.DataFrame, sources: ExampleFiles, tmp_path: Path
) -> None:
    out = tmp_path / "x.png"
    write_repaired_picture(compared.assign(iou_native=0.0), sources, out, where="refcoco val")
    with Image.open(out) as picture:
        assert 20 < picture.height < 200, "a title, and no examples"
