from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ssc_core.config.layers import read_layers
from ssc_core.config.settings import Settings, load_settings
from ssc_core.config.variants import Variants, change, label, parse, plain
from ssc_core.errors import SscError


@pytest.fixture(scope="module")
def settings(root: Path) -> Settings:
    return load_settings(yaml.safe_load((root / "config.yaml").read_text()))


@pytest.fixture(scope="module")
def variants(settings: Settings) -> Variants:
    return Variants(settings)


@pytest.mark.parametrize(
    ("changes", "folder"),
    [
        ({}, ""),
        ({"seed": 7}, "seed7/"),
        ({"select.choice": "first"}, "select.choice=first/"),
        ({"select.min_area": 6, "score.prompt": ["crop", "red"]}, "score.prompt=[crop,red]+select.min_area=6/"),
        ({"seed": 3, "correct.ema_decay": 0.99}, "correct.ema_decay=0.99+seed3/"),
        ({"correct.ema_decay": None, "compat.clip_bgr": True}, "compat.clip_bgr=true+correct.ema_decay=null/"),
        ({"correct.lr": 1e-05}, "correct.lr=1e-05/"),
        ({"network.bert": "weights/bert base+"}, "network.bert=%22weights%2Fbert%20base%2B%22/"),
        ({"evaluate.resolution": "480"}, "evaluate.resolution=%22480%22/"),
    ],
)  # fmt: skip
def test_a_folder_says_what_is_changed_and_is_read_again(changes: dict[str, Any], folder: str) -> None:
    assert label(changes) == folder
    assert parse(folder) == changes


@pytest.mark.parametrize(
    "folder", ["seven/", "select.choice/", "select=first/", "seed/", "a.b=1", "a.b=1//", "../a.b=1/"]
)
def test_what_names_no_change_is_refused(folder: str) -> None:
    with pytest.raises(SscError, match="names no change"):
        parse(folder)


@pytest.mark.parametrize("value", ["[a", "*x", "!!python", "2020-01-01", "2020-13-40", "&a [*a]", "%5B"])
def test_a_value_that_is_none_is_refused_and_shown(variants: Variants, value: str) -> None:
    with pytest.raises(SscError, match="is no value; write it as in a config"):
        variants.folder("selected", f"select.choice={value}/")


@pytest.mark.parametrize(
    ("folder", "one"),
    [
        ("seed4+correct.lr=0.0001/", "correct.lr=0.0001+seed4"),
        ("correct.lr=1e-4/", "correct.lr=0.0001"),
        ("select.spatial_weight=20.0/", "select.spatial_weight=20"),
        ("select.weights=[1.0,-2.50]/", "select.weights=[1,-2.5]"),
        ("compat.clip_bgr=True/", "compat.clip_bgr=true"),
        ("score.prompt=[crop, red]/", "score.prompt=[crop,red]"),
        ("correct.lr=%221e-4%22/", "correct.lr=0.0001"),
        ("correct.epochs=%2212%22/", "correct.epochs=12"),
        ("compat.clip_bgr=1/", "compat.clip_bgr=true"),
        ("compat.clip_bgr=%22yes%22/", "compat.clip_bgr=true"),
        ("network.bert=%22.%2Fweights%2F%2Fbert%22/", "network.bert=weights%2Fbert"),
        ("seed007/", "seed7"),
        ("seed4+seed5/", "seed5"),
    ],
)
def test_another_spelling_names_the_one_that_is_made(variants: Variants, folder: str, one: str) -> None:
    with pytest.raises(SscError, match=re.escape(f"is written '{one}'")):
        variants.folder("selected", folder)


@pytest.mark.parametrize(
    ("changes", "folder"),
    [
        ({"correct.lr": "1e-4"}, "correct.lr=0.0001/"),  # of a file: YAML takes it for a text
        ({"correct.clip_norm": 3, "correct.mirror": "0.50"}, "correct.clip_norm=3+correct.mirror=0.5/"),
        ({"network.swin": "micro"}, "network.swin=micro/"),
        ({"detect.backend.settings.box_threshold": None}, "detect.backend.settings.box_threshold=null/"),
        ({"detect.backend": None, "detect.backend.settings.model": "x"}, "detect.backend=null/"),
    ],
)
def test_a_value_is_written_as_the_config_holds_it(settings: Settings, changes: dict[str, Any], folder: str) -> None:
    other = Variants(change(settings, {"network.swin": "base"}))
    assert other.folder("correct.pt", changes=changes) == folder
    assert other.folder("correct.pt", folder) == folder


