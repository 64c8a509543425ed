"""OWLv2 as an open-vocabulary detector, by transformers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from transformers import Owlv2ForObjectDetection, Owlv2ImageProcessor

from ssc_core.backends import Detections
from ssc_core.distinct import distinct
from ssc_core.errors import SscError
from ssc_core.photo_network import PhotoNetwork, PreparedPhoto
from ssc_core.pretrained import Attention, Dtype
from ssc_core.segment.grounding_dino import absolute_xyxy
from ssc_core.torch_runtime import Precision


class Owlv2(PhotoNetwork):
    """OWLv2 (google/owlv2-* as a local folder) behind the ``Detector`` contract.

    Each patch of the photo is a box, with the class whose text it is nearest to; it is kept when that class's
    probability is above ``threshold``. template: what a class is asked with, ``{}`` being the class. The network sees
    the photo in the upper left corner of a black square; boxes beyond the photo are dropped. Whatever ``dtype`` and
    ``precision``, boxes and scores are computed in fp32: the logit of a patch's place, rounded to bf16, is off by a
    pixel, and by several near the borders.
    """

    kind = Owlv2ForObjectDetection
    processor = Owlv2ImageProcessor

    def __init__(
        self,
        model: str,
        *,
        threshold: float = 0.1,
        template: str = "a photo of a {}",
        batch_size: int = 4,
        dtype: Dtype = "float32",
        attention: Attention | None = None,
        precision: Precision = "auto",
        device: str = "auto",
        threads: int = 1,
    ) -> None:
        if template.count("{}") != 1:
            raise SscError(f"OWLv2: `template: {template}` needs one {{}}, where the class goes")
        super().__init__(
            model,
            batch_size=batch_size,
            dtype=dtype,
            attention=attention,
            precision=precision,
            device=device,
            threads=threads,
        )
        self.threshold, self._template = threshold, template
        self.network.box_head.float()
        self.network.class_head.float()
        self.network.box_bias = self._box_bias()

    prepare = PhotoNetwork.prepared  # workers call it, ahead of the model

    def detect(
        self, images: Sequence[np.ndarray | PreparedPhoto], prompts: Sequence[Sequence[str]]
    ) -> list[Detections]:
        """As the protocol has it, in the order of the patches.

        An image passes the network once; one that is given several times, the same object, once a batch.
        """
        different, places = distinct(images)
        photos = self._as_prepared(different)
        with torch.inference_mode():
            asked = [(photos[place], prompt) for place, prompt in zip(places, prompts, strict=True)]
            return self._photos(asked, self._detect_batch)

    def _detect_batch(self, batch: Sequence[tuple[PreparedPhoto, Sequence[str]]]) -> list[Detections]:
        with self._computing():
            texts = self._text_features([name for _, prompt in batch for name in prompt])
            different, places = distinct([photo for photo, _ in batch])
            grid, _ = self.network.image_embedder(self._pixels(different))
        patches = grid.float().flatten(1, 2)
        boxes = self.network.box_predictor(patches, grid).cpu().numpy()
        results = []
        for row, (photo, prompt) in zip(places, batch, strict=True):
            if not prompt:
                results.append(Detections.joined([]))
                continue
            queries = torch.stack([texts[name] for name in prompt])[None]
            logits, _ = self.network.class_predictor(patches[row : row + 1], queries)
            results.append(self._read(logits[0], boxes[row], photo.size))
        return results

    def _box_bias(self) -> torch.Tensor:
        """float32 (Q, 4): the logits of each patch's own place and size, which its box is told relative to."""
        network = self.network
        return network.compute_box_bias(network.num_patches_height, network.num_patches_width).to(self.device)

    def _text_features(self, names: Sequence[str]) -> dict[str, torch.Tensor]:
        different = list(dict.fromkeys(names))
        if not different:
            return {}
        tokens = self._tokens([self._template.format(" ".join(name.lower().split())) for name in different])
        found = self.network.owlv2.get_text_features(**tokens)
        return dict(zip(different, found.pooler_output.float(), strict=True))

    def _read(self, logits: torch.Tensor, boxes_cxcywh: np.ndarray, size: tuple[int, int]) -> Detections:
        """Logits (Q, classes) and boxes (Q, 4) relative to the square of one photo."""
        best, labels = logits.max(dim=1)  # of probabilities, many would tie at 1
        scores = best.sigmoid().cpu().numpy()
        boxes = absolute_xyxy(boxes_cxcywh, (max(size), max(size)))
        inside = (boxes[:, 0] < size[1]) & (boxes[:, 1] < size[0])
        kept = np.flatnonzero((scores > self.threshold) & inside)
        return Detections(boxes[kept], scores[kept], labels.cpu().numpy()[kept])
