"""Photos as the network takes them, in training and in prediction alike."""

from __future__ import annotations

import numpy as np
from PIL import Image
from torch import Tensor

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, of RGB values between 0 and 1."""


def resized_photo(photo: np.ndarray, side: int) -> np.ndarray:
    """uint8 (H, W, 3) to (side, side, 3): bilinear with antialiasing, as PIL does it."""
    return np.asarray(Image.fromarray(photo).resize((side, side), Image.Resampling.BILINEAR))


def normalised(photos: Tensor) -> Tensor:
    """uint8 (N, H, W, 3) to float32 (N, 3, H, W), ImageNet-normalised, channels-last in memory."""
    pixels = photos.permute(0, 3, 1, 2).float()
    mean, std = (pixels.new_tensor(v).mul(255).view(1, 3, 1, 1) for v in (_MEAN, _STD))
    return pixels.sub_(mean).div_(std)
