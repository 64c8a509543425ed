"""The order in which refs are looked at: each sign by hand, several together, and one order for all who ask."""

from __future__ import annotations

import csv
import re
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ssc_core.cli.review import _check_order
from ssc_core.errors import SscError
from ssc_core.masks import rle
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.selection import ScoreStore, ScoreStoreWriter, SelectionStore, SelectionWriter
from ssc_core.masks.store import MaskStoreWriter
from ssc_core.refer.ref_table import open_photos
from ssc_core.refer.refs_digest import TableRefs
from ssc_core.report.checklist import overlay_of, write_checklist
from ssc_core.report.doubt import CHECKED, DOUBTFUL, REASONS, bit, in_order, judge, places, signs_of
from ssc_core.report.label_rows import Labels, asked_rows
from ssc_core.report.labels_page import Pages
from ssc_core.report.run import chosen_by, open_run, predicted_in
from ssc_core.review.queue import Queue
from ssc_core.tables import write_frame
from tests.unit.review.conftest import place, run_of
from tests.unit.select.conftest import HEIGHT, WIDTH
from tests.unit.select.test_stage import AREAS

__all__ = ["place"]

SIZE = (HEIGHT, WIDTH)


@pytest.fixture
def run(place):
    with run_of(place) as run:
        yield run


def write_scores(path, scores: dict[int, list[list[float]]], name: str = "dense") -> ScoreStore:
    with ScoreStoreWriter(path, StoreInfo((), {"scorer": name}, "test", {})) as writer:
        for ref, values in scores.items():
            array = np.array(values, dtype=np.float32).reshape(len(values), len(AREAS[ref]))
            writer.append_ref(ref, array, AREAS[ref])
    return ScoreStore(path)


def of_refs(place, *ids: int) -> StoreInfo:
    """What `choose_candidates` writes of the refs that a network chose for."""
    return StoreInfo((), {}, "", {}, TableRefs(place.refs, "val").digest(np.array(ids)))


def known(run, name: str) -> dict[int, float]:
    """A sign by ref, where it knows anything; each ref has one choice."""
    numbers = Labels(run).numbers
    amounts = zip(numbers["ref_id"].tolist(), signs_of(numbers)[name].tolist(), strict=True)
    return {ref: amount for ref, amount in amounts if not np.isnan(amount)}


def why(run) -> dict[int, list[str]]:
    return {row.ref.ref_id: row.why for row in Labels(run).rows()}


def test_margin_and_sentences_are_read_off_the_scores(run):
    assert known(run, "margin") == {1: -2, 2: -1}
    assert why(run)[2] == ["two candidates score alike (1.00)"]
    assert known(run, "sentences") == {1: 0.5, 5: 0}
    assert why(run)[1] == ["1 of its 2 sentences would take another"]
    assert known(run, "scorers") == known(run, "network") == {}


def test_scorers_that_would_take_another_count_with_a_weight_or_not(run, place, tmp_path):
    own = ScoreStore(place.folder / "scores.h5")
    other = write_scores(tmp_path / "scores_dense.h5", {1: [[1, 2, 0], [0, 9, 0]], 2: [[9, 1, 1]], 5: [[9, 1], [9, 1]]})
    both = replace(run, scorers=[own, other])
    # of ref 5 the better candidate is too small to be chosen, by whichever scorer
    assert known(both, "scorers") == {1: 0.5, 2: 0, 5: 0}
    assert why(both)[1][-1] == "1 of 2 scorers would take another"


def test_a_network_that_means_something_else(run, tmp_path):
    first, second = run.candidates(1)[:2]
    with SelectionWriter(tmp_path / "chosen.h5", StoreInfo((), {}, "", {}), choice_per="sentence") as writer:
        for ref, masks in ((1, [first, second]), (2, [first])):
            codes, scores = rle.encode(np.stack(masks)), np.zeros((len(masks), 3))
            writer.append_ref(ref, image_id=1, size=SIZE, chosen=[0] * len(masks), scores=scores, rles=codes)
    network = chosen_by(SelectionStore(tmp_path / "chosen.h5"))
    asked = replace(run, network=network)
    assert known(asked, "network") == {1: 0.5, 2: 0}
    assert not any("network" in said for words in why(asked).values() for said in words)


