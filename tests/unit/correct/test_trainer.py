from __future__ import annotations

import csv
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import Mock, patch

import numpy as np
import pytest
import torch

from ssc_core.config.labelling import CompatSettings
from ssc_core.config.training import TrainSettings
from ssc_core.correct.losses import chosen_loss
from ssc_core.correct.plan import make_plan
from ssc_core.correct.resume import Resumed
from ssc_core.correct.run_state import RunState
from ssc_core.correct.trainer import LOG_COLUMNS, Run, Trainer
from ssc_core.errors import SscError
from tests.unit.correct import toy_run
from tests.unit.correct.toy import TinySegmenter, make_items

HERE = Path(__file__).parent
OFF = CompatSettings()


def settings(loss: str = "greedy_ce", **changes) -> TrainSettings:
    defaults = {"epochs": 2, "batch_samples": 8, "lr": 5e-3, "keep": "last", "precision": "fp32", "dice_weight": 1.0}
    return TrainSettings(loss=loss, **(defaults | changes))


def trainer(
    folder: Path, items, chosen: TrainSettings, *, model=None, loss=None, state="state", compat=OFF, **options
) -> Trainer:
    torch.manual_seed(0)
    model = model or TinySegmenter()
    loss = loss or chosen_loss(chosen, OFF)
    data = {name: options.pop(name) for name in ("val_items", "resumed") if name in options}
    run = Run(state=RunState(folder / state, {"data": "x"}), **options)
    return Trainer(model, items, loss, chosen, compat, run, **data)


def rows(folder: Path, state: str = "state") -> list[dict[str, str]]:
    return list(csv.DictReader((folder / state / "log.csv").open()))


def start_toy_run(python: Path, folder: Path, *arguments: object, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [str(python), "-m", "tests.unit.correct.toy_run", str(folder), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(HERE.parents[2]), "OMP_NUM_THREADS": "1", **environment},
        stderr=subprocess.PIPE,
        text=True,
    )


