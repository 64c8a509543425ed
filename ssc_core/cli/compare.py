"""``ssc compare``: the labels of two runs side by side."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from ssc_core.cli.inspect import images_folder
from ssc_core.errors import SscError
from ssc_core.wording import counted


def compare(
    first: Annotated[Path, typer.Argument(help="Folder of a split, such as results/mine/train.")],
    second: Annotated[
        Path, typer.Argument(help="The same split of another run, such as results/mine/score.prompt=crop/train.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="HTML file; its pages go into a folder of the same name.")
    ] = Path("compare.html"),
    images: Annotated[
        Path | None, typer.Option(help="Folder of the photos, where they are not where the config had them.")
    ] = None,
) -> None:
    """Show what two runs chose for the same refs, and where they differ. No truth is needed."""
    from ssc_core.files import read_json
    from ssc_core.refer.ref_table import open_photos
    from ssc_core.report.label_rows import Labels
    from ssc_core.report.labels_page import Pages
    from ssc_core.report.run import nearest, open_run

    pages_folder = out.with_suffix("")
    if out.suffix.lower() != ".html":
        raise SscError(f"--out {out}: a page ends in .html")
    if pages_folder.exists() and not out.exists():
        raise SscError(f"{pages_folder} exists, where the pages of {out} go; choose another name")
    dataset = nearest(first, "refs.parquet").parent
    with ExitStack() as stack:
        runs = [
            open_run(stack, folder, name) for folder, name in zip((first, second), _names(first, second), strict=True)
        ]
        for run in runs:
            run.tell_stale()
        photos = open_photos(dataset / "refs.parquet", images or images_folder(dataset)).or_grey
        world = read_json(dataset / "data.json").get("world", "files")
        pages = Pages([Labels(run) for run in runs], photos, first.name, "", world)
        pages.write(out, pages_folder)
    print(f"{out}: {counted(len(pages), 'row')}")


def _names(*folders: Path) -> list[str]:
    """What tells the folders apart: without what all of them are in."""
    paths = [folder.resolve() for folder in folders]
    shared = Path(os.path.commonpath([path.parent for path in paths]))
    return [path.relative_to(shared).as_posix() for path in paths]
