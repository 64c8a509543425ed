"""docs/extending.md: every example is run, as it stands on the page."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

from ssc_core.backends import Detector, load_backend
from ssc_core.config.layers import read_layers
from ssc_core.config.settings import Settings, load_settings
from ssc_core.config.sources import DatasetSource
from ssc_core.correct import losses
from ssc_core.correct.checkpoints import load_published
from ssc_core.correct.network import build_network, parameter_groups
from ssc_core.correct.predictor import Predictor
from ssc_core.doctor import _plugins
from ssc_core.errors import SscError
from ssc_core.masks import rle
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.store import MaskStoreWriter
from ssc_core.plugins import load_function
from ssc_core.refer.index import build_index
from ssc_core.refer.sources import open_source
from ssc_core.registry import LAYOUT
from ssc_core.select.prompts import load_prompt, prompted_images
from tests.unit.correct.test_losses import case, samples
from tests.unit.correct.test_train_stage import SIDE, WORDS, files, run  # noqa: F401  files: a fixture

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
FILES = {match[1]: text for _, text in BLOCKS if (match := re.match(r'"""(\S+\.py): ', text))}


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with the page's files."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def config_of(start: str) -> dict[str, Any]:
    """The page's YAML that begins with a section, or a comment."""
    (found,) = [text for kind, text in BLOCKS if kind == "yaml" and text.startswith((f"{start}:", f"{start}\n"))]
    return yaml.safe_load(found)


def settings_of(start: str, folder: Path) -> Settings:
    """The default config with the page's YAML on top."""
    (folder / "mine.yaml").write_text(yaml.safe_dump(config_of(start)))
    return load_settings(read_layers([ROOT / "config.yaml", folder / "mine.yaml"], {}))


def make_dataset(folder: Path) -> DatasetSource:
    (folder / "my/photos").mkdir(parents=True)
    for name in ("a.png", "b.png"):
        Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(folder / "my/photos" / name)
    (folder / "my/refs.txt").write_text("a.png\tThe dog\nb.png\ta cat\na.png\tsky\n")
    source = settings_of("datasets", folder).datasets["mine"].source
    assert isinstance(source, DatasetSource)
    return source


def test_a_dataset(plugins: Path) -> None:
    source = make_dataset(plugins)
    refs = list(open_source("mine", source).refs)
    assert [(ref.ref_id, ref.image_id, ref.image.width, ref.sentences[0].text) for ref in refs] == [
        (1, 1, 6, "the dog"),
        (2, 2, 6, "a cat"),
        (3, 1, 6, "sky"),
    ]
    options = {"out_refs": plugins / "refs.parquet", "out_truth": plugins / "truth.h5", "check_counts": False}
    assert build_index(dataset="mine", source=source, **options).n_refs == 3


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ref_id=number", "ref_id=7", "a ref_id or sent_id a second time, in ref number 2"),
        ("ref_id=number", "ref_id=str(number)", "ref_id '1', not a whole number"),
        ("sentence.lower()", "None", "text None, not a text"),
        ('split="train"', 'split=""', "an empty split"),
        ("file_name=name", 'file_name="../" + name', "inside the images folder"),
        ("yield RefRecord(", "yield dict(", "a dict, not an ssc_core.refer.records.RefRecord"),
        ("def read(", "def raed(", "has no function 'read'; did you mean 'raed'?"),
    ],
)
def test_a_reader_that_breaks_its_contract_is_told_so(plugins: Path, old: str, new: str, message: str) -> None:
    source = make_dataset(plugins)
    plugin = plugins / "plugins/lines.py"
    assert old in plugin.read_text()
    plugin.write_text(plugin.read_text().replace(old, new))
    with pytest.raises(SscError, match=re.escape(message)):
        open_source("mine", source)


