"""Segment, Select, Correct: referring image segmentation without mask labels."""

__version__ = "0.1.0"
