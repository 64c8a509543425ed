"""Requests through a model, photo by photo, to predictions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from ssc_core.masks.resize import resize_nearest
from ssc_core.predict.outputs import Prediction
from ssc_core.predict.requests import Request, by_photo
from ssc_core.refer.images import load_image

if TYPE_CHECKING:
    from ssc_core.correct.predictor import Predictor
    from ssc_core.predict.zero_shot import ZeroShot

PHOTOS_A_PASS = 8
"""Photos that lie in memory together."""


def predict_with_network(predictor: Predictor, requests: Sequence[Request]) -> Iterator[Prediction]:
    """A mask a sentence by a trained network, in photo pixels by nearest neighbour, as evaluation measures it."""
    groups = list(by_photo(requests))
    with tqdm(total=len(groups), desc="predict", unit="photo", mininterval=10, disable=len(groups) < 2) as progress:
        for start in range(0, len(groups), PHOTOS_A_PASS):
            part = groups[start : start + PHOTOS_A_PASS]
            photos = [load_image(path) for path, _ in part]
            asked = [[(one.name, text) for one in members for text in one.sentences] for _, members in part]
            results = predictor(photos, [[text for _, text in of] for of in asked])
            for photo, of, masks in zip(photos, asked, results, strict=True):
                for (name, sentence), mask in zip(of, masks, strict=True):
                    yield Prediction(name, sentence, photo, resize_nearest(mask, photo.shape[:2]), {})
            progress.update(len(part))


def predict_candidates(predictor: Predictor, model: ZeroShot, requests: Sequence[Request]) -> Iterator[Prediction]:
    """For every sentence the candidate of Segment that the network's mask fits best, and that mask where there is none.

    details: class, number of candidates, and how well the chosen one fits (soft IoU).
    """
    from ssc_core.correct.choose import fit

    groups: list[tuple[Path, list[Request]]] = list(by_photo(requests))
    for path, members in tqdm(groups, desc="predict", unit="photo", mininterval=10, disable=len(groups) < 2):
        photo = load_image(path)
        (foreground,) = predictor.foreground([photo], [[text for one in members for text in one.sentences]])
        parts = foreground.split([len(one.sentences) for one in members])
        found = model.candidates(photo, [one.sentences for one in members])
        for request, predicted, (query, masks) in zip(members, parts, found, strict=True):
            scores = fit(predicted, masks) if len(masks) else None
            for number, sentence in enumerate(request.sentences):
                if scores is None:
                    own = (predicted[number] > 0.5).cpu().numpy()
                    mask, best = resize_nearest(own, photo.shape[:2]), None
                else:
                    mask, best = masks[scores[number].argmax()], float(scores[number].max())
                details = {"class": query, "candidates": len(masks), "fit": best}
                yield Prediction(request.name, sentence, photo, mask, details)


def predict_zero_shot(model: ZeroShot, requests: Sequence[Request]) -> Iterator[Prediction]:
    """A mask a sentence by Segment and Select. details: class, number of candidates, and the chosen one's score."""
    groups: list[tuple[Path, list[Request]]] = list(by_photo(requests))
    for path, members in tqdm(groups, desc="predict", unit="photo", mininterval=10, disable=len(groups) < 2):
        photo = load_image(path)
        for request, answer in zip(members, model(photo, [one.sentences for one in members]), strict=True):
            for number, sentence in enumerate(request.sentences):
                choice = int(answer.chosen[number])
                details = {
                    "class": answer.query,
                    "candidates": len(answer.masks),
                    "score": float(answer.scores[number, choice]) if choice >= 0 else None,
                }
                yield Prediction(request.name, sentence, photo, answer.mask(number), details)
