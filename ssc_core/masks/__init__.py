"""Masks on disk: run-length encoding, the HDF5 stores that the stages hand to each other, import and export."""

from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.selection import ScoreStore, ScoreStoreWriter, SelectionStore, SelectionWriter
from ssc_core.masks.store import Instances, MaskStore, MaskStoreWriter

__all__ = [
    "Instances",
    "MaskStore",
    "MaskStoreWriter",
    "ScoreStore",
    "ScoreStoreWriter",
    "SelectionStore",
    "SelectionWriter",
    "StoreInfo",
]
