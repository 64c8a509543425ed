"""Text in HDF5 attributes, inside the attribute itself where it fits.

By default h5py puts text on a heap of the file, and the HDF5 library (2.0) reads a damaged heap without end.
"""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

_MOST_BYTES = 60_000
"""HDF5 keeps attributes of up to 64 KiB in place."""


def write_text(attributes: h5py.AttributeManager, name: str, text: str) -> None:
    """Set an attribute. Text that is empty or too long for an attribute goes to the heap after all."""
    raw = text.encode("utf-8")
    attributes[name] = np.bytes_(raw) if 0 < len(raw) <= _MOST_BYTES else text


def read_text(attributes: h5py.AttributeManager, name: str) -> Any:
    """An attribute as text, wherever it lies; None when there is none; other values as they are."""
    value = attributes.get(name)
    return value.decode("utf-8") if isinstance(value, bytes) else value
