"""The names that ``ssc_core`` itself has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import ssc_core
from microworld.scenes import Scene, SceneObject, generate_scene
from ssc_core import Labeler, Network, load_config
from ssc_core.cli.main import app
from ssc_core.config.world import WorldSettings
from ssc_core.correct.checkpoints import save_checkpoint
from ssc_core.correct.predictor import Predictor
from ssc_core.correct.start import build_segmenter
from ssc_core.errors import SscError
from ssc_core.pictures import BadImage


def test_a_config_for_photos_is_told_of_values_for_drawings(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "mine.yaml").write_text("segment: {backend: {settings: {model: mine}}}\n")
    load_config(tmp_path / "mine.yaml")
    assert not caplog.messages, "SAM had no such value"
    (tmp_path / "mine.yaml").write_text("score: {backend: {settings: {model: mine}}}\n")
    load_config(tmp_path / "mine.yaml")
    assert "score.blur_sigma: 16 (50)" in caplog.text


@pytest.fixture(scope="module")
def labeler() -> Labeler:
    return Labeler(device="cpu", threads=1, allow_toy_models=True)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The micro network with a random decoder."""
    network = load_config().network
    path = tmp_path_factory.mktemp("network") / "micro.pt"
    save_checkpoint(path, build_segmenter(network, pretrained=False), {"network": network.model_dump(mode="json")}, {})
    return path


def test_importing_the_library_imports_nothing_heavy() -> None:
    code = "import sys, ssc_core; ssc_core.__version__; print('torch' in sys.modules, 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False False\n"
    with pytest.raises(AttributeError, match="has no attribute 'Lable'"):
        ssc_core.Lable  # noqa: B018
    assert set(ssc_core.__all__) <= {*dir(ssc_core), *ssc_core.__all__}
    assert all(getattr(ssc_core, name) for name in ssc_core.__all__)


def lone_objects() -> Iterator[tuple[Scene, SceneObject]]:
    """Scenes, each with a large object that is the only one of its class."""
    for seed in range(100):
        scene = generate_scene(seed, WorldSettings())
        names = [one.category for one in scene.objects]
        yield from ((scene, one) for one in scene.objects if names.count(one.category) == 1 and one.area > 800)


def test_a_labeler_finds_an_object(labeler: Labeler) -> None:
    scene, alone = next(lone_objects())
    found, none = labeler([scene.image, np.zeros((20, 30, 3), np.uint8)], [[f"the {alone.noun}"], []])
    assert found.shape == (1, *scene.image.shape[:2])
    assert found.dtype == none.dtype == bool
    assert (found[0] & alone.mask).sum() / (found[0] | alone.mask).sum() > 0.5
    assert none.shape == (0, 20, 30)


def test_a_network_gives_what_ssc_predict_gives(checkpoint: Path, tmp_path: Path) -> None:
    """Over several passes, files and pixels alike, in the order of what was asked."""
    rng = np.random.default_rng(0)
    photos = [rng.integers(0, 255, (40 + number, 60, 3), np.uint8) for number in range(10)]
    for number, photo in enumerate(photos):
        Image.fromarray(photo).save(tmp_path / f"{number}.png")
    network = Network(checkpoint, device="cpu", threads=1, batch=4, allow_toy_models=True)
    masks = network([*photos[:9], tmp_path / "9.png"], [["blue kite", "dog"]] * 10)
    assert [mask.shape for mask in masks] == [(2, 40 + number, 60) for number in range(10)]
    arguments = [
        "predict",
        "--allow-toy-models",
        str(tmp_path),
        "blue kite",
        "dog",
        "--checkpoint",
        str(checkpoint),
        "--device",
        "cpu",
    ]
    done = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "out"), "--save", "mask", "--threads", "1"])
    assert done.exit_code == 0, done.output
    for number in range(10):
        for sentence in range(2):
            written = np.asarray(Image.open(tmp_path / f"out/{number}_{sentence + 1}.mask.png")) > 0
            np.testing.assert_array_equal(written, masks[number][sentence])


