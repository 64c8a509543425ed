"""Going on with published checkpoints: files as the published training code leaves them, by the description of it."""

from __future__ import annotations

import argparse
import copy
import csv
from pathlib import Path

import pytest
import torch

from ssc_core.config.labelling import CompatSettings
from ssc_core.config.training import TrainSettings
from ssc_core.correct.checkpoints import Checkpoint, load_published, load_segmenter
from ssc_core.correct.losses import chosen_loss
from ssc_core.correct.resume import read_resumed
from ssc_core.correct.run_state import RunState
from ssc_core.correct.text import ReferringSegmenter
from ssc_core.correct.trainer import Run, Trainer
from ssc_core.errors import SscError
from tests.unit.correct.test_checkpoints import published, segmenter
from tests.unit.correct.test_train_stage import files, run  # noqa: F401
from tests.unit.correct.toy import make_items

RATE = 3e-4


def published_optimizer(model: ReferringSegmenter, layers: int, *, in_one: bool = False, **options):
    """AdamW over groups as published: all of the backbone's parameters, those without gradient too."""
    backbone = list(model.lavt.backbone.named_parameters())
    free = [p for name, p in backbone if "norm" in name or "relative_position_bias_table" in name]
    decayed = [p for name, p in backbone if not ("norm" in name or "relative_position_bias_table" in name)]
    decoder = list(model.lavt.classifier.parameters())
    bert = [p for layer in model.bert.encoder.layer[:layers] for p in layer.parameters()]
    groups = [decayed + decoder + bert, free] if in_one else [free, decayed, decoder, bert]
    decay = [0.0 if group is free else 1e-2 for group in groups]
    named = [{"params": group, "weight_decay": value} for group, value in zip(groups, decay, strict=True)]
    return torch.optim.AdamW(named, lr=RATE, **options)


def step(model: ReferringSegmenter, optimizer: torch.optim.Optimizer, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        gradient = torch.randn(parameter.shape, generator=generator)
        parameter.grad = torch.empty_like(parameter).copy_(gradient) if parameter.requires_grad else None
    optimizer.step()


def save_stopped(path: Path, model: ReferringSegmenter, **entries: object) -> None:
    """As the published code leaves it where it stops."""
    args = argparse.Namespace(mha="-".join(map(str, model.lavt.fusion_heads)))
    torch.save(published(model, args=args, **entries), path)


def trained(path: Path, epoch: int = 1, steps: int = 7, **options) -> tuple[ReferringSegmenter, torch.optim.Optimizer]:
    model = segmenter(bert_heads=1)
    optimizer = published_optimizer(model, layers=1, **options)
    for seed in range(2):
        step(model, optimizer, seed)
    schedule = {"base_lrs": [RATE] * 4, "last_epoch": steps}
    save_stopped(path, model, epoch=epoch, optimizer=optimizer.state_dict(), lr_scheduler=schedule)
    return model, optimizer


def train_settings(path: Path, **changes) -> TrainSettings:
    common = {"loss": "random_ce", "epochs": 4, "batch_samples": 2, "keep": "last"}
    return TrainSettings(**common, init_from=str(path), resume=True, **changes)


@pytest.mark.parametrize("options", [{}, {"in_one": True}, {"amsgrad": True}])
def test_the_next_step_is_that_of_the_training_that_was_stopped(tmp_path: Path, options: dict) -> None:
    path = tmp_path / "x.pth"
    stopped, optimizer = trained(path, **options)
    model = copy.deepcopy(stopped)
    chosen = train_settings(path, amsgrad=options.get("amsgrad", False))
    trainer = Trainer(
        model, make_items(tmp_path), chosen_loss(chosen, CompatSettings()), chosen, CompatSettings(),
        Run(state=RunState(tmp_path / "state", {"data": "x"})), resumed=read_resumed(load_published(path), model, path),
    )  # fmt: skip
    trainer._resume()
    for group in (*trainer.optimizer.param_groups, *optimizer.param_groups):
        group["lr"] = RATE
    step(stopped, optimizer, 5)
    step(model, trainer.optimizer, 5)
    for (name, mine), theirs in zip(model.named_parameters(), stopped.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-7, msg=name)


def test_epoch_and_schedule_go_on(files: Path, tmp_path: Path) -> None:  # noqa: F811
    run(files, tmp_path / "a.pt", settings={"loss": "random_ce"}, selected=files / "selected.h5")
    model = load_segmenter(tmp_path / "a.pt")
    model.bert.train_only_first(1)
    for parameter in model.parameters():  # as published: the frozen ones are in the file, without a state
        parameter.grad = torch.ones_like(parameter) if parameter.requires_grad else None
    optimizer = published_optimizer(model, layers=1)
    optimizer.step()
    path, schedule = tmp_path / "x.pth", {"base_lrs": [RATE], "last_epoch": 3}
    save_stopped(path, model, epoch=1, optimizer=optimizer.state_dict(), lr_scheduler=schedule)
    settings = {"loss": "random_ce", "epochs": 4, "resume": True, "init_from": str(path)}
    run(files, tmp_path / "b.pt", settings=settings, selected=files / "selected.h5", init=path)
    rows = list(csv.DictReader((tmp_path / "b.csv").open()))
    assert [(row["step"], row["epoch"]) for row in rows] == [("5", "2"), ("6", "2"), ("7", "3"), ("8", "3")]
    assert [float(row["lr"]) for row in rows] == pytest.approx([RATE * (1 - k / 8) ** 0.9 for k in (3, 4, 5, 6)], 1e-4)
    with pytest.raises(SscError, match="has 2 finished epochs; set `epochs` to more"):
        run(files, tmp_path / "b.pt", settings=settings | {"epochs": 2}, selected=files / "selected.h5", init=path)


def test_what_cannot_be_gone_on_with_is_said(tmp_path: Path) -> None:
    model, _ = trained(tmp_path / "x.pth")
    whole = load_published(tmp_path / "x.pth")

    def resumed(**changes):
        parts = {name: getattr(whole, name) for name in ("model", "bert_model", "epoch", "optimizer", "lr_scheduler")}
        return read_resumed(Checkpoint(**{**parts, **changes}), model, "x.pth")

    assert resumed().epochs == 2
    for changes in ({"optimizer": None}, {"lr_scheduler": {}}, {"epoch": None}):
        with pytest.raises(SscError, match=r"x\.pth has no optimizer, schedule and epoch"):
            resumed(**changes)
    with pytest.raises(SscError, match="not of the published form"):
        resumed(lr_scheduler={"base_lrs": [1.0]})
    groups = whole.optimizer["param_groups"]
    for spoiled in (groups[:3], [{"params": groups[0]["params"][1:]}, *groups[1:]]):
        with pytest.raises(SscError, match=r"parameters are not those of this network; check `network\.trainable"):
            resumed(optimizer={**whole.optimizer, "param_groups": spoiled})
    first = {
        **whole.optimizer["state"][0],
        "exp_avg": torch.full_like(whole.optimizer["state"][0]["exp_avg"], torch.nan),
    }
    with pytest.raises(SscError, match="not finite"):
        resumed(optimizer={**whole.optimizer, "state": {**whole.optimizer["state"], 0: first}})
    with pytest.raises(ValueError, match="`resume` goes on where"):
        TrainSettings(resume=True)
