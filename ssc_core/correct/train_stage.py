"""The training rules: from files to a checkpoint."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from transformers import BertTokenizer

import ssc_core.correct.start  # noqa: F401  the network `lavt` by its name: what it is made of is code of this stage
from ssc_core.config.labelling import CompatSettings
from ssc_core.config.training import NetworkSettings, TrainSettings, check_prior
from ssc_core.correct.checkpoints import load_published, load_weights, save_checkpoint
from ssc_core.correct.distributed import is_first_process
from ssc_core.correct.items import Items, build_items
from ssc_core.correct.launch import threads_of_each
from ssc_core.correct.loggers import make_logger
from ssc_core.correct.losses import chosen_loss
from ssc_core.correct.network import build_network
from ssc_core.correct.plan import crowded
from ssc_core.correct.prior import Prior
from ssc_core.correct.resume import read_resumed
from ssc_core.correct.run_state import RunState
from ssc_core.correct.settled import kept_shares, unsettled
from ssc_core.correct.targets import CandidateTargets, SelectedTargets, Targets, TruthTargets
from ssc_core.correct.text import load_tokenizer, tokenize
from ssc_core.correct.trainer import Run, Trainer, seed_everything
from ssc_core.errors import SscError
from ssc_core.masks.selection import SelectionStore
from ssc_core.masks.store import MaskStore
from ssc_core.provenance import code_version, file_sha256, versions
from ssc_core.refer.ref_table import open_photos, photos_of, refs_by_photo
from ssc_core.refer.refs_digest import TableRefs
from ssc_core.registry import LOSS, NETWORK, model_digests, own_versions
from ssc_core.tables import write_frame
from ssc_core.torch_runtime import pick_device
from ssc_core.wording import counted

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainFiles:
    """What a phase reads. refs: refs.parquet, of which ``split`` is trained on; images: the photos' folder.

    masks, selected, truth: .h5 files, of which the loss says what is trained on: ``supervised`` on truth; ``random_ce``
    on selected when given, as the paper's pre-training, else on all candidates; the greedy ones on all candidates of
    masks; one of the user's own on the first of truth, selected and masks that is given.
    picks: selected.h5 beside masks: of refs that people decided on, only what they chose is a candidate; and its scores
    have a say in the matching, with a ``prior_weight``.
    init: checkpoint to start from, ours or a published one, or to go on with (``settings.resume``); None starts from
    the Swin and BERT weights of the network. val_truth: truth.h5 of ``val_split``, which ``keep: best`` looks at.
    """

    refs: Path
    images: Path
    masks: Path | None = None
    selected: Path | None = None
    truth: Path | None = None
    val_truth: Path | None = None
    picks: Path | None = None
    init: Path | None = None
    split: str = "train"
    val_split: str = "val"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOutputs:
    """What a phase writes: its checkpoint, and its log ``curve`` (CSV). state: where a killed run leaves off, removed
    at the end.

    matches: parquet with what every sample was matched with, for losses on all candidates: epoch (from 0), ref_id, and
    candidate, an index among the ref's candidates in masks.h5 (-1 none; see ``compat`` for those that change masks).
    """

    checkpoint: Path
    curve: Path
    state: Path
    matches: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainJob:
    """How a phase is computed. device: auto, cpu or cuda; save_minutes, log_to: as in ``compute``, whose loggers' files
    lie beside the checkpoint, in a folder of that name; checkpoint_activations: as of ``LAVT``;
    compile: as of ``Run``."""

    device: str
    threads: int
    save_minutes: float = 10.0
    log_to: str = "csv"
    checkpoint_activations: bool = False
    compile: bool = False


def train(
    files: TrainFiles,
    outputs: TrainOutputs,
    *,
    network: NetworkSettings,
    settings: TrainSettings,
    compat: CompatSettings,
    job: TrainJob,
) -> None:
    """Train one phase. Raises SscError for data, weights and settings that do not fit together."""
    _check_refs(files)
    threads = threads_of_each(job.threads, os.environ)
    picked = pick_device(job.device, threads)
    sections = {"network": network, "train": settings, "compat": compat}
    plain = {name: section.model_dump(mode="json") for name, section in sections.items()}
    logger = make_logger(job.log_to, outputs.checkpoint.parent / job.log_to / outputs.checkpoint.stem, plain)
    loss, targets = chosen_loss(settings, compat), _targets(settings, compat, files)
    tokenizer = load_tokenizer(network.tokenizer or network.bert)
    seed_everything(settings.seed)
    model = build_network(
        network,
        vocabulary=len(tokenizer),
        pretrained=files.init is None,
        checkpoint_activations=job.checkpoint_activations,
    )
    resumed = None
    if files.init is not None:
        checkpoint = load_published(files.init)
        load_weights(model, checkpoint, files.init)
        resumed = read_resumed(checkpoint, model, files.init) if settings.resume else None
    build = partial(_items, files=files, network=network, tokenizer=tokenizer)
    # it takes long, and what can be wrong was looked at before
    items = build(files.split, targets, mirror=settings.mirror > 0, prior=_prior(settings, compat, targets, files))
    if left_out := _left_out(items, network, tokenizer):
        log.warning("training on %s, without %s", counted(items.refs, "ref"), "; ".join(left_out))
    val_items = None
    if settings.keep == "best" and files.val_truth is not None:
        val_items = _to_choose_by(build, files.val_split, TruthTargets(files.val_truth))
    state = RunState(outputs.state, _made_of(items, val_items, files.init, network, settings, compat))
    run = Run(
        state=state, device=picked, workers=threads, save_minutes=job.save_minutes, logger=logger,
        log_matches=outputs.matches is not None, compile=job.compile,
    )  # fmt: skip
    with state.hold() if is_first_process() else nullcontext():  # for all that torchrun started
        trainer = Trainer(model, items, loss, settings, compat, run, val_items=val_items, resumed=resumed)
        told = crowded(trainer.plan, settings.max_samples_per_pass, trainer.world.size)
        if told and trainer.world.is_first:
            log.warning(told)
        summary = trainer.fit()
        if trainer.world.is_first:
            matches = state.matches()
            kept = kept_shares(matches, _matched_refs(items, settings))
            if told := unsettled(kept):
                log.warning(told)
            meta = {
                "split": files.split, "init": file_sha256(files.init) if files.init else None, "versions": versions(),
                "images": len(items.images), "refs": items.refs, "dropped_refs": dict(items.dropped),
                "palette_corrupted_refs": items.corrupted, "kept_matches": kept, **summary,
            }  # fmt: skip
            state.finish(outputs.curve)
            if outputs.matches is not None:
                _write_matches(outputs.matches, matches, items)
            save_checkpoint(outputs.checkpoint, model, plain, meta)
            state.remove()
        trainer.world.wait()


def _check_refs(files: TrainFiles) -> None:
    """Raise SscError for masks and choices of other refs than those that are trained on."""
    chosen = [path for path in (files.selected, files.picks) if path is not None]
    with ExitStack() as stack:
        stores: list[SelectionStore | MaskStore] = [stack.enter_context(SelectionStore(path)) for path in chosen]
        if files.masks is not None:
            stores.append(stack.enter_context(MaskStore.open(files.masks, with_masks=True)))
        if stores:
            TableRefs(files.refs, files.split).check(*stores)


def _matched_refs(items: Items, settings: TrainSettings) -> set[int]:
    """Ids of the refs that have several candidates; none where one of these is drawn."""
    if settings.loss == "random_ce":
        return set()
    return {ref.ref_id for image in items.images for ref in image.refs if len(ref.rows[0]) > 1}


def _to_choose_by(build: Callable[[str, Targets], Items], split: str, truth: TruthTargets) -> Items:
    try:
        return build(split, truth)
    except SscError as error:
        raise SscError(
            f"`keep: best` chooses by the true masks of the split '{split}'; where there are none, set `keep: last` "
            f"({error})"
        ) from error


def _targets(settings: TrainSettings, compat: CompatSettings, files: TrainFiles) -> Targets:
    if files.truth is not None and _may_learn_from("truth", settings.loss):
        return TruthTargets(files.truth)
    if files.selected is not None and _may_learn_from("selected", settings.loss):
        return SelectedTargets(files.selected, palette=compat.palette_targets)
    if files.masks is not None and _may_learn_from("masks", settings.loss):
        return CandidateTargets(
            files.masks, merged=compat.merged_masks, palette=compat.palette_targets, reviewed=files.picks
        )
    needed = {"supervised": "truth.h5", "random_ce": "selected.h5 or masks.h5"}.get(settings.loss, "masks.h5")
    raise SscError(f"`loss: {settings.loss}` trains on {needed}, which was not given")


def _prior(settings: TrainSettings, compat: CompatSettings, targets: Targets, files: TrainFiles) -> Prior | None:
    """What Select says of candidates, where there are several to match."""
    if settings.prior_weight == 0 or not isinstance(targets, CandidateTargets):
        return None
    check_prior(settings, compat)
    if files.picks is None:
        raise SscError("`prior_weight` goes by the scores of selected.h5, which was not given")
    return Prior(files.picks, settings.prior_temperature)


def _may_learn_from(source: str, loss: str) -> bool:
    """A loss of the user's own takes what its phase learns from; of the registered ones, each has files of its own."""
    files = {"supervised": {"truth"}, "random_ce": {"selected", "masks"}}
    return loss not in LOSS.registered or source in files.get(loss, {"masks"})