def test_a_network_may_look_both_ways(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From Python and by the command alike."""
    asked = []

    def left_column(self: Predictor, photos: Any, sentences: Any) -> list[np.ndarray]:
        asked.extend(sentences)
        return [np.float32([[[3, -1, -1]]]) for _ in photos]

    monkeypatch.setattr(Predictor, "__call__", left_column)
    photo, both = np.zeros((1, 3, 3), np.uint8), [["dog on the left"], ["dog on the right"]]
    network = Network(checkpoint, device="cpu", both_ways=True, allow_toy_models=True)
    (masks,) = network([photo], [["dog on the left"]])
    assert asked == both and masks.tolist() == [[[True, False, True]]]
    Image.fromarray(photo).save(tmp_path / "a.png")
    arguments = ["predict", str(tmp_path / "a.png"), "dog on the left", "--checkpoint", str(checkpoint), "--both-ways"]
    options = ["--allow-toy-models", "--device", "cpu", "--save", "mask", "--out", str(tmp_path)]
    done = CliRunner().invoke(app, [*arguments, *options])
    assert done.exit_code == 0, done.output
    assert asked == both * 2
    assert (np.asarray(Image.open(tmp_path / "a_1.mask.png")) > 0).tolist() == [[True, False, True]]


def test_a_text_of_numpy_is_a_text(labeler: Labeler) -> None:
    photo = np.zeros((8, 9, 3), np.uint8)
    (masks,) = labeler([photo], [np.array(["red car", "kite"])])
    assert masks.shape == (2, 8, 9)


def test_what_makes_no_sense_is_refused(labeler: Labeler, checkpoint: Path) -> None:
    network = Network(checkpoint, device="cpu", allow_toy_models=True)
    grey = np.zeros((4, 4), np.uint8)
    for photos, sentences, message in [
        ("a.jpg", [["dog"]], "give a list of photos"),
        (["a.jpg"], ["dog"], "a list of sentences for each"),
        (["a.jpg"], [["dog"], ["cat"]], "1 photo and 2 lists"),
        ([grey], [["dog"]], r"this is uint8 \(4, 4\)"),
        ([np.zeros((0, 4, 3), np.uint8)], [["dog"]], r"none of them 0; this is uint8 \(0, 4, 3\)"),
        ([np.zeros((4, 0, 3), np.uint8)], [["dog"]], r"none of them 0; this is uint8 \(4, 0, 3\)"),
        (["a.jpg"], [["dog", ""]], r"sentences\[0\]\[1\] is '', which is no text"),
        (["a.jpg"], [[" \n"]], r"sentences\[0\]\[0\] is ' \\n', which"),
        (["a.jpg", "b.jpg"], [["dog"], [None]], r"sentences\[1\]\[0\] is None, which"),
        (["a.jpg"], [["a \ud83d dog"]], "is 'a .ud83d dog', which"),
    ]:
        for model in (labeler, network):
            with pytest.raises(SscError, match=message):
                model(photos, sentences)
    with pytest.raises((BadImage, SscError), match=r"nowhere\.jpg"):
        labeler(["nowhere.jpg"], [["dog"]])


def test_models_that_know_drawings_only_get_no_photos(checkpoint: Path) -> None:
    """As with `ssc label` and `ssc predict`; the message says how to allow it from Python."""
    for ask in (lambda: Labeler(device="cpu"), lambda: Network(checkpoint, device="cpu")):
        with pytest.raises(SscError, match="know drawings only") as refused:
            ask()
        assert "allow_toy_models=True" in str(refused.value)
        assert "--allow-toy-models" not in str(refused.value)
    allowed = load_config().model_copy(update={"allow_toy_models": True})
    assert Labeler(allowed, device="cpu", threads=1)


def test_a_config_is_laid_over_the_default(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("select: {min_area: 7}\n")
    assert load_config(tmp_path / "mine.yaml").select.min_area == 7
    assert load_config("presets/paper.yaml").select.min_area == 500


def test_the_pages_examples_run(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they stand in docs/python.md, with micro models in the place of networks for photos."""
    examples = re.findall(r"^```python\n(.*?)^```$", (root / "docs/python.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(examples) == 2
    monkeypatch.chdir(tmp_path)
    for name in ("beach.jpg", "street.jpg"):
        Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(name)
    shutil.copytree(root / "resources/micro", "models")  # known as toys by their folder
    network = load_config().network.model_dump(mode="json")
    named = json.loads(re.sub(r'"[^"]*resources/micro', f'"{tmp_path}/models', json.dumps(network)))
    Path("results/mine/checkpoints").mkdir(parents=True)
    built = build_segmenter(load_config().network, pretrained=False)
    save_checkpoint(Path("results/mine/checkpoints/correct.pt"), built, {"network": named}, {})
    Path("presets").mkdir()
    Path("presets/paper.yaml").write_text("allow_toy_models: true\n")  # in the place of the project's
    shapes = []
    for example in examples:
        said: dict[str, Any] = {}
        exec(compile(example, "docs/python.md", "exec"), said)
        shapes.append([mask.shape for mask in said["masks"]])
    assert shapes == [[(2, 20, 30), (1, 20, 30)], [(1, 20, 30)]]


def test_the_notebook_runs(root: Path, warm: Path, tmp_path: Path) -> None:
    """Its cells in order, as one program, in an empty folder."""
    notebook = json.loads((root / "docs/python.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) >= 3
    program = f"import sys; sys.path.insert(0, {str(root)!r})\n" + "\n".join(cells)
    done = subprocess.run([warm, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "IoU" in done.stdout
    assert not any(cell.get("outputs") for cell in notebook["cells"]), "outputs are not kept in git"
