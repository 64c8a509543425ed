"""``ssc review``: a local web page on which a person settles the doubtful refs, keyboard first."""

from __future__ import annotations

import signal
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ssc_core.cli.inspect import images_folder
from ssc_core.cli.predict import Device, Threads
from ssc_core.errors import SscError
from ssc_core.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ssc_core.config.base import Backend
    from ssc_core.report.run import Run

Order = Literal["doubt", "margin", "sentences", "scorers", "network", "table"]


def review(
    folder: Annotated[
        Path, typer.Argument(help="Folder of a split, such as results/refcoco/train, or one that `ssc label` made.")
    ],
    order: Annotated[
        Order,
        typer.Option(
            help="What comes first: doubt (margin, scorers and network together), one sign, or the table's order."
        ),
    ] = "doubt",
    listed: Annotated[
        bool, typer.Option("--list", help="List the decisions that fit no candidate, photo or ref any more, and end.")
    ] = False,
    config: Annotated[
        list[Path] | None,
        typer.Option("--config", "-c", help="Config file: of a plug-in that draws (D), and of where decisions lie."),
    ] = None,
    reviews: Annotated[
        Path | None,
        typer.Option(help="File of the decisions. Default: as --config says, or reviews.csv in the dataset's folder."),
    ] = None,
    who: Annotated[str | None, typer.Option(help="Whose decisions they are. Default: the name of this user.")] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the photos, where they are not where the config had them.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0 takes a free one.")] = 0,
    device: Device = "auto",
    threads: Threads = 2,
) -> None:
    """A web page of the refs of a split, the most doubtful first: 1 to 9 chooses, 0 says none, D draws, U uploads.

    Every decision is saved at once; what was decided is chosen, and trained on, when the workflow runs again. The page
    is for this machine alone, under the address that is printed.
    """
    from ssc_core.masks.reviews import this_user
    from ssc_core.refer.ref_table import open_photos
    from ssc_core.report.run import nearest, open_run
    from ssc_core.review.queue import Queue
    from ssc_core.review.server import ReviewServer

    split = _split(folder)
    refs = nearest(split, "refs.parquet")
    decisions = reviews or _place_of_decisions(refs.parent, config)
    with ExitStack() as stack:
        run = open_run(stack, split, split.name)
        if listed:
            with suppress(SscError):  # without the photos, nobody knows whether they are others
                images = images or images_folder(refs.parent)
            _list_unfit(decisions, refs, run, images)
            return
        run.tell_stale()
        _check_order(order, run, split)
        load = _segmenter(run, config, device, threads)
        queue = Queue(run, open_photos(refs, images or images_folder(refs.parent)), decisions, order, load)
        server = stack.enter_context(ReviewServer(queue, who or this_user(), port))
        print(f"{server.url}\ndecisions: {decisions}  (Ctrl+C ends it)", flush=True)
        for number in (signal.SIGINT, signal.SIGTERM):  # a shell has what a script starts with & ignore the first
            signal.signal(number, signal.default_int_handler)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


def _place_of_decisions(dataset: Path, config: Sequence[Path] | None) -> Path:
    """reviews.csv of a dataset's folder, or where the config has it: the workflow reads no other."""
    from ssc_core.cli.config_files import read_config

    named = read_config(config).datasets.get(dataset.resolve().name) if config else None
    return Path(named.reviews) if named is not None and named.reviews else dataset / "reviews.csv"


def _check_order(order: Order, run: Run, split: Path) -> None:
    """Raise SscError for an order by a sign that there is not."""
    if order == "scorers" and len(run.scorers) < 2:
        raise SscError(
            f"--order scorers: there is one scorer's file in {split}, not several: add another to `scorers` "
            "(docs/select.md)"
        )
    if order == "network" and run.network is None:
        raise SscError(
            f"--order network: {split} has no chosen_corrected.h5 of its refs, and its dataset no evaluation of a "
            f"network: make one, snakemake {split}/chosen_corrected.h5"
        )


