"""What a reader of cells says of an object among its peers, which are the view's objects of the same class (and, of
people, of the same kind): how far it is to the left, up, near and large among them, and how many they are.

It is what "left", "top", "closest", "biggest" and "second" ask for, seen without any of these words.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from microworld.training.pool import BACKGROUND

PEERS = 5
"""Numbers that say an object's place among its peers: ranks by centre (x, y), lower edge and visible area, each from -1
(the least) to 1 and 0 where it is alone; the logarithm of how many they are."""

WEIGHT = 2.0
"""Of ``peer_loss`` beside the losses of a cell's class, colour and box."""


def peer_places(objects: np.ndarray, owner: np.ndarray, move: np.ndarray) -> np.ndarray:
    """float32 (K, PEERS), a row per object; 0 for one that the view does not show.

    objects: a scene's K rows of ``Pool.objects``; owner: of ``owner_in_view``; move: of ``view_of``.
    """
    area = np.bincount(owner[owner != BACKGROUND], minlength=len(objects))
    places = np.zeros((len(objects), PEERS), np.float32)
    corners = np.sort(objects["box"].reshape(-1, 2, 2) @ move[:, :2].T + move[:, 2], axis=1)
    corners = np.clip(corners, 0, len(owner))
    orders = np.column_stack([corners.mean(1), corners[:, 1, 1], area])
    names = objects["label"].astype(int) * 1000 + objects["kind"]
    for name in set(names[area > 0].tolist()):
        peers = np.flatnonzero((names == name) & (area > 0))
        if len(peers) > 1:
            ranks = orders[peers].argsort(0, kind="stable").argsort(0)
            places[peers, :4] = 2 * ranks / (len(peers) - 1) - 1
            places[peers, 4] = np.log(len(peers))
    return places


def peer_loss(read: Tensor, labels: Tensor, inside: Tensor) -> Tensor:
    """Scalar. read, labels: (B, h, w, PEERS); inside: bool (B, h, w), the cells that count."""
    return functional.smooth_l1_loss(read[inside], labels[inside], beta=0.2)


def peer_error(read: Tensor, labels: Tensor, inside: Tensor) -> tuple[float, int]:
    """Sum of the errors of ranks over cells of objects that have peers, and how many numbers these are."""
    among = inside & (labels[..., 4] > 0)
    error = (read - labels)[among][:, :4].abs()
    return float(error.sum()), int(torch.numel(error))
