"""presets/modern.yaml and small.yaml: they load, their parts take their settings, `ssc fetch` gets their files."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from ssc_core.backends import backend_class
from ssc_core.cli.main import app
from ssc_core.config.base import Backend
from ssc_core.config.layers import read_layers
from ssc_core.config.settings import Settings, load_settings
from ssc_core.weights.catalogue import needed_by, published_files

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


def test_the_laptops_files_have_known_sizes_but_for_small_ones(settings: dict[str, Settings]) -> None:
    files = needed_by(settings["small"])
    assert sum(file.size or 0 for file in files.values()) > 1.4e9
    unknown = {file.path.removeprefix("weights/") for file in files.values() if file.size is None}
    assert {path for path in unknown if not path.endswith((".json", ".txt"))} == {
        "sam2.1-hiera-tiny/model.safetensors",
        "swin_tiny_patch4_window7_224_22k.pth",
    }
