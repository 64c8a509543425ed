"""The page of a published checkpoint, written from its eval files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

from ssc_core.config.toys import toys_in
from ssc_core.correct.checkpoints import load_published
from ssc_core.errors import SscError
from ssc_core.evaluate.schema import ModelEval, read_eval
from ssc_core.provenance import file_sha256
from ssc_core.report.pages import render


def eval_files_of(checkpoint: Path, named: Sequence[Path] | None) -> list[Path]:
    """Eval files that were made with the bytes of ``checkpoint``: those named, or those of its dataset's folder.

    Raises SscError for a named one that was not: its figures are not this file's.
    """
    sha256 = file_sha256(checkpoint)
    found = []
    for path in sorted(checkpoint.absolute().parent.parent.glob("eval_*.json")) if named is None else named:
        content = read_eval(path)
        if isinstance(content, ModelEval) and content.model.get("sha256") == sha256:
            found.append(path)
        elif named is not None:
            raise SscError(
                f"{path} holds no figures of {checkpoint}: it was made with another model; evaluate this one"
            )
    return found


def model_card(checkpoint: Path, repository: str, evals: Sequence[Path], licence: str | None = None) -> str:
    """Markdown with figures, intervals, world and hashes. The checkpoint is read, so it passed all checks.

    Paths of this machine do not appear: models are named by the last part of theirs.
    """
    network = load_published(checkpoint).network
    contents = [content for content in map(read_eval, evals) if isinstance(content, ModelEval)]
    return render(
        "model_card.md",
        title=repository.rpartition("/")[2],
        repository=repository,
        licence=licence,
        checkpoint=checkpoint.name,
        sha256=file_sha256(checkpoint),
        evals=contents,
        worlds=list(dict.fromkeys(one.world for one in contents)),
        toys=bool(toys_in(dict(network))),
        network=_network(network),
    )


def _network(section: Any) -> str:
    swin, bert = section.get("swin"), section.get("bert")
    parts = {
        "Swin": swin if isinstance(swin, str) else (swin or {}).get("embed_dim") and f"width {swin['embed_dim']}",
        "BERT": bert and PurePath(bert).name,
        "photos of": section.get("image_size") and f"{section['image_size']} pixels",
    }
    return ", ".join(f"{name} {value}" for name, value in parts.items() if value) or "as the file's shapes say"
