"""Which stores were made elsewhere: what made a store, without opening all of it."""

from __future__ import annotations

from pathlib import Path

import h5py

from ssc_core.masks.attributes import read_attribute

IMPORT = "ssc import"
"""What stores say of the code that made them which ``incoming`` wrote."""


def is_imported(store: Path) -> bool:
    """Whether ``ssc import`` wrote masks.h5 or selected.h5. What is not there, or is no store, it did not write."""
    try:
        with h5py.File(store, "r", locking=False) as file:
            return bool(read_attribute(file.attrs, "code") == IMPORT)
    except (OSError, RuntimeError, LookupError, ValueError, TypeError):
        return False
