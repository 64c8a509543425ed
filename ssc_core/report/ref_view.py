"""One ref as a picture: photo, candidates, the score of every sentence, the choice, and the truth when known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ssc_core.drawing import style
from ssc_core.drawing.marks import scale
from ssc_core.errors import SscError
from ssc_core.masks.candidates import read_candidates
from ssc_core.masks.choice import NONE
from ssc_core.masks.selection import ScoreStore, SelectionStore
from ssc_core.masks.store import MaskStore
from ssc_core.refer.ref_table import open_photos, read_refs
from ssc_core.refer.refs_digest import TableRefs
from ssc_core.refer.truth import TruthStore
from ssc_core.report.examples import mask_iou
from ssc_core.report.overlay import overlay
from ssc_core.report.run import same_candidates
from ssc_core.report.sheet import Below, Beside, Box, Picture, Text, render, text
from ssc_core.select.ensemble import WeightedScores, scorer_of, weights_of
from ssc_core.wording import counted

MAX_COLUMNS = 10
"""Candidates that are drawn; of more, those with the highest means."""

_PHOTO, _COLUMN, _WORDS, _GAP, _TEXT = 360, 150, 300, 12, 14
_HEAT = np.array([(246, 248, 250), (122, 182, 228)])
"""Cells from the lowest to the highest score of their row."""


@dataclass(frozen=True, slots=True)
class RefView:
    """What is known of a ref.

    photo: RGB uint8 (H, W, 3); masks: bool (K, H, W), its candidates, with ``drawn`` the last one a mask that a person
    drew, which has NaN for a score; scores: (S, K) that the choice is made from, or
    None before they were made; by_scorer: (S, K) of each scorer by name, where there are several; scale: what scores
    are; chosen: (C,) candidate indices, per ref or per sentence, -1 none, or None before the choice; decisive: (C, K),
    the scores that the choice was made from; truth: bool (H, W); stale: names of scorers' files that are of other
    candidates, and left out.
    """

    title: str
    photo: np.ndarray
    sentences: tuple[str, ...]
    masks: np.ndarray
    scores: np.ndarray | None
    chosen: np.ndarray | None
    decisive: np.ndarray | None
    truth: np.ndarray | None
    by_scorer: Mapping[str, np.ndarray] = field(default_factory=dict)
    scale: str = ""
    drawn: bool = False
    stale: tuple[str, ...] = ()


def read_view(
    ref_id: int,
    *,
    refs: Path,
    images: Path,
    masks: Path,
    scores: Sequence[Path] = (),
    selected: Path | None = None,
    truth: Path | None = None,
) -> RefView:
    """Gather a ref from the files of its split; those that do not exist yet may be left out. Raises SscError.

    scores: of scorers, whether or not they have a weight. Before a choice was made, the first of them counts alone.
    """
    table = read_refs(refs)
    rows = table[table["ref_id"] == ref_id]
    if rows.empty:
        known = table["ref_id"].unique()
        raise SscError(
            f"{refs} has no ref {ref_id}; it has {counted(len(known), 'ref')}, from {known.min()} to {known.max()}"
        )
    with ExitStack() as stack:
        stores = [stack.enter_context(ScoreStore(path)) for path in scores]
        whole = _whole(stores, selected)
        store = stack.enter_context(MaskStore.open(masks, with_masks=True))
        now = TableRefs(refs)
        if selected is not None:
            now.check(stack.enter_context(SelectionStore(selected)))
        now.check(*(() if whole is None else whole.stores.values()), store)
        candidates = read_candidates(store, ref_id, merged=whole is not None and whole.merged_masks)
        values = None if whole is None else whole.scores(ref_id)
        stale = [] if whole is None else _stale(stores, whole, ref_id, now)
        kept = [one for one in stores if one not in stale]
        by_scorer = {scorer_of(one): one.scores(ref_id) for one in kept} if len(kept) > 1 else {}
        scale = "" if whole is None else whole.scale
    chosen, decisive, scored = None, None, len(candidates)
    if selected is not None:
        with SelectionStore(selected) as choices:
            candidates = candidates.with_drawn(choices.drawn(ref_id))
            chosen, decisive = _selection(ref_id, choices, candidates.rows)
    one = rows.iloc[0]
    return RefView(
        title=f"{one['dataset']} · {one['split']} · ref {ref_id} · {one['file_name']}",
        photo=open_photos(refs, images)(one["file_name"]),
        sentences=tuple(rows["sentence"]),
        masks=candidates.masks(),
        scores=_to(len(candidates), values),
        chosen=chosen,
        decisive=_to(len(candidates), decisive),
        truth=None if truth is None else TruthStore(truth).mask(ref_id),
        by_scorer={name: np.asarray(_to(len(candidates), one)) for name, one in by_scorer.items()},
        scale=scale,
        drawn=len(candidates) > scored,
        stale=tuple(one.path.name for one in stale),
    )


def render_ref(view: RefView) -> np.ndarray:
    """Draw a ref: RGB uint8. On top photo, choice and truth; below columns per candidate, rows per sentence.

    Candidates are numbered from 1. The chosen one is framed; the truth is outlined. A darker cell is a higher score.
    """
    columns = _columns_shown(view)
    pictures = Beside([Below([_quiet(name), Picture(shown)], 4) for name, shown in _panels(view)], _GAP)
    heads = [_head(view, index) for index in columns]
    table = Below([Beside([Box(Text([], _TEXT), least=(_WORDS, 0)), *heads], _GAP), *_rows(view, columns)], 4)
    footer = _quiet(_footer(view, hidden=len(view.masks) - len(columns)))
    return render(Below([Text([view.title], 16), pictures, table, footer], _GAP), margin=_GAP)


def _whole(stores: Sequence[ScoreStore], selected: Path | None) -> WeightedScores | None:
    """The scores that a choice is made from, of the scorers that have a weight."""
    if not stores:
        return None
    weights = {scorer_of(stores[0]): 1.0}
    if selected is not None:
        with SelectionStore(selected) as choices:
            weights = weights_of(choices)
    return WeightedScores([store for store in stores if scorer_of(store) in weights], weights)


def _stale(stores: Sequence[ScoreStore], whole: WeightedScores, ref_id: int, now: TableRefs) -> list[ScoreStore]:
    """Scorers that no choice was made from, and that scored other refs, or other candidates of a ref than those that
    one was made from."""
    first = next(iter(whole.stores.values()))
    others = [one for one in stores if scorer_of(one) not in whole.stores]
    return [one for one in others if not (now.has(one) and same_candidates(one, first, ref_id))]


def _to(count: int, scores: np.ndarray | None) -> np.ndarray | None:
    """Scores (S, K) of the candidates as (S, ``count``): NaN for a mask after them."""
    if scores is None or not len(scores):
        return scores
    return np.pad(scores.astype(np.float64), ((0, 0), (0, count - scores.shape[1])), constant_values=np.nan)


def _selection(ref_id: int, store: SelectionStore, candidates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(chosen, decisive) of a view."""
    rows = [store.chosen(ref_id, choice) for choice in range(store.choices(ref_id))]
    if unknown := [row for row in rows if row != NONE and row not in candidates]:
        raise SscError(f"{store.path}, ref {ref_id}: {unknown[0]} is no candidate of it; was it made from other masks?")
    places = [-1 if row == NONE else int(np.flatnonzero(candidates == row)[-1]) for row in rows]
    return np.array(places), store.scores(ref_id)


