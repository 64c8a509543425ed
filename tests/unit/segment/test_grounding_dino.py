from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.grounding_dino import modeling_grounding_dino

from ssc_core.backends import Detector, load_backend
from ssc_core.errors import SscError
from ssc_core.segment.grounding_dino import GroundingDino, absolute_xyxy, input_size
from tests.unit.segment.conftest import smooth_photo

SIZES = [(120, 160), (200, 133), (64, 64), (120, 160), (118, 160)]
PROMPTS = [["dog", "hot dog"], ["person"], ["umbrellas", "cat", "traffic light"], ["cat", "dog", "person"], ["object"]]


@pytest.fixture(scope="module")
def photos():
    return [smooth_photo(*size, seed) for seed, size in enumerate(SIZES)]


@pytest.fixture(scope="module")
def detector(tiny_grounding_dino):
    return GroundingDino(str(tiny_grounding_dino), box_threshold=0.3, batch_size=3, device="cpu")


def test_an_image_gets_the_same_boxes_alone_and_in_a_batch_with_other_prompts(detector, photos):
    together = detector.detect(photos, PROMPTS)
    assert sum(len(found.scores) for found in together) > 20
    for photo, prompt, found in zip(photos, PROMPTS, together, strict=True):
        (alone,) = detector.detect([photo], [prompt])
        assert np.allclose(alone.boxes_xyxy, found.boxes_xyxy, atol=1e-2)
        assert np.allclose(alone.scores, found.scores, atol=1e-4)
        assert np.array_equal(alone.labels, found.labels)


def test_captions_of_one_image_share_the_backbones_work(detector, photos):
    photo, other = photos[0], photos[0].copy()
    prompts = [PROMPTS[0], PROMPTS[1], PROMPTS[2], PROMPTS[0]]
    seen = []
    backbone = detector.network.model.backbone.conv_encoder.model
    hook = backbone.swin.embeddings.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    found = detector.detect([photo, photo, other, photo], prompts)
    hook.remove()
    # in batches of three: the photo twice and the other, then the photo
    assert seen == [2, 1]
    for one, prompt in zip(found, prompts, strict=True):
        (alone,) = detector.detect([photo.copy()], [prompt])
        assert np.allclose(alone.boxes_xyxy, one.boxes_xyxy, atol=1e-2)
        assert np.allclose(alone.scores, one.scores, atol=1e-4)
        assert np.array_equal(alone.labels, one.labels)


def test_results_are_read_when_they_are_there(detector, photos, request):
    expected = detector.detect(photos, PROMPTS)
    request.getfixturevalue("late_results")
    for one, other in zip(detector.detect(photos, PROMPTS), expected, strict=True):
        assert np.array_equal(one.boxes_xyxy, other.boxes_xyxy) and np.array_equal(one.scores, other.scores)


def test_types_scores_and_labels(detector, photos):
    for prompt, found in zip(PROMPTS, detector.detect(photos, PROMPTS), strict=True):
        assert found.boxes_xyxy.dtype == np.float32 and found.labels.dtype == np.int64
        assert (found.scores > 0.3).all() and set(found.labels) <= set(range(len(prompt)))


def test_padding_is_allowed_up_to_max_padding(detector, tiny_grounding_dino, photos):
    shapes = []
    loose = GroundingDino(str(tiny_grounding_dino), batch_size=8, max_padding=0.2, device="cpu")
    for one in (detector, loose):
        one.network.register_forward_pre_hook(
            lambda _, args, kwargs: shapes.append(tuple(kwargs["pixel_values"].shape)), with_kwargs=True
        )
    detector.detect(photos, PROMPTS)
    exact, shapes[:] = list(shapes), []
    loose.detect(photos, PROMPTS)
    assert sorted(shape[0] for shape in exact) == [1, 1, 1, 2]
    assert sum(shape[0] for shape in shapes) == 5 and len(shapes) < len(exact)


def test_thresholds(detector, tiny_grounding_dino, photos):
    strict = GroundingDino(str(tiny_grounding_dino), box_threshold=0.9999, device="cpu")
    assert len(strict.detect(photos[:1], PROMPTS[:1])[0].scores) < len(
        detector.detect(photos[:1], PROMPTS[:1])[0].scores
    )


def test_exact_phrase_leaves_boxes_without_a_class_where_token_spans_does_not(tiny_grounding_dino, photos, detector):
    exact = GroundingDino(
        str(tiny_grounding_dino), box_threshold=0.3, class_assignment="exact_phrase", text_threshold=0.5, device="cpu"
    )
    with_phrases, with_spans = exact.detect(photos, PROMPTS), detector.detect(photos, PROMPTS)
    assert [len(a.labels) for a in with_phrases] == [len(b.labels) for b in with_spans]
    assert min(found.labels.min() for found in with_phrases) == -1
    assert min(found.labels.min() for found in with_spans) == 0


