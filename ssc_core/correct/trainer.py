"""The training loop. ``Trainer.fit`` reads from top to bottom; what it calls follows in the order of the calls."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from ssc_core.config.labelling import CompatSettings
from ssc_core.config.training import TrainSettings
from ssc_core.correct.batches import Batch, Pass, load_batches
from ssc_core.correct.distributed import join_world, synchronise_batch_norm
from ssc_core.correct.items import Items
from ssc_core.correct.loggers import Logger
from ssc_core.correct.losses import MatchedLoss, Samples, StepSize
from ssc_core.correct.matching import NONE
from ssc_core.correct.network import checked_logits, parameter_groups, takes_each_photo_once
from ssc_core.correct.plan import Step, make_plan
from ssc_core.correct.resume import Resumed, State
from ssc_core.correct.run_state import RunState
from ssc_core.correct.schedule import learning_rate
from ssc_core.correct.teacher import Teacher
from ssc_core.correct.termination import Termination
from ssc_core.errors import SscError
from ssc_core.torch_runtime import pick_bf16

Loss = Callable[[Samples], MatchedLoss]
"""As ``ssc_core.correct.losses`` has it, with its options."""

LOG_COLUMNS = ("step", "epoch", "loss", "lr", "samples", "matched", "soft_iou", "val_oIoU")
"""matched: samples that got a candidate; soft_iou: their predictions' mean soft IoU with it; val_oIoU: percent, at the
last step of an epoch."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """One optimiser step, over all passes and processes. Columns of the log."""

    loss: float
    matched: int
    soft_iou: float


@dataclass(slots=True)
class Progress:
    """step: finished optimiser steps. matched, samples: sums of the last epoch, whole or begun. best_*: with
    ``keep: best``."""

    step: int = 0
    matched: int = 0
    samples: int = 0
    best_oiou: float = -1.0
    best_epoch: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Where and how a training runs, which changes nothing in its result.

    state: what it keeps on disk; workers: processes that decode photos which do not fit in memory; save_minutes:
    between saved states; logger: gets the log's numbers; log_matches: keep in ``state`` what every sample was matched
    with; compile: the network's forward and backward of steps by ``torch.compile``, with the roundings of its kernels.
    """

    state: RunState
    device: torch.device | str = "cpu"
    workers: int = 1
    save_minutes: float = 10.0
    logger: Logger | None = None
    log_matches: bool = False
    compile: bool = False


