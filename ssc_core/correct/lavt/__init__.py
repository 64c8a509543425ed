"""LAVT: a Swin backbone that reads the sentence at every stage, and a light decoder (Yang et al., CVPR 2022)."""

from __future__ import annotations

from ssc_core.correct.lavt.network import LAVT
from ssc_core.correct.lavt.swin import SWIN_SETTINGS, SwinSettings
from ssc_core.correct.lavt.swin_weights import load_swin_22k

__all__ = ["LAVT", "SWIN_SETTINGS", "SwinSettings", "load_swin_22k"]
