"""``ssc import``: masks that were made elsewhere, for training here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssc_core.errors import SscError

if TYPE_CHECKING:
    from ssc_core.masks.png_folder import Counts


def import_(
    out: Annotated[Path, typer.Argument(help="Folder of the split, such as results/refcoco/train.")],
    candidates: Annotated[
        Path | None, typer.Option(help="Folder of pseudo_gt_mask_{ref_id}.png with all candidates of a ref.")
    ] = None,
    selected: Annotated[
        Path | None, typer.Option(help="Folder of pseudo_gt_mask_{ref_id}.png, one mask per ref.")
    ] = None,
    refs: Annotated[
        Path | None, typer.Option(help="refs.parquet of the dataset. Default: the one in the folder above OUT.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split that the masks are of. Default: the name of OUT.")] = None,
) -> None:
    """Write masks.h5 and selected.h5 from PNG files in the published naming.

    With --selected alone, the selected masks are the only candidates. Existing files are never overwritten.
    """
    from ssc_core.masks.png_folder import import_masks, import_selection
    from ssc_core.masks.store import MaskStore

    source = candidates or selected
    if source is None:
        raise SscError("nothing to import: name --candidates FOLDER, --selected FOLDER or both")
    made = [out / "masks.h5", *([out / "selected.h5"] if selected else [])]
    if existing := [path for path in made if path.exists()]:
        raise SscError(f"{existing[0]} exists; remove it, or import into another folder")
    for folder in filter(None, (candidates, selected)):
        if not folder.is_dir():
            raise SscError(f"{folder} is no folder; name one with pseudo_gt_mask_{{ref_id}}.png files")
    table = refs or out.resolve().parent / "refs.parquet"
    if not table.is_file():
        raise SscError(f"{table} is not there; name the dataset's refs.parquet with --refs")
    members = _members(table, split or out.resolve().name)
    _tell(import_masks(members, source, made[0]), made[0], "candidates")
    if selected:
        try:
            with MaskStore.open(made[0], with_masks=True) as store:
                _tell(import_selection(members, selected, store, made[1]), made[1], "a choice")
        except BaseException:
            made[0].unlink()  # else the same command, once mended, would find it in its way
            raise


def _tell(counts: Counts, made: Path, what: str) -> None:
    """Say what was read, and which refs have nothing now, and why."""
    from ssc_core.masks.exchange import listed

    print(f"{counts.refs} pictures: {made}")
    for reason, ref_ids in {
        "without a picture": counts.missing,
        f"with a picture without {what}": counts.empty,
    }.items():
        if ref_ids:
            print(f"refs {reason}: {len(ref_ids)} ({listed(ref_ids)})")


def _members(refs: Path, split: str):
    from ssc_core.masks.exchange import NO_CATEGORY
    from ssc_core.masks.png_folder import ImportedRef
    from ssc_core.refer.ref_table import read_refs, refs_by_image

    return [
        ImportedRef(ref.ref_id, image_id, (ref.height, ref.width), ref.category or NO_CATEGORY)
        for image_id, members in refs_by_image(read_refs(refs, split)).items()
        for ref in members
    ]
