"""Go on with a published checkpoint where it stopped: its epoch, its schedule and its optimizer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ssc_core.correct.checkpoints import Checkpoint
from ssc_core.correct.lavt.decay import is_free_of_decay
from ssc_core.correct.text import ReferringSegmenter
from ssc_core.errors import SscError
from ssc_core.tensor_files import named_tensors

State = dict[str, Tensor | float]
"""Of AdamW, of one parameter: ``step``, ``exp_avg``, ``exp_avg_sq`` and, of AMSGrad, ``max_exp_avg_sq``."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """epochs: finished ones. steps, peak: finished steps and first learning rate of its schedule."""

    epochs: int
    steps: int
    peak: float
    state: Mapping[nn.Parameter, State]


def read_resumed(checkpoint: Checkpoint, model: nn.Module, path: Path | str) -> Resumed:
    """What the training that wrote ``checkpoint`` would go on with. path: for messages.

    Raises SscError when the file does not hold it, or its optimizer is not one of this network.
    """
    if not isinstance(model, ReferringSegmenter):
        raise SscError(f"`resume` goes on with a published LAVT, and {type(model).__name__} is none; leave it out")
    if not (checkpoint.optimizer and checkpoint.lr_scheduler) or checkpoint.epoch is None:
        raise SscError(
            f"{path} has no optimizer, schedule and epoch to go on with; leave out `resume` to start from its weights"
        )
    try:
        return Resumed(
            epochs=int(checkpoint.epoch) + 1,
            steps=int(checkpoint.lr_scheduler["last_epoch"]),
            peak=float(checkpoint.lr_scheduler["base_lrs"][0]),
            state=_by_parameter(checkpoint.optimizer, model, path),
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise SscError(f"{path}: its optimizer or schedule is not of the published form ({error!r:.100})") from error


def _by_parameter(
    optimizer: Mapping[str, Any], model: ReferringSegmenter, path: Path | str
) -> dict[nn.Parameter, State]:
    """The optimizer's states by the parameters that they are of.

    It knows parameters by their place only. Its groups are ours, each in the order of the modules: the backbone's with
    and without decay, the decoder's, and those of BERT's trained layers. How they follow one another is read off the
    shapes, and so is whether those that get no gradient are among them.
    """
    states: Mapping[int, State] = optimizer["state"]
    groups = [[int(index) for index in group["params"]] for group in optimizer["param_groups"]]
    for blocks in _blocks(model):
        found: dict[nn.Parameter, State] = {}
        for indices in groups:
            names = _fitting([states.get(index, {}) for index in indices], blocks)
            if names is None:
                break
            members = [parameter for name in names for parameter in blocks.pop(name)]
            pairs = zip(members, indices, strict=True)
            found.update({member: states[index] for member, index in pairs if index in states})
        else:
            if not blocks:
                for state in found.values():
                    named_tensors(path, {key: value for key, value in state.items() if isinstance(value, Tensor)})
                return found
    raise SscError(
        f"{path}: the optimizer's parameters are not those of this network; check `network.trainable_bert_layers`, or "
        "leave out `resume` to start from its weights"
    )


def _blocks(model: ReferringSegmenter) -> Iterator[dict[str, list[nn.Parameter]]]:
    """The parameters that are optimised, by what a group may consist of: all of them, then only the trained ones."""
    lavt = list(model.lavt.named_parameters())
    backbone = [(name, parameter) for name, parameter in lavt if name.startswith("backbone.")]
    layers = [layer for layer in model.bert.encoder.layer if any(p.requires_grad for p in layer.parameters())]
    blocks = {
        "backbone, without decay": [p for name, p in backbone if is_free_of_decay(name)],
        "backbone": [p for name, p in backbone if not is_free_of_decay(name)],
        "classifier": [p for name, p in lavt if name.startswith("classifier.")],
        "bert": [p for layer in layers for p in layer.parameters()],
    }
    for only_trained in (False, True):
        kept = {name: [p for p in block if p.requires_grad or not only_trained] for name, block in blocks.items()}
        yield {name: block for name, block in kept.items() if block}


def _fitting(states: Sequence[State], blocks: Mapping[str, list[nn.Parameter]]) -> tuple[str, ...] | None:
    """The blocks that, one after the other, have the shapes of ``states``. What gets no gradient has no state."""
    shapes = [getattr(state.get("exp_avg"), "shape", None) for state in states]
    for count in range(1, len(blocks) + 1):
        for names in permutations(blocks, count):
            members = [parameter for name in names for parameter in blocks[name]]
            if len(members) == len(shapes) and all(
                shape in (None, member.shape) for shape, member in zip(shapes, members, strict=True)
            ):
                return names
    return None
