"""``ssc publish`` and ``ssc pull`` against a stand-in of the hub."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from ssc_core.cli.main import app
from ssc_core.errors import SscError
from ssc_core.hub import pull
from ssc_core.tensor_files import write_torch
from tests.hub_stand_in import HubStandIn, running

TOKEN = "hf_" + "x" * 30


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubStandIn]:
    with running() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)  # a protocol of its own, in Rust
        monkeypatch.chdir(tmp_path)
        yield server


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A sealed file of weights, in a dataset's folder of results."""
    path = tmp_path / "results/refcoco/checkpoints/correct.pt"
    path.parent.mkdir(parents=True)
    write_torch(path, {"model": {"a": torch.arange(50_000.0)}})
    return path


def run(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(app, arguments, input=answer)


def test_what_is_pulled_has_the_bytes_of_the_commit_and_no_code(hub: HubStandIn, weights: Path, tmp_path: Path) -> None:
    hub.files |= {
        "correct.pt": weights.read_bytes(),
        "README.md": b"# it\n",
        "run_me.py": b"print()",
        ".cache/a.json": b"{}",
    }
    done = run("pull", "me/it", "--out", "got")
    assert done.exit_code == 0, (done.output, done.exception)
    assert {p.name: p.read_bytes() for p in (tmp_path / "got").iterdir()} == {
        name: hub.files[name] for name in ("correct.pt", "README.md")
    }
    assert ".cache/a.json, run_me.py" in done.output
    assert not (tmp_path / "got.part").exists()
    assert "exists" in str(run("pull", "me/it", "--out", "got").exception)


def test_a_download_that_breaks_off_goes_on(
    hub: HubStandIn, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)  # else what is here is one piece
    hub.files |= {"correct.pt": weights.read_bytes()}
    hub.breaks["correct.pt"] = 2
    pull("me/it", tmp_path / "got", kind="model")
    assert (tmp_path / "got/correct.pt").read_bytes() == weights.read_bytes()
    assert len(hub.ranges) == 2


def test_other_bytes_than_the_hub_states_are_not_kept(hub: HubStandIn, weights: Path, tmp_path: Path) -> None:
    content = weights.read_bytes()
    for name, right in {"correct.pt": content, "config.json": b'{"a": 1}'}.items():
        hub.files = {name: right}
        hub.as_sent = {name: right[:-2] + b"XX"}
        with pytest.raises(SscError, match="other bytes than the hub states"):
            pull("me/it", tmp_path / "got", kind="model")
        assert not (tmp_path / "got").exists()
        assert not (tmp_path / "got.part" / name).exists()
    hub.as_sent = {}
    pull("me/it", tmp_path / "got", kind="model")  # the next try gets it anew


def test_weights_of_the_hub_pass_the_same_checks_as_any(hub: HubStandIn, weights: Path, tmp_path: Path) -> None:
    """The hub states the hash of what it has, be it damaged or malicious."""

    class Bad:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return print, ("run",)

    damaged = bytearray(weights.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    torch.save({"model": Bad()}, tmp_path / "bad.pt")
    for content in (bytes(damaged), (tmp_path / "bad.pt").read_bytes()):
        hub.files = {"correct.pt": content}
        with pytest.raises(SscError, match=r"correct\.pt"):
            pull("me/it", tmp_path / "got", kind="model")
        assert not (tmp_path / "got").exists()


def test_endings_in_capitals_are_endings(hub: HubStandIn, weights: Path, tmp_path: Path) -> None:
    damaged = bytearray(weights.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    hub.files = {"CORRECT.PT": bytes(damaged)}
    with pytest.raises(SscError, match=r"CORRECT\.PT"):
        pull("me/it", tmp_path / "got", kind="model")
    assert not (tmp_path / "got.part/CORRECT.PT").exists()


def test_what_another_call_left_is_not_taken_along(hub: HubStandIn, weights: Path, tmp_path: Path) -> None:
    hub.files = {"other.json": b"{}", "sub/other.json": b"{}", "correct.pt": weights.read_bytes()}
    hub.as_sent = {"correct.pt": b"XX"}
    with pytest.raises(SscError):
        pull("me/it", tmp_path / "got", kind="model")
    assert (tmp_path / "got.part/sub/other.json").exists()
    hub.files, hub.as_sent = {"config.json": b"[]"}, {}
    pull("me/it", tmp_path / "got", kind="model")
    assert [path.name for path in (tmp_path / "got").rglob("*") if path.is_file()] == ["config.json"]


@pytest.mark.parametrize("name", ["../out.json", "a/../../out.json", "/tmp/out.json"])
def test_names_that_leave_the_folder_are_refused(hub: HubStandIn, tmp_path: Path, name: str) -> None:
    hub.files = {"README.md": b"x", name: b"{}"}
    with pytest.raises(SscError):
        pull("me/it", tmp_path / "here/got", kind="model")
    assert not list(tmp_path.rglob("out.json"))


def test_nothing_is_published_without_being_asked(hub: HubStandIn, tmp_path: Path) -> None:
    data = tmp_path / "hf/data"
    data.mkdir(parents=True)
    (data / "val-00000-of-00001.parquet").write_bytes(b"PAR1" * 1000)
    (tmp_path / "hf/README.md").write_text("mine")
    (tmp_path / "hf/.env").write_text("SECRET=1")
    (data / "notes.py").write_text("")
    refused = run("publish", "hf", "me/it", answer="n\n")
    assert "nothing was published" in str(refused.exception)
    assert "data/val-00000-of-00001.parquet" in refused.output
    assert hub.seen == []
    done = run("publish", "hf", "me/it", "--yes")
    assert done.exit_code == 0, (done.output, done.exception)
    assert hub.files == {"README.md": b"mine", "data/val-00000-of-00001.parquet": b"PAR1" * 1000}  # no secret, no code
    assert run("pull", "me/it", "--dataset", "--out", "back").exit_code == 0
    assert (tmp_path / "back/data/val-00000-of-00001.parquet").read_bytes() == b"PAR1" * 1000


def test_the_token_is_sent_and_said_nowhere(
    hub: HubStandIn, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.files, hub.needs_token = {"correct.pt": weights.read_bytes()}, TOKEN
    done = run("pull", "me/it", "--out", "got")
    assert done.exit_code == 0, (done.output, done.exception)
    assert f"Bearer {TOKEN}" in hub.tokens
    monkeypatch.setenv("HF_TOKEN", "hf_" + "y" * 30)
    refused = run("pull", "me/it", "--out", "again")
    assert isinstance(refused.exception, SscError)
    assert "hf auth login" in str(refused.exception)
    said = refused.output + str(refused.exception) + done.output
    assert TOKEN not in said
    assert "yyyy" not in said
    assert not any(TOKEN.encode() in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


def test_a_repository_that_is_not_there(hub: HubStandIn, tmp_path: Path) -> None:
    for name in ("me/other", "no name"):
        with pytest.raises(SscError, match=name):
            pull(name, tmp_path / "got", kind="model")
    with pytest.raises(SscError, match="no file that is fetched"):
        pull("me/it", tmp_path / "got", kind="model")


def test_hashes_are_of_the_file(weights: Path) -> None:
    from ssc_core.hub import _git_sha1

    content = weights.read_bytes()
    assert _git_sha1(weights) == hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
