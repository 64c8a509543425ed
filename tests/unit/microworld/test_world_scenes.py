"""Scenes: the same everywhere, with masks that agree with boxes, areas and the picture's layers."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from microworld.classes import CATEGORY_IDS, CLASSES, COLOURS, PERSON_KINDS
from microworld.scenes import MIN_VISIBLE_PIXELS, generate_scene, scene_seed
from ssc_core.config.world import WorldSettings

SETTINGS = WorldSettings()


@pytest.fixture(scope="module")
def scenes():
    return [generate_scene(scene_seed(7, "tests/scenes", i), SETTINGS) for i in range(200)]


def test_same_seed_gives_the_same_bytes_in_another_process():
    program = (
        "import hashlib; from microworld.scenes import *;"
        "s = [generate_scene(scene_seed(7, 'tests/again', i), WorldSettings()) for i in range(3)];"
        "print(hashlib.sha256(b''.join(x.image.tobytes() + b''.join(o.mask.tobytes() for o in x.objects)"
        " for x in s)).hexdigest())"
    )
    digests = {
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
        for _ in range(2)
    }
    assert len(digests) == 1


def test_scene_seeds_of_domains_and_worlds_are_disjoint():
    domains = ("refcoco/train", "refcoco/val", "pretrain/clip", "pretrain/sam")
    seeds = [scene_seed(world, domain, i) for world in (1, 11) for domain in domains for i in range(120)]
    assert len(set(seeds)) == len(seeds)


def test_themes_are_kept():
    for i in range(20):
        people = generate_scene(scene_seed(7, "tests/people", i), SETTINGS, "people")
        assert sum(obj.category == "person" for obj in people.objects) >= 2
        assert any(obj.category != "person" for obj in generate_scene(i, SETTINGS, "things").objects)
    with pytest.raises(ValueError, match="theme"):
        generate_scene(1, SETTINGS, "dogs")


def test_masks_boxes_and_areas_agree(scenes):
    for scene in scenes:
        assert scene.image.dtype == np.uint8
        assert (scene.width, scene.height) in SETTINGS.image_sizes
        assert SETTINGS.min_objects <= len(scene.objects) <= SETTINGS.max_objects
        layers = np.zeros((scene.height, scene.width), int)
        for obj in scene.objects:
            assert obj.mask.shape == layers.shape
            rows, columns = np.nonzero(obj.mask)
            assert obj.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            assert obj.area == obj.mask.sum() >= MIN_VISIBLE_PIXELS
            layers += obj.mask
        assert layers.max() == 1, "visible masks do not share pixels"


def test_objects_are_hidden_only_a_little(scenes, monkeypatch):
    """Every object alone on its picture: the visible mask keeps at least 70 % of what it would show."""
    from microworld import scenes as module

    shares = []
    original = module._visible

    def spy(plans, width, height):
        kept, owner = original(plans, width, height)
        shares.extend((owner == i).sum() / (plan.patch.alpha >= 0.5).sum() for i, plan in enumerate(kept))
        return kept, owner

    monkeypatch.setattr(module, "_visible", spy)
    for i in range(60):
        generate_scene(scene_seed(7, "tests/hidden", i), SETTINGS)
    assert min(shares) >= 0.70
    assert np.mean(shares) > 0.93


def test_records_use_the_worlds_words(scenes):
    for obj in (obj for scene in scenes for obj in scene.objects):
        assert obj.category_id == CATEGORY_IDS[obj.category]
        assert obj.colour in CLASSES[obj.category].colours
        assert obj.look in CLASSES[obj.category].looks
        assert (obj.kind in PERSON_KINDS) == (obj.category == "person")


def test_most_scenes_hold_a_choice(scenes):
    share = np.mean([max(Counter(obj.category for obj in scene.objects).values()) > 1 for scene in scenes])
    assert 0.70 <= share <= 0.90


def test_every_class_appears_and_wears_its_colour(scenes):
    seen = Counter(obj.category for scene in scenes for obj in scene.objects)
    assert set(seen) == set(CLASSES)
    hits = []
    for scene in scenes:
        for obj in scene.objects:
            if obj.category == "person":  # skin, hair and trousers outnumber the shirt's pixels
                continue
            pixels = scene.image[obj.mask].astype(float)
            distances = {name: np.linalg.norm(pixels - paint, axis=1) for name, paint in COLOURS.items()}
            near = {name: (distance < 60).sum() for name, distance in distances.items()}
            hits.append(max(near, key=near.get) == obj.colour)
    assert np.mean(hits) > 0.9