def test_changes_joined_by_a_comma_are_told_of_the_plus(variants: Variants) -> None:
    with pytest.raises(SscError, match=r"Several changes are joined by \+"):
        variants.folder("selected", "select.assignment=joint,select.spatial_weight=20/")


def test_a_folder_has_an_end() -> None:
    with pytest.raises(SscError, match="too long"):
        label({"network.bert": "x" * 300})


@pytest.mark.parametrize(
    ("changes", "result", "folder"),
    [
        ({"nouns.project": False}, "nouns", "nouns.project=false/"),
        ({"nouns.project": False}, "refs", ""),
        ({"score.prompt": "crop"}, "masks", ""),
        ({"score.prompt": "crop"}, "scores_shard", "score.prompt=crop/"),
        ({"score.prompt": "crop"}, "correct.pt", "score.prompt=crop/"),
        ({"score.prompt": "crop", "select.assignment": "joint"}, "scores", "score.prompt=crop/"),
        ({"score.prompt": "crop", "select.per": "sentence"}, "selected", "score.prompt=crop+select.per=sentence/"),
        ({"correct.loss": "random_ce"}, "pretrain.pt", ""),
        ({"correct.loss": "random_ce"}, "eval.corrected", "correct.loss=random_ce/"),
        ({"correct.loss": "random_ce"}, "eval.masks", ""),
        ({"correct.lr": 0.5}, "continue_pretrain.pt", "correct.lr=0.5/"),
        ({"compat.matching_double_count": True}, "pretrain.pt", ""),
        ({"compat.gt_overlap_hole": True}, "refs", ""),
        ({"compat.gt_overlap_hole": True}, "truth", "compat.gt_overlap_hole=true/"),
        ({"compat.gt_overlap_hole": True}, "correct.pt", ""),
        ({"compat.gt_overlap_hole": True}, "supervised.pt", "compat.gt_overlap_hole=true/"),
        ({"seed": 7}, "selected", ""),
        ({"seed": 7}, "supervised.pt", "seed7/"),
        ({"seed": 0}, "correct.pt", ""),
        ({"seed": 7, "select.choice": "random"}, "selected", "seed7+select.choice=random/"),
        ({"seed": 7, "select.choice": "random"}, "scores", ""),
        ({"select.choice": "score"}, "selected", ""),
        ({"select.choice": "score", "select.min_area": 1}, "selected", "select.min_area=1/"),
        ({"evaluate.seed": 3}, "eval.pretrained", "evaluate.seed=3/"),
        ({"detect.nms_iou": 0.1}, "grounded", "detect.nms_iou=0.1/"),
    ],
)  # fmt: skip
def test_a_result_lies_with_the_changes_that_reach_it(
    variants: Variants, changes: dict[str, Any], result: str, folder: str
) -> None:
    assert variants.folder(result, changes=changes) == folder


def test_changes_that_are_valid_together_alone(settings: Settings) -> None:
    several = Variants(change(settings, {"scorers.dense": settings.values("score")}))
    changes = {"select.weights.default": 0, "select.weights.dense": 1}
    assert several.folder("selected", changes=changes) == "select.weights.default=0+select.weights.dense=1/"
    assert several.folder("scores@dense", changes=changes) == ""


def test_a_checkpoint_kept_by_validation_depends_on_the_truth(settings: Settings) -> None:
    kept = Variants(change(settings, {"correct.keep": "best"}))
    changes = {"compat.gt_overlap_hole": True}
    assert kept.folder("correct.pt", changes=changes) == "compat.gt_overlap_hole=true/"
    assert kept.folder("pretrain.pt", changes=changes) == ""


def test_changes_come_on_top_of_a_folder(variants: Variants) -> None:
    assert variants.folder("selected", "score.prompt=crop/", {"select.assignment": "joint"}) == (
        "score.prompt=crop+select.assignment=joint/"
    )
    assert variants.settings_of("score.prompt=crop/").score.prompt == "crop"


