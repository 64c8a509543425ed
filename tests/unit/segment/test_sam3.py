from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, Sam3ImageProcessor, Sam3LiteTextModel, Sam3Model, Sam3Processor

from ssc_core.backends import ConceptSegmenter, load_backend
from ssc_core.errors import SscError
from ssc_core.segment import sam3
from ssc_core.segment.sam3 import Sam3, Sam3LiteText
from tests.unit.segment.conftest import smooth_photo
from tests.unit.segment.tiny_networks import save_sam3

SIZES = [(48, 64), (90, 60), (112, 112)]
PHRASES = [["dog", "red cat", "the big kite"], ["dog"], ["blue umbrella", "dog"]]
THRESHOLD = 0.2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_sam3(tmp_path_factory.mktemp("sam3"))


@pytest.fixture(scope="module")
def lite_folder(tmp_path_factory):
    return save_sam3(tmp_path_factory.mktemp("sam3_lite_text"), lite=True)


@pytest.fixture(params=["sam3", "sam3_lite_text"])
def model(request, folder, lite_folder):
    kind, place = {"sam3": (Sam3, folder), "sam3_lite_text": (Sam3LiteText, lite_folder)}[request.param]
    return kind(str(place), threshold=THRESHOLD, batch_size=2, phrases_per_pass=2, device="cpu")


@pytest.fixture(scope="module")
def photos():
    return [smooth_photo(*size, seed) for seed, size in enumerate(SIZES)]


def test_instances_of_each_phrase_with_masks_of_the_photos_size(model, photos):
    for photo, phrases, found in zip(photos, PHRASES, model.segment_concepts(photos, PHRASES), strict=True):
        count = len(found.detections.scores)
        assert count > 0 and set(found.detections.labels) <= set(range(len(phrases)))
        assert found.masks.shape == (count, *photo.shape[:2]) and found.masks.dtype == bool
        assert 0 < found.masks.mean() < 1 and found.presence.shape == (len(phrases),)
        assert (found.detections.scores * found.presence[found.detections.labels] > THRESHOLD).all()


def test_batches_and_phrases_together_are_what_each_is_alone(model, photos):
    together = model.segment_concepts(photos, PHRASES)
    for photo, phrases, found in zip(photos, PHRASES, together, strict=True):
        for label, phrase in enumerate(phrases):
            (alone,) = model.segment_concepts([photo], [[phrase]])
            own = found.detections.labels == label
            assert np.allclose(alone.detections.boxes_xyxy, found.detections.boxes_xyxy[own], atol=1e-3)
            assert np.allclose(alone.detections.scores, found.detections.scores[own], atol=1e-5)
            assert alone.presence[0] == pytest.approx(found.presence[label], abs=1e-5)
            assert (alone.masks == found.masks[own]).mean() > 0.999


def test_they_are_what_transformers_own_processor_makes_of_its_own_forward(folder, photos):
    network = Sam3Model.from_pretrained(folder)
    processor = Sam3Processor(Sam3ImageProcessor.from_pretrained(folder), AutoTokenizer.from_pretrained(folder))
    ours = Sam3(str(folder), threshold=THRESHOLD, device="cpu")
    for photo, phrases in zip(photos, PHRASES, strict=True):
        (found,) = ours.segment_concepts([photo], [phrases])
        for label, phrase in enumerate(phrases):
            inputs = processor(images=photo.copy(), text=phrase, return_tensors="pt")
            with torch.inference_mode():
                out = network(**{key: inputs[key] for key in ("pixel_values", "input_ids", "attention_mask")})
            (theirs,) = processor.post_process_instance_segmentation(
                out, threshold=THRESHOLD, target_sizes=[photo.shape[:2]]
            )
            own = found.detections.labels == label
            assert len(theirs["scores"]) == own.sum()
            assert np.allclose(theirs["scores"], found.detections.scores[own] * found.presence[label], atol=1e-5)
            assert np.allclose(theirs["boxes"], found.detections.boxes_xyxy[own], atol=1e-3)
            assert (theirs["masks"].numpy().astype(bool) == found.masks[own]).mean() > 0.999


