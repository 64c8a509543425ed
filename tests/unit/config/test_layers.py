"""Config files: laid over each other, and never more than they may be."""

from __future__ import annotations

import math
import resource
from pathlib import Path

import pytest
import yaml

from ssc_core.config.layers import (
    MOST_CHARACTERS,
    check_size,
    config_text,
    lay_over,
    plain_values,
    read_config_file,
    read_layers,
)
from ssc_core.errors import SscError
from tests.patience import no_hang


def laughs(pattern: str, top: str, *, levels: int = 9) -> str:
    """Lines that name each other ten times: 10^levels values. pattern: what a line holds, with {} for ten aliases."""
    lines = [f"a0: &a0 {top}"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} " + pattern.format(", ".join([f"*a{level - 1}"] * 10)))
    return "\n".join(lines)


HOSTILE = {
    "aliases_in_lists": (laughs("[{}]", "[x, x, x]"), "too long"),
    "aliases_in_sections": (
        laughs("{{k: [{}], l: {{m: 1}}}}", "{x: 1}"),
        "too long",
    ),
    "merged_aliases": (laughs("{{<<: [{}]}}", "{x: 1, y: 2}"), "too long"),
    "long_text": ("a: &a " + "x" * 3000 + "\nb: [" + "*a, " * 100 + "]", "too long"),
    "itself": ("a: &a [*a]", "too deep"),
    "long_file": ("# " + "x" * MOST_CHARACTERS, "more than 100,000 characters"),
    "deep": ("a: " + "[" * 5000 + "]" * 5000, "too deep"),
    "deep_but_read": ("a: " + "[" * 100 + "]" * 100, "too deep"),
    "int": ("micro:\n  seed: " + "9" * 5000, "line 2"),
    "date": ("a: 1\nb: 2024-13-01", "line 2"),
    "twice": ("select: {seed: 1}\nscore: {}\nselect: {min_area: 2}", "'select' is there twice, in lines 1 and 3"),
    "json_twice": ('{\n"select": {},\n"select": {"seed": 1}}', "in lines 2 and 3"),
    "bytes": (b"\xff\xfe\x00", "not valid YAML"),
    "object": ("a: !!python/object/apply:os.system [echo]", "line 1"),
    "zero_byte": ('a: "x\\0y"', "zero byte"),
    "surrogate": ('a: "x\\ud800y"', "broken character"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused(tmp_path: Path, name: str) -> None:
    text, message = HOSTILE[name]
    file = tmp_path / "mine.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with no_hang(), pytest.raises(SscError, match=message) as error:
        read_layers([file])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB
    assert str(file) in str(error.value)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("value", [2**63, -(2**70), {"seed": 16**5000}])
def test_numbers_beyond_64_bits_are_refused(value: object) -> None:
    with pytest.raises(SscError, match="more than 64 bits"):
        check_size({"a": {"b": value}}, "the config")


def test_the_place_of_a_value_is_told() -> None:
    with pytest.raises(SscError, match=r"the config: a\.b\.1 is a number"):
        check_size({"a": {"b": [0, 2**64]}}, "the config")


def test_folders_and_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SscError, match="cannot be read: Is a directory"):
        read_config_file(tmp_path)
    with pytest.raises(SscError, match="does not exist"):
        read_config_file(tmp_path / "none.yaml")


def test_json_with_tabs_is_read(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{\n\t"select": {"seed": 3}\n}')
    assert read_config_file(tmp_path / "mine.json") == {"select": {"seed": 3}}


def layers(tmp_path: Path, *texts: str, **overrides: object) -> dict:
    files = [tmp_path / f"{index}.yaml" for index in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
    return read_layers(files, overrides)


def test_sections_are_merged_and_all_else_is_replaced(tmp_path: Path) -> None:
    merged = layers(tmp_path, "a: {b: 1, c: [1, 2]}", "a: {c: [3]}\nd: 4", a={"b": 5}, e=6)
    assert merged == {"a": {"b": 5, "c": [3]}, "d": 4, "e": 6}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", None), ("~", None), ("true", True), ("off", False), ("12", 12), ("-0.17", -0.17), (".inf", math.inf),
        ("1e-4", 1e-4), ("6E5", 6e5), ("2.e1", 20.0), (".5e+1", 5.0),
        ("", ""), ("crop", "crop"), ("1e", "1e"), ("e4", "e4"), ("1e4x", "1e4x"), ("2024-01-01", "2024-01-01"),
        ("9" * 5000, "9" * 5000), ("=", "="), ("<<", "<<"),
    ],
)  # fmt: skip
def test_a_text_of_the_command_line_is_what_a_file_would_make_of_it(text: str, value: object) -> None:
    assert plain_values({"a": {"b": [text, {"c": text}]}, "d": 3}) == {"a": {"b": [value, {"c": value}]}, "d": 3}
    assert type(plain_values([text])[0]) is type(value)


def test_numbers_without_a_point_are_numbers_in_files_too(tmp_path: Path) -> None:
    assert layers(tmp_path, "a: 1e-4\nb: '1e-4'\nc: [2E+3, 1e4x]") == {"a": 1e-4, "b": "1e-4", "c": [2000.0, "1e4x"]}


def test_what_is_written_is_read_again_as_it_was(tmp_path: Path) -> None:
    config = {
        "datasets": {"labels": {"splits": ["1e5", "on", "12"], "seen": "123456789012e456"}},
        "correct": {"lr": 1e-5},
    }
    (tmp_path / "c.yaml").write_text(config_text(config))
    assert read_config_file(tmp_path / "c.yaml") == config


def test_places_that_share_an_alias_are_changed_apart(tmp_path: Path) -> None:
    shared = "detect: {backend: &clip {name: x, settings: {model: m}}}\nscore: {backend: *clip}"
    merged = layers(tmp_path, shared, "score: {backend: {settings: {model: n}}}")
    assert merged["detect"]["backend"]["settings"] == {"model": "m"}
    assert merged["score"]["backend"]["settings"] == {"model": "n"}


@pytest.mark.parametrize(
    ("later", "settings"),
    [
        ("{name: mine.py:M, settings: {t: 1}}", {"t": 1}),
        ("{name: mine.py:M}", None),
        ("{name: mine.py:M, settings: {model: m}}", {"model": "m"}),  # the same value, but asked for
        ("{name: first, settings: {t: 1}}", {"model": "m", "u": 2, "t": 1}),
        ("{settings: {t: 1}}", {"model": "m", "u": 2, "t": 1}),
    ],
)
def test_another_backend_starts_from_empty_settings(tmp_path: Path, later: str, settings: dict | None) -> None:
    first = "detect: {nms_iou: 0.4, backend: {name: first, settings: {model: m, u: 2}}}"
    for merged in (
        layers(tmp_path, first, f"detect: {{backend: {later}}}"),
        layers(tmp_path, first, detect={"backend": yaml.safe_load(later)}),
    ):
        assert merged["detect"]["nms_iou"] == 0.4
        assert merged["detect"]["backend"].get("settings") == settings


def test_a_third_file_goes_on_from_the_second(tmp_path: Path) -> None:
    texts = ["b: {name: x, settings: {m: 1}}", "b: {name: y, settings: {n: 2}}", "b: {settings: {o: 3}}"]
    assert layers(tmp_path, *texts)["b"] == {"name": "y", "settings": {"n": 2, "o": 3}}


def test_datasets_and_scorers_may_be_called_as_keys_that_others_depend_on() -> None:
    merged: dict = {}
    for layer in (
        {"datasets": {"a": {"splits": ["x"]}, "settings": {"splits": ["y"]}}},
        {"datasets": {"layout": {"splits": ["z"]}, "name": {"splits": ["z"]}}},
    ):
        lay_over(merged, layer)
    assert list(merged["datasets"]) == ["a", "settings", "layout", "name"]


def test_another_layout_starts_from_an_empty_source(tmp_path: Path) -> None:
    first = "datasets: {a: {source: {layout: micro, name: refcoco, split_by: unc}, splits: [val]}}"
    merged = layers(tmp_path, first, "datasets: {a: {source: {layout: table, file: f, images: i}}}")
    assert merged["datasets"]["a"] == {"source": {"layout": "table", "file": "f", "images": "i"}, "splits": ["val"]}
