"""The whole stage on files, as the rules call it: a table of own photos, masks.h5, selected.h5, a small LAVT."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import BertConfig

from ssc_core.config.labelling import CompatSettings
from ssc_core.config.sources import DatasetSource
from ssc_core.config.training import NetworkSettings, SwinSize, TrainSettings
from ssc_core.correct.checkpoints import load_published, load_segmenter
from ssc_core.correct.items import Items
from ssc_core.correct.run_state import RunState
from ssc_core.correct.text import TextEncoder
from ssc_core.correct.train_stage import TrainFiles, TrainJob, TrainOutputs, train
from ssc_core.correct.trainer import Trainer
from ssc_core.errors import SscError
from ssc_core.masks import rle
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.selection import SelectionWriter
from ssc_core.masks.store import MaskStoreWriter
from ssc_core.refer.index import build_index
from ssc_core.refer.ref_table import read_refs, refs_by_image
from ssc_core.refer.truth import write_truth

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "left", "right", "one"]
SIDE = 32


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photos of 40 x 60 with a left and a right box each; the last photo's refs have nothing to train on."""
    folder = tmp_path_factory.mktemp("stage")
    rng = np.random.default_rng(0)
    info = StoreInfo(("box",), {}, "0", {})
    masks = np.zeros((2, 40, 60), dtype=bool)
    masks[0, 5:30, 3:25], masks[1, 10:36, 35:58] = True, True
    rows = []
    for number in (1, 2, 3):
        photo = rng.integers(0, 80, (40, 60, 3)).astype(np.uint8)
        photo[masks.any(0)] = 200
        Image.fromarray(photo).save(folder / f"{number}.png")
        for side, mask in zip(("left", "right"), masks, strict=True):
            name = f"{number}{side}.png"
            Image.fromarray(mask.astype(np.uint8) * 255).save(folder / name)
            rows.append({"image": f"{number}.png", "sentences": [f"the {side} one", side], "mask": name})
    (folder / "own.jsonl").write_text("\n".join(json.dumps(row | {"split": "train"}) for row in rows))
    source = DatasetSource(layout="table", file=folder / "own.jsonl", images=folder)
    outputs = {"out_refs": folder / "refs.parquet", "out_truth": folder / "truth.h5"}
    build_index(dataset="own", source=source, check_counts=False, **outputs)
    refs = refs_by_image(read_refs(folder / "refs.parquet"))
    codes = rle.encode(masks)
    with (
        MaskStoreWriter(folder / "masks.h5", info, with_masks=True) as store,
        SelectionWriter(folder / "selected.h5", info) as selection,
    ):
        for image_id, members in refs.items():
            has = image_id != 3
            store.append_image(
                image_id, (40, 60),
                boxes_xyxy=np.zeros((2, 4)), box_scores=np.ones(2), labels=np.zeros(2, int), rles=codes,
                mask_scores=np.ones(2), candidates={ref.ref_id: [0, 1] if has else [] for ref in members},
            )  # fmt: skip
            for ref in members:
                selection.append_ref(
                    ref.ref_id, image_id=image_id, size=(40, 60), chosen=[0 if has else -1],
                    scores=np.zeros((1, 2 if has else 0)), rles=[codes[0] if has else None],
                )  # fmt: skip
    bert = folder / "bert"
    bert.mkdir()
    (bert / "vocab.txt").write_text("\n".join(WORDS))
    torch.manual_seed(0)
    TextEncoder(
        BertConfig(
            vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16
        )
    ).save_pretrained(bert)
    return folder


def refs_of(files: Path, images: tuple[int, ...]) -> list[int]:
    by_image = refs_by_image(read_refs(files / "refs.parquet"))
    return [ref.ref_id for image_id in images for ref in by_image[image_id]]


def run(
    files: Path, out: Path, *, network=None, compat=None, settings=None, matches=None, log_to="csv", **paths
) -> None:
    size = SwinSize(embed_dim=8, depths=(1, 1, 1, 1), heads=(1, 1, 2, 2))
    sizes = {"swin": size, "window": 2, "drop_path": 0.1, "bert": str(files / "bert"), "image_size": SIDE}
    train(
        TrainFiles(refs=files / "refs.parquet", images=files, **paths),
        TrainOutputs(checkpoint=out, curve=out.with_suffix(".csv"), state=out.parent / "state", matches=matches),
        network=NetworkSettings(**(sizes | {"trainable_bert_layers": 1, "max_tokens": 6} | (network or {}))),
        settings=TrainSettings(**({"epochs": 2, "batch_samples": 2, "keep": "last"} | (settings or {}))),
        compat=CompatSettings(**(compat or {})),
        job=TrainJob(device="cpu", threads=1, log_to=log_to),
    )


