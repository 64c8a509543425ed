"""However a path is spelt in a config, it is the same path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ssc_core.config.paths import tidy_if_path, tidy_path
from ssc_core.config.settings import Settings, load_settings
from ssc_core.errors import SscError


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")


@pytest.mark.parametrize(
    ("typed", "path"),
    [
        ("out", "out"), ("out/", "out"), ("./out", "out"), (".//out//a/./", "out/a"), ("a/../out", "out"),
        ("../out/", "../out"), ("~/out", "/home/me/out"), ("~", "/home/me"), ("/data/", "/data"), ("./", "."),
        ("//data//x", "/data/x"), ("my out", "my out"), ("a~b", "a~b"), ("./~", "./~"),
    ],
)  # fmt: skip
def test_a_path_has_one_spelling(typed: str, path: str) -> None:
    assert tidy_path(typed) == path
    assert tidy_path(path) == path, "settings are read again from what a rule was given"


@pytest.mark.parametrize(("typed", "words"), [("", "is empty"), ("~no-such-user/x", "nobody's home folder")])
def test_a_path_that_is_none(typed: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        tidy_path(typed)


@pytest.mark.parametrize("value", ["ViT-B-32", "org/model", "https://x.org//a/", "a photo of a // b", 0.25, None, [1]])
def test_what_may_be_no_path_stays_as_it_is(value: Any) -> None:
    assert tidy_if_path(value) == value


def config(root: Path, **changes: Any) -> Settings:
    from snakemake.utils import update_config

    whole = yaml.safe_load((root / "config.yaml").read_text())
    update_config(whole, changes)
    return load_settings(whole)


def test_every_path_of_a_config_is_tidied(root: Path) -> None:
    table = {"source": {"layout": "table", "file": "~/refs.csv", "images": "./photos/"}, "splits": ["train"]}
    refer = {
        "source": {"layout": "refer", "root": "~/data/", "name": "refcoco", "split_by": "unc", "instances": "~/i.json"},
        "splits": ["val"],
    }
    backend = {
        "name": "./plug/in.py:Detector",
        "settings": {"model": "~/weights/", "names": "org/model", "more": [{"a": "./w/"}]},
    }
    found = config(
        root, results="~/out/", datasets={"mine": table, "theirs": refer}, detect={"backend": backend},
        network={"bert": "./bert/", "swin_weights": "~/swin.pth"}, pretrain={"init_from": "./old//pretrain.pt"},
        sources={"mirrors": ["~/mirror", "https://x.org/a/"], "lock": "./lock.json"}, nouns={"spacy_model": "~/spacy"},
    )  # fmt: skip
    assert found.results == "/home/me/out"
    assert found.datasets["mine"].source.file == Path("/home/me/refs.csv")
    assert found.datasets["mine"].source.images == Path("photos")
    assert found.datasets["theirs"].source.root == Path("/home/me/data")
    assert found.datasets["theirs"].source.instances == Path("/home/me/i.json")
    assert found.detect.backend.name == "plug/in.py:Detector"
    assert found.detect.backend.settings["model"] == "/home/me/weights"
    assert found.detect.backend.settings["names"] == "org/model"
    assert found.detect.backend.settings["more"] == [{"a": "w"}]
    assert (found.network.bert, found.network.swin_weights) == ("bert", "/home/me/swin.pth")
    assert found.pretrain.init_from == "old/pretrain.pt"
    assert found.sources.mirrors == ("/home/me/mirror", "https://x.org/a/")
    assert (found.sources.lock, found.nouns.spacy_model) == ("lock.json", "/home/me/spacy")


@pytest.mark.parametrize(
    ("results", "words"),
    [("", "is empty"), (".", "folder of its own"), ("out/..", "folder of its own"), ("out{1}", "wildcards")],
)
def test_results_folders_that_cannot_be(root: Path, results: str, words: str) -> None:
    with pytest.raises(SscError, match=rf"results: .*{words}"):
        config(root, results=results)
