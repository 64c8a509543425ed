"""Visual prompts: how a candidate is marked in the photo before an image-text model looks at it.

Every prompt is a pure function of an RGB ``uint8 (H, W, 3)`` photo and a ``bool (H, W)`` mask that returns a new image
of any size. One with an argument ``blurred`` gets the blurred photo, computed once however many masks there are. The
config names it: by a name that ``ssc_core.registry.VISUAL_PROMPT`` lists, by ``module:name`` or ``file.py:name``.
An empty mask marks nothing: the outlines and the overlay return the photo as it is, ``reverse_blur`` a wholly blurred
one. Definitions: the paper's stage 2, and Shtedritski et al. 2023 for the red ellipse.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from ssc_core.checkers import Checker, describe
from ssc_core.masks.candidates import Masks
from ssc_core.plugins import load_function
from ssc_core.registry import VISUAL_PROMPT

BLUR_SIGMA = 50.0
WIDE_SIGMA = 8.0
"""From here on floats are faster; below, their rounding and conversion takes longer."""
LINE_WIDTH = 4
MARGIN = 4
OVERLAY_ALPHA = 0.25
CROP_MARGIN = 0.1
RED = (255, 0, 0)


class CheckedPrompt(Checker):
    """A visual prompt: what it returns is a photo, or SscError says what it is."""

    kind = "visual prompt"
    page = "docs/extending.md"

    def __init__(self, prompt: Any, name: str) -> None:
        super().__init__(prompt, name)
        self.takes_blur = "blurred" in inspect.signature(prompt).parameters

    def __call__(self, image: np.ndarray, mask: np.ndarray, blurred: np.ndarray | None = None) -> np.ndarray:
        """The photo with a mask marked, RGB uint8 (h, w, 3). blurred: for prompts that take it."""
        marked = self._backend(image, mask, blurred=blurred) if self.takes_blur else self._backend(image, mask)
        photo = isinstance(marked, np.ndarray) and marked.dtype == np.uint8 and marked.shape[2:] == (3,)
        if not photo or not marked.size:
            self._fail("", f"{describe(marked)}, not an RGB photo, uint8 (H, W, 3)")
        if np.shares_memory(marked, image):
            self._fail("", "the photo itself or a part of it; return a copy, since other masks are marked in it, too")
        return marked


def load_prompt(name: str) -> CheckedPrompt:
    """The visual prompt that a config names, behind its checker. Raises SscError when the name does not resolve."""
    return CheckedPrompt(load_function(VISUAL_PROMPT, name), name)


def prompted_images(
    image: np.ndarray,
    masks: Masks | np.ndarray,
    prompts: Sequence[CheckedPrompt],
    *,
    blur_sigma: float = BLUR_SIGMA,
) -> Iterator[np.ndarray]:
    """Mark every one of N masks, bool (H, W), with every prompt: masks outermost, ``N * len(prompts)`` images.

    The blurred photo, by far the dearest part, is computed once however many masks there are.
    """
    wanted = len(masks) and any(prompt.takes_blur for prompt in prompts)
    blurred = blur(image, blur_sigma) if wanted else None
    for mask in masks:
        for prompt in prompts:
            yield prompt(image, mask, blurred)


def blur(image: np.ndarray, sigma: float = BLUR_SIGMA) -> np.ndarray:
    """Gaussian blur: the bytes of OpenCV's ``GaussianBlur``, whose kernel has ``round(6 sigma + 1) | 1`` pixels.

    OpenCV weighs bytes along each axis by whole numbers with a sum of 256, and rounds once, at the end. Sums of a byte
    that is weighed twice stay below 2^24, so that floats hold them exactly, and it sums floats several times as fast.
    """
    if sigma < WIDE_SIGMA:
        return cv2.GaussianBlur(image, (0, 0), sigmaX=sigma)
    weights = _byte_weights(sigma)
    sums = cv2.sepFilter2D(image, cv2.CV_32F, weights, weights, borderType=cv2.BORDER_REFLECT_101)
    rounded = sums.astype(np.int32)
    rounded += 2**15  # in place: a photo of many megapixels has large copies, in each worker
    rounded >>= 16
    return rounded.astype(np.uint8)


@lru_cache(maxsize=8)
def _byte_weights(sigma: float) -> np.ndarray:
    """The whole numbers, float32 (N,): what a blur makes of one bright pixel, (255 w + 128) >> 8, is w up to 128."""
    radius = round(6 * sigma + 1) // 2
    row = np.zeros((1, 4 * radius + 1), np.uint8)
    row[0, 2 * radius] = 255
    return cv2.GaussianBlur(row, (0, 0), sigmaX=sigma)[0, radius : 3 * radius + 1].astype(np.float32)


def reverse_blur(
    image: np.ndarray, mask: np.ndarray, *, blurred: np.ndarray | None = None, sigma: float = BLUR_SIGMA
) -> np.ndarray:
    """The object sharp, all else blurred, cut hard at the mask. ``blurred`` saves blurring the photo again."""
    marked = blur(image, sigma) if blurred is None else blurred.copy()
    cv2.copyTo(image, mask.view(np.uint8), marked)
    return marked


def red_ellipse(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A red ellipse, 4 px thick, around the mask's box; its half axes are half the box and twice the 4 px margin."""
    box = mask_box(mask)
    marked = image.copy()
    if box is None:
        return marked
    x0, y0, x1, y1 = box
    centre = ((x0 + x1) // 2, (y0 + y1) // 2)
    half_axes = ((x1 - x0) // 2 + 2 * MARGIN, (y1 - y0) // 2 + 2 * MARGIN)
    return cv2.ellipse(marked, centre, half_axes, 0, 0, 360, RED, LINE_WIDTH)


def rectangle(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A red rectangle, 4 px thick, 4 px outside the mask's box."""
    box = mask_box(mask)
    marked = image.copy()
    if box is None:
        return marked
    x0, y0, x1, y1 = box
    return cv2.rectangle(marked, (x0 - MARGIN, y0 - MARGIN), (x1 + MARGIN, y1 + MARGIN), RED, LINE_WIDTH)


def red_dense_mask(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The object under a red overlay: 0.75 of the photo and 0.25 of red, rounded."""
    red = np.full_like(image, RED)
    overlay = cv2.addWeighted(image, 1 - OVERLAY_ALPHA, red, OVERLAY_ALPHA, 0)
    return np.where(mask[..., None], overlay, image)


def crop(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The mask's box and a tenth of its sides around it. Not of the paper; for ensembles. Its own, smaller size."""
    box = mask_box(mask)
    if box is None:
        return image.copy()
    x0, y0, x1, y1 = box
    dx, dy = round((x1 - x0 + 1) * CROP_MARGIN), round((y1 - y0 + 1) * CROP_MARGIN)
    return image[max(y0 - dy, 0) : y1 + dy + 1, max(x0 - dx, 0) : x1 + dx + 1].copy()


def mask_box(mask: np.ndarray) -> tuple[int, int, int, int] | None:
    """First and last column and row of a mask, ``x0, y0, x1, y1`` inclusive; None when it is empty."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not len(columns):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])
