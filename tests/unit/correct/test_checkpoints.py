from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import BertConfig

from ssc_core.config.training import NetworkSettings
from ssc_core.correct.checkpoints import (
    architecture_of,
    load_published,
    load_segmenter,
    load_weights,
    restore_network,
    save_checkpoint,
    save_published,
    segmenter_of,
)
from ssc_core.correct.lavt.network import LAVT
from ssc_core.correct.lavt.swin import SwinArchitecture
from ssc_core.correct.predictor import Predictor
from ssc_core.correct.start import build_segmenter
from ssc_core.correct.text import ReferringSegmenter, TextEncoder
from ssc_core.errors import SscError
from ssc_core.tensor_files import read_torch, write_torch

SMALL = SwinArchitecture(embed_dim=8, depths=(1, 1, 2, 1), heads=(1, 2, 2, 4), window=3)
SETTINGS = {"swin": "small", "lr": 1e-4, "classes": [0.9, 1.1], "nothing": None}


def segmenter(
    seed: int = 0, heads: tuple[int, ...] = (1, 1, 2, 1), bert_heads: int = 2, width: int | None = None
) -> ReferringSegmenter:
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=30,
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=bert_heads,
        intermediate_size=24,
        max_position_embeddings=40,
    )
    lavt = LAVT(SMALL, fusion_heads=heads, text_dim=16, decoder_width=width)
    return ReferringSegmenter(lavt, TextEncoder(config))


def predict(model: ReferringSegmenter) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    ids = torch.tensor([[2, 5, 6, 3, 0], [2, 7, 8, 9, 3]])
    with torch.no_grad():
        return model.eval()(torch.randn(2, 3, 40, 48, generator=generator), ids, (ids > 0).long())


