"""``ssc import``: masks that were made elsewhere, for training here."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssc_core.cli.inspect import images_folder
from ssc_core.errors import SscError
from ssc_core.exchange.formats import FORMATS, READ, check_place, named, recognised
from ssc_core.files import atomic_path
from ssc_core.locks import only_process
from ssc_core.signals import held_back
from ssc_core.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ssc_core.exchange.annotations import LeftOut
    from ssc_core.exchange.foreign import Photo
    from ssc_core.exchange.incoming import Found

_FROM_HELP = "; ".join(f"{name}: {FORMATS[name].about}" for name in READ)


def import_(
    out: Annotated[Path, typer.Argument(help="Folder of the split, such as results/refcoco/train.")],
    candidates: Annotated[
        Path | None, typer.Option(help="File or folder with all candidates of the refs: makes masks.h5.")
    ] = None,
    selected: Annotated[
        Path | None, typer.Option(help="File or folder with one mask per ref: makes selected.h5.")
    ] = None,
    decisions: Annotated[
        Path | None, typer.Option(help="File or folder with masks that people chose or drew: lines of --reviews.")
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="File or folder with true masks: added to truth.h5 in the folder above OUT.")
    ] = None,
    form: Annotated[
        str | None,
        typer.Option("--from", metavar="FORMAT", help=f"{_FROM_HELP}. Default: what it looks like."),
    ] = None,
    refs: Annotated[
        Path | None, typer.Option(help="refs.parquet of the dataset. Default: the one in the folder above OUT.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split that the masks are of. Default: the name of OUT.")] = None,
    reviews: Annotated[
        Path | None, typer.Option(help="File of the decisions. Default: reviews.csv in the folder above OUT.")
    ] = None,
    who: Annotated[str | None, typer.Option(help="Whose decisions they are. Default: the name of this user.")] = None,
) -> None:
    """Read masks of other tools: as candidates, as choices, as people's decisions, or as ground truth.

    A mask says which refs it is of as `ssc export` writes them. One that does not is a candidate of all refs of its
    photo; a choice, a decision or a truth it is where its photo has one ref and one mask. With --selected alone, the
    selected masks are the only candidates. masks.h5 and selected.h5 are never overwritten.
    """
    if not any((candidates, selected, decisions, truth)):
        raise SscError("nothing to import: name a file or folder with --candidates, --selected, --decisions or --truth")
    for source in filter(None, (candidates, selected, decisions, truth)):
        if not source.exists():
            raise SscError(f"{source} does not exist; name a file or folder of masks")
    _check_absent(_made(out, candidates, selected))
    above = out.resolve().parent
    task = _Import(out, form, refs or above / "refs.parquet", split or out.resolve().name)
    if candidates or selected:
        task.masks(candidates, selected)
    if decisions:
        task.decisions(decisions, reviews or above / "reviews.csv", who)
    if truth:
        task.truth(truth, above / "truth.h5")


def _made(out: Path, candidates: Path | None, selected: Path | None) -> list[Path]:
    return [out / "masks.h5"] * bool(candidates or selected) + [out / "selected.h5"] * bool(selected)


def _check_absent(made: Sequence[Path]) -> None:
    if existing := [path for path in made if path.exists()]:
        raise SscError(f"{existing[0]} exists; remove it, or import into another folder")


class _Import:
    """What the parts of one command share."""

    def __init__(self, out: Path, form: str | None, table: Path, split: str) -> None:
        from ssc_core.exchange.incoming import photos_of

        if not table.is_file():
            raise SscError(f"{table} is not there; name the dataset's refs.parquet with --refs")
        self.out, self.form, self.table = out, form, table
        self.photos, self.others = photos_of(table, split)

    def masks(self, candidates: Path | None, selected: Path | None) -> None:
        """masks.h5 and, from ``selected``, selected.h5: both or none, and neither over another one."""
        from ssc_core.exchange.incoming import write_candidates, write_selection
        from ssc_core.masks.store import MaskStore

        source = candidates or selected
        assert source is not None
        made = _made(self.out, candidates, selected)
        with only_process(self.out / "masks.h5.importing", wait=False) as alone, ExitStack() as stack:
            if not alone:
                raise SscError(f"another process is importing into {self.out}; wait for it, or stop it")
            _check_absent(made)  # once more: another process may have made them meanwhile
            masks = stack.enter_context(atomic_path(made[0]))
            self._read(
                source,
                False,
                "mask",
                made[0],
                lambda photos, found, over: write_candidates(photos, found, masks, over, source=source.name),
            )
            if selected:
                chosen = stack.enter_context(atomic_path(made[1]))
                with MaskStore.open(masks, with_masks=True) as store:
                    self._read(
                        selected,
                        True,
                        "choice",
                        made[1],
                        lambda photos, found, over: write_selection(
                            photos, found, store, chosen, over, source=selected.name
                        ),
                    )
            with held_back(), stack.pop_all():  # masks.h5 last: without it the other one is of no use to anybody
                pass

    def decisions(self, source: Path, reviews: Path, who: str | None) -> None:
        from ssc_core.exchange.incoming import add_decisions
        from ssc_core.masks.reviews import this_user
        from ssc_core.masks.store import MaskStore

        beside = self.out / "masks.h5"
        masks = MaskStore.open(beside, with_masks=True) if beside.is_file() else None
        self._read(
            source,
            True,
            "new decision",
            reviews,
            lambda photos, found, over: add_decisions(
                photos, found, masks, reviews, over, who=who or this_user(), digest=self._photo_digests()
            ),
        )

    def _photo_digests(self) -> Callable[[str], str]:
        """Of the photos as they are now; of none where nobody knows where they lie."""
        from ssc_core.masks.standing import unknown
        from ssc_core.refer.images import PhotoDigests

        try:
            return PhotoDigests(images_folder(self.table.parent))
        except SscError:
            return unknown

    def truth(self, source: Path, truth: Path) -> None:
        from ssc_core.exchange.incoming import add_truth

        self._read(
            source,
            True,
            "new true mask",
            truth,
            lambda photos, found, over: add_truth(photos, found, truth, over),
        )

    def _read(
        self, source: Path, per_ref: bool, what: str, place: Path, use: Callable[[Sequence[Photo], Found, LeftOut], int]
    ) -> None:
        """Read a source, use it, and say what came of it, where it lies, and what did not."""
        from ssc_core.exchange.annotations import LeftOut
        from ssc_core.exchange.incoming import collect

        form = self.form or recognised(source)
        named(form, READ)
        check_place(form, source)
        passed_over = LeftOut()
        found = collect(form, source, self.photos, passed_over, per_ref=per_ref, others=self.others)
        print(f"{counted(use(self.photos, found, passed_over), what)}: {place}")
        for line in passed_over.lines():
            print(f"passed over, {line}")
