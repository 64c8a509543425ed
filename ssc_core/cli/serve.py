"""``ssc serve``: a small web page to try a model on photos of one's own."""

from __future__ import annotations

import socket
from typing import Annotated

import typer

from ssc_core.cli.predict import (
    AllowToys,
    Bert,
    Checkpoint,
    Classes,
    Configs,
    Device,
    Network,
    Threads,
    ZeroShotFlag,
    check_used,
)
from ssc_core.errors import SscError


def serve(
    checkpoint: Checkpoint = None,
    zero_shot: ZeroShotFlag = False,
    config: Configs = None,
    bert: Bert = None,
    network: Network = None,
    classes: Classes = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 7860,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Name that browsers may ask for besides local ones, where a proxy or DNS gives one."),
    ] = None,
    allow_toy_models: AllowToys = False,
    device: Device = "auto",
    threads: Threads = 2,
) -> None:
    """A web page: drop a photo, type a sentence, see candidates, scores and mask.

    With --zero-shot the candidates are shown, and one is chosen by a click; with --checkpoint the network's mask, with
    both all of it. The micro world's small models are asked about the page's example alone. Nothing leaves this
    machine, and photos are not kept: at most an hour, and not after the end. Needs Gradio (pip install
    'segment-select-correct[serve]').
    """
    from ssc_core.predict.web_gate import private_temporary_folder

    if checkpoint is None and not zero_shot:
        raise SscError("name a model: --checkpoint FILE, --zero-shot, or both")
    check_used(bert, network, classes, config, checkpoint=checkpoint is not None, zero_shot=zero_shot)
    with private_temporary_folder(), _listener(host, port) as listener:
        from ssc_core.cli.predict import load_predictor, load_zero_shot, toys_of_models
        from ssc_core.predict.exploring import Explorer
        from ssc_core.predict.web_page import build_page, run_page

        trained = None if checkpoint is None else load_predictor(checkpoint, bert, network, 1, device, threads)
        selection = load_zero_shot(config or (), classes, device, threads) if zero_shot else None
        toys = toys_of_models(trained, selection)
        refused = not allow_toy_models and bool(toys_of_models(trained, selection, refused=True))
        page = build_page(Explorer(trained, selection), toys, allowed=not refused)
        if refused:
            print(f"{', '.join(toys)}: small models of the micro world, which are asked about the example alone")
        shown = f"[{host}]" if ":" in host else host
        print(f"http://{shown}:{listener.getsockname()[1]}  (Ctrl+C ends it)", flush=True)
        run_page(page, listener, [host, *(allow_host or ())])


def _listener(host: str, port: int) -> socket.socket:
    """The socket, before anything slow: a port that is taken is said at once."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        why = str(error.strerror).partition(" (while")[0]  # Python repeats the address there
        raise SscError(
            f"cannot listen on {host}:{port} ({why}); choose another --port, or an address of this machine"
        ) from error
