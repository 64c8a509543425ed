"""presets/modern.yaml and small.yaml: they load, their parts take their settings, `ssc fetch` gets their files."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import transformers
import yaml
from typer.testing import CliRunner

from ssc_core.backends import backend_class
from ssc_core.cli.main import app
from ssc_core.config.base import Backend
from ssc_core.config.layers import read_layers
from ssc_core.config.settings import Settings, load_settings
from ssc_core.select.scorers import load_scorer
from ssc_core.weights.catalogue import needed_by, published_files
from ssc_core.weights.fetch import Depot, size_text, total_text
from ssc_core.weights.lock import LockFile

BEGINNINGS = {
    ".pt": b"\x80\x02",
    ".pth": b"\x80\x02",
    ".safetensors": (2).to_bytes(8, "little") + b"{}",
    ".json": b"{}",
}
"""Of files of a kind; one that begins otherwise is not taken."""

WAYS = ["modern", "ungated", "small"]


def alternative(root: Path) -> dict[str, Any]:
    """What modern.yaml says, in a comment, to put in SAM 3's place."""
    _, marker, rest = (root / "presets" / "modern.yaml").read_text().partition("# Without SAM 3,")
    assert marker
    lines = [line.removeprefix("#   ") for line in rest.split("\n\n")[0].splitlines() if line.startswith("#   ")]
    found: dict[str, Any] = yaml.safe_load("\n".join(lines))
    return found


@pytest.fixture
def layers(root: Path, tmp_path: Path) -> dict[str, list[Path]]:
    """The config files of each way, config.yaml aside."""
    (tmp_path / "ungated.yaml").write_text(yaml.safe_dump(alternative(root)))
    presets = root / "presets"
    modern = [presets / "paper.yaml", presets / "modern.yaml"]
    return {"modern": modern, "ungated": [*modern, tmp_path / "ungated.yaml"], "small": [presets / "small.yaml"]}


@pytest.fixture
def settings(root: Path, layers: dict[str, list[Path]]) -> dict[str, Settings]:
    return {way: load_settings(read_layers([root / "config.yaml", *files])) for way, files in layers.items()}


def backends(settings: Settings) -> list[Backend]:
    found = [settings.nouns.encoder, settings.detect.backend, settings.segment.backend, settings.score.backend]
    return [backend for backend in (*found, *(one.backend for one in settings.scorers.values())) if backend is not None]


@pytest.mark.parametrize("way", WAYS)
def test_every_part_takes_its_settings(settings: dict[str, Settings], way: str) -> None:
    for backend in backends(settings[way]):
        backend_class(backend.name, backend.settings)


@pytest.mark.parametrize("way", ["modern", "ungated"])
def test_the_scorers_load(
    settings: dict[str, Settings], way: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of another CLIP in SigLIP 2's place: what paper.yaml says of its own would be merged into their settings."""
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "siglip2-so400m-378").symlink_to(root / "resources" / "micro" / "clip")
    monkeypatch.chdir(tmp_path)
    for name in settings[way].select.scorers:
        scorer = settings[way].scorer(name)
        assert scorer.backend.settings == {"model": "weights/siglip2-so400m-378"}
        load_scorer(scorer, settings[way].compat, device="cpu", threads=1)


@pytest.mark.parametrize("way", WAYS)
def test_every_file_that_is_named_is_one_that_ssc_fetch_knows(settings: dict[str, Settings], way: str) -> None:
    found = settings[way]
    named = {value for backend in backends(found) for value in backend.settings.values() if isinstance(value, str)}
    named |= {found.network.bert, found.network.swin_weights}
    paths = [path for file in needed_by(found).values() for path in file.results]
    for name in (name for name in named if name.startswith("weights/")):
        assert any(path == name or path.startswith(f"{name}/") for path in paths), name


def test_what_they_are_made_of(settings: dict[str, Settings]) -> None:
    modern, ungated, small = (settings[way] for way in WAYS)
    assert (modern.detect.backend, modern.segment.backend.name, modern.nouns.ask) == (None, "sam3", "both")
    assert ungated.detect.backend is not None
    assert (ungated.detect.backend.name, ungated.segment.backend.name) == ("mm_grounding_dino", "sam2")
    for way in (modern, ungated):
        assert (way.network.swin, way.network.image_size, way.pretrain.epochs) == ("base", 480, 40)
        assert (way.select.assignment, way.correct.assignment) == ("joint", "optimal")
        assert list(way.select.scorers) == ["default", "dense"], "nothing is sent to a server unless a weight says so"
    assert (list(small.datasets), small.studies) == (["mine"], {})
    assert "resources/" not in small.model_dump_json(exclude={"micro"})


