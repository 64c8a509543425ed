"""``ssc review``: a local web page on which a person settles the doubtful refs, keyboard first."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from ssc_core.cli.compare import nearest, open_run
from ssc_core.cli.inspect import images_folder
from ssc_core.errors import SscError


def review(
    folder: Annotated[
        Path, typer.Argument(help="Folder of a split, such as results/refcoco/train, or one that `ssc label` made.")
    ],
    reviews: Annotated[
        Path | None, typer.Option(help="File of the decisions. Default: reviews.csv in the dataset's folder.")
    ] = None,
    who: Annotated[str | None, typer.Option(help="Whose decisions they are. Default: the name of this user.")] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the photos, where they are not where the config had them.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0 takes a free one.")] = 0,
) -> None:
    """A web page of the refs of a split, the most doubtful first: 1 to 9 chooses, 0 says none, S skips, Z undoes.

    Every decision is saved at once; what was decided is chosen, and trained on, when the workflow runs again. The page
    is for this machine alone, under the address that is printed.
    """
    from getpass import getuser

    from ssc_core.refer.ref_table import open_photos
    from ssc_core.review.queue import Queue
    from ssc_core.review.server import ReviewServer

    split = _split(folder)
    refs = nearest(split, "refs.parquet")
    decisions = reviews or refs.parent / "reviews.csv"
    with ExitStack() as stack:
        run = open_run(stack, split, split.name)
        queue = Queue(run, open_photos(refs, images or images_folder(refs.parent)), decisions)
        server = stack.enter_context(ReviewServer(queue, who or getuser(), port))
        print(f"{server.url}\ndecisions: {decisions}  (Ctrl+C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


def _split(folder: Path) -> Path:
    """The folder of a split that has been selected: the one named, or the only one below it."""
    if not folder.is_dir():
        raise SscError(f"{folder} is no folder")
    if (folder / "selected.h5").is_file():
        return folder
    found = sorted(
        path.parent for pattern in ("*", "results/labels/*") for path in folder.glob(f"{pattern}/selected.h5")
    )
    if not found:
        raise SscError(f"{folder} has no selected.h5; name the folder of a split, such as results/refcoco/train")
    if len(found) > 1:
        raise SscError(f"{folder} has several splits; name one of them: {', '.join(map(str, found))}")
    return found[0]
