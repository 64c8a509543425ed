from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import BaseModel

from ssc_core.cli.config_files import read_config
from ssc_core.config.base import Section
from ssc_core.config.compute import ComputeSettings
from ssc_core.config.layers import plain_values, read_layers
from ssc_core.config.settings import Settings, load_settings, schema_text
from ssc_core.config.training import MICRO_SWIN
from ssc_core.errors import SscError


@pytest.fixture
def config(root: Path) -> dict:
    return yaml.safe_load((root / "config.yaml").read_text())


def test_the_default_config_is_valid(config: dict) -> None:
    assert load_settings(config).datasets["refcoco"].splits == ("train", "val", "testA", "testB")


def test_presets_are_valid_on_top_of_the_default(root: Path) -> None:
    presets = sorted((root / "presets").glob("*.yaml"))
    assert presets
    for preset in presets:
        load_settings(read_layers([root / "config.yaml", preset]))


def test_the_written_schema_is_the_classes_schema(root: Path) -> None:
    written = (root / "schemas" / "config.schema.json").read_text()
    assert written == schema_text(), "run `make schema`"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"selekt": {}}, "selekt"),
        ({"select": {"min_area": -1}}, "select.min_area"),
        ({"score": {"prompt": "blur"}}, "score.prompt"),
        (
            {"datasets": {"a/b": {"source": {"layout": "table", "file": "x.csv", "images": "."}, "splits": ["train"]}}},
            "a/b",
        ),
        ({"datasets": {"mine": {"source": {"layout": "table"}, "splits": ["train"]}}}, "needs file, images"),
        ({"supervised": {"epochs": 0}}, "supervised.epochs"),
    ],
)
def test_a_mistake_is_named(config: dict, change: dict, message: str) -> None:
    with pytest.raises(SscError, match=re.escape(message)):
        load_settings(
            {**config, **{k: {**config.get(k, {}), **v} if k != "datasets" else v for k, v in change.items()}}
        )


def test_phases_to_compare_with_start_from_the_main_ones(config: dict) -> None:
    config["pretrain"] |= {"epochs": 3, "lr": 0.5}
    config["correct"] |= {"epochs": 4, "lr": 0.25}
    del config["supervised"]
    config["continue_pretrain"] = {"lr": 0.125}
    settings = load_settings(config)
    found = [settings.training(name) for name in ("supervised", "correct_without_constraints", "continue_pretrain")]
    assert [phase.epochs for phase in found] == [7, 4, 4]
    assert [phase.lr for phase in found] == [0.5, 0.25, 0.125]
    assert [phase.loss for phase in found] == ["supervised", "greedy_no_constraints", "random_ce"]