@pytest.mark.parametrize(
    ("changes", "same_in_a_file"),
    [
        ({"detect.backend.name": "owlv2"}, {"name": "owlv2"}),
        (
            {"detect.backend.settings.model": "x", "detect.backend.name": "owlv2"},
            {"name": "owlv2", "settings": {"model": "x"}},
        ),
        (
            {"detect.backend.name": "grounding_dino", "detect.backend.settings.model": "x"},
            {"name": "grounding_dino", "settings": {"model": "x"}},
        ),
    ],
)
def test_a_name_is_changed_as_in_a_config_file(
    settings: Settings, root: Path, changes: dict[str, Any], same_in_a_file: dict[str, Any]
) -> None:
    by_file = load_settings(read_layers([root / "config.yaml"], {"detect": {"backend": same_in_a_file}}))
    assert change(settings, changes) == by_file
    folder = label(changes)
    assert Variants(settings).settings_of(folder) == by_file


def test_lavt_in_place_of_a_network_of_ones_own_takes_none_of_its_settings(settings: Settings) -> None:
    own = change(settings, {"network.settings.channels": 8, "network.name": "plugins/tiny.py:Tiny"})
    assert own.network.settings == {"channels": 8}
    assert change(own, {"network.name": "lavt"}).network == settings.network


def test_a_seed_changes_every_training_and_a_random_choice(settings: Settings) -> None:
    found = change(settings, {"seed": 5, "select.choice": "random"})
    assert found.select.seed == 5
    assert {found.training(phase).seed for phase in ("pretrain", "correct", "supervised", "continue_pretrain")} == {5}
    assert change(settings, {"seed": 5}).select == settings.select


@pytest.mark.parametrize(("share", "order", "seed"), [(0.1, "random", 5), (0.1, "doubt", 0), (0, "random", 0)])
def test_a_seed_changes_a_random_order_of_reviews(settings: Settings, share: float, order: str, seed: int) -> None:
    assert change(settings, {"seed": 5, "reviewer.share": share, "reviewer.order": order}).reviewer.seed == seed


def test_what_starts_from_a_phase_follows_its_change(settings: Settings) -> None:
    assert change(settings, {"pretrain.clip_norm": 0.5}).training("supervised").clip_norm == 0.5
    assert change(settings, {"pretrain.lr": 0.5}).training("supervised").lr == settings.supervised.lr, "it has its own"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"selekt.choice": "first"}, "the config has no 'selekt.choice'"),
        ({"select.choice": "worst"}, "cannot be varied by select.choice=worst: select.choice"),
        ({"select": {"choice": "first"}}, "'select' is a whole section; write section.key"),
        ({"select.nothing": 1}, "cannot be varied by select.nothing=1: select.nothing"),
        ({"datasets.refcoco.limit": 5}, "'datasets.refcoco.limit' is the same in all variants"),
        ({"micro.seed": 8}, "'micro.seed' is the same in all variants"),
        ({"compute.threads": 2}, "'compute.threads' is the same in all variants"),
    ],
)
def test_mistakes_are_named(settings: Settings, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SscError, match=said):
        change(settings, changes)


def test_change_leaves_the_config_alone(settings: Settings, root: Path) -> None:
    assert change(settings, {"detect.backend.settings.box_threshold": 0.35}).detect != settings.detect
    assert settings == load_settings(yaml.safe_load((root / "config.yaml").read_text()))


@pytest.mark.parametrize(("value", "words"), [(True, "true"), ("crop", "crop"), (["a", "b"], "a + b"), (None, "null")])
def test_values_in_words(value: Any, words: str) -> None:
    assert plain(value) == words


def test_what_led_to_a_result_has_all_sections_before_it_with_the_variants_values(variants: Variants) -> None:
    found = variants.led_to("eval.corrected", "compat.clip_bgr=true+seed7/")
    assert found["compat.clip_bgr"] is True
    assert (found["pretrain"]["seed"], found["correct"]["seed"]) == (7, 7)
    assert found.keys() >= {"nouns", "detect", "segment", "score", "select", "network", "evaluate"}
    assert not found.keys() & {"supervised", "pretrain.loss", "detect.backend"}
    assert "select" not in variants.led_to("eval.supervised")
    assert found["reviewer"] == {"share": 0.0}
    assert variants.led_to("eval.corrected", "reviewer.share=0.1/")["reviewer"]["share"] == 0.1