class Trainer:
    """Trains a network, as ``ssc_core.correct.network`` has it, on ``items``.

    What is random (the order of images, drawn sentences and candidates, stochastic depth) is a function of the seed and
    of the step, epoch or image. So a run that was killed goes on from ``state`` and ends, on the same kind of machine
    with as many processes, as if nothing had happened: on a CPU with the same bits.

    val_items: with ``keep: best``, what the best weights are chosen by; resumed: the training that ``model`` is from,
    to go on with.
    """

    def __init__(
        self,
        model: nn.Module,
        items: Items,
        loss: Loss,
        settings: TrainSettings,
        compat: CompatSettings,
        run: Run,
        *,
        val_items: Items | None = None,
        resumed: Resumed | None = None,
    ) -> None:
        if settings.keep == "best" and val_items is None:
            raise SscError("`keep: best` needs a val split with ground truth; without one, set `keep: last`")
        seed_everything(settings.seed)
        self.world, self.device = join_world(torch.device(run.device))
        model = channels_last(model.to(self.device))
        self.model = synchronise_batch_norm(model, self.device) if self.world.size > 1 else model
        self.each_photo_once = takes_each_photo_once(self.model)
        self.in_steps: Callable[..., Any] = torch.compile(self.model) if run.compile else self.model
        self.teacher = None if settings.ema_decay is None else Teacher(self.model, settings.ema_decay)
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            parameter_groups(self.model, settings.weight_decay), lr=settings.lr, amsgrad=settings.amsgrad, fused=True
        )
        self.plan = make_plan(
            items,
            epochs=settings.epochs,
            batch_samples=settings.batch_samples,
            seed=settings.seed,
            all_sentences=settings.sentences == "all",
            mirror=settings.mirror,
            processes=self.world.size,
            skip_images=compat.loader_images if compat.drop_first_batch else 0,
        )
        self.horizon = len(self.plan.steps)
        if compat.lr_by_loader_length:
            self.horizon = settings.epochs * math.ceil(items.listed / compat.loader_images)
        self.resumed, self.first_step = resumed, self._first_step(resumed)
        self.items, self.val_items, self.loss, self.settings = items, val_items, loss, settings
        self.run = run if self.world.is_first else replace(run, logger=None)
        self.best: dict[str, Tensor] | None = None
        self.bf16 = pick_bf16(settings.precision, self.device, native=True)

    def fit(self) -> dict[str, Any]:
        """Train to the end. Returns plain numbers on the run.

        SIGTERM to any process ends all after the step that is on, whose state is saved before. Raises SscError when
        a loss or its gradient is not finite, naming the refs of that step.
        """
        progress = self._resume()
        steps = self.plan.steps[progress.step :]
        most, world = self.settings.max_samples_per_pass, self.world
        passes = [self.plan.passes(step, most, world.size)[world.rank] for step in steps]
        ahead = [Pass(step.epoch, images) for step, own in zip(steps, passes, strict=True) for images in own]
        pin = self.device.type == "cuda"
        batches = iter(load_batches(self.items, self.plan, ahead, workers=self.run.workers, pin=pin))
        saved_at = time.monotonic()
        self.model.train()
        with self._progress_bar(progress) as bar, Termination() as end:
            for step, own_passes in zip(steps, passes, strict=True):
                rate = self._set_rate(progress.step)
                result = self._step(step, progress.step, len(own_passes), batches)
                self._count(progress, step, result)
                val_oiou = self._validate(progress, step) if self._ends_epoch(progress.step) else None
                asked = self.world.any(end.asked, self.device)  # one process may hear it a step before the others
                if self.world.is_first:
                    self._log(bar, progress, step, rate, result, val_oiou)
                    if asked or time.monotonic() - saved_at >= 60 * self.run.save_minutes:
                        self._save(progress)
                        saved_at = time.monotonic()
                if asked:
                    end.asked = True
                    break
        self.world.wait()
        if self.run.logger:
            self.run.logger.close()
        if self.best is not None:
            self.model.load_state_dict(self.best)
        elif self.teacher:
            self.model.load_state_dict(self.teacher.network.state_dict())
        return self._summary(progress)

    def _resume(self) -> Progress:
        state = self.run.state.load()
        progress, logged = Progress(self.first_step), 0
        if state is not None:
            if state["images_of_steps"] != self._images_of_steps():
                raise SscError(
                    f"the training in {self.run.state.folder} was cut into other steps, since it ran on another number "
                    "of processes: set `compute.gpus` and `compute.nodes` back, or remove that folder to begin anew"
                )
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            if self.teacher:
                self.teacher.network.load_state_dict(state["teacher"])
            if "best" in state:
                self.best = _copied(state["best"])
            progress = Progress(**state["progress"])
            logged = progress.step
        elif self.resumed is not None:
            self._take_optimizer(self.resumed.state)
        if self.world.is_first:
            self.run.state.start_log(LOG_COLUMNS, logged)
            self.run.state.start_matches(logged)
        if self.run.logger:
            self.run.logger.start(logged)
        self.world.wait()
        return progress

    def _first_step(self, resumed: Resumed | None) -> int:
        epochs = resumed.epochs if resumed is not None else 0
        first = next((index for index, step in enumerate(self.plan.steps) if step.epoch >= epochs), None)
        if first is None:
            raise SscError(f"the checkpoint to go on with has {epochs} finished epochs; set `epochs` to more than that")
        return first

    def _take_optimizer(self, states: Mapping[nn.Parameter, State]) -> None:
        content = self.optimizer.state_dict()
        for index, parameter in enumerate(p for group in self.optimizer.param_groups for p in group["params"]):
            given = states.get(parameter, {})
            if given and self.settings.amsgrad and "max_exp_avg_sq" not in given:
                raise SscError("the checkpoint to go on with was trained without AMSGrad; set `amsgrad: false`")
            moments = ("exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if self.settings.amsgrad else []))
            if given:  # in the memory layout of the parameter, as fused AdamW expects it
                state = {name: torch.empty_like(parameter).copy_(torch.as_tensor(given[name])) for name in moments}
                content["state"][index] = {**state, "step": torch.tensor(float(given["step"]))}
        self.optimizer.load_state_dict(content)

    def _set_rate(self, index: int) -> float:
        s, peak = self.settings, self.settings.lr
        if self.resumed is not None:
            index, peak = index - self.first_step + self.resumed.steps, self.resumed.peak
        rate = learning_rate(index, self.horizon, peak=peak, warmup=s.warmup_steps, power=s.poly_power)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["lr_scale"]
        return rate

    def _step(self, step: Step, index: int, passes: int, batches: Iterator[Batch]) -> StepResult:
        """One update, from the gradients of all passes of all processes."""
        seed = np.random.SeedSequence([self.settings.seed, index, self.world.rank])
        torch.manual_seed(int(seed.generate_state(1, np.uint64)[0] >> 1))
        sums = torch.zeros(3, device=self.device)
        size = StepSize(step.samples, step.pairs)
        ref_ids: list[int] = []
        for _ in range(passes):
            batch = next(batches).to(self.device)
            matched = self.loss(self._samples(batch, size, step.epoch, index))
            matched.value.backward()
            has_one = torch.from_numpy(matched.assignment.times > 0).to(self.device, non_blocking=True)
            sums += torch.stack([matched.value.detach(), has_one.sum(), (matched.soft_iou * has_one).sum()])
            ref_ids += batch.ref_ids.tolist()
            if self.run.log_matches:
                self.run.state.log_matches(_matches(batch, matched, index + 1, step.epoch), self.world.rank)
        self.world.sum_gradients(self.parameters)
        norm = nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None])
        loss, count, soft_iou = self.world.sum(sums).tolist()
        for what, value in (("loss", loss), ("norm of the gradient", float(norm))):
            if not math.isfinite(value):
                raise SscError(
                    f"training stopped: the {what} of step {index + 1} is {value}. Try a lower `lr`, a `clip_norm`, or "
                    f"`precision: fp32`. Refs of that step: {', '.join(map(str, ref_ids))}"
                )
        if self.settings.clip_norm is not None:
            nn.utils.clip_grads_with_norm_(self.parameters, self.settings.clip_norm, norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.teacher:
            self.teacher.follow(self.model, index)
        return StepResult(loss, round(count), soft_iou / max(count, 1))

    def _logits(self, network: Callable[..., Any], batch: Batch) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            return checked_logits(
                network, batch.pixels, batch.photo_of, batch.ids, batch.attention, once=self.each_photo_once
            )

    def _samples(self, batch: Batch, step: StepSize, epoch: int, index: int) -> Samples:
        return Samples(
            batch.image_ids,
            batch.ref_ids,
            self._logits(self.in_steps, batch),
            batch.candidates,
            step,
            epoch,
            done=index / len(self.plan.steps),
            teacher=partial(self._teacher_logits, batch) if self.teacher else None,
        )

    @torch.no_grad()
    def _teacher_logits(self, batch: Batch) -> Tensor:
        """The teacher's predictions: a loss that matches by predictions asks for them."""
        assert self.teacher is not None, "samples have no `teacher` where there is none"
        return self._logits(self.teacher.network, batch)

    def _count(self, progress: Progress, step: Step, result: StepResult) -> None:
        if progress.step == 0 or self._ends_epoch(progress.step):
            progress.matched = progress.samples = 0
        progress.step += 1
        progress.matched += result.matched
        progress.samples += step.samples

    def _ends_epoch(self, finished: int) -> bool:
        steps = self.plan.steps
        return finished == len(steps) or (finished > 0 and steps[finished].epoch != steps[finished - 1].epoch)

    def _validate(self, progress: Progress, step: Step) -> float | None:
        """oIoU in percent on the val items, one random sentence a ref; the best weights are kept."""
        if self.val_items is None:
            return None
        network = self.teacher.network if self.teacher else self.model
        oiou = self._oiou(network, self.val_items, step.epoch)
        if oiou > progress.best_oiou and self.settings.keep == "best":
            progress.best_oiou, progress.best_epoch = oiou, step.epoch
            self.best = _copied(network.state_dict())
        return oiou

    @torch.no_grad()
    def _oiou(self, network: nn.Module, items: Items, epoch: int) -> float:
        s = self.settings
        samples = min(s.batch_samples, s.max_samples_per_pass or s.batch_samples)
        plan = make_plan(items, epochs=1, batch_samples=samples, seed=s.seed)
        passes = [Pass(epoch, step.images) for step in plan.steps][self.world.rank :: self.world.size]
        sums = torch.zeros(2, dtype=torch.int64, device=self.device)
        network.eval()
        for batch in load_batches(items, plan, passes, workers=self.run.workers):
            batch = batch.to(self.device)
            predicted = self._logits(network, batch).argmax(1).bool()
            truth = batch.masks[torch.tensor([int(rows[0]) for rows in batch.rows], device=self.device)]
            sums += torch.stack([(predicted & truth).sum(), (predicted | truth).sum()])
        self.model.train()
        intersection, union = self.world.sum(sums).tolist()
        return 100 * intersection / union if union else 0.0

    def _progress_bar(self, progress: Progress) -> tqdm:
        total = len(self.plan.steps)
        hidden = not self.world.is_first
        return tqdm(total=total, initial=progress.step, unit="step", mininterval=5, disable=hidden, desc="training")

    def _log(
        self, bar: tqdm, progress: Progress, step: Step, rate: float, result: StepResult, val_oiou: float | None
    ) -> None:
        numbers = [f"{result.loss:.6g}", f"{rate:.6g}", step.samples, result.matched, f"{result.soft_iou:.4f}"]
        self.run.state.log([progress.step, step.epoch, *numbers, "" if val_oiou is None else f"{val_oiou:.3f}"])
        if self.run.logger:
            values = {"loss": result.loss, "lr": rate, "soft_IoU": result.soft_iou, "epoch": step.epoch}
            shown = {**values, "matched_share": result.matched / step.samples}
            self.run.logger.log(progress.step, shown if val_oiou is None else {**shown, "val_oIoU": val_oiou})
        bar.set_postfix_str(f"epoch {step.epoch + 1}, loss {result.loss:.3f}, IoU {result.soft_iou:.2f}", refresh=False)
        bar.update()

    def _save(self, progress: Progress) -> None:
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        cut = {"images_of_steps": self._images_of_steps()}
        teacher = {"teacher": self.teacher.network.state_dict()} if self.teacher else {}
        best = {"best": self.best} if self.best is not None else {}
        self.run.state.save({**state, **teacher, **best, **cut, "progress": asdict(progress)})

    def _images_of_steps(self) -> list[int]:
        """The order of images follows from the settings; how it is cut into steps, from the number of processes too."""
        return [len(step.images) for step in self.plan.steps]

    def _summary(self, progress: Progress) -> dict[str, Any]:
        best = {"best_epoch": progress.best_epoch + 1, "best_val_oIoU": progress.best_oiou}
        return {
            "steps": progress.step,
            "epochs": self.settings.epochs,
            "matched_share_last_epoch": progress.matched / max(progress.samples, 1),
            "precision": "bf16" if self.bf16 else "fp32",
            "processes": self.world.size,
            **(best if self.settings.keep == "best" else {}),
        }


def channels_last(network: nn.Module) -> nn.Module:
    """The same network, its weights of four dimensions in the layout that GPUs compute convolutions in.

    ``Module.to(memory_format=...)`` asks for it of those of five as well, which cannot have it.
    """
    for values in (*network.parameters(), *network.buffers()):
        if values.dim() == 4:
            values.data = values.data.to(memory_format=torch.channels_last)
    return network


def _copied(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """On the CPU, as they are now."""
    return {name: value.detach().cpu().clone() for name, value in weights.items()}


def _matches(batch: Batch, matched: MatchedLoss, step: int, epoch: int) -> np.ndarray:
    """Rows for ``RunState.log_matches``; a candidate is named by its place in ``RefItem.rows``."""
    places = [
        NONE if row == NONE else int(np.flatnonzero(own == row)[0])
        for own, row in zip(batch.rows, matched.assignment.rows, strict=True)
    ]
    return np.array([(step, epoch, ref, place) for ref, place in zip(batch.ref_ids, places, strict=True)])


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch, for code that draws from their global generators."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  (third-party code may use it)
    torch.manual_seed(seed)
