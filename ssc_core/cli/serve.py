"""``ssc serve``: a small web page to try a model on photos of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ssc_core.cli.predict import Bert, Checkpoint, Classes, Configs, Device, Threads, ZeroShotFlag
from ssc_core.errors import SscError


def serve(
    checkpoint: Checkpoint = None,
    zero_shot: ZeroShotFlag = False,
    config: Configs = None,
    bert: Bert = None,
    classes: Classes = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 7860,
    device: Device = "auto",
    threads: Threads = 2,
) -> None:
    """A web page: drop a photo, type a sentence, see candidates, scores and mask.

    With --zero-shot the candidates are shown, with --checkpoint the network's mask, with both all of it. Nothing leaves
    this machine. Needs Gradio (pip install 'ssc[serve]').
    """
    from ssc_core.cli.predict import load_predictor, load_zero_shot
    from ssc_core.predict.web_page import build_page

    if checkpoint is None and not zero_shot:
        raise SscError("name a model: --checkpoint FILE, --zero-shot, or both")
    network = None if checkpoint is None else load_predictor(Path(checkpoint), bert, 1, device, threads)
    selection = load_zero_shot(config or (), classes, device, threads) if zero_shot else None
    page = build_page(network, selection)
    print(f"http://{host}:{port}  (Ctrl+C ends it)", flush=True)
    try:
        page.queue(default_concurrency_limit=1).launch(
            server_name=host, server_port=port, share=False, quiet=True, show_error=True
        )
    except OSError as error:
        raise SscError(f"cannot listen on {host}:{port} ({error}); choose another --port") from error
