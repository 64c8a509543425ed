from __future__ import annotations

import h5py
import numpy as np
import pytest

from ssc_core.backends import ImageTextEncoder, load_backend
from ssc_core.config.base import Backend
from ssc_core.config.labelling import CompatSettings
from ssc_core.errors import SscError
from ssc_core.masks.selection import ScoreStore
from ssc_core.masks.store import MaskStore
from ssc_core.refer.images import load_image
from ssc_core.select import score_stage, scorers
from ssc_core.select.prompts import reverse_blur


def score_world(
    world, *, settings=None, compat=None, threads=2, batch=None, masks=None, name="scores.h5"
) -> ScoreStore:
    out = world.folder / name
    score_stage.score_candidates(
        refs=world.refs,
        split="val",
        masks=masks or world.masks,
        images=world.images,
        out=out,
        settings=settings or world.score_settings(),
        compat=compat or CompatSettings(),
        device="cpu",
        threads=threads,
        batch_size=batch,
    )
    return ScoreStore(out)


def test_every_sentence_of_every_ref_scores_every_candidate(world):
    scores = score_world(world)
    assert scores.ref_ids.tolist() == [1, 2, 3, 4, 5]
    assert [scores.scores(ref).shape for ref in scores.ref_ids.tolist()] == [(2, 3), (1, 3), (3, 1), (1, 0), (2, 2)]
    assert scores.scores(1).argmax(axis=1).tolist() == [0, 0]
    assert scores.scores(2).argmax(axis=1).tolist() == [1]
    assert scores.areas(1).tolist() == [144, 144, 144]
    assert scores.areas(4).tolist() == []
    assert scores.areas(5).tolist() == [4, 9]


def test_a_score_is_the_cosine_times_100(world):
    found = score_world(world).scores(2)[0]
    encoder = load_backend(f"{world.plugin}:ColourEncoder", {}, ImageTextEncoder, device="cpu", threads=1)
    text = encoder.encode_texts(["the green square"])[0]
    with MaskStore.open(world.masks) as store:
        masks = store.candidate_masks(2)
    photo = load_image(world.images / "a.png")
    expected = [100 * encoder.encode_images([reverse_blur(photo, mask, sigma=2)])[0] @ text for mask in masks]
    np.testing.assert_allclose(found, expected, atol=6e-4)


def test_each_instance_and_each_sentence_is_encoded_once_and_batches_are_full(world):
    score_world(world, batch=2)
    # photo a has three instances in three refs, c has two: five images over photos, in batches of two
    assert world.asked("images") == [2, 2, 1]
    assert world.asked("texts") == [9]


def test_same_sentence_in_two_refs_is_encoded_once(world):
    world.edit_refs(lambda table: table.assign(sentence=table["sentence"].where(table["ref_id"] != 2, "red")))
    scores = score_world(world)
    assert world.asked("texts") == [8]
    np.testing.assert_array_equal(scores.scores(2)[0], scores.scores(1)[1])


@pytest.mark.parametrize(("batch", "threads"), [(1, 1), (2, 3), (64, 2)])
def test_batches_and_threads_change_nothing(world, batch, threads):
    reference = score_world(world, name="reference.h5")
    other = score_world(world, batch=batch, threads=threads)
    for ref in reference.ref_ids.tolist():
        np.testing.assert_array_equal(reference.scores(ref), other.scores(ref))


def test_clip_bgr_swaps_red_and_blue(world):
    swapped = score_world(world, compat=CompatSettings(clip_bgr=True))
    assert swapped.scores(1).argmax(axis=1).tolist() == [2, 2]
    assert swapped.scores(2).argmax(axis=1).tolist() == [1]


def test_an_ensemble_averages_the_scores_of_its_prompts(world):
    one = score_world(world, settings=world.score_settings(prompt="reverse_blur"), name="one.h5")
    two = score_world(world, settings=world.score_settings(prompt="crop"), name="two.h5")
    both = score_world(world, settings=world.score_settings(prompt=("reverse_blur", "crop")), name="both.h5")
    for ref in (1, 2, 3):
        np.testing.assert_allclose(both.scores(ref), (one.scores(ref) + two.scores(ref)) / 2, atol=2e-3)
    assert not np.allclose(one.scores(1), two.scores(1))


def test_masks_of_other_annotations_are_refused(world):
    world.edit_refs(lambda table: table[table["ref_id"] != 5])
    with pytest.raises(SscError, match="1 ref that the annotations do not have in split 'val', such as 5"):
        score_world(world)
    assert not (world.folder / "scores.h5").exists()


def test_masks_of_another_size_than_the_photo_are_refused_before_any_is_decoded(world):
    with h5py.File(world.masks, "r+") as file:
        file["image/size"][2] = (2**13, 2**13)
    with pytest.raises(SscError, match=r"masks\.h5 has masks of 8192 x 8192 pixels .* for c\.png, which has 40 x 60"):
        score_world(world)


def test_a_missing_photo_is_named_and_leaves_no_file(world):
    (world.images / "c.png").unlink()
    with pytest.raises(SscError, match=r"c\.png does not exist"):
        score_world(world)
    assert list(world.folder.glob("scores.h5*")) == []


def test_photos_without_candidates_are_never_opened(world):
    (world.images / "b.png").unlink()
    assert score_world(world).scores(4).shape == (1, 0)


def test_a_staged_encoder_gives_the_scores_of_a_plain_one(world, clip_folder):
    settings = world.score_settings(backend=Backend(name="open_clip", settings={"model": str(clip_folder)}))
    staged = score_world(world, settings=settings, name="staged.h5")
    plain_file = world.folder / "plain.py"
    plain_file.write_text(
        "from ssc_core.select.clip import OpenClip\n"
        "class Plain:\n"
        "    def __init__(self, model):\n"
        "        clip = OpenClip(model, device='cpu')\n"
        "        self.encode_images, self.encode_texts = clip.encode_images, clip.encode_texts\n"
    )
    plain = world.score_settings(backend=Backend(name=f"{plain_file}:Plain", settings={"model": str(clip_folder)}))
    plain = score_world(world, settings=plain, name="plain.h5")
    for ref in (1, 2, 3, 5):
        np.testing.assert_allclose(staged.scores(ref), plain.scores(ref), atol=2e-3)


def test_in_batches_gives_every_photo_its_own_features():
    def marked(*values):
        return scorers.Ready([np.array([value]) for value in values] or None)

    photos = [marked(1, 2, 3), marked(), marked(4), marked(), marked(5, 6), marked()]
    sizes = []

    def encode(inputs):
        sizes.append(len(inputs))
        return np.concatenate([inputs]) * 10.0

    found = list(scorers.in_batches(photos, encode, 4))
    assert [photo for photo, _ in found] == photos
    assert [features[:, 0].tolist() for _, features in found] == [[10, 20, 30], [], [40], [], [50, 60], []]
    assert sizes == [4, 2]


def test_a_sentence_of_80_words_is_scored_like_any_other(world, clip_folder):
    words = "the red dog and the blue cat a " * 10
    world.edit_refs(lambda table: table.assign(sentence=table["sentence"].where(table["ref_id"] != 1, words)))
    settings = world.score_settings(backend=Backend(name="open_clip", settings={"model": str(clip_folder)}))
    scores = score_world(world, settings=settings).scores(1)
    assert len(words.split()) == 80
    assert scores.shape == (2, 3)
    assert np.isfinite(scores).all()


def test_score_without_candidates():
    assert scorers.score(np.zeros((0, 1, 4), np.float32), np.zeros((2, 4), np.float32)).shape == (2, 0)