def test_gated_files_say_how_to_get_them_and_others_have_an_address_and_a_licence() -> None:
    for name, file in published_files().items():
        assert file.licence and bool(file.urls) != bool(file.access), name
    gated = {name for name, file in published_files().items() if file.access}
    assert gated == {name for name in published_files() if name.startswith("sam3_")}


def test_the_ungated_way_and_the_laptops_need_no_gated_file(settings: dict[str, Settings]) -> None:
    assert any(file.access for file in needed_by(settings["modern"]).values())
    for way in ("ungated", "small"):
        assert not any(file.access for file in needed_by(settings[way]).values())


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address of a server of it on the loopback."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.mark.parametrize("way", WAYS)
def test_fetch_gets_all_of_it_and_tells_the_total_before(
    layers: dict[str, list[Path]], settings: dict[str, Settings], mirror: tuple[Path, str], tmp_path: Path, way: str
) -> None:
    """From a server that has a few bytes in place of each file; what is of a known hash or an archive is replaced."""
    folder, address = mirror
    files = {name: file for name, file in needed_by(settings[way]).items() if file.path.startswith("weights/")}
    files = {name: file for name, file in files.items() if file.unpack is None}
    replaced: dict[str, Any] = {}
    for name, file in files.items():
        (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
        (folder / file.path).write_bytes(BEGINNINGS.get(Path(file.path).suffix, b"") + name.encode())
        replaced[name] = {"path": file.path, "urls": [f"{address}/{file.path}"], "licence": file.licence}
    (tmp_path / "here.yaml").write_text(yaml.safe_dump({"sources": {"files": replaced}}))
    configs = [part for file in (*layers[way], tmp_path / "here.yaml") for part in ("--config", str(file))]
    result = CliRunner().invoke(app, ["fetch", *configs, "--into", str(tmp_path / "project"), *files])
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"{len(files)} of {len(files)} files are not here: ")
    for file in files.values():
        assert (tmp_path / "project" / file.path).read_bytes() == (folder / file.path).read_bytes()


@pytest.mark.parametrize("way", WAYS)
def test_all_but_small_files_have_a_size_or_about_what_it_is(settings: dict[str, Settings], way: str) -> None:
    files = needed_by(settings[way])
    assert sum(file.size or file.about or 0 for file in files.values()) > 1.7e9
    unknown = {file.path for file in files.values() if not file.size and not file.about}
    assert {path for path in unknown if not path.endswith((".json", ".txt"))} <= {
        "weights/archives/averaged_perceptron_tagger_eng.zip",
        "weights/archives/en_core_web_md-3.8.0-py3-none-any.whl",
    }


@pytest.mark.parametrize(
    ("name", "network"),
    [
        ("sam2_1_tiny_model", "Sam2VideoModel"),  # the files hold what photos do not need, too
        ("sam3_model", "Sam3VideoModel"),
        ("mm_grounding_dino_tiny_model", "MMGroundingDinoForObjectDetection"),
        ("swin_tiny_22k", "swin_tiny_patch4_window7_224"),
        ("swin_base_22k", "swin_base_patch4_window12_384"),
    ],
)
def test_what_is_told_of_an_unknown_size_is_four_bytes_a_weight(name: str, network: str) -> None:
    with torch.device("meta"):
        if network.startswith("swin"):
            made = timm.create_model(network, num_classes=21841)  # of ImageNet-22K
        else:
            made = getattr(transformers, network)(getattr(transformers, network).config_class())
    assert published_files()[name].about == 4 * sum(weight.numel() for weight in made.parameters())


def test_the_total_says_that_it_is_about(settings: dict[str, Settings], tmp_path: Path) -> None:
    files = {name: file for name, file in published_files().items() if name.startswith("sam2_1_tiny")}
    depot = Depot(root=tmp_path, lock=LockFile(tmp_path / "lock.json"), offline=True)
    assert total_text(files, depot).startswith(
        "3 of 3 files are not here: about 149 MiB and 2 of a size that is not known"
    )
    assert size_text(files["sam2_1_tiny_model"]) == "~149 MiB"