@pytest.mark.parametrize(
    ("section", "values", "line"),
    [
        ("selekt", {}, "selekt: unknown key; did you mean 'select'? (got {})"),
        ("select", {"min_aera": 1}, "select.min_aera: unknown key; did you mean 'min_area'? (got 1)"),
        ("select", 5, "select: should be a section of keys with values (got 5)"),
        ("select", {"seed": 2**32}, "select.seed: Input should be less than 4294967296 (got 4294967296)"),
        ("select", {"min_area": True},
         "select.min_area: takes numbers: true and false (on, off, yes, no) are no numbers (got True)"),
        ("select", {"weights": {"default": False}},
         "select.weights: takes numbers: true and false (on, off, yes, no) are no numbers (got {'default': False})"),
        ("detect", {"nms_iou": False},
         "detect.nms_iou: takes numbers, or null for none: true and false (on, off, yes, no) are no numbers "
         "(got False)"),
        ("micro", {"image_sizes": [[True, 160]]},
         "micro.image_sizes: takes numbers: true and false (on, off, yes, no) are no numbers (got [[True, 160]])"),
        ("compute", {"save_minutes": float("inf")}, "compute.save_minutes: Input should be a finite number (got inf)"),
        ("score", {"prompt": "blur"}, r"score.prompt: unknown visual prompt 'blur'. Use one of crop, .* (got 'blur')"),
        ("score", {"prompt": ["crop", "blur"]}, r"score.prompt.1: unknown visual prompt .* (got 'blur')"),
        ("network", {"swin": "mikro"}, r"network.swin: Input should be 'tiny', .* or 'large' (got 'mikro')"),
        ("network", {"swin": {"embed_dim": 8, "depths": [1, 1, 1, 1], "haeds": [1] * 4, "heads": [1] * 4}},
         "network.swin.haeds: unknown key; did you mean 'heads'? (got [1, 1, 1, 1])"),
        ("supervised", {"epohcs": 3}, "supervised.epohcs: unknown key; did you mean 'epochs'? (got 3)"),
        ("studies", {"mine": {"datasets": {"refcoco": ["val"]}, "sedes": [1]}},
         "studies.mine.sedes: unknown key; did you mean 'seeds'? (got [1])"),
        ("datasets", {"x": {"source": {"layout": "micro", "name": "refcoco", "split_by": "umd"}, "splits": ["val"]}},
         r"datasets.x.source: refcoco of the micro world has splits by unc, not umd (got .*)"),
        ("detect", {"backend": {"name": "x:Y", "settings": {"when": {1, 2}}}},
         "detect.backend.settings.when: input was not a valid JSON value (got {1, 2})"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(config: dict, section: str, values: object, line: str) -> None:
    old = config.get(section, {})
    config[section] = {**old, **values} if isinstance(values, dict) else values
    with pytest.raises(SscError) as error:
        load_settings(config)
    told = str(error.value).splitlines()[1:]
    assert len(told) == 1, told
    assert re.fullmatch(re.escape(line).replace(r"\.\*", ".*"), told[0].strip()), told


@pytest.mark.parametrize("name", ["../../x", "", "a/b", "a.b", "-x", "x" * 101, "a\n", "a b", ".."])
@pytest.mark.parametrize(
    "place",
    ["datasets", "datasets.refcoco.splits", "studies", "studies.report.datasets", "studies.report.datasets.refcoco"],
)  # fmt: skip
def test_names_that_become_folders_are_checked(config: dict, place: str, name: str) -> None:
    *sections, last = place.split(".")
    section = config
    for step in sections:
        section = section[step]
    kept = next(iter(section[last].values())) if isinstance(section[last], dict) else None
    section[last] = [name] if kept is None else {name: kept}
    with pytest.raises(SscError, match=re.escape(place)):
        load_settings(config)


def test_a_null_drops_a_dataset(config: dict) -> None:
    config["datasets"] |= {"refcoco+": None, "refcocog_google": None}
    assert list(load_settings(config).datasets) == ["refcoco", "refcocog_umd"]


def test_aliases_and_long_values_do_not_fill_the_message(config: dict) -> None:
    value: list = ["x"] * 10
    for _ in range(3):
        value = [value] * 10
    with pytest.raises(SscError) as error:
        load_settings({**config, "selekt": value, "score": {**config["score"], "prompt": "y" * 10_000}})
    assert len(str(error.value)) < 2000
    for _ in range(6):
        value = [value] * 10
    with pytest.raises(SscError, match="too long"):
        load_settings({**config, "selekt": value})
    config["detect"]["backend"]["settings"]["a"] = value
    with pytest.raises(SscError, match="too long"):
        load_settings(config)


def test_a_mistake_of_a_main_phase_is_named_once(config: dict) -> None:
    config["correct"]["epochs"] = "many"
    with pytest.raises(SscError) as error:
        load_settings(config)
    assert [line.split(":")[0].strip() for line in str(error.value).splitlines()[1:]] == ["correct.epochs"]


def by_command_line(root: Path, **texts: object) -> Settings:
    return load_settings(read_layers([root / "config.yaml"], plain_values(texts)), texts)


def test_texts_of_the_command_line_become_values_where_those_are_right(root: Path) -> None:
    settings = by_command_line(
        root,
        detect={"backend": {"settings": {"box_threshold": "0.5", "fast": "false", "text_threshold": "null"}}},
        evaluate={"resolution": "480", "bootstrap_samples": "10"},
        datasets={"refcoco": {"splits": ["train", "1", "no"], "limit": "2"}, "refcoco+": "null"},
        select={"weights": {"default": "1e-1"}},
    )
    backend = settings.detect.backend
    assert backend is not None
    assert backend.settings["box_threshold"] == 0.5
    assert backend.settings["fast"] is False
    assert "text_threshold" not in backend.settings
    assert (settings.evaluate.resolution, settings.evaluate.bootstrap_samples) == ("480", 10)
    assert (settings.datasets["refcoco"].splits, settings.datasets["refcoco"].limit) == (("train", "1", "no"), 2)
    assert "refcoco+" not in settings.datasets
    assert settings.select.weights == {"default": 0.1}


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ({"correct": {"epochs": "many"}, "evaluate": {"resolution": "480"}}, "correct.epochs: .*got 'many'"),
        ({"correct": {"epochs": "true"}}, "correct.epochs: .*got 'true'"),
        ({"correct": {"epochz": "3"}}, "correct.epochz: unknown key; did you mean 'epochs'"),
        ({"results": "null"}, "results: .*got None"),
    ],
)
def test_mistakes_of_the_command_line_are_named(root: Path, texts: dict, said: str) -> None:
    with pytest.raises(SscError, match=said) as error:
        by_command_line(root, **texts)
    assert "resolution" not in str(error.value)


def test_null_takes_back_a_key_of_another_backend(config: dict) -> None:
    config["detect"]["backend"] = {"name": "mine.py:Mine", "settings": {"model": None, "threshold": 1}}
    assert load_settings(config).detect.backend.settings == {"threshold": 1}


def test_null_drops_studies_and_what_is_in_them(config: dict) -> None:
    config["studies"] = {
        "report": None,
        "mine": {
            "datasets": {"refcoco": ["val"], "refcoco+": None},
            "variants": {"a": None, "b": {"select.choice": "first"}},
        },
    }
    (study,) = load_settings(config).studies.values()
    assert list(study.datasets) == ["refcoco"]
    assert list(study.variants) == ["b"]


def test_a_variant_cannot_have_the_name_of_a_line_of_the_table(config: dict) -> None:
    config["studies"]["select"]["variants"] = {"best": {}}
    with pytest.raises(SscError, match="'best' is a line of the table already"):
        load_settings(config)


def _sections(model: type[BaseModel]) -> set[type[BaseModel]]:
    found = {model}
    for field in model.model_fields.values():
        for kind in (field.annotation, *get_args(field.annotation)):
            for inner in (kind, *get_args(kind)):
                if isinstance(inner, type) and issubclass(inner, BaseModel) and inner not in found:
                    found |= _sections(inner)
    return found


def test_every_setting_is_described_and_read(root: Path) -> None:
    code = "\n".join(
        path.read_text()
        for folder in ("ssc_core", "microworld", "rules", "workflow_scripts")
        for path in (root / folder).rglob("*")
        if path.suffix in (".py", ".smk") and (path.parent.name != "config" or path.name == "methods.py")
    )
    config = "\n".join(path.read_text() for path in (root / "ssc_core" / "config").glob("*.py"))
    code += "\n".join(line for line in config.splitlines() if re.search(r"\w\.\w", line))  # not where it is declared
    for section in _sections(Settings):
        for name, field in section.model_fields.items():
            assert field.description, f"{section.__name__}.{name} has no description"
            read = re.search(rf"\.{name}\b|\[[\"']{name}[\"']\]|[\"']{name}[\"']", code)
            assert read or name == "layout", f"nothing reads {section.__name__}.{name}"


def test_compute_settings_never_reach_params(root: Path) -> None:
    """How wide a job runs must not rerun a rule; only the number of shards, which changes file names, may."""
    for path in (root / "rules").glob("*.smk"):
        for block in re.findall(r"\n    params:\n((?:        .*\n|\n)+)", path.read_text()):
            for name in set(ComputeSettings.model_fields) - {"shards"}:
                assert f"compute.{name}" not in block, f"{path.name}: {name} is in params"


def test_sections_are_frozen(config: dict) -> None:
    settings = load_settings(config)
    assert isinstance(settings.select, Section)
    with pytest.raises(ValueError, match="frozen"):
        settings.select.min_area = 1  # type: ignore[misc]


def test_micro_is_the_size_of_the_demos_swin(config: dict) -> None:
    config["network"] = {**config["network"], "swin": "micro"}
    assert load_settings(config).network.swin == MICRO_SWIN == read_config().network.swin
