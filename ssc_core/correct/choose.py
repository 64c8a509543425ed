"""choose_candidates: for every sentence the candidate that a trained network's prediction fits best.

A network knows which object is meant, Segment where it ends: this joins the two, for labels of one's own photos, and to
compare a network's choice with that of Select, whose masks have Segment's outlines too.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, tee
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from ssc_core.correct.both_ways import seen_both_ways
from ssc_core.correct.matching import soft_iou
from ssc_core.correct.network import LAVT_NAME
from ssc_core.correct.predictor import Predictor
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.resize import resize_nearest
from ssc_core.masks.selection import SelectionWriter
from ssc_core.masks.store import MaskStore
from ssc_core.prefetch import batches_ahead, worker_threads
from ssc_core.provenance import code_version, file_sha256
from ssc_core.refer.ref import Ref
from ssc_core.refer.ref_table import open_photos, photos_of, refs_by_photo
from ssc_core.refer.refs_digest import TableRefs

IMAGES_A_PASS = 8
"""Photos that go through the network together; as many are read ahead."""


def choose_candidates(
    *,
    refs: Path,
    split: str,
    images: Path,
    masks: Path,
    checkpoint: Path,
    network: str = LAVT_NAME,
    both_ways: bool = False,
    out: Path,
    device: str = "auto",
    threads: int = 1,
) -> None:
    """Write ``out``, a selection (see ``masks.selection``) with a choice per sentence, in the order of the annotations.

    refs: refs.parquet; images: the photos' folder; masks: the split's masks.h5; network: as of ``Predictor``;
    both_ways: it looks at each photo mirrored as well (see ``correct.both_ways``). Scores are the soft IoU of
    prediction and candidate at the network's input size, the measure of Correct's matching; the highest wins, the first
    of equal ones. Refs without candidates, and those of photos that are skipped, get none.

    Raises SscError when the files do not belong together, or the checkpoint cannot be used.
    """
    predictor = Predictor(checkpoint, network=network, device=device, threads=threads)
    predict = seen_both_ways(predictor) if both_ways else predictor
    ids, photos = photos_of(refs, split), open_photos(refs, images)
    by_image = (members for _, members in refs_by_photo(refs, ids, split))
    with MaskStore.open(masks, with_masks=True) as store:
        table = TableRefs(refs, split)
        table.check(store)
        info = StoreInfo(
            class_names=store.info.class_names,
            settings={**predictor.settings, "evaluate": {"both_ways": both_ways}},
            code=code_version("ssc_core.correct.choose"),
            models={"checkpoint": file_sha256(checkpoint)},
            refs=table.digest(store.ref_ids),
        )
        with (
            SelectionWriter(out, info, choice_per="sentence") as writer,
            worker_threads(threads) as pool,
            tqdm(total=len(ids), desc="choose", unit="photo", mininterval=10) as progress,
        ):
            passes, loaded = tee(iter(lambda: list(islice(by_image, IMAGES_A_PASS)), []))
            ready = batches_ahead(lambda members: photos.or_none(members[0].file_name), loaded, pool, 1)
            for groups, pictures in zip(passes, ready, strict=True):
                read = {i: picture for i, picture in enumerate(pictures) if picture is not None}
                texts = [[text for ref in groups[i] for text in ref.sentences] for i in read]
                drawn = dict(zip(read, predict(list(read.values()), texts), strict=True))
                for i, members in enumerate(groups):
                    _choose_image(members, drawn.get(i), store, writer)
                progress.update(len(groups))


def fit(margins: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Soft IoU of what a ``Predictor`` gives for S sentences, float32 (S, side, side), with candidates, bool (K, H, W),
    at ``side``: float32 (S, K)."""
    small = torch.from_numpy(resize_nearest(masks, margins.shape[-2:]))
    return soft_iou(torch.from_numpy(margins).sigmoid(), small).numpy()


def _choose_image(
    members: Sequence[Ref], margins: np.ndarray | None, store: MaskStore, writer: SelectionWriter
) -> None:
    """margins: float32 (S, side, side), of all sentences of all refs; None for a photo that is skipped."""
    size = store.image_size(members[0].image_id)
    firsts = np.cumsum([len(ref.sentences) for ref in members])[:-1]
    by_ref = [None] * len(members) if margins is None else np.split(margins, firsts)
    for ref, predicted in zip(members, by_ref, strict=True):
        rows, sentences = store.candidates(ref.ref_id).rows, len(ref.sentences)
        if len(rows) and predicted is not None:
            scores = fit(predicted, store.masks(rows))
            chosen = rows[scores.argmax(1)]
            codes: list[bytes | None] = [*store.rles(chosen)]
        else:
            scores, chosen, codes = np.zeros((sentences, 0), np.float32), np.full(sentences, -1), [None] * sentences
        writer.append_ref(ref.ref_id, image_id=ref.image_id, size=size, chosen=chosen, scores=scores, rles=codes)
