"""Results in object storage: the label stage through an S3 server that runs here, killed on the way and resumed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.killing import kill_when

pytest.importorskip("snakemake_storage_plugin_s3", reason="needs the extra `storage`")
boto3 = pytest.importorskip("boto3", reason="needs the extra `storage`")
moto = pytest.importorskip("moto.server", reason="needs the extra `dev`: moto, flask, flask-cors")

ROOT = Path(__file__).resolve().parents[2]
TARGET = "results/refcoco/eval_masks_val.json"
KEYS = {"SNAKEMAKE_STORAGE_S3_ACCESS_KEY": "anyone", "SNAKEMAKE_STORAGE_S3_SECRET_KEY": "anything"}
LABELS = (*(f"results/refcoco/val/{name}.h5" for name in ("masks", "scores", "selected")), TARGET)
"""What the label stage leaves."""
MINUTES = 20


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Address of an S3 server on this machine alone."""
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def _command(python: Path, server: str | None, *more: str) -> list[str]:
    """server: None for results on this drive."""
    storage = ("--default-storage-provider", "s3", "--default-storage-prefix", "s3://ssc/mine")
    return [
        *(str(python), "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", "2"),
        *("--workflow-profile", str(ROOT / "profiles/default"), "--configfile", "tiny.yaml"),
        *((*storage, "--storage-s3-endpoint-url", server) if server else ()),
        *(*more, "--", TARGET),
    ]


def _run(python: Path, environment: dict[str, str], folder: Path, server: str | None, *more: str) -> tuple[int, str]:
    done = subprocess.run(
        _command(python, server, *more), cwd=folder, env=environment, text=True, check=False, timeout=60 * MINUTES,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.returncode, done.stdout


def _client(server: str) -> Any:
    key, secret = KEYS.values()
    return boto3.client(
        "s3", endpoint_url=server, region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key=secret
    )


def _stored(server: str) -> set[str]:
    client = _client(server)
    if not client.list_buckets()["Buckets"]:
        return set()
    return {one["Key"] for one in client.list_objects_v2(Bucket="ssc").get("Contents", [])}


def test_labels_are_made_in_a_storage_also_by_a_run_that_was_killed(
    server: str, tmp_path: Path, warm: Path, warm_environment: dict[str, str]
) -> None:
    environment = {**warm_environment, **KEYS}
    photos = "{train: 2, val: 3, testA: 2, testB: 2, test: 2}"
    (tmp_path / "tiny.yaml").write_text(f"micro: {{images: {photos}}}\ncompute: {{shards: 2}}\n")
    boxes, masks = (f"mine/results/refcoco/val/shards/{kind}.{{}}-of-2.h5" for kind in ("boxes", "masks"))

    def segmented() -> set[int]:
        stored = _stored(server)
        return {shard for shard in (0, 1) if masks.format(shard) in stored}

    kill_when(lambda: bool(segmented()), _command(warm, server), tmp_path, environment)
    (done, *_) = segmented()
    assert boxes.format(done) in _stored(server)
    assert f"mine/{TARGET}" not in _stored(server)

    code, output = _run(warm, environment, tmp_path, server)
    assert code == 0, output
    assert f"detecting boxes, shard {done}" not in output  # masks were made of them, so they were whole
    assert {f"mine/{TARGET}", "mine/results/refcoco/val/selected.h5"} <= _stored(server)
    # photos stay on the drive, and results are on it no more
    assert list(tmp_path.glob("results/refcoco/world/**/*.jpg"))
    assert not [*tmp_path.glob("results/**/*.h5"), *tmp_path.glob(".snakemake/storage/**/*.tmp")]

    code, output = _run(warm, environment, tmp_path, server)
    assert code == 0, output
    assert "Nothing to be done" in output

    # the same bytes as on a drive, where nothing was killed and one job did the work of both
    on_drive = tmp_path / "on_drive"
    on_drive.mkdir()
    (on_drive / "tiny.yaml").write_text(f"micro: {{images: {photos}}}\n")
    code, output = _run(warm, environment, on_drive, None)
    assert code == 0, output
    for name in LABELS:
        stored = _client(server).get_object(Bucket="ssc", Key=f"mine/{name}")["Body"].read()
        assert stored == (on_drive / name).read_bytes(), name

    # other data under the same name are refused there, too, and not only where they were made
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "tiny.yaml").write_text(f"micro: {{images: {photos}, seed: 5}}\n")
    code, output = _run(warm, environment, elsewhere, server, "--dry-run")
    assert code != 0
    assert "was built from other data than the config names now" in output
