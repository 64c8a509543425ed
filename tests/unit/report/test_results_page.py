from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ssc_core.report.results_page import claims, results_page


def row(method: str, oiou: float, **changes: Any) -> dict[str, Any]:
    figures = {"oIoU": oiou, "oIoU_sd": 1.0, "mIoU": oiou, "mIoU_sd": 1.0, "P@0.5": oiou, "P@0.5_sd": 1.0}
    about = {"dataset": "refcoco", "world": "micro", "split": "val", "method": method, "seeds": 3}
    about |= {"variant": "", "gain": 0.0, "each_seed": [oiou - 0.5, oiou, oiou + 0.5]}
    return {**about, "oIoU_low": oiou - 3, "oIoU_high": oiou + 3, **figures, **changes}


PROMISED = [
    row("random", 20.0),
    row("selected", 34.4, seeds=0, oIoU_sd=float("nan")),
    row("pretrained", 37.0),
    row("pretrained_choice", 36.0),
    row("continued", 38.0),
    row("without_constraints", 41.0),
    row("corrected", 57.2),
    row("corrected_choice", 66.0),
    row("supervised", 72.7),
    row("best", 85.0),
]


def test_the_promised_order_holds() -> None:
    found = list(claims({r["method"]: r for r in PROMISED}))
    assert len(found) == 12
    assert all(holds for _, _, holds in found)


@pytest.mark.parametrize(
    ("method", "oiou", "broken"),
    [
        ("pretrained", 50.0, ["above the network pre-trained", "keeps their mistakes"]),
        ("pretrained", 29.0, ["keeps their mistakes"]),
        ("continued", 49.3, ["for as long"]),
        ("without_constraints", 58.0, ["constraints"]),
        ("selected", 50.0, ["above the picks", "keeps their mistakes", "pretrained_choice 36.0, selected 50.0"]),
        ("selected", 59.0, ["corrected 57.2, selected", "corrected_choice 66.0", "mistakes", "choice 36", "apart"]),
        ("pretrained_choice", 29.3, ["pretrained_choice 29.3"]),
        ("corrected_choice", 42.0, ["corrected_choice 42.0"]),
        ("best", 79.9, ["best candidate"]),
        ("supervised", 57.0, ["Ground truth"]),
        ("random", 35.0, ["chance"]),
    ],
)
def test_what_does_not_hold_is_told(method: str, oiou: float, broken: list[str]) -> None:
    rows = {r["method"]: r for r in PROMISED} | {method: row(method, oiou)}
    found = [f"{text}: {measured}" for text, measured, holds in claims(rows) if not holds]
    assert len(found) == len(broken)
    assert all(any(claim in text for text in found) for claim in broken)


def test_claims_about_what_was_not_measured_are_left_out() -> None:
    assert [text for text, _, _ in claims({"corrected": row("corrected", 50.0, each_seed=[50.0])})] == []


def test_seeds_that_differ_are_told() -> None:
    (claim,) = claims({"corrected": row("corrected", 51.8, each_seed=[49.0, 57.8, 48.6])})
    assert claim == ("Seeds of Correct agree within 2 points", "9.2 (49.0, 57.8, 48.6)", False)


def test_without_intervals_nothing_is_said_of_them() -> None:
    nan = float("nan")
    page = results_page(
        pd.DataFrame([one | {"oIoU_low": nan, "oIoU_high": nan} for one in PROMISED]),
        {},
        beyond=pd.DataFrame(
            [beyond(name, "selected", 40.0, oIoU_low=nan, oIoU_high=nan, seed=nan) for name in ("config", "a = 1")]
        ),
    )
    assert "nan" not in page and "intervals apart" not in page
    assert "one value changed at a time." in page, "a study without seeds names none"


def test_page() -> None:
    page = results_page(pd.DataFrame(PROMISED), {"repaired": Path("images/repaired.png")}, ["a note"])
    lines = page.splitlines()
    assert "World: **micro**" in page
    assert "a note" in lines
    assert "| Corrected (constrained greedy matching) | **57.2** ± 1.0 (54.2 to 60.2) |" in page
    assert "| Select (zero-shot) | **34.4** (31.4 to 37.4) | 34.4 ± 1.0 | 34.4 ± 1.0 | – | 34.39* |" in lines
    assert "57.2 ± 1.0 | 57.2 ± 1.0 | 56.7, 57.2, 57.7 |" in page
    assert "published oIoU, real photos (another world)" in page
    assert "![repaired](images/repaired.png)" in lines
    table = [line for line in lines if line.startswith("|")]
    assert {line.count("|") for line in table} == {5, 7}
    assert page.count("| yes |") == 12