def test_a_layout_of_ones_own_needs_file_and_images(plugins: Path) -> None:
    with pytest.raises(ValueError, match="needs images"):
        DatasetSource(layout="plugins/lines.py:read", file="my/refs.txt")
    with pytest.raises(ValueError, match="unknown layout 'tabel'; did you mean 'table'"):
        DatasetSource(layout="tabel", file="my/refs.txt", images="my")


def test_a_detector(plugins: Path) -> None:
    backend = settings_of("detect", plugins).detect.backend
    detector = load_backend(backend.name, backend.settings, Detector, device="cpu", threads=1)
    (found,) = detector.detect([np.zeros((4, 6, 3), np.uint8)], [["dog"]])
    assert (found.boxes_xyxy.tolist(), found.scores.tolist()) == ([[0, 0, 6, 4]], [pytest.approx(0.9)])


def test_a_visual_prompt(plugins: Path) -> None:
    names = settings_of("score", plugins).score.prompts
    photo = np.random.default_rng(0).integers(0, 255, (4, 6, 3), np.uint8)
    mask = np.zeros((1, 4, 6), bool)
    mask[0, :2] = True
    _, grey = prompted_images(photo, mask, [load_prompt(name) for name in names], blur_sigma=2)
    np.testing.assert_array_equal(grey[:2], photo[:2])
    assert (grey[2:, :, 0] == grey[2:, :, 2]).all()


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ("None", "grey_outside gave None, not an RGB photo"),
        ("grey", r"grey_outside gave uint8 \(4, 6, 1\), not an RGB photo"),
        ("image / 255", r"gave float64 \(4, 6, 3\), not an RGB photo"),
        ("image[:2]", "the photo itself or a part of it; return a copy"),
    ],
)
def test_a_prompt_that_breaks_its_contract_is_told_so(plugins: Path, result: str, message: str) -> None:
    plugin = plugins / "plugins/grey.py"
    plugin.write_text(re.sub(r"return .*", f"return {result}", plugin.read_text()))
    with pytest.raises(SscError, match=f"visual prompt 'plugins/grey.py:grey_outside': .*{message}"):
        load_prompt("plugins/grey.py:grey_outside")(np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), bool))


def test_a_loss(plugins: Path) -> None:
    loss = losses.load_loss(settings_of("correct", plugins).correct.loss)
    image_ids, ref_ids, logits, candidates = case()
    logits[:2] = torch.tensor([50.0, -50.0])[:, None, None]  # nothing in sight: no fit
    found = loss(samples(image_ids, ref_ids, logits.requires_grad_(), candidates), losses.Options())
    assert found.assignment.times.tolist() == [0, 0, 1, 1, 1, 1]
    found.value.backward()
    assert logits.grad[:2].abs().sum() == 0
    assert (logits.grad[2:].abs().sum((1, 2, 3)) > 0).all()


def test_a_network_of_another_size(plugins: Path) -> None:
    assert settings_of("network", plugins).network.swin.embed_dim == 32


def train_tiny(files: Path, folder: Path) -> Path:  # noqa: F811
    """Train the page's network on the small files of the training tests."""
    network = settings_of("# mine.yaml", folder).network.model_dump(include={"name", "settings"})
    run(files, folder / "x.pt", network=network, settings={"loss": "greedy_ce", "lr": 1e-3}, masks=files / "masks.h5")
    return folder / "x.pt"


def test_a_network(files: Path, plugins: Path) -> None:  # noqa: F811
    path = train_tiny(files, plugins)
    content = load_published(path)
    assert content.network_name == "plugins/tiny.py:Tiny"
    assert content.model["words.weight"].shape == (len(WORDS), 8)
    predictor = Predictor(path, network="plugins/tiny.py:Tiny", device="cpu")
    photo = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    (margins,) = predictor([photo], [["the left one", "right"]])
    assert (margins.shape, margins.dtype) == ((2, SIDE, SIDE), np.float32)
    # a phase goes on from the one before, as LAVT's do
    network = {"name": "plugins/tiny.py:Tiny", "settings": {"channels": 8}}
    settings = {"loss": "greedy_ce", "lr": 1e-30, "weight_decay": 0, "epochs": 1}
    run(files, plugins / "y.pt", network=network, settings=settings, masks=files / "masks.h5", init=path)
    again = load_published(plugins / "y.pt").model
    assert all(torch.equal(again[key], value) for key, value in content.model.items())


