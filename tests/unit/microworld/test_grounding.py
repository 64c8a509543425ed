"""What LAVT's start is taught: the pixels of a noun, and never what tells objects of one class apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from microworld.classes import COLOURS
from microworld.training.grounding import ReadingSegmenter, read_nouns, save_lavt, train_on_nouns
from microworld.training.pool import BACKGROUND, CATEGORY_NAMES, KINDS, OBJECT_TYPE, Pool
from ssc_core.config.training import NetworkSettings
from ssc_core.correct.start import build_segmenter

HEIGHT, WIDTH = 48, 96
NETWORK = {
    "swin": {"embed_dim": 24, "depths": [1, 1, 2, 1], "heads": [1, 2, 4, 8]},
    "window": 6,
    "bert": "resources/micro/lavt/bert",
    "image_size": 96,
    "decoder_width": 8,
    "trainable_bert_layers": 1,
}


def scene(*things: tuple[str, str]) -> Pool:
    """Things side by side, each a square: (class, kind of person)."""
    owner = np.full((1, HEIGHT, WIDTH), BACKGROUND, np.uint8)
    rows = []
    for i, (category, kind) in enumerate(things):
        owner[0, 10:30, 24 * i : 24 * i + 20] = i
        label, of_kind = CATEGORY_NAMES.index(category), KINDS.index(kind)
        rows.append((0, label, 2, of_kind, (24 * i, 10, 24 * i + 20, 30)))
    return Pool(
        pixels=np.where(owner[..., None] == BACKGROUND, np.uint8(90), np.uint8(200)).repeat(3, -1),
        owner=owner,
        sizes=np.array([[HEIGHT, WIDTH]]),
        objects=np.array(rows, OBJECT_TYPE),
        first=np.array([0, len(rows)]),
        captions=[[""] for _ in rows],
    )


def read(pool: Pool, seed: int) -> tuple[str, np.ndarray, np.ndarray]:
    drawn = read_nouns(pool, np.array([0]), np.random.default_rng(seed), whole=True)
    return drawn.phrases[0], drawn.targets[0].numpy(), drawn.known[0].numpy()


def test_a_noun_means_all_objects_of_its_class() -> None:
    pool = scene(("dog", ""), ("dog", ""), ("cup", ""))
    middle = 96 * 20 // HEIGHT
    for seed in range(20):
        phrase, target, known = read(pool, seed)
        assert known.all()
        dogs, cup = target[middle, [8, 32]], target[middle, 56]
        assert (dogs.all(), cup) == ((True, False) if "dog" in phrase else (False, True))
        assert not set(phrase.split()) & {*COLOURS, "left", "right", "big", "small", "striped"}


def test_whom_a_word_may_or_may_not_mean_teaches_nothing() -> None:
    pool = scene(("person", "boy"), ("person", "man"))
    found = [read(pool, seed) for seed in range(60)]
    guys = [(target, known) for phrase, target, known in found if "guy" in phrase]
    assert guys
    for target, known in guys:
        assert target[40, 32] and known[40, 32], "the man is one"
        assert not target[40, 8] and not known[40, 8], "of the boy, readers differ"


def test_crops_keep_picture_and_target_together() -> None:
    drawn = read_nouns(scene(("dog", "")), np.zeros(12, int), np.random.default_rng(0))
    for picture, target, classes in zip(drawn.pixels, drawn.targets, drawn.cells[0], strict=True):
        bright = picture[0] > (picture[0].max() + picture[0].min()) / 2
        assert (bright == target).float().mean() > 0.95
        dog = classes == CATEGORY_NAMES.index("dog")
        assert torch.equal(dog, target[2::4, 2::4]), "cells are of the same view"


def test_cells_are_read_before_the_words_of_their_stage() -> None:
    model = ReadingSegmenter(build_segmenter(NetworkSettings.model_validate(NETWORK))).eval()
    pixels, words = torch.rand(1, 3, 96, 96), torch.tensor([[[2, 9, 3]], [[2, 11, 3]]])
    with torch.no_grad():
        model.segmenter.lavt.backbone.layers[0].res_gate[2].weight.zero_()
        first = [model(pixels, ids, torch.ones_like(ids))[1][0] for ids in words]
        for projection in model.reader.projections[2:]:  # later stages see what the gates let in
            projection.weight.zero_()
        alike = [model(pixels, ids, torch.ones_like(ids))[1][0] for ids in words]
    assert not torch.equal(*first)
    assert torch.equal(*alike)


def test_it_can_be_learned_and_bert_stays(tmp_path: Path) -> None:
    settings = NetworkSettings.model_validate(NETWORK)
    model = train_on_nouns(scene(("dog", ""), ("cup", "")), settings, steps=3, batch=1).segmenter
    start = build_segmenter(settings)
    assert all(
        torch.equal(a, b)
        for a, b in zip(model.bert.state_dict().values(), start.bert.state_dict().values(), strict=True)
    )
    save_lavt(model, tmp_path / "model.safetensors")
    again = build_segmenter(settings.model_copy(update={"swin_weights": str(tmp_path / "model.safetensors")}))
    for key, value in model.lavt.state_dict().items():
        torch.testing.assert_close(again.lavt.state_dict()[key], value, atol=2e-3, rtol=2e-3, check_dtype=False)
