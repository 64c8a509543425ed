"""Candidates and choices of other rows than the table has are not measured: each row's would be another's."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssc_core.config.labelling import CompatSettings, EvaluateSettings
from ssc_core.errors import SscError
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.selection import SelectionWriter
from tests.unit.select.conftest import World
from workflow_scripts import evaluate_chosen, evaluate_masks
from workflow_scripts._evaluation import Evaluation


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_they_are_refused(world: World) -> None:
    moved = world.folder / "moved.h5"
    with SelectionWriter(moved, StoreInfo((), {}, "", {}, "f" * 16)):
        pass
    asked = Evaluation(
        refs=world.refs,
        truth=world.folder / "truth.h5",
        data=world.folder / "data.json",
        split="val",
        settings=EvaluateSettings(),
        chain='{"select": {}}',
        code="",
        report=world.folder / "eval.json",
    )
    with pytest.raises(SscError, match=r"moved\.h5 is of other rows than .*refs\.parquet"):
        evaluate_chosen.main(asked, moved, "corrected")
    with pytest.raises(SscError, match=r"moved\.h5 is of other rows than .*refs\.parquet"):
        evaluate_masks.main(asked, world.masks, [moved], ["selected"], CompatSettings())
