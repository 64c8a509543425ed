"""Foreign masks of several people, who bring them at the same time."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from ssc_core.exchange.annotations import LeftOut
from ssc_core.exchange.foreign import ForeignMask, Photo
from ssc_core.exchange.incoming import add_truth
from ssc_core.masks import rle
from ssc_core.refer.ref import Ref
from ssc_core.refer.truth import TruthStore

SIZE = (4, 6)
CODE = rle.encode(np.ones((1, *SIZE), bool))[0]


def photo(ref_id: int) -> Photo:
    """One with a ref of its own."""
    name = f"{ref_id}.jpg"
    ref = Ref(ref_id, -1, ref_id, name, *SIZE, "train", 1, "dog", (ref_id,), ("the dog",))
    return Photo(ref_id, name, SIZE, (ref,))


def test_ground_truth_of_several_at_once_is_all_kept(tmp_path: Path) -> None:
    def add(ref_id: int) -> None:
        found = {ref_id: [ForeignMask("x", "dog", CODE, (ref_id,))]}
        assert add_truth([photo(ref_id)], found, tmp_path / "truth.h5", LeftOut()) == 1

    threads = [threading.Thread(target=add, args=(ref_id,)) for ref_id in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(TruthStore(tmp_path / "truth.h5").ref_ids) == list(range(8))
    assert [path.name for path in tmp_path.iterdir()] == ["truth.h5"]