def start_pair(python: Path, folder: Path, *arguments: list[object]) -> list[subprocess.Popen]:
    """Two toy runs with the variables that torchrun sets. arguments: of each."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return [
        start_toy_run(python, folder, *own, RANK=str(rank), LOCAL_RANK=str(rank), **shared)
        for rank, own in enumerate(arguments)
    ]


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_supervised_training_overfits_four_photos(tmp_path):
    items = make_items(tmp_path, only_true=True)
    run = trainer(tmp_path, items, settings("supervised", epochs=70, keep="best"), val_items=items)
    assert run.fit()["best_val_oIoU"] > 80


def test_constrained_matching_finds_out_which_square_is_meant(tmp_path):
    """No sample is ever told its square. The constraints do it, and without them it stays at chance."""
    found = {}
    for loss in ("greedy_ce", "greedy_no_constraints"):
        items, truth = make_items(tmp_path, images=12), make_items(tmp_path, images=12, only_true=True)
        run = trainer(tmp_path, items, settings(loss, epochs=25, keep="best"), val_items=truth, state=loss)
        found[loss] = run.fit()["best_val_oIoU"]
    assert found["greedy_ce"] > 75
    assert found["greedy_no_constraints"] < 60


def test_mirrored_photos_teach_as_those_that_were_mirrored_before(tmp_path, one_thread):
    """All of them, to the bit; and a share of them something else than all or none."""
    learned = {}
    for name, mirror, turned in (
        ("all", 1.0, False),
        ("before", 0.0, True),
        ("half", 0.5, False),
        ("none", 0.0, False),
    ):
        (tmp_path / name).mkdir()
        items = make_items(tmp_path / name, mirror=mirror > 0, turned=turned)
        run = trainer(tmp_path / name, items, settings(mirror=mirror))
        run.fit()
        learned[name] = toy_run.sha256(run.model)
    assert learned["all"] == learned["before"]
    assert len(set(learned.values())) == 3


def test_a_run_that_was_killed_ends_with_the_same_bits(tmp_path, one_thread, warm):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    process = start_toy_run(warm, killed, 4, 0, 6)
    undisturbed = toy_run.main(whole, 4, 10)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == -signal.SIGKILL, errors
    assert len(rows(killed)) == 5
    assert toy_run.main(killed, 4, 0) == undisturbed
    for name in ("log.csv", "matches.txt"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()


def test_a_run_that_is_asked_to_end_saves_what_it_has(tmp_path, one_thread, warm):
    whole, ended = tmp_path / "whole", tmp_path / "ended"
    whole.mkdir()
    ended.mkdir()
    process = start_toy_run(warm, ended, 4, 10, 6, int(signal.SIGTERM))  # states are ten minutes apart
    undisturbed = toy_run.main(whole, 4, 10)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == -signal.SIGTERM, errors
    assert len(rows(ended)) == 6  # that step, too
    assert RunState(ended / "state", {"data": "toy"}).load()["progress"]["step"] == 6
    assert toy_run.main(ended, 4, 10) == undisturbed
    for name in ("log.csv", "matches.txt"):
        assert (ended / name).read_bytes() == (whole / name).read_bytes()


def test_photos_that_do_not_fit_in_memory_are_trained_on_with_the_same_bits(tmp_path, one_thread, monkeypatch):
    """Workers draw nothing from the generator that a step has seeded, at its first batch neither."""
    found = []
    for name, cache in (("memory", 2**30), ("workers", 0)):
        monkeypatch.setattr("ssc_core.correct.items.CACHE_BYTES", cache)
        items = make_items(tmp_path, images=6)
        run = trainer(tmp_path, items, settings(epochs=1, batch_samples=4, max_samples_per_pass=2), state=name)
        assert items.fits_in_memory == bool(cache)
        run.fit()
        found.append(toy_run.sha256(run.model))
    assert found[0] == found[1]


def test_two_processes_train_as_one(tmp_path, one_thread, warm):
    """Two CPU processes with the variables that torchrun sets: the loss curve of one with the same effective batch."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    pair = start_pair(warm, two, [3, 10], [3, 10])
    toy_run.main(one, 3, 10, dropout=0.0)
    for process in pair:
        _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors
    expected, got = (list(csv.DictReader((folder / "log.csv").open())) for folder in (one, two))
    assert len(got) == len(expected) == 9
    for a, b in zip(expected, got, strict=True):
        assert (a["step"], a["samples"], a["matched"], a["lr"]) == (b["step"], b["samples"], b["matched"], b["lr"])
        assert float(b["loss"]) == pytest.approx(float(a["loss"]), rel=1e-3)
    assert (one / "matches.txt").read_text() == (two / "matches.txt").read_text()


def test_one_process_that_is_asked_to_end_ends_all_and_the_state_is_saved(tmp_path, warm):
    """Signals of a scheduler reach the machines of a job one after another."""
    pair = start_pair(warm, tmp_path, [3, 10], [3, 10, 4, int(signal.SIGTERM)])
    for process in pair:
        _, errors = process.communicate(timeout=600)
        assert process.returncode == -signal.SIGTERM, errors
    assert RunState(tmp_path / "state", {"data": "toy"}).load()["progress"]["step"] == 4


def test_a_log_is_cut_where_the_saved_state_is_also_of_a_training_that_began_later(tmp_path):
    state = RunState(tmp_path / "state", {"data": "x"})
    state.start_log(["step", "loss"], 100)  # 100 steps were another one's
    for step in range(101, 106):
        state.log([step, 0.5])
    with (tmp_path / "state" / "log.csv").open("a") as file:
        file.write("10")  # what a killed one was writing
    state.start_log(["step", "loss"], 103)
    state.log([104, 0.25])
    state.finish(tmp_path / "log.csv")
    rows = list(csv.reader((tmp_path / "log.csv").open()))
    assert rows == [["step", "loss"], ["101", "0.5"], ["102", "0.5"], ["103", "0.5"], ["104", "0.25"]]


