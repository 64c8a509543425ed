"""segment_boxes: masks of boxes, and the candidates of each ref; of a concept segmenter, boxes and masks at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby, tee
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ssc_core.backends import ConceptSegmenter, Detections, InstanceMasks, Segmenter, load_backend
from ssc_core.config.labelling import CandidateSettings, CompatSettings
from ssc_core.config.stages import STAGES
from ssc_core.errors import SscError
from ssc_core.masks import rle
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.store import Instances, MaskStore, MaskStoreWriter, Rows
from ssc_core.prefetch import batches_ahead, worker_threads
from ssc_core.provenance import code_version
from ssc_core.refer.ref_table import photos_upright
from ssc_core.refer.refs_digest import digest_of
from ssc_core.registry import backend_version, model_digests
from ssc_core.segment.finding import ConceptFinder, Found, asks_likely
from ssc_core.segment.loading import BATCHES_AHEAD, PhotoLoader
from ssc_core.segment.plan import SplitPlan
from ssc_core.segment.tasks import ImageTask, RefQuery, TaskBatch
from ssc_core.wording import counted

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Segmented:
    """An image with its instances. masks: their codes and scores, which are made meanwhile; None where there are none.
    candidates: by ref id, indices of its candidates."""

    task: ImageTask
    boxes: Detections
    masks: Future[tuple[list[bytes], np.ndarray]] | None
    candidates: Mapping[int, Rows]


_Worker = Callable[[Sequence[ImageTask], Sequence[Any], ThreadPoolExecutor], Iterable[_Segmented]]
"""The model: tasks of a batch and what was loaded for them, to their instances. Encoding goes on in the pool."""


def segment_boxes(
    *,
    refs: Path,
    nouns: Path,
    images: Path,
    out: Path,
    settings: CandidateSettings,
    compat: CompatSettings,
    boxes: Path | None = None,
    split: str | None = None,
    shard: int = 0,
    shards: int = 1,
    device: str = "auto",
    threads: int = 1,
    batch_size: int | None = None,
) -> None:
    """Write ``masks.h5`` for the images of ``boxes``, a shard's ``boxes.h5`` or a whole split's.

    Without boxes, ``settings.segment.backend`` is a concept segmenter, and the images are those of shard ``shard`` of
    ``shards`` of the split, counted from 0. A ref's candidates are the instances of what it asks for, in descending
    order of box score; that of a concept segmenter is its score times the presence of its phrase, and the score alone
    is the mask's. images: folder of the photos, of which those without boxes are not read; batch_size:
    ``compute.batch.segment``, 0 or None: the model's own.

    Raises SscError when a photo cannot be read, and for a model that breaks its contract.
    """
    plan = SplitPlan(refs, nouns, split)
    backend = settings.segment.backend
    model = load_backend(
        backend.name,
        backend.settings,
        ConceptSegmenter if boxes is None else Segmenter,
        device=device,
        threads=threads,
        batch_size=batch_size or None,
    )
    if boxes is None:
        load = PhotoLoader(images, settings.detect.on_bad_image, model, photos_upright(refs))
        names = plan.names(likely=asks_likely(settings.detect))
        finder = ConceptFinder(model, settings.detect, compat, names)
        info = _store_info(
            StoreInfo(names, {"detect": settings.detect.model_dump(mode="json")}, "", {}), settings, compat
        )
        batches, photos = plan.shard(shard, shards), len(plan.photos) // shards
        _write_masks(out, info, plan, batches, photos, load, _concept_worker(finder, names, compat), threads)
        if load.skipped:
            log.warning("%s could not be read, skipped", counted(len(load.skipped), "photo"))
        return
    with MaskStore.open(boxes, with_masks=False) as store:
        if len(unknown := np.setdiff1d(store.image_ids, plan.photos)):
            raise SscError(f"{store.path} has image {unknown[0]}, which the refs do not have; run detect_boxes again")
        load_photo = PhotoLoader(images, "stop", model, photos_upright(refs))

        def load_boxed(task: ImageTask) -> tuple[Instances, Any]:
            found = store.instances(task.image_id)
            return found, load_photo(task) if len(found) else None

        info = _store_info(store.info, settings, compat)
        batches, photos = plan.of(store.image_ids), len(store.image_ids)
        _write_masks(out, info, plan, batches, photos, load_boxed, _box_worker(model, store, compat), threads)


def candidates_of(ref: RefQuery, labels: np.ndarray, class_names: Sequence[str], *, any_noun: bool) -> np.ndarray:
    """Which of an image's instances are candidates of a ref that asks for a class: indices int64, ascending.

    labels: (N,), index into class_names. A ref asks for its query, its most likely class. any_noun, a defect of the
    published code: it takes any class that it names, so it gets other refs' classes, and none when it names no class.
    """
    wanted = ref.classes if any_noun else (ref.query,)
    return np.flatnonzero([class_names[label] in wanted for label in labels]).astype(np.int64)


def candidates_in(found: Found, ref: RefQuery, names: Sequence[str], compat: CompatSettings) -> np.ndarray:
    """``candidates_of`` a ref that asks for a class or by phrases."""
    if ref.phrases:
        return found.candidates_of(ref, names)
    return candidates_of(ref, found.boxes.labels, names, any_noun=compat.candidates_any_noun)


def _write_masks(
    out: Path,
    info: StoreInfo,
    plan: SplitPlan,
    batches: Iterable[TaskBatch],
    photos: int,
    load: Callable[[ImageTask], Any],
    work: _Worker,
    threads: int,
) -> None:
    """Every image of the plan's batches, ``photos`` or so; results leave a window in order of their ids."""
    with (
        MaskStoreWriter(out, info, with_masks=True) as writer,
        worker_threads(threads) as pool,
        tqdm(total=photos, desc="segment", unit="image", mininterval=10) as progress,
    ):
        taken, upcoming = tee(batches)
        ready = batches_ahead(load, (batch.tasks for batch in upcoming), pool, BATCHES_AHEAD)
        for _, window in groupby(zip(taken, ready, strict=True), key=lambda item: item[0].window):
            done: list[_Segmented] = []
            for batch, loaded in window:
                done += work(batch.tasks, loaded, pool)
                progress.update(len(batch.tasks))
            for item in sorted(done, key=lambda item: item.task.image_id):
                _write(writer, item)
        here = np.array([photo for photo in plan.photos.tolist() if writer.has("image", photo)], np.int64)
        writer.refs = digest_of(ref for ref in plan.refs_of(here) if writer.has("ref", ref.ref_id))


