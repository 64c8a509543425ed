from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ssc_core.config.methods import PHASES
from ssc_core.errors import SscError
from ssc_core.report import curves
from ssc_core.report.curves import draw_curves, write_learning
from ssc_core.report.figures import panels


@pytest.fixture
def logs(tmp_path: Path) -> list[Path]:
    """A phase of 30 steps and one of 20."""
    for name, steps in (("pretrain", 30), ("correct", 20)):
        x = np.arange(1, steps + 1)
        log = {"step": x, "epoch": x // 10, "loss": 2 / x, "lr": 1e-3 / x, "soft_iou": x / 40, "val_oIoU": np.nan}
        pd.DataFrame(log).to_csv(tmp_path / f"{name}.csv", index=False)
    return [tmp_path / "pretrain.csv", tmp_path / "correct.csv"]


@pytest.fixture
def matching(tmp_path: Path) -> Path:
    table = {"epoch": [0, 1], "pairs": 4, "accuracy": [0.5, 0.9], "with_choice": 2, "accuracy_with_choice": [0.4, 0.8]}
    pd.DataFrame(table).to_csv(tmp_path / "correct.matching.csv", index=False)
    return tmp_path / "correct.matching.csv"


def test_phases_follow_each_other(logs: list[Path]) -> None:
    _, (axis,) = panels(4, 3)
    for start, path in zip((0, 30), logs, strict=True):
        curves.draw_steps(axis, pd.read_csv(path), "loss", colour="k", label=curves._title(path), start=start)
    each, first, _, second = axis.lines
    assert (first.get_xdata()[0], first.get_xdata()[-1]) == (1, 30)
    assert (second.get_xdata()[0], second.get_xdata()[-1]) == (31, 50)
    assert [line.get_label() for line in (first, second)] == [PHASES["pretrain"].title, PHASES["correct"].title]
    assert each.get_ydata()[0] == first.get_ydata()[0] == 2


def test_the_mean_runs_and_the_highest_steps_do_not_set_the_scale() -> None:
    log = pd.DataFrame({"step": range(1, 401), "loss": [100.0] + [1.0, 3.0] * 199 + [1.0]})
    _, (axis,) = panels(4, 3)
    curves.draw_steps(axis, log, "loss", colour="k")
    assert axis.lines[1].get_ydata()[200] == pytest.approx(2.0), "over 10 of 400 steps"
    assert axis.get_ylim() == pytest.approx((0, 3.3))


def test_the_picture(logs: list[Path], matching: Path, tmp_path: Path) -> None:
    draw_curves(logs, [matching], tmp_path / "with.png")
    draw_curves(logs, [], tmp_path / "without.png")
    pictures = [np.asarray(Image.open(tmp_path / name).convert("L")) for name in ("with.png", "without.png")]
    assert pictures[0].shape == pictures[1].shape
    height, width = pictures[0].shape
    corner = [picture[height // 2 :, width // 2 :] for picture in pictures]
    assert (corner[0] < 250).mean() > 0.01
    assert (corner[1] < 250).mean() < 0.001  # but for the ends of the labels beside it


def test_an_empty_log_is_named(tmp_path: Path) -> None:
    (tmp_path / "correct.csv").write_text("step,epoch,loss,lr,soft_iou\n")
    with pytest.raises(SscError, match=r"correct\.csv has no steps"):
        draw_curves([tmp_path / "correct.csv"], [], tmp_path / "x.png")
    assert not (tmp_path / "x.png").exists()


def test_learning(tmp_path: Path) -> None:
    matching = []
    for seed, end in enumerate((0.6, 0.8)):
        (tmp_path / f"seed{seed}").mkdir()
        matching.append(tmp_path / f"seed{seed}" / "correct.matching.csv")
        pd.DataFrame({"epoch": [0, 1], "accuracy": [0.4, end]}).to_csv(matching[-1])
    losses = [tmp_path / "correct.csv"]
    pd.DataFrame({"step": range(50), "loss": range(50)}).to_csv(losses[0])
    out = tmp_path / "learning.svg"
    write_learning(matching, losses, out, where="refcoco val")
    assert "<svg" in out.read_text()
    first = out.read_bytes()
    write_learning(matching, losses, out, where="refcoco val")
    assert out.read_bytes() == first, "the same figures give the same file"
