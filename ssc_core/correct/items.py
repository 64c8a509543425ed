"""Training data: one item an image, with its refs, their sentences as tokens, and their masks at the input size."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from tqdm import tqdm

from ssc_core.correct.pixels import resized_photo
from ssc_core.correct.targets import Targets
from ssc_core.errors import SscError
from ssc_core.masks import rle
from ssc_core.masks.resize import resize_nearest
from ssc_core.refer.ref import Ref
from ssc_core.refer.sides import mirrored
from ssc_core.wording import counted

Tokenize = Callable[[Sequence[str]], tuple[np.ndarray, np.ndarray]]
"""N sentences to ids and attention mask, both int64 (N, T)."""

ReadPrior = Callable[[int, np.ndarray], tuple[np.ndarray, ...]]
"""What Select makes of a ref's candidates, by its id and their places: see ``ssc_core.correct.prior``."""

CACHE_BYTES = 2 * 2**30
"""Photos and masks of a dataset that is smaller than this at the input size stay in memory."""


@dataclass(frozen=True, slots=True)
class RefItem:
    """ids, attention: int64 (S, T), one row per sentence. rows: what the ref may be, rows of its image's masks: an
    int64 (K,) that all sentences share, or one per sentence. sources: of the same shapes, the number of each among the
    ref's masks in the file. prior: what Select makes of them, float64 (K,), one for all sentences or one per sentence;
    none without. mirrored: ids and attention of what the sentences become when the photo is mirrored."""

    ref_id: int
    ids: np.ndarray
    attention: np.ndarray
    rows: tuple[np.ndarray, ...]
    sources: tuple[np.ndarray, ...]
    prior: tuple[np.ndarray, ...] = ()
    mirrored: tuple[np.ndarray, np.ndarray] | None = None

    def tokens_of(self, sentence: int, *, mirrored: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Ids and attention of a sentence, both int64 (T,)."""
        if not mirrored:
            return self.ids[sentence], self.attention[sentence]
        assert self.mirrored is not None, "built without `mirror`"
        return self.mirrored[0][sentence], self.mirrored[1][sentence]

    def rows_of(self, sentence: int) -> np.ndarray:
        return _of_sentence(self.rows, sentence)

    def prior_of(self, sentence: int) -> np.ndarray:
        return _of_sentence(self.prior, sentence)


def _of_sentence(values: tuple[np.ndarray, ...], sentence: int) -> np.ndarray:
    """Of one array that all sentences share, or one per sentence."""
    return values[sentence if len(values) > 1 else 0]


@dataclass(frozen=True, slots=True)
class ImageItem:
    """masks: COCO RLEs at the input size, all different."""

    image_id: int
    file_name: str
    refs: tuple[RefItem, ...]
    masks: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Items:
    """A split ready for training at ``side`` x ``side`` pixels.

    photos: file name to RGB uint8 (H, W, 3). dropped: refs that are not trained on, by reason. listed: images that have
    refs, usable or not. corrupted: refs whose masks ``palette_targets`` changed. fits_in_memory: photos and masks are
    kept once they were read.
    """

    images: tuple[ImageItem, ...]
    side: int
    photos: Callable[[str], np.ndarray]
    dropped: Mapping[str, int]
    listed: int
    corrupted: int = 0
    fits_in_memory: bool = True
    _cache: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict, repr=False)

    @property
    def refs(self) -> int:
        return sum(len(image.refs) for image in self.images)

    def arrays(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Photo uint8 (side, side, 3) and masks bool (M, side, side) of an image, kept when all fit in memory."""
        if index in self._cache:
            return self._cache[index]
        item = self.images[index]
        photo = resized_photo(self.photos(item.file_name), self.side)
        arrays = photo, rle.decode(item.masks, (self.side, self.side))
        if self.fits_in_memory:
            self._cache[index] = arrays
        return arrays

    def digest(self) -> str:
        """SHA-256 of what is trained on, photos by name: a run is only resumed with the same."""
        digest = hashlib.sha256(f"{self.side}".encode())
        for image in self.images:
            digest.update(f"{image.image_id} {image.file_name}".encode() + b"".join(image.masks))
            for ref in image.refs:
                digest.update(str(ref.ref_id).encode() + ref.ids.tobytes() + b"".join(r.tobytes() for r in ref.rows))
                digest.update(b"".join(shares.tobytes() for shares in ref.prior))
                digest.update(b"" if ref.mirrored is None else ref.mirrored[0].tobytes())
        return digest.hexdigest()


def build_items(
    refs: Iterable[tuple[int, Sequence[Ref]]],
    targets: Targets,
    tokenize: Tokenize,
    photos: Callable[[str], np.ndarray],
    *,
    side: int,
    mirror: bool = False,
    prior: ReadPrior | None = None,
    unreadable: Callable[[str], bool] = lambda file_name: False,
) -> Items:
    """Read the masks of all refs; drop refs without a usable one, and images without a ref. refs: ids of images, each
    with its refs.

    A mask that is empty or full at the input size is not usable. Masks of one image that are equal in every pixel there
    are one instance; of a ref's own that are, the first alone counts. mirror: with what sentences become when photos
    are mirrored. prior: with what Select makes of candidates, which all sentences of a ref share then. unreadable:
    whether a photo, by file name, is to be skipped; its refs are dropped. Raises SscError when nothing is left.
    """
    dropped: Counter[str] = Counter()
    images = []
    listed = 0
    for image_id, members in tqdm(refs, desc="reading masks", unit="image", mininterval=5, leave=False):
        listed += 1
        masks: dict[bytes, int] = {}
        kept = []
        for ref in members:
            rows, sources, reason = _usable_rows(targets.masks(ref), masks, side)
            if reason:
                dropped[reason] += 1
                continue
            swapped = tokenize([mirrored(sentence) for sentence in ref.sentences]) if mirror else None
            shares = prior(ref.ref_id, sources[0]) if prior is not None else ()
            kept.append(RefItem(ref.ref_id, *tokenize(ref.sentences), rows, sources, shares, swapped))
        if kept and unreadable(members[0].file_name):
            dropped["photo cannot be read"] += len(kept)
        elif kept:
            images.append(ImageItem(image_id, members[0].file_name, tuple(kept), tuple(masks)))
    if not images:
        reasons = (
            ", ".join(f"{counted(count, 'ref')}: {reason}" for reason, count in dropped.items()) or "no refs at all"
        )
        raise SscError(f"there is nothing to train on ({reasons})")
    fits = sum(side**2 * (3 + len(image.masks)) for image in images) <= CACHE_BYTES
    return Items(tuple(images), side, photos, dict(dropped), listed, targets.corrupted, fits)


def _usable_rows(
    masks: Sequence[np.ndarray], known: dict[bytes, int], side: int
) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...], str | None]:
    """Rows and sources of the usable masks; new ones are added to ``known``. Else the reason why there are none."""
    if any(len(choices) == 0 for choices in masks):
        return (), (), "no candidate"
    rows, sources = [], []
    for choices in masks:
        small = resize_nearest(choices, (side, side))
        filled = small.mean((1, 2))
        usable = np.flatnonzero((filled > 0) & (filled < 1))
        if len(usable) == 0:
            return (), (), "mask empty" if (filled == 0).any() else "mask covers the whole photo"
        first: dict[bytes, int] = {}  # of masks that are equal at this size, the first stands for all
        for code, source in zip(rle.encode(small[usable]), usable.tolist(), strict=True):
            first.setdefault(code, source)
        rows.append(np.array([known.setdefault(code, len(known)) for code in first], dtype=np.int64))
        sources.append(np.array(list(first.values()), dtype=np.int64))
    return tuple(rows), tuple(sources), None
