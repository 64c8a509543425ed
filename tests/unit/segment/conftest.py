"""A small split on disk, and tiny networks of the real architectures with random weights."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ssc_core.config.base import Backend
from ssc_core.config.labelling import CandidateSettings, CompatSettings, DetectSettings, SegmentSettings
from ssc_core.config.sources import DatasetSource
from ssc_core.refer.index import build_index
from ssc_core.refer.ref_table import read_refs, refs_by_image
from ssc_core.segment import grounding_dino, sam_base
from ssc_core.segment.nouns import most_likely_class
from tests.files import write_nouns
from tests.unit.segment.tiny_networks import save_bert, save_grounding_dino

FAKES = "tests.unit.segment.fake_backends"


def fake(name: str, **settings) -> Backend:
    return Backend(name=f"{FAKES}:{name}", settings=settings)


@dataclass
class Split:
    """refs.parquet, nouns.parquet and photos of a split, and the stage functions with its paths filled in."""

    folder: Path
    refs: Path
    nouns: Path
    images: Path

    def detect(
        self,
        name: str = "boxes.h5",
        *,
        backend: Backend | None = None,
        retry=False,
        compat=None,
        shard=(0, 1),
        **settings,
    ):
        from ssc_core.segment.boxes import detect_boxes

        out = self.folder / name
        detect_boxes(
            refs=self.refs,
            nouns=self.nouns,
            images=self.images,
            split="train",
            out=out,
            settings=DetectSettings(backend=backend or fake("ColourDetector"), **settings),
            compat=CompatSettings(detector_retry_plural=retry, **(compat or {})),
            device="cpu",
            threads=2,
            shard=shard[0],
            shards=shard[1],
        )
        return out

    def concepts(self, name: str = "masks.h5", *, backend: Backend | None = None, shard=(0, 1), **settings):
        from ssc_core.segment.masks import segment_boxes

        segment_boxes(
            refs=self.refs,
            nouns=self.nouns,
            images=self.images,
            split="train",
            out=self.folder / name,
            settings=CandidateSettings(
                detect=DetectSettings(backend=None, **settings),
                segment=SegmentSettings(backend=backend or fake("ColourConcepts")),
            ),
            compat=CompatSettings(),
            device="cpu",
            threads=2,
            shard=shard[0],
            shards=shard[1],
        )
        return self.folder / name

    def segment(self, boxes: Path, name: str = "masks.h5", *, backend: Backend | None = None, any_noun=False):
        from ssc_core.segment.masks import segment_boxes

        out = self.folder / name
        segment_boxes(
            refs=self.refs,
            nouns=self.nouns,
            boxes=boxes,
            images=self.images,
            out=out,
            settings=CandidateSettings(
                detect=DetectSettings(backend=fake("ColourDetector")),
                segment=SegmentSettings(backend=backend or fake("FilledBoxes")),
            ),
            compat=CompatSettings(candidates_any_noun=any_noun),
            device="cpu",
            threads=2,
        )
        return out


@pytest.fixture
def make_split(tmp_path: Path) -> Callable[..., Split]:
    """Build a split from the classes of each ref, a list of refs per image: [[["dog"], ["cat", "dog"]], [[]]].

    by_phrase: refs ask for each of these names in words of their own, and not for the most likely one."""

    def make(
        images: list[list[list[str]]], sizes: list[tuple[int, int]] | None = None, *, by_phrase: bool = False
    ) -> Split:
        photos = tmp_path / "photos"
        photos.mkdir()
        with (tmp_path / "table.csv").open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["image", "sentences"])
            for number, refs in enumerate(images):
                height, width = sizes[number] if sizes else (24, 32)
                pixels = np.full((height, width, 3), (7 * number) % 256, np.uint8)
                Image.fromarray(pixels).save(photos / f"{number}.png")
                writer.writerows([[f"{number}.png", "something"]] * len(refs))
        source = DatasetSource(layout="table", file=tmp_path / "table.csv", images=photos)
        refs_file = tmp_path / "refs.parquet"
        build_index(
            dataset="toy", source=source, out_refs=refs_file, out_truth=tmp_path / "truth.h5", check_counts=False
        )
        classes = iter([ref for refs in images for ref in refs])
        rows = []
        for image_id, refs in refs_by_image(read_refs(refs_file)).items():
            for ref in refs:
                own = [next(classes)]
                row = {"ref_id": ref.ref_id, "image_id": image_id, "nouns": own, "classes": own}
                asked = {"phrases": own[0] or ["object"]} if by_phrase else {}
                rows.append({**row, "query": most_likely_class(own), **asked})
        write_nouns(tmp_path / "nouns.parquet", rows)
        return Split(tmp_path, refs_file, tmp_path / "nouns.parquet", photos)

    return make


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a BERT tokenizer of few words, and the sizes of a small BERT."""
    return save_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="session")
def tiny_grounding_dino(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformers folder of a GroundingDINO with random weights that are not symmetric."""
    return save_grounding_dino(tmp_path_factory.mktemp("grounding_dino"), tiny_bert)


TINY_SAM = {
    "image_size": 64,
    "prompt_embed_dim": 32,
    "encoder": {
        "embed_dim": 32,
        "depth": 2,
        "num_heads": 2,
        "patch_size": 8,
        "window_size": 3,
        "global_attn_indexes": [1],
    },
    "decoder": {
        "transformer_depth": 1,
        "num_heads": 4,
        "mlp_dim": 32,
        "iou_head_depth": 2,
        "iou_head_hidden_dim": 32,
    },
}


@pytest.fixture(scope="session")
def tiny_sam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a SAM with random weights."""
    import torch

    from ssc_core.segment.sam_build import build_sam, save_sam

    torch.manual_seed(0)
    sam = build_sam(TINY_SAM)
    with torch.no_grad():
        for block in sam.image_encoder.blocks:
            block.attn.rel_pos_h.normal_()
            block.attn.rel_pos_w.normal_()
    folder = tmp_path_factory.mktemp("sam")
    save_sam(sam, TINY_SAM, folder)
    return folder


def smooth_photo(height: int, width: int, seed: int) -> np.ndarray:
    """RGB uint8 (H, W, 3) with large soft blobs."""
    blobs = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(blobs).resize((width, height), Image.Resampling.BICUBIC))


@pytest.fixture
def late_results(monkeypatch: pytest.MonkeyPatch) -> None:
    """Results come to host memory as from a GPU: nothing is there until the device was waited for."""
    under_way: list[tuple[torch.Tensor, torch.Tensor]] = []

    def to_host(tensor: torch.Tensor) -> torch.Tensor:
        under_way.append((torch.zeros_like(tensor), tensor))
        return under_way[-1][0]

    def wait_for(_: torch.device) -> None:
        for there, tensor in under_way:
            there.copy_(tensor)

    for module in (sam_base, grounding_dino):
        monkeypatch.setattr(module, "to_host", to_host)
        monkeypatch.setattr(module, "wait_for", wait_for)