def test_matches_of_processes_and_torn_files_are_put_together(tmp_path):
    state = RunState(tmp_path / "state", {"data": "x"})
    state.start_log(["a"], 0)
    state.log_matches(np.array([[1, 0, 7, 1], [2, 0, 8, 0]]), process=1)
    state.log_matches(np.array([[1, 0, 5, -1], [2, 0, 6, 1], [3, 0, 4, 0]]))
    with (tmp_path / "state" / "matches.0.int64").open("ab") as file:
        file.write(b"torn")
    state.start_matches(2)
    assert state.matches().tolist() == [[1, 0, 5, -1], [1, 0, 7, 1], [2, 0, 6, 1], [2, 0, 8, 0]]
    state.start_matches(0)
    assert state.matches().shape == (0, 4)
    state.remove()
    assert not (tmp_path / "state").exists()


def test_the_teacher_matches_and_is_validated(tmp_path):
    """A teacher that hardly moves gives every epoch nearly the same predictions, whatever the student learns."""
    items, truth = make_items(tmp_path), make_items(tmp_path, only_true=True)
    judges = []
    real = chosen_loss(settings(), OFF)

    def loss(samples):
        judge = samples.teacher()
        judges.append((judge - samples.logits).abs().max().item())
        assert not judge.requires_grad
        return real(samples)

    run = trainer(tmp_path, items, settings(epochs=2, ema_decay=0.5), loss=loss, val_items=truth)
    run.fit()
    assert all(difference > 0 for difference in judges)
    for mean, value in zip(run.teacher.network.parameters(), run.model.parameters(), strict=True):
        assert torch.equal(mean, value)


def test_without_matching_by_predictions_nobody_asks_the_teacher(tmp_path):
    items = make_items(tmp_path, only_true=True)
    run = trainer(tmp_path, items, settings("supervised", epochs=1, ema_decay=0.5))
    with patch.object(run, "_teacher_logits") as asked:
        run.fit()
    asked.assert_not_called()


class Shown:
    """A logger that remembers."""

    def __init__(self):
        self.calls = []

    def start(self, steps):
        self.calls.append(steps)

    def log(self, step, values):
        self.calls.append((step, sorted(values)))

    def close(self):
        self.calls.append("closed")


def test_a_logger_gets_every_step(tmp_path):
    items, logger = make_items(tmp_path, only_true=True), Shown()
    trainer(tmp_path, items, settings("supervised", epochs=2), val_items=items, logger=logger).fit()
    values = ["epoch", "loss", "lr", "matched_share", "soft_IoU", "val_oIoU"]
    assert logger.calls == [0, (1, values), (2, values), "closed"]


def test_a_state_of_another_run_is_not_used(tmp_path):
    items = make_items(tmp_path)
    run = trainer(tmp_path, items, settings(epochs=1), save_minutes=0)
    run.fit()
    assert RunState(tmp_path / "state", {"data": "x"}).load()["progress"]["step"] == len(run.plan.steps)
    assert RunState(tmp_path / "state", {"data": "other"}).load() is None
    (tmp_path / "state" / "state.pt").write_bytes(b"torn")
    assert RunState(tmp_path / "state", {"data": "x"}).load() is None


def test_a_loss_that_is_not_finite_stops_with_the_refs(tmp_path):
    items = make_items(tmp_path, images=1)
    chosen = settings("supervised", epochs=1)
    real = chosen_loss(settings("greedy_ce"), OFF)

    def broken(*arguments):
        result = real(*arguments)
        return result._replace(value=result.value * float("nan"))

    with pytest.raises(SscError, match=r"loss of step 1 is nan.*Refs of that step: 10, 11"):
        trainer(tmp_path, items, chosen, loss=broken).fit()


def test_several_passes_give_the_gradient_of_the_whole_step(tmp_path):
    """Without batch norm, which sees a pass at a time, accumulation changes nothing."""
    weights = []
    for most in (None, 2):
        model = TinySegmenter(dropout=0.0)
        model.bn = torch.nn.Identity()
        torch.manual_seed(1)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        chosen = settings("greedy_ce_contrastive", epochs=1, max_samples_per_pass=most, contrastive_weight=1.0)
        trainer(tmp_path, make_items(tmp_path), chosen, model=model, state=f"s{most}").fit()
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert rows(tmp_path, "sNone")[0]["samples"] == rows(tmp_path, "s2")[0]["samples"] == "8"
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-4, atol=1e-5)


