"""``ssc label``: a folder of photos and a table to masks, a page to look at them, and a list of what to check."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ssc_core.checkout import HOME, find_path
from ssc_core.cli.config_files import preset_files
from ssc_core.cli.predict import AllowToys
from ssc_core.cli.workflow import run_workflow
from ssc_core.errors import SscError
from ssc_core.wording import counted

if TYPE_CHECKING:
    from ssc_core.config.settings import Settings

DATASET = "labels"
"""What the photos are called in the config that is written."""

VALIDATION = "val"
"""The split by whose ground truth `keep: best` chooses a checkpoint."""

_SHOWN = 5
"""Names of photos in a line."""

_OWN = ("datasets", "results", "studies")
"""Sections of a config that label writes itself."""

_WAYS_OUT = (
    "go on with these labels: give the photos and the table that they were built with, where you did; if those were "
    "moved, put links to them there (ln -s)",
    "label the others beside them: name another folder, --out",
)
"""Of results in ``--out`` that are of other data."""

_GUARD = ".ssc_label.lock"
"""What a call holds in ``--out`` while it is at work there."""

_OURS = "# Written by `ssc label`"
"""How a config begins that label wrote."""

_HEAD = (
    f"{_OURS}, "
    + """which writes it anew. To go on by hand, in the folder where that was called:
#   ssc run --configfile {file} -- {target}
# To train a network on these labels, and on what people decided of them:
#   {train}
"""
)


def label(
    photos: Annotated[Path, typer.Argument(help="Folder of photos.")],
    table: Annotated[
        Path,
        typer.Argument(
            help="Table with the columns image and sentences, see `ssc init`; or a folder that `datasets` saved."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of all that is made.")],
    preset: Annotated[
        str | None, typer.Option(help="Models that know photos: small, modern or paper. Default: small.")
    ] = None,
    config: Annotated[
        list[Path] | None,
        typer.Option("--config", "-c", help="Config file over config.yaml and the preset. May be repeated."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Fetch what is missing without asking.")] = False,
    cores: Annotated[int | None, typer.Option(min=1, help="CPU cores. Default: all.")] = None,
    profile: Annotated[str | None, typer.Option(help="Snakemake profile, as for a cluster.")] = None,
    allow_toy_models: AllowToys = False,
) -> None:
    """Masks for every row of a table, a page to look at them, and a list of what to check.

    Runs the workflow, so that a run that was killed goes on where it was, with the same command. OUT then holds
    labels.json (COCO), labels.html and its pages, overlays/, check.csv (the empty and the doubtful, and why) and
    config.yaml.
    """
    from ssc_core.config.datasets import check_world
    from ssc_core.config.toys import label_stages
    from ssc_core.named_code import check_code
    from ssc_core.toys import check_stages

    out = _one_spelling(out)
    with_truth, seen = _count(photos, table)
    splits = list(with_truth)
    _check_out(out, splits)
    if preset is None and not config:
        preset = "small"
    content = _config(photos, table, out, with_truth, preset, config or [], allow_toy_models, seen)
    settings = _settings(content)
    check_stages(settings, label_stages(settings), "the photos")
    if profile is None:  # jobs of a profile may run where more is installed
        check_code(settings, label_stages(settings))
    check_world(settings, ways_out=_WAYS_OUT)
    _fetch(settings, yes)
    options = [*(["--cores", str(cores)] if cores else []), *(["--profile", profile] if profile else [])]
    with _alone_in(out):
        file = _write_config(content, out, splits[0])  # what is here goes by the one before until this call labels
        options += ["--forcerun", "index_refs"] if _saw_others(out / "results" / DATASET / "refs.parquet", seen) else []
        status = run_workflow([*options, "--configfile", str(file), "--", *_results(settings, splits)])
        if status:
            print(f"\nNot finished. What is done stays in {out}; the same command goes on.", flush=True)
            raise typer.Exit(status)
        from ssc_core.cli.delivery import deliver

        deliver(settings, photos, out, splits, dataset=DATASET, train=_train_command(out))


@contextmanager
def _alone_in(out: Path) -> Iterator[None]:
    """Hold ``--out``, since two calls would write into each other's files. Raises SscError where another one does."""
    from ssc_core.locks import only_process

    with only_process(out / _GUARD, wait=False) as alone:
        if not alone:
            raise SscError(f"another ssc label is at work in {out}; wait until it ends, or name another folder, --out")
        yield


