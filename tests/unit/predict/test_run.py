from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ssc_core.correct.predictor import Predictor
from ssc_core.errors import SscError
from ssc_core.pictures import BadImage
from ssc_core.predict.outputs import OutputWriter
from ssc_core.predict.requests import Request, read_requests
from ssc_core.predict.run import predict_candidates, predict_with_network, predict_zero_shot
from ssc_core.predict.zero_shot import Answer
from tests.unit.predict.conftest import BERT

SENTENCES = ("the red car on the left", "dog", "second woman from the right")


@pytest.fixture(scope="module")
def predictor(micro_network: Path) -> Predictor:
    return Predictor(micro_network, device="cpu", samples=5)


def test_a_mask_is_the_same_alone_and_in_a_batch(predictor: Predictor, photos: Path) -> None:
    together = list(predict_with_network(predictor, read_requests(photos, SENTENCES)))
    assert [(one.image, one.sentence) for one in together] == [
        (name, text) for name in ("a.png", "b.png", "c.png") for text in SENTENCES
    ]
    for one in together:
        (alone,) = predict_with_network(predictor, [Request(photos / one.image, one.image, (one.sentence,))])
        assert one.mask.shape == one.photo.shape[:2]
        np.testing.assert_array_equal(alone.mask, one.mask)
    shares = [one.mask.mean() for one in together]
    assert any(0.01 < share < 0.99 for share in shares), "masks that are all one value would always agree"


def test_passes_shrink_when_memory_runs_out(micro_network: Path, photos: Path) -> None:
    tight, seen = Predictor(micro_network, device="cpu", samples=8), []

    def two_at_most(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        seen.append(len(inputs[1]))
        if seen[-1] > 2:
            raise torch.OutOfMemoryError("full")

    asked = read_requests(photos, SENTENCES)
    expected = [one.mask for one in predict_with_network(Predictor(micro_network, device="cpu"), asked)]
    tight.model.register_forward_pre_hook(two_at_most)
    found = [one.mask for one in predict_with_network(tight, asked)]
    assert seen[:4] == [8, 4, 2, 2]
    assert all(np.array_equal(mask, other) for mask, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("asked", [predict_with_network, predict_candidates, predict_zero_shot])
def test_photos_around_a_bad_one_are_answered(photos: Path, tmp_path: Path, predictor: Predictor, asked) -> None:
    names = [f"{number:02}.png" for number in range(11)]
    for name in names:
        (tmp_path / name).write_bytes((photos / "c.png").read_bytes())
    (tmp_path / "03.png").write_bytes((photos / "c.png").read_bytes()[:200])
    (tmp_path / "10.png").unlink()
    models = {predict_with_network: (predictor,), predict_candidates: (SeesTheRight(), TwoHalves())}
    models[predict_zero_shot] = (lambda photo, objects: [_nothing_found(photo) for _ in objects],)
    requests = [Request(tmp_path / name, name, ("dog",)) for name in names]

    bad: list[BadImage] = []
    answered = [one.image for one in asked(*models[asked], requests, bad.append)]
    assert answered == [name for name in names if name not in ("03.png", "10.png")]
    assert ["03.png" in str(bad[0]), "10.png does not exist" in str(bad[1])] == [True, True]
    with pytest.raises(BadImage, match=r"03\.png"):
        list(asked(*models[asked], requests))


def _nothing_found(photo: np.ndarray) -> Answer:
    none = np.zeros((0, *photo.shape[:2]), bool)
    return Answer("dog", none, np.zeros(0, np.float32), np.zeros((1, 0), np.float32), np.array([-1]))


def test_a_score_that_is_no_number_is_none_in_the_json(photos: Path, tmp_path: Path) -> None:
    def model(photo: np.ndarray, objects: list) -> list[Answer]:
        one = np.ones((1, *photo.shape[:2]), bool)
        return [Answer("dog", one, np.ones(1), np.array([[np.nan]]), np.array([0])) for _ in objects]

    (one,) = predict_zero_shot(model, [Request(photos / "a.png", "a.png", ("dog",))])
    writer = OutputWriter(tmp_path, ("rle",))
    writer.add(one)
    assert json.loads(writer.close().read_text())[0]["score"] is None


def test_no_gradients_and_eval_mode(predictor: Predictor, photos: Path) -> None:
    grad_enabled = []
    hook = predictor.model.register_forward_hook(lambda *_: grad_enabled.append(torch.is_grad_enabled()))
    list(predict_with_network(predictor, read_requests(photos / "a.png", ["dog"])))
    hook.remove()
    assert grad_enabled == [False]
    assert not any(module.training for module in predictor.model.modules())


def test_a_published_file_gives_the_same_masks(both_formats: tuple[Path, Path], photos: Path) -> None:
    ours, published = both_formats
    requests = read_requests(photos / "c.png", ["dog", "second woman from the right"])
    masks = [
        [one.mask for one in predict_with_network(model, requests)]
        for model in (Predictor(ours, device="cpu"), Predictor(published, bert=BERT, device="cpu"))
    ]
    np.testing.assert_array_equal(masks[0], masks[1])


def test_a_published_file_needs_to_be_told_its_bert(both_formats: tuple[Path, Path]) -> None:
    with pytest.raises(SscError, match="does not say which BERT"):
        Predictor(both_formats[1], device="cpu")


class TwoHalves:
    """Segment that finds the left and the right half for "halves", and nothing else."""

    def candidates(self, photo: np.ndarray, objects: list[tuple[str, ...]]) -> list[tuple[str, np.ndarray]]:
        halves = np.zeros((2, *photo.shape[:2]), bool)
        halves[0, :, : photo.shape[1] // 2] = halves[1, :, photo.shape[1] // 2 :] = True
        return [("half", halves if "half" in sentences[0] else halves[:0]) for sentences in objects]


class SeesTheRight:
    def __call__(self, images: list[np.ndarray], sentences: list[list[str]]) -> list[np.ndarray]:
        seen = np.full((8, 8), 0.2, np.float32)
        seen[:, 5:] = 0.9
        return [np.repeat(np.log(seen / (1 - seen))[None], len(of), axis=0) for of in sentences]


def test_the_candidate_that_fits_best_and_else_the_networks_own_mask(photos: Path) -> None:
    requests = [
        Request(photos / "a.png", "a.png", ("one half", "a half")),
        Request(photos / "a.png", "a.png", ("dog",)),
    ]
    first, second, dog = predict_candidates(SeesTheRight(), TwoHalves(), requests)
    for one in (first, second):
        assert one.mask[:, 45:].all() and not one.mask[:, :45].any()
    assert (first.sentence, first.details["class"], first.details["candidates"]) == ("one half", "half", 2)
    # 8 x (0.2 + 3 x 0.9) on the right half; 8 x (4 x 0.2) on the left
    assert first.details["fit"] == pytest.approx(23.2 / (29.6 + 32 - 23.2))
    assert dog.details == {"class": "half", "candidates": 0, "fit": None}
    assert dog.mask.shape == (60, 90)
    assert dog.mask[:, 60:].all() and not dog.mask[:, :50].any(), "5 of 8 columns are not seen"


def test_a_checkpoint_is_read_once(micro_network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, load = [], torch.load

    def counted(*args, **options):
        read.append(options["f"])
        return load(*args, **options)

    monkeypatch.setattr(torch, "load", counted)
    Predictor(micro_network, device="cpu")
    assert read == [micro_network]
