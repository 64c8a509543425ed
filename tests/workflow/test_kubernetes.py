"""profiles/kubernetes through the real executor plug-in, and a stand-in for the cluster that runs jobs here."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import warm_python
from tests.workflow.kubernetes_stand_in import serve, write_kubeconfig

pytest.importorskip("snakemake_executor_plugin_kubernetes", reason="needs the extra `kubernetes`")
pytest.importorskip("snakemake_storage_plugin_s3", reason="needs the extra `storage`")
moto = pytest.importorskip("moto.server", reason="needs the extra `dev`: moto, flask, flask-cors")

MINUTES = 20


def test_jobs_of_a_split_run_in_pods_and_ask_for_what_their_rules_need(
    tmp_path: Path, clone: Callable[[Path], Path], warm: Path, warm_environment: dict[str, str]
) -> None:
    checkout = clone(tmp_path / "checkout")
    subprocess.run("git init -q && git add -A", shell=True, cwd=checkout, check=True)  # what is sent to the pods
    volume = tmp_path / "volume"  # as pods and this machine see it
    photos = "{train: 2, val: 2, testA: 2, testB: 2, test: 2}"
    (checkout / "tiny.yaml").write_text(f"results: {volume}/results\nmicro: {{images: {photos}}}\n")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "pip").write_text("#!/bin/sh\n")  # the image has the plug-in, which each job asks for first
    (tools / "pip").chmod(0o755)
    path = os.pathsep.join([str(tools), warm_environment["PATH"]])
    pods = tmp_path / "pods"
    pods.mkdir()
    storage = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    storage.start()
    server, cluster = serve(pods, path)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    host, port = storage.get_host_and_port()
    target = f"{volume}/results/refcoco/val/shards/boxes.0-of-1.h5"
    keys = {"SNAKEMAKE_STORAGE_S3_ACCESS_KEY": "anyone", "SNAKEMAKE_STORAGE_S3_SECRET_KEY": "anything"}
    write_kubeconfig(server, warm.parents[1] / warm_python.KUBECONFIG)
    command = (
        *("-m", "snakemake", "--workflow-profile", "profiles/kubernetes", "--jobs", "1"),
        *("--configfile", "tiny.yaml", "--container-image", "ssc:1", "--default-storage-prefix", "s3://ssc"),
        *("--storage-s3-endpoint-url", f"http://{host}:{port}", "--kubernetes-persistent-volumes"),
        *(f"photos:{volume}", "--seconds-between-status-checks", "1", "--", target),
    )
    try:
        done = subprocess.run(
            [warm, *command], cwd=checkout, env={**warm_environment, **keys, "PATH": path},
            capture_output=True, text=True, timeout=60 * MINUTES,
        )  # fmt: skip
    finally:
        server.shutdown()
        storage.stop()
    assert done.returncode == 0, done.stdout + done.stderr + "".join(map(cluster.log, cluster.jobs))
    # extract_nouns and detect_boxes; make_world and index_refs, whose files are on a drive, run where this was started
    assert len(cluster.jobs) == 2
    specs = [job["spec"]["template"]["spec"] for job in cluster.jobs.values()]
    asked = [spec["containers"][0]["resources"]["limits"] for spec in specs]
    assert [one.get("nvidia.com/gpu") for one in asked] == [None, "1"]
    assert [one["memory"] for one in asked] == ["4000M", "16000M"]
    assert all(spec["containers"][0]["image"] == "ssc:1" for spec in specs)
    assert specs[-1]["containers"][0]["volumeMounts"][-1] == {"name": "photos", "mountPath": str(volume)}
