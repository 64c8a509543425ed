"""What the published pipeline's PNG files do to masks, for the ``compat`` switches. Nothing else should use this.

The published code writes a ref's candidates into one grey PNG and reads it back in palette mode. Both steps lose masks;
the functions here return what is left after each.
"""

from __future__ import annotations

import numpy as np
from PIL import Image


def merge_candidates(masks: np.ndarray) -> np.ndarray:
    """``[merged_masks]``: a ref's candidates after they shared one grey picture. bool (K, H, W) to bool (K, H, W).

    Later candidates hide earlier ones, and the lowest level of the picture becomes the background: a candidate that
    covers the whole image is lost, as is the lowest visible one of several that cover it together.
    """
    levels = _levels(masks)
    levels[levels == levels.min()] = 0
    return levels == np.arange(1, len(masks) + 1)[:, None, None]


def palette_targets(masks: np.ndarray) -> np.ndarray:
    """``[palette_targets]``: the masks that training sees of a ref's candidates. bool (K, H, W) to bool (T, H, W).

    Palette mode (Pillow's octree quantiser of an RGBA picture) numbers the grey levels by how often they occur, and
    number 0 is taken for background. So a mask over half of the image comes out inverted, the biggest of several can
    swap places with the background, and close levels of many candidates fall together. Targets are in order of
    falling size, which is not the candidates' order.
    """
    levels = _levels(masks)
    levels -= levels.min()
    grey = (levels * 255 // max(int(levels.max()), 1)).astype(np.uint8)
    numbers = np.asarray(Image.fromarray(grey).convert("RGBA").convert("P"))
    return numbers == np.arange(1, int(numbers.max()) + 1)[:, None, None]


def is_corrupted(masks: np.ndarray) -> bool:
    """Whether palette mode changes the masks: its targets are not the merged candidates (in any order)."""
    merged = {mask.tobytes() for mask in merge_candidates(masks) if mask.any()}
    return merged != {mask.tobytes() for mask in palette_targets(masks)}


def _levels(masks: np.ndarray) -> np.ndarray:
    """int64 (H, W): 0 for background, k + 1 where candidate k is on top. The last candidate is the topmost."""
    levels = np.zeros(masks.shape[1:], dtype=np.int64)
    for number, mask in enumerate(masks, start=1):  # one by one: many candidates of a large photo are gigabytes
        levels[mask] = number
    return levels
