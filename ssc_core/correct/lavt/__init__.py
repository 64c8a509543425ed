"""LAVT: a Swin backbone that reads the sentence at every stage, and a light decoder (Yang et al., CVPR 2022)."""

from __future__ import annotations

from ssc_core.correct.lavt.network import LAVT
from ssc_core.correct.lavt.swin import PUBLISHED_SIZES, SwinSettings

__all__ = ["LAVT", "PUBLISHED_SIZES", "SwinSettings"]
