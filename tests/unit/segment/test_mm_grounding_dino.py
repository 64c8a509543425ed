from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, GroundingDinoImageProcessor, GroundingDinoProcessor
from transformers import MMGroundingDinoForObjectDetection as Network

from ssc_core.backends import Detector, load_backend
from ssc_core.errors import SscError
from ssc_core.segment.grounding_dino import MMGroundingDino
from tests.unit.segment.conftest import smooth_photo
from tests.unit.segment.tiny_networks import save_mm_grounding_dino

SIZES = [(96, 128), (150, 96), (96, 96)]  # whose short side needs no resizing: how a library resizes is not the point
PROMPTS = [["dog", "hot dog"], ["person"], ["umbrella", "cat", "traffic light"]]
THRESHOLD = 0.01  # of random weights: this network begins with the bias of a rare class


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_bert):
    return save_mm_grounding_dino(tmp_path_factory.mktemp("mm_grounding_dino"), tiny_bert)


@pytest.fixture(scope="module")
def photos():
    return [smooth_photo(*size, seed) for seed, size in enumerate(SIZES)]


@pytest.fixture(scope="module")
def detector(folder):
    settings = {"model": str(folder), "box_threshold": THRESHOLD}
    return load_backend("mm_grounding_dino", settings, Detector, device="cpu", threads=1)


def test_boxes_are_those_of_transformers_own_processor_and_forward(folder, detector, photos):
    network = Network.from_pretrained(folder)
    assert isinstance(detector._backend.network, Network)
    processor = GroundingDinoProcessor(
        GroundingDinoImageProcessor.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    )
    for photo, prompt, found in zip(photos, PROMPTS, detector.detect(photos, PROMPTS), strict=True):
        inputs = processor(images=photo.copy(), text=[prompt], return_tensors="pt")
        with torch.inference_mode():
            out = network(**inputs)
        (theirs,) = processor.post_process_grounded_object_detection(
            out, inputs["input_ids"], threshold=THRESHOLD, text_threshold=0.25, target_sizes=[photo.shape[:2]]
        )
        assert len(found.scores) > 3
        assert np.allclose(found.boxes_xyxy, theirs["boxes"], atol=0.05)
        assert np.allclose(found.scores, theirs["scores"], atol=1e-3)


def test_no_class_sees_another(folder, photos):
    """So a class that is asked for alone has the words' features that it has among others."""
    detector = MMGroundingDino(str(folder), box_threshold=0.0, device="cpu")
    texts = []
    detector.network.model.text_backbone.register_forward_hook(lambda _, args, out: texts.append(out[0][0]))
    detector.detect(photos[:1], [["dog", "cat"]])
    detector.detect(photos[:1], [["dog"]])
    both, alone = texts
    assert torch.allclose(both[1:3], alone[1:3], atol=1e-5)  # "dog" and its full stop, after [CLS]


def test_an_image_gets_the_same_boxes_alone_and_in_a_batch(detector, photos):
    for photo, prompt, found in zip(photos, PROMPTS, detector.detect(photos, PROMPTS), strict=True):
        (alone,) = detector.detect([photo], [prompt])
        assert np.allclose(alone.boxes_xyxy, found.boxes_xyxy, atol=1e-2)
        assert np.array_equal(alone.labels, found.labels) and set(found.labels) <= set(range(len(prompt)))


def test_a_checkpoint_of_the_other_detector_and_its_folder_are_refused(folder, tiny_grounding_dino, tmp_path):
    (tmp_path / "groundingdino_swint_ogc.pth").write_bytes(b"abc")
    with pytest.raises(SscError, match="MMGroundingDinoForObjectDetection is loaded from a folder of transformers"):
        MMGroundingDino(str(tmp_path / "groundingdino_swint_ogc.pth"), device="cpu")
    with pytest.raises(SscError, match=r"does not fit MMGroundingDino.*config\.json is of 'grounding-dino'"):
        MMGroundingDino(str(tiny_grounding_dino), device="cpu")
