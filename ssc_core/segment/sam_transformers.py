"""SAM 2.1, EdgeTAM, SAM 3's tracker and SAM-HQ, by transformers, from local folders of ``save_pretrained``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional
from transformers import EdgeTamModel, Sam2Model, Sam3TrackerModel, SamHQModel

from ssc_core.pretrained import Attention, load_network, mean_and_std
from ssc_core.segment.sam_base import BoxSegmenter
from ssc_core.torch_runtime import Precision

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class _FromFolder(BoxSegmenter):
    """A network of the class ``kind`` with its normalisation. attention: as ``load_network`` has it."""

    kind: Any
    renamed: Mapping[str, str] = {}
    """Names in published files, as patterns, to those of the class, where transformers does not know it by itself."""

    def __init__(
        self,
        model: str,
        *,
        batch_size: int = 8,
        boxes_per_pass: int = 64,
        precision: Precision = "auto",
        attention: Attention | None = None,
        device: str = "auto",
        threads: int = 1,
    ) -> None:
        network = load_network(self.kind, model, attention=attention, key_mapping=dict(self.renamed))
        super().__init__(
            network,
            side=_side(network.config),
            **_normalisation(Path(model)),
            batch_size=batch_size,
            boxes_per_pass=boxes_per_pass,
            precision=precision,
            device=device,
            threads=threads,
        )


class Sam2(_FromFolder):
    """SAM 2 and 2.1 (facebook/sam2.1-hiera-* as a local folder); photos only, so its memory is not used."""

    kind: Any = Sam2Model

    def _input_size(self, height: int, width: int) -> tuple[int, int]:
        """SAM 2 squeezes every image into the square."""
        return self.side, self.side

    def _encode(self, pixels: torch.Tensor) -> list[list[torch.Tensor]]:
        levels = self.network.get_image_embeddings(pixels)
        return [[level[i : i + 1].float() for level in levels] for i in range(len(pixels))]

    def _decode(self, encoded: list[torch.Tensor], boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        out = self.network(image_embeddings=list(encoded), input_boxes=boxes[None], multimask_output=True)
        return out.pred_masks[0], out.iou_scores[0]

    def _enlarge(self, logits: torch.Tensor, shown: tuple[int, int], size: tuple[int, int]) -> torch.Tensor:
        return functional.interpolate(logits, size, mode="bilinear", align_corners=False)


class EdgeTam(Sam2):
    """EdgeTAM (yonigozlan/EdgeTAM-hf as a local folder): SAM 2 with an encoder for telephones."""

    kind = EdgeTamModel


class Sam3Tracker(Sam2):
    """The half of SAM 3 (facebook/sam3 as a local folder) that takes boxes and points, as SAM 2 does."""

    kind = Sam3TrackerModel
    renamed: Mapping[str, str] = {r"^tracker_model\.": ""}


class _EncodedHQ(NamedTuple):
    """Image embedding (1, C, grid, grid), and the tokens (1, grid, grid, D) of each global attention layer."""

    embedding: torch.Tensor
    layers: list[torch.Tensor]


class SamHQ(_FromFolder):
    """SAM-HQ (syscv-community/sam-hq-vit-* as a local folder): SAM's best mask, refined by its high-quality token."""

    kind = SamHQModel

    def _encode(self, pixels: torch.Tensor) -> list[_EncodedHQ]:
        embeddings, layers = self.network.get_image_embeddings(pixels)
        return [
            _EncodedHQ(embeddings[i : i + 1].float(), [layer[i : i + 1].float() for layer in layers])
            for i in range(len(pixels))
        ]

    def _decode(self, encoded: _EncodedHQ, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        out = self.network(
            image_embeddings=encoded.embedding,
            intermediate_embeddings=encoded.layers,
            input_boxes=boxes[None],
            multimask_output=True,
        )
        return out.pred_masks[0], out.iou_scores[0]


def _normalisation(folder: Path) -> dict[str, tuple[float, ...]]:
    """mean and std of RGB in 0..255, as the folder says; ImageNet's where it says nothing."""
    mean, std = mean_and_std(folder, IMAGENET)
    return {"mean": tuple(255 * np.array(mean)), "std": tuple(255 * np.array(std))}


def _side(config: Any) -> int:
    """Of the square input, as the network's configuration says."""
    size = config.prompt_encoder_config.image_size
    return size if isinstance(size, int) else int(size[0])
