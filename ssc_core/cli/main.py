"""The ``ssc`` command. A subcommand is a function in a module beside this one, registered here in one line.

Such a module imports torch, pandas and the like inside its function, so that ``ssc --help`` stays quick.
"""

from __future__ import annotations

import logging
import os
import sys
from io import TextIOWrapper
from typing import Annotated

import typer

from ssc_core.checkout import DISTRIBUTION
from ssc_core.cli.compare import compare
from ssc_core.cli.demo import demo
from ssc_core.cli.doctor import doctor
from ssc_core.cli.export import export
from ssc_core.cli.export_network import export_network
from ssc_core.cli.fetch import fetch
from ssc_core.cli.import_ import import_
from ssc_core.cli.init import init
from ssc_core.cli.inspect import inspect
from ssc_core.cli.label import label
from ssc_core.cli.predict import predict
from ssc_core.cli.publish import publish, pull
from ssc_core.cli.review import review
from ssc_core.cli.run import PassOn, run
from ssc_core.cli.serve import serve
from ssc_core.cpu_environment import set_up
from ssc_core.errors import SscError
from ssc_core.failures import explain
from ssc_core.signals import ends_in_order
from ssc_core.version import __version__

app = typer.Typer(
    name="ssc",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # help is shown as it is written: markup would swallow the brackets of [serve]
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"{DISTRIBUTION} {__version__}")
        raise typer.Exit


@app.callback()
def _ssc(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Referring image segmentation without mask labels: run the workflow, use and move what it makes."""


app.command("demo", cls=PassOn)(demo)
app.command("run", cls=PassOn)(run)
app.command("init")(init)
app.command("label")(label)
app.command("review")(review)
app.command("predict")(predict)
app.command("serve")(serve)
app.command("export")(export)
app.command("export-network")(export_network)
app.command("import")(import_)
app.command("fetch")(fetch)
app.command("publish")(publish)
app.command("pull")(pull)
app.command("doctor")(doctor)
app.command("inspect")(inspect)
app.command("compare")(compare)


@ends_in_order()
def main() -> None:
    """Entry point of ``ssc``. What people can mend is printed as its message alone, with exit code 1."""
    set_up(os.environ)
    if isinstance(sys.stdout, TextIOWrapper):  # in a log, with errors in between, lines stay in their order
        sys.stdout.reconfigure(line_buffering=True)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for noisy in ("httpx", "transformers", "h5py", "PIL", "root"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        app()
    except Exception as error:
        message = str(error) if isinstance(error, SscError) else explain(error) or _of_a_path(error)
        if message is None:
            raise
        print(f"error: {message}", file=sys.stderr)
        sys.exit(1)


def _of_a_path(error: Exception) -> str | None:
    """What the system says of a path, which here is one that was typed or that a typed file names."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return None


if __name__ == "__main__":
    main()
