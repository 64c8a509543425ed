"""A job that needs a GPU for a while: ``python -m ssc_core.gpu_check.leased FILE --device cuda [--card 0 --locks F]``.

Writes FILE: when it began and ended its work, in seconds of the machine's clock, and what it had.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from ssc_core.devices import lease

SECONDS = 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--device", required=True)
    parser.add_argument("--locks", type=Path, help="on a machine without GPUs: lease a card that there is not")
    options = parser.parse_args()
    pretended = {"cards": ("0",), "uuids": {}, "locks": options.locks} if options.locks else {}
    with lease("cuda", poll_seconds=0.1, **pretended) as cards:
        import torch  # after the lease, as in every job: it says which card CUDA sees

        began = time.monotonic()
        numbers = torch.ones(1000, 1000, device=options.device)
        while time.monotonic() - began < SECONDS:
            total = float((numbers @ numbers).sum())
            time.sleep(0.02)  # the card is held, and need not be kept busy
        ended = time.monotonic()
    options.file.write_text(json.dumps({"began": began, "ended": ended, "cards": cards, "total": total}))


if __name__ == "__main__":
    main()
