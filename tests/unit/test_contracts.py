"""Whatever a plug-in returns, a stage gets what the contract says, or an error that names class, method and remedy."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssc_core import contracts
from ssc_core.backends import load_backend
from ssc_core.checkers import CHECKERS, checked
from ssc_core.contracts import (
    ConceptInstances,
    ConceptSegmenter,
    Detections,
    Detector,
    ImageTextEncoder,
    InstanceMasks,
    PairScorer,
    Segmenter,
)
from ssc_core.errors import SscError

HEIGHT, WIDTH = 40, 60
PHOTOS = [np.zeros((HEIGHT, WIDTH, 3), np.uint8), np.zeros((30, 50, 3), np.uint8)]
PROMPTS = [("cat", "dog"), ("cup",)]
BOXES = [np.array([[2, 2, 30, 20], [24, 16, 58, 38]], np.float32), np.zeros((0, 4), np.float32)]
TEXTS = ["a dog", "a cat", "a cup"]


class Fake:
    """Answers every method with ``answer``."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.device = "cpu"
        self.scale = "points"

    def detect(self, images, prompts):
        return self.answer

    def segment(self, images, boxes_xyxy):
        return self.answer

    def segment_concepts(self, images, phrases):
        return self.answer

    def score_pairs(self, image, masks, sentences):
        return self.answer

    def encode_images(self, images):
        return self.answer

    def encode_texts(self, texts):
        return self.answer


def found(boxes=BOXES[0], scores=(0.9, 0.8), labels=(0, 1)) -> Detections:
    scores = np.array(scores, np.float32) if isinstance(scores, tuple) else scores
    return Detections(boxes, scores, np.array(labels) if isinstance(labels, tuple) else labels)


NOTHING = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
NO_MASKS = InstanceMasks(np.zeros((0, 30, 50), bool), np.zeros(0, np.float32))


def boxes(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float32)


def masks(values: Any = None, scores: Any = None) -> InstanceMasks:
    values = np.zeros((2, HEIGHT, WIDTH), bool) if values is None else values
    return InstanceMasks(values, np.ones(2, np.float32) if scores is None else scores)


def unit(count: int, width: int = 8) -> np.ndarray:
    rows = np.random.default_rng(count).normal(size=(count, width))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (None, "None, not a list with one Detections per image"),
        (iter([found(), NOTHING]), "not a list"),
        ([found()], "1 results for 2 images"),
        ([found(), NOTHING, NOTHING], "3 results for 2 images"),
        ([found(), None], "None for image 2 of 2, not ssc_core.backends.Detections"),
        ([(BOXES[0], np.ones(2), np.zeros(2, int)), NOTHING], "a tuple for image 1"),
        ([found(BOXES[0].tolist()), NOTHING], r"a list as boxes_xyxy .*, not a NumPy array float32 \(N, 4\)"),
        ([found(None), NOTHING], "None as boxes_xyxy"),
        ([found(BOXES[0].astype(object)), NOTHING], "object .* as boxes_xyxy"),
        ([found(BOXES[0].astype(complex)), NOTHING], "complex128 .* as boxes_xyxy"),
        ([found(np.zeros(0)), NOTHING], r"float64 \(0,\) as boxes_xyxy"),
        ([found(BOXES[0][:, :3]), NOTHING], "as boxes_xyxy"),
        ([found(scores=(0.9,)), NOTHING], r"as scores .*float32 \(2,\)"),
        ([found(scores=(0.9, np.nan)), NOTHING], "scores .* not finite"),
        ([found(scores=np.array([1e300, 0])), NOTHING], "scores .* not finite"),
        ([found(scores=(90, 80)), NOTHING], "scores .* from 80 to 90, not from 0 to 1"),
        ([found(scores=(-0.1, 0.8)), NOTHING], "from -0.1 to 0.8"),
        ([found(labels=(False, True)), NOTHING], r"bool \(2,\) as labels"),
        ([found(labels=(0.0, 1.0)), NOTHING], "float64"),
        ([found(labels=(0, 2)), NOTHING], "labels .*no indices of the prompt's 2 classes"),
        ([found(labels=(-2, 0)), NOTHING], "labels"),
        ([NOTHING, found(labels=(0, 1))], "for image 2 of 2 .*1 classes"),
        ([found(boxes((np.inf, 2, 30, 20), (1, 1, 2, 2))), NOTHING], "boxes_xyxy .* not finite"),
        ([found(boxes((20, 20, 5, 5), (1, 1, 2, 2))), NOTHING], "x0 > x1"),
        ([found(boxes((70, 5, 80, 20), (1, 1, 2, 2))), NOTHING], r"outside the photo, which has 60 x 40"),
        ([found(boxes((5, -9, 8, -2), (1, 1, 2, 2))), NOTHING], "outside the photo"),
    ],
)
def test_what_a_detector_must_not_return(answer: Any, problem: str) -> None:
    with pytest.raises(SscError, match=rf"detector 'mine.py:Fake': Fake\.detect gave .*{problem}.*docs/plug-ins.md"):
        checked(Fake(answer), "mine.py:Fake", Detector).detect(PHOTOS, PROMPTS)


