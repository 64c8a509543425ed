"""A split of a results folder, opened: candidates, scores, choices, and what a trained network says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import numpy as np
import pandas as pd

from ssc_core.config.methods import METHODS
from ssc_core.errors import SscError
from ssc_core.layout import RESULT_FOLDER, template
from ssc_core.masks import rle
from ssc_core.masks.candidates import Candidates, read_candidates
from ssc_core.masks.reader import Ids
from ssc_core.masks.selection import ScoreStore, SelectionStore
from ssc_core.masks.store import MaskStore
from ssc_core.refer.ref import Ref
from ssc_core.refer.ref_table import photos_of, read_refs, refs_by_photo
from ssc_core.refer.refs_digest import TableRefs
from ssc_core.select.ensemble import WeightedScores, scores_behind, weights_of
from ssc_core.tables import read_frame

NetworkMasks = Callable[[int], Sequence[tuple[rle.Size, bytes | None]]]
"""A ref's masks by a network, one per sentence: (height, width) and COCO compressed RLE, None where it has none."""


@dataclass(frozen=True, slots=True)
class Run:
    """A split of a results folder, opened. name: for the reader; table: refs.parquet; asked: the class asked for, by
    ref; scorers: all that scored the candidates, with a weight in the choice or not; network: what a trained one says,
    where one is; stale: files of scorers and networks that are of other refs or candidates, and left out."""

    name: str
    masks: MaskStore
    scores: WeightedScores
    selected: SelectionStore
    table: Path
    split: str
    asked: Asked
    least_area: int
    scorers: Sequence[ScoreStore]
    network: NetworkMasks | None = None
    stale: Sequence[Path] = ()

    @classmethod
    def open(
        cls,
        stack: ExitStack,
        name: str,
        split: str,
        *,
        refs: Path,
        nouns: Path,
        masks: Path,
        scores: Sequence[Path],
        selected: Path,
        more_scores: Sequence[Path] = (),
        network: NetworkMasks | None = None,
        stale: Sequence[Path] = (),
    ) -> Run:
        """scores: of every scorer that the choice was made from; more_scores: of others. Raises SscError for files that
        are missing, damaged, of each other's or of other rows than ``refs`` has now."""
        choices = stack.enter_context(SelectionStore(selected))
        weighted = WeightedScores.open(stack, scores, weights_of(choices))
        store = stack.enter_context(MaskStore.open(masks, with_masks=True))
        table = TableRefs(refs, split)
        table.check(choices, *weighted.stores.values(), store)
        others = [stack.enter_context(ScoreStore(path)) for path in more_scores]
        first = next(iter(weighted.stores.values()))
        fits = [
            table.has(one) and all(same_candidates(one, first, ref_id) for ref_id in one.ref_ids.tolist())
            for one in others
        ]
        return cls(
            name,
            store,
            weighted,
            choices,
            refs,
            split,
            Asked(nouns),
            int(choices.info.settings.get("min_area", 0)),
            [*weighted.stores.values(), *compress(others, fits)],
            network,
            [*stale, *(path for path, fit in zip(more_scores, fits, strict=True) if not fit)],
        )

    def tell_stale(self, make: str = "snakemake") -> None:
        """Print a line for each file that was left out. make: what makes a file again, before its name."""
        for path in self.stale:
            known = f"{path} is not known to be of these rows and candidates"
            print(f"{known}, and left out: remove it or make it, {make} {path}")

    @property
    def per_sentence(self) -> bool:
        """Whether every sentence has a choice of its own."""
        return self.selected.choice_per == "sentence"

    def sentences_of(self, choice: int) -> slice:
        """Which of its ref's sentences a choice is made for."""
        return slice(choice, choice + 1) if self.per_sentence else slice(None)

    def may_be_chosen(self, ref_id: int) -> np.ndarray:
        """Which candidates are large enough, bool (K,)."""
        return self.scores.areas(ref_id) >= self.least_area

    def refs(self) -> Iterator[Ref]:
        """The split's refs: photos by first appearance, a photo's refs together."""
        for _, members in refs_by_photo(self.table, photos_of(self.table, self.split), self.split):
            yield from members

    def candidates(self, ref_id: int) -> list[np.ndarray]:
        """Masks that were chosen from, bool (H, W) each, and last the one that a person drew, if one did."""
        return list(self.drawn_too(ref_id).masks())

    def drawn_too(self, ref_id: int) -> Candidates:
        """What was chosen from, with a mask that a person drew."""
        candidates = read_candidates(self.masks, ref_id, merged=self.scores.merged_masks)
        return candidates.with_drawn(self.selected.drawn(ref_id))

    def found_as(self, image_id: int) -> pd.Series:
        """How many instances of each class were found in a photo, the most first."""
        labels = [self.masks.info.class_names[label] for label in self.masks.instances(image_id).labels.tolist()]
        return pd.Series(labels, dtype=object).value_counts()


