from __future__ import annotations

import pytest

from ssc_core.wording import counted


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((0, "row"), "0 rows"), ((1, "row"), "1 row"), ((2, "row"), "2 rows"), ((2, "box", "boxes"), "2 boxes")],
)
def test_a_number_with_its_noun(arguments, words):
    assert counted(*arguments) == words