def published(model: ReferringSegmenter, prefix: str = "", **changes) -> dict:
    """A file as the published training code leaves it, by the description of the format."""
    bert = {}
    for key, value in model.bert.state_dict().items():
        key = key.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        bert[prefix + key] = value
    bert[f"{prefix}embeddings.position_ids"] = torch.arange(40)[None]
    return {
        "model": {prefix + key: value for key, value in model.lavt.state_dict().items()},
        "bert_model": bert,
        "optimizer": {"state": {0: {"step": 3, "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 5e-5}]},
        "epoch": 39,
        "args": argparse.Namespace(mha="1-1-2-1", swin_type="base", window12=True),
        "lr_scheduler": {"base_lrs": [5e-5], "last_epoch": 100, "lr_lambdas": [None]},
        **changes,
    }


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_published_file_is_read_in_full(tmp_path: Path, prefix: str) -> None:
    model = segmenter(bert_heads=1)
    torch.save(published(model, prefix), tmp_path / "x.pth")
    checkpoint = load_published(tmp_path / "x.pth")
    assert set(checkpoint.model) == set(model.lavt.state_dict())
    assert set(checkpoint.bert_model) == set(model.bert.state_dict())
    assert checkpoint.epoch == 39
    assert checkpoint.args == {"mha": "1-1-2-1", "swin_type": "base", "window12": True}
    assert checkpoint.optimizer["param_groups"] == [{"lr": 5e-5}]
    assert checkpoint.lr_scheduler["last_epoch"] == 100
    assert torch.equal(predict(load_segmenter(tmp_path / "x.pth")), predict(model))


def test_a_published_file_is_lavt_also_for_who_trains_another_network(tmp_path: Path) -> None:
    model = segmenter(bert_heads=1)
    torch.save(published(model), tmp_path / "x.pth")
    found = restore_network(load_published(tmp_path / "x.pth"), "x.pth", "plugins/tiny.py:Tiny", vocabulary=30)
    assert torch.equal(predict(found), predict(model))


@pytest.mark.parametrize("width", [None, 7])
def test_the_architecture_is_read_off_the_shapes(tmp_path: Path, width: int | None) -> None:
    model = segmenter(bert_heads=1, width=width)
    torch.save(published(model), tmp_path / "x.pth")
    assert load_published(tmp_path / "x.pth").architecture() == architecture_of(model)


@pytest.mark.parametrize("mha", [None, ""])
def test_one_fusion_head_when_the_namespace_does_not_say(tmp_path: Path, mha: str | None) -> None:
    torch.save(published(segmenter(), args=argparse.Namespace(mha=mha)), tmp_path / "x.pth")
    assert load_published(tmp_path / "x.pth").architecture()["fusion_heads"] == [1, 1, 1, 1]


def test_our_format_round_trips_with_its_own_heads(tmp_path: Path) -> None:
    model = segmenter(heads=(1, 2, 4, 1), bert_heads=4)
    path = tmp_path / "x.pt"
    save_checkpoint(path, model, SETTINGS, {"epoch": 3, "oiou": 41.5})
    loaded, checkpoint = load_segmenter(path), load_published(path)
    assert torch.equal(predict(loaded), predict(model))
    assert not loaded.training
    assert loaded.lavt.fusion_heads == (1, 2, 4, 1)
    assert {**checkpoint.settings, "architecture": None} == {**SETTINGS, "architecture": None}
    assert checkpoint.meta == {"epoch": 3, "oiou": 41.5}
    assert set(torch.load(path, weights_only=True)) == {"model", "bert_model", "settings", "meta"}


def test_a_decoder_of_its_own_width_comes_back(tmp_path: Path) -> None:
    model = segmenter(width=7)
    save_checkpoint(tmp_path / "x.pt", model, SETTINGS, {})
    assert torch.equal(predict(load_segmenter(tmp_path / "x.pt")), predict(model))


def test_files_from_before_the_decoders_width_was_noted_have_the_published_one(tmp_path: Path) -> None:
    model = segmenter()
    save_checkpoint(tmp_path / "x.pt", model, SETTINGS, {})
    saved = load_published(tmp_path / "x.pt")
    del saved.settings["architecture"]["decoder_width"]
    assert torch.equal(predict(segmenter_of(saved, "x.pt")), predict(model))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (5, "architecture: Input should be"),
        ({}, "architecture.fusion_heads: Field required"),
        ({"fusion_heads": 5}, "architecture.fusion_heads: Input should be"),
        ({"fusion_heads": [0, 1, 1, 1]}, "8 channels do not divide by 0 heads"),
        ({"num_attention_heads": 0}, "architecture.bert.num_attention_heads"),
        ({"num_attention_heads": 7}, "hidden size .* not a multiple"),
        ({"hidden_act": "nope"}, "BERT knows no activation 'nope'"),
        ({"layer_norm_eps": "x"}, "architecture.bert.layer_norm_eps"),
    ],
)
def test_what_is_saved_beside_the_weights_may_be_anything(tmp_path: Path, change: object, message: str) -> None:
    save_checkpoint(tmp_path / "x.pt", segmenter(), SETTINGS, {})
    content = read_torch(tmp_path / "x.pt")
    architecture = content["settings"]["architecture"]
    if isinstance(change, dict) and change:
        of = architecture if "fusion_heads" in change else architecture["bert"]
        of.update(change)
    else:
        architecture = change
    write_torch(tmp_path / "x.pt", {**content, "settings": {**SETTINGS, "architecture": architecture}})
    with pytest.raises(SscError, match=rf"x\.pt: .*{message}"):
        load_segmenter(tmp_path / "x.pt")


def test_sizes_that_a_small_file_claims_take_no_memory_and_no_time(tmp_path: Path) -> None:
    model = segmenter()
    save_checkpoint(tmp_path / "x.pt", model, SETTINGS, {})
    content = read_torch(tmp_path / "x.pt")
    sizes = content["settings"]["architecture"]
    sizes["swin"]["depths"], sizes["bert"]["vocab_size"] = [10**9, 1, 1, 1], 10**12  # shapes say what they are
    write_torch(tmp_path / "y.pt", {**content, "settings": {**SETTINGS, "architecture": sizes}})
    assert torch.equal(predict(load_segmenter(tmp_path / "y.pt")), predict(model))
    tables = [key for key in content["model"] if key.endswith("relative_position_bias_table")]
    wide = {key: torch.zeros(999**2, content["model"][key].shape[1]) for key in tables}  # 500 GB of places' pairs
    write_torch(tmp_path / "z.pt", {**content, "model": {**content["model"], **wide}})
    with pytest.raises(
        SscError, match=r"do not fit this network: .*relative_position_index is .* instead of \(250000,"
    ):
        load_segmenter(tmp_path / "z.pt")
    long = {**content["bert_model"], "embeddings.position_embeddings.weight": torch.zeros(10**11, 0)}
    write_torch(tmp_path / "z.pt", {**content, "bert_model": long})
    with pytest.raises(SscError, match=r"do not fit this network: embeddings.position_embeddings.weight"):
        load_segmenter(tmp_path / "z.pt")


@pytest.mark.parametrize("entry", ["settings", "meta"])
@pytest.mark.parametrize("value", [5, "abc", [1]])
def test_entries_that_are_no_dicts(tmp_path: Path, entry: str, value: object) -> None:
    write_torch(tmp_path / "x.pt", {**published(segmenter()), entry: value})
    with pytest.raises(SscError, match=rf"x\.pt: '{entry}' is a {type(value).__name__}, expected a dict"):
        load_published(tmp_path / "x.pt")


def test_heads_that_a_namespace_has_as_a_number_are_not_four(tmp_path: Path) -> None:
    torch.save(published(segmenter(), args=argparse.Namespace(mha=4)), tmp_path / "x.pth")
    with pytest.raises(SscError, match=r"x\.pth: fusion_heads gives the heads of four stages; got \(4,\)"):
        load_segmenter(tmp_path / "x.pth")


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"depths": (1, 0, 1, 1)}, "at least one block"),
        ({"heads": (0, 1, 1, 1)}, "do not divide by 0 heads"),
        ({"heads": (-1, 1, 1, 1)}, "do not divide by -1 heads"),
    ],
)
def test_sizes_that_no_swin_has(sizes: dict, message: str) -> None:
    with pytest.raises(SscError, match=message):
        SwinArchitecture(**{"embed_dim": 8, "depths": (1, 1, 1, 1), "heads": (1, 1, 1, 1), **sizes})


