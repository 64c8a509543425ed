from __future__ import annotations

import sys

import numpy as np
import pytest

from ssc_core.errors import SscError
from ssc_core.predict.web_page import HEADERS, SIDE, build_page, look
from ssc_core.predict.zero_shot import ZeroShot
from tests.unit.predict.test_zero_shot import photo, toy_settings

__all__ = ["photo"]  # the fixture


def test_candidates_scores_and_choice(photo: np.ndarray) -> None:
    view = look(photo, "dark apple", None, ZeroShot(toy_settings()))
    assert max(view.mask.shape[:2]) == max(view.candidates.shape[:2]) == SIDE
    assert all(len(row) == len(HEADERS) for row in view.rows)
    assert [row[-1] for row in view.rows] == ["yes", ""]
    assert view.rows[0][1] > view.rows[1][1]
    assert "“apple”: 2 candidates" in view.message


def test_the_networks_mask_is_what_is_shown(photo: np.ndarray) -> None:
    def network(images, sentences):
        assert sentences == [["the cup"]]
        return [np.ones((1, 24, 24), bool)]

    view = look(photo, "the cup", network, None)
    assert view.candidates is None
    assert "100.0 %" in view.message


def test_nothing_found_is_said(photo: np.ndarray) -> None:
    view = look(photo, "zebra", None, ZeroShot(toy_settings()))
    assert (view.rows, "The mask is empty" in view.message) == ([], True)


def test_without_gradio_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(SscError, match=r"ssc\[serve\]"):
        build_page(None, None)
