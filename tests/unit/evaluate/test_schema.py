from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ssc_core.config.labelling import EvaluateSettings
from ssc_core.errors import SscError
from ssc_core.evaluate.schema import SCHEMA_FILE, json_schema, read_eval, write_eval
from tests.unit.evaluate import test_model


@pytest.fixture
def written(refs: Any, truth: Any, meta: dict[str, Any], tmp_path: Path) -> Path:
    out = tmp_path / "eval_val.json"
    test_model.run(refs, truth, meta, out, settings=EvaluateSettings(bootstrap_samples=5))
    return out


def test_published_schema_is_the_generated_one() -> None:
    assert json.loads(SCHEMA_FILE.read_text()) == json_schema(), "run: python -m ssc_core.evaluate.schema > the file"


def test_files_fit_the_published_schema(written: Path) -> None:
    schema = json.loads(SCHEMA_FILE.read_text())
    content = json.loads(written.read_text())
    jsonschema.validate(content, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content | {"oIoU": 101}, schema)


def test_written_file_reads_back_unchanged(written: Path, tmp_path: Path) -> None:
    content = read_eval(written)
    write_eval(tmp_path / "again.json", content)
    assert (tmp_path / "again.json").read_text() == written.read_text()


@pytest.mark.parametrize(
    ("change", "said"),
    [({"world": "moon"}, "world"), ({"kind": "other"}, "kind"), ({"extra": 1}, "extra"), ({"mIoU": -1}, "mIoU")],
)
def test_damaged_file_is_named(change: dict[str, Any], said: str, written: Path) -> None:
    written.write_text(json.dumps(json.loads(written.read_text()) | change))
    with pytest.raises(SscError, match=rf"(?s){written.name} is no eval file.*{said}"):
        read_eval(written)
