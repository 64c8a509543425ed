from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM

from ssc_core.correct.lavt.network import LAVT
from ssc_core.correct.lavt.swin import SwinArchitecture
from ssc_core.correct.text import ReferringSegmenter, TextEncoder, load_text, load_tokenizer, tokenize
from ssc_core.errors import SscError

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "dog", "cat", "left", "##s"]
SMALL = SwinArchitecture(embed_dim=8, depths=(1, 1, 2, 1), heads=(1, 2, 2, 4), window=3)


def tiny_config(**changes) -> BertConfig:
    sizes = {"vocab_size": 12, "hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2}
    return BertConfig(**{**sizes, "intermediate_size": 32, "max_position_embeddings": 64, **changes})


@pytest.fixture(scope="module")
def pretrained() -> BertForMaskedLM:
    torch.manual_seed(0)
    return BertForMaskedLM(tiny_config())


@pytest.fixture
def folder(tmp_path: Path, pretrained: BertForMaskedLM) -> Path:
    """What bert-base-uncased looks like on disk: old LayerNorm names, a pooler, the head of pre-training."""
    (tmp_path / "vocab.txt").write_text("\n".join(VOCABULARY))
    pretrained.config.save_pretrained(tmp_path)
    torch.save(old_names(pretrained), tmp_path / "pytorch_model.bin")
    return tmp_path


def old_names(model: BertForMaskedLM) -> dict[str, torch.Tensor]:
    state = {
        key.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for key, value in model.state_dict().items()
    }
    return {**state, "bert.pooler.dense.weight": torch.zeros(16, 16), "bert.pooler.dense.bias": torch.zeros(16)}


def test_bert_in_the_published_layout_is_read_in_full(folder: Path, pretrained: BertForMaskedLM, capsys) -> None:
    _, bert = load_text(folder)
    expected = pretrained.bert.state_dict()
    assert list(bert.state_dict()) == list(expected)
    assert all(torch.equal(value, expected[key]) for key, value in bert.state_dict().items())
    assert "Loading" not in capsys.readouterr().err


def test_key_names_are_those_of_bert_without_pooler() -> None:
    layer = "encoder.layer.0"
    dense = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense")
    layers = (*dense, "attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm")
    embeddings = [f"embeddings.{kind}_embeddings.weight" for kind in ("word", "position", "token_type")]
    expected = embeddings + [f"embeddings.LayerNorm.{p}" for p in ("weight", "bias")]
    expected += [f"{layer}.{name}.{p}" for name in layers for p in ("weight", "bias")]
    assert sorted(TextEncoder(tiny_config(num_hidden_layers=1)).state_dict()) == sorted(expected)


def test_tokens_are_padded_with_zero_and_cut_hard(folder: Path) -> None:
    ids, mask = tokenize(load_tokenizer(folder), ["The dogs", "cat left cat left", ""], max_tokens=5)
    assert ids.tolist() == [[2, 5, 6, 9, 3], [2, 7, 8, 7, 8], [2, 3, 0, 0, 0]]
    assert mask.tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]
    assert ids.dtype == mask.dtype == torch.int64


def test_twenty_tokens_by_default_and_no_sentence_at_all(folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    assert tokenize(tokenizer, ["dog " * 1000])[0].shape == (1, 20)
    assert tokenize(tokenizer, [])[0].shape == (0, 20)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "vocab.txt").unlink(), "vocabulary is missing"),
        (lambda f: (f / "vocab.txt").write_text("\n".join([*VOCABULARY, *"abcdefg"])), "17 tokens, BERT knows 12"),
        (lambda f: (f / "pytorch_model.bin").unlink(), "cannot be loaded from .*Error no file named"),
        (lambda f: (f / "pytorch_model.bin").write_bytes(b"abc"), "damaged, cut off"),
        (lambda f: (f / "config.json").write_text("{"), "config.json"),
    ],
)
def test_an_incomplete_folder_is_refused(folder: Path, spoil, message: str) -> None:
    spoil(folder)
    with pytest.raises(SscError, match=message):
        load_text(folder)


def test_missing_weights_are_named(folder: Path, pretrained: BertForMaskedLM) -> None:
    state = {key: value for key, value in old_names(pretrained).items() if "layer.1.output" not in key}
    torch.save(state, folder / "pytorch_model.bin")
    with pytest.raises(SscError, match=r"weights missing: 4 \(encoder\.layer\.1\.output"):
        load_text(folder)


def test_a_missing_folder_and_an_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(SscError, match="no such folder"):
        load_text(tmp_path / "none")
    with pytest.raises(SscError, match="no usable BERT in no-such-bert"):
        load_text("no-such-bert")


def segmenter(trainable_layers: int | None = None) -> ReferringSegmenter:
    torch.manual_seed(0)
    return ReferringSegmenter(LAVT(SMALL, text_dim=16), TextEncoder(tiny_config()), trainable_layers)


@pytest.mark.parametrize(("setting", "trained"), [(None, 2), (0, 0), (3, 3), (4, 4)])
def test_the_first_layers_of_bert_are_trained_and_the_embeddings_never(setting: int | None, trained: int) -> None:
    model = segmenter(setting)
    pixels, ids = torch.randn(2, 3, 48, 48), torch.tensor([[2, 5, 6, 3, 0], [2, 7, 8, 9, 3]])
    model(pixels, ids, (ids > 0).long()).square().mean().backward()
    moved = {name for name, p in model.bert.named_parameters() if p.grad is not None and p.grad.any()}
    layers = {name.split(".")[2] for name in moved}
    assert layers == {str(layer) for layer in range(trained)}
    assert all(name.startswith("encoder.layer.") for name in moved)
    assert {name for name, p in model.bert.named_parameters() if p.requires_grad} == moved


@pytest.mark.parametrize("setting", [-1, 5])
def test_layers_that_bert_does_not_have(setting: int) -> None:
    with pytest.raises(SscError, match="this BERT has 4 layers"):
        segmenter(setting)


def test_bert_stays_in_eval_mode_while_training() -> None:
    model = segmenter()
    model.train()
    assert model.lavt.training
    assert not any(module.training for module in model.bert.modules())
    ids, mask = torch.tensor([[2, 5, 3]]), torch.ones(1, 3, dtype=torch.int64)
    assert torch.equal(model.encode(ids, mask), model.encode(ids, mask))


def test_words_computed_once_give_the_same_mask() -> None:
    model = segmenter().eval()
    pixels, ids = torch.randn(2, 3, 48, 48), torch.tensor([[2, 5, 6, 3, 0], [2, 7, 8, 9, 3]])
    mask = (ids > 0).long()
    with torch.no_grad():
        words = model.encode(ids, mask)
        assert words.shape == (2, 16, 5)
        torch.testing.assert_close(model.lavt(pixels, words, mask[..., None]), model(pixels, ids, mask))
        hidden = model.bert(input_ids=ids, attention_mask=mask).last_hidden_state
        assert torch.equal(words, hidden.permute(0, 2, 1))


def test_word_channels_have_to_agree() -> None:
    with pytest.raises(SscError, match="words of 10 channels, this BERT gives 16"):
        ReferringSegmenter(LAVT(SMALL, text_dim=10), TextEncoder(tiny_config()))
