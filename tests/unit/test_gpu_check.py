"""The GPU check on a CPU: that it finds what is broken, skips what is missing by name, and says how far off things are.

That a GPU is right only a GPU can show; these tests are of the check.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.testing import CliRunner

from ssc_core.cli.main import app
from ssc_core.errors import SscError
from ssc_core.gpu_check import memory, networks, parts, processes, stages, training
from ssc_core.gpu_check.findings import BOUNDS, Finding, compare, difference
from ssc_core.gpu_check.machine import Place
from ssc_core.gpu_check.replay import Choices
from ssc_core.segment import sam_transformers

ROOT = Path(__file__).parents[2]


def wrong(findings) -> list[str]:
    return [finding.what for finding in findings if not finding.ok]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place("cpu", small=True, folder=tmp_path)


def test_differences() -> None:
    numbers = np.array([3.0, 4.0])
    assert difference(numbers, numbers) == 0
    assert difference(numbers + np.array([0, 0.5]), numbers) == pytest.approx(0.1)
    assert difference(np.array([True, False]), np.array([True, True])) == 0.5
    assert difference(numbers[:1], numbers) == math.inf
    assert difference(np.array([3.0, math.nan]), numbers) == math.inf


def test_gradients_and_masks_have_bounds_of_their_own() -> None:
    values = {"logits": np.ones(3), "gradients of BERT": np.ones(3), "masks": np.ones(3, bool)}
    bounds = BOUNDS["bf16"]
    assert [f.bound for f in compare("x", values, values, bounds)] == [bounds.numbers, bounds.gradients, bounds.masks]


def test_a_training_step_that_is_off_is_found(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    step, calls = stages._train_step, []

    def spoiled(network, *arguments, **options):
        calls.append(network)
        if len(calls) > 1:
            with torch.no_grad():
                network.lavt.backbone.get_parameter("patch_embed.proj.weight").mul_(1.05)
        return step(network, *arguments, **options)

    assert wrong(stages.lavt(place)) == []
    monkeypatch.setattr(stages, "_train_step", spoiled)
    found = wrong(stages.lavt(place))
    assert {"LAVT, fp32: logits", "LAVT, fp32: gradients of the backbone"} <= set(found)


def test_masks_that_are_off_are_found(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    built = []

    class Spoiled(sam_transformers.Sam2):
        def __init__(self, *arguments, **options) -> None:
            super().__init__(*arguments, **options)
            built.append(self)
            if len(built) > 1:
                next(self.network.vision_encoder.parameters()).mul_(1.3)

    monkeypatch.setattr(sam_transformers, "Sam2", Spoiled)
    assert "SAM 2 (small), fp32: mask logits" in wrong(stages.sam2(place))


def test_a_batch_that_does_not_shrink_and_one_that_does(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    assert wrong(memory.sam2(place)) == []
    monkeypatch.setattr(memory, "_refuse", lambda *_: None)  # memory is enough
    assert wrong(memory.sam2(place)) == ["SAM 2 (small), out of memory: images a batch after"]


def test_two_jobs_that_do_not_share_a_lease_overlap(place: Place, warm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(warm))
    assert wrong(processes.one_card_for_two(place)) == []
    start = subprocess.Popen
    jobs = []

    def apart(command, **options):
        jobs.append(command)
        return start([*command[:-1], f"{command[-1]}{len(jobs)}"], **options)

    monkeypatch.setattr(processes.subprocess, "Popen", apart)
    assert wrong(processes.one_card_for_two(place)) == ["lease: overlap of two jobs of 2 s"]


@pytest.mark.parametrize(("away", "expected"), [(0.2, []), (1.0, ["training: two processes (gloo) against one"])])
def test_two_processes_may_differ_as_roundings_do(
    away: float, expected: list[str], place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = training.first_weights()
    ends = {"one": 0.0, "apart": 0.1, "two": away}  # of the way, beside where the first one ends

    def train(command: list[str]) -> int:
        folder = next(Path(word) for word in command if word.startswith(str(place.folder)))
        step = np.where(np.arange(len(first)) % 2, 1.0, ends[folder.name])
        np.save(folder / "weights.npy", first + step)
        return 0

    monkeypatch.setattr(processes, "_run", train)
    assert wrong(processes.two_processes(place)) == expected


def test_what_is_missing_or_broken_is_said_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def needs(place):
        import no_such_package  # noqa: F401

        yield

    def breaks(place):
        yield Finding("half", 0, 1)
        raise RuntimeError("a kernel failed")

    def fine(place):
        yield Finding("whole", math.inf, 1)

    monkeypatch.setitem(parts.PARTS, "select", (needs, breaks, fine))
    result = parts.run_part("select", small=True, device="cpu")
    assert result["skipped"] == {"needs": "no_such_package is not installed"}
    assert result["errors"] == {"breaks": "RuntimeError: a kernel failed"}
    assert not parts.is_right(result)
    assert not parts.is_right({**result, "errors": {}})  # "whole" is infinitely far off
    text = parts.told(result)
    assert "skip   needs" in text
    assert "WRONG  whole: not comparable" in text
    parts.write(result, tmp_path)
    assert json.loads((tmp_path / "select.json").read_text())["findings"][-1]["worst"] is None
    with pytest.raises(SscError, match="no part 'x'"):
        parts.run_part("x", small=True, device="cpu")


def test_choices_are_replayed() -> None:
    with Choices() as first:
        torch.topk(torch.tensor([[1.0, 3.0, 2.0]]), 2, dim=1)
    with Choices(first.taken):
        values, rows = torch.topk(torch.tensor([[1.0, 2.0, 3.0]]), 2, dim=1)
    assert rows.tolist() == [[1, 2]]
    assert values.tolist() == [[2.0, 3.0]]


def test_candidates_differ_in_size() -> None:
    sizes = networks.candidate_masks(96, (2, 2)).sum((1, 2))
    assert len(set(sizes)) == 4


BASIS = ("torch", "torchvision", "transformers", "timm", "h5py", "scipy", "opencv-python-headless")
"""What a GPU machine has; what these need comes along."""

ONLY = """
import sys
class Only:
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in {absent!r} else self.finder.find_spec(name, path, target)
sys.meta_path[:] = [Only(finder) for finder in sys.meta_path if hasattr(finder, "find_spec")]
"""

STARTS = """
from ssc_core.gpu_check import parts
result = parts.run_part("correct", small=True, device="cpu")
print(parts.told(result))
skipped = parts.run_part("select", small=True, device="cpu")["skipped"]
assert skipped == {"clip": "open_clip is not installed"}, skipped
assert parts.is_right(result) and result["findings"], result
"""

IMPORTS = """
sys.path.insert(0, "benchmarks")
import gpu, segment, select_stage, settings, train
import ssc_core.gpu_check.leased, ssc_core.gpu_check.parts, ssc_core.gpu_check.training
import ssc_core.segment.grounding_dino, ssc_core.segment.sam, ssc_core.segment.sam_transformers, ssc_core.select.clip
import ssc_core.correct.lavt.network, ssc_core.correct.text, ssc_core.devices
"""


def carried() -> list[str]:
    """The packages that ``make gpu-wheels`` takes along."""
    lines = (ROOT / "envs/gpu-check.txt").read_text().splitlines()
    return [line for line in lines if not line.startswith("#")]


def absent_beside(*packages: str) -> set[str]:
    """Modules that are installed here and belong neither to the packages nor to what these need."""
    waiting, there = list(packages), set[str]()
    while waiting:
        if (name := canonicalize_name(waiting.pop())) in there:
            continue
        there.add(name)
        try:
            needs = [Requirement(text) for text in metadata.requires(name) or ()]
        except metadata.PackageNotFoundError:  # of another system, or left out of a CPU's environment
            continue
        waiting += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    owners = metadata.packages_distributions()
    absent = {module for module, names in owners.items() if not there & set(map(canonicalize_name, names))}
    return absent - {"ssc_core", "microworld"}


@pytest.mark.parametrize(
    ("code", "more"), [(STARTS, ["pydantic"]), (IMPORTS, carried())], ids=["without wheels", "with wheels"]
)
def test_it_starts_where_little_is_installed(code: str, more: list[str]) -> None:
    """Python with what a GPU machine has, and nothing else of ours but some wheels."""
    absent = absent_beside(*BASIS, *more)
    assert {"snakemake", "spacy", "pandas", "pyarrow"} <= absent
    done = subprocess.run(
        [sys.executable, "-c", ONLY.format(absent=absent) + code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import gpu

    return gpu


def test_a_part_that_breaks_or_hangs_leaves_what_it_found_and_why(gpu, monkeypatch, tmp_path: Path) -> None:
    found = tmp_path / "select.json"
    whole = {"part": "select", "findings": ["one"], "errors": {}, "finished": True}

    def ends(code: str, result: dict | None) -> tuple[bool, dict]:
        run = gpu._run
        text = f"import pathlib, sys, time; pathlib.Path({str(found)!r}).write_text({json.dumps(result)!r}); {code}"
        monkeypatch.setattr(gpu, "_run", lambda _: run(["-c", text if result else code]))
        right = gpu.run_right("select", "small", tmp_path)
        monkeypatch.setattr(gpu, "_run", run)
        return right, json.loads(found.read_text())

    assert ends("", whole) == (True, whole)
    assert ends("sys.exit(1)", whole) == (False, whole)  # a finding is off, which it said itself
    right, result = ends("raise RuntimeError('CUDA is gone')", {**whole, "finished": False})
    assert not right
    assert result["findings"] == ["one"]
    assert result["errors"] == {"its process": "ended with 1: RuntimeError: CUDA is gone"}
    right, result = ends("import no_such_package", None)  # before it could say anything; and no old file stays
    assert not right
    assert "no_such_package" in result["errors"]["its process"]
    monkeypatch.setattr(gpu, "LIMIT", 1)
    right, result = ends("import subprocess; subprocess.run(['sleep', '60'])", {**whole, "finished": False})
    assert not right
    assert result["errors"] == {"its process": "stopped after 1 s"}


def test_one_broken_part_does_not_keep_the_others_from_running(gpu, monkeypatch, tmp_path: Path) -> None:
    ran = []

    def run(arguments: list[str]) -> tuple[int, float, str]:
        ran.append(arguments)
        return (1, 2.0, "ended with 1: x") if "select" in arguments else (0, 2.0, "ended with 0")

    monkeypatch.setattr(gpu, "_run", run)
    monkeypatch.setattr(sys, "argv", ["gpu.py", "select", "fast_correct", "--size", "small", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match="not right: select"):
        gpu.main()
    assert len(ran) == 2
    assert json.loads((tmp_path / "fast_correct.json").read_text())["failed"] == ""


def test_the_page_says_what_never_saw_a_gpu_and_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from gpu_page import page

    rows = [{"what": "boxes", "worst": 0.5, "bound": 0.1, "unit": "relative", "ok": False}]
    part = {
        "part": "segment", "size": "small", "seconds": 3, "device": "cpu", "device_name": "CPU (x)",
        "date": "2026-01-02", "versions": {"torch": "9"}, "command": "python x", "findings": rows,
        "skipped": {"sam": "x is not installed"}, "errors": {"sam2": "RuntimeError: y"},
    }  # fmt: skip
    text = page({"segment": part})
    assert "has never seen a GPU" in text
    assert "| **wrong** | segment | small | boxes | 0.5 | 0.1 | relative |" in text
    assert "segment, sam: skipped: x is not installed." in text
    assert "segment, sam2: error: RuntimeError: y." in text
    assert "never seen" not in page({"segment": {**part, "device": "cuda", "device_name": "a card"}})
    assert "| fused AdamW | always on | not measured; not on a GPU by itself |" in text

    case = {"name": "fused AdamW, training", "off_ms": 3, "on_ms": 2, "times": 1.5, "off_by": 0}
    cases = [{**case, "off_mib": None, "on_mib": None}, {"name": "compile, SAM", "error": "no compiler"}]
    measured = {**part, "device": "cuda", "failed": "", "figures": {"size": "small", "cases": cases}}
    text = page({"fast_settings": measured})
    assert "| fused AdamW | always on | 1.50 times (fused AdamW, training) |" in text
    assert "| compile, SAM | no compiler |" in text


def test_every_way_that_is_measured_is_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from gpu_page import WAYS

    measured = re.findall(r'Case\("([^"]+)"', (ROOT / "benchmarks/settings.py").read_text())
    assert measured
    assert sorted(name for *_, names in WAYS for name in names) == sorted(measured)


def test_the_doctor_says_that_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    done = CliRunner().invoke(app, ["doctor", "--gpu"])
    assert done.exit_code == 1
    assert "torch sees none" in done.output
