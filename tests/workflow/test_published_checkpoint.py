"""A checkpoint that was trained elsewhere is evaluated in one command: no training, no masks of Segment."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from transformers import BertConfig

from ssc_core.cli.config_files import read_config
from ssc_core.correct.checkpoints import save_published
from ssc_core.correct.lavt.network import LAVT
from ssc_core.correct.lavt.swin import SwinArchitecture
from ssc_core.correct.text import ReferringSegmenter, TextEncoder, load_tokenizer
from ssc_core.evaluate.schema import read_eval
from ssc_core.provenance import file_sha256
from tests.workflow.test_plans import jobs


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A small random network in the published layout, which names no tokenizer."""
    swin = SwinArchitecture(embed_dim=8, depths=(1, 1, 1, 1), heads=(1, 2, 2, 4), window=3)
    tokenizer = load_tokenizer(read_config(find_models=True).network.bert)
    bert = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=1,
        intermediate_size=64,
        max_position_embeddings=40,
    )
    save_published(tmp_path / "published.pth", ReferringSegmenter(LAVT(swin, text_dim=64), TextEncoder(bert)))
    return tmp_path / "published.pth"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    content = {
        "results": str(tmp_path / "results"),
        "micro": {"images": {"train": 2, "val": 2, "testA": 1, "testB": 1, "test": 1}},
        "datasets": {"refcoco": {"checkpoint": str(tmp_path / "published.pth")}},
    }
    path.write_text(yaml.safe_dump(content))
    return path


def test_the_plan_trains_nothing(snakemake, published: Path, config: Path, tmp_path: Path) -> None:
    target = f"{tmp_path}/results/refcoco/eval_published_val.json"
    counts = jobs(snakemake("-n", "--configfile", str(config), "--", target).stdout)
    assert set(counts) == {"make_world", "index_refs", "evaluate", "total"}


def test_a_dataset_without_a_checkpoint_is_told(snakemake, tmp_path: Path) -> None:
    target = f"{tmp_path}/refcoco/eval_published_val.json"
    result = snakemake("-n", "--config", f"results={tmp_path}", "--", target, check=False)
    assert result.returncode
    assert "datasets.refcoco.checkpoint is not set: name the file" in result.stdout


def test_a_published_checkpoint_that_is_not_here_is_fetched(snakemake, tmp_path: Path) -> None:
    """By its path among the published files; one that is here is never fetched again, whatever changes."""
    (tmp_path / "weights").mkdir()
    (tmp_path / "mine.yaml").write_text("datasets: {refcoco: {checkpoint: weights/ssc_refcoco.pth}}")
    plan = ("-n", "--configfile", "mine.yaml", "--", "results/refcoco/eval_published_val.json")
    assert jobs(snakemake(*plan, cwd=tmp_path).stdout)["fetch_file"] == 1
    (tmp_path / "weights" / "ssc_refcoco.pth").write_bytes(b"here")
    assert "fetch_file" not in jobs(snakemake(*plan, cwd=tmp_path).stdout)


def test_its_figures_are_of_that_file(snakemake, published: Path, config: Path, tmp_path: Path) -> None:
    target = f"{tmp_path}/results/refcoco/eval_published_val.json"
    snakemake("--cores", "1", "--configfile", str(config), "--", target)
    evaluation = read_eval(Path(target))
    assert (evaluation.method, evaluation.split, evaluation.seed) == ("published", "val", None)
    assert evaluation.model == {"path": str(published), "sha256": file_sha256(published)}
    assert evaluation.n_sentences > 0
    assert not (tmp_path / "results" / "refcoco" / "train").exists()
    again = snakemake("-n", "--configfile", str(config), "--", target).stdout
    assert "Nothing to be done" in again
