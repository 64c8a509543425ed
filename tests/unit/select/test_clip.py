from __future__ import annotations

import json
import shutil
import warnings

import numpy as np
import open_clip
import pytest
import torch
from open_clip.model import QuickGELU
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from ssc_core.backends import ImageTextEncoder, load_backend
from ssc_core.contracts import StagedEncoder
from ssc_core.errors import SscError
from ssc_core.select import clip
from ssc_core.select.clip import OpenClip

SMALL = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 64, "head_width": 32, "layers": 1},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


@pytest.fixture
def encoder(clip_folder) -> OpenClip:
    return OpenClip(str(clip_folder), device="cpu", batch_size=3)


@pytest.fixture
def images() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = [(40, 60), (60, 40), (32, 32), (20, 90), (8, 8), (100, 33), (64, 64)]
    return [rng.integers(0, 255, (*shape, 3), dtype=np.uint8) for shape in shapes]


@pytest.fixture
def small_model(tmp_path, monkeypatch) -> str:
    """The name of a small model that open_clip knows for the length of a test, with the published tokenizer."""
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ssc-small", SMALL)
    return "ssc-small"


def has_quick_gelu(model) -> bool:
    return any(isinstance(module, QuickGELU) for module in model.modules())


def test_is_registered_and_keeps_both_contracts(clip_folder):
    encoder = load_backend("open_clip", {"model": str(clip_folder)}, ImageTextEncoder, device="cpu", threads=2)
    assert isinstance(encoder, StagedEncoder)
    assert encoder.threads == 2


def test_images_of_any_size_to_unit_norm_float32(encoder, images):
    features = encoder.encode_images(images)
    assert features.shape == (7, 24)
    assert features.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)


def test_features_equal_open_clips_own_preprocessing(encoder, clip_folder, images):
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{clip_folder}")
    with torch.inference_mode():
        expected = model.eval().encode_image(torch.stack([preprocess(Image.fromarray(image)) for image in images]))
    expected = torch.nn.functional.normalize(expected, dim=-1).numpy()
    np.testing.assert_allclose(encoder.encode_images(images), expected, atol=1e-5)


@pytest.mark.parametrize("resize_mode", ["shortest", "longest", "squash"])
def test_geometry_is_open_clips_in_every_resize_mode(images, resize_mode):
    config = PreprocessCfg(size=32, resize_mode=resize_mode)
    whole, geometry = image_transform_v2(config, is_train=False), clip._geometry(config)
    for image in images:
        ours = np.asarray(geometry(Image.fromarray(image)))
        scaled = torch.from_numpy(ours.copy()).permute(2, 0, 1).float() / 255
        mean, std = torch.tensor(config.mean)[:, None, None], torch.tensor(config.std)[:, None, None]
        torch.testing.assert_close((scaled - mean) / std, whole(Image.fromarray(image)))


@pytest.mark.parametrize("shape", [(400, 10), (10, 400), (2400, 1), (31, 1)])
def test_of_a_long_picture_the_middle_alone_is_resized(shape):
    """A crop of a pole of 1 x 2400 pixels took 8 seconds and 1.3 GB, of which all but the middle was cut off."""
    config = PreprocessCfg(size=32, resize_mode="shortest")
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8))
    assert max(clip._cut_long(photo).size) <= 33 * min(shape)
    whole = image_transform_v2(config, is_train=False)(photo)
    mean, std = torch.tensor(config.mean)[:, None, None], torch.tensor(config.std)[:, None, None]
    ours = torch.from_numpy(np.array(clip._geometry(config)(photo))).permute(2, 0, 1).float() / 255
    torch.testing.assert_close((ours - mean) / std, whole)


def test_batches_change_nothing(clip_folder, encoder, images):
    one = OpenClip(str(clip_folder), device="cpu", batch_size=64)
    np.testing.assert_allclose(encoder.encode_images(images), one.encode_images(images), atol=1e-6)
    texts = ["a red dog", "blue", "the cat", "cat"]
    np.testing.assert_allclose(encoder.encode_texts(texts), one.encode_texts(texts), atol=1e-6)


def test_nothing_to_encode(encoder):
    assert encoder.encode_images([]).shape == (0, 24)
    assert encoder.encode_texts([]).shape == (0, 24)


def test_odd_sentences(encoder):
    texts = ["", "   ", "🙂🙂", "the dog " * 80, "unknown words only", "a\nred\tdog"]
    features = encoder.encode_texts(texts)
    assert np.isfinite(features).all()
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)


def test_a_long_sentence_is_cut_at_the_context_length(encoder):
    # 16 tokens, start and end among them: 14 words are seen
    cut, whole = encoder.encode_texts(["dog " * 14 + "red " * 66, "dog " * 14])
    np.testing.assert_allclose(cut, whole, atol=1e-6)


def test_odd_sentences_with_the_published_tokenizer(small_model):
    with pytest.warns(UserWarning, match="random weights"):
        encoder = OpenClip(small_model, device="cpu")
    features = encoder.encode_texts(["", "🙂", "the big brown dog " * 20])
    assert np.isfinite(features).all()