def test_the_log_says_what_happened(tmp_path):
    trainer(tmp_path, make_items(tmp_path), settings(epochs=2, batch_samples=4)).fit()
    log = rows(tmp_path)
    assert [(row["step"], row["epoch"], row["samples"]) for row in log] == [
        ("1", "0", "4"), ("2", "0", "4"), ("3", "1", "4"), ("4", "1", "4"),
    ]  # fmt: skip
    assert float(log[0]["lr"]) == 5e-3
    assert all(0 < float(row["soft_iou"]) < 1 and row["val_oIoU"] == "" for row in log)


def test_a_compiled_network_trains_to_the_same_weights(tmp_path, one_thread, monkeypatch):
    # "eager" compiles what it captured to what it was: so the same bits, which no other compiler gives
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    plain = trainer(tmp_path, make_items(tmp_path), settings(), state="plain")
    compiled = trainer(tmp_path, make_items(tmp_path), settings(), state="compiled", compile=True)
    assert plain.in_steps is plain.model
    assert compiled.in_steps is not compiled.model
    plain.fit()
    compiled.fit()
    expected, found = plain.model.state_dict(), compiled.model.state_dict()
    assert found.keys() == expected.keys()  # names in checkpoints are the network's own
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_bf16_on_demand(tmp_path):
    run = trainer(tmp_path, make_items(tmp_path), settings(epochs=1, precision="bf16"))
    assert run.fit()["precision"] == "bf16"
    assert all(parameter.dtype == torch.float32 for parameter in run.model.parameters())


def test_a_training_that_outlived_its_snakemake_keeps_others_out(tmp_path: Path) -> None:
    first, second = RunState(tmp_path / "state", {"data": "x"}), RunState(tmp_path / "state", {"data": "x"})
    with first.hold():
        still = rf"process {os.getpid()} on .* still trains in .*the same command again"
        with pytest.raises(SscError, match=still), second.hold(wait_seconds=0):
            pass
        first.remove()
        assert not (tmp_path / "state").exists()
    with second.hold():
        second.remove()


def test_a_training_that_failed_in_a_notebook_does_not_keep_the_next_one_out(tmp_path: Path) -> None:
    state = RunState(tmp_path / "state", {})
    with pytest.raises(ZeroDivisionError), state.hold():
        worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))  # as DataLoader's
        worker.start()
        raise ZeroDivisionError
    with RunState(tmp_path / "state", {}).hold(wait_seconds=0):
        worker.kill()
        worker.join()


def test_a_hold_ends_with_its_process(tmp_path: Path) -> None:
    code = "import sys; from ssc_core.correct.run_state import RunState; from pathlib import Path;"
    code += "RunState(Path(sys.argv[1]), {}).hold().__enter__(); import os; os.kill(os.getpid(), 9)"
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path / "state")], check=False)
    assert killed.returncode == -9
    with RunState(tmp_path / "state", {"data": "x"}).hold():
        pass


def test_the_published_schedule_counts_the_published_loaders_batches(tmp_path):
    """The published loader: 28 images per batch, 607 batches per epoch, 42,404 samples make 707 steps of 60: 86 %."""
    items = make_items(tmp_path, images=30)
    fewer = replace(items, images=items.images[:25])  # of five no mask was usable; the loader reads them
    chosen = settings("random_ce", epochs=2, batch_samples=2)
    for loader_images, batches in ((28, 2), (7, 5), (30, 1)):
        compat = CompatSettings(lr_by_loader_length=True, loader_images=loader_images)
        run = trainer(tmp_path, fewer, chosen, compat=compat)
        assert (len(run.plan.steps), run.horizon) == (2 * 25, 2 * batches)


