"""What a rule reads, writes and takes as params is what ``ssc_core.config.stages`` says of its stage, no more, no less.

One plan has every stage of the config itself and of variants that change one value each, in the folder of that variant
also where the change does not reach. So a param that the table forgets shows: it differs where variants share a file.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ssc_core.config.labelling import CompatSettings
from ssc_core.config.layers import read_layers
from ssc_core.config.methods import PHASES
from ssc_core.config.settings import Settings, load_settings
from ssc_core.config.stages import STAGES, inputs, stage_named, stage_names, value_of
from ssc_core.config.variants import Variants, label
from ssc_core.layout import template
from ssc_core.provenance import code_version
from ssc_core.studies import named_changes

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = "elsewhere.pt"
WHERE = {"dataset": "refcoco", "split": "val", "shard": 0, "shards": 1}
SCORER = "dense"

CHANGES: dict[str, Any] = {
    "nouns.top_k": 2,
    "nouns.encoder.settings.model": "resources/micro/detector",
    "detect.nms_iou": 0.5,
    "segment.backend.settings.model": "resources/micro/detector",
    "score.blur_sigma": 20,
    f"scorers.{SCORER}.blur_sigma": 20,
    "select.min_area": 60,
    "reviewer.share": 0.1,
    "network.drop_path": 0.1,
    "network.bert": "resources/micro/detector",
    **{f"{phase}.lr": 0.001 for phase in PHASES},
    "evaluate.bootstrap_samples": 10,
    "evaluate.both_ways": True,
    **{f"compat.{switch}": True for switch, field in CompatSettings.model_fields.items() if field.annotation is bool},
    "compat.loader_images": 7,
    "seed": 7,
}
"""A value of every section and switch that a stage reads, and those that a stage reads by themselves."""

VALUES_READ = {key for stage in STAGES.values() for key in stage.values}
"""Of sections that some stages do not read as a whole."""

NAMED_AFTER_FILES = {"state", "files"}
"""Params that hold paths of the job's own outputs, and so the variant's name."""


@dataclass(frozen=True)
class Job:
    """A planned job of a stage."""

    stage: str
    variant: str
    where: dict[str, Any]
    input: set[str]
    output: set[str]
    params: dict[str, str]
    resources: dict[str, Any]
    shell: str

    @property
    def decisive(self) -> tuple[set[str], dict[str, str]]:
        return self.input, {name: value for name, value in self.params.items() if name not in NAMED_AFTER_FILES}


VALUES = ("params", "resources", "shell")
"""Of a job, as they are."""


class Workflow:
    """The rules of a checkout, planned in an empty folder."""

    def __init__(self, checkout: Path, folder: Path, python: Path, environment: dict[str, str]) -> None:
        self.checkout, self.folder = checkout, folder
        self.python, self.environment = python, {**environment, "PYTHONPATH": str(ROOT)}
        (folder / ELSEWHERE).write_text("a network")
        self.config = folder / "mine.yaml"
        score = yaml.safe_load((ROOT / "config.yaml").read_text())["score"]
        changes = {"datasets": {"refcoco": {"checkpoint": ELSEWHERE}}, "scorers": {SCORER: {**score, "blur_sigma": 12}}}
        self.config.write_text(yaml.safe_dump(changes))
        self.settings = load_settings(read_layers([ROOT / "config.yaml", self.config], {}))
        self.stages = {name: stage_named(name) for name in stage_names(self.settings)}
        self.variants = Variants(self.settings)

    def path(self, result: str, variant: str = "", where: dict[str, Any] = WHERE) -> str:
        return template(result, self.settings.results).format(variant=variant, **where)

    def plan(self, stages: Sequence[str], variants: Sequence[str] = ("",)) -> list[Job]:
        """The jobs of stages, and of all before them."""
        targets = [self.path(next(iter(self.stages[name].writes)), variant) for name in stages for variant in variants]
        command = [
            self.python,
            "-m",
            "tests.workflow.planned_jobs",
            str(self.checkout / "Snakefile"),
            str(self.config),
            *targets,
        ]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-6000:]
        return list(self._jobs(json.loads(done.stdout)))

    def _jobs(self, planned: list[dict[str, Any]]) -> Iterator[Job]:
        for job in planned:
            if job["rule"] == "make_world":
                continue
            variant = job["wildcards"]["variant"]
            where = {**WHERE, "split": "train", **job["wildcards"]}
            del where["variant"]
            stage = next(
                name
                for name, stage in self.stages.items()
                if {self.path(result, variant, where) for result in stage.writes} & set(job["output"])
            )
            yield Job(stage, variant, where, set(job["input"]), set(job["output"]), *map(job.get, VALUES))

    def mistakes(self, job: Job) -> list[str]:
        """What the rule of a job does and its stage does not say, or the reverse."""
        stage, settings = self.stages[job.stage], self.variants.settings_of(job.variant)
        params = job.params
        code = params.get("code", "")
        checks = {
            "input": (job.input, self._inputs(job)),
            "output": (job.output, {self.path(result, job.variant, job.where) for result in stage.writes}),
            "code": (code, f"{code.partition(':')[0]}: {code_version(stage.module)}"),
            "settings": (json.loads(params.get("settings", "{}")), _settings(settings, stage.sections)),
            "compat": (
                json.loads(params.get("compat", "{}")),
                {name: settings.values("compat")[name] for name in stage.compat},
            ),
            "models": (bool(params.get("models")), bool(stage.models)),
            "plugins": ("plugins" in params, bool(stage.plugins)),
            "templates of pages": ("look" in params, _writes_pages(stage.module)),
            "models of the config": (
                [name for name in _models(settings, stage.models) if name not in params.get("models", "")],
                [],
            ),
            "a GPU": (bool(job.resources["gpu"]), job.resources["device"] not in (None, "cpu")),
            "single values": (
                {name: params.get(name) for name in _names(stage.values)},
                {name: str(value_of(settings, key)) for name, key in _names(stage.values).items()},
            ),
            "params that reach the function": (
                {name for name in ("settings", "compat", *_names(VALUES_READ)) if f"{{params.{name}:q}}" in job.shell},
                {name for name, has in (("settings", stage.sections), ("compat", stage.compat)) if has}
                | set(_names(stage.values)),
            ),
        }
        return [
            f"{job.stage}: {what} is {is_}, its stage says {says}"
            for what, (is_, says) in checks.items()
            if is_ != says
        ]

    def _inputs(self, job: Job) -> set[str]:
        results = inputs(self.variants.settings_of(job.variant), job.stage)
        return {self._found(result, job) for result in results} | self._besides(job)

    def _found(self, result: str, job: Job, changes: dict[str, Any] | None = None) -> str:
        return self.path(result, self.variants.folder(result, job.variant, changes), job.where)

    def _besides(self, job: Job) -> set[str]:
        """Inputs that are no result of a stage, or one of another variant."""
        if job.stage == "index_refs":
            return {f"{self.settings.results}/refcoco/world/world.json"}
        if job.stage == "evaluate_published":
            return {ELSEWHERE}
        if job.stage == "evaluate_masks":
            return {self._found("selected", job, {"select.assignment": "joint"})}
        if job.stage == "evaluate_selections":
            study = named_changes(self.settings.studies["select"])
            return {self._found("selected", job, changes) for changes in study.values()}
        return set()


def _names(values: Iterable[str]) -> dict[str, str]:
    """Keys of single values by the names that they have as params."""
    return {key.rpartition(".")[2]: key for key in values}


def _settings(settings: Settings, sections: Sequence[str]) -> dict[str, Any]:
    """As the param has them: of a single section, its keys alone."""
    values = {section: settings.values(section) for section in sections}
    return values[sections[0]] if len(values) == 1 else values


def _writes_pages(module: str) -> bool:
    """Whether a module fills templates, which are no part of its code's digest."""
    return "from ssc_core.report.pages import" in (ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")


def _models(settings: Settings, places: Sequence[str]) -> Iterator[str]:
    """What the param says of models: ``backend NAME`` or ``weights PATH``."""
    for place in places:
        section, _, key = place.rpartition(".")
        model = settings.values(section)[key]
        if isinstance(model, str):
            if (ROOT / model).exists():  # else the name of an installed package
                yield f"weights {model}"
        elif place == "network.settings":
            yield from (f"weights {value}" for value in model.values() if isinstance(value, str))
        elif model is not None:
            yield f"backend {model['name']}"


@pytest.fixture(scope="module")
def workflow(tmp_path_factory: pytest.TempPathFactory, warm: Path, warm_environment: dict[str, str]) -> Workflow:
    return Workflow(ROOT, tmp_path_factory.mktemp("plan"), warm, warm_environment)


@pytest.fixture(scope="module")
def jobs(workflow: Workflow) -> dict[tuple[str, str, str], Job]:
    variants = ["", *(label({name: value}) for name, value in CHANGES.items())]
    planned = workflow.plan(list(workflow.stages), variants)
    return {(job.stage, job.variant, job.where["split"]): job for job in planned}


def test_every_section_and_switch_that_a_stage_reads_is_changed(workflow: Workflow) -> None:
    stages = workflow.stages.values()
    read = {section for stage in stages for section in stage.sections}
    read |= {f"compat.{switch}" for stage in stages for switch in stage.compat} | VALUES_READ
    assert [
        name for name in read if not any(change == name or change.startswith(f"{name}.") for change in CHANGES)
    ] == []
    assert [
        one for one in CHANGES if one != "seed" and not any(one == n or one.startswith(f"{n}.") for n in read)
    ] == []


def test_every_stage_has_a_rule(workflow: Workflow, jobs: dict[tuple[str, str, str], Job]) -> None:
    assert {stage for stage, _, _ in jobs} == set(workflow.stages)


def test_rules_are_as_their_stages_say(workflow: Workflow, jobs: dict[tuple[str, str, str], Job]) -> None:
    assert sorted({line for job in jobs.values() for line in workflow.mistakes(job)}) == []


@pytest.mark.parametrize("changed", CHANGES)
def test_a_change_reaches_a_rule_just_where_its_stage_says(
    workflow: Workflow, jobs: dict[tuple[str, str, str], Job], changed: str
) -> None:
    variant = label({changed: CHANGES[changed]})
    for name, stage in workflow.stages.items():
        folders = {workflow.variants.folder(result, variant) for result in stage.writes}
        split = "val" if any("{split}" in path for path in stage.writes.values()) else "train"
        job, base = jobs[name, variant, split], jobs[name, "", split]
        if folders == {""}:
            assert job.decisive == base.decisive, f"variants share what {name} writes, though {changed} reaches it"
        elif "" not in folders:
            assert job.decisive != base.decisive, f"{changed} does not reach {name}, though its stage says so"


SELECT, SEGMENT = "rules/select.smk", "rules/segment.smk"
LEFT_OUT = [
    ("select_masks", SELECT, '**reads("select_masks"),', 'code=code("ssc_core.select.stage:select_masks"),'),
    ("select_masks", SELECT, 'params.compat"\n            " reviews', '"\n            " reviews'),
    ("score_candidates", SELECT, 'masks=found("masks_shard"),', ""),
    ("extract_nouns", SEGMENT, 'device="cpu",', "device=SETTINGS.compute.device,"),
    ("segment_boxes", SEGMENT, "boxes=boxes_if_any,", 'boxes=boxes_if_any, more=found("boxes"),'),
    ("select_masks", SELECT, "scores=scores_of_all,", 'scores=found("scores@dense"),'),
    ("score_candidates@dense", SELECT, '**reads("score_candidates@{scorer}"),', '**reads("score_candidates"),'),
    ("label_pages", SELECT, "look=page_look(),", ""),
    ("detect_boxes", "rules/params.smk", 'params["models"] = models_of(name)', "pass"),
    ("score_candidates", "rules/params.smk", 'params["plugins"] = plugins_of(name)', "pass"),
    ("correct", "rules/correct.smk", '**reads("{phase}"),', '**reads("pretrain"),'),
    ("choose_corrected", "rules/correct.smk", '" params.both_ways resources', '" resources'),
    ("evaluate_grounded_sentence", "rules/baseline.smk", "eval_grounded_sentence_{split}.parquet", "{split}.parquet"),
]  # fmt: skip
"""Stage, file, and an edit by which its rule is no longer as the stage says."""


@pytest.mark.parametrize(("stage", "name", "old", "new"), LEFT_OUT)
def test_what_is_left_out_is_found(
    clone: Callable[[Path], Path],
    warm: Path,
    warm_environment: dict[str, str],
    tmp_path: Path,
    stage: str,
    name: str,
    old: str,
    new: str,
) -> None:
    checkout, folder = clone(tmp_path / "checkout"), tmp_path / "run"
    folder.mkdir()
    text = (checkout / name).read_text()
    assert old in text, f"{name} does not hold {old!r} any more: update this test"
    (checkout / name).write_text(text.replace(old, new))
    edited = Workflow(checkout, folder, warm, warm_environment)
    assert [line for job in edited.plan([stage]) if job.stage == stage for line in edited.mistakes(job)]
