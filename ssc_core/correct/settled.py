"""Whether matching has settled: what can be seen of it without ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import numpy as np

_SETTLED = 0.8
"""A share under this is told of. On the micro world, in the last of three epochs, 87 to 95 % of the refs were matched
as in the one before where matching worked, and 71 to 81 % where it had not started or had no constraints."""


def kept_shares(matches: np.ndarray, several: AbstractSet[int]) -> list[float]:
    """Share of refs that an epoch matches with the candidate of the epoch before, for every epoch but the first.

    matches: int64 (N, 4), as ``RunState.matches`` has them; several: ids of the refs that have a choice, which alone
    count. A ref's first sample of an epoch stands for all of them, which share its candidate under the constraints. A
    ref that one of the two epochs left out counts for neither; epochs without any ref in common are left out.
    """
    chosen: dict[int, dict[int, int]] = {}
    for _, epoch, ref, place in matches.tolist():
        if ref in several:
            chosen.setdefault(epoch, {}).setdefault(ref, place)
    shares = []
    for epoch in sorted(chosen)[1:]:
        now, before = chosen[epoch], chosen.get(epoch - 1, {})
        same = [now[ref] == before[ref] for ref in now.keys() & before.keys()]
        shares += [sum(same) / len(same)] if same else []
    return shares


def unsettled(shares: Sequence[float]) -> str | None:
    """What to tell people of a training, from its ``kept_shares``; None where matching has settled, or is unknown."""
    if not shares or shares[-1] >= _SETTLED:
        return None
    return (
        f"matching has not settled: of the refs with several candidates, {100 * shares[-1]:.0f} % got in the last "
        "epoch what they had got in the one before; where matching works, 87 % or more do on the micro world. Look at "
        "pictures of what the network finds. Another `seed`, more `epochs` or a `prior_weight` may help"
    )
