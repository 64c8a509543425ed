"""presets/paper.yaml and presets/paper_compat.yaml, on top of config.yaml."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from ssc_core.config.labelling import CompatSettings
from ssc_core.config.layers import read_layers
from ssc_core.config.settings import Settings, load_settings
from ssc_core.correct.lavt.network import LAVT
from ssc_core.registry import REGISTRY

NO_RESULT_DEPENDS_ON_IT = {"seed", "max_samples_per_pass"}
"""Settings of a stage that the published method does not fix."""


def read(root: Path, name: str) -> dict[str, Any]:
    return yaml.safe_load((root / name).read_text())


def merged(root: Path, *names: str) -> Settings:
    return load_settings(read_layers([root / "config.yaml", *(root / "presets" / name for name in names)]))


@pytest.fixture
def paper(root: Path) -> Settings:
    return merged(root, "paper.yaml")


@pytest.fixture
def published(root: Path) -> Settings:
    return merged(root, "paper.yaml", "paper_compat.yaml")


def test_paper_states_every_setting_of_the_stages(root: Path, paper: Settings) -> None:
    """So that nothing of the micro world's config, and no setting that is added later, gets in unnoticed."""
    stated = read(root, "presets/paper.yaml")
    for section in ("nouns", "detect", "segment", "score", "select", "network", "pretrain", "correct", "compat"):
        fields = set(type(getattr(paper, section)).model_fields) - NO_RESULT_DEPENDS_ON_IT
        assert set(stated[section]) == fields, section


def test_stage_1_is_the_published_one(paper: Settings) -> None:
    nouns, detector = paper.nouns, paper.detect.backend.settings
    assert (nouns.extractor, nouns.spacy_model, nouns.classes) == ("spacy", "weights/en_core_web_md", "coco")
    assert (nouns.project, nouns.context, nouns.top_k) == (True, True, 1)
    assert nouns.encoder.settings["model"] == "ViT-B-32"
    assert paper.detect.queries == "most_likely_noun"
    assert (detector["box_threshold"], detector["text_threshold"]) == (0.35, 0.25)
    assert (detector["short_side"], detector["long_side"]) == (800, 1333)
    assert paper.segment.backend.settings["model"] == "vit_h"


def test_stages_2_and_3_are_the_published_ones(paper: Settings) -> None:
    assert paper.score.backend.settings["model"] == "ViT-L-14-336"
    assert (paper.score.prompts, paper.score.blur_sigma, paper.select.min_area) == (("reverse_blur",), 50, 500)
    network = paper.network
    assert (network.swin, network.window, network.image_size) == ("base", 12, 480)
    assert (network.max_tokens, network.trainable_bert_layers, network.fusion_heads) == (20, 10, (1, 1, 1, 1))
    assert (paper.pretrain.loss, paper.correct.loss) == ("random_ce", "greedy_ce")
    for phase in (paper.pretrain, paper.correct):
        assert (phase.epochs, phase.batch_samples, phase.sentences, phase.keep) == (40, 60, "one", "best")
        assert (phase.lr, phase.weight_decay, phase.poly_power) == (5e-5, 1e-2, 0.9)
        assert phase.class_weights == (0.9, 1.1)


def test_what_goes_beyond_the_paper_is_off(paper: Settings, published: Settings) -> None:
    for settings in (paper, published):
        assert settings.detect.nms_iou is None
        select = settings.select
        assert (select.per, select.assignment, select.spatial_weight) == ("ref", "independent", 0)
        for phase in (settings.pretrain, settings.correct):
            assert (phase.warmup_steps, phase.clip_norm, phase.dice_weight) == (0, None, 0)
            assert (phase.ema_decay, phase.confidence_temperature, phase.prior_weight) == (None, None, 0)
            assert (phase.assignment, phase.precision) == ("greedy", "fp32")
        for backend in (
            settings.nouns.encoder,
            settings.detect.backend,
            settings.segment.backend,
            settings.score.backend,
        ):
            assert backend.settings["precision"] == "fp32"


def test_no_path_of_the_micro_world_is_left(paper: Settings) -> None:
    text = paper.model_dump_json(exclude={"micro"})
    assert "resources/" not in text
    assert '"layout":"micro"' not in text


def test_compat_is_off_in_paper_and_all_on_in_paper_compat(paper: Settings, published: Settings) -> None:
    assert paper.compat == CompatSettings()
    assert all(published.compat.model_dump().values())
    assert paper.detect.backend.settings["class_assignment"] == "token_spans"
    assert published.detect.backend.settings["class_assignment"] == "exact_phrase"


def test_paper_compat_changes_nothing_else(paper: Settings, published: Settings) -> None:
    back = published.model_dump()
    back["results"], back["compat"] = paper.results, CompatSettings().model_dump()
    back["detect"]["backend"]["settings"]["class_assignment"] = "token_spans"
    assert published.detect.backend.name == "grounding_dino_original"
    back["detect"]["backend"]["name"] = "grounding_dino"
    assert back == paper.model_dump()


@pytest.mark.parametrize("dataset", ["refcoco", "refcoco+", "refcocog_umd", "refcocog_google"])
def test_snakemake_reads_real_data_and_its_counts_are_checked(paper: Settings, dataset: str) -> None:
    assert paper.datasets[dataset].source.layout == "refer"
    assert paper.datasets[dataset].check_counts


def test_papers_network_has_the_shapes_of_the_published_files(paper: Settings) -> None:
    network = paper.network
    with torch.device("meta"):
        lavt = LAVT(network.swin, network.window, decoder_width=network.decoder_width)
    assert lavt.classifier.conv1_2.weight.shape == (512, 512 + 128, 3, 3)


def test_every_file_that_paper_names_is_one_that_ssc_fetch_gets(root: Path, paper: Settings) -> None:
    sources = yaml.safe_load((root / "ssc_core" / "weights" / "sources.yaml").read_text())
    places = [source["path"] for source in sources.values()]
    places += [f"{source['unpack']['to']}/" for source in sources.values() if "unpack" in source]
    network, backends = paper.network, (paper.nouns.encoder, paper.detect.backend, paper.segment.backend)
    named = {paper.nouns.spacy_model, network.bert, network.swin_weights, paper.score.backend.settings["pretrained"]}
    for backend in backends:
        named |= {v for v in backend.settings.values() if isinstance(v, str) and v.startswith("weights/")}
    assert len(named) == 7
    for name in named:
        assert any(place == name or place.startswith(f"{name}/") for place in places), f"{name} is not in sources.yaml"


def test_the_backends_take_every_setting_of_paper(published: Settings) -> None:
    sections = published.nouns.encoder, published.detect.backend, published.segment.backend, published.score.backend
    for backend in sections:
        module, _, name = REGISTRY[backend.name].rpartition(":")
        accepted = inspect.signature(getattr(importlib.import_module(module), name)).parameters
        assert set(backend.settings) <= set(accepted), backend.name