def test_the_same_weights_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.pt", "b.pt"):
        save_checkpoint(tmp_path / name, segmenter(), SETTINGS, {"epoch": 1})
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()
    save_checkpoint(tmp_path / "b.pt", segmenter(seed=1), SETTINGS, {"epoch": 1})
    assert (tmp_path / "a.pt").read_bytes() != (tmp_path / "b.pt").read_bytes()


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (np.float64(1), r"meta\.score is a float64"),
        ([1, Path("x")], r"meta\.score\[1\]"),
        ({(1,): {2, 3}}, r"meta\.score\.\(1,\) is a set"),
    ],
)
def test_values_that_a_safe_load_refuses_are_not_saved(tmp_path: Path, value: object, place: str) -> None:
    with pytest.raises(SscError, match=place):
        save_checkpoint(tmp_path / "x.pt", segmenter(), SETTINGS, {"score": value})
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch) -> None:
    save_checkpoint(tmp_path / "x.pt", segmenter(), SETTINGS, {})
    before = (tmp_path / "x.pt").read_bytes()

    def fail(content: object, file: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(tmp_path / "x.pt", segmenter(seed=1), SETTINGS, {})
    assert (tmp_path / "x.pt").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["x.pt"]


@pytest.mark.parametrize("position_ids", [True, False])
def test_what_we_write_for_the_published_loaders(tmp_path: Path, position_ids: bool) -> None:
    model = segmenter(bert_heads=1)
    path = tmp_path / "x.pth"
    save_published(path, model, position_ids=position_ids)
    content = torch.load(path, weights_only=False)  # our own file, read as the published code reads it
    assert list(content) == ["model", "bert_model", "optimizer", "epoch", "args", "lr_scheduler"]
    assert content["args"].mha == "1-1-2-1"
    model.lavt.load_state_dict(content["model"], strict=True)
    assert not any("pooler" in key for key in content["bert_model"])
    assert ("embeddings.position_ids" in content["bert_model"]) == position_ids
    assert torch.equal(predict(load_segmenter(path)), predict(model))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("num_attention_heads", 2, "num_attention_heads 2, not 1"),
        ("hidden_act", "relu", "hidden_act relu, not gelu"),
        ("layer_norm_eps", 1e-5, "layer_norm_eps 1e-05, not 1e-12"),
    ],
)
def test_a_bert_that_a_published_file_cannot_tell_of_is_refused(
    tmp_path: Path, field: str, value: object, words: str
) -> None:
    model = segmenter(bert_heads=1)
    setattr(model.bert.config, field, value)
    with pytest.raises(SscError, match=f"published file cannot hold this network: its BERT has {words}, which"):
        save_published(tmp_path / "x.pth", model)
    assert not (tmp_path / "x.pth").exists()


