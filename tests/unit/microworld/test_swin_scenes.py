"""What the dense half of the Swin's pre-training is taught about a scene, and that it can be learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from microworld.training.pool import BACKGROUND, OBJECT_TYPE, Pool
from microworld.training.swin import SwinFeatures
from microworld.training.swin_scenes import (
    CLASSES,
    GRID,
    SIDE,
    _read_scene,
    measure_on_scenes,
    train_on_scenes,
)

HEIGHT, WIDTH = 48, 192
LABEL, COLOUR = 3, 5


@pytest.fixture
def pool() -> Pool:
    """One grey scene with a white thing: its box covers the second quarter across and the upper half."""
    pixels = np.full((1, HEIGHT, WIDTH, 3), 90, np.uint8)
    owner = np.full((1, HEIGHT, WIDTH), BACKGROUND, np.uint8)
    x0, y0, x1, y1 = 48, 0, 96, 24
    pixels[0, y0:y1, x0:x1], owner[0, y0:y1, x0:x1] = 255, 0
    return Pool(
        pixels=pixels,
        owner=owner,
        sizes=np.array([[HEIGHT, WIDTH]]),
        objects=np.array([(0, LABEL, COLOUR, 0, (x0, y0, x1, y1))], OBJECT_TYPE),
        first=np.array([0, 1]),
        captions=[["thing"]],
    )


def test_cells_of_the_object_know_its_class_colour_and_box(pool: Pool) -> None:
    picture, classes, colours, boxes, among = _read_scene(pool, 0, None)
    assert picture.shape == (SIDE, SIDE, 3)
    inside = np.zeros((GRID, GRID), bool)
    inside[: GRID // 2, GRID // 4 : GRID // 2] = True
    assert (classes == np.where(inside, LABEL, CLASSES - 1)).all()
    assert (colours[inside] == COLOUR).all()
    assert not among.any(), "it has no peers"
    first = boxes[0, GRID // 4]  # the cell in the object's upper left corner
    cell = np.array([GRID // 4 + 0.5, 0.5]) / GRID
    np.testing.assert_allclose(first[:2], 3 * (np.array([0.375, 0.25]) - cell), atol=1e-5)
    np.testing.assert_allclose(first[2:4], 2 * np.array([0.375, 0.25]) - 1, atol=1e-5)
    np.testing.assert_allclose(first[4:], np.log([0.25, 0.5]), atol=1e-5)


def test_cropped_and_flipped_scenes_keep_labels_and_picture_together(pool: Pool) -> None:
    rng = np.random.default_rng(0)
    sides = set()
    for _ in range(20):
        picture, classes, _, boxes, _ = _read_scene(pool, 0, rng)
        white = picture[2::4, 2::4].min(-1) > 200
        inside = classes == LABEL
        assert (white == inside).mean() > 0.95  # cells on the edge may differ
        row, column = np.nonzero(inside)
        middle = (np.array([column.mean(), row.mean()]) + 0.5) / GRID
        np.testing.assert_allclose((boxes[inside][0, 2:4] + 1) / 2, middle, atol=0.04)
        sides.add(bool(middle[0] > 0.5))
    assert sides == {True, False}


def test_a_few_steps_teach_it_the_one_scene(pool: Pool) -> None:
    many = Pool(
        pixels=pool.pixels.repeat(4, 0),
        owner=pool.owner.repeat(4, 0),
        sizes=pool.sizes.repeat(4, 0),
        objects=np.concatenate([pool.objects] * 4),
        first=np.arange(5),
        captions=pool.captions * 4,
    )
    features = SwinFeatures()
    before = {name: value.clone() for name, value in features.state_dict().items()}
    reader = train_on_scenes(features, many, steps=30, batch=4)
    figures = measure_on_scenes(reader, many)
    assert figures["Swin, colour of a cell in a scene"] > 0.9
    assert figures["Swin, error of an object's rank among its peers, from -1 to 1"] == 0
    changed = [name for name, value in reader.features.state_dict().items() if not torch.equal(value, before[name])]
    assert any("layers.3" in name for name in changed)


def test_a_saved_swin_is_loaded_again(tmp_path: Path) -> None:
    features = SwinFeatures()
    features.save(tmp_path / "swin.safetensors")
    pixels = torch.rand(1, 3, SIDE, SIDE)
    with torch.no_grad():
        for ours, theirs in zip(
            features(pixels), SwinFeatures.load(tmp_path / "swin.safetensors")(pixels), strict=True
        ):
            torch.testing.assert_close(ours, theirs, atol=0.05, rtol=0.05)  # half precision


def test_places_among_peers_are_taught_if_they_weigh(pool: Pool) -> None:
    two = Pool(
        pixels=pool.pixels,
        owner=pool.owner.copy(),
        sizes=pool.sizes,
        objects=np.concatenate([pool.objects, pool.objects]),
        first=np.array([0, 2]),
        captions=pool.captions * 2,
    )
    two.owner[0, 24:, 96:144] = 1
    two.objects["box"][1] = (96, 24, 144, 48)
    rank = "Swin, error of an object's rank among its peers, from -1 to 1"
    errors = []
    for weight in (0.0, 2.0):
        torch.manual_seed(0)
        reader = train_on_scenes(SwinFeatures(), two, steps=40, peers=weight, batch=1)
        errors.append(measure_on_scenes(reader, two)[rank])
    assert errors[1] < 0.8 * errors[0]
