from __future__ import annotations

from math import exp
from pathlib import Path

import numpy as np
import pytest

from ssc_core.correct.prior import Prior
from ssc_core.errors import SscError
from ssc_core.masks import rle
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.selection import SelectionWriter

PLACES = np.arange(3)


def selected(folder: Path, scores: list[list[float]], *, per: str = "ref") -> Path:
    """selected.h5 of ref 7, which chose the first candidate."""
    code = rle.encode(np.eye(4, dtype=bool)[None])[0]
    with SelectionWriter(folder / "s.h5", StoreInfo(("dog",), {}, "0", {}), choice_per=per) as writer:
        writer.append_ref(
            7, image_id=1, size=(4, 4), chosen=[0] * len(scores), scores=np.array(scores), rles=[code] * len(scores)
        )
    return folder / "s.h5"


def test_a_share_is_the_softmax_of_scores_over_the_temperature(tmp_path: Path) -> None:
    (shares,) = Prior(selected(tmp_path, [[70, 74, 66]]), temperature=4)(7, PLACES)
    total = 1 + exp(1) + exp(-1)
    assert shares.tolist() == pytest.approx([1 / total, exp(1) / total, exp(-1) / total])


def test_candidates_that_are_not_trained_on_have_no_share(tmp_path: Path) -> None:
    (shares,) = Prior(selected(tmp_path, [[70, 900, 70]]), temperature=1)(7, np.array([0, 2]))
    assert shares.tolist() == [0.5, 0.5]


def test_a_sentence_that_was_chosen_for_has_its_own(tmp_path: Path) -> None:
    prior = Prior(selected(tmp_path, [[0, 0, 0], [5000, 0, 0]], per="sentence"), temperature=1)
    assert [shares.tolist() for shares in prior(7, PLACES)] == [[pytest.approx(1 / 3)] * 3, [1, 0, 0]]


def test_one_candidate_has_all_also_where_a_person_drew_it(tmp_path: Path) -> None:
    prior = Prior(selected(tmp_path, [[]]), temperature=1)
    assert [shares.tolist() for shares in prior(7, np.array([0]))] == [[1.0]]


@pytest.mark.parametrize("ref_id", [7, 8])
def test_scores_of_other_candidates(tmp_path: Path, ref_id: int) -> None:
    prior = Prior(selected(tmp_path, [[1, 2]]), temperature=1)
    with pytest.raises(SscError, match=rf"s\.h5 has [02] scores for ref {ref_id}, and it has a candidate number 3"):
        prior(ref_id, PLACES)
