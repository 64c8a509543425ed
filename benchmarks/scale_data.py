"""What ``scale.py`` measures with: annotations, models that cost nothing, and what the GPU steps would leave."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from ssc_core.backends import Detections, InstanceMasks
from ssc_core.masks import rle
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.selection import ScoreStoreWriter
from ssc_core.masks.store import MaskStoreWriter
from ssc_core.refer.ref_table import FORMAT, SCHEMA, read_refs
from ssc_core.refer.truth import TruthWriter
from ssc_core.segment.noun_table import NounWriter
from ssc_core.tables import table_writer

SIZE = (480, 640)
REFS_A_PHOTO, SENTENCES_A_REF, SHARDS = 3, 3, 4
"""About what RefCOCO has: 142,210 sentences of 50,000 refs in 19,994 photos."""

PHOTOS_A_FOLDER = 10_000
"""Of names; the photo itself is one, and drives bound how many names a file has."""

COLOURS = ("red", "blue", "green", "black", "white", "yellow", "brown", "striped")
THINGS = ("dog", "woman", "car", "pizza", "horse", "umbrella", "chair", "boat", "sheep", "bus", "cup", "bench")
PLACES = ("on the left", "on the right", "in the middle", "at the top", "in front", "behind the fence", "near us")


class Boxes:
    """A detector that finds two of whatever it is asked for, in one place."""

    def detect(self, images: list[np.ndarray], prompts: list[tuple[str, ...]]) -> list[Detections]:
        return [
            Detections(
                np.repeat(np.array([[40, 40, 200, 200]], np.float32), 2 * len(names), axis=0),
                np.full(2 * len(names), 0.5, np.float32),
                np.arange(len(names)).repeat(2),
            )
            for names in prompts
        ]


class Masks:
    """A segmenter whose masks are one square."""

    def segment(self, images: list[np.ndarray], boxes_xyxy: list[np.ndarray]) -> list[InstanceMasks]:
        found = []
        for image, boxes in zip(images, boxes_xyxy, strict=True):
            masks = np.zeros((len(boxes), *image.shape[:2]), bool)
            masks[:, 40:200, 40:200] = True
            found.append(InstanceMasks(masks, np.full(len(boxes), 0.5, np.float32)))
        return found


class Scores:
    """A scorer to which all are alike."""

    scale = "none"

    def score_pairs(self, image: np.ndarray, masks: np.ndarray, sentences: list[str]) -> np.ndarray:
        return np.zeros((len(sentences), len(masks)), np.float32)


def write_annotations(folder: Path, refs: int) -> None:
    """A table in JSONL with ground truth, and a blank photo that has every name of the table."""
    rng = random.Random(0)
    truth = [code.decode() for code in ellipses(300, 0)]
    (folder / "photos").mkdir()
    Image.new("RGB", SIZE[::-1]).save(folder / "blank.png")
    with (folder / "refs.jsonl").open("w") as file:
        for ref in range(refs):
            number = ref // REFS_A_PHOTO
            photo = f"{number // PHOTOS_A_FOLDER}/{number}.png"
            if ref % REFS_A_PHOTO == 0:
                _name_photo(folder, photo, number)
            thing = rng.choice(THINGS)
            sentences = [
                f"{rng.choice(COLOURS)} {thing} {rng.choice(PLACES)} number {rng.randrange(30)}"
                for _ in range(SENTENCES_A_REF)
            ]
            mask = {"size": SIZE, "counts": rng.choice(truth)}
            file.write(json.dumps({"image": photo, "sentences": sentences, "split": "val", "mask": mask}) + "\n")


def _name_photo(folder: Path, photo: str, number: int) -> None:
    place, first = folder / "photos" / photo, folder / "photos" / str(number // PHOTOS_A_FOLDER) / "first.png"
    if number % PHOTOS_A_FOLDER == 0:
        first.parent.mkdir()
        shutil.copy(folder / "blank.png", first)
    place.hardlink_to(first)


def write_tables(folder: Path, refs: int) -> None:
    """refs.parquet and truth.h5 as ``index_refs`` would make them of such annotations, in a hundredth of the time."""
    rng, truth = np.random.default_rng(0), ellipses(300, 0)
    lengths = np.array([len(code) for code in truth])
    sentences = np.array([f"{one} {two} {three}" for one in COLOURS for two in THINGS for three in PLACES])
    (folder / "photos").mkdir()
    Image.new("RGB", SIZE[::-1]).save(folder / "blank.png")
    schema = SCHEMA.with_metadata({**FORMAT, b"categories": b"{}", b"upright": b"false"})
    at_once = 1111 * REFS_A_PHOTO
    with table_writer(folder / "refs.parquet", schema) as table, _TruthBlocks(folder / "truth.h5") as masks:
        for start in range(0, refs, at_once):
            ids = np.arange(start, min(refs, start + at_once))
            photos = [f"{number // PHOTOS_A_FOLDER}/{number}.png" for number in (ids[::REFS_A_PHOTO] // REFS_A_PHOTO)]
            for number, photo in enumerate(photos, start=start // REFS_A_PHOTO):
                _name_photo(folder, photo, number)
            rows = ids.repeat(SENTENCES_A_REF)
            texts = sentences[rng.integers(0, len(sentences), len(rows))]
            columns = {
                "dataset": ["scale"] * len(rows),
                "split": ["val"] * len(rows),
                "category": [""] * len(rows),
                "image_id": rows // REFS_A_PHOTO + 1,
                "ref_id": rows + 1,
                "ann_id": rows + 1,
                "file_name": np.array(photos).repeat(REFS_A_PHOTO)[: len(ids)].repeat(SENTENCES_A_REF),
                "height": np.full(len(rows), SIZE[0]),
                "width": np.full(len(rows), SIZE[1]),
                "category_id": np.zeros(len(rows), int),
                "sentence": texts,
                "raw": texts,
                "sent_id": np.arange(len(rows)) + SENTENCES_A_REF * start + 1,
            }
            table.write_table(pa.table({name: pa.array(columns[name]) for name in SCHEMA.names}).cast(schema))
            own = rng.integers(0, len(truth), len(ids))
            masks.append_masks(ids + 1, [truth[i] for i in own.tolist()], lengths[own])


class _TruthBlocks(TruthWriter):
    def append_masks(self, ids: np.ndarray, codes: list[bytes], lengths: np.ndarray) -> None:
        self._append("ref/id", ids)
        self._append("ref/size", np.tile(SIZE, (len(ids), 1)))
        self._append("rle", np.frombuffer(b"".join(codes), np.uint8))
        self._append("ref/rle_first", self._ends["ref/rle_first"] + np.cumsum(lengths))
        self._ends["ref/rle_first"] += int(lengths.sum())


def ellipses(count: int, seed: int) -> list[bytes]:
    """RLEs of random ellipses."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    masks = []
    for _ in range(count):
        (cy, cx), (ry, rx) = rng.uniform((0, 0), SIZE), rng.uniform(15, 160, 2)
        masks.append((((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1)[None])
    return rle.encode(np.concatenate(masks))


def write_nouns(folder: Path) -> None:
    """What ``extract_nouns`` would find: a class per ref."""
    with NounWriter(folder / "nouns.parquet") as writer:
        for image_ids, refs in _photos(folder):
            pairs = zip(
                np.repeat(image_ids, [len(of) for of in refs]).tolist(), list(chain.from_iterable(refs)), strict=True
            )
            rows: list[dict[str, Any]] = []
            for image_id, ref_id in pairs:
                own = [[THINGS[ref_id % len(THINGS)]]] * SENTENCES_A_REF
                rows.append({"ref_id": ref_id, "image_id": image_id, "nouns": own, "classes": own, "query": own[0][0]})
            writer.write(rows)


class _Blocks(MaskStoreWriter):
    """Writes many photos in a few steps, so that making the data takes no longer than measuring with it."""

    def append_photos(self, image_ids: list[int], refs: list[list[int]], masks: list[bytes], rng: Any) -> np.ndarray:
        """3 to 9 instances per photo, all of them candidates of each of its refs. Returns how many, int64 (I,)."""
        counts = rng.integers(3, 10, len(image_ids))
        total, known = int(counts.sum()), self._instance_count
        codes = [masks[i] for i in rng.integers(0, len(masks), total).tolist()]
        of_refs = np.array([len(own) for own in refs])
        per_ref = counts.repeat(of_refs)
        first = (known + np.cumsum(counts) - counts).repeat(of_refs)
        self._append("image/id", image_ids)
        self._append("image/size", np.tile(SIZE, (len(image_ids), 1)))
        self._append("instance/box_xyxy", np.zeros((total, 4)))
        for name in ("instance/box_score", "instance/mask_score"):
            self._append(name, rng.random(total))
        self._append("instance/label", rng.integers(0, len(THINGS), total))
        self._append("ref/id", list(chain.from_iterable(refs)))
        self._append("ref/image", self._image_count + np.arange(len(image_ids)).repeat(of_refs))
        steps = np.arange(per_ref.sum()) - (np.cumsum(per_ref) - per_ref).repeat(per_ref)
        self._append("ref/candidate", first.repeat(per_ref) + steps)
        self._append("rle", np.frombuffer(b"".join(codes), np.uint8))
        lengths = np.array([len(code) for code in codes])
        for name, parts in (("image/first", counts), ("ref/first", per_ref), ("instance/rle_first", lengths)):
            self._append(name, self._ends[name] + np.cumsum(parts))
            self._ends[name] += int(parts.sum())
        self._image_count += len(image_ids)
        self._instance_count += total
        return per_ref


class _ScoreBlocks(ScoreStoreWriter):
    def append_refs(self, refs: list[int], counts: np.ndarray, rng: Any) -> None:
        self._append("ref/id", refs)
        self._append("candidate/area", rng.integers(500, 9999, counts.sum()))
        self._append("score", rng.random(SENTENCES_A_REF * counts.sum()))
        for name, parts in (("ref/sent_first", np.full(len(refs), SENTENCES_A_REF)), ("ref/first", counts)):
            self._append(name, self._ends[name] + np.cumsum(parts))
            self._ends[name] += int(parts.sum())


def write_shards(folder: Path) -> None:
    """masks.K.h5 and scores.K.h5: what the jobs of all shards would leave."""
    info = StoreInfo(class_names=THINGS, settings={}, code="simulated", models={})
    rng, masks = np.random.default_rng(1), ellipses(500, 1)
    parts = list(_photos(folder))
    for shard in range(SHARDS):
        with (
            _Blocks(folder / f"masks.{shard}.h5", info, with_masks=True) as store,
            _ScoreBlocks(folder / f"scores.{shard}.h5", info) as scores,
        ):
            for image_ids, refs in parts[len(parts) * shard // SHARDS : len(parts) * (shard + 1) // SHARDS]:
                scores.append_refs(
                    list(chain.from_iterable(refs)), store.append_photos(image_ids, refs, masks, rng), rng
                )


def _photos(folder: Path) -> Iterator[tuple[list[int], list[list[int]]]]:
    """Ids of photos and of each one's refs, many at a time, in ascending order."""
    frame = read_refs(folder / "refs.parquet", columns=("ref_id", "image_id")).drop_duplicates("ref_id")
    photos = frame.groupby("image_id", sort=True)["ref_id"].agg(list)
    at_once = max(1, min(5000, len(photos) // SHARDS))
    for start in range(0, len(photos), at_once):
        part = photos.iloc[start : start + at_once]
        yield part.index.tolist(), part.tolist()
