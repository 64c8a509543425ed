"""detect_boxes: the classes of each image to boxes."""

from __future__ import annotations

import logging
from itertools import groupby, tee
from pathlib import Path

from tqdm import tqdm

from ssc_core.backends import Detector, load_backend
from ssc_core.config.base import Backend
from ssc_core.config.labelling import CompatSettings, DetectSettings
from ssc_core.config.stages import STAGES
from ssc_core.errors import SscError
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.store import MaskStoreWriter
from ssc_core.prefetch import batches_ahead, worker_threads
from ssc_core.provenance import code_version
from ssc_core.refer.ref_table import photos_upright
from ssc_core.registry import backend_version, model_digests
from ssc_core.segment.finding import BoxFinder, Found, asks_likely
from ssc_core.segment.loading import BATCHES_AHEAD, PhotoLoader
from ssc_core.segment.plan import SplitPlan
from ssc_core.segment.tasks import ImageTask
from ssc_core.wording import counted

log = logging.getLogger(__name__)


def detect_boxes(
    *,
    refs: Path,
    nouns: Path,
    images: Path,
    split: str,
    out: Path,
    settings: DetectSettings,
    compat: CompatSettings,
    device: str = "auto",
    threads: int = 1,
    batch_size: int | None = None,
    shard: int = 0,
    shards: int = 1,
) -> None:
    """Write ``boxes.h5`` for shard ``shard`` of ``shards`` of a split, counted from 0.

    batch_size: ``compute.batch.detect``, 0 or None: the detector's own; images: folder of the photos. Images are in
    ascending order of id, boxes of an image in descending order of score and cut at its borders (``compat`` changes
    both); labels index the store's class names, which are all that the split is asked for. A ref that asks by phrases
    (``nouns.ask``) has its candidates in the file already, since a box may answer to several. A photo that is skipped
    (``on_bad_image``) is in the file, without boxes.

    Raises SscError for a bad photo that is not skipped, and for a detector that breaks its contract.
    """
    plan = SplitPlan(refs, nouns, split)
    class_names = plan.names(likely=asks_likely(settings))
    backend = settings.backend
    if backend is None:
        raise SscError("`detect.backend` is null, so `segment.backend` finds masks at once and there are no boxes")
    detector = load_backend(
        backend.name, backend.settings, Detector, device=device, threads=threads, batch_size=batch_size or None
    )
    load = PhotoLoader(images, settings.on_bad_image, detector, photos_upright(refs))
    finder = BoxFinder(detector, settings, compat, class_names)
    with (
        MaskStoreWriter(out, _store_info(backend, settings, compat, class_names), with_masks=False) as writer,
        worker_threads(threads) as pool,
        tqdm(total=len(plan.photos) // shards, desc="detect", unit="image", mininterval=10) as progress,
    ):
        batches, upcoming = tee(plan.shard(shard, shards))
        ready = batches_ahead(load, (batch.tasks for batch in upcoming), pool, BATCHES_AHEAD)
        for _, window in groupby(zip(batches, ready, strict=True), key=lambda item: item[0].window):
            found: list[tuple[ImageTask, Found]] = []
            for batch, photos in window:
                found += zip(batch.tasks, finder(batch.tasks, photos), strict=True)
                progress.update(len(batch.tasks))
            for task, one in sorted(found, key=lambda item: item[0].image_id):
                writer.append_image(
                    task.image_id,
                    task.size,
                    boxes_xyxy=one.boxes.boxes_xyxy,
                    box_scores=one.boxes.scores,
                    labels=one.boxes.labels,
                    candidates={ref.ref_id: one.candidates_of(ref, class_names) for ref in task.refs if ref.phrases},
                )
    if load.skipped:
        log.warning("%s could not be read, skipped", counted(len(load.skipped), "photo"))


def _store_info(
    backend: Backend, settings: DetectSettings, compat: CompatSettings, class_names: tuple[str, ...]
) -> StoreInfo:
    return StoreInfo(
        class_names=class_names,
        settings={
            "detect": settings.model_dump(mode="json"),
            "compat": compat.model_dump(include=set(STAGES["detect_boxes"].compat)),
        },
        code=f"{code_version('ssc_core.segment.boxes')} {backend_version(backend.name)}",
        models=model_digests(backend.settings, "detect"),
    )