def test_the_file_holds_exactly_the_published_names_and_shapes(tmp_path: Path, published_shapes) -> None:
    expected = published_shapes(embed_dim=8, depths=(1, 1, 2, 1), heads=(1, 2, 2, 4), window=3, text_dim=16)
    save_checkpoint(tmp_path / "ours.pt", segmenter(), SETTINGS, {})
    save_published(tmp_path / "published.pth", segmenter(bert_heads=1))
    for name in ("ours.pt", "published.pth"):
        model = load_published(tmp_path / name).model
        assert {key: tuple(value.shape) for key, value in model.items()} == expected


def test_the_451_published_names_there_and_back(tmp_path: Path, published_shapes) -> None:
    """The depths of Swin base, so its very names, with fewer channels: a plain list takes our file and returns it."""
    sizes = {"embed_dim": 16, "depths": (2, 2, 18, 2), "heads": (4, 8, 16, 32)}
    names = published_shapes(**sizes, window=12, text_dim=16)
    assert len(names) == 451
    assert names.keys() == published_shapes(128, (2, 2, 18, 2), (4, 8, 16, 32), 12).keys()
    config = BertConfig(vocab_size=30, hidden_size=16, num_hidden_layers=1, num_attention_heads=1, intermediate_size=16)
    model = ReferringSegmenter(LAVT(SwinArchitecture(**sizes, window=12), text_dim=16), TextEncoder(config))
    save_published(tmp_path / "ours.pth", model)
    content = torch.load(tmp_path / "ours.pth", weights_only=False)  # as the published code reads it
    slots = {name: torch.empty(shape) for name, shape in names.items()}
    for name in slots:
        assert content["model"][name].shape == slots[name].shape
        slots[name] = content["model"].pop(name)
    assert not content["model"], "nothing is left over"
    torch.save({**content, "model": {f"module.{name}": value for name, value in slots.items()}}, tmp_path / "back.pth")
    back = load_segmenter(tmp_path / "back.pth")
    assert all(torch.equal(value, slots[name]) for name, value in back.lavt.state_dict().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f["model"].pop("classifier.conv1_1.bias"), "'model' of .* classifier.conv1_1.bias is missing"),
        (lambda f: f["model"].update(extra=torch.zeros(1)), "extra is unknown"),
        (
            lambda f: f["model"].update({"backbone.norm0.bias": torch.zeros(9)}),
            r"backbone.norm0.bias is \(9,\) instead of \(8,\)",
        ),
        (
            lambda f: f["bert_model"].update({"pooler.dense.bias": torch.zeros(16)}),
            "'bert_model' of .* pooler.dense.bias is unknown",
        ),
        (lambda f: f["model"].pop("backbone.patch_embed.proj.weight"), "not the weights of a LAVT"),
        (lambda f: f.pop("bert_model"), "no weights under 'bert_model'; it holds model, optimizer"),
        (lambda f: f.update(args=[1]), "'args' is a list"),
        (lambda f: f.update(epoch=np.int64(3)), "NumPy"),
    ],
)
def test_files_that_do_not_fit_are_explained(tmp_path: Path, change, message: str) -> None:
    content = published(segmenter())
    change(content)
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(SscError, match=message):
        load_segmenter(tmp_path / "x.pth")


def test_a_misfit_changes_nothing(tmp_path: Path) -> None:
    content = published(segmenter(seed=1))
    del content["bert_model"]["encoder.layer.0.output.dense.bias"]
    torch.save(content, tmp_path / "x.pth")
    model = segmenter()
    before = predict(model)
    with pytest.raises(SscError, match=r"encoder\.layer\.0\.output\.dense\.bias is missing"):
        load_weights(model, load_published(tmp_path / "x.pth"), "x.pth")
    assert torch.equal(predict(model), before)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"heads": (1, 2, 4, 1)}, r"fusion_heads \[1, 2, 4, 1\], .* \[1, 1, 2, 1\]: set `network: {fusion_heads: "),
        ({"bert_heads": 4}, r"a BERT whose num_attention_heads is 4, .* has 2: name .* `network: {bert: ...}`"),
    ],
)
def test_what_shapes_do_not_show_is_compared_with_what_our_files_say(tmp_path: Path, made: dict, message: str) -> None:
    save_checkpoint(tmp_path / "x.pt", segmenter(seed=1, **made), SETTINGS, {})
    model = segmenter()
    before = predict(model)
    with pytest.raises(SscError, match=rf"x\.pt was trained with {message}"):
        load_weights(model, load_published(tmp_path / "x.pt"), "x.pt")
    assert torch.equal(predict(model), before)


