"""``ssc publish`` and ``ssc pull``: checkpoints and datasets to and from the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ssc_core.errors import SscError
from ssc_core.wording import counted

Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit; default: main.")]


def publish(
    what: Annotated[Path, typer.Argument(help="A checkpoint, or a folder of `ssc export --to hf`.")],
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Where it goes.")],
    evals: Annotated[
        list[Path] | None,
        typer.Option("--eval", help="Eval file for a checkpoint's page. May be repeated. Default: those beside it."),
    ] = None,
    licence: Annotated[str | None, typer.Option(help="Of what is published, as the hub calls it: apache-2.0.")] = None,
    private: Annotated[bool, typer.Option("--private", help="A new repository is seen by its owner only.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Publish a checkpoint or a dataset, with a page of what it is and how it was made. Shows all files, and asks."""
    from ssc_core.hub import Kind, is_data, push

    files: dict[str, Path | bytes]
    kind: Kind = "dataset" if what.is_dir() else "model"
    if kind == "dataset":
        if evals:
            raise SscError("--eval is of a model card")
        names = {path.relative_to(what).as_posix(): path for path in sorted(what.rglob("*")) if path.is_file()}
        files = _dataset(what, repository, {n: path for n, path in names.items() if is_data(n, kind)}, licence)
    else:
        files = _checkpoint(what, repository, evals, licence)
    for name, content in files.items():
        size = content.stat().st_size if isinstance(content, Path) else len(content)
        print(f"{size:>14,} bytes  {name}")
    seen = "private, if it is new" if private else "public, if it is new"
    print(f"to the {kind} repository {repository} ({seen})", flush=True)
    if not yes and not typer.confirm("Publish these files? Checkpoints and eval files hold settings, paths included"):
        raise SscError("nothing was published")
    print(push(repository, files, kind=kind, private=private))


def pull(
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Repository of the hub.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="New folder for its files.")],
    dataset: Annotated[bool, typer.Option("--dataset", help="It is a dataset's repository, not a model's.")] = False,
    revision: Revision = None,
) -> None:
    """Fetch a checkpoint or a dataset from the hub, by hash, and check it as any file of a stranger."""
    from ssc_core.hub import pull as fetch

    names, left_out = fetch(repository, out, kind="dataset" if dataset else "model", revision=revision)
    print(f"{counted(len(names), 'file')} in {out}")
    if left_out:
        print(f"left out, no data: {', '.join(left_out[:20])}{', ...' if len(left_out) > 20 else ''}")


def _dataset(
    folder: Path, repository: str, files: dict[str, Path | bytes], licence: str | None
) -> dict[str, Path | bytes]:
    """A folder's files by their names in the repository, with a card unless it has one."""
    from ssc_core.report.dataset_card import dataset_card

    if not any(name.endswith(".parquet") for name in files):
        raise SscError(f"{folder} is no folder of `ssc export --to hf`: it has no .parquet file")
    if "README.md" not in files:
        return {"README.md": dataset_card(folder, repository, licence).encode(), **files}
    if licence:
        raise SscError(f"{folder / 'README.md'} is the dataset's page; name the licence there, without --licence")
    return files


def _checkpoint(path: Path, repository: str, named: list[Path] | None, licence: str | None) -> dict[str, Path | bytes]:
    """A checkpoint's files by their names in the repository."""
    from ssc_core.report.model_card import eval_files_of, model_card

    if not path.is_file():
        raise SscError(f"{path} does not exist; name a checkpoint, or a folder of `ssc export --to hf`")
    evals = eval_files_of(path, named)
    card = model_card(path, repository, evals, licence)
    return {"README.md": card.encode(), path.name: path, **{file.name: file for file in evals}}