def test_bf16_is_close_to_fp32(clip_folder, images):
    full = OpenClip(str(clip_folder), device="cpu", precision="fp32").encode_images(images)
    half = OpenClip(str(clip_folder), device="cpu", precision="bf16").encode_images(images)
    assert half.dtype == np.float32
    assert np.abs(full - half).max() < 0.05
    assert not np.array_equal(full, half)


@pytest.mark.parametrize("model", ["ViT-L-14-336", "ViT-B-32"])
def test_openai_weights_get_quick_gelu(model, monkeypatch):
    made = {}

    def create(name, **options):
        made.update(name=name, **options)
        return torch.nn.Identity()

    monkeypatch.setattr(open_clip, "create_model", create)
    clip.load_model(model, "openai", None)
    assert made == {"name": model, "pretrained": "openai", "force_quick_gelu": True}
    clip.load_model(model, "openai", False)
    assert made["force_quick_gelu"] is False
    clip.load_model("ViT-B-32", "laion2b_s34b_b79k", None)
    assert made["force_quick_gelu"] is False


@pytest.mark.parametrize("quick_gelu", [True, False])
def test_quick_gelu_reaches_the_network(small_model, quick_gelu):
    with pytest.warns(UserWarning, match="random weights"):
        model, _ = clip.load_model(small_model, None, quick_gelu)
    assert has_quick_gelu(model) is quick_gelu


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_a_local_checkpoint(small_model, tmp_path, suffix):
    from safetensors.torch import save_file

    state = open_clip.create_model(small_model).state_dict()
    path = tmp_path / f"weights.{suffix}"
    save_file(state, path) if suffix == "safetensors" else torch.save({"state_dict": state}, path)
    model, _ = clip.load_model(small_model, str(path), None)
    assert not has_quick_gelu(model)
    torch.testing.assert_close(model.state_dict(), state)


def write_archive(network, path):
    """As OpenAI publishes them: TorchScript with half-precision weights and three extra numbers."""

    class Archive(torch.nn.Module):
        def __init__(self):
            super().__init__()
            for name, value in network.state_dict().items():
                _set_buffer(self, name, value.half())
            for name in ("input_resolution", "context_length", "vocab_size"):
                self.register_buffer(name, torch.tensor(1))

        def forward(self, x):
            return x

    torch.jit.script(Archive()).save(str(path))


def test_openais_own_archive(small_model, tmp_path):
    network = open_clip.create_model(small_model, force_quick_gelu=True)
    path = tmp_path / "ViT-small.pt"
    write_archive(network, path)
    model, _ = clip.load_model(small_model, str(path), None)
    assert has_quick_gelu(model)
    assert {value.dtype for value in model.parameters()} == {torch.float32}
    for name, value in network.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value.half().float())


@pytest.mark.parametrize("kind", ["archive.pt", "weights.pt", "weights.safetensors"])
def test_weights_that_are_there_are_loaded_without_a_warning(small_model, tmp_path, kind, caplog):
    from safetensors.torch import save_file

    network = open_clip.create_model(small_model)
    write = {
        "archive.pt": lambda path: write_archive(network, path),
        "weights.pt": lambda path: torch.save(network.state_dict(), path),
        "weights.safetensors": lambda path: save_file(network.state_dict(), path),
    }
    write[kind](tmp_path / kind)
    caplog.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model, _ = clip.load_model(small_model, str(tmp_path / kind), None)
    assert caplog.text == ""
    assert all(value.device.type == "cpu" for value in [*model.parameters(), *model.buffers()])
    with pytest.warns(UserWarning, match="random weights"):
        clip.load_model(small_model, None, None)
    assert "initialized randomly" in caplog.text, "where no weights follow, open_clip may say so"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("cut", "cut off"), ("page", "is a web page"), ("other", "does not hold the weights of ssc-small")],
)
def test_a_file_that_is_no_clip_is_named_with_one_line_of_reason(small_model, tmp_path, kind, reason):
    path = tmp_path / "ViT-L-14-336px.pt"
    write_archive(open_clip.create_model(small_model), path)
    if kind == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    elif kind == "page":
        path.write_text("<!DOCTYPE html><html><body>Quota exceeded</body></html>")
    else:
        write_archive(torch.nn.Sequential(*(torch.nn.Linear(2, 2) for _ in range(200))), path)
    with pytest.raises(SscError) as error:
        clip.load_model(small_model, str(path), None)
    message = str(error.value)
    assert str(path) in message and reason in message
    assert "\n" not in message and len(message) < 600