def _results(settings: Settings, splits: list[str]) -> list[str]:
    """All that is read of the results: what is only on the way to others nobody would make again, once it is gone."""
    from ssc_core.config.stages import scores_of
    from ssc_core.layout import template

    names = ("refs", "data", "nouns", "masks", *scores_of(settings), "selected")
    places = (template(name, settings.results) for name in names)
    return sorted({place.format(dataset=DATASET, variant="", split=split) for place in places for split in splits})


def _one_spelling(out: Path) -> Path:
    """A folder by the same path however it is written: of results by another one Snakemake knows not how they were
    made, and would find nothing to be done after any change."""
    whole, here = Path(os.path.abspath(out)), Path.cwd()  # noqa: PTH100  (links below it stay as they are)
    above = next((one for one in (whole, *whole.parents) if one.exists() and one.samefile(here)), None)
    return whole if above is None else whole.relative_to(above)


def _check_out(out: Path, splits: list[str]) -> None:
    """Raises SscError for a folder with files of others, such as YOLO's `labels/`, where label would put its own."""
    from ssc_core.cli.delivery import page_of

    if out.exists() and not out.is_dir():
        raise SscError(f"--out {out} is a file; name a folder")
    config = out / "config.yaml"
    if config.is_file() and config.read_bytes().startswith(_OURS.encode()):
        return
    pages = [page_of(split, splits) for split in splits]
    names = [config.name, "labels.json", "check.csv", "overlays", *pages, *(f"{page}.html" for page in pages)]
    if there := [name for name in names if (out / name).exists()]:
        raise SscError(
            f"--out {out} has {', '.join(there)}, which label did not write and would replace; name a new folder"
        )


def _saw_others(refs: Path, seen: str) -> bool:
    """Whether refs.parquet is there, of other photos. Snakemake does not know it where another folder's made it."""
    from ssc_core.refer.ref_table import photos_seen

    return refs.is_file() and photos_seen(refs) != seen


def _count(photos: Path, table: Path) -> tuple[dict[str, bool], str]:
    """The splits of a table, and whether there are true masks; and what its photos and masks are now
    (``NamedFiles.state``). Says how many photos it names, which of these are not there, and how many others are. Raises
    SscError where none is there, before anything is fetched."""
    from ssc_core.pictures import PHOTO_SUFFIXES
    from ssc_core.refer.named_files import NamedFiles
    from ssc_core.refer.table import read_whole_rows

    if not photos.is_dir():
        raise SscError(f"{photos} is no folder of photos")
    if not table.exists():
        raise SscError(f"{table} does not exist; `ssc init FOLDER` writes a table to start from")
    splits: dict[str, bool] = {}
    files = NamedFiles(photos, table)
    for row in read_whole_rows(table):
        if isinstance(row.mask, Path) and not row.mask.is_file():
            raise SscError(f"{row.where}: the mask {row.mask} is not there; `mask` is relative to the table's folder")
        split = row.split or "train"
        splits[split] = splits.get(split, False) or row.mask is not None
        files.add(row)
    if not splits:
        raise SscError(f"{table} has no rows")
    named = files.photos
    missing = [name for name in named if not os.path.isfile(photos / name)]  # noqa: PTH113  (of any name at all)
    if len(missing) == len(named):
        raise SscError(
            f"{photos} has no photo that {table} names; the first is {missing[0]:.200}. `image` is relative to the "
            "folder of the photos"
        )
    kinds = Counter(
        "photo" if path.suffix.lower() in PHOTO_SUFFIXES else f"{path.suffix.lower() or 'without ending'}"
        for path in photos.rglob("*")
        if path.is_file() and path.relative_to(photos).as_posix() not in named
    )
    passed = ", ".join(counted(count, kind, "" if kind == "photo" else kind) for kind, count in sorted(kinds.items()))
    print(
        f"{counted(named.total(), 'row')} about {counted(len(named), 'photo')}"
        + (f"; not there: {', '.join(missing[:_SHOWN])}" if missing else "")
        + (f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else "")
        + (f"; passed over, since no row names them: {passed}" if passed else "")
    )
    return splits, files.state()


