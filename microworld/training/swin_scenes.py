"""The second half of the small Swin's pre-training: whole scenes, read densely as a one-stage detector reads photos.

Close-ups teach what things are; LAVT also needs what stands where. For every cell of a coarse grid the Swin says the
class and the colour of the object there and the box of that object; then also what it is among its peers (``peers``).
It sees no sentence.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from microworld.classes import CATEGORY_NAMES
from microworld.training.loop import fit
from microworld.training.peers import PEERS, peer_error, peer_loss, peer_places
from microworld.training.pool import BACKGROUND, COLOUR_NAMES, Pool
from microworld.training.swin import SwinFeatures, as_pixels

SIDE, GRID = 96, 24
"""As LAVT sees scenes, and its finest stage."""

CLASSES = len(CATEGORY_NAMES) + 1
"""The last one is the background."""

BOX = 6
"""Numbers that say a box: its centre from the cell and from the middle of the picture, logarithms of its sides."""

_READ = (CLASSES, len(COLOUR_NAMES), BOX, PEERS)
_LEAST_CROP = 0.75
_LEAST_SIDE = 0.02
_NO_COLOUR = -100


class CellReader(nn.Module):
    """One linear reader over all stages of a Swin, brought to the finest one's grid."""

    def __init__(self, channels: Sequence[int], width: int = 64) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(count) for count in channels)
        self.projections = nn.ModuleList(nn.Linear(count, width) for count in channels)
        self.head = nn.Linear(width, sum(_READ))

    def forward(self, stages: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Stages (B, h, w, C), finest first, to logits of class and of colour, to boxes and to places among peers, each
        (B, GRID, GRID, *)."""
        summed = torch.zeros(())
        for stage, norm, projection in zip(stages, self.norms, self.projections, strict=True):
            maps = projection(norm(stage)).permute(0, 3, 1, 2)
            summed = summed + functional.interpolate(maps, size=(GRID, GRID), mode="bilinear")
        read = self.head(functional.gelu(summed).permute(0, 2, 3, 1))
        return read.split(_READ, dim=-1)


class DenseReader(nn.Module):
    """A Swin and what reads its cells."""

    def __init__(self, features: SwinFeatures) -> None:
        super().__init__()
        self.features = features
        self.reader = CellReader(features.channels)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, SIDE, SIDE) to what ``CellReader`` gives."""
        return self.reader(self.features(pixels))


def cells_of_objects(classes: Tensor) -> Tensor:
    """bool, of the same shape: where there is no background."""
    return classes < CLASSES - 1


def cell_loss(read: tuple[Tensor, ...], truth: tuple[Tensor, ...], *, peers: float) -> Tensor:
    """Scalar. read: of a ``CellReader``; truth: of ``cell_labels``, in batches; peers: weight of places among these."""
    (of_class, of_colour, of_box, of_peers), (classes, colours, boxes, among) = read, truth
    inside = cells_of_objects(classes)
    return (
        functional.cross_entropy(of_class.flatten(0, 2), classes.flatten())
        + 0.5 * functional.cross_entropy(of_colour.flatten(0, 2), colours.flatten(), ignore_index=_NO_COLOUR)
        + functional.smooth_l1_loss(of_box[inside], boxes[inside], beta=0.2)
        + peers * peer_loss(of_peers, among, inside)
    )


def train_on_scenes(
    features: SwinFeatures, pool: Pool, *, steps: int, peers: float = 0.0, batch: int = 48, seed: int = 1
) -> DenseReader:
    """Train ``features`` on. peers: as ``cell_loss`` has it. Returns the reader that was trained with it."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    scenes = pool.batches(batch, rng)
    reader = DenseReader(features)

    def step_loss(step: int) -> Tensor:
        pixels, *truth = _read_batch(pool, next(scenes), rng)
        return cell_loss(reader(pixels), tuple(truth), peers=peers)

    fit(reader, step_loss, steps=steps, lr=1.2e-3, warmup=100, weight_decay=5e-2, average=0.998)
    return reader


@torch.no_grad()
def measure_on_scenes(reader: DenseReader, pool: Pool, batch: int = 50) -> dict[str, float]:
    """``cell_figures`` of a pool's scenes."""
    sums = np.zeros(6)
    for start in range(0, len(pool), batch):
        pixels, *truth = _read_batch(pool, np.arange(start, min(start + batch, len(pool))), None)
        sums += cell_sums(reader(pixels), tuple(truth))
    return cell_figures("Swin", sums)


def cell_sums(read: tuple[Tensor, ...], truth: tuple[Tensor, ...]) -> np.ndarray:
    """Over the cells of objects: right classes, right colours, errors of the centre, cells; and over those that have
    peers: errors of ranks, ranks. As ``cell_loss`` has it."""
    (of_class, of_colour, of_box, of_peers), (classes, colours, boxes, among) = read, truth
    inside = cells_of_objects(classes)
    error = (of_box - boxes)[inside][:, 2:4].abs().sum() / 4  # two numbers, in halves of the side
    right = ((of_class.argmax(-1) == classes)[inside].sum(), (of_colour.argmax(-1) == colours)[inside].sum())
    return np.array([*map(int, right), float(error), int(inside.sum()), *peer_error(of_peers, among, inside)])


def cell_figures(reader: str, sums: np.ndarray) -> dict[str, float]:
    """Share with the right class and colour, and mean errors of centre and ranks, from sums of ``cell_sums``."""
    names = (
        "class of a cell in a scene",
        "colour of a cell in a scene",
        "error of the object's centre, share of the side",
    )
    figures = {f"{reader}, {name}": float(total / sums[3]) for name, total in zip(names, sums, strict=False)}
    return figures | {
        f"{reader}, error of an object's rank among its peers, from -1 to 1": float(sums[4] / max(sums[5], 1))
    }


def _read_batch(pool: Pool, scenes: np.ndarray, rng: np.random.Generator | None) -> tuple[Tensor, ...]:
    """Pixels (B, 3, SIDE, SIDE) and ``cell_labels`` in batches.

    With ``rng`` scenes are cropped, flipped, lighter or darker.
    """
    drawn = [_read_scene(pool, int(scene), rng) for scene in scenes]
    pictures, *labels = (np.stack(arrays) for arrays in zip(*drawn, strict=True))
    light = np.ones(len(scenes)) if rng is None else rng.uniform(0.85, 1.15, len(scenes))
    return as_pixels(pictures, light), *(torch.from_numpy(array) for array in labels)


def _read_scene(pool: Pool, scene: int, rng: np.random.Generator | None) -> tuple[np.ndarray, ...]:
    picture, objects = pool.image(scene), pool.scene_objects(scene)
    height, width = picture.shape[:2]
    move = view_of(height, width, rng)
    seen = cv2.warpAffine(picture, move, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
    return seen, *cell_labels(objects, owner_in_view(pool, scene, move), move)


def owner_in_view(pool: Pool, scene: int, move: np.ndarray) -> np.ndarray:
    """``Pool.owner`` of a scene after ``view_of``'s map: uint8 (SIDE, SIDE)."""
    height, width = pool.sizes[scene]
    return cv2.warpAffine(
        np.asarray(pool.owner[scene, :height, :width]), move, (SIDE, SIDE), flags=cv2.INTER_NEAREST,
        borderValue=BACKGROUND,
    )  # fmt: skip


def cell_labels(objects: np.ndarray, owner: np.ndarray, move: np.ndarray) -> tuple[np.ndarray, ...]:
    """Classes and colours int64 (GRID, GRID), boxes (GRID, GRID, BOX) and places among peers (GRID, GRID, PEERS) of a
    view. owner: of ``owner_in_view``."""
    places = peer_places(objects, owner, move)
    step = SIDE // GRID
    owner = owner[step // 2 :: step, step // 2 :: step]
    inside = owner != BACKGROUND
    classes = np.full((GRID, GRID), CLASSES - 1, np.int64)
    colours = np.full((GRID, GRID), _NO_COLOUR, np.int64)
    boxes, among = np.zeros((GRID, GRID, BOX), np.float32), np.zeros((GRID, GRID, PEERS), np.float32)
    classes[inside], colours[inside] = objects["label"][owner[inside]], objects["colour"][owner[inside]]
    boxes[inside], among[inside] = _box_targets(objects["box"], move, owner, inside), places[owner[inside]]
    return classes, colours, boxes, among


def view_of(height: int, width: int, rng: np.random.Generator | None) -> np.ndarray:
    """Affine map (2, 3) of the scene to the square: all of it, or with ``rng`` a part, flipped half of the time."""
    share, corner, flip = np.ones(2), np.zeros(2), False
    if rng is not None:
        share = rng.uniform(_LEAST_CROP, 1, 2)
        corner, flip = rng.uniform(0, 1 - share), rng.random() < 0.5
    scale_x, scale_y = SIDE / (share * (width, height))
    left, top = corner * (width, height)
    if flip:
        return np.array([[-scale_x, 0, SIDE + scale_x * left], [0, scale_y, -scale_y * top]])
    return np.array([[scale_x, 0, -scale_x * left], [0, scale_y, -scale_y * top]])


def _box_targets(boxes: np.ndarray, move: np.ndarray, owner: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """(cells, BOX) of the cells that lie in an object. boxes: (K, 4) xyxy in the scene; shares of the side."""
    corners = boxes.reshape(-1, 2, 2) @ move[:, :2].T + move[:, 2]
    corners = np.clip(np.sort(corners, axis=1) / SIDE, 0, 1)  # a flip swaps left and right
    centre, size = corners.mean(1), np.maximum(corners[:, 1] - corners[:, 0], _LEAST_SIDE)
    row, column = np.nonzero(inside)
    cell = (np.stack([column, row], 1) + 0.5) / GRID
    of = owner[inside]
    return np.concatenate([3 * (centre[of] - cell), 2 * centre[of] - 1, np.log(size[of])], 1)