def test_a_variant_has_a_table_and_claims_of_its_own() -> None:
    varied = [
        row("selected", 30.0, gain=-4.4),
        row("corrected", 29.0),
        row("best", 85.0, gain=float("nan")),
    ]
    page = results_page(pd.DataFrame(PROMISED + [one | {"variant": "score.prompt=crop"} for one in varied]), {})
    own, changed = page.split("### refcoco val, `score.prompt=crop`\n")
    lines = changed.splitlines()
    assert (
        "| Select (zero-shot) | **30.0** ± 1.0 (27.0 to 33.0) | -4.4 | 30.0 ± 1.0 | 30.0 ± 1.0 | 29.5, 30.0, 30.5 |"
        in lines
    )
    assert (
        "| Best candidate (oracle) | **85.0** ± 1.0 (82.0 to 88.0) |  | 85.0 ± 1.0 | 85.0 ± 1.0 | 84.5, 85.0, 85.5 |"
        in lines
    )
    assert "published" not in changed
    head, table = own.split("### refcoco val\n")
    assert head.count("| refcoco val | ") == 12 and "**57.2**" in table and "**29.0**" not in table
    told = [line for line in head.splitlines() if line.startswith("| refcoco val, `score.prompt=crop` | ")]
    assert [line.rsplit("|", 2)[1] for line in told] == [" **no** ", " **no** ", " yes ", " yes "]
    assert "-1.0 (corrected 29.0, selected 30.0)" in told[0]


def test_a_presets_page_says_so() -> None:
    assert results_page(pd.DataFrame(PROMISED), {}).startswith("# Results\n")
    page = results_page(pd.DataFrame(PROMISED), {}, note="With `presets/best.yaml`.")
    assert "from the eval files; nothing here was typed. With `presets/best.yaml`." in page


def test_the_editions_of_the_micro_world_are_named() -> None:
    assert "World: **micro**, [editions 5 and 6](" in results_page(pd.DataFrame(PROMISED), {}, editions=[5, 6])
    page = results_page(pd.DataFrame(PROMISED), {}, editions=[6])
    assert "World: **micro**, [edition 6](micro-world.md#editions). These are generated scenes." in page
    assert "(micro-world.md#what-it-shows)" in page
    assert "what-it-shows" not in results_page(pd.DataFrame(PROMISED), {}), "of the user's own photos it knows nothing"


def beyond(variant: str, method: str, oiou: float, **changes: Any) -> dict[str, Any]:
    about = {"variant": variant, "seed": 0, "dataset": "refcoco", "split": "val", "method": method}
    measured = {"per": "sentence", "resolution": "480", "oIoU": oiou, "oIoU_low": oiou - 2, "oIoU_high": oiou + 2}
    return {**about, **measured, "mIoU": oiou + 1, **changes}


def test_what_goes_beyond_the_paper_is_compared_with_the_config() -> None:
    table = pd.DataFrame(
        [
            beyond("config", "selected", 99.0, per="ref"),
            beyond("config", "selected", 40.0),
            beyond("config", "corrected", 50.0),
            beyond("select.assignment = joint", "selected", 43.0),
            beyond("correct.ema_decay = 0.99", "selected", 40.0),
            beyond("correct.ema_decay = 0.99", "corrected", 49.5),
            # a choice per sentence has no figures once per ref
            beyond("select.per = sentence", "selected", 77.0, resolution="native"),
            beyond("select.per = sentence", "selected", 41.0),
            beyond("config", "corrected", 90.0, split="testA"),
            beyond("correct.ema_decay = 0.99", "corrected", 10.0, dataset="refcoco+"),
        ]
    )
    lines = results_page(pd.DataFrame(PROMISED), {}, beyond=table).splitlines()
    assert "| as configured | Corrected (constrained greedy matching) | 50.0 (48.0 to 52.0) |  | 51.0 |  |" in lines
    assert "| `select.assignment = joint` | Select (zero-shot) | 43.0 (41.0 to 45.0) | +3.0 | 44.0 | +3.0 |" in lines
    assert "| `select.per = sentence` | Select (zero-shot) | 41.0 (39.0 to 43.0) | +1.0 | 42.0 | +1.0 |" in lines
    (changed,) = [line for line in lines if "ema_decay" in line]
    assert changed.split("|")[3:7] == [" 49.5 (47.5 to 51.5) ", " -0.5 ", " 50.5 ", " -0.5 "]


def test_what_is_measured_in_photo_pixels_goes_beyond_the_paper_too() -> None:
    """evaluate.resolution: native."""
    measured = [("config", "corrected", 50.0), ("correct.lr = 1", "corrected", 51.5), ("config", "selected", 40.0)]
    table = pd.DataFrame([beyond(*one, resolution="native") for one in measured])
    lines = results_page(pd.DataFrame(PROMISED), {}, beyond=table).splitlines()
    (changed,) = [line for line in lines if "correct.lr" in line]
    assert changed.split("|")[3:5] == [" 51.5 (49.5 to 53.5) ", " +1.5 "]
