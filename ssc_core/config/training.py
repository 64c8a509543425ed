"""The network and its training."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, field_validator, model_validator

from ssc_core.config.base import Section, Seed, Share, name_schema, named
from ssc_core.config.labelling import CompatSettings
from ssc_core.config.paths import NameOrPath, UserPath, WorkflowPath, tidy_if_path
from ssc_core.errors import SscError
from ssc_core.registry import LOSS, NETWORK


class SwinSize(Section):
    """A Swin backbone of your own size. Channels double from stage to stage and divide by the stage's heads."""

    embed_dim: int = Field(ge=4, description="channels of the first stage")
    depths: tuple[int, int, int, int] = Field(description="blocks of the four stages")
    heads: tuple[int, int, int, int] = Field(description="attention heads of the four stages")
    patch: int = Field(default=4, ge=1, description="side of a patch, pixels")


MICRO_SWIN = SwinSize(embed_dim=24, depths=(1, 1, 2, 1), heads=(1, 2, 4, 8))
"""The Swin of the micro world's LAVT. Configs may call it ``micro``."""


class NetworkSettings(Section):
    """LAVT and its text encoder, or a network of your own."""

    name: Annotated[NameOrPath, named(NETWORK), name_schema(NETWORK)] = Field(
        default="lavt",
        description="what builds the network: lavt, package.module:Class or path/to/file.py:Class. All of lavt's sizes "
        "are keys of this section; another one gets it, and takes of it what it likes",
    )
    settings: dict[str, JsonValue] = Field(
        default_factory=dict, description="keyword arguments of a network of your own; null drops a key"
    )

    swin: Literal["tiny", "small", "base", "large"] | SwinSize = Field(
        default="base", description="Swin backbone: a published size, or sizes of your own"
    )
    window: int = Field(default=12, ge=2, description="attention window, patches")
    drop_path: Share = Field(default=0.3, description="stochastic depth rate of the last block")
    fusion_heads: tuple[int, int, int, int] = Field(
        default=(1, 1, 1, 1), description="heads of the word attention, a stage"
    )
    fusion_dropout: Share = Field(default=0.0, description="dropout in the fusion of pixels and words")
    decoder_width: int | None = Field(
        default=None, ge=1, description="channels inside the decoder; null: half those of the last stage, as published"
    )
    bert: UserPath = Field(description="folder of a transformers BERT, with its tokenizer if `tokenizer` names none")
    tokenizer: UserPath | None = Field(default=None, description="folder of BERT's tokenizer; null: that of `bert`")
    swin_weights: UserPath | None = Field(
        default=None,
        description="pre-trained Swin weights, an official .pth or safetensors with LAVT's names; null: random",
    )
    image_size: int = Field(default=480, ge=32, description="input side, pixels")
    max_tokens: int = Field(default=20, ge=3, description="tokens of a sentence, [CLS] and [SEP] included")
    trainable_bert_layers: int = Field(default=10, ge=0, description="first BERT layers that are trained")

    @field_validator("swin", mode="before")
    @classmethod
    def _micro(cls, swin: Any) -> Any:
        return MICRO_SWIN if swin == "micro" else swin

    @field_validator("settings")
    @classmethod
    def _null_drops(cls, settings: dict[str, JsonValue]) -> dict[str, JsonValue]:
        return {key: tidy_if_path(value) for key, value in settings.items() if value is not None}

    @model_validator(mode="after")
    def _settings_are_of_ones_own(self) -> NetworkSettings:
        if self.settings and self.name in NETWORK.registered:
            raise ValueError(
                f"`settings` belong to a network of your own; those of {self.name} stand in `network` itself"
            )
        return self


class TrainSettings(Section):
    """One training phase (pretrain, correct, and what they are compared with)."""

    loss: Annotated[NameOrPath, named(LOSS), name_schema(LOSS)] = Field(
        default="greedy_ce",
        description="how candidates become targets, by name, package.module:function or path/to/file.py:function",
    )
    init_from: WorkflowPath | None = Field(
        default=None,
        description="checkpoint to start from, published or own; null: the phase before, or the Swin and BERT weights",
    )
    resume: bool = Field(
        default=False,
        description="go on with the optimizer, schedule and epoch of `init_from`, a published checkpoint; false: take "
        "its weights alone",
    )
    epochs: int = Field(default=40, ge=1, description="passes over the train images")
    batch_samples: int = Field(default=60, ge=1, description="samples an optimiser step (effective batch, all devices)")
    max_samples_per_pass: int | None = Field(
        default=None,
        ge=1,
        description="samples on a device at once, where memory is short: a step then takes several "
        "passes, each with batch norm statistics of its own (each of several processes needs an image in every pass, "
        "so a step of few images may exceed it); null: no limit",
    )
    sentences: Literal["one", "all"] = Field(default="one", description="one random sentence of a ref an epoch, or all")
    mirror: Share = Field(
        default=0.0,
        description="share of photos that an epoch mirrors, left and right swapped in their English sentences; 0 as "
        "published",
    )
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
    prior_weight: float = Field(
        default=0.0,
        ge=0,
        description="what Select says counts in the matching, most at first and nothing at the end: times this falling "
        "to 0, softmax(score / prior_temperature) of a candidate among its ref's adds to its soft IoU; 0 as published",
    )
    prior_temperature: float = Field(
        default=1.0, gt=0, description="of prior_weight, in units of Select's scores (those of CLIP: percent)"
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
        default="auto", description="bf16 autocast; auto: on a GPU that has instructions for it, never on a CPU"
    )
    seed: Seed = Field(default=0, description="seed of Python, NumPy, torch and workers")
    keep: Literal["last", "best"] = Field(default="best", description="checkpoint kept: the last, or the best val oIoU")

    @model_validator(mode="after")
    def _resumes_from_a_file(self) -> TrainSettings:
        if self.resume and self.init_from is None:
            raise ValueError("`resume` goes on where the checkpoint `init_from` stopped, and that is not set")
        return self


def check_prior(train: TrainSettings, compat: CompatSettings) -> None:
    """Raises SscError for a ``prior_weight`` where training has other candidates than those that Select scored."""
    switches = [f"compat.{name}" for name in ("merged_masks", "palette_targets") if getattr(compat, name)]
    if train.prior_weight > 0 and switches:
        raise SscError(
            f"`prior_weight` adds Select's scores to what a ref may be, and with {' and '.join(switches)} training has "
            f"other masks than Select scored: set `prior_weight` to 0, or {' and '.join(switches)} to false"
        )
