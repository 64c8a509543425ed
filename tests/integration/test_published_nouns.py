"""Nouns by the published pipeline, en_core_web_md, through the setting of presets/paper.yaml, on real sentences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import spacy

from ssc_core.cli.config_files import read_config
from ssc_core.config.labelling import NounSettings
from ssc_core.segment.nouns import NounFinder
from ssc_core.segment.spacy_nouns import head_nouns

EVERY = 20


@pytest.fixture(scope="module")
def pipeline(real_sample: Path) -> Path:
    folder = real_sample / "weights" / "en_core_web_md"
    if not folder.is_dir():
        pytest.skip("en_core_web_md is not in the real sample")
    return folder


@pytest.fixture(scope="module")
def sentences(real_sample: Path) -> list[str]:
    rows = (real_sample / "refcoco_val_sentences.jsonl").read_text().splitlines()[::EVERY]
    return [json.loads(row)["sent"] for row in rows]


@pytest.fixture
def published(root: Path, pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NounSettings:
    """The section of presets/paper.yaml, and the pipeline where `ssc fetch` would have put it."""
    settings = read_config([root / "presets" / "paper.yaml"]).nouns
    place = tmp_path / settings.spacy_model
    place.parent.mkdir()
    place.symlink_to(pipeline)
    monkeypatch.chdir(tmp_path)
    return settings


def test_nouns_are_those_of_the_published_way(published: NounSettings, pipeline: Path, sentences: list[str]) -> None:
    """Parse, look at the first token, parse again with "the"; sentence by sentence, with all components."""
    whole = spacy.load(pipeline)

    def published_way(sentence: str) -> list[str]:
        first = whole.make_doc(sentence)[:1].text  # a parse leaves words as they are, so the first one may wait
        return head_nouns(whole(sentence if first == "the" else f"the {sentence}"))

    expected = [published_way(sentence) for sentence in sentences]
    found = NounFinder(published, threads=2)(sentences)
    assert len(sentences) > 500
    with_nouns = [(one, other) for one, other in zip(found, expected, strict=True) if other]
    assert [one for one, _ in with_nouns] == [other for _, other in with_nouns]
    assert len(with_nouns) < len(sentences), "some sentences go to NLTK"


def test_they_are_not_the_default_pipelines(published: NounSettings) -> None:
    sentence = "white pot upper right corner"
    assert NounFinder(published)([sentence]) == [["pot"]]
    assert NounFinder(read_config().nouns)([sentence]) == [["corner"]]
