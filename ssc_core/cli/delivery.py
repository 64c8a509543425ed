"""What ``ssc label`` leaves: from the workflow's results to files for people and for other tools."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from ssc_core.config.settings import Settings
from ssc_core.config.toys import ON_PHOTOS, label_stages, toys_of
from ssc_core.exchange.annotations import AnnotatedImage, Export, LeftOut, annotated_images
from ssc_core.exchange.formats import FORMATS
from ssc_core.files import read_json
from ssc_core.refer.index import NO_TRUTH
from ssc_core.refer.ref_table import open_photos, refs_by_photo
from ssc_core.registry import REGISTRY
from ssc_core.report.checklist import draw_overlays, remove_overlays, write_checklist
from ssc_core.report.label_rows import Labels
from ssc_core.report.labels_page import Pages, remove_pages
from ssc_core.report.run import open_run
from ssc_core.wording import counted


def deliver(settings: Settings, photos: Path, out: Path, splits: list[str], *, dataset: str, train: str) -> None:
    """Write labels.json, pages, overlays and check.csv of a dataset whose results lie in ``out``; say where, and how to
    go on. train: the command that trains on them."""
    folder = out / "results" / dataset
    table, left_out = folder / "refs.parquet", LeftOut()
    reader = open_photos(table, photos)
    world = ON_PHOTOS if toys_of(settings, label_stages(settings)) else "files"
    labelled: list[Labels] = []
    pages: list[Path] = []
    drawn: set[str] = set()
    with ExitStack() as stack:
        _remove_old_pages(out, folder, splits)
        names: dict[str, None] = {}
        for split in splits:
            run = open_run(stack, folder / split, split)
            labels = Labels(run, photos=reader)
            labelled.append(labels)
            drawn |= draw_overlays(run, labels.rows(), reader, out)
            page = page_of(split, splits)
            pages.append(out / f"{page}.html")
            Pages([labels], reader.or_grey, split, str(folder), world).write(pages[-1], out / page)
            names |= dict.fromkeys(run.masks.info.class_names)
        remove_overlays(out, drawn)
        export = Export(
            images=once(labelled, left_out),
            store=run.selected,
            categories=dict(enumerate(names, start=1)),
            split=splits[0],
            photos=photos,
            left_out=left_out,
        )
        FORMATS["coco"].write(export, out / "labels.json")
    doubtful = write_checklist(labelled, drawn, out / "check.csv")
    empty = sum(int((labels.to_check & (labels.numbers["chosen"] < 0)).sum()) for labels in labelled)
    rows = sum(map(len, labelled))
    print(
        f"\n{counted(export.taken.masks, 'mask')} for {counted(rows, 'row')}: {out}/labels.json (COCO)\n"
        f"{counted(doubtful, 'row')} to check, {empty} of them without a mask: {out}/check.csv\n"
        f"to look at: {', '.join(map(str, pages))}\n"
        f"to decide:  {_review_command(settings, out, splits, dataset)}\n"
        f"to train:   {train}"
    )
    if unfit := {line for labels in labelled for line in labels.run.selected.unfit}:
        fit, to_do = "fits" if len(unfit) == 1 else "fit", _review_command(settings, out, splits, dataset, "--list")
        print(f"{counted(len(unfit), 'decision')} that {fit} nothing any more: {to_do}")
    make = shlex.join(["ssc", "run", "--configfile", str(out / "config.yaml"), "--"])
    for labels in labelled:
        labels.run.tell_stale(make)
    for line in left_out.lines():
        print(f"left out, {line}")
    for note in read_json(folder / "data.json")["notes"]:
        if not note.endswith(NO_TRUTH):  # nobody expects any
            print(f"of the table, {note}")


def page_of(split: str, splits: Sequence[str]) -> str:
    """What a split's overview is called, and the folder of its pages."""
    return "labels" if len(splits) == 1 else f"labels_{split}"


def _remove_old_pages(out: Path, folder: Path, splits: Sequence[str]) -> None:
    """Pages of the splits that an earlier table had."""
    earlier = {"labels", *(f"labels_{path.parent.name}" for path in folder.glob("*/selected.h5"))}
    for page in earlier - {page_of(split, splits) for split in splits}:
        remove_pages(out / f"{page}.html", out / page)


def _review_command(settings: Settings, out: Path, splits: Sequence[str], dataset: str, *more: str) -> str:
    """It runs a plug-in only where a config that was named has it."""
    folder = out if len(splits) == 1 else out / "results" / dataset / splits[0]
    plug_in = settings.segment.backend.name not in REGISTRY
    config = ["--config", str(out / "config.yaml")] if plug_in else []
    return shlex.join(["ssc", "review", *more, str(folder), *config])


def once(labelled: Sequence[Labels], left_out: LeftOut) -> Iterator[AnnotatedImage]:
    """The photos of some splits with what Select says of their masks. One that several splits name comes once, with the
    masks of all."""
    photos = [labels.run.selected.image_ids for labels in labelled]
    for first, own in enumerate(photos):
        own = own[~np.isin(own, np.concatenate([own[:0], *photos[:first]]))]
        splits = [own, *(own[np.isin(own, others)] for others in photos[first + 1 :])]
        images = [_with_scores(labels, of, left_out) for labels, of in zip(labelled[first:], splits, strict=True)]
        named_by = zip(*(np.isin(own, of).tolist() for of in splits), strict=True)
        for here in named_by:
            of_splits = [next(one) for one, names_it in zip(images, here, strict=True) if names_it]
            yield replace(of_splits[0], annotations=[one for image in of_splits for one in image.annotations])


def _with_scores(labels: Labels, photos: np.ndarray, left_out: LeftOut) -> Iterator[AnnotatedImage]:
    """Some photos of a split, whose annotations say how sure Select was."""
    run = labels.run
    refs = refs_by_photo(run.table, photos, run.split)
    for image in annotated_images(run.selected, refs, candidates=run.masks, left_out=left_out):
        for annotation in image.annotations:
            annotation.about.update(labels.certainty(annotation.about["ref_id"], annotation.choice))
        yield image