def test_the_rates_of_a_network_are_its_own(plugins: Path) -> None:
    section = settings_of("# mine.yaml", plugins).network
    network = build_network(section, vocabulary=9, pretrained=True)
    groups = parameter_groups(network, 0.1)
    assert [(group["weight_decay"], group["lr_scale"], len(group["params"])) for group in groups] == [
        (0.0, 10.0, 1),
        (0.1, 1.0, 6),
    ]
    del type(network).parameter_groups
    (group,) = parameter_groups(network, 0.1)
    assert (group["weight_decay"], group["lr_scale"], len(group["params"])) == (0.1, 1.0, 7)


def test_a_checkpoint_does_not_make_its_network_run(files: Path, plugins: Path, monkeypatch) -> None:  # noqa: F811
    path = train_tiny(files, plugins)
    ran = plugins / "ran"
    plugin = plugins / "plugins/tiny.py"
    plugin.write_text(plugin.read_text() + f"\nopen({str(ran)!r}, 'w').close()\n")
    for named in ({}, {"network": "plugins/other.py:Tiny"}):
        with pytest.raises(SscError, match=r"was trained with the network 'plugins/tiny\.py:Tiny', and"):
            Predictor(path, device="cpu", **named)
    assert not ran.exists()
    elsewhere = plugins / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)  # the same network, seen from another folder
    Predictor(path, network="../plugins/tiny.py:Tiny", device="cpu")
    assert ran.exists()


def test_a_networks_weights_fit_it_or_it_is_said(files: Path, plugins: Path) -> None:  # noqa: F811
    path = train_tiny(files, plugins)
    plugin = plugins / "plugins/tiny.py"
    plugin.write_text(plugin.read_text().replace("self.decide", "self.choose"))
    with pytest.raises(SscError, match=r"choose\.weight is missing.*Use the network .* and the settings"):
        Predictor(path, network="plugins/tiny.py:Tiny", device="cpu")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("class Tiny(nn.Module)", "class Tinny(nn.Module)", "has no function 'Tiny'; did you mean 'Tinny'?"),
        ("channels=16", "width=16", "has no setting channels"),
        ("vocabulary, channels", "words, channels", "needs the setting words"),
        ("class Tiny(nn.Module)", "class Tiny(dict)", "gave a Tiny, not a torch.nn.Module"),
        (
            "Conv2d(channels, 2, 1)",
            "Conv2d(channels, 1, 1)",
            "(2, 1, 32, 32), not logits of background and object, floats (2, 2, 32, 32)",
        ),
        ("return self.decide(", "return list(", "Tiny gave a list, not logits"),
        ('"params": others, ', '"params": others[:1], ', "gave 2 parameters, not each of the 7 that are trained"),
        ('"params": others, ', '"parms": others, ', "gave no list of dicts with the keys"),
        ("self.decide =", "self.requires_grad_(False)\n        self.decide =", "gave 7 parameters, not each of the 2"),
    ],
)
def test_a_network_that_breaks_its_contract_is_told_so(
    files: Path,  # noqa: F811
    plugins: Path,
    old: str,
    new: str,
    message: str,
) -> None:
    plugin = plugins / "plugins/tiny.py"
    assert old in plugin.read_text()
    plugin.write_text(plugin.read_text().replace(old, new))
    with pytest.raises(SscError, match=re.escape(message)):
        train_tiny(files, plugins)


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ("x = nn.Parameter(torch.full((1,), float('-inf')))", "values that are not finite in 'x'"),
        ("def get_extra_state(self): return 3", "has '_extra_state' among its weights, which is no tensor"),
    ],
)
def test_weights_that_could_not_be_read_again_are_refused_before_the_training(
    plugins: Path, member: str, message: str
) -> None:
    (plugins / "bad.py").write_text(
        "import torch\nfrom torch import nn\n\n"
        "class Bad(nn.Linear):\n    def __init__(self):\n        super().__init__(2, 2)\n"
        f"        {'self.' + member if member.startswith('x') else 'pass'}\n\n"
        f"    {member if member.startswith('def') else 'pass'}\n"
    )
    section = settings_of("# mine.yaml", plugins).network.model_copy(update={"name": "bad.py:Bad", "settings": {}})
    with pytest.raises(SscError, match=re.escape(message)):
        build_network(section, vocabulary=9, pretrained=True)