def test_no_classes_and_no_images(detector, photos):
    (found,) = detector.detect(photos[:1], [[]])
    assert found.boxes_xyxy.shape == (0, 4) and detector.detect([], []) == []


def test_a_prompt_of_many_classes_is_asked_in_parts(detector, photos):
    (found,) = detector.detect(photos[:1], [["hot dog", "umbrellas", "traffic light"] * 12])
    assert found.labels.max() > 30


def test_pixels_are_pillows(detector, photos):
    """To the last bit: torch's own antialiased resize rounds some pixels the other way."""
    for photo in photos:
        rows, columns = input_size(*photo.shape[:2], 96, 160)
        expected = np.asarray(Image.fromarray(photo).resize((columns, rows), Image.Resampling.BILINEAR))
        np.testing.assert_array_equal(detector.prepare(photo).pixels.permute(1, 2, 0).numpy(), expected)
        pixels, mask = detector._pixels([detector.prepare(photo)])
        assert pixels.shape == (1, 3, rows, columns) and mask.all()
        normal = (torch.tensor(expected[0, 0]) / 255 - torch.tensor([0.5, 0.4, 0.3])) / detector._std.flatten()
        assert torch.allclose(pixels[0, :, 0, 0], normal, atol=1e-5)


@pytest.mark.parametrize(
    ("photo", "expected"),
    [
        ((480, 640), (800, 1066)),
        ((640, 480), (1066, 800)),
        ((379, 640), (789, 1332)),  # the long side follows from the rounded short one
        ((640, 379), (1332, 789)),
        ((500, 2000), (333, 1332)),
        ((2000, 400), (1335, 267)),
        ((800, 900), (800, 900)),
        ((427, 640), (800, 1199)),
        ((1, 3000), (1, 1333)),  # rounded to nothing
        ((1, 1333), (1, 1333)),
    ],
)
def test_input_size(photo, expected):
    assert input_size(*photo, 800, 1333) == expected


def test_absolute_xyxy_goes_beyond_the_borders():
    """Cutting is the stage's, so that it is one switch for all detectors."""
    boxes = absolute_xyxy(np.array([[0.5, 0.5, 0.5, 0.5], [0.0, 1.0, 0.5, 0.5]]), (100, 200))
    assert boxes.dtype == np.float32
    assert boxes.tolist() == [[50, 25, 150, 75], [-50, 75, 50, 125]]


def test_it_is_registered_and_takes_device_and_threads(tiny_grounding_dino):
    settings = {"model": str(tiny_grounding_dino), "short_side": 64, "long_side": 96}
    backend = load_backend("grounding_dino", settings, Detector, device="cpu", threads=1)
    assert backend.prepare(smooth_photo(48, 64, 0)).value.pixels.shape == (3, 64, 85)


def test_a_wrong_setting_or_folder_is_an_error(tiny_grounding_dino, tmp_path):
    with pytest.raises(SscError, match="class_assignment"):
        GroundingDino(str(tiny_grounding_dino), class_assignment="guess", device="cpu")
    with pytest.raises(SscError, match="neither a folder"):
        GroundingDino(str(tmp_path / "nowhere"), device="cpu")
    with pytest.raises(SscError, match="precision"):
        GroundingDino(str(tiny_grounding_dino), precision="fp8", device="cpu")


def test_weights_that_do_not_fit_the_config_are_an_error(tiny_grounding_dino, tmp_path):
    for file in tiny_grounding_dino.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "encoder_layers": 2}))
    with pytest.raises(SscError, match="weights missing: 50"):
        GroundingDino(str(tmp_path), device="cpu")


def test_a_transformers_that_numbers_words_otherwise_is_refused(tiny_grounding_dino, monkeypatch):
    """As 5.12 to 5.22 did: the token that ends a class had the position 0."""
    right = modeling_grounding_dino.generate_masks_with_special_tokens_and_transfer_map

    def wrong(ids, **options):
        masks, positions = right(ids, **options)
        return masks, torch.where(torch.isin(ids, torch.tensor([101, 102, 1012, 1029])), 0, positions)

    monkeypatch.setattr(modeling_grounding_dino, right.__name__, wrong)
    with pytest.raises(SscError, match=r"\[0, 0, 1, 0, 0, 0, 0\], not \[0, 0, 1, 2, 0, 1, 0\]"):
        GroundingDino(str(tiny_grounding_dino), device="cpu")


def test_classes_that_see_each_other_are_refused(tiny_grounding_dino, monkeypatch):
    right = modeling_grounding_dino.generate_masks_with_special_tokens_and_transfer_map

    def wrong(ids, **options):
        masks, positions = right(ids, **options)
        return torch.ones_like(masks), positions

    monkeypatch.setattr(modeling_grounding_dino, right.__name__, wrong)
    with pytest.raises(SscError, match="numbers the words of a caption otherwise"):
        GroundingDino(str(tiny_grounding_dino), device="cpu")
