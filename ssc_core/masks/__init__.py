"""Masks on disk: run-length encoding, the HDF5 stores that the stages hand to each other, import and export."""