def test_settings_belong_to_a_network_of_ones_own(plugins: Path) -> None:
    (plugins / "mine.yaml").write_text("network: {settings: {channels: 8}}")
    with pytest.raises(SscError, match="those of lavt stand in `network` itself"):
        load_settings(read_layers([ROOT / "config.yaml", plugins / "mine.yaml"], {}))


def test_doctor_tries_the_network(plugins: Path) -> None:
    settings = settings_of("# mine.yaml", plugins)
    found = {check.name: check for check in _plugins(settings)}["plug-in network.name"]
    assert (found.state, found.text) == ("ok", "plugins/tiny.py:Tiny is there")
    wrong = settings.network.model_copy(update={"settings": {"chanels": 8}})
    found = {check.name: check for check in _plugins(settings.model_copy(update={"network": wrong}))}
    assert "did you mean 'channels'?" in found["plug-in network.name"].text


def test_a_stage(clone: Callable[[Path], Path], warm: Path, tmp_path: Path) -> None:
    house = clone(tmp_path / "house")
    (house / "ssc_core/masks/areas.py").write_text(FILES["ssc_core/masks/areas.py"])
    (entry,) = [text for _, text in BLOCKS if "in STAGES\n" in text]
    (rule,) = [text for _, text in BLOCKS if text.startswith("# rules/segment.smk")]
    stages = house / "ssc_core/config/stages.py"
    table = "STAGES: dict[str, Stage] = {\n"
    assert table in stages.read_text()
    stages.write_text(stages.read_text().replace(table, table + entry))
    with (house / "rules/segment.smk").open("a") as file:
        file.write(f"\n\n{rule}")
    command = [warm, "-m", "snakemake", "-n", "results/refcoco/val/areas.parquet"]
    result = subprocess.run(command, cwd=house, capture_output=True, text=True, check=False)
    plan = result.stdout + result.stderr
    assert result.returncode == 0, plan[-3000:]
    assert "refcoco val: areas of candidates" in plan
    assert re.search(r"^segment_boxes +1$", plan, re.MULTILINE)


def test_the_function_of_the_stage(plugins: Path) -> None:
    masks = np.zeros((2, 4, 6), bool)
    masks[0, :2], masks[1, :, 0] = True, True
    info = StoreInfo(class_names=("dog",), settings={}, code="", models={})
    with MaskStoreWriter(plugins / "masks.h5", info, with_masks=True) as writer:
        writer.append_image(
            1, (4, 6), boxes_xyxy=np.zeros((2, 4)), box_scores=np.ones(2), labels=np.zeros(2), rles=rle.encode(masks),
            mask_scores=np.ones(2), candidates={7: [1, 0], 8: []},
        )  # fmt: skip
    write_areas = load_function(LAYOUT, "ssc_core/masks/areas.py:write_areas")
    write_areas(plugins / "masks.h5", plugins / "areas.parquet")
    assert pd.read_parquet(plugins / "areas.parquet").values.tolist() == [[7, 4], [7, 12]]