def test_boxes_that_are_shares_are_told_from_a_box_that_is_tiny() -> None:
    shares = found(boxes((0.1, 0.1, 0.5, 0.5), (0.4, 0.4, 0.9, 1.0)))
    detector = checked(Fake([shares, NOTHING]), "mine.py:Fake", Detector)
    assert len(detector.detect(PHOTOS, PROMPTS)[0].scores) == 2, "two may be found there"
    with pytest.raises(SscError, match=r"boxes_xyxy for image 1 of 2, as for those before, .* shares of its sides"):
        detector.detect(PHOTOS, PROMPTS)

    detector = checked(Fake([found(), NOTHING]), "mine.py:Fake", Detector)
    detector.detect(PHOTOS, PROMPTS)
    detector._backend = Fake([shares, NOTHING])
    for _ in range(3):
        assert len(detector.detect(PHOTOS, PROMPTS)[0].scores) == 2, "it has shown that it counts pixels"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (None, "None"),
        ([masks()], "1 results for 2 images"),
        ([None, NO_MASKS], "None for image 1 of 2, not ssc_core.backends.InstanceMasks"),
        ([masks(np.zeros((2, HEIGHT, WIDTH), np.uint8)), NO_MASKS], r"uint8 .*not a NumPy array bool \(2, 40, 60\)"),
        ([masks(np.full((2, HEIGHT, WIDTH), 255, np.uint8)), NO_MASKS], "uint8"),
        ([masks(np.full((2, HEIGHT, WIDTH), 255, np.uint8).view(bool)), NO_MASKS], "bytes are not 0 and 1"),
        ([masks(np.zeros((2, HEIGHT, WIDTH), np.float32)), NO_MASKS], "float32"),
        ([masks(np.zeros((2, 1, HEIGHT, WIDTH), bool)), NO_MASKS], "bool"),
        ([masks(np.zeros((2, WIDTH, HEIGHT), bool)), NO_MASKS], "bool"),
        ([masks(np.zeros((1, HEIGHT, WIDTH), bool)), NO_MASKS], "bool"),
        ([masks(list(np.zeros((2, HEIGHT, WIDTH), bool))), NO_MASKS], "a list as masks"),
        ([masks(scores=np.full(2, np.nan)), NO_MASKS], "scores .*not finite"),
        ([masks(scores=np.ones((2, 1))), NO_MASKS], r"float64 \(2, 1\) as scores"),
        ([masks(), masks()], "for image 2 of 2"),
    ],
)
def test_what_a_segmenter_must_not_return(answer: Any, problem: str) -> None:
    with pytest.raises(SscError, match=rf"segmenter 'mine.py:Fake': Fake\.segment gave .*{problem}"):
        checked(Fake(answer), "mine.py:Fake", Segmenter).segment(PHOTOS, BOXES)


def concepts(detections: Any = None, values: Any = None, presence: Any = (0.9, 0.1)) -> ConceptInstances:
    values = np.zeros((2, HEIGHT, WIDTH), bool) if values is None else values
    presence = np.array(presence, np.float32) if isinstance(presence, tuple) else presence
    return ConceptInstances(found() if detections is None else detections, values, presence)


