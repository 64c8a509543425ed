"""``ssc fetch``: published weights and data, checked, resumed where a download broke off, and pinned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssc_core.cli.config_files import read_config
from ssc_core.errors import SscError
from ssc_core.wording import counted

if TYPE_CHECKING:
    from ssc_core.config.published_file import PublishedFile
    from ssc_core.weights.fetch import Depot


def fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Names, paths or folders; none: what the config names.", show_default=False),
    ] = None,
    config: Annotated[
        list[Path] | None, typer.Option("--config", "-c", help="Config file over config.yaml. May be repeated.")
    ] = None,
    mirror: Annotated[
        list[str] | None, typer.Option(help="Folder or http(s) address to try first. May be repeated.")
    ] = None,
    into: Annotated[Path, typer.Option(help="Project folder that weights/ and data/ lie in.")] = Path(),
    everything: Annotated[bool, typer.Option("--all", help="Every published file.")] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="No network: take from mirror folders, list what is missing.")
    ] = False,
    show: Annotated[bool, typer.Option("--list", help="List the files, fetch nothing.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Read what is here again and compare hashes.")] = False,
) -> None:
    """Fetch the published weights and data that a config names, or those named here."""
    from ssc_core.weights import catalogue
    from ssc_core.weights.fetch import Depot, is_here, total_text, with_sizes
    from ssc_core.weights.lock import LockFile

    for place in mirror or ():
        if not place.startswith(("http://", "https://")) and not Path(place).is_dir():
            raise SscError(f"--mirror {place} is no folder here, nor an http(s) address")
    settings = read_config(config or [])
    known = catalogue.all_files(settings)
    files = known if everything else catalogue.pick(known, names) if names else catalogue.needed_by(settings)
    depot = Depot(
        root=into,
        lock=LockFile(into / settings.sources.lock),
        mirrors=(*(mirror or ()), *settings.sources.mirrors),
        offline=offline,
    )
    if show:
        _list(files or known, depot)
    elif not files:
        typer.echo("this config names no published file: nothing to fetch (--list shows all, --all fetches all)")
    elif verify:
        _verify(files, depot)
    else:
        if not depot.offline and not all(is_here(file, depot.root) for file in files.values()):
            typer.echo(total_text(with_sizes(files, depot), depot))
        fetch_all(files, depot)


def fetch_all(files: dict[str, PublishedFile], depot: Depot) -> None:
    """Fetch one after the other; one that fails does not keep the others from being fetched."""
    from ssc_core.weights.fetch import fetch_file, missing_report

    failed = 0
    for name, file in files.items():
        try:
            outcome = fetch_file(name, file, depot)
            typer.echo(f"{name}: {outcome}" + (f" ({file.licence})" if outcome == "fetched" and file.licence else ""))
        except SscError as error:
            failed += 1
            if not depot.offline or (depot.root / file.path).exists():
                typer.echo(f"{name}: failed\n{error}\n", err=True)
    if failed:
        raise SscError(missing_report(files, depot) or f"{counted(failed, 'file')} could not be checked; see above")


def _verify(files: dict[str, PublishedFile], depot: Depot) -> None:
    from ssc_core.weights.fetch import is_here, verify

    found = verify(files, depot)
    if found.wrong:
        raise SscError(
            "\n  ".join(["files that are not what they should be; delete them and fetch them again:", *found.wrong])
        )
    here = {name for name, file in files.items() if is_here(file, depot.root)}
    others = {
        "not here": [name for name in files if name not in {*here, *found.right, *found.unknown}],
        "unpacked, so not compared": [name for name, file in files.items() if name in here and file.unpack is not None],
        "no hash is known, until `ssc fetch` records it as it is, of": found.unknown,
    }
    rest = "".join(f"; {why}: {', '.join(names)}" for why, names in others.items() if names)
    if not found.right:
        raise SscError(f"nothing was compared{rest}")
    typer.echo(f"{counted(len(found.right), 'file')} of {len(files)} compared: the right bytes{rest}")


def _list(files: dict[str, PublishedFile], depot: Depot) -> None:
    from ssc_core.weights.fetch import is_here, size_text, total_text

    for name, file in files.items():
        state = "here" if is_here(file, depot.root) else "not here"
        size = size_text(file) or "?"
        typer.echo(f"{name:24} {state:9} {size:>9}  {file.path}" + (f"  ({file.licence})" if file.licence else ""))
    typer.echo(total_text(files, depot))