def test_the_published_loop_skips_a_loader_batch_an_epoch(tmp_path):
    compat = CompatSettings(drop_first_batch=True, loader_images=7)
    run = trainer(tmp_path, make_items(tmp_path, images=30), settings(epochs=1, batch_samples=4), compat=compat)
    assert sum(len(step.images) for step in run.plan.steps) == 22  # 23 are left, in steps of two: one is dropped


class _NoGradient(torch.autograd.Function):
    @staticmethod
    def forward(_, value):
        return value.clone()

    @staticmethod
    def backward(_, gradient):
        return gradient * float("nan")


def test_a_gradient_that_is_not_finite_stops_before_the_weights_are_lost(tmp_path):
    """The loss is finite: without a look at the gradient, a state of NaN is saved, or a checkpoint nobody can read."""
    real = chosen_loss(settings(), OFF)

    def broken(samples):
        result = real(samples)
        return result._replace(value=_NoGradient.apply(result.value))

    run = trainer(tmp_path, make_items(tmp_path, images=1), settings(epochs=1), loss=broken, save_minutes=0)
    with pytest.raises(SscError, match=r"norm of the gradient of step 1 is nan.*Refs of that step: 10, 11"):
        run.fit()
    assert all(torch.isfinite(parameter).all() for parameter in run.model.parameters())
    assert run.run.state.load() is None


def test_what_is_kept_is_of_the_epoch_that_is_named_also_where_a_redone_epoch_comes_out_otherwise(tmp_path):
    """As on a GPU: the killed run had a better second epoch than the one that goes on from the state of the first."""
    items, truth = make_items(tmp_path), make_items(tmp_path, only_true=True)
    seen = []

    def start(figures, die_at):
        calls, real = iter(range(1, 100)), chosen_loss(settings(), OFF)

        def loss(samples):
            if next(calls) == die_at:
                raise KeyboardInterrupt
            return real(samples)

        run = trainer(tmp_path, items, settings(epochs=3, keep="best"), val_items=truth, loss=loss, save_minutes=0)
        save, given = run._save, iter(figures)
        run._save = lambda progress: save(progress) if progress.step == 1 else None

        def oiou(network, *_):
            seen.append({name: value.clone() for name, value in network.state_dict().items()})
            return next(given)

        run._oiou = oiou
        return run

    with pytest.raises(KeyboardInterrupt):
        start([10.0, 30.0], 3).fit()
    resumed = start([5.0, 4.0], None)
    summary = resumed.fit()
    assert (summary["best_epoch"], summary["best_val_oIoU"]) == (1, 10.0)
    assert all(torch.equal(value, seen[0][name]) for name, value in resumed.model.state_dict().items())


def test_validation_takes_no_more_samples_at_once_than_a_pass_may_hold(tmp_path):
    items, truth = make_items(tmp_path, images=6), make_items(tmp_path, images=6, only_true=True)
    chosen = settings(epochs=1, keep="best", batch_samples=12, max_samples_per_pass=2)
    run = trainer(tmp_path, items, chosen, val_items=truth)
    sizes = []
    run.model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[1])))
    run.fit()
    assert sizes == [2] * 12


def test_weights_of_any_number_of_dimensions_are_trained(tmp_path):
    class Deep(TinySegmenter):
        def __init__(self):
            super().__init__()
            self.place = torch.nn.Parameter(torch.zeros(1, 1, 2, 1, 1))

        def forward(self, pixels, ids, attention):
            return super().forward(pixels, ids, attention) + self.place[0]

    run = trainer(tmp_path, make_items(tmp_path), settings(epochs=1), model=Deep())
    run.fit()
    assert run.model.place.abs().min() > 0
    assert run.model.mix.weight.is_contiguous(memory_format=torch.channels_last)