NO_CONCEPTS = ConceptInstances(NOTHING, np.zeros((0, 30, 50), bool), np.zeros(1, np.float32))


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (None, "None, not a list with one ConceptInstances per image"),
        ([concepts()], "1 results for 2 images"),
        ([concepts(), None], "None for image 2 of 2, not ssc_core.backends.ConceptInstances"),
        ([found(), NO_CONCEPTS], "a Detections for image 1 of 2, not ssc_core.backends.ConceptInstances"),
        ([concepts((BOXES[0], 1)), NO_CONCEPTS], "a tuple as detections for image 1 of 2, not ssc_core.backends.Detec"),
        ([concepts(found(scores=(0.9, np.nan))), NO_CONCEPTS], "scores .* not finite"),
        ([concepts(found(scores=(9, 8))), NO_CONCEPTS], "scores .* from 8 to 9, not from 0 to 1"),
        ([concepts(found(labels=(0, 2))), NO_CONCEPTS], "labels .*no indices of the image's 2 phrases"),
        ([concepts(found(labels=(-1, 0))), NO_CONCEPTS], "labels .* from -1 to 0"),
        ([concepts(found(boxes((70, 5, 80, 20), (1, 1, 2, 2)))), NO_CONCEPTS], "outside the photo"),
        ([concepts(values=np.zeros((3, HEIGHT, WIDTH), bool)), NO_CONCEPTS], r"not a NumPy array bool \(2, 40, 60\)"),
        ([concepts(values=np.zeros((2, HEIGHT, WIDTH), np.float32)), NO_CONCEPTS], "float32 .* as masks"),
        ([concepts(values=np.full((2, HEIGHT, WIDTH), 255, np.uint8).view(bool)), NO_CONCEPTS], "bytes are not 0 and"),
        ([concepts(presence=None), NO_CONCEPTS], "None as presence for image 1"),
        ([concepts(presence=(0.5,)), NO_CONCEPTS], r"float32 \(1,\) as presence .*float32 \(2,\)"),
        ([concepts(presence=(0.5, np.inf)), NO_CONCEPTS], "presence .* not finite"),
        ([concepts(presence=(0.5, 1.5)), NO_CONCEPTS], "presence .* from 0.5 to 1.5, not from 0 to 1"),
        ([concepts(), concepts()], "for image 2 of 2"),
    ],
)
def test_what_a_concept_segmenter_must_not_return(answer: Any, problem: str) -> None:
    start = r"concept segmenter 'mine.py:Fake': Fake\.segment_concepts gave .*"
    with pytest.raises(SscError, match=rf"{start}{problem}.*docs/plug-ins.md"):
        checked(Fake(answer), "mine.py:Fake", ConceptSegmenter).segment_concepts(PHOTOS, PROMPTS)


TWO_MASKS = np.ones((2, HEIGHT, WIDTH), bool)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (None, "None as scores"),
        (np.zeros((3, 2)).tolist(), "a list as scores"),
        (np.zeros((2, 3), np.float32), r"float32 \(2, 3\) as scores, not a NumPy array float32 \(3, 2\)"),
        (np.zeros(6, np.float32), r"float32 \(6,\)"),
        (np.zeros((3, 2), np.int64), "int64"),
        (np.full((3, 2), np.nan), "scores that are not finite"),
        (np.full((3, 2), 1e300), "scores that are not finite"),
    ],
)
def test_what_a_pair_scorer_must_not_return(answer: Any, problem: str) -> None:
    with pytest.raises(SscError, match=rf"pair scorer 'mine.py:Fake': Fake\.score_pairs gave .*{problem}"):
        checked(Fake(answer), "mine.py:Fake", PairScorer).score_pairs(PHOTOS[0], TWO_MASKS, TEXTS)


@pytest.mark.parametrize("scale", ["", None, 100.0, "a" * 81, "two\nlines"])
def test_a_pair_scorer_says_what_its_numbers_are(scale: Any) -> None:
    backend = Fake(None)
    backend.scale = scale
    with pytest.raises(SscError, match=r"Fake\.scale gave .*not a few words"):
        checked(backend, "mine.py:Fake", PairScorer)