def _columns_shown(view: RefView) -> list[int]:
    count = len(view.masks)
    if count <= MAX_COLUMNS or view.scores is None:
        return list(range(min(count, MAX_COLUMNS)))
    best = np.argsort(-view.scores.mean(axis=0), kind="stable").tolist()
    must = [] if view.chosen is None else [int(index) for index in np.unique(view.chosen) if index >= 0]
    return sorted(list(dict.fromkeys([*must[:MAX_COLUMNS], *best]))[:MAX_COLUMNS])


def _summary(view: RefView) -> tuple[str, np.ndarray] | None:
    """Name and values (K,) of the last row: what a choice for all sentences is made from."""
    if view.scores is None or view.scores.size == 0:
        return None
    mean = view.scores.mean(axis=0)
    if (
        view.decisive is not None
        and len(view.decisive) == 1
        and not np.allclose(view.decisive[0], mean, atol=0.01, equal_nan=True)
    ):
        return "mean, and words of place", view.decisive[0]
    return ("mean", mean) if len(view.scores) > 1 else None


def _panels(view: RefView) -> Iterator[tuple[str, np.ndarray]]:
    yield "photo", scale(view.photo, _PHOTO)
    if view.chosen is not None:
        yield _choice_name(view), overlay(view.photo, _chosen_mask(view), colour=style.PICK, side=_PHOTO)
    if view.truth is not None:
        yield "truth", overlay(view.photo, view.truth, colour=style.TRUTH, side=_PHOTO)


