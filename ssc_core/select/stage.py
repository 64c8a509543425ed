"""select_masks: one candidate per ref (or per sentence) from its scores. Runs no model; seconds for a whole split."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from tqdm import tqdm

from ssc_core.config.labelling import CompatSettings, SelectSettings
from ssc_core.config.stages import STAGES
from ssc_core.masks.candidates import Candidates, read_candidates
from ssc_core.masks.choice import DRAWN, NONE, eligible
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.selection import SelectionWriter
from ssc_core.masks.store import MaskStore
from ssc_core.provenance import code_version
from ssc_core.refer.ref_table import refs_by_photo
from ssc_core.refer.refs_digest import TableRefs
from ssc_core.select.assign import assign_jointly
from ssc_core.select.choice import choose, mean_scores, require_finite
from ssc_core.select.decisions import Decided, read_decisions
from ssc_core.select.ensemble import WeightedScores
from ssc_core.select.spatial import spatial_scores

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ScoredRef:
    """A ref as the choice sees it. scores: (C, K), per row a choice; areas: (K,), pixels."""

    ref_id: int
    candidates: Candidates
    scores: np.ndarray
    areas: np.ndarray


def select_masks(
    *,
    refs: Path,
    split: str,
    masks: Path,
    scores: list[Path],
    out: Path,
    settings: SelectSettings,
    compat: CompatSettings,
    reviews: Path | None = None,
    images: Path | None = None,
) -> None:
    """Write ``out`` (selected.h5): the chosen candidate and its mask for every ref of ``masks``.

    scores: a file of every scorer that has a weight, in any order: a file says of which it is. reviews: reviews.csv,
    None where nobody decided yet; images: folder of the photos, of which those that somebody decided on are read.

    Raises SscError when masks, scores and annotations do not belong together, or a scorer's file is missing.
    """
    with ExitStack() as stack:
        store = stack.enter_context(MaskStore.open(masks, with_masks=True))
        score_store = WeightedScores.open(stack, scores, settings.scorers)
        table = TableRefs(refs, split)
        table.check(store, *score_store.stores.values())
        switches = compat.model_dump(include=set(STAGES["select_masks"].compat))
        info = StoreInfo(
            class_names=store.info.class_names,
            settings={**settings.model_dump(mode="json"), **switches},
            code=code_version("ssc_core.select.stage"),
            models=score_store.models,
            refs=table.digest(store.ref_ids),
        )
        decided = Decided({})
        if reviews:
            decided = read_decisions(reviews, refs, store, merged=compat.merged_masks, images=images)
        for unfit in decided.unfit:
            log.warning("%s: %s; to do: %s", reviews, unfit, unfit.todo)
        with SelectionWriter(
            out, info, choice_per=settings.per, reviewed=decided.chosen, unfit=list(map(str, decided.unfit))
        ) as writer:
            photos = refs_by_photo(refs, store.image_ids, split)
            progress = tqdm(photos, total=len(store.image_ids), desc="select", unit="photo", mininterval=10)
            for image_id, members in progress:
                sentences = {ref.ref_id: ref.sentences for ref in members}
                found = [
                    _read_ref(ref_id, store, score_store, sentences.get(ref_id, ()), settings, compat)
                    for ref_id in store.all_refs_of(image_id)
                ]
                for ref, chosen in select_image(found, settings, compat, decided.chosen):
                    rows, rles = _masks_of(ref, chosen, decided.drawn.get(ref.ref_id))
                    writer.append_ref(
                        ref.ref_id,
                        image_id=image_id,
                        size=ref.candidates.size,
                        chosen=rows,
                        scores=ref.scores,
                        rles=rles,
                    )


def _masks_of(ref: ScoredRef, chosen: Sequence[int], drawn: bytes | None) -> tuple[list[int], list[bytes | None]]:
    """Rows and masks of a ref's choices. chosen: indices; drawn: what a person drew for the ref, for all of them."""
    if drawn is not None:
        return [DRAWN] * len(chosen), [drawn] * len(chosen)
    own = ref.candidates
    rows = [NONE if index < 0 else int(own.rows[index]) for index in chosen]
    return rows, [None if index < 0 else own.rles[index] for index in chosen]


def select_image(
    refs: Sequence[ScoredRef],
    settings: SelectSettings,
    compat: CompatSettings,
    decided: Mapping[int, int] = MappingProxyType({}),
) -> Iterator[tuple[ScoredRef, list[int]]]:
    """Every ref of an image with its C chosen candidates, -1 for none. decided: those that a person chose, by ref."""
    if settings.assignment == "joint" and settings.choice == "score":
        picks = _pick_jointly(refs, settings, decided)
    else:
        picks = [
            [choose(row[None], ref.areas, settings, compat, ref_id=ref.ref_id) for row in ref.scores] for ref in refs
        ]
    picks = [
        [decided[ref.ref_id]] * len(own) if ref.ref_id in decided else own for ref, own in zip(refs, picks, strict=True)
    ]
    return zip(refs, picks, strict=True)


def scored_ref(
    ref_id: int,
    candidates: Candidates,
    areas: np.ndarray,
    scores: np.ndarray,
    sentences: Sequence[str],
    settings: SelectSettings,
) -> ScoredRef:
    """A ref with the scores that the choice is made from: the spatial term added, the mean taken.

    areas: (K,), pixels; scores: float32 (S, K), of each sentence and candidate.
    """
    if settings.spatial_weight > 0:
        among = eligible(areas, settings.min_area)
        terms = spatial_scores(sentences, candidates.boxes_xyxy[among], areas[among], candidates.size)
        scores = scores.copy()
        scores[:, among] += (settings.spatial_weight * terms).astype(np.float32)
    per_choice = scores if settings.per == "sentence" else mean_scores(scores)[None]
    return ScoredRef(ref_id, candidates, np.asarray(per_choice), areas)


def _read_ref(
    ref_id: int,
    store: MaskStore,
    score_store: WeightedScores,
    sentences: Sequence[str],
    settings: SelectSettings,
    compat: CompatSettings,
) -> ScoredRef:
    candidates = read_candidates(store, ref_id, merged=compat.merged_masks)
    scores = score_store.scores(ref_id, (len(sentences), len(candidates)))
    return scored_ref(ref_id, candidates, score_store.areas(ref_id), scores, sentences, settings)


def _pick_jointly(refs: Sequence[ScoredRef], settings: SelectSettings, decided: Mapping[int, int]) -> list[list[int]]:
    """Indices into each ref's candidates, a list per ref. With one choice per sentence, the n-th are made together.

    A ref that is decided may take that one candidate alone, so that the others leave it.
    """
    for ref in refs:
        require_finite(ref.scores, ref.ref_id)
    allowed = [
        np.arange(len(ref.areas)) == decided[ref.ref_id]
        if ref.ref_id in decided
        else eligible(ref.areas, settings.min_area)
        for ref in refs
    ]
    picks: list[list[int]] = [[] for _ in refs]
    for turn in range(max((len(ref.scores) for ref in refs), default=0)):
        at_turn = [index for index, ref in enumerate(refs) if turn < len(ref.scores)]
        chosen = assign_jointly(
            [refs[index].scores[turn] for index in at_turn],
            [refs[index].candidates.rows for index in at_turn],
            [allowed[index] for index in at_turn],
        )
        for index, pick in zip(at_turn, chosen, strict=True):
            picks[index].append(pick)
    return picks
