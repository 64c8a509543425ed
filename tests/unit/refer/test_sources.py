from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ssc_core.config.sources import DatasetSource
from ssc_core.errors import SscError
from ssc_core.refer.sources import data_digest, open_source


def test_refer_paths() -> None:
    source = DatasetSource(layout="refer", root="data", name="refcocog", split_by="umd")
    assert source.annotation_files == (Path("data/refcocog/refs(umd).p"), Path("data/refcocog/instances.json"))
    assert source.images_folder == Path("data/images/mscoco/images/train2014")
    assert not source.upright


def test_named_paths_win() -> None:
    source = DatasetSource(
        layout="refer", root="d", name="refcoco", split_by="unc", instances="i.json", images="photos"
    )
    assert source.annotation_files[1] == Path("i.json")
    assert source.images_folder == Path("photos")


def test_table_paths() -> None:
    source = DatasetSource(layout="table", file="mine.csv", images="photos")
    assert source.annotation_files == (Path("mine.csv"),)
    assert source.images_folder == Path("photos")
    assert source.upright


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"layout": "refer", "root": "d"}, "needs name, split_by"),
        ({"layout": "table", "file": "mine.csv"}, "needs images"),
        ({"layout": "table", "file": "mine.csv", "images": "p", "root": "d"}, "does not use root"),
        ({"layout": "refer", "root": "d", "name": "n", "split_by": "unc", "split": "val"}, "does not use split"),
        ({"layout": "refer", "root": "d", "name": "n", "split_by": "../unc"}, "split_by"),
        ({"layout": "folder"}, "layout"),
        ({"layout": "table", "file": "mine.csv", "images": "p", "colour": 1}, "colour"),
    ],
)
def test_fields_that_do_not_fit_the_layout(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DatasetSource(**fields)


def test_survives_json_and_is_frozen() -> None:
    source = DatasetSource(layout="table", file="mine.csv", images="photos", split="val")
    assert DatasetSource.model_validate(json.loads(source.model_dump_json())) == source
    with pytest.raises(ValidationError, match="frozen"):
        source.split = "train"  # type: ignore[misc]


def test_every_field_is_described() -> None:
    assert all(field.description for field in DatasetSource.model_fields.values())


def test_open_source_reads_either_layout(refer_folder: Any, photo_folder: Path, tmp_path: Path) -> None:
    assert len(open_source("tiny", refer_folder.source).refs) == 3
    (tmp_path / "mine.csv").write_text("image,sentences\na.png,dog\n")
    source = DatasetSource(layout="table", file=tmp_path / "mine.csv", images=photo_folder, split="test")
    assert [ref.split for ref in open_source("mine", source).refs] == ["test"]


def test_errors_name_the_dataset(tmp_path: Path) -> None:
    source = DatasetSource(layout="refer", root=tmp_path, name="refcoco", split_by="unc")
    with pytest.raises(SscError, match=r"^dataset 'mine': "):
        open_source("mine", source)


def test_digest_follows_content_not_place(refer_folder: Any, tmp_path: Path) -> None:
    before = data_digest(refer_folder.source)
    moved = shutil.copytree(refer_folder.root, tmp_path / "moved")
    assert data_digest(DatasetSource(layout="refer", root=moved, name="tiny", split_by="unc")) == before
    refer_folder.refs[0]["split"] = "train"
    assert data_digest(refer_folder.write().source) != before


def test_digest_of_missing_files(tmp_path: Path) -> None:
    source = DatasetSource(layout="table", file=tmp_path / "gone.csv", images=tmp_path)
    with pytest.raises(SscError, match=r"cannot read .*gone\.csv"):
        data_digest(source)


def test_import_is_light() -> None:
    code = "import sys, ssc_core.refer.sources; print({'numpy', 'pandas', 'PIL', 'h5py', 'torch'} & set(sys.modules))"
    root = Path(__file__).parents[3]
    result = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