def _chosen_mask(view: RefView) -> np.ndarray:
    """bool (H, W): all chosen candidates together; empty where none is."""
    assert view.chosen is not None
    taken = np.unique(view.chosen[view.chosen >= 0])
    return view.masks[taken].any(axis=0) if len(taken) else np.zeros(view.photo.shape[:2], dtype=bool)


def _choice_name(view: RefView) -> str:
    assert view.chosen is not None
    taken = sorted({int(index) for index in view.chosen})
    picks = ", ".join("none" if index < 0 else _name(view, index) for index in taken)
    if len(view.chosen) > 1:
        return f"chosen: {picks} (by sentence)"
    return f"chosen: {picks}{_quality(view, _chosen_mask(view))}"


def _name(view: RefView, index: int) -> str:
    return "drawn" if view.drawn and index == len(view.masks) - 1 else f"candidate {index + 1}"


def _quality(view: RefView, mask: np.ndarray) -> str:
    return "" if view.truth is None else f" · IoU {mask_iou(mask, view.truth):.2f}"


def _head(view: RefView, index: int) -> Box:
    """A candidate's name, size and picture: a column's head."""
    mask, chosen = view.masks[index], view.chosen is not None and index in view.chosen
    colour = style.PICK if chosen else style.CANDIDATE
    picture = Box(
        Picture(overlay(view.photo, mask, view.truth, colour=colour, side=_COLUMN - 6)),
        margin=3,
        frame=style.PICK if chosen else None,
    )
    name = Text([f"{_name(view, index)}{' ✓' if chosen else ''}"], _TEXT, bold=chosen)
    size = _quiet(f"{int(mask.sum())} px{_quality(view, mask)}")
    return Box(Below([name, size, picture]), least=(_COLUMN, 0))


def _rows(view: RefView, columns: list[int]) -> Iterator[Beside]:
    """A row per sentence, one of what a choice for all sentences is made from, and those of each scorer by itself."""
    summary = _summary(view)
    lines = [*zip(view.sentences, [None] * len(view.sentences) if view.scores is None else view.scores, strict=True)]
    own = [
        (f"{name}: {words}", row)
        for name, of in view.by_scorer.items()
        for words, row in zip(view.sentences, of, strict=True)
    ]
    for row, (words, values) in enumerate([*lines, *([] if summary is None else [summary]), *own]):
        colour = style.INK if row < len(lines) else style.QUIET
        name = Box(text(words or "(empty)", _TEXT, _WORDS - 8, colour=colour, max_lines=3), margin=4, least=(_WORDS, 0))
        cells: list[Box] = []
        if values is not None and len(values):
            known = np.isfinite(values)
            lowest, highest = (values[known].min(), values[known].max()) if known.any() else (0.0, 0.0)
            shares = np.where(known, (values - lowest) / max(float(highest - lowest), 1e-6), 0)
            for index in columns:
                chosen = _is_choice(view, index, row, has_summary=summary is not None)
                ground = (_HEAT[0] + shares[index] * (_HEAT[1] - _HEAT[0])).round().astype(int).tolist()
                cells.append(
                    Box(
                        Text([f"{values[index]:.2f}" if known[index] else "–"], _TEXT),
                        margin=4,
                        ground=(ground[0], ground[1], ground[2]),
                        frame=style.PICK if chosen else None,
                        least=(_COLUMN, name.height),
                    )
                )
        yield Beside([name, *cells], _GAP)


def _quiet(words: str) -> Text:
    return Text([words], 13, colour=style.QUIET)


def _is_choice(view: RefView, index: int, row: int, *, has_summary: bool) -> bool:
    """Whether this cell is where a choice was made: the summary's row, or with one per sentence that sentence's."""
    if view.chosen is None or len(view.chosen) == 0:
        return False
    if len(view.chosen) > 1:
        return row < len(view.chosen) and bool(view.chosen[row] == index)
    deciding_row = len(view.sentences) if has_summary else 0
    return row == deciding_row and bool(view.chosen[0] == index)


def _footer(view: RefView, *, hidden: int) -> str:
    notes = []
    if len(view.masks) == 0:
        notes.append("This ref has no candidates: its mask is empty.")
    elif view.scores is None:
        notes.append("No scores yet.")
    else:
        notes.append(f"Scores: {view.scale}.")
    if view.stale:
        notes.append(f"Left out, being of other candidates: {', '.join(view.stale)}.")
    if hidden > 0:
        notes.append(f"{hidden} more candidates are not shown.")
    if view.truth is None:
        notes.append("No ground truth.")
    return "  ".join(notes)