def test_a_pair_scorer_is_not_asked_about_nothing() -> None:
    scorer = checked(Fake(None), "mine", PairScorer)
    assert scorer.score_pairs(PHOTOS[0], TWO_MASKS[:0], TEXTS).shape == (3, 0)
    assert scorer.score_pairs(PHOTOS[0], TWO_MASKS, []).shape == (0, 2)


def test_of_two_kinds_a_backend_gets_the_checker_of_the_one_it_keeps() -> None:
    class Scores:
        scale = "points"

        def score_pairs(self, image, masks, sentences):
            return np.zeros((len(sentences), len(masks)))

    assert checked(Scores(), "mine", ImageTextEncoder, PairScorer).kind == "pair scorer"
    wanted = "ImageTextEncoder and no ConceptSegmenter: it needs encode_images and encode_texts, or segment_concepts"
    with pytest.raises(SscError, match=f"'mine' is no {wanted}"):
        checked(Scores(), "mine", ImageTextEncoder, ConceptSegmenter)
    with pytest.raises(SscError, match="is no PairScorer: it needs scale and score_pairs"):
        checked(object(), "mine", PairScorer)


@pytest.mark.parametrize("method", ["encode_images", "encode_texts"])
@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (None, "None as features"),
        (unit(3).tolist(), "a list"),
        (unit(2), r"float32 \(2, 8\) as features, not a NumPy array float32 \(3, N\)"),
        (unit(3)[0], "float32"),
        (np.ones((3, 8), np.int64), "int64"),
        (unit(3) * np.array([[1], [np.nan], [1]]), "not finite"),
        (unit(3) * 3, "lengths from 3 to 3, not of unit norm"),
        (unit(3) * 0, "lengths from 0 to 0"),
        (np.zeros((3, 0), np.float32), "lengths from 0"),
    ],
)
def test_what_an_encoder_must_not_return(method: str, answer: Any, problem: str) -> None:
    with pytest.raises(SscError, match=rf"encoder 'mine.py:Fake': Fake\.{method} gave .*{problem}"):
        getattr(checked(Fake(answer), "mine.py:Fake", ImageTextEncoder), method)(TEXTS)


def test_images_and_texts_share_a_space() -> None:
    backend = Fake(unit(3, 8))
    encoder = checked(backend, "mine", ImageTextEncoder)
    encoder.encode_texts(TEXTS)
    backend.answer = unit(3, 4)
    with pytest.raises(SscError, match=r"encode_images gave float32 \(3, 4\) as features, not .* \(3, 8\)"):
        encoder.encode_images(PHOTOS[:1] * 3)


def test_what_keeps_the_contract_comes_through_as_the_declared_types() -> None:
    wide = Detections(BOXES[0].astype(np.float64), np.array([0.9, 0.8]), np.array([1, -1], np.int8))
    first, second = checked(Fake((wide, NOTHING)), "mine", Detector).detect(PHOTOS, PROMPTS)
    assert [a.dtype.name for a in (first.boxes_xyxy, first.scores, first.labels)] == ["float32", "float32", "int64"]
    assert np.array_equal(first.boxes_xyxy, BOXES[0]) and first.labels.tolist() == [1, -1] and len(second.labels) == 0

    given = np.asfortranarray(np.random.default_rng(0).random((2, HEIGHT, WIDTH)) < 0.5)
    segmented = checked(Fake([masks(given, np.ones(2)), NO_MASKS]), "mine", Segmenter).segment(PHOTOS, BOXES)
    assert np.array_equal(segmented[0].masks, given) and segmented[0].scores.dtype == np.float32

    answer = [concepts(presence=np.array([1, 0.25])), NO_CONCEPTS]
    both = checked(Fake(answer), "mine", ConceptSegmenter).segment_concepts(PHOTOS, PROMPTS)
    assert both[0].presence.dtype == np.float32 and both[0].detections.labels.dtype == np.int64
    pairs = checked(Fake(np.ones((3, 2), np.float16)), "mine", PairScorer)
    assert pairs.score_pairs(PHOTOS[0], TWO_MASKS, TEXTS).dtype == np.float32

    half = unit(3).astype(np.float16)
    features = checked(Fake(half), "mine", ImageTextEncoder).encode_texts(TEXTS)
    assert features.dtype == np.float32 and np.array_equal(features, half)
    assert checked(Fake(np.zeros((0, 5))), "mine", ImageTextEncoder).encode_texts([]).shape == (0, 5)


