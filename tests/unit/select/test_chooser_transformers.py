"""The chooser's questions to small models of transformers with random weights."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoProcessor, LlavaForConditionalGeneration, Qwen3VLForConditionalGeneration

from ssc_core.backends import load_backend
from ssc_core.contracts import PairScorer
from ssc_core.drawing.marks import marked
from ssc_core.errors import SscError
from ssc_core.select.chooser import QUESTION
from ssc_core.select.chooser_transformers import TransformersChooser
from tests.unit.select.tiny_chat_models import make_llava, make_qwen3_vl

PHOTO = np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8)
MASKS = np.zeros((3, 96, 128), bool)
for k in range(3):
    MASKS[k, 10:80, 5 + 40 * k : 40 + 40 * k] = True
CLASSES = {"qwen3_vl": Qwen3VLForConditionalGeneration, "llava": LlavaForConditionalGeneration}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("chat_models")
    return {"qwen3_vl": make_qwen3_vl(root / "qwen3_vl"), "llava": make_llava(root / "llava")}


def make(folder: Path, **settings: object) -> TransformersChooser:
    return load_backend(
        "chooser", {"model": str(folder), "dtype": "float32", **settings}, PairScorer, device="cpu", threads=1
    )


@pytest.mark.parametrize("kind", CLASSES)
def test_scores_are_those_of_the_official_class(folders: dict[str, Path], kind: str) -> None:
    """Asked by hand, with the official class and processor, about the same picture."""
    scores = make(folders[kind]).score_pairs(PHOTO, MASKS, ["left", "the red one"])
    processor = AutoProcessor.from_pretrained(folders[kind])
    network = CLASSES[kind].from_pretrained(folders[kind]).eval()
    picture = Image.fromarray(marked(PHOTO, MASKS))
    for row, sentence in enumerate(["left", "the red one"]):
        text = QUESTION.replace("{count}", "3").replace("{sentence}", sentence)
        message = {"role": "user", "content": [{"type": "image", "image": picture}, {"type": "text", "text": text}]}
        inputs = processor.apply_chat_template(
            [message], add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )
        with torch.no_grad():
            logits = network(**inputs).logits[0, -1]
        digits = processor.tokenizer.convert_tokens_to_ids(["1", "2", "3"])
        np.testing.assert_allclose(scores[row], logits[digits].log_softmax(-1), atol=2e-3)


@pytest.mark.parametrize("kind", CLASSES)
def test_photo_marks_and_sentence_count_and_results_repeat(folders: dict[str, Path], kind: str) -> None:
    chooser = make(folders[kind])
    both = chooser.score_pairs(PHOTO, MASKS, ["left", "the red one"])
    assert len(np.unique(both)) > 2
    assert (both[0] != both[1]).any()
    singles = [chooser.score_pairs(PHOTO, MASKS, [sentence])[0] for sentence in ("left", "the red one")]
    np.testing.assert_array_equal(both, singles)
    assert (chooser.score_pairs(255 - PHOTO, MASKS, ["left"]) != both[0]).any()
    assert (chooser.score_pairs(PHOTO, MASKS[::-1], ["left"]) != both[0]).any()


def test_more_than_nine_candidates(folders: dict[str, Path]) -> None:
    masks = np.zeros((12, 96, 128), bool)
    for k in range(12):
        masks[k, 10:80, 10 * k : 10 * k + 9] = True
    scores = make(folders["qwen3_vl"]).score_pairs(PHOTO, masks, ["left"])
    assert np.exp(scores.astype(float)).sum() == pytest.approx(1, abs=0.01)
    assert len(np.unique(scores)) > 6


def test_a_model_that_would_not_answer_with_a_number_says_so(
    folders: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A digit has some probability in any answer; what counts is whether one is likely."""
    folder = copied(folders["qwen3_vl"], tmp_path)
    tensors = load_file(folder / "model.safetensors")
    rows = tensors["lm_head.weight"]
    rows[:100], rows[ord("1") - 33 : ord("9") - 32] = (
        rows.abs().sum(0),
        0,
    )  # the first hundred answer alike, digits never
    tensors["model.language_model.norm.weight"].abs_()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    scores = make(folder).score_pairs(PHOTO, MASKS, ["left"])
    assert len(np.unique(scores)) == 1
    assert "not with a number" in caplog.text


def test_values_for_the_chat_template(folders: dict[str, Path]) -> None:
    plain = make(folders["qwen3_vl"]).score_pairs(PHOTO, MASKS, ["left"])
    told = make(folders["qwen3_vl"], template={"enable_thinking": False}).score_pairs(PHOTO, MASKS, ["left"])
    assert (plain != told).any()


def test_weights_that_do_not_fit_are_named(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(folders["qwen3_vl"], tmp_path)
    tensors = load_file(folder / "model.safetensors")
    tensors["model.vision.patch.weight"] = tensors.pop("model.visual.patch_embed.proj.weight")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SscError, match=r"weights missing: 1 \(model\.visual\.patch_embed\.proj\.weight\)"):
        make(folder)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("config.json", "no folder with config.json"),
        ("tokenizer.json", "no tokenizer"),
        ("chat_template.jinja", "no chat template"),
        ("processor_config.json", "no processor in|no chat template"),
    ],
)
def test_what_a_folder_lacks_is_said(folders: dict[str, Path], tmp_path: Path, missing: str, message: str) -> None:
    folder = copied(folders["qwen3_vl"], tmp_path)
    (folder / missing).unlink()
    with pytest.raises(SscError, match=message):
        make(folder)


def copied(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to / "model"))