def _config(
    photos: Path,
    table: Path,
    out: Path,
    splits: dict[str, bool],
    preset: str | None,
    files: list[Path],
    toys: bool,
    seen: str,
) -> dict[str, Any]:
    """The config over config.yaml, whole: preset, files, and this dataset alone. splits, seen: see ``_count``."""
    from ssc_core.config.datasets import spelled_as_built
    from ssc_core.config.layers import lay_over, read_config_file, read_layers
    from ssc_core.toys import values_for_drawings

    content = read_layers(preset_files(preset) if preset else ())
    content.setdefault("detect", {})["on_bad_image"] = "skip"  # one of many thousands is no reason to stop
    for file in files:
        over = read_config_file(find_path(str(file)))
        if own := [name for name in _OWN if name in over]:
            print(f"not read, of {file}: {', '.join(own)}; the photos, the table and --out say it")
        lay_over(content, over)
    others = {**read_layers([HOME / "config.yaml"])["datasets"], **content.get("datasets", {})}
    source = {"layout": "table", "file": str(table), "images": str(photos)}
    source = spelled_as_built(source, out / "results" / DATASET / "data.json")
    content["datasets"] = {**dict.fromkeys(others), DATASET: {"source": source, "splits": list(splits), "seen": seen}}
    if not splits.get(VALIDATION):
        for phase in ("pretrain", "correct"):
            content.setdefault(phase, {})["keep"] = "last"  # a preset's `best` would need masks that nobody has
    for (*sections, key), kept in values_for_drawings(content).items():
        section = content
        for name in sections:
            section = section.setdefault(name, {})
        section[key] = kept.published
    content |= {"results": f"{out}/results", "studies": dict.fromkeys(_studies(content))}
    if toys:
        content["allow_toy_models"] = True
    return content


def _studies(content: dict[str, Any]) -> list[str]:
    """Studies name datasets that are not here."""
    from ssc_core.config.layers import read_layers

    return [*read_layers([HOME / "config.yaml"])["studies"], *content.get("studies", {})]


def _settings(content: dict[str, Any]) -> Settings:
    from ssc_core.config.layers import read_layers
    from ssc_core.config.settings import load_settings

    return load_settings(read_layers([HOME / "config.yaml"], content))


def _write_config(content: dict[str, Any], out: Path, split: str) -> Path:
    from ssc_core.config.layers import config_text
    from ssc_core.files import atomic_path

    out.mkdir(parents=True, exist_ok=True)
    file = out / "config.yaml"
    target = f"{content['results']}/{DATASET}/{split}/selected.h5"
    head = _HEAD.format(file=shlex.quote(str(file)), target=shlex.quote(target), train=_train_command(out))
    with atomic_path(file) as temporary:
        temporary.write_text(head + config_text(content), encoding="utf-8")
    return file


def _train_command(out: Path) -> str:
    target = f"{out}/results/{DATASET}/checkpoints/correct.pt"
    return shlex.join(["ssc", "run", "--configfile", str(out / "config.yaml"), "--", target])


def _fetch(settings: Settings, yes: bool) -> None:
    """Fetch published files that labels need and that are missing. Says how large they are, and asks."""
    from ssc_core.cli.fetch import fetch_all
    from ssc_core.weights import catalogue
    from ssc_core.weights.fetch import Depot, is_here, size_text, total_text, with_sizes
    from ssc_core.weights.lock import LockFile

    depot = Depot(
        root=Path(), lock=LockFile(Path(settings.sources.lock)), mirrors=settings.sources.mirrors, offline=False
    )
    needed = catalogue.needed_for_labels(settings)
    missing = {name: file for name, file in needed.items() if not is_here(file, depot.root)}
    if not missing:
        return
    sized = with_sizes(missing, depot)
    for name, file in sized.items():
        print(f"{name:24} {size_text(file) or '?':>9}  {file.path}")
    print(total_text(sized, depot), flush=True)
    if not yes and not typer.confirm("Fetch them?"):
        raise SscError("nothing was fetched, and nothing was labelled")
    fetch_all(missing, depot)