def test_a_pass_takes_as_many_images_as_its_memory_allows(clip_folder, images, monkeypatch):
    """On a CPU; and how images fall into passes changes no score beyond the last bits."""
    whole = OpenClip(str(clip_folder), device="cpu", batch_size=64)
    need = clip.bytes_an_image(whole.model.visual)
    assert need == 4 * 17 * 4 * 64 * 4, "float32 of 17 tokens in the wider layer of the perceptron, four times"
    monkeypatch.setattr(clip, "PASS_BYTES", 3 * need + need // 2)
    bounded = OpenClip(str(clip_folder), device="cpu", batch_size=64)
    seen = []
    bounded.model.visual.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    np.testing.assert_allclose(bounded.encode_images(images), whole.encode_images(images), atol=1e-6)
    assert seen == [3, 3, 1]
    monkeypatch.setattr(clip, "PASS_BYTES", 1)
    assert len(OpenClip(str(clip_folder), device="cpu").encode_images(images[:2])) == 2


def test_passes_shrink_when_memory_runs_out(clip_folder, images):
    tight, seen = OpenClip(str(clip_folder), device="cpu", batch_size=4), []

    def two_at_most(_, inputs):
        seen.append(len(inputs[0]))
        if len(inputs[0]) > 2:
            raise torch.OutOfMemoryError("full")

    expected = tight.encode_images(images)
    tight.model.visual.register_forward_pre_hook(two_at_most)
    np.testing.assert_allclose(tight.encode_images(images), expected, atol=1e-6)
    assert seen == [4, 2, 2, 2, 1]


def test_the_published_model_needs_far_less_than_four_gibibytes_a_pass():
    """ViT-L-14-336 at official size, as shapes: 577 tokens of 4096 values; 64 images would take 2.3 GiB."""
    with torch.device("meta"):
        tower = open_clip.create_model("ViT-L-14-336", device="meta").visual
    assert clip.bytes_an_image(tower) == 4 * 577 * 4096 * 4
    assert clip.PASS_BYTES // clip.bytes_an_image(tower) == 14


def test_the_micro_worlds_scores_come_from_passes_of_64(root):
    assert OpenClip(str(root / "resources" / "micro" / "clip"), device="cpu")._images.size == 64


def _set_buffer(root, name, value):
    *parents, leaf = name.split(".")
    for parent in parents:
        if not hasattr(root, parent):
            root.add_module(parent, torch.nn.Module())
        root = getattr(root, parent)
    root.register_buffer(leaf, value)


def test_weights_of_another_model_are_an_error(small_model, tmp_path):
    path = tmp_path / "other.pt"
    torch.save({"wrong": torch.zeros(1)}, path)
    with pytest.raises(SscError, match="does not hold the weights of ssc-small"):
        clip.load_model(small_model, str(path), None)


def test_pickles_that_run_code_are_refused(small_model, tmp_path):
    path = tmp_path / "evil.pt"
    torch.save({"state_dict": json.JSONEncoder()}, path)
    with pytest.raises(SscError, match=r"evil\.pt wants to import json"):
        clip.load_model(small_model, str(path), None)


@pytest.mark.parametrize(
    ("model", "pretrained", "message"),
    [
        ("ViT-Z-99", None, "neither a folder nor a model that open_clip knows"),
        (
            "ViT-B-32",
            "opnai",
            "has no weights 'opnai', and there is no such file .*ssc fetch --config.*; its tags: .*openai",
        ),
    ],
)
def test_wrong_names(model, pretrained, message):
    with pytest.raises(SscError, match=message):
        clip.load_model(model, pretrained, None)


def test_wrong_folders(clip_folder, tmp_path):
    with pytest.raises(SscError, match="leave `pretrained` out"):
        clip.load_model(str(clip_folder), "openai", None)
    with pytest.raises(SscError, match="cannot make"):
        clip.load_model(str(tmp_path), None, None)
    with pytest.raises(SscError, match="none of auto, fp32, bf16"):
        OpenClip(str(clip_folder), device="cpu", precision="fp8")


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("open_clip_model.safetensors", "cannot make"),
        ("tokenizer.json", "no tokenizer"),
        ("tokenizer_config.json", "no tokenizer"),
    ],
)
def test_damaged_files_of_a_folder_are_errors_for_people(clip_folder, tmp_path, file, message, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = tmp_path / "clip"
    shutil.copytree(clip_folder, folder)
    (folder / file).write_bytes((folder / file).read_bytes()[:40])
    with pytest.raises(SscError, match=message):
        clip.load_model(str(folder), None, None)


def test_the_folder_may_be_relative(clip_folder, monkeypatch):
    monkeypatch.chdir(clip_folder.parent)
    assert OpenClip(clip_folder.name, device="cpu").encode_texts(["red dog"]).shape == (1, 24)


@pytest.mark.parametrize("script", [False, True], ids=["checkpoint", "TorchScript"])
def test_a_clip_file_that_is_cut_or_a_web_page_is_named_in_a_line(small_model, tmp_path, script) -> None:
    path = tmp_path / "clip.pt"
    if script:
        torch.jit.script(torch.nn.Linear(2, 2)).save(path)
    else:
        torch.save({"weight": torch.ones(300)}, path)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    contents = {"is damaged": (whole[: len(whole) * 3 // 4], bytes(flipped)), "is a web page": (b"<html>Quota</html>",)}
    for reason, spoiled in contents.items():
        for content in spoiled:
            path.write_bytes(content)
            with pytest.raises(SscError, match=rf"clip\.pt {reason}") as caught:
                OpenClip(small_model, str(path), device="cpu")
            assert "\n" not in str(caught.value)
