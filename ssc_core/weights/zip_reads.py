"""Open a zip file of unknown origin: what its list of files claims is bounded."""

from __future__ import annotations

import io
import zipfile

_MOST_DIRECTORY = 2**25
"""Bytes of a zip's list of files; zipfile reads it whole, and takes ten times the memory for it."""


class ShortReads(io.BufferedReader):
    """A zip file, of which zipfile does not get its list of files in one piece when that is too long."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _MOST_DIRECTORY:
            raise zipfile.BadZipFile(f"its list of files claims {size} bytes")
        return super().read(size)