def _concept_worker(finder: ConceptFinder, names: Sequence[str], compat: CompatSettings) -> _Worker:
    def work(tasks: Sequence[ImageTask], photos: Sequence[Any], pool: ThreadPoolExecutor) -> Iterator[_Segmented]:
        for task, found in zip(tasks, finder(tasks, photos), strict=True):
            masks = None
            if found.masks is not None and found.mask_scores is not None and len(found.masks):
                masks = pool.submit(_encode, found.masks, found.mask_scores)
            candidates = {ref.ref_id: candidates_in(found, ref, names, compat) for ref in task.refs}
            yield _Segmented(task, found.boxes, masks, candidates)

    return work


def _box_worker(segmenter: Segmenter, store: MaskStore, compat: CompatSettings) -> _Worker:
    def work(
        tasks: Sequence[ImageTask], loaded: Sequence[tuple[Instances, Any]], pool: ThreadPoolExecutor
    ) -> Iterator[_Segmented]:
        busy = [i for i, (boxes, _) in enumerate(loaded) if len(boxes)]
        results: dict[int, InstanceMasks] = {}
        if busy:
            found = segmenter.segment([loaded[i][1] for i in busy], [loaded[i][0].boxes_xyxy for i in busy])
            results = dict(zip(busy, found, strict=True))
        for i, (task, (boxes, _)) in enumerate(zip(tasks, loaded, strict=True)):
            masks = pool.submit(_encode, results[i].masks, results[i].scores) if i in results else None
            detections = Detections(boxes.boxes_xyxy, boxes.box_scores, boxes.labels)
            yield _Segmented(task, detections, masks, {r.ref_id: _stored(r, boxes) for r in task.refs})

    def _stored(ref: RefQuery, boxes: Instances) -> np.ndarray:
        """detect_boxes knows the candidates of a ref that asks by phrases."""
        if ref.phrases:
            return store.candidates(ref.ref_id).rows - (boxes.rows[0] if len(boxes) else 0)
        return candidates_of(ref, boxes.labels, store.info.class_names, any_noun=compat.candidates_any_noun)

    return work


def _encode(masks: np.ndarray, scores: np.ndarray) -> tuple[list[bytes], np.ndarray]:
    return rle.encode(masks), np.asarray(scores, dtype=np.float32)


def _write(writer: MaskStoreWriter, item: _Segmented) -> None:
    rles, scores = item.masks.result() if item.masks else ([], np.zeros(0, np.float32))
    writer.append_image(
        item.task.image_id,
        item.task.size,
        boxes_xyxy=item.boxes.boxes_xyxy,
        box_scores=item.boxes.scores,
        labels=item.boxes.labels,
        rles=rles,
        mask_scores=scores,
        candidates=item.candidates,
    )


def _store_info(made_by: StoreInfo, settings: CandidateSettings, compat: CompatSettings) -> StoreInfo:
    """made_by: what made the boxes; of a concept segmenter, the names alone."""
    backend = settings.segment.backend
    own = compat.model_dump(include=set(STAGES["segment_boxes"].compat))
    code = (made_by.code, code_version("ssc_core.segment.masks"), backend_version(backend.name))
    return StoreInfo(
        class_names=made_by.class_names,
        settings={
            **made_by.settings,
            "segment": settings.segment.model_dump(mode="json"),
            "compat": {**made_by.settings.get("compat", {}), **own},
        },
        code=" ".join(filter(None, code)),
        models={**made_by.models, **model_digests(backend.settings, "segment")},
    )
