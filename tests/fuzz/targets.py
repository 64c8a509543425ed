"""The readers of files from elsewhere: for each, good files to start from, and a function that reads one to its end.

A reader may take a file or raise SscError; anything else that it does is a finding.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import pickle
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ssc_core.config.sources import DatasetSource
from ssc_core.errors import SscError
from ssc_core.exchange.png import read_png
from ssc_core.files import is_web_page, read_json
from ssc_core.masks import rle
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.selection import ScoreStore, ScoreStoreWriter, SelectionStore, SelectionWriter
from ssc_core.masks.store import MaskStore, MaskStoreWriter
from ssc_core.refer.images import image_size, load_image, read_mask_png
from ssc_core.refer.index import build_index
from ssc_core.refer.ref_table import open_photos, read_categories, read_refs, refs_by_image
from ssc_core.refer.refer_layout import read_refer
from ssc_core.refer.safe_pickle import load_plain_pickle
from ssc_core.refer.segmentation import segmentation_to_rle
from ssc_core.refer.table import read_table
from ssc_core.refer.truth import TruthMask, TruthStore, write_truth
from ssc_core.weights.lock import LockFile
from ssc_core.weights.unpack import unpack
from ssc_core.weights.web_pages import read_page
from tests.fuzz import exchange, tables

HEIGHT, WIDTH = 8, 12
INFO = StoreInfo(class_names=("cat", "dog"), settings={"a": 1}, code="c0de", models={"sam": "ab12"})


@dataclass(frozen=True, slots=True)
class Target:
    """kind: how its files are mutated (bytes or json). seeds: good files. read: reads one, given as a path.

    share: of all inputs; quick readers get more.
    """

    kind: str
    suffix: str
    seeds: Callable[[Path], list[bytes]]
    read: Callable[[Path], object]
    share: int = 3


def refs() -> list[dict[str, Any]]:
    return [
        {
            "ref_id": i,
            "ann_id": 10 + i,
            "image_id": 1,
            "category_id": 18,
            "split": "train",
            "file_name": "a.jpg",
            "sent_ids": [2 * i, 2 * i + 1],
            "sentences": [
                {"sent_id": 2 * i, "sent": "the dog", "raw": "The dog", "tokens": ["the", "dog"]},
                {"sent_id": 2 * i + 1, "sent": "left one", "raw": "left one", "tokens": ["left", "one"]},
            ],
        }
        for i in range(3)
    ]


def coco() -> dict[str, Any]:
    runs = {"size": [HEIGHT, WIDTH], "counts": [10, 20, 66]}
    code = {"size": [HEIGHT, WIDTH], "counts": rle.encode(np.eye(HEIGHT, WIDTH, dtype=bool)[None])[0].decode()}
    shapes = [[[1, 1, 9, 1, 9, 6], [2, 2, 5, 2, 5, 7, 2, 7]], runs, code]
    return {
        "images": [{"id": 1, "file_name": "a.jpg", "height": HEIGHT, "width": WIDTH}],
        "annotations": [
            {"id": 10 + i, "image_id": 1, "category_id": 18, "bbox": [1, 1, 4, 4], "iscrowd": 0, "segmentation": shape}
            for i, shape in enumerate(shapes)
        ],
        "categories": [{"id": 18, "name": "dog", "supercategory": "animal"}],
    }


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _photo(folder: Path) -> Path:
    path = folder / "a.jpg"
    if not path.exists():
        Image.new("RGB", (WIDTH, HEIGHT)).save(path)
        Image.fromarray(np.eye(HEIGHT, WIDTH, dtype=np.uint8) * 255).save(folder / "mask.png")
    return path


def _read_layout(pickle_path: Path | None, coco_path: Path | None) -> None:
    """Both files of the REFER layout; the one that is not fuzzed is a good one. Every mask is read."""
    path = pickle_path or coco_path
    assert path is not None
    folder = path.parent / f"layout{os.getpid()}" / "refcoco"
    folder.mkdir(parents=True, exist_ok=True)
    _photo(folder)
    for name, given, good in (
        ("refs(unc).p", pickle_path, pickle.dumps(refs(), protocol=2)),
        ("instances.json", coco_path, _json(coco())),
    ):
        (folder / name).write_bytes(good if given is None else given.read_bytes())
    data = read_refer(folder.parent, "refcoco", "unc", images_folder=folder)
    for ref in data.refs:
        image = ref.image
        for hole in (False, True):
            segmentation_to_rle(ref.segmentation, image.height, image.width, overlap_hole=hole, notes=Counter())


def _build_index(path: Path, *, fuzzed: str) -> None:
    folder = path.parent / f"index{os.getpid()}" / "refcoco"
    folder.mkdir(parents=True, exist_ok=True)
    _photo(folder)
    if fuzzed == "table":
        table = path.rename(folder / f"table{path.suffix}")
        source = DatasetSource(layout="table", file=table, images=folder)
    else:
        good = {"refs(unc).p": pickle.dumps(refs(), protocol=2), "instances.json": _json(coco())}
        for name, content in good.items():
            (folder / name).write_bytes(path.read_bytes() if name == fuzzed else content)
        source = DatasetSource(layout="refer", root=folder.parent, name="refcoco", split_by="unc", images=folder)
    out = {"out_refs": folder / "refs.parquet", "out_truth": folder / "truth.h5"}
    build_index(dataset="x", source=source, check_counts=False, **out)


def _read_table(path: Path) -> None:
    _photo(path.parent)
    data = read_table(path, path.parent, default_split="train")
    for ref in data.refs:
        image = ref.image
        segmentation_to_rle(ref.segmentation, image.height, image.width, overlap_hole=False, notes=Counter())


def _csv_seeds(_: Path) -> list[bytes]:
    lines = ["image,sentences,split,mask", "a.jpg,the dog|left one,train,mask.png", 'a.jpg,"[""a"", ""b""]",val,']
    return ["\n".join(lines).encode(), ("\ufeff" + "\r\n".join(lines)).encode(), b"image,sentences\na.jpg,dog\n"]


def _jsonl_seeds(_: Path) -> list[bytes]:
    shapes = [annotation["segmentation"] for annotation in coco()["annotations"]]
    rows = [{"image": "a.jpg", "sentences": ["dog", "left"], "split": "val", "mask": mask} for mask in (*shapes, None)]
    return ["\n".join(json.dumps(row) for row in rows).encode(), _json(rows[0]), _json({**rows[0], "mask": "mask.png"})]


def _rle_seeds(_: Path) -> list[bytes]:
    """Two bytes of size, then the code."""
    masks = np.random.default_rng(0).random((6, HEIGHT, WIDTH)) < np.linspace(0, 1, 6)[:, None, None]
    return [bytes([HEIGHT, WIDTH]) + code for code in rle.encode(masks)]


def _read_rle(path: Path) -> None:
    content = path.read_bytes()
    if len(content) < 2:
        return
    size, code = (content[0], content[1]), content[2:]
    mask = rle.decode([code], size)
    assert mask.shape == (1, *size)
    assert rle.areas([code], size)[0] == mask.sum()
    rle.union([code, code], size)
    rle.ious([code], [code], size)


def _mask_store_seeds(folder: Path) -> list[bytes]:
    found = []
    for with_masks in (True, False):
        with MaskStoreWriter(folder / "seed.h5", INFO, with_masks=with_masks) as writer:
            for image in (7, 3):
                codes = rle.encode(np.random.default_rng(image).random((3, HEIGHT, WIDTH)) < 0.4)
                writer.append_image(
                    image,
                    (HEIGHT, WIDTH),
                    boxes_xyxy=np.arange(12).reshape(3, 4),
                    box_scores=np.ones(3),
                    labels=np.array([0, 1, 1]),
                    candidates={10 * image: [2, 0], 10 * image + 1: []},
                    **({"rles": codes, "mask_scores": np.ones(3)} if with_masks else {}),
                )
        found.append((folder / "seed.h5").read_bytes())
    return found


def _read_mask_store(path: Path) -> None:
    with MaskStore.open(path) as store:
        for image in store.image_ids[:20].tolist():
            store.image_size(image)
            store.all_refs_of(image)
            rows = store.instances(image).rows
            if store.has_masks:
                store.masks(rows)
        for ref in store.ref_ids[:20].tolist():
            store.image_of(ref)
            store.candidates(ref)
            if store.has_masks:
                store.candidate_masks(ref)


def _selection_seeds(folder: Path) -> list[bytes]:
    code = rle.encode(np.eye(HEIGHT, WIDTH, dtype=bool)[None])[0]
    with SelectionWriter(folder / "selected.h5", INFO, choice_per="sentence") as writer:
        for ref in (5, 6):
            scores = np.ones((2, 3), dtype=np.float32)
            options: dict[str, Any] = {"image_id": 1, "size": (HEIGHT, WIDTH), "scores": scores}
            writer.append_ref(ref, chosen=[1, -1], rles=[code, None], **options)
    return [(folder / "selected.h5").read_bytes()]


def _read_selection(path: Path) -> None:
    with SelectionStore(path) as store:
        for ref in store.ref_ids[:20].tolist():
            store.image_of(ref)
            store.scores(ref)
            for sentence in range(min(store.choices(ref), 20)):
                store.chosen(ref, sentence)
                store.mask(ref, sentence)


def _score_seeds(folder: Path) -> list[bytes]:
    with ScoreStoreWriter(folder / "scores.h5", INFO) as writer:
        for ref in (5, 6):
            writer.append_ref(ref, np.ones((2, 3)), np.array([10, 20, 30]))
    return [(folder / "scores.h5").read_bytes()]


def _read_scores(path: Path) -> None:
    with ScoreStore(path) as store:
        for ref in store.ref_ids[:20].tolist():
            store.scores(ref)
            store.areas(ref)


def _truth_seeds(folder: Path) -> list[bytes]:
    code = rle.encode(np.eye(HEIGHT, WIDTH, dtype=bool)[None])[0]
    write_truth(folder / "truth.h5", [TruthMask(i, HEIGHT, WIDTH, code) for i in range(3)])
    return [(folder / "truth.h5").read_bytes()]


def _read_truth(path: Path) -> None:
    store = TruthStore(path)
    for ref in store.ref_ids[:20]:
        store.mask(ref)


def _checkpoint_seeds(folder: Path) -> list[bytes]:
    import torch

    from ssc_core.tensor_files import write_torch

    content = {
        "model": {"module.backbone.weight": torch.arange(6.0).reshape(2, 3), "module.bias": torch.ones(3).half()},
        "bert_model": {"embeddings.word_embeddings.weight": torch.ones(4, 2)},
        "optimizer": {"state": {0: {"step": torch.tensor(3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
        "epoch": 3,
        "args": argparse.Namespace(swin_type="base", window12=True),
        "lr_scheduler": {"last_epoch": 5},
    }
    found = []
    for new in (True, False):
        torch.save(content, folder / "seed.pth", _use_new_zipfile_serialization=new)
        found.append((folder / "seed.pth").read_bytes())
    write_torch(folder / "seed.pth", content)
    return [*found, (folder / "seed.pth").read_bytes()]


def _pickle_seeds(folder: Path) -> list[bytes]:
    """The pickle inside a checkpoint, and one with values nested nearly as deep as is allowed, and shared."""
    import torch

    nested: Any = (1,)
    for _ in range(90):
        nested = (nested, "x")
    one = torch.ones(2)
    found = []
    (folder / "whole.pth").write_bytes(_checkpoint_seeds(folder)[0])
    torch.save({"model": {"a": one, "b": one}, "bert_model": {"c": one}, "meta": {"n": nested}}, folder / "deep.pth")
    for name in ("whole.pth", "deep.pth"):
        with zipfile.ZipFile(folder / name) as archive:
            found.append(archive.read(next(name for name in archive.namelist() if name.endswith("/data.pkl"))))
    return found


def _read_checkpoint_pickle(path: Path) -> None:
    """In an archive with the right sums, which would else refuse all that is damaged."""
    whole = path.with_suffix(".pth")
    (path.parent / "good").mkdir(exist_ok=True)
    good = path.parent / "good" / f"{os.getpid()}.pth"
    good.write_bytes(_checkpoint_seeds(path.parent / "good")[0])
    with zipfile.ZipFile(good) as archive, zipfile.ZipFile(whole, "w") as damaged:
        for name in archive.namelist():
            damaged.writestr(name, path.read_bytes() if name.endswith("/data.pkl") else archive.read(name))
    _read_checkpoint(whole)


def _safetensors_seeds(folder: Path) -> list[bytes]:
    import torch
    from safetensors.torch import save_file

    save_file({"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(3).half()}, folder / "seed.safetensors")
    return [(folder / "seed.safetensors").read_bytes()]


def _read_safetensors(path: Path) -> None:
    from ssc_core.tensor_files import read_safetensors

    read_safetensors(path)


def _read_checkpoint(path: Path) -> None:
    from ssc_core.correct.checkpoints import load_published

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = load_published(path)
        with suppress(SscError):  # the tensors of the good files make no network
            content.architecture()


def _archive_seeds(folder: Path) -> list[bytes]:

    (folder / "one").write_bytes(bytes(range(256)))
    with zipfile.ZipFile(folder / "seed.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.write(folder / "one", "a/one")
        file.write(folder / "one", "a/two")
    return [(folder / "seed.zip").read_bytes()]


def _tar_seeds(_: Path) -> list[bytes]:
    import io
    import tarfile

    found = []
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=form, pax_headers={"comment": "x"}) as file:
            for name, kind in (
                ("a", tarfile.DIRTYPE),
                ("a/one", tarfile.REGTYPE),
                ("a/" * 60 + "two", tarfile.REGTYPE),
            ):
                info = tarfile.TarInfo(name)
                info.type, info.size, info.mtime = kind, 0 if kind == tarfile.DIRTYPE else 256, 1.5
                file.addfile(info, io.BytesIO(bytes(range(256))))
        found.append(stream.getvalue())
    return found


def _read_archive(path: Path) -> None:
    unpack(path, path.parent / f"out{os.getpid()}", most_bytes=2**20)


WEB_PAGES = [
    b'<!DOCTYPE html><form id="download-form" action="https://x.example/d?a=1" method="get"><input type="hidden"'
    b' name="confirm" value="t"><input name=uuid value="a&amp;b"></form><script>x</script>',
    b'<html><a href="/uc?export=download&amp;confirm=AbCd">on</a>&#27;&lt;&#1234567;',
]


def _read_web_page(path: Path) -> None:
    content = path.read_bytes()
    is_web_page(content)
    assert read_page(content, "https://x.example/uc?id=1", {"download_warning": "x"}).text.isprintable()


_LOCK = {"sha256": "a" * 64, "size": 3, "source": "https://x/", "recorded": "2026-01-01T00:00:00Z"}

_PICKLES = [pickle.dumps(refs(), protocol) for protocol in (0, 1, 2, 4)]


def _photo_seeds(folder: Path) -> list[bytes]:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    found = []
    for suffix in ("jpg", "png", "webp", "tif", "bmp", "gif", "ppm"):
        picture.save(folder / f"seed.{suffix}", exif=exif)
        found.append((folder / f"seed.{suffix}").read_bytes())
    return found


def _read_photo(path: Path) -> None:
    size = image_size(path)
    assert load_image(path).shape == (*size, 3)
    assert load_image(path, size, upright=True).shape == (*size, 3)


def _mask_seeds(folder: Path) -> list[bytes]:
    mask = np.eye(HEIGHT, WIDTH, dtype=np.uint8)
    palette = Image.fromarray(mask, "P")
    palette.putpalette([9, 9, 9, 0, 0, 0])
    alpha = Image.fromarray(np.dstack([mask * 0, mask * 0, mask * 0, mask * 255]))
    wide = Image.fromarray(mask.astype(np.uint16) * 700)
    found = []
    for picture in (Image.fromarray(mask * 255), palette, alpha, wide, Image.fromarray(mask > 0)):
        picture.save(folder / "pseudo_gt_mask_1.png", transparency=1 if picture is palette else None)
        found.append((folder / "pseudo_gt_mask_1.png").read_bytes())
    return found


def _read_mask(path: Path) -> None:
    mask, _ = read_mask_png(path, (HEIGHT, WIDTH))
    assert mask.shape == (HEIGHT, WIDTH)
    (path.parent / "pseudo_gt_mask_1.png").write_bytes(path.read_bytes())
    masks = read_png(path.parent, 1, (HEIGHT, WIDTH))
    assert masks is not None
    assert np.array_equal(masks.any(axis=0), mask)


def _ref_table_seeds(folder: Path) -> list[bytes]:
    _photo(folder)
    table = folder / "table.csv"
    table.write_text("image,sentences\na.jpg,dog|cat\n", encoding="utf-8")
    out = {"out_refs": folder / "refs.parquet", "out_truth": folder / "truth.h5"}
    build_index(dataset="x", source=DatasetSource(layout="table", file=table, images=folder), check_counts=False, **out)
    return [(folder / "refs.parquet").read_bytes()]


def _read_ref_table(path: Path) -> None:
    refs_by_image(read_refs(path, "train"))
    open_photos(path, path.parent)
    read_categories(path)


TARGETS: Mapping[str, Target] = {
    "photo": Target("bytes", ".jpg", _photo_seeds, _read_photo),
    "mask": Target("bytes", ".png", _mask_seeds, _read_mask),
    "ref_table": Target("bytes", ".parquet", _ref_table_seeds, _read_ref_table, share=1),
    "pickle": Target(
        "bytes",
        ".p",
        lambda _: [*_PICKLES, pickle.dumps([1.5, 2**70, b"x", (None, True)])],
        load_plain_pickle,
        share=20,
    ),
    "refer_pickle": Target("bytes", ".p", lambda _: _PICKLES, lambda path: _read_layout(path, None)),
    "coco_json": Target("json", ".json", lambda _: [_json(coco())], lambda path: _read_layout(None, path)),
    "coco_bytes": Target("bytes", ".json", lambda _: [_json(coco())], lambda path: _read_layout(None, path)),
    "refer_values": Target(
        "json",
        ".json",
        lambda _: [_json(refs())],
        lambda path: _read_layout(_as_pickle(path), None),
    ),
    "index_refs": Target(
        "json",
        ".json",
        lambda _: [_json(refs())],
        lambda path: _build_index(_as_pickle(path), fuzzed="refs(unc).p"),
        share=1,
    ),
    "index_coco": Target(
        "json", ".json", lambda _: [_json(coco())], lambda path: _build_index(path, fuzzed="instances.json"), share=1
    ),
    "index_table": Target("bytes", ".jsonl", _jsonl_seeds, lambda path: _build_index(path, fuzzed="table"), share=1),
    "csv": Target("bytes", ".csv", _csv_seeds, _read_table, share=20),
    "jsonl": Target("bytes", ".jsonl", _jsonl_seeds, _read_table, share=20),
    "parquet": Target("bytes", ".parquet", tables.parquet_seeds, tables.read_rows_of),
    "arrow": Target("bytes", ".arrow", tables.arrow_seeds, tables.read_arrow),
    "captions": Target("json", ".json", tables.captions, tables.read_rows_of),
    "server_answer": Target("json", ".json", tables.answer_seeds, tables.read_server_answer),
    "kept_answers": Target("bytes", ".jsonl", tables.kept_seeds, tables.read_kept),
    "coco_masks": Target("json", ".json", exchange.seeds("coco"), exchange.reader("coco")),
    "labelme": Target("json", ".json", exchange.seeds("labelme"), exchange.reader("labelme")),
    "label_studio": Target("json", ".json", exchange.seeds("label-studio"), exchange.reader("label-studio")),
    "cvat": Target("bytes", ".xml", exchange.seeds("cvat"), exchange.reader("cvat")),
    "reviews": Target("bytes", ".csv", exchange.review_seeds, exchange.read_review_file),
    "rle": Target("bytes", ".rle", _rle_seeds, _read_rle, share=20),
    "mask_store": Target("hdf5", ".h5", _mask_store_seeds, _read_mask_store),
    "selection_store": Target("hdf5", ".h5", _selection_seeds, _read_selection),
    "score_store": Target("hdf5", ".h5", _score_seeds, _read_scores),
    "truth_store": Target("hdf5", ".h5", _truth_seeds, _read_truth),
    "checkpoint": Target("bytes", ".pth", _checkpoint_seeds, _read_checkpoint, share=1),
    "checkpoint_pickle": Target("bytes", ".pkl", _pickle_seeds, _read_checkpoint_pickle, share=1),
    "safetensors": Target("bytes", ".safetensors", _safetensors_seeds, _read_safetensors),
    "archive": Target("bytes", ".zip", _archive_seeds, _read_archive),
    "tar": Target("bytes", ".tar", _tar_seeds, _read_archive),
    "tar_gz": Target(
        "bytes", ".tgz", lambda folder: [gzip.compress(seed) for seed in _tar_seeds(folder)], _read_archive
    ),
    "web_page": Target("bytes", ".html", lambda _: WEB_PAGES, _read_web_page),
    "lock_file": Target(
        "json", ".json", lambda _: [_json({"version": 1, "files": {"x": _LOCK}})], lambda path: LockFile(path).pins()
    ),
}


def _as_pickle(path: Path) -> Path:
    """JSON as the pickle of the same values: what is fuzzed is the values, not the encoding."""
    target = path.with_suffix(".p")
    try:
        target.write_bytes(pickle.dumps(read_json(path), protocol=2))
    except RecursionError as error:
        raise SscError("too deep to be written as a pickle") from error
    return target


def read_one(target: Target, path: Path) -> str:
    """Read a file: "taken", or "refused" for an SscError. Everything else escapes."""
    try:
        target.read(path)
    except SscError as error:
        assert str(error)
        return "refused"
    return "taken"
