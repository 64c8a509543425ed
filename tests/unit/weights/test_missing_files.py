"""A file that a config names and that is not there: every reader of weights says how to get it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ssc_core.backends import Detector, ImageTextEncoder, Segmenter, load_backend
from ssc_core.cli.config_files import read_config
from ssc_core.correct.checkpoints import load_published
from ssc_core.correct.text import load_text, load_tokenizer
from ssc_core.errors import SscError
from ssc_core.segment.spacy_nouns import SpacyNouns
from ssc_core.tensor_files import read_torch

PAPER = read_config([Path(__file__).parents[3] / "presets" / "paper.yaml"])


def backend(place: object, role: type) -> Callable[[], object]:
    return lambda: load_backend(place.name, place.settings, role, device="cpu", threads=1)


READERS: dict[str, Callable[[], object]] = {
    "spaCy": lambda: SpacyNouns(PAPER.nouns.spacy_model),
    "CLIP for nouns": backend(PAPER.nouns.encoder, ImageTextEncoder),
    "detector": backend(PAPER.detect.backend, Detector),
    "SAM": backend(PAPER.segment.backend, Segmenter),
    "CLIP for scores": backend(PAPER.score.backend, ImageTextEncoder),
    "tokenizer": lambda: load_tokenizer(PAPER.network.bert),
    "BERT": lambda: load_text(PAPER.network.bert),
    "Swin": lambda: read_torch(PAPER.network.swin_weights),
    "checkpoint": lambda: load_published(PAPER.datasets["refcoco"].checkpoint),
}


@pytest.mark.parametrize("reader", READERS)
def test_the_message_names_the_file_and_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SscError, match=r"(?s)weights/.*`ssc fetch --config CONFIG` gets"):
        READERS[reader]()