def same_candidates(store: ScoreStore, other: ScoreStore, ref_id: int) -> bool:
    """Whether two scorers' files are of as many sentences of a ref, and of candidates of the same pixels."""
    return (
        (ref_id in store and ref_id in other)
        and store.scores(ref_id).shape == other.scores(ref_id).shape
        and np.array_equal(store.areas(ref_id), other.areas(ref_id))
    )


def margin(scores: np.ndarray) -> float:
    """Score points between the two best of some candidates, NaN where there are not two. scores: (K,)."""
    best = np.sort(scores)[-2:]
    return float(best[1] - best[0]) if len(best) == 2 else float("nan")


class Asked:
    """The class that each ref asks for, from nouns.parquet: a number a ref, each name once. names: the last is "",
    for refs without any."""

    def __init__(self, nouns: Path) -> None:
        table = read_frame(nouns, made_by="extract_nouns", columns=["ref_id", "query"])
        self._refs = Ids(table["ref_id"].to_numpy(), "ref", nouns)
        self._numbers, names = pd.factorize(table["query"])
        self.names = (*names.tolist(), "")

    def number(self, ref_id: int) -> int:
        """Index of the name that a ref asks for."""
        row = self._refs.find(ref_id)
        return len(self.names) - 1 if row is None else int(self._numbers[row])


def open_run(stack: ExitStack, folder: Path, name: str) -> Run:
    """Raises SscError for a folder in which nothing was selected, or files of each other's."""
    split, selected = folder.resolve().name, folder / "selected.h5"
    if not selected.is_file():
        raise SscError(f"{selected} is not there; make it, by `ssc label` or `snakemake {selected}`")

    def found(result: str) -> Path:
        return nearest(folder, template(result).removeprefix(RESULT_FOLDER).format(split=split))

    scores = [found(result) for result in scores_behind(selected)]
    all_scores = sorted({*folder.glob("scores.h5"), *folder.glob("scores_*.h5")})
    more = [path for path in all_scores if folder.resolve() / path.name not in scores]
    network, stale = _network(stack, folder, found("refs"))
    return Run.open(
        stack,
        name,
        split,
        refs=found("refs"),
        nouns=found("nouns"),
        masks=found("masks"),
        scores=scores,
        selected=selected,
        more_scores=more,
        network=network,
        stale=stale,
    )


def nearest(folder: Path, name: str) -> Path:
    """A file of a split's folder or above it: variants share with their dataset what their changes do not reach."""
    for above in [folder.resolve(), *folder.resolve().parents][:4]:
        if (above / name).is_file():
            return above / name
    raise SscError(f"{folder} is no split of a results folder: there is no {name} in the folders above it")


def chosen_by(network: SelectionStore) -> NetworkMasks:
    """What a network chose among the candidates (``chosen_METHOD.h5``)."""
    known = set(network.ref_ids.tolist())

    def masks(ref_id: int) -> list[tuple[rle.Size, bytes | None]]:
        own = range(network.choices(ref_id)) if ref_id in known else ()
        return [(network.size(ref_id), network.rle(ref_id, one)) for one in own]

    return masks


def predicted_in(rows: pd.DataFrame) -> NetworkMasks:
    """A network's own masks, of the rows of its evaluation (``evaluate.pairs``)."""
    by_ref: dict[int, list[tuple[rle.Size, bytes | None]]] = {}
    columns = (rows[name].tolist() for name in ("ref_id", "rle_height", "rle_width", "rle"))
    for ref_id, height, width, mask in zip(*columns, strict=True):
        by_ref.setdefault(ref_id, []).append(((height, width), mask.encode("ascii")))
    return lambda ref_id: by_ref.get(ref_id, [])


def _network(stack: ExitStack, folder: Path, refs: Path) -> tuple[NetworkMasks | None, list[Path]]:
    """What a trained network says of the split's refs: its choices, else its masks where it was evaluated. And files
    of refs that are not these: of a table whose rows have moved since, one row's mask is another's."""
    split = folder.resolve().name
    stale: list[Path] = []
    table: TableRefs | None = None
    for method in dict.fromkeys(("corrected", *reversed(METHODS))):
        if (path := folder / f"chosen_{method}.h5").is_file():
            store = stack.enter_context(SelectionStore(path))
            table = table or TableRefs(refs, split)
            if store.info.refs and table.has(store):
                return chosen_by(store), stale
            stale.append(path)
    above = folder if folder.name == split else folder.resolve()  # as a rule has it, where it can be: it is told
    evaluated = above.parent / f"eval_{split}.parquet"
    if not evaluated.is_file():
        return None, stale
    about = ["ref_id", "file_name", "sentence"]
    rows = read_frame(evaluated, made_by="evaluate", columns=[*about, "rle", "rle_height", "rle_width"])
    known = read_refs(refs, split, columns=about).drop_duplicates()
    if len(rows[about].merge(known)) == len(rows):
        return predicted_in(rows), stale
    return None, [*stale, evaluated]