def test_a_published_file_starts_a_network_with_its_fusion_heads(tmp_path: Path) -> None:
    torch.save(published(segmenter(seed=1)), tmp_path / "x.pth")
    model = segmenter(bert_heads=2)  # the file does not say how many, and one is assumed where it is read alone
    load_weights(model, load_published(tmp_path / "x.pth"), "x.pth")
    with pytest.raises(SscError, match=r"x\.pth was trained with fusion_heads \[1, 1, 2, 1\], .* \[4, 4, 4, 4\]"):
        load_weights(segmenter(heads=(4, 4, 4, 4)), load_published(tmp_path / "x.pth"), "x.pth")


def test_a_file_that_does_not_say_its_heads_starts_any_network(tmp_path: Path) -> None:
    torch.save(published(segmenter(seed=1), args=None), tmp_path / "x.pth")
    model = segmenter(heads=(4, 4, 4, 4))
    load_weights(model, load_published(tmp_path / "x.pth"), "x.pth")
    assert torch.equal(predict(model), predict(segmenter(seed=1, heads=(4, 4, 4, 4))))


def test_long_lists_of_misfits_are_cut(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "x.pt", segmenter(), SETTINGS, {})
    other = ReferringSegmenter(LAVT(SMALL, window=5, text_dim=16), segmenter().bert)
    with pytest.raises(SscError, match=r"and 5 more\. Use the swin, window and BERT"):
        load_weights(other, load_published(tmp_path / "x.pt"), "x.pt")


def network_settings(folder: Path, **changes) -> NetworkSettings:
    sizes = {"swin": "micro", "window": 6, "drop_path": 0.1, "fusion_heads": (1, 1, 1, 1), "trainable_bert_layers": 1}
    return NetworkSettings(**{"bert": str(folder), "image_size": 96, **sizes, **changes})


@pytest.fixture
def bert_folder(tmp_path: Path) -> Path:
    segmenter().bert.save_pretrained(tmp_path / "bert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "dog"]
    (tmp_path / "bert" / "vocab.txt").write_text("\n".join(words))
    return tmp_path / "bert"


def test_a_segmenter_is_built_from_settings(bert_folder: Path) -> None:
    model = build_segmenter(network_settings(bert_folder, fusion_heads=(1, 2, 2, 4)))
    assert model.lavt.settings == SwinArchitecture(embed_dim=24, depths=(1, 1, 2, 1), heads=(1, 2, 4, 8), window=6)
    assert model.lavt.fusion_heads == (1, 2, 2, 4)
    assert model.lavt.backbone.layers[3].blocks[0].drop_path.rate == pytest.approx(0.1)
    assert {n.split(".")[2] for n, p in model.bert.named_parameters() if p.requires_grad} == {"0"}
    expected = segmenter().bert.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in model.bert.state_dict().items())


def test_sentences_longer_than_bert_takes_are_refused_before_training(bert_folder: Path) -> None:
    places = segmenter().bert.config.max_position_embeddings
    build_segmenter(network_settings(bert_folder, max_tokens=places))
    with pytest.raises(SscError, match=rf"sentences have {places + 1} tokens .*max_tokens.*takes {places}"):
        build_segmenter(network_settings(bert_folder, max_tokens=places + 1))


def test_swin_weights_are_read_when_asked_for(bert_folder: Path) -> None:
    with pytest.raises(SscError, match=r"swin\.pth does not exist"):
        build_segmenter(network_settings(bert_folder, swin_weights=str(bert_folder / "swin.pth")))
    build_segmenter(network_settings(bert_folder, swin_weights=str(bert_folder / "swin.pth")), pretrained=False)