def test_a_networks_own_masks_at_another_size(run):
    small = np.zeros((HEIGHT // 2, WIDTH // 2), bool)
    small[-4:, -4:] = True
    same = run.candidates(2)[0][::2, ::2]
    code = [rle.encode(mask[None])[0].decode() for mask in (small, same)]
    rows = pd.DataFrame({"ref_id": [1, 2], "rle": code, "rle_height": HEIGHT // 2, "rle_width": WIDTH // 2})
    asked = replace(run, network=predicted_in(rows))
    assert known(asked, "network") == {1: 1, 2: 0}
    assert why(asked)[1][-1] == "the network means something else (IoU 0 %)"


def test_places_are_means_of_the_signs_and_what_nothing_knows_comes_last():
    nan = np.nan
    one, two = np.array([-5.0, -1.0, -1.0, nan, nan]), np.array([0.9, nan, nan, 0.0, nan])
    # by `one` the last two share the lowest places, the first is third, the others share the highest; by `two`
    # the first is first, the fourth second
    by_one, by_two = np.array([2.5, 4, 4, 1, 1]), np.array([4.5, 1.5, 1.5, 3.5, 1.5])
    found = places([one, two])
    assert found == pytest.approx((by_one + by_two) / 2 / 5)
    assert found.argsort()[::-1][:1] == 0
    assert found[4] == found.min()
    assert places([one, two, np.full(5, nan)]) == pytest.approx(found), "a sign that knows nothing does not count"
    assert places([np.full(5, nan)]).tolist() == [0] * 5
    assert places([np.zeros(0)]).tolist() == []


def order(numbers: np.ndarray, name: str) -> list[int]:
    judge(numbers, name)
    return numbers["ref_id"][in_order(numbers)].tolist()


def test_an_order_goes_by_one_sign_and_the_reasons_by_all(run):
    numbers = Labels(run).numbers
    assert numbers["ref_id"].tolist() == [1, 2, 3, 4, 5]
    assert order(numbers, "margin") == [2, 1, 3, 5, 4]
    assert order(numbers, "doubt") == [2, 1, 3, 5, 4]
    assert order(numbers, "sentences") == [1, 5, 2, 3, 4]
    assert [row.ref.ref_id for row in asked_rows(run, "sentences")] == [1, 5, 2, 3, 4]
    assert [row.ref.ref_id for row in asked_rows(run, "table")] == [1, 2, 3, 4, 5]
    numbers["network"] = [0.6, 1.0, 0.1, np.nan, np.nan]
    assert order(numbers, "network") == [3, 1, 2, 5, 4]
    assert order(numbers, "doubt") == [1, 2, 3, 5, 4]
    reasons = [[name for name in REASONS if bits & bit(name)] for bits in numbers["reasons"].tolist()]
    assert reasons[:3] == [["sentences"], ["margin"], ["network", "alone"]]
    judge(numbers, "doubt", frozenset({1}))
    assert numbers["reasons"][0] == 0, "a person decided"


def test_what_only_all_signs_together_doubt_says_so(run):
    numbers = Labels(run).numbers
    numbers["against"] = 0
    numbers["network"] = [0.6, 1.0, np.nan, np.nan, np.nan]
    judge(numbers)
    reasons = [[name for name in REASONS if bits & bit(name)] for bits in numbers["reasons"].tolist()]
    assert reasons[:2] == [["together"], ["margin"]]
    assert "together" in CHECKED
    numbers["network"] = numbers["margin"] = np.nan
    judge(numbers)
    assert not (numbers["reasons"] & bit("together")).any(), "where nothing says anything"


def test_the_page_the_table_and_review_ask_in_one_order(place, tmp_path):
    """With a network, as after a training: what is asked first is what is in check.csv and on the page first."""
    with (
        SelectionWriter(place.folder / "chosen_corrected.h5", of_refs(place, 1, 2, 3)) as writer,
        run_of(place) as run,
    ):
        for ref, index in ((1, 1), (2, 0), (3, 0)):
            code = rle.encode(run.candidates(ref)[index][None])
            writer.append_ref(ref, image_id=1, size=SIZE, chosen=[0], scores=np.zeros((1, len(AREAS[ref]))), rles=code)
    with ExitStack() as stack:
        run = open_run(stack, place.folder, "val")
        queue = Queue(run, open_photos(place.refs, place.images), place.reviews)
        asked = [one["ref"] for one in queue.list()]
        why = {ref: queue.ref(ref)["why"] for ref in asked}
        labels = Labels(run)
        count = write_checklist([labels], set(map(overlay_of, labels.rows())), tmp_path / "check.csv")
        Pages([labels], open_photos(place.refs, place.images).or_grey, "val", "", "files").write(
            tmp_path / "labels.html", tmp_path / "labels"
        )
    with (tmp_path / "check.csv").open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    listed = [int(line["ref"]) for line in lines]
    assert count == len(listed) > 1
    assert asked[0] == 1, "the margin alone would ask about 2 first"
    assert listed == [ref for ref in asked if ref in listed]
    first = max(1, round(DOUBTFUL * len(asked)))
    assert listed[:first] == asked[:first]
    assert [line["why"].split("; ") for line in lines] == [why[ref] for ref in listed]
    overview = (tmp_path / "labels.html").read_text()
    assert [int(ref) for ref in re.findall(r'href="labels/1.html#ref-(\d+)"', overview)] == listed


def test_the_command_reads_what_lies_in_the_folder(run, place):
    for name, words in (("scorers", "one scorer's file"), ("network", "no chosen_corrected.h5")):
        with pytest.raises(SscError, match=f"--order {name}: .*{words}"):
            _check_order(name, run, place.folder)
    write_scores(place.folder / "scores_dense.h5", {1: [[1, 2, 0], [0, 9, 0]]})
    with SelectionWriter(place.folder / "chosen_pretrained.h5", of_refs(place, 1)) as writer:
        code = rle.encode(run.candidates(1)[1][None])
        writer.append_ref(1, image_id=1, size=SIZE, chosen=[0], scores=np.zeros((1, 3)), rles=code)
    with ExitStack() as stack:
        opened = open_run(stack, place.folder, "val")
        assert known(opened, "scorers")
        assert known(opened, "network") == {1: 1}
        for name in ("doubt", "margin", "sentences", "scorers", "network", "table"):
            _check_order(name, opened, place.folder)


def test_files_of_rows_that_moved_say_nothing_and_are_named(run, place, capsys):
    """Ids are row numbers: after a row was put first, a network's mask would be compared with another row's."""
    write_scores(place.folder / "scores_dense.h5", {1: [[1, 2, 0], [0, 9, 0]]})
    with ScoreStoreWriter(place.folder / "scores_old.h5", StoreInfo((), {"scorer": "old"}, "test", {})) as writer:
        writer.append_ref(1, np.zeros((2, 3)), np.array(AREAS[1]) + 1)  # as many sentences and candidates, other ones
    code = rle.encode(run.candidates(1)[1][None])
    for name, info in (
        ("corrected", StoreInfo((), {}, "", {}, "f" * 16)),
        ("pretrained", of_refs(place, 1)),
    ):
        with SelectionWriter(place.folder / f"chosen_{name}.h5", info) as writer:
            writer.append_ref(1, image_id=1, size=SIZE, chosen=[0], scores=np.zeros((1, 3)), rles=code)
    stale = [place.folder / name for name in ("chosen_corrected.h5", "scores_old.h5")]
    with ExitStack() as stack:
        opened = open_run(stack, place.folder, "val")
        assert opened.stale == stale
        assert [store.path.name for store in opened.scorers] == ["scores.h5", "scores_dense.h5"]
        assert known(opened, "network") == {1: 1}, "that of another phase is of these refs"
        opened.tell_stale("make")
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(", and left out")[2] for line in said] == [
        f": remove it or make it, make {path}" for path in stale
    ]
    (place.folder / "chosen_pretrained.h5").unlink()
    with ExitStack() as stack:
        opened = open_run(stack, place.folder, "val")
        assert opened.network is None
        with pytest.raises(SscError, match=r"no chosen_corrected\.h5 of its refs"):
            _check_order("network", opened, place.folder)


@pytest.mark.parametrize("name", ["selected", "masks", "scores"])
def test_a_run_of_other_rows_than_the_table_has_is_none(place, name):
    """Neither pages nor `ssc review` show a mask under another row's sentence."""
    path = place.folder / f"{name}.h5"
    kinds = {"selected": SelectionWriter, "scores": ScoreStoreWriter}
    info = StoreInfo((), {}, "", {}, "f" * 16)
    with kinds[name](path, info) if name in kinds else MaskStoreWriter(path, info, with_masks=True):
        pass
    with ExitStack() as stack, pytest.raises(SscError, match=rf"{name}\.h5 is of other rows than .*refs\.parquet"):
        open_run(stack, place.folder, "val")


def test_another_scorer_of_other_rows_is_stale(place):
    for name, refs in (("own", TableRefs(place.refs, "val").digest(np.array([1]))), ("moved", "f" * 16)):
        path = place.folder / f"scores_{name}.h5"
        with ScoreStoreWriter(path, StoreInfo((), {"scorer": name}, "", {}, refs)) as writer:
            writer.append_ref(1, np.zeros((2, 3)), np.array(AREAS[1]))
    with ExitStack() as stack:
        opened = open_run(stack, place.folder, "val")
        assert [store.path.name for store in opened.scorers] == ["scores.h5", "scores_own.h5"]
        assert opened.stale == [place.folder / "scores_moved.h5"]


def test_an_evaluation_of_rows_that_moved_says_nothing(run, place):
    (ref,) = (ref for ref in run.refs() if ref.ref_id == 1)
    rows = pd.DataFrame({"ref_id": 1, "file_name": ref.file_name, "sentence": ref.sentences})
    rows = rows.assign(rle=rle.encode(run.candidates(1)[1][None])[0].decode(), rle_height=HEIGHT, rle_width=WIDTH)
    evaluated = place.refs.parent / "eval_val.parquet"
    for frame, network, stale in ((rows, {1: 1}, []), (rows.assign(sentence="another"), {}, [evaluated])):
        write_frame(evaluated, frame)
        with ExitStack() as stack:
            opened = open_run(stack, place.folder, "val")
            assert known(opened, "network") == network
            assert opened.stale == stale
