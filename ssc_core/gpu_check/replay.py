"""The same choice on two devices: what one run took by ``torch.topk``, another takes as well."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class Choices(TorchFunctionMode):
    """Records which entries ``torch.topk`` takes; with ``taken``, those of another run, takes these.

    GroundingDINO's decoder starts from the best of some thousand proposals. Of random weights these are nearly ties,
    so that rounding alone would choose others, and what follows could not be compared.
    """

    def __init__(self, taken: Sequence[Tensor] | None = None) -> None:
        super().__init__()
        self.taken: list[Tensor] = []
        self._given = None if taken is None else list(taken)

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Iterable[type],
        arguments: tuple[Any, ...] = (),
        named: Mapping[str, Any] | None = None,
    ) -> Any:
        named = named or {}
        if function is not torch.topk:
            return function(*arguments, **named)
        if self._given is None:
            found = function(*arguments, **named)
            self.taken.append(found[1].cpu())
            return found
        values = arguments[0]
        rows = self._given.pop(0).to(values.device)
        return torch.gather(values, named.get("dim", -1), rows), rows