def test_a_network_that_takes_photo_of_gets_each_photo_once(tmp_path):
    class Once(TinySegmenter):
        def forward(self, pixels, ids, attention, photo_of):
            seen.append((len(pixels), photo_of.tolist()))
            return super().forward(pixels[photo_of], ids, attention)

    seen = []
    chosen, truth = settings(epochs=2, batch_samples=4, keep="best"), make_items(tmp_path, only_true=True)
    runs = [
        trainer(tmp_path / name, make_items(tmp_path), chosen, model=model, val_items=truth)
        for name, model in (("anew", TinySegmenter()), ("once", Once()))
    ]
    runs[1].model.load_state_dict(runs[0].model.state_dict())
    anew, once = (run.fit() for run in runs)
    assert {(photos, *photo_of) for photos, photo_of in seen} == {(2, 0, 0, 1, 1)}
    assert once == anew
    for name, value in runs[0].model.state_dict().items():
        assert torch.equal(runs[1].model.state_dict()[name], value), name


def test_what_another_run_logged_is_not_taken_over_by_one_that_goes_on_with_a_published_training(tmp_path):
    """Its steps have the same numbers as those that the published training had done."""
    other = RunState(tmp_path / "state", {"data": "other"})
    other.start_log(LOG_COLUMNS, 0)
    other.log([1, 0, *[0.5] * 6])
    other.log_matches(np.array([[1, 0, 99, 0]]))
    begun = Resumed(epochs=1, steps=2, peak=0.01, state={})
    run = trainer(tmp_path, make_items(tmp_path), settings(epochs=3), resumed=begun, log_matches=True)
    run.fit()
    assert run.first_step == 1
    assert [row["step"] for row in rows(tmp_path)] == ["2", "3"]
    assert 99 not in run.run.state.matches()[:, 2]


def test_a_state_that_is_passed_over_is_told_of(tmp_path, caplog):
    made_of = {"data": "1", "code": "2", "training settings": "3"}
    state = RunState(tmp_path / "state", made_of)
    state.save({"model": {}})
    assert state.load() is not None
    assert not caplog.records
    assert RunState(tmp_path / "state", made_of | {"data": "9", "training settings": "9"}).load() is None
    assert "begins anew" in caplog.text
    assert "with other data, training settings." in caplog.text
    caplog.clear()
    (tmp_path / "state" / "state.pt").write_bytes(b"torn")
    assert state.load() is None
    assert "begins anew" in caplog.text
    assert "damaged" in caplog.text


def test_a_run_does_not_go_on_with_steps_that_other_processes_cut(tmp_path):
    """Its number of finished steps would stand for other images."""
    items = make_items(tmp_path, images=5)
    first = trainer(tmp_path, items, settings(epochs=1, batch_samples=2), save_minutes=0)
    first.fit()
    again = trainer(tmp_path, items, settings(epochs=1, batch_samples=2))
    assert again.fit()["steps"] == 5
    of_two = trainer(tmp_path, items, settings(epochs=1, batch_samples=2))
    of_two.plan = make_plan(items, epochs=1, batch_samples=2, seed=0, processes=2)
    with pytest.raises(SscError, match=r"state was cut .* another number of processes: set `compute\.gpus`"):
        of_two.fit()


def test_what_was_being_saved_when_a_run_was_killed_is_not_left(tmp_path):
    state, half = RunState(tmp_path / "state", {}), tmp_path / "state" / "state.pt.77.tmp"
    half.parent.mkdir()
    half.write_bytes(b"half")
    with state.hold():
        assert not half.exists()
    half.write_bytes(b"another's, on a drive without locks")
    state.remove()
    assert not half.parent.exists()


def test_matches_are_not_lost_where_a_run_is_killed_while_they_are_cut(tmp_path, monkeypatch):
    state = RunState(tmp_path / "state", {})
    state.start_log(["a"], 0)
    state.log_matches(np.array([[1, 0, 7, 1], [2, 0, 8, 0]]))
    with monkeypatch.context() as full, pytest.raises(KeyboardInterrupt):
        full.setattr(Path, "write_bytes", Mock(side_effect=KeyboardInterrupt))
        state.start_matches(1)
    assert len(state.matches()) == 2
    state.start_matches(1)
    assert state.matches().tolist() == [[1, 0, 7, 1]]
