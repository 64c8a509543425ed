from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import yaml

from ssc_core.version import __version__


def test_conda_environments_have_the_locks_versions(root: Path) -> None:
    locked = dict(re.findall(r"^([a-z0-9._-]+)==([^ ]+)", (root / "requirements.lock").read_text(), re.MULTILINE))
    files = sorted((root / "envs").glob("*.yaml"))
    assert files
    for file in files:
        for pin in yaml.safe_load(file.read_text())["dependencies"][-1]["pip"]:
            name, version = pin.split("==")
            assert locked[name] == version, f"{file.name}: {name}"


def test_every_rule_has_an_environment_that_exists(root: Path) -> None:
    for path in (root / "rules").glob("*.smk"):
        text = path.read_text()
        for name in re.findall(r'conda:\n\s+"\.\./envs/(\w+)\.yaml"', text):
            assert (root / "envs" / f"{name}.yaml").is_file()
        assert text.count("    shell:") == text.count("    conda:"), path.name


def test_rules_of_reports_have_what_draws_and_writes_pages(root: Path) -> None:
    rules = [rule for path in (root / "rules").glob("*.smk") for rule in re.split(r"\n\n\n", path.read_text())]
    calls = (
        r'call\(\s+"ssc_core\.report\b',
        r'calls\(\s*"(contact_sheet|training_curves)"',
    )
    found = [rule for rule in rules if any(re.search(call, rule) for call in calls)]
    assert len(found) >= 5
    for rule in found:
        (name,) = re.findall(r'conda:\n\s+"\.\./envs/(\w+)\.yaml"', rule)
        pins = yaml.safe_load((root / "envs" / f"{name}.yaml").read_text())["dependencies"][-1]["pip"]
        assert {"matplotlib", "jinja2"} <= {pin.split("==")[0] for pin in pins}, rule


def test_no_host_is_named_in_the_lock(root: Path) -> None:
    assert "://" not in (root / "requirements.lock").read_text()


def test_every_rule_runs_a_script_as_a_job_and_asks_for_memory(root: Path) -> None:
    """Whose end is told as it was, and who says what memory it had asked for when it is killed."""
    rules = [rule for path in (root / "rules").glob("*.smk") for rule in re.split(r"\n\n\n", path.read_text())]
    with_shell = [rule for rule in rules if "\n    shell:" in rule]
    assert len(with_shell) > 20
    for rule in with_shell:
        assert re.search(r"\n    shell:\n        calls?\(", rule), rule
        assert "mem_mb=" in rule or "**gpu_job(" in rule, rule
        assert "\n    log:" in rule, rule


def test_the_version_is_the_same_everywhere(root: Path) -> None:
    """Its source is ssc_core/__init__.py, of which pyproject.toml reads it."""
    assert yaml.safe_load((root / "CITATION.cff").read_text())["version"] == __version__
    assert f"\n## {__version__}\n" in (root / "CHANGELOG.md").read_text()


def test_the_authors_detector_is_locked_without_what_its_network_never_imports(root: Path) -> None:
    locked = set(re.findall(r"^([a-z0-9._-]+)==", (root / "requirements.lock").read_text(), re.MULTILINE))
    assert {"rf-groundingdino", "opencv-python-headless"} <= locked
    assert not locked & {"opencv-python", "supervision"}


def test_the_conda_environment_of_segment_has_the_authors_detector_too(root: Path) -> None:
    """Snakemake runs the script, which it finds by its name."""
    script = (root / "envs/segment.post-deploy.sh").read_text()
    lock = (root / "requirements.lock").read_text()
    (version,) = re.findall(r"^rf-groundingdino==([^ ]+)", lock, re.MULTILINE)
    assert f"pip install --no-deps rf-groundingdino=={version}\n" in script
    pins = yaml.safe_load((root / "envs/segment.yaml").read_text())["dependencies"][-1]["pip"]
    listed = {pin.split("==")[0] for pin in pins}
    asked = {re.split(r"[^\w-]", one)[0] for one in requires("rf-groundingdino") or ()}
    assert asked - listed == {"opencv-python", "supervision"}


def test_what_a_cpu_only_environment_leaves_out_is_locked_and_not_needed(root: Path) -> None:
    """Without its Python modules torch starts and computes. Without its libraries: tried by hand, docs/install.md."""
    lines = (root / "envs/without-gpu.txt").read_text().splitlines()
    absent = {line for line in lines if not line.startswith("#")}
    assert absent <= set(re.findall(r"^([a-z0-9._-]+)==", (root / "requirements.lock").read_text(), re.MULTILINE))
    code = """
import sys
sys.modules.update(dict.fromkeys(["triton", "cuda"]))  # importing them fails
import torch, torchvision, open_clip
print(torch.linalg.svd(torch.eye(3))[1].sum().item())
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown == "3.0\n"