def _items(
    split: str,
    targets: Targets,
    *,
    mirror: bool = False,
    prior: Prior | None = None,
    files: TrainFiles,
    network: NetworkSettings,
    tokenizer: BertTokenizer,
) -> Items:
    def ids_and_attention(sentences: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        ids, attention = tokenize(tokenizer, sentences, network.max_tokens)
        return ids.numpy(), attention.numpy()

    refs = refs_by_photo(files.refs, photos_of(files.refs, split), split)
    photos = open_photos(files.refs, files.images)

    def unreadable(file_name: str) -> bool:
        return photos.skip_bad and photos.or_none(file_name) is None

    side = network.image_size
    return build_items(
        refs, targets, ids_and_attention, photos, side=side, mirror=mirror, prior=prior, unreadable=unreadable
    )


def _left_out(items: Items, network: NetworkSettings, tokenizer: BertTokenizer) -> list[str]:
    """What is not trained on, for people."""
    refs = [ref for image in items.images for ref in image.refs]
    cut = sum(int((ref.attention.all(1) & (ref.ids[:, -1] != tokenizer.sep_token_id)).sum()) for ref in refs)
    told = [f"{counted(count, 'ref')}: {reason}" for reason, count in items.dropped.items()]
    longer = f"the end of {counted(cut, 'sentence')}, longer than {network.max_tokens} tokens (`network.max_tokens`)"
    return [*told, longer] if cut else told


def _write_matches(path: Path, matches: np.ndarray, items: Items) -> None:
    """matches: as ``RunState.matches``. Places among what is trained on become those in the file."""
    sources = {ref.ref_id: ref.sources[0] for image in items.images for ref in image.refs}
    candidates = [-1 if place < 0 else sources[ref][place] for _, _, ref, place in matches.tolist()]
    columns = {"epoch": matches[:, 1].astype(np.int32), "ref_id": matches[:, 2], "candidate": np.array(candidates, int)}
    write_frame(path, pd.DataFrame(columns))


def _made_of(
    items: Items,
    val_items: Items | None,
    init: Path | None,
    network: NetworkSettings,
    settings: TrainSettings,
    compat: CompatSettings,
) -> dict[str, str]:
    """What a run that was stopped must share with the one that goes on, by a name for people."""
    files = {"bert": network.bert, "tokenizer": network.tokenizer, "swin_weights": network.swin_weights}
    start = {"init": file_sha256(init) if init else "", **model_digests({**files, **network.settings}, "network")}
    settled = {"network settings": network, "training settings": settings, "compat switches": compat}
    return {
        "data": items.digest(),
        "validation data": val_items.digest() if val_items else "",
        "weights to start from": json.dumps(start, sort_keys=True),
        "code": code_version("ssc_core.correct.train_stage"),
        "code of the loss": own_versions(LOSS, settings.loss),
        "code of the network": own_versions(NETWORK, network.name),
        **{name: json.dumps(section.model_dump(mode="json"), sort_keys=True) for name, section in settled.items()},
    }
