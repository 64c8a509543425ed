"""The wheel alone, installed away from the checkout and used in an empty folder: whatever it needs is inside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from microworld.scenes import generate_scene
from ssc_core.config.world import WorldSettings
from ssc_core.version import __version__
from tests import warm_python

MODELS = '''"""One red blob a photo, whatever is asked for."""
import numpy as np
from ssc_core.backends import Detections, InstanceMasks

def red(image):
    return (image[..., 0] > 200) & (image[..., 1] < 60)

class Box:
    def detect(self, images, prompts):
        return [self.one(red(image)) for image in images]

    def one(self, found):
        ys, xs = np.nonzero(found)
        box = [[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]]
        return Detections(np.array(box, np.float32), np.ones(1, np.float32), np.zeros(1, np.int64))

class Mask:
    def segment(self, images, boxes_xyxy):
        return [InstanceMasks(red(image)[None], np.ones(1, np.float32)) for image in images]

class Area:
    scale = "share of the photo"

    def score_pairs(self, image, masks, sentences):
        return np.tile(masks.mean((1, 2), dtype=np.float32), (len(sentences), 1))
'''

TINY = "micro: {images: {train: 2, val: 2, testA: 2, testB: 2, test: 2}}\n"


@pytest.fixture(scope="module")
def installed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment that has the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=root, check=True, capture_output=True)
    (wheel,) = folder.glob("segment_select_correct-*.whl")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv/bin/python"
    install = ["--python", str(python), "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *install], check=True)
    # what the lock installed is found here as well, but not the checkout: .pth files are not read from added folders
    (site,) = folder.glob("venv/lib/python*/site-packages")
    (site / "locked.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "venv"


@pytest.fixture(scope="module")
def ssc(root: Path, installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Run the installed ``ssc`` in a folder: ``ssc(folder, "doctor")``; what it printed, both streams."""
    command = (str(installed / "bin/python"), warm_python.__file__)
    with warm_python.running(tmp_path_factory.mktemp("warm") / "server", command) as python:

        def run(folder: Path, *arguments: object) -> str:
            said = said_by([python, "-P", "-m", "ssc_core.cli.main", *arguments], folder)
            assert str(root) not in said.replace(sys.prefix, ""), "the checkout had a part in it"
            return said

        yield run


def said_by(command: Sequence[object], folder: Path) -> str:
    """What it printed, by a shell that knows of no environment."""
    environment = {**os.environ, "PATH": os.defpath, "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def test_the_command(installed: Path, tmp_path: Path) -> None:
    assert said_by([installed / "bin/ssc", "--version"], tmp_path) == f"segment-select-correct {__version__}\n"


def test_doctor(ssc, tmp_path: Path) -> None:
    said = ssc(tmp_path, "doctor")
    assert f"segment-select-correct {__version__}, its workflow in " in said
    assert "PROBLEM" not in said


def test_predict(ssc, tmp_path: Path) -> None:
    scene = generate_scene(5, WorldSettings())
    Image.fromarray(scene.image).save(tmp_path / "scene.png")
    ssc(
        tmp_path,
        "predict",
        "scene.png",
        f"the {scene.objects[0].noun}",
        "--zero-shot",
        "--threads",
        1,
        "--allow-toy-models",
    )
    assert (tmp_path / "predictions/scene_1.overlay.png").is_file()


def test_label_with_models_of_ones_own(ssc, tmp_path: Path) -> None:
    photo = np.full((60, 80, 3), 90, np.uint8)
    photo[10:30, 20:60] = (230, 20, 20)
    (tmp_path / "photos").mkdir()
    Image.fromarray(photo).save(tmp_path / "photos/kite.png")
    (tmp_path / "refs.csv").write_text("image,sentences\nkite.png,the red kite\n")
    (tmp_path / "models.py").write_text(MODELS)
    named = {"detect": "Box", "segment": "Mask", "score": "Area"}
    config = {section: {"backend": {"name": f"models.py:{name}"}} for section, name in named.items()}
    (tmp_path / "mine.yaml").write_text(json.dumps({**config, "nouns": {"project": False}}))
    said = ssc(tmp_path, "label", "photos", "refs.csv", "--out", "out", "--config", "mine.yaml", "--cores", 1)
    assert "1 mask for 1 row: out/labels.json" in said
    (found,) = json.loads((tmp_path / "out/labels.json").read_text())["annotations"]
    assert (found["bbox"], found["area"]) == ([20, 10, 40, 20], 800)
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"labels.html", "overlays", "check.csv"}


def test_run_a_part_of_the_workflow(ssc, tmp_path: Path) -> None:
    """Rules, scripts, the micro world and small models, from files that the wheel carries."""
    (tmp_path / "tiny.yaml").write_text(TINY)
    target = "results/refcoco/val/nouns.parquet"
    ssc(tmp_path, "run", "--configfile", "tiny.yaml", "--cores", "1", "--", target)
    assert (tmp_path / target).is_file()
    assert "Nothing to be done" in ssc(tmp_path, "run", "--configfile", "tiny.yaml", "-n", "--", target)


def test_presets_are_named_from_any_folder(ssc, tmp_path: Path) -> None:
    said = ssc(tmp_path, "demo", "--configfile", "presets/tiny.yaml", "-n")
    assert "This was a dry-run" in said
    assert "sam_vit_h" in ssc(tmp_path, "fetch", "--config", "presets/paper.yaml", "--list")