def test_a_photo_passes_the_image_encoder_once_and_a_phrase_the_text_encoder_once(model, photos):
    seen, read = [], []
    model.network.vision_encoder.register_forward_hook(lambda _, args, out: seen.append(len(args[0])))
    model.network.text_encoder.register_forward_hook(
        lambda _, args, kwargs, out: read.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    model.segment_concepts(photos, PHRASES)
    model.segment_concepts(photos[:1], [["the big kite", "dog"]])
    assert seen == [2, 1, 1] and sum(read) == 4


def test_a_photo_that_is_given_several_times_is_encoded_once(model, photos):
    seen = []
    hook = model.network.vision_encoder.register_forward_hook(lambda _, args, out: seen.append(len(args[0])))
    phrases = [PHRASES[0][:1], PHRASES[1], PHRASES[0][1:], []]
    found = model.segment_concepts([photos[0], photos[1], photos[0], photos[0]], phrases)
    hook.remove()
    assert seen == [2]
    for photo, some, one in zip([photos[0], photos[1], photos[0], photos[0]], phrases, found, strict=True):
        (alone,) = model.segment_concepts([photo.copy()], [some])
        assert np.array_equal(one.detections.labels, alone.detections.labels)
        assert np.allclose(one.detections.scores, alone.detections.scores, atol=1e-5)
        assert np.allclose(one.presence, alone.presence, atol=1e-5)
        assert one.masks.shape == alone.masks.shape
        assert (one.masks == alone.masks).sum() >= 0.999 * alone.masks.size


def test_phrases_that_are_kept_are_bounded(folder, photos, monkeypatch):
    monkeypatch.setattr(sam3, "PHRASES_KEPT", 2)
    model = Sam3(str(folder), threshold=THRESHOLD, device="cpu")
    (found,) = model.segment_concepts(photos[:1], PHRASES[:1])
    assert len(found.presence) == 3 and len(model._known) == 2


def test_an_image_without_phrases_has_nothing(model, photos):
    (found,) = model.segment_concepts(photos[:1], [[]])
    assert found.masks.shape == (0, 48, 64) and found.presence.shape == (0,)


def test_a_text_tower_under_other_names_is_refused(folder, tmp_path, photos):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tensors = load_file(tmp_path / "model.safetensors")
    renamed = {name.replace("text_encoder.", "clip_text."): value for name, value in tensors.items()}
    assert renamed.keys() != tensors.keys()
    save_file(renamed, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SscError, match=r"Sam3Model: weights missing: \d+ \(text_encoder\..*left over: \d+ \(clip_text"):
        Sam3(str(tmp_path), device="cpu")


def test_the_published_layout_loads_with_the_weights_of_the_tracker_beside_it(folder, tmp_path, photos):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tensors = load_file(tmp_path / "model.safetensors")
    published = {f"detector_model.{name}": value for name, value in tensors.items()}
    published |= {"tracker_model.no_memory_embedding": torch.ones(2), "tracker_neck.0.weight": torch.ones(2)}
    save_file(published, tmp_path / "model.safetensors", metadata={"format": "pt"})
    for a, b in zip(
        Sam3(str(tmp_path), threshold=THRESHOLD, device="cpu").segment_concepts(photos, PHRASES),
        Sam3(str(folder), threshold=THRESHOLD, device="cpu").segment_concepts(photos, PHRASES),
        strict=True,
    ):
        assert np.array_equal(a.masks, b.masks) and np.array_equal(a.presence, b.presence)


def test_the_other_class_and_a_folder_without_its_processor_are_refused(folder, lite_folder, tmp_path):
    with pytest.raises(SscError, match=r"Sam3Model cannot be loaded from .* config\.json is of 'sam3_lite_text'"):
        Sam3(str(lite_folder), device="cpu")
    for file in folder.iterdir():
        if file.name != "preprocessor_config.json":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(SscError, match=r"has neither preprocessor_config\.json nor processor_config\.json"):
        Sam3(str(tmp_path), device="cpu")


@pytest.mark.parametrize(("dtype", "attention"), [("bfloat16", "sdpa"), ("float32", "eager")])
def test_dtype_and_attention(folder, photos, dtype, attention):
    model = Sam3(str(folder), threshold=THRESHOLD, dtype=dtype, attention=attention, device="cpu")
    exact = Sam3(str(folder), threshold=THRESHOLD, device="cpu").segment_concepts(photos, PHRASES)
    assert model.network.dtype == getattr(torch, dtype)
    for found, right in zip(model.segment_concepts(photos, PHRASES), exact, strict=True):
        assert found.presence == pytest.approx(right.presence, abs=0.02)


@pytest.mark.parametrize(("name", "kind"), [("sam3", Sam3Model), ("sam3_lite_text", Sam3LiteTextModel)])
def test_they_are_registered_and_keep_the_contract(name, kind, folder, lite_folder, photos):
    place = {"sam3": folder, "sam3_lite_text": lite_folder}[name]
    settings = {"model": str(place), "threshold": THRESHOLD}
    loaded = load_backend(name, settings, ConceptSegmenter, device="cpu", threads=1)
    assert isinstance(loaded._backend.network, kind)
    prepared = [loaded.prepare(photo) for photo in photos]
    for a, b in zip(loaded.segment_concepts(prepared, PHRASES), loaded.segment_concepts(photos, PHRASES), strict=True):
        assert np.array_equal(a.masks, b.masks)