def test_swin_weights_may_be_safetensors(bert_folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(3)
    state = build_segmenter(network_settings(bert_folder)).lavt.backbone.patch_embed.state_dict()
    path = tmp_path / "swin.safetensors"
    save_file({f"backbone.patch_embed.{key}": value for key, value in state.items()}, path)
    built = build_segmenter(network_settings(bert_folder, swin_weights=str(path))).lavt.backbone.patch_embed
    assert all(torch.equal(value, state[key]) for key, value in built.state_dict().items())


def test_a_tokenizer_that_a_checkpoints_bert_does_not_know_is_refused(bert_folder: Path, tmp_path: Path) -> None:
    """`ssc predict --bert`: its last tokens would have no word embedding."""
    known = segmenter().bert.config.vocab_size
    save_checkpoint(tmp_path / "x.pt", segmenter(), {"network": {"image_size": 32, "max_tokens": 8}}, {})
    Predictor(tmp_path / "x.pt", bert=str(bert_folder), device="cpu")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{i}" for i in range(known))]
    (bert_folder / "vocab.txt").write_text("\n".join(words))
    with pytest.raises(SscError, match=rf"bert: the tokenizer has {known + 5} tokens, BERT knows {known}"):
        Predictor(tmp_path / "x.pt", bert=str(bert_folder), device="cpu")


def test_a_file_without_weights_is_no_start(bert_folder: Path, tmp_path: Path) -> None:
    save_file({}, tmp_path / "swin.safetensors")
    with pytest.raises(SscError, match=r"swin\.safetensors holds no weights"):
        build_segmenter(network_settings(bert_folder, swin_weights=str(tmp_path / "swin.safetensors")))


def test_fusion_dropout_and_a_tokenizer_of_its_own_reach_the_network(bert_folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "tokenizer"
    own.mkdir()
    (bert_folder / "vocab.txt").rename(own / "vocab.txt")
    with pytest.raises(SscError, match="no usable BERT"):
        build_segmenter(network_settings(bert_folder))
    model = build_segmenter(network_settings(bert_folder, tokenizer=str(own), fusion_dropout=0.25))
    for stage in model.lavt.backbone.layers:
        assert [part[2].p for part in (stage.fusion.vis_project, stage.fusion.project_mm)] == [0.25, 0.25]


def test_activations_are_computed_again_for_the_same_gradients(bert_folder: Path) -> None:
    gradients = []
    for again in (False, True):
        torch.manual_seed(0)
        model = build_segmenter(network_settings(bert_folder, drop_path=0.0), checkpoint_activations=again).train()
        torch.manual_seed(1)
        logits = model(torch.randn(2, 3, 64, 64), torch.tensor([[2, 5, 3]] * 2), torch.ones(2, 3, dtype=torch.int64))
        logits.square().mean().backward()
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize("prefix", ["text_encoder.", "module.bert."])
def test_a_file_of_lavt_one_has_its_bert_inside(tmp_path: Path, prefix: str) -> None:
    model = segmenter(bert_heads=1)
    content = published(model)
    outer = "module." if prefix.startswith("module.") else ""
    state = {outer + key: value for key, value in content["model"].items()}
    content["model"] = state | {prefix + key: value for key, value in content.pop("bert_model").items()}
    torch.save(content, tmp_path / "x.pth")
    assert torch.equal(predict(load_segmenter(tmp_path / "x.pth")), predict(model))


def test_other_weights_given_as_a_network_are_named_in_a_line(tmp_path: Path) -> None:
    sam = {f"image_encoder.blocks.{i}.norm1.weight": torch.ones(3) for i in range(200)}
    torch.save(sam, tmp_path / "sam.pth")
    torch.save({"model": sam}, tmp_path / "detector.pth")
    (tmp_path / "page.pth").write_text("<!DOCTYPE html><html>Virus scan warning</html>")
    save_checkpoint(tmp_path / "whole.pt", segmenter(), SETTINGS, {})
    whole = (tmp_path / "whole.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) * 3 // 4])
    for name, reason in (
        ("sam.pth", "has no weights under 'model'; it holds image_encoder"),
        ("detector.pth", "has no weights under 'bert_model'; it holds model"),
        ("page.pth", "is a web page"),
        ("cut.pt", "is damaged, cut off"),
    ):
        with pytest.raises(SscError, match=rf"{name} {reason}") as caught:
            load_segmenter(tmp_path / name)
        assert len(str(caught.value)) < 300
        assert "\n" not in str(caught.value)
