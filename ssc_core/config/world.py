"""Settings of the generated world. Every field is described: the config's schema is made from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from ssc_core.config.base import Section

WORLD_EDITIONS = {"refcoco": 7, "refcoco+": 6, "refcocog": 5}
"""Of each dataset, the edition that changed it last. They count up whenever scenes, sentences or the small models of
``resources/micro`` change. Figures of two are not comparable: results that are not of data.json's are refused."""

MIXES = {"refcoco": ("refcoco",), "refcoco+": ("refcoco_plus", "refcoco"), "refcocog": ("refcocog",)}
"""The settings of sentences that a dataset depends on, its own first: RefCOCO+ describes the pictures of RefCOCO."""

SPLITS = {
    "refcoco": ("train", "val", "testA", "testB"),
    "refcoco+": ("train", "val", "testA", "testB"),
    "refcocog": ("train", "val", "test"),
}
"""The splits whose pictures a dataset draws."""

# kinds of sentence that a style does not have: their weights must be zero
_ABSENT_KINDS: dict[str, tuple[str, ...]] = {
    "refcoco": ("relation",),
    "refcoco_plus": ("bare",),
    "refcocog": ("noun", "bare"),
}


class SentenceMix(Section):
    """Relative weights of the kinds of sentence; a kind that an object does not allow is left out of its draw."""

    location: float = Field(
        default=0.74,
        ge=0,
        description="Place in the picture: 'left dog', 'bottom right car'; in RefCOCO+ depth alone: 'closest dog'.",
    )
    colour: float = Field(default=0.03, ge=0, description="Colour alone: 'red car', 'woman in blue'.")
    size: float = Field(default=0.08, ge=0, description="Size alone: 'biggest cup', 'small dog'.")
    attribute: float = Field(
        default=0.05, ge=0, description="Pose, pattern or clothing: 'sitting cat', 'man with hat'."
    )
    mixed: float = Field(default=0.03, ge=0, description="Two kinds in one sentence: 'red car on the left'.")
    noun: float = Field(default=0.05, ge=0, description="The noun alone, where only one object has it: 'umbrella'.")
    bare: float = Field(default=0.01, ge=0, description="A place without a noun of its own: 'left', 'left one'.")
    relation: float = Field(
        default=0.0, ge=0, description="A relation to another object: 'the dog behind the red chair'."
    )
    again: float = Field(
        default=0.70,
        ge=0,
        le=1,
        description="Probability that the next sentence about an object is of the last one's kind: what sets an object "
        "apart strikes everybody who describes it.",
    )

    def weights(self) -> dict[str, float]:
        """Weight by kind of sentence."""
        return self.model_dump(exclude={"again"})


PLAIN_LOOKS = SentenceMix(
    location=0, colour=0.50, size=0.20, attribute=0.15, mixed=0.10, noun=0.05, bare=0, relation=0, again=0.70
)
"""What can be said of every picture that RefCOCO+ shares with RefCOCO, by looks alone. A mix of its own, so that
RefCOCO's pictures do not change with RefCOCO+'s sentences."""


class SplitImages(Section):
    """Images generated for each split, where the dataset has that split."""

    train: int = Field(default=1600, ge=1, description="Images of the train split.")
    val: int = Field(default=300, ge=1, description="Images of the val split.")
    testA: int = Field(default=150, ge=1, description="Images of testA (RefCOCO, RefCOCO+): every ref is a person.")
    testB: int = Field(default=150, ge=1, description="Images of testB (RefCOCO, RefCOCO+): no ref is a person.")
    test: int = Field(default=200, ge=1, description="Images of the test split (RefCOCOg umd).")


def of_dataset(world: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What a dataset depends on of the settings of a world, JSON values: not how many pictures splits have that it does
    not, nor the mixes of sentences of others. RefCOCO is not another one because RefCOCO+ says other things."""
    others = {mix for mixes in MIXES.values() for mix in mixes} - set(MIXES[name])
    kept = {key: value for key, value in world.items() if key not in others}
    return kept | {"images": {split: count for split, count in world["images"].items() if split in SPLITS[name]}}


class WorldSettings(Section):
    """The generated world: how scenes are composed and how they are described."""

    seed: int = Field(default=7, ge=0, description="Seed of the whole world; another seed is another world.")
    images: SplitImages = Field(default_factory=lambda: SplitImages(), description="Number of images in each split.")
    image_sizes: tuple[tuple[int, int], ...] = Field(
        default=((160, 120), (160, 144), (160, 160), (144, 160), (176, 144), (128, 160)),
        min_length=1,
        description="Widths and heights of the images in pixels; each scene draws one pair.",
    )
    min_objects: int = Field(default=2, ge=2, le=6, description="Fewest objects in a scene.")
    max_objects: int = Field(default=6, ge=2, le=6, description="Most objects in a scene.")
    share_same_class: float = Field(
        default=0.80, ge=0, le=1, description="Share of scenes composed around two to four objects of one class."
    )
    share_distinct_colours: float = Field(
        default=0.70,
        ge=0,
        le=1,
        description="Probability that a new object avoids the colours that its class already has in the scene.",
    )
    max_refs: int = Field(default=4, ge=1, le=6, description="Most refs in an image.")
    share_lone_refs: float = Field(
        default=0.15, ge=0, le=1, description="Probability that an object without a peer of its class becomes a ref."
    )
    jpeg_quality: int = Field(default=95, ge=50, le=100, description="JPEG quality of the written images.")
    refcoco: SentenceMix = Field(
        default_factory=lambda: SentenceMix(), description="Kinds of sentence in RefCOCO's style."
    )
    refcoco_plus: SentenceMix = Field(
        default_factory=lambda: SentenceMix(
            location=0.36,
            colour=0.03,
            size=0.26,
            attribute=0.06,
            mixed=0.04,
            noun=0.03,
            bare=0,
            relation=0.22,
            again=0,  # what an object allows makes its sentences alike enough, as benchmarks/agreement.py measures
        ),
        description="Kinds of sentence in RefCOCO+'s style: depth is its only place, and bare must stay zero.",
    )
    refcocog: SentenceMix = Field(
        default_factory=lambda: SentenceMix(
            location=0.19, colour=0.10, size=0.12, attribute=0.11, mixed=0.07, noun=0, bare=0, relation=0.41
        ),
        description="Kinds of sentence in RefCOCOg's style: whole phrases with relations.",
    )

    def mix(self, style: str) -> SentenceMix:
        """The kinds of sentence of 'refcoco', 'refcoco+' or 'refcocog'."""
        mix: SentenceMix = getattr(self, MIXES[style][0])
        return mix

    @model_validator(mode="after")
    def _possible(self) -> WorldSettings:
        if self.min_objects > self.max_objects:
            raise ValueError(f"min_objects is {self.min_objects} and max_objects {self.max_objects}: swap them")
        for style, absent in _ABSENT_KINDS.items():
            weights = getattr(self, style).weights()
            wrong = [kind for kind in absent if weights[kind] > 0]
            if wrong:
                raise ValueError(f"{style} has no sentences of the kinds {', '.join(wrong)}: set their weights to 0")
            if not any(weights.values()):
                raise ValueError(f"all sentence weights of {style} are 0: give one of them a weight")
        return self
