"""The table of phases (what trains a network) and of methods (what is evaluated): names, origin, order.

Everything that lists phases or methods reads it here: settings, rules, reports.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A training of the network, which writes ``checkpoints/{phase}.pt``.

    section: of the config, whose settings it takes; its own section of the config, if it has one, replaces single keys
    of them. loss: in place of the section's. learns_from: the file of the train split that its targets come from.
    after: the phase whose checkpoint it starts from.
    """

    section: Literal["pretrain", "correct"]
    title: str
    learns_from: Literal["selected", "masks", "truth"]
    after: str | None = None
    loss: str | None = None


PHASES = {
    "pretrain": Phase(section="pretrain", title="on the selected masks", learns_from="selected"),
    "correct": Phase(
        section="correct",
        title="on all candidates with constrained greedy matching",
        learns_from="masks",
        after="pretrain",
    ),
    "continue_pretrain": Phase(
        section="correct",
        title="on the selected masks for as long again",
        learns_from="selected",
        after="pretrain",
        loss="random_ce",
    ),
    "correct_without_constraints": Phase(
        section="correct",
        title="on all candidates without constraints",
        learns_from="masks",
        after="pretrain",
        loss="greedy_no_constraints",
    ),
    "supervised": Phase(
        section="pretrain", title="on GROUND TRUTH, the upper bound", learns_from="truth", loss="supervised"
    ),
}
"""By name. The published method is the first two; the others are what it is compared with."""

DERIVED = {name: phase for name, phase in PHASES.items() if phase.loss}
"""Phases whose section of the config holds only what differs from the one that they start from."""

MATCHED = tuple(name for name, phase in PHASES.items() if phase.learns_from == "masks")
"""Phases that match candidates to sentences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """Something that gives a mask for a sentence. phase: the network that it takes; choice: of that network's fit among
    the candidates, in place of its own masks."""

    label: str
    phase: str | None = None
    choice: bool = False


METHODS = {
    "random": Method(label="Random candidate"),
    "first": Method(label="First candidate"),
    "grounded_sentence": Method(label="Detector on the whole sentence + SAM"),
    "selected": Method(label="Select (zero-shot)"),
    "joint": Method(label="Select, jointly over an image's refs"),
    "pretrained": Method(label="Pre-trained on selected masks", phase="pretrain"),
    "pretrained_choice": Method(label="Pre-trained, as the candidate that it fits best", phase="pretrain", choice=True),
    "continued": Method(label="Pre-trained for as long again", phase="continue_pretrain"),
    "without_constraints": Method(label="Corrected, without constraints", phase="correct_without_constraints"),
    "corrected": Method(label="Corrected (constrained greedy matching)", phase="correct"),
    "corrected_choice": Method(label="Corrected, as the candidate that it fits best", phase="correct", choice=True),
    "published": Method(label="Checkpoint that was trained elsewhere"),
    "supervised": Method(label="Trained on ground-truth masks", phase="supervised"),
    "best": Method(label="Best candidate (oracle)"),
}
"""By name, weakest information first: the order of tables."""

NETWORKS = {name: method.phase for name, method in METHODS.items() if method.phase and not method.choice}
"""Phase by method, of those that are a network's own masks."""

EVALUATED = ("masks", "grounded_sentence", "published", *(name for name, method in METHODS.items() if method.phase))
"""What has an eval file of its own: ``masks`` stands for all choices among candidates together."""


def method_name(method: str) -> str:
    """Readable name; a method of the user's own keeps the name that it has."""
    return METHODS[method].label if method in METHODS else method.replace("_", " ")


def method_order(method: str) -> tuple[int, str]:
    """Sorts in the order of ``METHODS``, methods of the user's own last."""
    return (list(METHODS).index(method) if method in METHODS else len(METHODS), method)
