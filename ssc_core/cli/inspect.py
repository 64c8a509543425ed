"""``ssc inspect``: one ref as a picture, from what the workflow has left in a results folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssc_core.errors import SscError
from ssc_core.wording import counted

if TYPE_CHECKING:
    from ssc_core.report.ref_view import RefView


def inspect(
    results: Annotated[Path, typer.Argument(help="Results folder of a dataset, such as results/refcoco.")],
    split: Annotated[str, typer.Argument(help="Its split, such as val.")],
    ref_id: Annotated[int, typer.Argument(metavar="REF", help="Id of the ref.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="PNG to write. Default: ref-REF.png", show_default=False)
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the photos, where they are not where the config had them.")
    ] = None,
) -> None:
    """Draw a ref: photo, candidates, the score of every sentence, the choice, and the truth when it is known.

    What has not been made yet, such as scores or the choice, is left out of the picture.
    """
    picture = out or Path(f"ref-{ref_id}.png")
    if picture.suffix.lower() != ".png":
        raise SscError(f"{picture}: pictures are written as PNG; choose a name that ends in .png")
    from ssc_core.report.ref_view import render_ref
    from ssc_core.report.sheet import write_picture

    write_picture(picture, render_ref(open_ref(results, split, ref_id, images=images)))
    print(picture)


def open_ref(results: Path, split: str, ref_id: int, *, images: Path | None = None) -> RefView:
    """What a dataset's results folder knows of a ref. Arguments as in ``inspect``.

    Raises SscError for a folder, split or ref that does not exist, and for photos that are elsewhere.
    """
    from ssc_core.refer.ref_table import read_refs
    from ssc_core.report.ref_view import read_view

    refs, folder = results / "refs.parquet", results / split
    if not refs.is_file():
        raise SscError(f"{results} holds no dataset (no refs.parquet); name the dataset's folder, as results/refcoco")
    table = read_refs(refs)
    splits: dict[int, str] = dict(zip(table["ref_id"].tolist(), table["split"].tolist(), strict=True))
    _check_ref(splits, split, ref_id, refs)
    if not (folder / "masks.h5").is_file():
        chosen = folder / "selected.h5"
        raise SscError(f"{folder} has no candidates yet; make them, by `ssc label` or `snakemake {chosen}`")
    return read_view(
        ref_id,
        refs=refs,
        images=images or images_folder(results),
        masks=folder / "masks.h5",
        scores=sorted(folder.glob("scores.h5")) + sorted(folder.glob("scores_*.h5")),
        selected=_existing(folder / "selected.h5"),
        truth=_existing(results / "truth.h5"),
    )


def _check_ref(split_of: dict[int, str], split: str, ref_id: int, refs: Path) -> None:
    """Say what is wrong with a split or a ref, and what there is instead."""
    splits = list(dict.fromkeys(split_of.values()))
    if split not in splits:
        raise SscError(f"{refs} has no split '{split}'; it has {', '.join(splits)}")
    if ref_id not in split_of:
        known = [ref for ref, of in split_of.items() if of == split]
        some = ", ".join(map(str, known[:5]))
        raise SscError(f"{refs} has no ref {ref_id}; split '{split}' has {counted(len(known), 'ref')}, such as {some}")
    if split_of[ref_id] != split:
        raise SscError(f"ref {ref_id} is in split '{split_of[ref_id]}', not in '{split}'")


def images_folder(results: Path) -> Path:
    """Where the photos lay when the dataset was indexed, as data.json says."""
    from ssc_core.config.sources import DatasetSource
    from ssc_core.files import read_json

    source = json.loads(read_json(results / "data.json")["identity"])["source"]
    if source["layout"] == "micro":
        source = {**source, "layout": "refer", "root": results / "world"}
    folder = DatasetSource.model_validate(source).images_folder
    if not folder.is_dir():
        raise SscError(
            f"the photos of {results} were in {folder}, which is not there. Run this where Snakemake was run, or say "
            "where they are: --images FOLDER"
        )
    return folder


def _existing(path: Path) -> Path | None:
    return path if path.is_file() else None