def _list_unfit(decisions: Path, refs: Path, run: Run, images: Path | None) -> None:
    """Decisions that nothing fits any more, by ref, photo and sentence, and what to do."""
    from ssc_core.select.decisions import read_decisions

    if not decisions.is_file():
        raise SscError(f"{decisions} does not exist: nobody decided anything yet")
    unfit = read_decisions(decisions, refs, run.masks, merged=run.scores.merged_masks, images=images).unfit
    ids = {one.review.ref_id for one in unfit}
    known = {ref.ref_id: ref for ref in run.refs() if ref.ref_id in ids}
    for one in unfit:
        ref = known.get(one.review.ref_id)
        said = " | ".join(ref.sentences) if ref is not None else ""
        by = f", by {one.review.who}" if one.review.who else ""
        print(f"{one}\n    sentences: {said or '(of no ref here)'}\n    decided:   {one.review.decision}{by}")
        print(f"    to do:     {one.todo}")
    fit = "fits" if len(unfit) == 1 else "fit"
    found = f"{counted(len(unfit), 'decision')} of {decisions} {fit} nothing any more"
    print(found if unfit else f"all of {decisions} fit")


def _segmenter(run: Run, config: Sequence[Path] | None, device: str, threads: int) -> Callable[[], Any]:
    """Makes what turns boxes into masks: that of ``--config``, else the one that made the masks.

    A store may come from anywhere, and a plug-in is code: none runs unless a config that was named here names it.
    """

    def load() -> Any:
        from ssc_core.backends import Segmenter, load_backend

        backend = _named(config) if config else _recorded(run)
        try:
            return load_backend(backend.name, backend.settings, Segmenter, device=device, threads=threads)
        except SscError as error:
            raise SscError(
                f"No box can be drawn, the segmenter cannot be loaded: {error}. Upload masks (U)."
            ) from error

    return load


def _named(config: Sequence[Path]) -> Backend:
    from ssc_core.cli.config_files import read_config

    return read_config(config, find_models=True).segment.backend


def _recorded(run: Run) -> Backend:
    """The backend that made the masks. Raises SscError for code of others."""
    from pydantic import ValidationError

    from ssc_core.checkout import find_paths
    from ssc_core.config.base import Backend
    from ssc_core.registry import REGISTRY

    settings = run.masks.info.settings.get("segment", {})
    hint = "name the config that has it: ssc review --config FILE. Or upload masks (U)."
    try:
        backend = Backend.model_validate(settings["backend"])
    except (KeyError, TypeError, ValidationError) as error:
        raise SscError(f"{run.masks.path} does not say which segmenter made it; {hint}") from error
    if backend.name not in REGISTRY:
        raise SscError(f"The segmenter '{backend.name:.100}' is a plug-in, and runs only where you name it; {hint}")
    return backend.model_copy(update={"settings": find_paths(dict(backend.settings))})


def _split(folder: Path) -> Path:
    """The folder of a split that has been selected: the one named, or the only one below it that the RefTable has."""
    from ssc_core.refer.ref_table import read_refs
    from ssc_core.report.run import nearest

    if not folder.is_dir():
        raise SscError(f"{folder} is no folder")
    if (folder / "selected.h5").is_file():
        return folder
    found = sorted(
        path.parent for pattern in ("*", "results/labels/*") for path in folder.glob(f"{pattern}/selected.h5")
    )
    if not found:
        raise SscError(f"{folder} has no selected.h5; name the folder of a split, such as results/refcoco/train")
    if len(found) > 1:  # of what an earlier table had, the table of now knows nothing
        refs = read_refs(nearest(found[0], "refs.parquet"), columns=("split",))
        found = [path for path in found if path.name in refs["split"].unique()] or found
    if len(found) > 1:
        raise SscError(f"{folder} has several splits; name one of them: {', '.join(map(str, found))}")
    return found[0]
