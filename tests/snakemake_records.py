"""What Snakemake has noted of a result, changed."""

from __future__ import annotations

import base64
import json
from pathlib import Path


def written_meanwhile(folder: Path, result: str) -> float:
    """A time at which a result was being made. Snakemake's record of it, by which that took none, is changed so."""
    file = folder / ".snakemake/metadata" / base64.b64encode(result.encode()).decode()
    record = json.loads(file.read_text())
    file.write_text(json.dumps({**record, "starttime": record["endtime"] - 2}))
    return record["endtime"] - 1
