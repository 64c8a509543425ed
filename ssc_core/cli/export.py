"""``ssc export``: masks and selections for other tools."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssc_core.errors import SscError
from ssc_core.exchange.formats import FORMATS, Format, named
from ssc_core.wording import counted

if TYPE_CHECKING:
    from ssc_core.exchange.annotations import AnnotatedImage
    from ssc_core.masks.columnar import StoreInfo
    from ssc_core.masks.selection import SelectionStore
    from ssc_core.masks.store import MaskStore

_FORMATS_HELP = "; ".join(f"{name}: {one.about}" for name, one in FORMATS.items())


def export(
    masks: Annotated[Path, typer.Argument(help="masks.h5 (all candidates) or selected.h5.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="A .json or .xml file (coco, cvat), else a new folder.")],
    to: Annotated[str, typer.Option(metavar="FORMAT", help=f"{_FORMATS_HELP}.")] = "coco",
    refs: Annotated[
        Path | None, typer.Option(help="refs.parquet of the dataset. Default: the one above the split's folder.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the photos, which yolo, labelme, fiftyone and hf take along.")
    ] = None,
) -> None:
    """Write masks.h5 or selected.h5 in a format of other tools. What it leaves out is said by name."""
    form = named(to, FORMATS)
    if not masks.is_file():
        raise SscError(f"{masks} does not exist; name a masks.h5 or selected.h5")
    _check(to, form, out, images)
    table = refs or masks.resolve().parent.parent / "refs.parquet"
    if form.refs and not table.is_file():
        raise SscError(f"{table} is not there; name the dataset's refs.parquet with --refs")
    _write(form, masks, table, out, images)


def _check(to: str, form: Format, out: Path, images: Path | None) -> None:
    """Raise SscError for a place that cannot be meant."""
    if form.photos and images is None:
        raise SscError(f"--to {to} needs --images, the folder of the photos")
    if images is not None and not images.is_dir():
        raise SscError(f"--images {images} is no folder; name the folder of the photos")
    if form.suffix and (out.suffix.lower() != form.suffix or out.is_dir()):
        raise SscError(f"--out {out}: --to {to} writes a file that ends in {form.suffix}")
    if not form.suffix and out.exists() and not out.is_dir():
        raise SscError(f"--out {out} is a file; --to {to} writes a folder")


def _write(form: Format, masks: Path, table: Path, out: Path, images: Path | None) -> None:
    """Write, and say what was written and what was not."""
    from ssc_core.exchange.annotations import Export, LeftOut, annotated_images, of_their_size, open_masks
    from ssc_core.masks.store import MaskStore
    from ssc_core.refer.ref_table import open_photos, read_categories, refs_by_photo
    from ssc_core.refer.refs_digest import TableRefs

    left_out = LeftOut()
    with ExitStack() as stack:
        store = open_masks(masks)
        stack.enter_context(store)
        beside = masks.resolve().parent / "masks.h5"
        candidates = None
        if not isinstance(store, MaskStore) and beside.is_file():
            candidates = stack.enter_context(MaskStore.open(beside))
        if table.is_file():
            TableRefs(table).check(store, *([] if candidates is None else [candidates]))
        annotated: Iterable[AnnotatedImage] = ()
        categories = {}
        if form.refs:
            photos = refs_by_photo(table, store.image_ids)
            annotated = annotated_images(store, photos, candidates=candidates, left_out=left_out)
            categories = read_categories(table) or dict(enumerate(store.info.class_names, start=1))
        if form.photos and images is not None:
            annotated = of_their_size(annotated, open_photos(table, images, store.image_ids))
        export_ = Export(
            images=annotated,
            store=store,
            categories=categories,
            split=masks.resolve().parent.name,
            photos=images or Path(),
            left_out=left_out,
            made_by=dict(_made_by(masks, store, candidates)),
        )
        form.write(export_, out)
        taken = export_.taken
        written = f"{counted(taken.masks, 'mask')} of {counted(taken.photos, 'photo')}"
        print(f"{written if form.refs else counted(len(store), 'picture')} in {out}")
    for line in left_out.lines():
        print(f"left out, {line}")
    if dropped := taken.keys - form.keeps:
        print(f"left out, of every mask, since the format has no place for it: {', '.join(sorted(dropped))}")


def _made_by(
    masks: Path, store: MaskStore | SelectionStore, candidates: MaskStore | None
) -> Iterator[tuple[str, StoreInfo]]:
    """What made the candidates, the scores that Select chose by, and the file that is written, by their names."""
    from ssc_core.config.labelling import DEFAULT_SCORER, SelectSettings
    from ssc_core.masks.selection import ScoreStore

    if candidates is not None:
        yield "masks.h5", candidates.info
    weights = store.info.settings.get("weights")  # Select's alone
    for scorer in () if weights is None else SelectSettings(weights=weights).scorers:
        file = masks.with_name("scores.h5" if scorer == DEFAULT_SCORER else f"scores_{scorer}.h5")
        if file.is_file():
            with ScoreStore(file) as scores:
                yield file.name, scores.info
    yield masks.name, store.info
