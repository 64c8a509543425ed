"""``ssc predict``: masks for photos and sentences."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssc_core.errors import SscError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ssc_core.predict.outputs import Prediction
    from ssc_core.predict.requests import Request

PUBLISHED_BERT = "weights/bert-base-uncased"
"""What published checkpoints were trained with, where `ssc fetch` puts it."""

SHOWN = 20
"""Predictions that are printed one by one; of more, the count."""

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
Classes = Annotated[
    str | None,
    typer.Option(help="With --zero-shot or --snap: classes to look for, separated by commas. Default: COCO's 80."),
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Threads = Annotated[int, typer.Option(min=1, help="CPU threads.")]


def predict(
    photos: Annotated[Path, typer.Argument(help="Photo, or folder of photos.")],
    texts: Annotated[list[str], typer.Argument(help="Sentences, or one .csv or .jsonl table.")],
    checkpoint: Checkpoint = None,
    zero_shot: ZeroShotFlag = False,
    snap: Annotated[
        bool,
        typer.Option("--snap", help="With --checkpoint: answer with Segment's candidate that the network fits best."),
    ] = False,
    config: Configs = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of what is written.")] = Path("predictions"),
    save: Annotated[
        list[str] | None,
        typer.Option(help="overlay, mask (PNG) or rle (COCO run lengths in one JSON); default: all. May be repeated."),
    ] = None,
    bert: Bert = None,
    classes: Classes = None,
    batch: Annotated[int, typer.Option(min=1, help="(Photo, sentence) pairs that the network sees at once.")] = 32,
    device: Device = "auto",
    threads: Threads = 2,
) -> None:
    """Masks for sentences, by a trained network or without any training."""
    from ssc_core.predict.outputs import KINDS, OutputWriter
    from ssc_core.predict.requests import read_requests

    if (checkpoint is None) != zero_shot:
        raise SscError("name one model: --checkpoint FILE, or --zero-shot")
    if snap and zero_shot:
        raise SscError("--snap takes a network's decision: use it with --checkpoint FILE")
    if unknown := set(save or ()) - set(KINDS):
        raise SscError(f"--save {unknown.pop()}: choose from {', '.join(KINDS)}")
    requests = read_requests(photos, texts)
    if checkpoint is not None and snap:
        from ssc_core.predict.run import predict_candidates

        network = load_predictor(checkpoint, bert, batch, device, threads)
        predictions = predict_candidates(network, load_zero_shot(config or (), classes, device, threads), requests)
    elif checkpoint is not None:
        predictions = _by_network(requests, checkpoint, bert, batch, device, threads)
    else:
        predictions = _by_zero_shot(requests, config or (), classes, device, threads)
    total = sum(len(request.sentences) for request in requests)
    writer, empty = OutputWriter(out, save or KINDS), 0
    for prediction in predictions:
        files = writer.add(prediction)
        share = 100 * float(prediction.mask.mean())
        empty += share == 0
        if total <= SHOWN:
            found = f"{share:.1f} % of the photo" if share else "nothing found"
            print(f'{prediction.image}  "{prediction.sentence}"  {found}  {" ".join(map(str, files))}')
    listing = writer.close()
    print(f"{total} masks, {empty} of them empty, in {out}" + (f"; {listing}" if listing else ""))


def load_predictor(checkpoint: Path, bert: str | None, batch: int, device: str, threads: int):
    """``correct.predictor.Predictor``, which finds the micro world's BERT from any folder."""
    from ssc_core.cli.config_files import find_path
    from ssc_core.correct.checkpoints import load_published
    from ssc_core.correct.predictor import Predictor

    if bert is None:
        bert = find_path(load_published(checkpoint).settings.get("network", {}).get("bert") or PUBLISHED_BERT)
        if not Path(bert).is_dir():
            raise SscError(f"{bert}, the BERT of {checkpoint}, is not here; name its folder with --bert")
    return Predictor(checkpoint, bert=bert, device=device, threads=threads, samples=batch)


def load_zero_shot(config: Sequence[Path], classes: str | None, device: str, threads: int):
    """``predict.zero_shot.ZeroShot`` with the backends of config.yaml and ``config`` over it."""
    from ssc_core.cli.config_files import read_config
    from ssc_core.predict.zero_shot import ZeroShot
    from ssc_core.segment.coco import COCO_CLASSES

    names = [name.strip() for name in classes.split(",") if name.strip()] if classes else COCO_CLASSES
    return ZeroShot(read_config(config, find_models=True), class_names=names, device=device, threads=threads)


def _by_network(
    requests: Sequence[Request], checkpoint: Path, bert: str | None, batch: int, device: str, threads: int
) -> Iterator[Prediction]:
    from ssc_core.predict.run import predict_with_network

    return predict_with_network(load_predictor(checkpoint, bert, batch, device, threads), requests)


def _by_zero_shot(
    requests: Sequence[Request], config: Sequence[Path], classes: str | None, device: str, threads: int
) -> Iterator[Prediction]:
    from ssc_core.predict.run import predict_zero_shot

    return predict_zero_shot(load_zero_shot(config, classes, device, threads), requests)
