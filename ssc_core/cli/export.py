"""``ssc export``: masks and selections for other tools."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ssc_core.errors import SscError


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
    from ssc_core.masks.coco_json import coco_instances, write_fiftyone
    from ssc_core.masks.exchange import annotated_images, open_masks
    from ssc_core.masks.png_folder import write_pngs
    from ssc_core.refer.ref_table import read_categories, read_refs

    if to is Layout.fiftyone and images is None:
        raise SscError("--to fiftyone needs --images, the folder of the photos")
    with open_masks(masks) as store:
        if to is Layout.png:
            counts = write_pngs(store, out)
            print(f"{counts.refs} masks in {out}, {counts.empty} of them empty")
            if counts.lossy:
                print(
                    f"{counts.lossy} refs have candidates that overlap: their pictures keep the later one of each pixel"
                )
            return
        table = refs or masks.resolve().parent.parent / "refs.parquet"
        content = coco_instances(annotated_images(store, read_refs(table)), read_categories(table))
    if images is not None and to is Layout.fiftyone:
        write_fiftyone(content, images, out)
    else:
        write_json(out, content)
    print(f"{len(content['annotations'])} masks of {len(content['images'])} photos in {out}")
