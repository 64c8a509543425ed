"""The eval files: what they hold, checked whenever one is written or read.

``eval.schema.json`` beside this module is generated from these classes: ``python -m ssc_core.evaluate.schema > FILE``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ssc_core.errors import SscError
from ssc_core.files import read_json, write_json

SCHEMA_FILE = Path(__file__).with_name("eval.schema.json")

Percent = Annotated[float, Field(ge=0, le=100)]
Interval = tuple[Percent, Percent]
Resolution = Literal["480", "native"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class RunMeta(_Part):
    """What the caller knows and a metric does not: which data, which model, which code."""

    dataset: str = Field(description="dataset name of the config")
    world: Literal["micro", "files", "toys"] = Field(
        description="micro: generated scenes; files: the user's photos; toys: the user's photos, but models that know "
        "generated scenes only, so that the figures mean nothing"
    )
    method: str = Field(description="what made the masks, e.g. corrected, pretrained, supervised, zero_shot")
    model: dict[str, str] = Field(description="weights: path and sha256 of the checkpoint, or sha256 by model name")
    settings: dict[str, Any] = Field(description="config sections that lead to this file")
    seed: int | None = Field(default=None, description="seed of the training that made the model")
    training: dict[str, Any] = Field(
        default_factory=dict,
        description="what the checkpoint says of its training: images, refs, dropped_refs, palette_corrupted_refs, ...",
    )
    code: str = Field(description="digest of the code, as provenance.code_version gives it")
    data: dict[str, str] = Field(description="sha256 of the inputs by name")
    versions: dict[str, str] = Field(description="versions of Python and of the packages that results depend on")


class Figures(_Part):
    """Percentages over all pairs."""

    oIoU: Percent = Field(description="sum of intersections over sum of unions")
    mIoU: Percent = Field(description="mean IoU")
    precision: dict[str, Percent] = Field(description="share of pairs with IoU >= key")


class Intervals(_Part):
    """95 % bootstrap percentile intervals, low and high; images are resampled."""

    oIoU: Interval
    mIoU: Interval
    precision: dict[str, Interval]


class Measured(Figures):
    """Figures with their intervals."""

    ci95: Intervals | None = Field(description="null when bootstrap_samples is 0")


class Group(_Part):
    """Figures of a subset."""

    n: int = Field(ge=1)
    oIoU: Percent
    mIoU: Percent
    precision_at_half: Percent = Field(alias="P@0.5")


Groups = dict[str, Group]


class Timing(_Part):
    """Seconds; the only part of the file that differs between two equal runs."""

    total_s: float = Field(ge=0)
    model_s: float = Field(ge=0, description="spent in the predictor; 0 where masks were read from a file")
    model_share: float = Field(ge=0, le=1)


class ModelEval(RunMeta, Measured):
    """``eval_{split}.json``: a model's masks against the ground truth, one pair a sentence."""

    kind: Literal["model"] = "model"
    split: str
    n_refs: int = Field(ge=1)
    n_sentences: int = Field(ge=1)
    n_images: int = Field(ge=1)
    refs_without_truth: int = Field(ge=0, description="left out")
    unreadable_photos: int = Field(
        default=0, ge=0, description="photos that were skipped (detect.on_bad_image); their sentences have empty masks"
    )
    resolution: Resolution = Field(description="where the figures at the top and the groups were measured")
    by_resolution: dict[Resolution, Measured] = Field(description="the same sentences at 480 x 480 and in photo pixels")
    per_ref: Figures = Field(description="as at the top, but every ref counts once, whatever its number of sentences")
    empty_predictions: int = Field(ge=0, description="sentences whose mask is empty")
    empty_unions: int = Field(ge=0, description="pairs where prediction and truth are empty; their IoU counts 0")
    by_category: Groups
    by_sentence_length: Groups
    by_num_candidates: Groups = Field(description="objects of the ref's category that sentences name in its image")
    by_object_size: Groups = Field(description="share of the photo that the object covers")
    timing: Timing


class Choice(Measured):
    """One way to pick a candidate."""

    test_only: bool = Field(description="uses the ground truth, so it is a bound and no method")
    per_sentence: dict[Resolution, Measured] = Field(
        description="the same masks counted once per sentence, as a network's are: compare these with a model's figures"
    )
    empty: int = Field(ge=0, description="pairs without a mask")
    by_category: Groups
    by_num_candidates: Groups = Field(description="candidates of the ref")
    by_object_size: Groups


class CandidateStatistics(_Part):
    """Candidates a ref."""

    mean: float = Field(ge=0)
    max: int = Field(ge=0)
    share_empty: float = Field(ge=0, le=1, description="refs without a candidate, 0..1")
    histogram: dict[str, int] = Field(description="refs by number of candidates")


class MasksEval(RunMeta):
    """``eval_masks_{split}.json``: candidates and choices among them against the truth, in photo pixels."""

    kind: Literal["masks"] = "masks"
    split: str
    per: Literal["ref", "sentence"] = Field(
        description="a pair is a ref (one choice for all its sentences) or a sentence"
    )
    n_refs: int = Field(ge=1)
    n_pairs: int = Field(ge=1)
    n_images: int = Field(ge=1)
    refs_without_truth: int = Field(ge=0, description="left out")
    resolution: Literal["native"] = "native"
    oiou_skips_empty: bool = Field(description="the compat switch: refs without candidates are left out of oIoU")
    empty_truths: int = Field(ge=0, description="refs whose ground truth is an empty mask; their IoU counts 0")
    candidates: CandidateStatistics
    choices: dict[str, Choice]


EvalFile = Annotated[ModelEval | MasksEval, Field(discriminator="kind")]
_ADAPTER: TypeAdapter[ModelEval | MasksEval] = TypeAdapter(EvalFile)


def write_eval(path: Path, content: ModelEval | MasksEval) -> None:
    """Write an eval file, atomically."""
    value = content.model_dump(mode="json", by_alias=True)
    _ADAPTER.validate_python(value)
    write_json(path, value)


def read_eval(path: Path) -> ModelEval | MasksEval:
    """Read and check an eval file. Raises SscError that names the file and the first wrong fields."""
    try:
        return _ADAPTER.validate_python(read_json(path))
    except ValidationError as error:
        lines = [f"  {'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors()[:5]]
        raise SscError(
            f"{path} is no eval file of this version; delete it and run evaluate again:\n" + "\n".join(lines)
        ) from error


def json_schema() -> dict[str, Any]:
    """JSON schema of an eval file of either kind."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ssc eval file",
        **_ADAPTER.json_schema(by_alias=True),
    }


if __name__ == "__main__":
    print(json.dumps(json_schema(), indent=2))
