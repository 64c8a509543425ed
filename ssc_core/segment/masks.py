"""segment_boxes: boxes to masks, and the candidates of each ref."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ssc_core.backends import InstanceMasks, Segmenter, load_backend
from ssc_core.config.labelling import CompatSettings, SegmentSettings
from ssc_core.errors import SscError
from ssc_core.masks import rle
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.store import Instances, MaskStore, MaskStoreWriter
from ssc_core.prefetch import batches_ahead, worker_threads
from ssc_core.provenance import code_version
from ssc_core.refer.ref_table import photos_upright
from ssc_core.registry import backend_version, model_digests
from ssc_core.segment.loading import BATCHES_AHEAD, PhotoLoader
from ssc_core.segment.tasks import ImageTask, RefQuery, TaskBatch, image_tasks, plan_batches


@dataclass(frozen=True, slots=True)
class _Segmented:
    """An image with its boxes and what became of them. masks: None where there are no boxes."""

    task: ImageTask
    boxes: Instances
    masks: Future[tuple[list[bytes], np.ndarray]] | None


def segment_boxes(
    *,
    refs: Path,
    nouns: Path,
    boxes: Path,
    images: Path,
    out: Path,
    settings: SegmentSettings,
    compat: CompatSettings,
    device: str = "auto",
    threads: int = 1,
    batch_size: int | None = None,
) -> None:
    """Write ``masks.h5`` for the images of ``boxes``, a shard's ``boxes.h5`` or a whole split's.

    A ref's candidates are the instances of its query, in descending order of box score. images: folder of the photos,
    of which those without boxes are not read; batch_size: ``compute.batch.segment``, 0 or None: the segmenter's own.

    Raises SscError when a photo cannot be read, and for a segmenter that breaks its contract.
    """
    with MaskStore.open(boxes, with_masks=False) as store:
        batches = _batches_in(store, image_tasks(refs, nouns))
        backend = settings.backend
        segmenter = load_backend(
            backend.name, backend.settings, Segmenter, device=device, threads=threads, batch_size=batch_size or None
        )
        load_photo = PhotoLoader(images, "stop", segmenter, photos_upright(refs))

        def load(task: ImageTask) -> tuple[Instances, Any]:
            found = store.instances(task.image_id)
            return found, load_photo(task) if len(found) else None

        with (
            MaskStoreWriter(out, _store_info(store.info, settings, compat), with_masks=True) as writer,
            worker_threads(threads) as pool,
            tqdm(total=len(store.image_ids), desc="segment", unit="image", mininterval=10) as progress,
        ):
            ready = batches_ahead(load, [batch.tasks for batch in batches], pool, BATCHES_AHEAD)
            for _, window in groupby(zip(batches, ready, strict=True), key=lambda item: item[0].window):
                done: list[_Segmented] = []
                for batch, loaded in window:
                    done += _segment(segmenter, batch.tasks, loaded, pool)
                    progress.update(len(batch.tasks))
                for item in sorted(done, key=lambda item: item.task.image_id):
                    _write(writer, item, store.info.class_names, any_noun=compat.candidates_any_noun)


def candidates_of(ref: RefQuery, labels: np.ndarray, class_names: Sequence[str], *, any_noun: bool) -> np.ndarray:
    """Which of an image's instances are candidates of a ref: indices int64, ascending.

    labels: (N,), index into class_names. A ref asks for its query, its most likely class. any_noun, a defect of the
    published code: it takes any class that it names, so it gets other refs' classes, and none when it names no class.
    """
    wanted = ref.classes if any_noun else (ref.query,)
    return np.flatnonzero([class_names[label] in wanted for label in labels]).astype(np.int64)


def _batches_in(store: MaskStore, tasks: Sequence[ImageTask]) -> list[TaskBatch]:
    """The split's batches, reduced to the images of the store."""
    here = set(store.image_ids.tolist())
    if unknown := here - {task.image_id for task in tasks}:
        raise SscError(f"{store.path} has image {min(unknown)}, which the refs do not have; run detect_boxes again")
    batches = (TaskBatch(b.window, tuple(t for t in b.tasks if t.image_id in here)) for b in plan_batches(tasks))
    return [batch for batch in batches if batch.tasks]


def _segment(
    segmenter: Segmenter, tasks: Sequence[ImageTask], loaded: Sequence[tuple[Instances, Any]], pool: ThreadPoolExecutor
) -> list[_Segmented]:
    """Masks of a batch. Encoding goes on in ``pool`` while the model works on the next batch."""
    busy = [i for i, (boxes, _) in enumerate(loaded) if len(boxes)]
    results: dict[int, InstanceMasks] = {}
    if busy:
        found = segmenter.segment([loaded[i][1] for i in busy], [loaded[i][0].boxes_xyxy for i in busy])
        results = dict(zip(busy, found, strict=True))
    done = []
    for i, (task, (boxes, _)) in enumerate(zip(tasks, loaded, strict=True)):
        done.append(_Segmented(task, boxes, pool.submit(_encode, results[i]) if i in results else None))
    return done


def _encode(result: InstanceMasks) -> tuple[list[bytes], np.ndarray]:
    return rle.encode(result.masks), np.asarray(result.scores, dtype=np.float32)


def _write(writer: MaskStoreWriter, item: _Segmented, class_names: Sequence[str], *, any_noun: bool) -> None:
    rles, scores = item.masks.result() if item.masks else ([], np.zeros(0, np.float32))
    labels = item.boxes.labels
    writer.append_image(
        item.task.image_id,
        item.task.size,
        boxes_xyxy=item.boxes.boxes_xyxy,
        box_scores=item.boxes.box_scores,
        labels=labels,
        rles=rles,
        mask_scores=scores,
        candidates={r.ref_id: candidates_of(r, labels, class_names, any_noun=any_noun) for r in item.task.refs},
    )


def _store_info(made_by: StoreInfo, settings: SegmentSettings, compat: CompatSettings) -> StoreInfo:
    own = {"candidates_any_noun": compat.candidates_any_noun}
    return StoreInfo(
        class_names=made_by.class_names,
        settings={
            **made_by.settings,
            "segment": settings.model_dump(mode="json"),
            "compat": {**made_by.settings.get("compat", {}), **own},
        },
        code=f"{made_by.code} {code_version('ssc_core.segment.masks')} {backend_version(settings.backend.name)}",
        models={**made_by.models, **model_digests(settings.backend.settings, "segment")},
    )
