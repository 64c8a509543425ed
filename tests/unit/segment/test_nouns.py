from __future__ import annotations

import json
import logging

import nltk
import pytest
from PIL import Image

from ssc_core.config.labelling import NounSettings
from ssc_core.config.sources import DatasetSource
from ssc_core.errors import SscError
from ssc_core.refer.index import build_index
from ssc_core.segment import nouns as stage
from ssc_core.segment.coco import COCO_CLASSES
from ssc_core.segment.nouns import NounFinder, class_names_for, extract_nouns, most_likely_class
from tests.files import read_nouns
from tests.unit.segment.conftest import fake


def settings(**values) -> NounSettings:
    return NounSettings(encoder=fake("LetterEncoder"), **values)


@pytest.mark.parametrize(
    ("classes", "query"),
    [
        ([["dog"], ["cat", "dog"]], "dog"),
        ([["dog"], ["cat"]], "dog"),
        ([[], ["cat", "cat"], ["dog"]], "cat"),
        ([[], []], "object"),
    ],
)
def test_most_likely_class_is_the_most_common_one_and_ties_go_to_the_first(classes, query):
    assert most_likely_class(classes) == query


@pytest.fixture
def refs(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    lines = ["image,sentences", '"a.png","the dogs|red dogs"', '"a.png","catty"', '"a.png","left"']
    (tmp_path / "t.csv").write_text("\n".join(lines))
    source = DatasetSource(layout="table", file=tmp_path / "t.csv", images=tmp_path)
    out = tmp_path / "refs.parquet"
    build_index(dataset="d", source=source, out_refs=out, out_truth=tmp_path / "truth.h5", check_counts=False)
    return out


WORDS = {"the dogs": ["dogs"], "red dogs": ["dogs"], "catty": ["catty"], "left": []}


def extract(refs, monkeypatch, **values):
    monkeypatch.setattr(stage, "_extractor", lambda *_: lambda sentences: [list(WORDS[s]) for s in sentences])
    out = refs.with_name("nouns.parquet")
    names = ("dog", "cat", "umbrella")
    extract_nouns(refs=refs, split="train", out=out, settings=settings(**values), class_names=names, device="cpu")
    return read_nouns(out)


def test_the_table(refs, monkeypatch):
    table = extract(refs, monkeypatch)
    assert table["ref_id"].tolist() == [1, 2, 3] and table["image_id"].tolist() == [1, 1, 1]
    assert table["nouns"].tolist() == [[["dogs"], ["dogs"]], [["catty"]], [[]]]
    assert table["classes"].tolist() == [[["dog"], ["dog"]], [["cat"]], [[]]]
    assert table["query"].tolist() == ["dog", "cat", "object"]


def test_parts_of_a_split_make_the_same_table(refs, monkeypatch, caplog):
    whole = extract(refs, monkeypatch)
    monkeypatch.setattr(stage, "REFS_AT_ONCE", 1)
    with caplog.at_level(logging.INFO):
        assert extract(refs, monkeypatch).to_dict() == whole.to_dict()
    assert [r.message for r in caplog.records] == ["1 of 4 sentences have no noun by spacy, 1 by neither"]


def test_refs_of_a_photo_come_together_photos_in_their_order(tmp_path, monkeypatch):
    rows = ["image,sentences", "b.png,the dogs", "a.png,catty", "b.png,red dogs"]
    for name in ("a.png", "b.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    (tmp_path / "t.csv").write_text("\n".join(rows))
    source = DatasetSource(layout="table", file=tmp_path / "t.csv", images=tmp_path)
    out = tmp_path / "refs.parquet"
    build_index(dataset="d", source=source, out_refs=out, out_truth=tmp_path / "truth.h5", check_counts=False)
    table = extract(out, monkeypatch)
    assert table["ref_id"].tolist() == [1, 3, 2]
    assert table["query"].tolist() == ["dog", "dog", "cat"]


def test_without_projection_the_nouns_are_the_classes(refs, monkeypatch):
    table = extract(refs, monkeypatch, project=False)
    assert table["classes"].tolist() == table["nouns"].tolist()
    assert table["query"].tolist() == ["dogs", "catty", "object"]


def test_top_k_classes_count_for_each_noun(refs, monkeypatch):
    table = extract(refs, monkeypatch, top_k=2, context=False)
    assert [len(sentence) for sentence in table["classes"][0]] == [2, 2]
    assert table["query"][0] == "dog"


def test_class_names_are_the_datasets_or_cocos(refs):
    assert class_names_for(settings(classes="coco"), refs) == COCO_CLASSES
    assert class_names_for(settings(), refs) == COCO_CLASSES, "a table has no categories of its own"
    assert len(set(COCO_CLASSES)) == 80


def test_each_extractor_falls_back_to_the_other(monkeypatch):
    found = {"spacy": {"a": ["x"], "b": []}, "nltk": {"a": [], "b": ["y"]}}
    monkeypatch.setattr(stage, "_extractor", lambda name, *_: lambda sents: [list(found[name][s]) for s in sents])
    assert NounFinder(settings())(["a", "b"]) == [["x"], ["y"]]
    assert NounFinder(settings(extractor="nltk"))(["b", "a"]) == [["y"], ["x"]]


def test_the_fallback_without_its_data_is_a_warning_with_a_count(monkeypatch, caplog):
    monkeypatch.setattr(nltk.data, "path", [])
    find = NounFinder(settings())
    with caplog.at_level(logging.WARNING):
        assert find(["the dog", "left", ""])[0] == ["dog"]
        find.report()
    assert "of 3 sentences have no noun" in caplog.text and "ssc fetch nltk_tagger" in caplog.text


def test_nltk_as_first_choice_without_its_data_is_an_error(monkeypatch):
    monkeypatch.setattr(nltk.data, "path", [])
    with pytest.raises(SscError, match="tagger data"):
        NounFinder(settings(extractor="nltk"))(["the dog"])


@pytest.mark.parametrize("content", [None, b"", b"PAR1 but no more"])
def test_a_missing_or_damaged_table_is_an_error_that_names_it(tmp_path, content):
    path = tmp_path / "nouns.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SscError, match=r"nouns\.parquet"):
        read_nouns(path)


def test_another_table_is_an_error(refs):
    with pytest.raises(SscError, match="no table of nouns"):
        read_nouns(refs)


def test_no_sentence_breaks_the_stage(root, tmp_path):
    """Longer than CLIP's 77 tokens, blank, emoji and other scripts, with real spaCy and a real image-text model."""
    odd = ["dog " * 200, "a" * 5000, "🐶 🐶", "左边的人", "ребёнок слева", "?!", "left", " dog "]
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    rows = [{"image": "a.png", "sentences": [sentence, " "]} for sentence in odd]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    source = DatasetSource(layout="table", file=tmp_path / "t.jsonl", images=tmp_path)
    table, out = tmp_path / "refs.parquet", tmp_path / "nouns.parquet"
    build_index(dataset="d", source=source, out_refs=table, out_truth=tmp_path / "truth.h5", check_counts=False)
    encoder = {"name": "open_clip", "settings": {"model": str(root / "resources" / "micro" / "clip")}}
    names = ("dog", "cat")
    values = NounSettings(encoder=encoder, top_k=1)
    extract_nouns(refs=table, split="train", out=out, settings=values, class_names=names, device="cpu")
    found = read_nouns(out)
    assert len(found) == len(odd)
    assert set(found["query"]) <= {"dog", "cat", "object"}
    assert found["query"].iloc[0] == found["query"].iloc[-1] == "dog"
