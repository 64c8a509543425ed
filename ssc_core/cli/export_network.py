"""``ssc export-network``: a trained network as ONNX or as a program of torch.export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ssc_core.cli.predict import PUBLISHED_BERT, Bert, Network


def export_network(
    checkpoint: Annotated[Path, typer.Argument(help="Trained network: ours, or a published LAVT or S+S+C file.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="What to write: a name in .onnx, or in .pt2 (torch.export).")
    ],
    bert: Bert = None,
    network: Network = None,
) -> None:
    """Write a trained network for other programs, as ONNX or torch.export, and compare what it computes with PyTorch.

    Photos and sentences may be any number at once, of the checkpoint's size; `ssc predict --onnx` takes the ONNX file.
    """
    from ssc_core.config.paths import tidy_if_path
    from ssc_core.correct.export import export_network as write
    from ssc_core.correct.network import LAVT_NAME

    named = LAVT_NAME if network is None else tidy_if_path(network)
    apart = write(checkpoint, out, bert=bert, default_bert=PUBLISHED_BERT, network=named)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB; logits differ from PyTorch's by at most {apart:.1e}")