def test_boxes_may_touch_the_border_or_lie_partly_outside() -> None:
    for box in ((0, 0, 1, 1.5), (-5, -5, 3, 3), (50, 30, 90, 90), (5, 5, 5, 5)):
        answer = [found(boxes(box, (1, 1, 2, 2))), NOTHING]
        assert len(checked(Fake(answer), "mine", Detector).detect(PHOTOS, PROMPTS)[0].labels) == 2


def test_a_prepared_photo_and_a_photo_are_the_same_to_a_backend() -> None:
    class Preparing(Fake):
        seen: list[Any]

        def prepare(self, image):
            return ("prepared", image.shape)

        def detect(self, images, prompts):
            self.seen = list(images)
            return self.answer

    backend = Preparing([found(), NOTHING])
    detector = checked(backend, "mine", Detector)
    detector.detect([detector.prepare(PHOTOS[0]), PHOTOS[1]], PROMPTS)
    assert backend.seen == [("prepared", (HEIGHT, WIDTH, 3)), ("prepared", (30, 50, 3))]


def test_every_kind_of_plug_in_has_a_checker_of_all_its_methods() -> None:
    declared = {
        kind
        for kind in vars(sys.modules[contracts.__name__]).values()
        if isinstance(kind, type) and getattr(kind, "_is_protocol", False) and kind.__module__ == contracts.__name__
    }
    assert declared - {contracts.StagedEncoder} == set(CHECKERS)
    for protocol in CHECKERS:
        checker = type(checked(Fake(None), "mine", protocol))
        for method in [name for name in vars(protocol) if not name.startswith("_")]:
            assert method in vars(checker), f"{checker.__name__} hands on {method} unchecked"


def test_only_settings_are_reached_past_a_checker() -> None:
    encoder = checked(Fake(None), "mine", ImageTextEncoder)
    assert encoder.device == "cpu"
    for name in ("detect", "nothing_at_all", "_private"):
        with pytest.raises(AttributeError):
            getattr(encoder, name)


@pytest.mark.parametrize(
    ("own", "told"), [(0.3, 0.3), (1, 1.0), (200, None), (-0.1, None), (True, None), ("0.3", None)]
)
def test_a_threshold_is_a_least_score_from_0_to_1_and_can_be_set(own: object, told: float | None) -> None:
    fake = Fake(None)
    fake.threshold = own
    detector = checked(fake, "mine", Detector)
    assert detector.threshold == told
    detector.threshold = 0.5
    assert (fake.threshold, detector.threshold) == (0.5, 0.5)


def test_a_backend_without_a_threshold_has_none() -> None:
    assert checked(Fake(None), "mine", Detector).threshold is None


def page_examples() -> list[str]:
    page = Path(__file__).parents[2] / "docs/plug-ins.md"
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_page_shows_the_protocols_as_they_are() -> None:
    shown = [one for one in ast.walk(ast.parse(page_examples()[0])) if isinstance(one, ast.ClassDef)]
    assert len(shown) >= 5
    for one in shown:
        protocol = getattr(contracts, one.name)
        for method in (part for part in one.body if isinstance(part, ast.FunctionDef)):
            parameters = inspect.signature(getattr(protocol, method.name)).parameters
            assert [argument.arg for argument in method.args.args] == list(parameters), f"{one.name}.{method.name}"


def test_the_pages_whole_plug_in_works(tmp_path: Path) -> None:
    (tmp_path / "brightest.py").write_text(page_examples()[-1], encoding="utf-8")
    name = f"{tmp_path}/brightest.py:BrightestBlob"
    detector = load_backend(name, {"threshold": 100}, Detector, device="cpu", threads=1)
    photo = np.zeros((20, 30, 3), np.uint8)
    photo[5:9, 10:17] = 150
    found, nothing = detector.detect([photo, np.zeros_like(photo)], [["dog", "cat"], ["dog"]])
    assert found.boxes_xyxy.tolist() == [[10, 5, 17, 9]]
    assert (found.labels.tolist(), len(nothing.boxes_xyxy)) == ([0], 0)
