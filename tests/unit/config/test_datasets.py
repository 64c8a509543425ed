from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from ssc_core.config import datasets
from ssc_core.config.layers import read_layers
from ssc_core.config.settings import Settings, load_settings
from ssc_core.config.world import PLAIN_LOOKS, WORLD_EDITIONS, WorldSettings
from ssc_core.errors import SscError
from ssc_core.files import write_json


def test_results_of_another_edition_of_the_micro_world_are_refused(settings: Settings) -> None:
    other = json.loads(datasets.dataset_identity(settings, "refcoco"))
    del other["edition"]  # as the first one had it
    _stamp(settings, "refcoco", json.dumps(other))
    with pytest.raises(SscError, match=f"edition: built with null, the config says {WORLD_EDITIONS['refcoco']}"):
        datasets.check_world(settings)


def test_reviews_that_the_config_names_and_that_are_not_there_are_told(settings: Settings, tmp_path: Path) -> None:
    """A path that is misspelt would lead to labels without any decision, in silence."""
    assert datasets.absent_reviews(settings) == []
    dataset = settings.datasets["refcoco"].model_copy(update={"reviews": str(tmp_path / "decided.csv")})
    settings = settings.model_copy(update={"datasets": settings.datasets | {"refcoco": dataset}})
    (said,) = datasets.absent_reviews(settings)
    assert said.startswith("note: datasets.refcoco.reviews is ") and said.endswith("nothing is decided of refcoco")
    (tmp_path / "decided.csv").touch()
    assert datasets.absent_reviews(settings) == []


def test_refcoco_is_the_same_whatever_refcoco_plus_says(settings: Settings) -> None:
    for name in ("refcoco", "refcoco+"):  # as edition 3 wrote it, with the mixes of all datasets
        stamped = json.loads(datasets.dataset_identity(settings, name))
        stamped["micro"] = settings.micro.model_dump(mode="json") | {"refcoco_plus": PLAIN_LOOKS.model_dump()}
        _stamp(settings, name, json.dumps(stamped))
    with pytest.raises(SscError) as stopped:
        datasets.check_world(settings)
    message = str(stopped.value)
    assert "refcoco+ was built from other data" in message
    assert "refcoco was built" not in message
    assert "micro.refcoco_plus.colour: built with 0.5" in message
    (datasets.dataset_folder(settings, "refcoco+") / "data.json").unlink()
    datasets.check_world(settings)


@pytest.mark.parametrize(
    ("micro", "of"),
    [
        ({"images": {"test": 5}}, {"refcocog_umd", "refcocog_google"}),
        ({"images": {"testA": 5}}, {"refcoco", "refcoco+"}),
        ({"images": {"train": 5}}, {"refcoco", "refcoco+", "refcocog_umd", "refcocog_google"}),
        ({"refcoco_plus": {"colour": 0.5, "bare": 0}}, {"refcoco+"}),
        ({"refcocog": {"colour": 0.5, "noun": 0, "bare": 0}}, {"refcocog_umd", "refcocog_google"}),
    ],
)
def test_a_dataset_depends_on_its_own_part_of_the_world(settings: Settings, micro: dict, of: set[str]) -> None:
    other = settings.model_copy(update={"micro": WorldSettings.model_validate(micro)})
    for name in settings.datasets:
        _stamp(settings, name, datasets.dataset_identity(settings, name))
        alike = datasets.micro_settings(other, name) == datasets.micro_settings(settings, name)
        assert alike == (name not in of)
    with pytest.raises(SscError, match="was built from other data"):
        datasets.check_world(other)
    for name in of:
        (datasets.dataset_folder(settings, name) / "data.json").unlink()
    datasets.check_world(other)


@pytest.mark.parametrize("content", [{}, [], {"identity": "{"}, {"identity": 3}, {"identity": '{"micro": 1}'}])
def test_a_note_that_says_nothing_of_its_data_is_named(settings: Settings, content: object) -> None:
    write_json(datasets.dataset_folder(settings, "refcoco") / "data.json", content)
    with pytest.raises(SscError, match=r"data\.json does not say which data it is of"):
        datasets.check_world(settings)


@pytest.fixture
def settings(root: Path, tmp_path: Path) -> Settings:
    config = yaml.safe_load((root / "config.yaml").read_text())
    return load_settings({**config, "results": str(tmp_path / "results")})


def _stamp(settings: Settings, name: str, identity: str) -> None:
    write_json(datasets.dataset_folder(settings, name) / "data.json", {"identity": identity})