def test_both_phases_one_after_the_other(files: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "pretrain.pt", tmp_path / "correct.pt"
    run(files, first, settings={"loss": "random_ce"}, selected=files / "selected.h5", masks=files / "masks.h5")
    run(files, second, settings={"loss": "greedy_ce"}, masks=files / "masks.h5", init=first)
    meta = load_published(second).meta
    assert meta["refs"] == 4
    assert meta["dropped_refs"] == {"no candidate": 2}
    assert meta["steps"] == 4
    assert meta["matched_share_last_epoch"] == 1.0
    rows = list(csv.DictReader(second.with_suffix(".csv").open()))
    assert [row["step"] for row in rows] == ["1", "2", "3", "4"]
    assert load_published(second).settings["train"]["loss"] == "greedy_ce"
    assert not (tmp_path / "state").exists()
    before, after = (load_segmenter(path).state_dict() for path in (first, second))
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert "lavt.classifier.conv1_1.weight" in changed
    assert "bert.encoder.layer.0.output.dense.weight" in changed
    assert not any(key.startswith(("bert.embeddings", "bert.encoder.layer.1")) for key in changed)


def test_the_log_says_what_is_not_trained_on(files: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run(files, tmp_path / "x.pt", settings={"loss": "greedy_ce", "epochs": 1}, masks=files / "masks.h5")
    assert "training on 4 refs, without 2 refs: no candidate" in caplog.messages
    network = {"max_tokens": 4}  # [CLS] the left one [SEP] has five, [CLS] left [SEP] three
    run(files, tmp_path / "x.pt", settings={"loss": "greedy_ce"}, network=network, masks=files / "masks.h5")
    cut = "the end of 4 sentences, longer than 4 tokens (`network.max_tokens`)"
    assert f"training on 4 refs, without 2 refs: no candidate; {cut}" in caplog.messages
    caplog.clear()
    run(files, tmp_path / "x.pt", settings={"loss": "supervised", "epochs": 1}, truth=files / "truth.h5")
    assert caplog.messages == []


def test_a_network_that_cannot_be_built_is_told_of_before_the_masks_are_read(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ssc_core.correct.train_stage.build_items", Mock(side_effect=AssertionError("took an hour")))
    network = {"swin_weights": str(tmp_path / "none.safetensors")}
    with pytest.raises(SscError, match=r"none\.safetensors"):
        run(files, tmp_path / "x.pt", settings={"loss": "greedy_ce"}, network=network, masks=files / "masks.h5")


def test_matches_of_every_epoch(files: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.matches.parquet"
    run(files, tmp_path / "x.pt", settings={"loss": "greedy_ce"}, masks=files / "masks.h5", matches=path)
    found = pd.read_parquet(path)
    assert found.columns.tolist() == ["epoch", "ref_id", "candidate"]
    trained = sorted(refs_of(files, images=(1, 2)))
    for _, rows in found.groupby("epoch"):
        assert sorted(rows["ref_id"]) == trained
        # the two refs of a photo have two candidates to share
        assert sorted(rows["candidate"]) == [0, 0, 1, 1]
    assert found["epoch"].unique().tolist() == [0, 1]


def test_matching_begins_with_what_select_says(files: Path, tmp_path: Path) -> None:
    """Where its word is worth far more than any soft IoU, every ref is matched with the candidate of its score."""
    says = {ref: number % 2 for number, ref in enumerate(refs_of(files, images=(1, 2)))}
    code = rle.encode(np.ones((1, 40, 60), dtype=bool))
    with SelectionWriter(tmp_path / "s.h5", StoreInfo(("box",), {}, "0", {})) as selection:
        for ref, best in says.items():
            scores = [[9.0 * (place == best) for place in (0, 1)]]
            selection.append_ref(ref, image_id=1, size=(40, 60), chosen=[best], scores=np.array(scores), rles=code)
    settings = {"loss": "greedy_ce", "prior_weight": 1000.0}
    given = {"masks": files / "masks.h5", "picks": tmp_path / "s.h5", "matches": tmp_path / "m.parquet"}
    run(files, tmp_path / "x.pt", settings=settings, **given)
    found = pd.read_parquet(tmp_path / "m.parquet")
    assert len(found) == 8
    assert all(says[ref] == candidate for ref, candidate in zip(found["ref_id"], found["candidate"], strict=True))


@pytest.mark.parametrize(("says", "told"), [((0, 1), True), ((1, 1), False)])
def test_matching_that_has_not_settled_is_told_of(
    files: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, says: tuple[int, int], told: bool
) -> None:
    """A loss that gives every ref a candidate by the epoch: another one in the second, or the same."""
    (tmp_path / "loss.py").write_text(
        "import numpy as np\n"
        "from ssc_core.correct.losses import Assignment, segment\n"
        "def given(samples, options):\n"
        f"    rows = [own[{says}[samples.epoch]] for own in samples.candidates.rows]\n"
        "    return segment(samples, Assignment.once(np.array(rows)), options)\n"
    )
    given = {"masks": files / "masks.h5", "matches": tmp_path / "m.parquet"}
    run(files, tmp_path / "x.pt", settings={"loss": f"{tmp_path}/loss.py:given"}, **given)
    assert load_published(tmp_path / "x.pt").meta["kept_matches"] == [0.0 if told else 1.0]
    assert ("matching has not settled: of the refs with several candidates, 0 % got" in caplog.text) == told


def test_a_teacher_is_what_is_saved(files: Path, tmp_path: Path) -> None:
    """One that forgets at once is the student; a slow one is still on its way."""
    saved = {}
    for name, decay in (("student", None), ("teacher", 1e-6), ("slow", 0.999)):
        settings = {"loss": "greedy_ce", "epochs": 1, "batch_samples": 2, "ema_decay": decay}
        run(files, tmp_path / f"{name}.pt", settings=settings, masks=files / "masks.h5")
        saved[name] = load_published(tmp_path / f"{name}.pt").model["classifier.conv1_1.weight"]
    torch.testing.assert_close(saved["teacher"], saved["student"], rtol=1e-4, atol=1e-7)
    assert not torch.equal(saved["slow"], saved["student"])


def test_a_missing_log_package_stops_before_the_work(files: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(SscError, match="needs the package wandb"):
        run(files, tmp_path / "x.pt", settings={"loss": "greedy_ce"}, masks=files / "masks.h5", log_to="wandb")


def test_the_same_run_twice_gives_the_same_file(files: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        run(files, tmp_path / name / "x.pt", settings={"loss": "greedy_ce"}, masks=files / "masks.h5")
    assert (tmp_path / "a" / "x.pt").read_bytes() == (tmp_path / "b" / "x.pt").read_bytes()


def test_supervised_with_the_best_of_val(files: Path, tmp_path: Path) -> None:
    truth = files / "truth.h5"
    settings = {"loss": "supervised", "keep": "best", "epochs": 3, "batch_samples": 4, "sentences": "all"}
    run(files, tmp_path / "x.pt", settings=settings, truth=truth, val_truth=truth, val_split="train")
    meta = load_published(tmp_path / "x.pt").meta
    assert meta["refs"] == 6
    rows = list(csv.DictReader((tmp_path / "x.csv").open()))
    val = [float(row["val_oIoU"]) for row in rows if row["val_oIoU"]]
    assert len(val) == 3
    assert meta["best_val_oIoU"] == pytest.approx(max(val), abs=1e-3)
    assert meta["best_epoch"] == val.index(max(val)) + 1


@pytest.mark.parametrize("loss", ["random_ce", "greedy_ce"])
def test_labels_are_trained_on_and_the_best_epoch_by_the_truth_of_val_is_kept(
    files: Path, tmp_path: Path, monkeypatch, loss: str
) -> None:
    """The second of three epochs, by figures that this test gives: what was trained on are labels and reviews alone."""
    given, seen = iter([10.0, 30.0, 20.0]), []

    def oiou(self: Trainer, network: torch.nn.Module, items: Items, epoch: int) -> float:
        seen.append({key: value.clone() for key, value in network.state_dict().items()})
        assert items.refs == 6, "val has true masks of all refs"
        return next(given)

    monkeypatch.setattr(Trainer, "_oiou", oiou)
    labels = {"selected": {"selected": files / "selected.h5"}, "masks": {"masks": files / "masks.h5"}}
    source = labels["selected"] if loss == "random_ce" else labels["masks"] | {"picks": files / "selected.h5"}
    settings = {"loss": loss, "keep": "best", "epochs": 3}
    run(files, tmp_path / "x.pt", settings=settings, val_truth=files / "truth.h5", val_split="train", **source)
    kept = load_published(tmp_path / "x.pt")
    assert (kept.meta["refs"], kept.meta["best_epoch"], kept.meta["best_val_oIoU"]) == (4, 2, 30.0)
    state = load_segmenter(tmp_path / "x.pt").state_dict()
    assert len(seen) == 3
    assert all(torch.equal(value, seen[1][key]) for key, value in state.items())
    assert not all(torch.equal(value, seen[2][key]) for key, value in state.items())


@pytest.mark.parametrize(
    ("split", "why"), [("val", "has no split 'val'; it has train"), ("train", "6 refs: no candidate")]
)
def test_the_best_where_val_has_no_true_masks(files: Path, tmp_path: Path, split: str, why: str) -> None:
    write_truth(tmp_path / "truth.h5", [])
    settings = {"loss": "random_ce", "keep": "best"}
    paths = {"selected": files / "selected.h5", "val_truth": tmp_path / "truth.h5", "val_split": split}
    with pytest.raises(SscError, match=rf"true masks of the split '{split}'.* set `keep: last` .*{why}"):
        run(files, tmp_path / "x.pt", settings=settings, **paths)


def test_published_defects_are_counted(files: Path, tmp_path: Path) -> None:
    compat = {"palette_targets": True, "merged_masks": True, "lr_by_loader_length": True, "matching_double_count": True}
    settings = {"loss": "greedy_ce", "epochs": 4, "batch_samples": 2}
    run(files, tmp_path / "x.pt", settings=settings, compat=compat, masks=files / "masks.h5")
    rows = list(csv.DictReader((tmp_path / "x.csv").open()))
    assert [float(row["lr"]) > 0 for row in rows] == [True] * 4 + [False] * 4
    assert "palette_corrupted_refs" in load_published(tmp_path / "x.pt").meta


@pytest.mark.parametrize("changed", ["swin.safetensors", "bert/vocab.txt", "init.pt", None])
def test_a_run_does_not_go_on_from_one_that_started_from_other_weights(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str | None
) -> None:
    """The config is the same, and so are the names of the files: only what is in one of them is not."""
    shutil.copytree(files / "bert", tmp_path / "bert")
    run(files, tmp_path / "init.pt", settings={"loss": "greedy_ce", "epochs": 1}, masks=files / "masks.h5")
    part = {"classifier.conv1_1.bias": torch.zeros(2)}
    save_file(part, tmp_path / "swin.safetensors")

    def train_again() -> None:
        network = {"bert": str(tmp_path / "bert"), "swin_weights": str(tmp_path / "swin.safetensors")}
        init = tmp_path / "init.pt" if changed == "init.pt" else None
        run(
            files,
            tmp_path / "x.pt",
            settings={"loss": "greedy_ce"},
            network=network,
            masks=files / "masks.h5",
            init=init,
        )

    loaded = []
    real = RunState.load
    monkeypatch.setattr(RunState, "load", lambda state: loaded.append(real(state)) or loaded[-1])
    monkeypatch.setattr(Trainer, "_validate", lambda trainer, progress, _: trainer._save(progress))
    monkeypatch.setattr(RunState, "finish", Mock(side_effect=KeyboardInterrupt))  # killed when all was trained
    with pytest.raises(KeyboardInterrupt):
        train_again()
    monkeypatch.undo()
    monkeypatch.setattr(RunState, "load", lambda state: loaded.append(real(state)) or loaded[-1])
    if changed == "bert/vocab.txt":
        (tmp_path / changed).write_text("\n".join([*WORDS[:-1], "other"]))
    elif changed == "init.pt":
        run(files, tmp_path / changed, settings={"loss": "greedy_ce", "seed": 1}, masks=files / "masks.h5")
        loaded.pop()
    elif changed:
        save_file({name: value + 1 for name, value in part.items()}, tmp_path / changed)
    train_again()
    assert loaded[0] is None
    assert (loaded[1] is None) == bool(changed)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "supervised"}, "trains on truth.h5"),
        ({"loss": "greedy_ce"}, "trains on masks.h5"),
        ({"loss": "random_ce", "keep": "best"}, "needs a val split"),
    ],
)
def test_settings_that_do_not_fit_the_files(files: Path, tmp_path: Path, settings: dict, message: str) -> None:
    with pytest.raises(SscError, match=message):
        run(files, tmp_path / "x.pt", settings=settings, selected=files / "selected.h5")


@pytest.mark.parametrize("name", ["masks", "selected", "picks"])
def test_masks_and_choices_of_other_rows(files: Path, tmp_path: Path, name: str) -> None:
    """As where the table was indexed again after `ssc import`."""
    info = StoreInfo(("box",), {"imported": "their.json"}, "ssc import", {}, "f" * 16)
    moved = tmp_path / "moved.h5"
    writer = MaskStoreWriter(moved, info, with_masks=True) if name == "masks" else SelectionWriter(moved, info)
    with writer:
        pass
    paths = {"masks": files / "masks.h5", name: moved}
    with pytest.raises(SscError, match=r"moved\.h5 is of other rows than .*refs\.parquet.*; import it again"):
        run(files, tmp_path / "x.pt", settings={"loss": "greedy_ce"}, **paths)


def test_a_prior_without_the_scores_of_select(files: Path, tmp_path: Path) -> None:
    with pytest.raises(SscError, match=r"`prior_weight` goes by the scores of selected\.h5"):
        run(files, tmp_path / "x.pt", settings={"prior_weight": 0.5}, masks=files / "masks.h5")


@pytest.mark.parametrize("switch", ["merged_masks", "palette_targets"])
def test_a_prior_of_other_masks_than_select_scored(files: Path, tmp_path: Path, switch: str) -> None:
    given = {"masks": files / "masks.h5", "picks": files / "selected.h5"}
    with pytest.raises(SscError, match=rf"set `prior_weight` to 0, or compat\.{switch} to false"):
        run(files, tmp_path / "x.pt", settings={"prior_weight": 0.5}, compat={switch: True}, **given)


def test_a_prior_is_nothing_to_a_phase_that_learns_from_the_picks(files: Path, tmp_path: Path) -> None:
    given = {"selected": files / "selected.h5", "masks": files / "masks.h5"}
    run(files, tmp_path / "x.pt", settings={"loss": "random_ce", "prior_weight": 0.5}, **given)
    run(files, tmp_path / "y.pt", settings={"loss": "random_ce"}, **given)
    one, other = (load_segmenter(tmp_path / name).state_dict() for name in ("x.pt", "y.pt"))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_backbone_weights_from_safetensors(files: Path, tmp_path: Path) -> None:
    run(files, tmp_path / "x.pt", settings={"loss": "greedy_ce", "epochs": 1}, masks=files / "masks.h5")
    model = load_published(tmp_path / "x.pt").model
    backbone = {key: value for key, value in model.items() if key.startswith("backbone.layers.0.blocks")}
    save_file(backbone, tmp_path / "part.safetensors")
    settings = {"loss": "greedy_ce", "epochs": 1, "lr": 1e-30, "weight_decay": 0}
    network = {"swin_weights": str(tmp_path / "part.safetensors")}
    run(files, tmp_path / "y.pt", settings=settings, network=network, masks=files / "masks.h5")
    started = load_published(tmp_path / "y.pt").model
    for key, value in backbone.items():  # a step of that rate moves nothing but biases that are 0
        torch.testing.assert_close(started[key], value, rtol=0, atol=1e-25)
    save_file({"backbone.other": torch.zeros(1)}, tmp_path / "part.safetensors")
    with pytest.raises(SscError, match=r"holds 'backbone\.other'"):
        run(files, tmp_path / "z.pt", settings=settings, network=network, masks=files / "masks.h5")
