"""select_masks: one candidate a ref (or a sentence) from scores.h5. Runs no model; seconds for a whole split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ssc_core.errors import SscError
from ssc_core.masks import MaskStore, ScoreStore, SelectionWriter, StoreInfo
from ssc_core.provenance import code_version
from ssc_core.refer.ref_table import Sentences
from ssc_core.select.assign import assign_jointly
from ssc_core.select.choice import choose, eligible, mean_scores
from ssc_core.select.spatial import spatial_scores
from ssc_core.settings import SelectSettings


@dataclass(frozen=True, slots=True)
class ScoredRef:
    """A ref as the choice sees it. rows: (K,) instance rows; scores: (C, K), a row a choice; areas: (K,), pixels."""

    ref_id: int
    rows: np.ndarray
    scores: np.ndarray
    areas: np.ndarray


def select_masks(*, refs: Path, split: str, masks: Path, scores: Path, out: Path, settings: SelectSettings) -> None:
    """Write ``out`` (selected.h5): the chosen candidate and its mask for every ref of ``masks``.

    Raises SscError when masks, scores and annotations do not belong together.
    """
    sentences = Sentences(refs, split)
    with MaskStore.open(masks, with_masks=True) as store, ScoreStore(scores) as score_store:
        info = StoreInfo(
            class_names=store.info.class_names,
            settings=settings.model_dump(mode="json"),
            code=code_version("ssc_core.select.stage"),
            models=score_store.info.models,
        )
        with SelectionWriter(out, info, choice_per=settings.per) as writer:
            for image_id in tqdm(store.image_ids.tolist(), desc="select", unit="photo", mininterval=10):
                size = store.image_size(image_id)
                for ref, chosen in select_image(
                    scored_refs(image_id, store, score_store, sentences, settings), settings
                ):
                    rles = [None if row < 0 else store.rles([row])[0] for row in chosen.tolist()]
                    writer.append_ref(
                        ref.ref_id, image_id=image_id, size=size, chosen=chosen, scores=ref.scores, rles=rles
                    )


def select_image(refs: list[ScoredRef], settings: SelectSettings) -> Iterator[tuple[ScoredRef, np.ndarray]]:
    """Every ref of an image with the chosen instance rows (C,), -1 for none."""
    if settings.assignment == "joint" and settings.choice == "score":
        picks = _pick_jointly(refs, settings)
    else:
        picks = [[choose(row[None], ref.areas, settings, ref_id=ref.ref_id) for row in ref.scores] for ref in refs]
    for ref, pick in zip(refs, picks, strict=True):
        yield ref, np.array([-1 if index < 0 else ref.rows[index] for index in pick], dtype=np.int64)


def scored_refs(
    image_id: int,
    store: MaskStore,
    score_store: ScoreStore,
    sentences: Mapping[int, Sequence[str]],
    settings: SelectSettings,
) -> list[ScoredRef]:
    """The refs of an image with the scores that the choice is made from: the spatial term added, the mean taken."""
    refs = []
    for ref_id in store.all_refs_of(image_id):
        found = store.candidates(ref_id)
        scores, areas = score_store.scores(ref_id), score_store.areas(ref_id)
        texts = sentences.get(ref_id, ())
        if scores.shape != (len(texts), len(found)):
            raise SscError(
                f"{score_store.path}, ref {ref_id}: {scores.shape[0]} sentences and {scores.shape[1]} candidates were "
                f"scored, but it has {len(texts)} and {len(found)}; delete the file and run the same command again"
            )
        if settings.spatial_weight > 0:
            among = eligible(areas, settings.min_area)
            terms = spatial_scores(texts, found.boxes_xyxy[among], areas[among], store.image_size(image_id))
            scores[:, among] += (settings.spatial_weight * terms).astype(np.float32)
        per_choice = scores if settings.per == "sentence" else mean_scores(scores)[None]
        refs.append(ScoredRef(ref_id, found.rows, np.asarray(per_choice), areas))
    return refs


def _pick_jointly(refs: list[ScoredRef], settings: SelectSettings) -> list[list[int]]:
    """Indices into each ref's candidates, a list a ref. With a choice a sentence, the n-th ones are made together."""
    allowed = [eligible(ref.areas, settings.min_area) for ref in refs]
    picks: list[list[int]] = [[] for _ in refs]
    for turn in range(max((len(ref.scores) for ref in refs), default=0)):
        at_turn = [index for index, ref in enumerate(refs) if turn < len(ref.scores)]
        chosen = assign_jointly(
            [refs[index].scores[turn] for index in at_turn],
            [refs[index].rows for index in at_turn],
            [allowed[index] for index in at_turn],
        )
        for index, pick in zip(at_turn, chosen, strict=True):
            picks[index].append(pick)
    return picks
