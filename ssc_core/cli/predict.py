"""``ssc predict``: masks for photos and sentences."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ssc_core.errors import SscError
from ssc_core.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ssc_core.correct.predictor import Predictor
    from ssc_core.evaluate.pairs import Predict
    from ssc_core.pictures import BadImage
    from ssc_core.predict.outputs import OutputWriter, Prediction
    from ssc_core.predict.requests import Request
    from ssc_core.predict.run import OnBad
    from ssc_core.predict.zero_shot import ZeroShot

PUBLISHED_BERT = "weights/bert-base-uncased"
"""What published checkpoints were trained with, where `ssc fetch` puts it."""

SHOWN = 20
"""Predictions that are printed one by one; of more, the count."""

LISTED = 100
"""Photos that could not be read that are named at the end; of more, the count."""

Checkpoint = Annotated[Path | None, typer.Option(help="Trained network: ours, or a published LAVT or S+S+C file.")]
ZeroShotFlag = Annotated[bool, typer.Option("--zero-shot", help="Segment and Select, without training.")]
Configs = Annotated[
    list[Path] | None,
    typer.Option("--config", "-c", help="Config file over config.yaml, for the backends. May be repeated."),
]
Bert = Annotated[
    str | None,
    typer.Option(help="Folder of the network's BERT, where the checkpoint names none."),
]
Network = Annotated[
    str | None,
    typer.Option(help="Network of the checkpoint, where it is not LAVT: file.py:name or module:name; its code is run."),
]
Classes = Annotated[
    str | None,
    typer.Option(help="With --zero-shot or --snap: classes to look for, separated by commas. Default: COCO's 80."),
]
AllowToys = Annotated[
    bool,
    typer.Option("--allow-toy-models", help="Give photos to the micro world's small models, which know drawings only."),
]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto: a GPU when there is one.")]
Threads = Annotated[int, typer.Option(min=1, help="CPU threads.")]


def predict(
    photos: Annotated[Path, typer.Argument(help="Photo, or folder of photos.")],
    texts: Annotated[list[str], typer.Argument(help="Sentences, or one table (.csv, .jsonl, ...).")],
    checkpoint: Checkpoint = None,
    zero_shot: ZeroShotFlag = False,
    onnx: Annotated[
        Path | None, typer.Option(help="Trained network as `ssc export-network` wrote it; runs in onnxruntime.")
    ] = None,
    snap: Annotated[
        bool,
        typer.Option(
            "--snap", help="With --checkpoint or --onnx: answer with Segment's candidate that the network fits best."
        ),
    ] = False,
    both_ways: Annotated[
        bool,
        typer.Option(
            "--both-ways",
            help="With --checkpoint or --onnx: look at each photo mirrored as well, left and right swapped in its "
            "English sentences. Better masks in twice the time.",
        ),
    ] = False,
    config: Configs = None,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Folder of what is written; a former run's answers for the same photos go."),
    ] = Path("predictions"),
    save: Annotated[
        list[str] | None,
        typer.Option(help="overlay, mask (PNG) or rle (COCO run lengths in one JSON); default: all. May be repeated."),
    ] = None,
    bert: Bert = None,
    network: Network = None,
    classes: Classes = None,
    batch: Annotated[int, typer.Option(min=1, help="(Photo, sentence) pairs that the network sees at once.")] = 32,
    allow_toy_models: AllowToys = False,
    device: Device = "auto",
    threads: Threads = 2,
) -> None:
    """Masks for sentences, by a trained network or without any training."""
    from ssc_core.correct.both_ways import seen_both_ways
    from ssc_core.predict.outputs import KINDS, OutputWriter
    from ssc_core.predict.requests import read_requests

    if (checkpoint is not None) + (onnx is not None) + zero_shot != 1:
        raise SscError("name one model: --checkpoint FILE, --onnx FILE, or --zero-shot")
    if onnx is not None and (given := _given({"--network": network, "--device cuda": device == "cuda"})):
        raise SscError(f"{given} means nothing to a file of --onnx, which runs on the CPU as it is: leave it out")
    if snap and zero_shot:
        raise SscError("--snap takes a network's decision: use it with --checkpoint FILE")
    if both_ways and zero_shot:
        raise SscError("--both-ways is a network's: use it with --checkpoint FILE")
    check_used(bert, network, classes, config, checkpoint=not zero_shot, zero_shot=zero_shot or snap)
    if unknown := set(save or ()) - set(KINDS):
        raise SscError(f"--save {unknown.pop()}: choose from {', '.join(KINDS)}")
    requests = read_requests(photos, texts)
    writer = OutputWriter(out, save or KINDS, asked={request.name for request in requests})
    bad: list[BadImage] = []
    trained: Predictor | None = None
    if onnx is not None:
        trained = load_onnx(onnx, bert, batch, threads)
    elif checkpoint is not None:
        trained = load_predictor(checkpoint, bert, network, batch, device, threads)
    selection = load_zero_shot(config or (), classes, device, threads) if zero_shot or snap else None
    if not allow_toy_models:
        _refuse_toys(trained, selection, requests)
    answer = _answering(seen_both_ways(trained) if trained and both_ways else trained, selection)
    _write(answer(requests, bad.append), writer, total=sum(len(one.sentences) for one in requests), out=out)
    if bad:
        raise SscError(_named(bad))


def check_used(
    bert: str | None,
    network: str | None,
    classes: str | None,
    config: Sequence[Path] | None,
    *,
    checkpoint: bool,
    zero_shot: bool,
) -> None:
    """Raise SscError for an option that no model here reads: the answers would not be what it asks for."""
    if not checkpoint and (given := _given({"--bert": bert, "--network": network})):
        raise SscError(f"{given} belongs to a network: use it with --checkpoint FILE")
    if not zero_shot and (given := _given({"--classes": classes, "--config": config})):
        raise SscError(
            f"{given} says what Segment and Select do, and a network reads none of it: leave it out (a network of your "
            "own is named by --network)"
        )


def _given(options: Mapping[str, object]) -> str:
    """The first option that has a value."""
    return next((name for name, value in options.items() if value), "")


def toys_of_models(trained: Predictor | None, selection: ZeroShot | None, *, refused: bool = False) -> dict[str, str]:
    """The small models of the micro world among those that answer, by key of the config. refused: without those that
    the config itself allows."""
    from ssc_core.config.toys import label_stages, toys_in, toys_of

    found = {} if trained is None else toys_in(trained.settings.get("network", {}), "network")
    if selection is not None and not (refused and selection.settings.allow_toy_models):
        found |= toys_of(selection.settings, label_stages(selection.settings))
    return found


def _refuse_toys(trained: Predictor | None, selection: ZeroShot | None, requests: Sequence[Request]) -> None:
    """Raise SscError when such models would get photos. What lies below a world.json are their own pictures."""
    from ssc_core.toys import refuse_toys

    toys = toys_of_models(trained, selection, refused=True)
    folders = {request.photo.resolve().parent for request in requests} if toys else set()
    if any(not any((above / "world.json").is_file() for above in (folder, *folder.parents)) for folder in folders):
        refuse_toys(toys, "the photos")


def _answering(
    network: Predict | None, selection: ZeroShot | None
) -> Callable[[Sequence[Request], OnBad], Iterator[Prediction]]:
    """What answers requests, with one of the models or both."""
    from ssc_core.predict import run

    if network is None:
        assert selection is not None, "one of them is there"
        return partial(run.predict_zero_shot, selection)
    if selection is None:
        return partial(run.predict_with_network, network)
    return partial(run.predict_candidates, network, selection)


def _write(predictions: Iterator[Prediction], writer: OutputWriter, *, total: int, out: Path) -> None:
    """Write predictions as they come, and say at the end, however it comes, what there is."""
    done = empty = 0
    try:
        for prediction in predictions:
            files = writer.add(prediction)
            share = 100 * float(prediction.mask.mean())
            done, empty = done + 1, empty + (share == 0)
            if total <= SHOWN:
                found = f"{share:.1f} % of the photo" if share else "nothing found"
                print(f'{prediction.image}  "{prediction.sentence}"  {found}  {" ".join(map(str, files))}')
        writer.close()
    finally:
        made = counted(done, "mask") if done == total else f"{done} of {counted(total, 'mask')}"
        listing = writer.listing
        print(
            f"{made}, {empty} of them empty, in {out}" + (f"; {listing}" if listing and done else ""),
            flush=True,
        )


def _named(bad: Sequence[BadImage]) -> str:
    """What is said of photos that could not be read."""
    lines = [str(error) for error in bad[:LISTED]]
    if len(bad) > LISTED:
        lines.append(f"and {len(bad) - LISTED} more")
    return "\n  ".join([f"{counted(len(bad), 'photo')} could not be read; all others are answered:", *lines])


def load_predictor(
    checkpoint: Path, bert: str | None, network: str | None, batch: int, device: str, threads: int
) -> Predictor:
    """A trained network; for published files with the published BERT. network: None for LAVT."""
    from ssc_core.config.paths import tidy_if_path
    from ssc_core.correct.network import LAVT_NAME
    from ssc_core.correct.predictor import Predictor

    _check_folder(bert)
    return Predictor(
        checkpoint,
        bert=bert,
        default_bert=PUBLISHED_BERT,
        network=LAVT_NAME if network is None else tidy_if_path(network),
        device=device,
        threads=threads,
        samples=batch,
    )


def load_onnx(path: Path, bert: str | None, batch: int, threads: int) -> Predictor:
    """A network in onnxruntime."""
    from ssc_core.correct.onnx_predictor import OnnxPredictor

    _check_folder(bert)
    return OnnxPredictor(path, bert=bert, threads=threads, samples=batch)


def _check_folder(bert: str | None) -> None:
    if bert is not None and not Path(bert).is_dir():
        raise SscError(f"--bert {bert} is no folder; name the one that holds vocab.txt")


def load_zero_shot(config: Sequence[Path], classes: str | None, device: str, threads: int) -> ZeroShot:
    """Segment and Select with the backends of config.yaml and ``config`` over it."""
    from ssc_core.cli.config_files import read_config, values_to_tell
    from ssc_core.predict.zero_shot import ZeroShot
    from ssc_core.segment.coco import COCO_CLASSES

    names = COCO_CLASSES if classes is None else [name.strip() for name in classes.split(",") if name.strip()]
    if not names:
        raise SscError("--classes names no class; separate them by commas")
    for line in values_to_tell(config):
        print(line, file=sys.stderr)
    return ZeroShot(read_config(config, find_models=True), class_names=names, device=device, threads=threads)
