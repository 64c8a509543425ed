"""Datasets, and where published files come from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from ssc_core.config.base import FolderName, Section
from ssc_core.config.paths import NameOrPath, UserPath, WorkflowPath
from ssc_core.config.published_file import PublishedFile
from ssc_core.config.sources import DatasetSource


class MicroSource(Section):
    """The generated micro world in the REFER layout."""

    layout: Literal["micro"] = Field(default="micro", description="micro: generated")
    name: Literal["refcoco", "refcoco+", "refcocog"] = Field(description="style of the sentences")
    split_by: Literal["unc", "umd", "google"] = Field(description="whose splits")

    @model_validator(mode="after")
    def _split_by_them(self) -> MicroSource:
        known = ("umd", "google") if self.name == "refcocog" else ("unc",)
        if self.split_by not in known:
            raise ValueError(f"{self.name} of the micro world has splits by {' or '.join(known)}, not {self.split_by}")
        return self


def _member(source: Any) -> str:
    """Which of the two a source is."""
    layout = source.get("layout") if isinstance(source, dict) else getattr(source, "layout", None)
    return "micro" if layout == "micro" else "files"


class Dataset(Section):
    """One dataset: where it comes from and which splits it has."""

    source: Annotated[
        Annotated[MicroSource, Tag("micro")] | Annotated[DatasetSource, Tag("files")], Discriminator(_member)
    ] = Field(
        description="micro (generated), refer (published layout), table (your own CSV or JSONL) or your own reader"
    )
    splits: tuple[FolderName, ...] = Field(description="splits, as the annotations name them", min_length=1)
    limit: int | None = Field(
        default=None, ge=1, description="only the first refs of each split, so many, for a quick look; null: all"
    )
    seen: str | None = Field(
        default=None,
        description="a digest of the photos and of a table's masks, by name, size and time, as ssc label writes it: "
        "with another one all is made anew; null: photos that are replaced are nothing to be done",
    )
    check_counts: bool = Field(default=False, description="compare refs per split with the published counts")
    checkpoint: WorkflowPath | None = Field(
        default=None,
        description="a network that was trained elsewhere, such as a published one; eval_published_{split}.json "
        "evaluates it, with the tokenizer of network.bert",
    )
    reviews: WorkflowPath | None = Field(
        default=None,
        description="what people decided of its refs (ssc review, ssc import --decisions); null: reviews.csv in its "
        "folder of the results. Where there is no such file, nothing is decided",
    )


class SourceSettings(Section):
    """Where published weights and data come from (fetch). Nothing here reruns a rule."""

    mirrors: tuple[NameOrPath, ...] = Field(
        default=(), description="folders or http(s) addresses with the files under their paths; tried first"
    )
    lock: UserPath = Field(default="sources.lock.json", description="lock file: hashes of what was fetched; keep it")
    files: dict[str, PublishedFile] = Field(
        default_factory=dict, description="files of your own, or other sources for a published one, by name"
    )
