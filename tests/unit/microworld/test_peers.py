"""An object among its peers: ranks from the left, the top, the far end and the smallest, of those of its kind."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from microworld.training.peers import PEERS, peer_error, peer_loss, peer_places
from microworld.training.pool import BACKGROUND, OBJECT_TYPE
from microworld.training.swin_scenes import GRID, SIDE, cell_labels

WHOLE = np.array([[1.0, 0, 0], [0, 1, 0]])
DOG, CAT = 3, 4


def view(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """Which object is at a pixel of 8 x 8."""
    owner = np.full((8, 8), BACKGROUND, np.uint8)
    for i, (x0, y0, x1, y1) in enumerate(boxes):
        owner[y0:y1, x0:x1] = i
    return owner


def objects(boxes: tuple[tuple[int, int, int, int], ...], *names: tuple[int, int]) -> np.ndarray:
    return np.array([(0, label, 0, kind, box) for box, (label, kind) in zip(boxes, names, strict=True)], OBJECT_TYPE)


def test_three_of_a_kind_are_ranked_and_one_alone_is_not() -> None:
    boxes = ((0, 4, 2, 8), (4, 0, 8, 4), (2, 2, 4, 4), (6, 4, 8, 6))  # dogs left, right, middle; a cat
    places = peer_places(objects(boxes, (DOG, 0), (DOG, 0), (DOG, 0), (CAT, 0)), view(*boxes), WHOLE)
    assert places.shape == (4, PEERS)
    three = np.log(3)
    np.testing.assert_allclose(places[0], [-1, 1, 1, 0, three])  # leftmost, lowest, nearest, the second in area
    np.testing.assert_allclose(places[1], [1, -1, -1, 1, three], rtol=1e-6)  # largest; lower edges of two are equal
    np.testing.assert_allclose(places[2], [0, 0, 0, -1, three], rtol=1e-6)
    assert not places[3].any(), "the only cat"


def test_people_are_ranked_among_their_kind() -> None:
    boxes = ((0, 0, 2, 8), (2, 0, 4, 8), (4, 0, 6, 8))
    places = peer_places(objects(boxes, (0, 1), (0, 2), (0, 1)), view(*boxes), WHOLE)
    assert places[:, 0].tolist() == [-1, 0, 1]
    np.testing.assert_allclose(np.exp(places[:, 4]), [2, 1, 2], rtol=1e-6)


def test_a_flip_swaps_left_and_right_and_what_is_out_of_view_is_no_peer() -> None:
    boxes = ((0, 0, 2, 4), (4, 0, 6, 4), (6, 6, 8, 8))
    flip = np.array([[-1.0, 0, 8], [0, 1, 0]])
    owner = view(*boxes)
    owner[6:, 6:] = BACKGROUND  # the third one is hidden
    places = peer_places(objects(boxes, *[(DOG, 0)] * 3), owner[:, ::-1], flip)
    assert places[:, 0].tolist() == [1, -1, 0]
    assert np.exp(places[:, 4]).round().tolist() == [2, 2, 1]


def test_cells_say_the_place_of_their_object() -> None:
    owner = np.full((SIDE, SIDE), BACKGROUND, np.uint8)
    boxes = ((0, 0, 24, 48), (48, 0, 96, 96))
    for i, (x0, y0, x1, y1) in enumerate(boxes):
        owner[y0:y1, x0:x1] = i
    among = cell_labels(objects(boxes, (DOG, 0), (DOG, 0)), owner, WHOLE)[3]
    assert among.shape == (GRID, GRID, PEERS)
    assert among[3, 2, 0] == -1
    assert among[20, 20, 0] == 1
    assert not among[20, 2].any(), "background"


def test_errors_and_losses_are_of_objects_alone() -> None:
    labels, read = torch.zeros(1, 1, 3, PEERS), torch.zeros(1, 1, 3, PEERS)
    labels[0, 0, 0] = torch.tensor([1.0, 1, 1, 1, 0.7])  # among peers
    read[0, 0, 0, 0], read[0, 0, 2] = 0.6, 9.0  # the second is alone, the third is background
    inside = torch.tensor([[[True, True, False]]])
    assert peer_error(read, labels, inside) == (pytest.approx(3.4), 4)
    torch.testing.assert_close(peer_loss(read, labels, inside), torch.tensor((0.3 + 3 * 0.9 + 0.6) / 10))
