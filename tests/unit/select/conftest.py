"""A dataset of three little photos, its masks, an encoder that sees colours, and a CLIP of a few thousand weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ssc_core.config.base import Backend
from ssc_core.config.labelling import ScoreSettings
from ssc_core.config.sources import DatasetSource
from ssc_core.masks import rle
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.store import MaskStoreWriter
from ssc_core.refer.index import build_index
from ssc_core.tables import table_writer

HEIGHT, WIDTH = 40, 60
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
SQUARES = {"red": (4, 4), "green": (4, 24), "blue": (4, 44)}
"""Top left corners, row and column, of 12 x 12 squares in photo a.png."""
SIDE = 12

ENCODER = '''
import numpy as np

class ColourEncoder:
    """Mean colour of what is not grey, and the colour a text names. Counts what it is asked for.

    The fourth number is that of a black image: as far from each colour as can be.
    """

    def __init__(self, log=None):
        self.log = log

    def encode_images(self, images):
        self._write(f"images {len(images)}")
        return np.stack([self._unit(image.reshape(-1, 3).astype(np.float64).sum(0)) for image in images])

    def encode_texts(self, texts):
        self._write(f"texts {len(texts)}")
        names = ("red", "green", "blue")
        return np.stack([self._unit(np.array([0.01 + (name in text) for name in names])) for text in texts])

    def _unit(self, values):
        values = np.append(values, not values.any())
        return (values / np.linalg.norm(values)).astype(np.float32)

    def _write(self, line):
        if self.log:
            with open(self.log, "a") as stream:
                stream.write(line + "\\n")
'''

REFS = (
    # photo, sentences, candidates (indices into the photo's instances)
    ("a.png", ["the red square", "red"], [0, 1, 2]),
    ("a.png", ["the green square"], [0, 1, 2]),
    ("a.png", ["blue thing", "a blue one", "the blue square"], [2]),
    ("b.png", ["nothing is here"], []),
    ("c.png", ["green speck", "speck 🙂"], [0, 1]),
)


class World:
    """Paths of the dataset. refs: RefTable; masks: masks.h5; images: photos; plugin: the encoder's file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.refs, self.masks, self.images = folder / "refs.parquet", folder / "masks.h5", folder / "photos"
        self.plugin, self.log = folder / "colours.py", folder / "asked.log"
        self.plugin.write_text(ENCODER)
        self._write_photos()
        table = folder / "refs.jsonl"
        table.write_text(
            "\n".join(json.dumps({"image": photo, "sentences": texts, "split": "val"}) for photo, texts, _ in REFS)
        )
        source = DatasetSource(layout="table", file=table, images=self.images)
        build_index(
            dataset="tiny", source=source, out_refs=self.refs, out_truth=folder / "truth.h5", check_counts=False
        )
        self._write_masks()

    def score_settings(self, **changes: object) -> ScoreSettings:
        backend = Backend(name=f"{self.plugin}:ColourEncoder", settings={"log": str(self.log)})
        return ScoreSettings(**{"backend": backend, "blur_sigma": 2.0, **changes})

    def asked(self, what: str) -> list[int]:
        """How many images or texts each call of the encoder got."""
        lines = (line.split() for line in self.log.read_text().splitlines())
        return [int(count) for kind, count in lines if kind == what]

    def edit_refs(self, edit: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
        """Write the RefTable again, as other annotations would have it."""
        table = pq.read_table(self.refs)
        edited = pa.Table.from_pandas(edit(table.to_pandas()), schema=table.schema, preserve_index=False)
        with table_writer(self.refs, table.schema) as writer:
            writer.write_table(edited)

    def _write_photos(self) -> None:
        self.images.mkdir()
        for name in ("a", "b", "c"):
            photo = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
            if name == "a":
                for colour, (top, left) in SQUARES.items():
                    photo[top : top + SIDE, left : left + SIDE] = COLOURS[colour]
            if name == "c":
                photo[5:7, 5:7] = COLOURS["green"]
            Image.fromarray(photo).save(self.images / f"{name}.png")

    def _write_masks(self) -> None:
        instances = {"a.png": [square_mask(*SQUARES[colour]) for colour in COLOURS], "b.png": []}
        instances["c.png"] = [square_mask(5, 5, side=2), square_mask(20, 20, side=3)]
        info = StoreInfo(class_names=("thing",), settings={}, code="test", models={})
        with MaskStoreWriter(self.masks, info, with_masks=True) as writer:
            for image_id, (photo, masks) in enumerate(instances.items(), start=1):
                stack = np.array(masks, dtype=bool).reshape(-1, HEIGHT, WIDTH)
                writer.append_image(
                    image_id,
                    (HEIGHT, WIDTH),
                    boxes_xyxy=np.array([box_of(mask) for mask in stack]).reshape(-1, 4),
                    box_scores=np.full(len(stack), 0.9),
                    labels=np.zeros(len(stack), dtype=int),
                    rles=rle.encode(stack),
                    mask_scores=np.full(len(stack), 0.8),
                    candidates={
                        ref_id: candidates for ref_id, (of, _, candidates) in enumerate(REFS, start=1) if of == photo
                    },
                )


def square_mask(top: int, left: int, side: int = SIDE) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[top : top + side, left : left + side] = True
    return mask


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random CLIP with a small vocabulary of its own, as ``ssc_core.select.clip`` describes the folder."""
    import open_clip
    import torch
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("clip")
    words = ("[PAD]", "[UNK]", "[SOS]", "[EOS]", "a", "the", "red", "blue", "dog", "cat")
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[SOS] $A [EOS]", special_tokens=[("[SOS]", 2), ("[EOS]", 3)]
    )
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "bos_token": "[SOS]", "eos_token": "[EOS]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    vision = {"image_size": 32, "patch_size": 8, "width": 64, "head_width": 32, "layers": 2}
    text = {"context_length": 16, "vocab_size": len(words), "width": 32, "heads": 2, "layers": 2}
    text |= {"hf_tokenizer_name": ".", "pool_type": "eos", "eos_id": 3, "pad_id": 0}
    config = {"model_cfg": {"embed_dim": 24, "vision_cfg": vision, "text_cfg": text}, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(0)
    save_file(open_clip.create_model(f"local-dir:{folder}").state_dict(), folder / "open_clip_model.safetensors")
    return folder
