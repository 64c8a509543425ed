"""Requests through a model, photo by photo, to predictions.

``on_bad``, of all functions here, is called with the error of a photo that cannot be read, and the others go on; as it
is, the error is raised.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NoReturn, TypeAlias

import numpy as np
from tqdm import tqdm

from ssc_core.masks.resize import masks_at
from ssc_core.pictures import BadImage
from ssc_core.predict.outputs import Prediction
from ssc_core.predict.requests import Request, by_photo
from ssc_core.refer.images import load_image

if TYPE_CHECKING:
    from ssc_core.evaluate.pairs import Predict
    from ssc_core.predict.zero_shot import ZeroShot

PHOTOS_A_PASS = 8
"""Photos that lie in memory together."""

OnBad: TypeAlias = Callable[[BadImage], None]


def _raise(error: BadImage) -> NoReturn:
    raise error


def predict_with_network(predict: Predict, requests: Sequence[Request], on_bad: OnBad = _raise) -> Iterator[Prediction]:
    """A mask per sentence by a trained network, in photo pixels, as evaluation measures it."""
    asked = _photos(requests, on_bad)
    while part := list(islice(asked, PHOTOS_A_PASS)):
        results = predict([photo for photo, _ in part], [_sentences(members) for _, members in part])
        for (photo, members), margins in zip(part, results, strict=True):
            names = [one.name for one in members for _ in one.sentences]
            for name, sentence, own in zip(names, _sentences(members), margins, strict=True):
                yield Prediction(name, sentence, photo, masks_at(own, photo.shape[:2]), {})


def predict_candidates(
    predict: Predict, model: ZeroShot, requests: Sequence[Request], on_bad: OnBad = _raise
) -> Iterator[Prediction]:
    """For every sentence the candidate of Segment that the network's mask fits best, and that mask where there is none.

    details: class, number of candidates, and how well the chosen one fits (soft IoU).
    """
    from ssc_core.correct.choose import fit

    for photo, members in _photos(requests, on_bad):
        (margins,) = predict([photo], [_sentences(members)])
        parts = np.split(margins, np.cumsum([len(one.sentences) for one in members])[:-1])
        found = model.candidates(photo, [one.sentences for one in members])
        for request, predicted, (query, masks) in zip(members, parts, found, strict=True):
            scores = fit(predicted, masks) if len(masks) else None
            for number, sentence in enumerate(request.sentences):
                if scores is None:
                    mask, best = masks_at(predicted[number], photo.shape[:2]), None
                else:
                    mask, best = masks[scores[number].argmax()], _finite(float(scores[number].max()))
                details = {"class": query, "candidates": len(masks), "fit": best}
                yield Prediction(request.name, sentence, photo, mask, details)


def predict_zero_shot(model: ZeroShot, requests: Sequence[Request], on_bad: OnBad = _raise) -> Iterator[Prediction]:
    """A mask per sentence by Segment and Select. details: class, number of candidates, and the chosen one's score."""
    for photo, members in _photos(requests, on_bad):
        for request, answer in zip(members, model(photo, [one.sentences for one in members]), strict=True):
            for number, sentence in enumerate(request.sentences):
                choice = int(answer.chosen[number])
                details = {
                    "class": answer.query,
                    "candidates": len(answer.masks),
                    "score": _finite(float(answer.scores[number, choice])) if choice >= 0 else None,
                }
                yield Prediction(request.name, sentence, photo, answer.mask(number), details)


def _photos(requests: Sequence[Request], on_bad: OnBad) -> Iterator[tuple[np.ndarray, list[Request]]]:
    """Photos, RGB uint8 (H, W, 3), with what is asked of each."""
    groups = list(by_photo(requests))
    for path, members in tqdm(groups, desc="predict", unit="photo", mininterval=10, disable=len(groups) < 2):
        try:
            photo = load_image(path)
        except BadImage as error:
            on_bad(error)
        else:
            yield photo, members


def _sentences(members: Sequence[Request]) -> list[str]:
    return [text for one in members for text in one.sentences]


def _finite(value: float) -> float | None:
    """JSON knows no NaN."""
    return value if math.isfinite(value) else None
