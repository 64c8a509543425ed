"""``ssc export``: masks and selections for other tools."""

from __future__ import annotations

from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ssc_core.errors import SscError

if TYPE_CHECKING:
    from ssc_core.masks.exchange import LeftOut


class Layout(StrEnum):
    """What to write."""

    coco = "coco"
    png = "png"
    fiftyone = "fiftyone"


def export(
    masks: Annotated[Path, typer.Argument(help="masks.h5 (all candidates) or selected.h5.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="coco: a .json file; png and fiftyone: a folder.")],
    to: Annotated[
        Layout,
        typer.Option(help="COCO instances JSON, pseudo_gt_mask_{ref_id}.png files, or a folder that FiftyOne reads."),
    ] = Layout.coco,
    refs: Annotated[
        Path | None, typer.Option(help="refs.parquet of the dataset. Default: the one above the split's folder.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="fiftyone: folder of the photos.")] = None,
) -> None:
    """Write masks.h5 or selected.h5 as COCO JSON, as PNG files in the published naming, or for FiftyOne."""
    from ssc_core.files import write_json
    from ssc_core.masks.coco_json import write_fiftyone
    from ssc_core.masks.exchange import LeftOut

    _check(to, out, images)
    if to is Layout.png:
        _export_pngs(masks, out)
        return
    left_out = LeftOut()
    content = _coco(masks, refs or masks.resolve().parent.parent / "refs.parquet", left_out)
    if images is not None and to is Layout.fiftyone:
        write_fiftyone(content, images, out)
    else:
        write_json(out, content)
    print(f"{len(content['annotations'])} masks of {len(content['images'])} photos in {out}")
    for line in left_out.lines():
        print(f"left out, {line}")


def _check(to: Layout, out: Path, images: Path | None) -> None:
    """Raise SscError for a place that cannot be meant."""
    if to is Layout.fiftyone and images is None:
        raise SscError("--to fiftyone needs --images, the folder of the photos")
    if images is not None and not images.is_dir():
        raise SscError(f"--images {images} is no folder; name the folder of the photos")
    if to is Layout.coco and (out.suffix.lower() != ".json" or out.is_dir()):
        raise SscError(f"--out {out}: COCO annotations are a file that ends in .json (--to png writes a folder)")
    if to is not Layout.coco and out.exists() and not out.is_dir():
        raise SscError(f"--out {out} is a file; --to {to.value} writes a folder")


def _export_pngs(masks: Path, out: Path) -> None:
    from ssc_core.masks.exchange import listed, open_masks
    from ssc_core.masks.png_folder import write_pngs

    with open_masks(masks) as store:
        counts = write_pngs(store, out)
    print(f"{counts.refs} masks in {out}")
    if counts.empty:
        print(f"without a mask, so black: {len(counts.empty)} refs ({listed(counts.empty)})")
    if counts.lossy:
        print(
            f"left out, what a later candidate covers of an earlier one: {len(counts.lossy)} refs "
            f"({listed(counts.lossy)})"
        )


def _coco(masks: Path, table: Path, left_out: LeftOut) -> dict[str, Any]:
    """COCO instances of a store, with the classes of the dataset, or those that Segment looked for."""
    from ssc_core.masks.coco_json import coco_instances
    from ssc_core.masks.exchange import annotated_images, open_masks
    from ssc_core.masks.store import MaskStore
    from ssc_core.refer.ref_table import read_categories, read_refs

    with ExitStack() as stack:
        store = open_masks(masks)
        stack.enter_context(store)
        if not table.is_file():
            raise SscError(f"{table} is not there; name the dataset's refs.parquet with --refs")
        beside = masks.resolve().parent / "masks.h5"
        candidates = None
        if not isinstance(store, MaskStore) and beside.is_file():
            candidates = stack.enter_context(MaskStore.open(beside))
        images = annotated_images(store, read_refs(table), candidates=candidates, left_out=left_out)
        classes = read_categories(table) or dict(enumerate(store.info.class_names, start=1))
        return coco_instances(images, classes, left_out)
