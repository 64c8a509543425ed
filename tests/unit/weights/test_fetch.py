"""Fetching: sources in order, checks, pins, archives, and what to do without a network."""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ssc_core.cli.main import app
from ssc_core.config.published_file import PublishedFile
from ssc_core.errors import SscError
from ssc_core.weights.fetch import (
    IN_PLACE,
    Depot,
    Verified,
    bytes_text,
    fetch_file,
    is_here,
    missing_report,
    verify,
    with_sizes,
)
from ssc_core.weights.lock import LockFile
from tests.unit.weights.conftest import CONTENT, IMPATIENT, SHA256, BadServer

PATH = "weights/x.pth"


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    return Depot(root=tmp_path, lock=LockFile(tmp_path / "sources.lock.json"), patience=IMPATIENT)


def published(*urls: str, **known: Any) -> PublishedFile:
    return PublishedFile(path=PATH, urls=urls, **known)


def put(folder: Path, path: str, content: bytes) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(content)


def archive(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, content in files.items():
            file.writestr(f"refcoco/{name}", content)
    return stream.getvalue()


ARCHIVE = PublishedFile.model_validate(
    {"path": "data/archives/refcoco.zip", "unpack": {"to": "data", "holds": ["refcoco/one", "refcoco/two"]}}
)


def test_a_fetched_file_is_checked_and_pinned(server: BadServer, depot: Depot) -> None:
    file = published(server.url("good"), sha256=SHA256, size=len(CONTENT))
    assert fetch_file("x", file, depot) == "fetched"
    assert (depot.root / PATH).read_bytes() == CONTENT
    pin = depot.lock.get(PATH)
    assert pin is not None
    assert (pin.sha256, pin.size, pin.source) == (SHA256, len(CONTENT), server.url("good"))
    assert fetch_file("x", file, depot) == "present"
    assert server.requests["good"] == 1
    assert sorted(path.name for path in (depot.root / "weights").iterdir()) == ["x.pth"]


def test_an_unknown_hash_is_recorded_and_kept_to(server: BadServer, depot: Depot) -> None:
    fetch_file("x", published(server.url("good")), depot)
    (depot.root / PATH).unlink()
    with pytest.raises(SscError, match=f"SHA-256 [0-9a-f]{{64}}, it should be {SHA256}"):
        fetch_file("x", published(server.url("wrong_bytes")), depot)
    assert not (depot.root / PATH).exists()


def test_sources_are_tried_in_order(server: BadServer, depot: Depot) -> None:
    modes = ["missing", "breaks_at_once", "wrong_bytes", "too_short", "web_page", "good"]
    file = published(*map(server.url, modes), sha256=SHA256)
    assert fetch_file("x", file, depot) == "fetched"
    assert (depot.root / PATH).read_bytes() == CONTENT
    assert list(server.requests) == modes


def test_what_every_source_said_is_told(server: BadServer, depot: Depot) -> None:
    with pytest.raises(SscError) as caught:
        fetch_file("x", published(server.url("missing"), server.url("web_page")), depot)
    assert "404" in str(caught.value)
    assert "a web page came instead of the file, and says: 'log in first'" in str(caught.value)
    assert not (depot.root / PATH).exists()
    assert depot.lock.pins() == {}


def test_an_md5_is_checked_where_it_is_all_that_is_known(server: BadServer, depot: Depot) -> None:
    right = hashlib.md5(CONTENT).hexdigest()
    with pytest.raises(SscError, match="its MD5 is not"):
        fetch_file("x", published(server.url("wrong_bytes"), md5=right), depot)
    assert fetch_file("x", published(server.url("good"), md5=right), depot) == "fetched"


def test_a_wrong_half_from_before_costs_no_source(server: BadServer, depot: Depot) -> None:
    put(depot.root, PATH + ".part", b"?" * 1000)
    note = {"url": server.url("good"), "validator": '"one"', "total": len(CONTENT)}
    put(depot.root, PATH + ".part.json", json.dumps(note).encode())
    assert fetch_file("x", published(server.url("good"), sha256=SHA256), depot) == "fetched"
    assert server.requests["good"] == 2


def test_a_mirror_folder_comes_first(server: BadServer, depot: Depot, tmp_path: Path) -> None:
    put(tmp_path / "mirror", PATH, CONTENT)
    depot = Depot(root=tmp_path, lock=depot.lock, mirrors=(str(tmp_path / "mirror"),), offline=True)
    assert fetch_file("x", published(server.url("good"), sha256=SHA256), depot) == "fetched"
    assert (tmp_path / PATH).read_bytes() == CONTENT
    assert not server.requests


def test_a_mirror_with_wrong_bytes_is_passed_over(server: BadServer, depot: Depot, tmp_path: Path) -> None:
    put(tmp_path / "mirror", PATH, b"PK wrong")
    depot = Depot(root=tmp_path, lock=depot.lock, mirrors=(str(tmp_path / "mirror"),), patience=IMPATIENT)
    assert fetch_file("x", published(server.url("good"), sha256=SHA256), depot) == "fetched"
    assert (tmp_path / PATH).read_bytes() == CONTENT


def test_a_mirror_address(server: BadServer, depot: Depot, tmp_path: Path) -> None:
    base = server.url("good").removesuffix("/x.pth")
    depot = Depot(root=tmp_path, lock=depot.lock, mirrors=(base,), patience=IMPATIENT)
    assert fetch_file("x", published("http://127.0.0.1:9/x.pth", sha256=SHA256), depot) == "fetched"


def test_a_path_is_quoted_in_a_mirrors_address(server: BadServer, depot: Depot, tmp_path: Path) -> None:
    file = PublishedFile(path="weights/a#1 ü?.pth", sha256=SHA256)
    depot = replace(depot, mirrors=(server.url("good"),))
    assert fetch_file("x", file, depot) == "fetched"
    assert server.paths == ["/good/x.pth/weights/a%231%20%C3%BC%3F.pth"]


def test_a_file_put_in_place_is_checked_and_pinned(depot: Depot) -> None:
    put(depot.root, PATH, CONTENT)
    assert fetch_file("x", published(sha256=SHA256), depot) == "found"
    pin = depot.lock.get(PATH)
    assert pin is not None
    assert pin.source == IN_PLACE
    assert fetch_file("x", published(sha256=SHA256), depot) == "present"


def test_a_wrong_file_put_in_place_is_told_and_stays(depot: Depot) -> None:
    put(depot.root, PATH, b"PK wrong")
    with pytest.raises(SscError, match="found in place: wrong bytes"):
        fetch_file("x", published(sha256=SHA256), depot)
    assert (depot.root / PATH).read_bytes() == b"PK wrong"
    assert depot.lock.pins() == {}


def test_an_archive_is_unpacked_and_deleted(depot: Depot) -> None:
    put(depot.root, ARCHIVE.path, archive(one=b"1", two=b"2"))
    assert not is_here(ARCHIVE, depot.root)
    assert fetch_file("refcoco", ARCHIVE, depot) == "fetched"
    assert (depot.root / "data/refcoco/one").read_bytes() == b"1"
    assert not (depot.root / ARCHIVE.path).exists()
    note = json.loads((depot.root / ARCHIVE.product).read_text())
    pin = depot.lock.get(ARCHIVE.path)
    assert pin is not None
    assert note == {"name": "refcoco", "source": IN_PLACE, "sha256": pin.sha256, "files": 2}
    assert fetch_file("refcoco", ARCHIVE, depot) == "present"


def test_an_archive_that_lacks_a_file_is_told_and_stays(depot: Depot) -> None:
    put(depot.root, ARCHIVE.path, archive(one=b"1"))
    with pytest.raises(SscError, match="refcoco/two was not in it"):
        fetch_file("refcoco", ARCHIVE, depot)
    assert (depot.root / ARCHIVE.path).is_file()
    assert not (depot.root / ARCHIVE.product).exists()


def test_data_put_in_place_are_noted(depot: Depot) -> None:
    put(depot.root, "data/refcoco/one", b"1")
    put(depot.root, "data/refcoco/two", b"2")
    assert fetch_file("refcoco", ARCHIVE, depot) == "found"
    assert (depot.root / ARCHIVE.product).is_file()


def test_half_unpacked_data_are_not_here(depot: Depot) -> None:
    put(depot.root, "data/refcoco/one", b"1")
    put(depot.root, "data/refcoco/two", b"2")
    (depot.root / "data/.refcoco.zip.unpacking").mkdir()
    assert not is_here(ARCHIVE, depot.root)


def test_a_file_without_an_address(depot: Depot) -> None:
    with pytest.raises(SscError, match=r"no address is known for it\nPut the file there by hand"):
        fetch_file("x", published(), depot)


def test_a_gated_file_says_how_to_get_it(depot: Depot) -> None:
    file = published(access="gated; ask at https://hub.example/x")
    with pytest.raises(SscError, match=r"gated; ask at https://hub\.example/x\nPut the file there by hand"):
        fetch_file("x", file, depot)
    assert "      gated; ask at https://hub.example/x" in missing_report({"x": file}, depot).splitlines()


def test_another_process_that_fetches_the_same_file(server: BadServer, depot: Depot) -> None:
    put(depot.root, PATH + ".fetching", b"")
    with (depot.root / (PATH + ".fetching")).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(SscError, match="another process is fetching"):
            fetch_file("x", published(server.url("good")), depot)
    assert fetch_file("x", published(server.url("good")), depot) == "fetched"


def test_verify_reads_what_is_here(server: BadServer, depot: Depot) -> None:
    file = published(server.url("good"))
    assert verify({"x": file}, depot) == Verified()
    fetch_file("x", file, depot)
    assert verify({"x": file}, depot) == Verified(right=["x"])
    (depot.root / PATH).write_bytes(CONTENT[:-1] + b"?")
    (problem,) = verify({"x": file}, depot).wrong
    assert "wrong bytes" in problem


def test_verify_calls_nothing_right_of_which_nothing_is_known(depot: Depot) -> None:
    put(depot.root, PATH, CONTENT)
    assert verify({"x": published()}, depot) == Verified(unknown=["x"])
    assert verify({"x": published(md5=hashlib.md5(CONTENT).hexdigest())}, depot) == Verified(right=["x"])


def test_the_report_of_what_is_missing(depot: Depot) -> None:
    put(depot.root, PATH, CONTENT)
    files = {
        "x": published(),
        "refcoco": ARCHIVE,
        "y": PublishedFile(path="weights/y.pt", urls=("https://y/",), size=7),
    }
    report = missing_report(files, depot)
    assert report.startswith(f"2 of 3 files are not here. Put them below {depot.root.resolve()}:")
    assert "weights/y.pt  (y, 7 B)\n      from https://y/" in report
    assert "data/archives/refcoco.zip  (refcoco)\n      no address is known" in report
    assert missing_report({"x": published()}, depot) == ""


@pytest.mark.parametrize(
    ("size", "text"), [(7, "7 B"), (2048, "2.0 KiB"), (2564550879, "2.4 GiB"), (693997677, "662 MiB")]
)
def test_size_text(size: int, text: str) -> None:
    assert bytes_text(size) == text


@pytest.fixture
def config(server: BadServer, tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    source = {"path": PATH, "urls": [server.url("good")], "sha256": SHA256}
    sam = {"backend": {"name": "sam", "settings": {"model": "vit_h", "checkpoint": PATH}}}
    path.write_text(json.dumps({"sources": {"files": {"x": source}}, "segment": sam}))
    return path


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["fetch", *map(str, arguments)])
    return result.exit_code, result.output + (str(result.exception) if result.exception else "")


def test_the_command_fetches_what_the_config_names(config: Path, tmp_path: Path) -> None:
    code, output = run("--config", config, "--into", tmp_path / "project")
    assert code == 0
    assert "x: fetched" in output
    assert (tmp_path / "project" / PATH).read_bytes() == CONTENT
    assert (tmp_path / "project" / "sources.lock.json").is_file()
    assert run("--config", config, "--into", tmp_path / "project") == (0, "x: present\n")
    status, said = run("--config", config, "--into", tmp_path / "project", "--verify")
    assert status == 0
    assert "1 file of 1 compared: the right bytes" in said
    (tmp_path / "project" / PATH).write_bytes(CONTENT[::-1])
    assert "wrong bytes" in run("--config", config, "--into", tmp_path / "project", "--verify")[1]


def test_the_command_verifies_what_can_be_compared(tmp_path: Path) -> None:
    names = ["known", "unknown", "absent"]
    files: dict[str, dict[str, object]] = {name: {"path": f"weights/{name}.pth"} for name in names}
    files["known"]["sha256"] = SHA256
    files["archive"] = {"path": "data/a.zip", "unpack": {"to": "data", "holds": ["one"]}}
    (tmp_path / "mine.yaml").write_text(json.dumps({"sources": {"files": files}}))

    def verified(*names: str) -> tuple[int, str]:
        return run("--config", tmp_path / "mine.yaml", "--into", tmp_path, "--verify", *names)

    for path in ("weights/known.pth", "weights/unknown.pth", "data/one"):
        put(tmp_path, path, CONTENT)
    recorded = "no hash is known, until `ssc fetch` records it as it is, of: unknown"
    assert verified(*files) == (
        0,
        f"1 file of 4 compared: the right bytes; not here: absent; unpacked, so not compared: archive; {recorded}\n",
    )
    assert verified("unknown") == (1, f"nothing was compared; {recorded}")
    assert verified("absent") == (1, "nothing was compared; not here: absent")


@pytest.mark.parametrize("place", ["gone", "ftp://files.example/ssc"])
def test_a_mirror_that_is_not_there_is_not_passed_over(config: Path, tmp_path: Path, place: str) -> None:
    code, output = run("--config", config, "--into", tmp_path / "project", "--mirror", place)
    assert code == 1
    assert f"--mirror {place} is no folder here" in output
    assert not (tmp_path / "project").exists()


def test_the_command_offline_lists_what_is_missing(config: Path, tmp_path: Path, server: BadServer) -> None:
    code, output = run("--config", config, "--into", tmp_path / "project", "--offline")
    assert code == 1
    assert f"{PATH}  (x)\n      from {server.url('good')}\n      sha256 {SHA256}" in output
    assert not server.requests


def test_the_command_lists_all_files(tmp_path: Path) -> None:
    code, output = run("--list", "--into", tmp_path)
    assert code == 0
    assert "sam_vit_h" in output
    assert "not here" in output


def test_the_list_tells_sizes_a_total_and_licences(tmp_path: Path) -> None:
    put(tmp_path, "weights/sam_vit_b_01ec64.pth", b"here")
    code, output = run("--list", "--into", tmp_path, "sam_vit_b", "sam_vit_h", "groundingdino_swint_ogc", "ssc_refcoco")
    assert code == 0
    *lines, total = output.splitlines()
    found = [(words[0], words[1]) for words in map(str.split, lines)]
    assert found == [
        ("sam_vit_b", "here"),
        *((name, "not") for name in ("sam_vit_h", "groundingdino_swint_ogc", "ssc_refcoco")),
    ]
    assert "published with a GPL-3 repository" in lines[-1]
    assert total.startswith("3 of 4 files are not here: 3.0 GiB and 1 of a size that is not known; ")


def test_what_a_fetch_will_get_is_told_before_it_begins(config: Path, tmp_path: Path) -> None:
    _, output = run("--config", config, "--into", tmp_path / "project")
    size = bytes_text(len(CONTENT))
    assert output.splitlines()[0].startswith(f"1 of 1 files are not here: {size}; ")


def test_a_size_that_no_server_tells_stays_unknown(
    server: BadServer, depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ssc_core.weights.fetch.ASKING_S", 1.0)
    files = {
        "told": published(server.url("missing"), server.url("good")),
        "known": published(server.url("good"), size=7),
        "page": published(server.url("quota")),
        "nowhere": published(),
        "dripping": published(server.url("drips_headers")),
    }
    sizes = {name: file.size for name, file in with_sizes(files, depot).items()}
    assert sizes == {"told": len(CONTENT), "known": 7, "page": None, "nowhere": None, "dripping": None}
    assert with_sizes(files, replace(depot, offline=True)) == files


@pytest.mark.parametrize("suffix", [".pth", ".bin", ".onnx", ".json", ".txt", ".p"])
def test_a_web_page_in_place_of_a_file_is_told(depot: Depot, suffix: str) -> None:
    file = PublishedFile(path=f"weights/x{suffix}")
    put(depot.root, file.path, b"\n<!DOCTYPE html><title>log in</title>")
    with pytest.raises(SscError, match=f"found in place: what came is a web page and no {suffix} file"):
        fetch_file("x", file, depot)
    assert depot.lock.pins() == {}


def test_a_zip_that_is_cut_off_is_no_whole_file(depot: Depot) -> None:
    put(depot.root, PATH, archive(one=b"1", two=b"2")[:-30])
    with pytest.raises(SscError, match=r"no whole \.pth file: its end is missing"):
        fetch_file("x", published(), depot)


def test_a_file_behind_a_confirmation_page_is_fetched_and_from_a_mirror_without_one(
    server: BadServer, depot: Depot, tmp_path: Path
) -> None:
    file = published(server.url("confirm_form"))
    assert fetch_file("x", file, depot) == "fetched"
    assert (depot.root / PATH).read_bytes() == CONTENT
    (depot.root / PATH).unlink()
    put(tmp_path / "mirror", PATH, CONTENT)
    before = sum(server.requests.values())
    assert fetch_file("x", file, replace(depot, mirrors=(str(tmp_path / "mirror"),))) == "fetched"
    assert sum(server.requests.values()) == before


def test_a_quota_page_says_what_to_do_by_hand(server: BadServer, depot: Depot) -> None:
    with pytest.raises(SscError) as caught:
        fetch_file("x", published(server.url("quota")), depot)
    assert "Quota exceeded" in str(caught.value)
    assert "Open the address in a browser" in str(caught.value)
    assert "Put the file there by hand and run the same command again" in str(caught.value)
    assert not (depot.root / PATH).exists()


def test_the_command_with_nothing_to_do() -> None:
    assert "nothing to fetch" in run()[1]
