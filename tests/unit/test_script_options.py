"""Options of the commands that rules run: from a function's annotations, those of dataclasses included."""

from __future__ import annotations

import runpy
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from ssc_core.config.labelling import CompatSettings
from workflow_scripts import _script, train
from workflow_scripts._script import run

SCRIPTS = sorted(path.stem for path in Path(train.__file__).parent.glob("[!_]*.py"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    refs: Path
    masks: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    device: str
    save_minutes: float = 10.0
    careful: bool = False


def test_a_dataclass_stands_for_its_fields() -> None:
    called = []

    def main(name: str, files: Files, job: Job, shards: list[Path], compat: CompatSettings) -> None:
        called.append((name, files, job, shards, compat))

    compat = CompatSettings(merged_masks=True)
    main.__annotations__.update(files=Files, job=Job)
    line = ["--name=x", "--refs=a b", "--device=cpu", "--careful=True", f"--compat={compat.model_dump_json()}"]
    run(main, [*line, "--shards", "1", "2"])
    run(main, [*line, "--masks=", "--save-minutes=2.5", "--shards", "3"])
    run(main, [*line, "--masks=m.h5", "--shards", "3"])
    assert called == [
        ("x", Files(refs=Path("a b")), Job(device="cpu", careful=True), [Path("1"), Path("2")], compat),
        ("x", Files(refs=Path("a b")), Job(device="cpu", save_minutes=2.5, careful=True), [Path("3")], compat),
        ("x", Files(refs=Path("a b"), masks=Path("m.h5")), Job(device="cpu", careful=True), [Path("3")], compat),
    ]


def test_a_field_without_a_default_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    def main(files: Files) -> None:
        raise AssertionError(files)

    with pytest.raises(SystemExit):
        run(main, ["--masks=m.h5"])
    assert "--refs" in capsys.readouterr().err


def test_gpus_are_leased_for_a_device_in_a_dataclass(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    lease = _script.lease
    monkeypatch.setattr(_script, "lease", lambda device, count: asked.append((device, count)) or lease("cpu", 0))
    monkeypatch.setattr(train, "train", lambda *_, **__: asked.append("train"))
    monkeypatch.setattr(train, "distributed_command", lambda *_, **__: None)
    files = ["--refs=r", "--images=i", "--masks=m.h5", "--checkpoint=c.pt", "--curve=c.csv", "--state=s"]
    settings = '--settings={"network": {"bert": "b"}, "correct": {}}'
    run(
        train.main,
        ["--phase=correct", *files, settings, "--compat={}", "--device=cuda", "--threads=1", "--gpus=2", "--nodes=1"],
    )
    assert asked == [("cuda", 2), "train"]


@pytest.mark.parametrize("given", ["yes", "1", "", "Tru"])
def test_what_is_neither_true_nor_false_is_refused(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    def main(careful: bool = True) -> None:
        raise AssertionError(careful)

    with pytest.raises(SystemExit):
        run(main, [f"--careful={given}"])
    assert "neither True nor False" in capsys.readouterr().err


@pytest.mark.parametrize(("given", "meant"), [("True", True), ("true", True), ("False", False), ("false", False)])
def test_true_and_false_may_be_written_small(given: str, meant: bool) -> None:
    called = []

    def main(careful: bool) -> None:
        called.append(careful)

    run(main, [f"--careful={given}"])
    assert called == [meant]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_that_is_run_as_a_module_does_not_end_as_if_it_had_done_its_work(
    script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [script])
    monkeypatch.delitem(sys.modules, f"workflow_scripts.{script}", raising=False)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"workflow_scripts.{script}", run_name="__main__")
    assert ended.value.code not in (None, 0)