def test_results_of_the_same_data_pass(settings: Settings) -> None:
    _stamp(settings, "refcoco", datasets.dataset_identity(settings, "refcoco"))
    datasets.check_world(settings)


def test_results_of_other_data_stop_and_name_the_ways_out(settings: Settings) -> None:
    other = json.loads(datasets.dataset_identity(settings, "refcoco"))
    other["micro"]["seed"] += 1
    _stamp(settings, "refcoco", json.dumps(other))
    with pytest.raises(SscError) as stopped:
        datasets.check_world(settings)
    message = str(stopped.value)
    assert "micro.seed: built with 8, the config says 7" in message
    assert "results: another_folder" in message
    assert f"rm -r {datasets.dataset_folder(settings, 'refcoco')}" in message


def test_who_moved_the_data_is_told_how_to_keep_the_results(root: Path, tmp_path: Path) -> None:
    def moved_to(images: str, file: str = "refs.csv") -> Settings:
        source = {"layout": "table", "file": file, "images": images}
        own = {"datasets": {"own": {"source": source, "splits": ["train"]}}, "results": str(tmp_path / "results")}
        return load_settings(read_layers([root / "config.yaml"], own))

    before = datasets.dataset_identity(moved_to("my photos"), "own")
    _stamp(moved_to("my photos"), "own", before)
    with pytest.raises(SscError, match="the same data were moved: ln -s NEW_PLACE 'my photos', and leave the config"):
        datasets.check_world(moved_to("/mnt/photos"))
    with pytest.raises(SscError, match=r"moved: ln -s NEW_PLACE refs\.csv && ln -s NEW_PLACE 'my photos', and leave"):
        datasets.check_world(moved_to("/mnt/photos", "/mnt/refs.csv"))
    _stamp(moved_to("my photos"), "own", json.dumps(json.loads(before) | {"world": "another"}))
    with pytest.raises(SscError, match="was built from other data") as stopped:
        datasets.check_world(moved_to("/mnt/photos"))
    assert "were moved" not in str(stopped.value), "more than places differ"


def test_the_same_place_by_another_path(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "link").symlink_to("photos")
    for name in ("refs.csv", "others.csv"):
        (tmp_path / name).write_text("image,sentences\n")

    def of(source: dict) -> Settings:
        own = {"datasets": {"own": {"source": source, "splits": ["train"]}}, "results": str(tmp_path / "results")}
        return load_settings(read_layers([root / "config.yaml"], own))

    source = {"layout": "table", "file": "refs.csv", "images": "photos"}
    absolute = {"layout": "table", "file": str(tmp_path / "refs.csv"), "images": "link"}
    stamp = tmp_path / "results/own/data.json"
    assert datasets.spelled_as_built(absolute, stamp) == absolute, "nothing was built"
    _stamp(of(source), "own", datasets.dataset_identity(of(source), "own"))
    assert datasets.spelled_as_built(absolute, stamp) == source
    others = absolute | {"file": "others.csv"}
    assert datasets.spelled_as_built(others, stamp) == others | {"images": "photos"}
    with pytest.raises(SscError, match="these are the same files: write their paths as the results were built with"):
        datasets.check_world(of(absolute))
    with pytest.raises(SscError, match="the same data were moved"):
        datasets.check_world(of(others))
    with pytest.raises(SscError, match=r"Ways out:\n  go home\n  stay$"):
        datasets.check_world(of(others), ways_out=["go home", "stay"])


def test_who_starts_over_is_told_of_what_people_decided(settings: Settings) -> None:
    folder = datasets.dataset_folder(settings, "refcoco")
    _stamp(settings, "refcoco", json.dumps({"world": "files"}))
    (folder / "reviews.csv").write_text("ref,photo,decision,mask,who,when\n")
    with pytest.raises(SscError, match=rf"rm -r {folder}, but first move {folder}/reviews\.csv elsewhere"):
        datasets.check_world(settings)
    (folder / "reviews.csv").unlink()
    with pytest.raises(SscError, match=rf"rm -r {folder}$"):
        datasets.check_world(settings)


def test_the_micro_world_is_read_in_the_refer_layout(settings: Settings) -> None:
    source = datasets.dataset_source(settings, "refcocog_umd")
    assert (source.layout, source.name, source.split_by) == ("refer", "refcocog", "umd")
    assert datasets.source_files(settings, "refcocog_umd")[0].endswith("refcocog_umd/world/world.json")
    assert datasets.micro_name(settings, "refcocog_umd") == "refcocog_umd"
    assert datasets.micro_name(settings, "refcoco+") == "refcoco+"
    assert datasets.dataset_world(settings, "refcoco") == "micro"
