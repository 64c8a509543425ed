"""Nouns to class names, by the similarity of their text features in an image-text model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from tqdm import tqdm

from ssc_core.backends import ImageTextEncoder
from ssc_core.errors import SscError

BATCH = 512


class ClassProjection:
    """The nearest ``top_k`` of ``class_names`` for a noun: highest cosine, ties to the earlier name.

    context: compare "a photo of a {word}" rather than the bare word, for nouns and class names alike.
    min_similarity: classes of a lower cosine are none of the noun's, and a noun without any stays as it is, since an
    open-vocabulary detector knows more words than there are classes. None: the nearest, however far.
    """

    def __init__(
        self,
        encoder: ImageTextEncoder,
        class_names: Sequence[str],
        *,
        context: bool,
        top_k: int,
        min_similarity: float | None = None,
    ) -> None:
        if not class_names:
            raise SscError("nouns cannot be projected: the dataset has no class names. Set `nouns.classes: coco`")
        if top_k > len(class_names):
            raise SscError(f"`nouns.top_k` is {top_k}, but there are {len(class_names)} classes only")
        self._encoder, self._names = encoder, tuple(class_names)
        self._template = "a photo of a {}" if context else "{}"
        self._top_k = top_k
        self._least = -np.inf if min_similarity is None else min_similarity
        self._class_features = self._encode(self._names)
        self._known: dict[str, tuple[str, ...]] = {}

    def __call__(self, nouns: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The classes of every distinct noun, nearest first. Nouns are encoded once each, in batches."""
        distinct = tuple(dict.fromkeys(nouns))
        if new := [noun for noun in distinct if noun not in self._known]:
            cosines = self._encode(new) @ self._class_features.T
            nearest = np.argsort(-cosines, axis=1, kind="stable")[:, : self._top_k]
            for noun, row, cosine in zip(new, nearest, cosines, strict=True):
                self._known[noun] = tuple(self._names[i] for i in row if cosine[i] >= self._least) or (noun,)
        return {noun: self._known[noun] for noun in distinct}

    def _encode(self, words: Sequence[str]) -> np.ndarray:
        texts = [self._template.format(word) for word in words]
        starts = range(0, len(texts), BATCH)
        batches = tqdm(starts, desc="text features", mininterval=10, disable=len(starts) < 4)
        return np.concatenate([self._encoder.encode_texts(texts[i : i + BATCH]) for i in batches])
