from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ssc_core.correct.lavt.network import LAVT
from ssc_core.correct.lavt.swin import DropPath, SwinArchitecture, WindowAttention
from ssc_core.correct.lavt.windows import shift_mask
from ssc_core.errors import SscError

SMALL = SwinArchitecture(embed_dim=8, depths=(1, 1, 2, 1), heads=(1, 2, 2, 4), window=3)
PUBLISHED = {
    "tiny": {"embed_dim": 96, "depths": (2, 2, 6, 2), "heads": (3, 6, 12, 24)},
    "small": {"embed_dim": 96, "depths": (2, 2, 18, 2), "heads": (3, 6, 12, 24)},
    "base": {"embed_dim": 128, "depths": (2, 2, 18, 2), "heads": (4, 8, 16, 32)},
    "large": {"embed_dim": 192, "depths": (2, 2, 18, 2), "heads": (6, 12, 24, 48)},
}


@pytest.mark.parametrize("swin", PUBLISHED)
@pytest.mark.parametrize("window", [7, 12])
def test_names_and_shapes_of_the_published_networks(swin: str, window: int, published_shapes) -> None:
    with torch.device("meta"):
        state = LAVT(swin, window).state_dict()
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    assert shapes == published_shapes(**PUBLISHED[swin], window=window)


@pytest.mark.parametrize(
    ("swin", "window", "tensors", "millions"), [("tiny", None, 283, 46.09), ("base", 12, 451, 119.35)]
)
def test_published_sizes(swin: str, window: int | None, tensors: int, millions: float) -> None:
    with torch.device("meta"):
        state = LAVT(swin, window).state_dict()
    assert len(state) == tensors
    assert round(sum(value.numel() for value in state.values()) / 1e6, 2) == millions


def example(batch: int = 2, size: tuple[int, int] = (48, 48), words: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    mask = torch.ones(batch, words, 1)
    mask[0, 3:] = 0
    return (
        torch.randn(batch, 3, *size, generator=generator),
        torch.randn(batch, 10, words, generator=generator),
        mask,
    )


def network(**settings) -> LAVT:
    torch.manual_seed(0)
    return LAVT(SMALL, text_dim=10, **settings)


@pytest.mark.parametrize(
    ("settings", "first_block"),
    [({}, 2), ({"drop_path": 0.8, "swin": replace(SMALL, depths=(2, 1, 1, 1))}, 2), ({"fusion_dropout": 0.5}, 2)],
    ids=["plain", "stochastic depth", "dropout"],
)
@pytest.mark.parametrize("checkpoint_activations", [False, True])
def test_what_no_word_changes_is_computed_once_per_photo(settings, first_block, checkpoint_activations) -> None:
    """Logits, gradients and whatever is random are those of a photo that is given anew with each sentence.

    In double precision: sums are in another order, and with some weights a single one's gradient cancels to nothing.
    """
    lavt = LAVT(**{"swin": SMALL, "text_dim": 10, "checkpoint_activations": checkpoint_activations, **settings})
    lavt.double()
    sizes: list[int] = []
    lavt.backbone.layers[0].blocks[0].register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    photos, words, mask = (tensor.double() for tensor in example(batch=5))
    photos, photo_of = photos[:2], torch.tensor([1, 0, 1, 1, 0])

    def trained(*inputs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        lavt.zero_grad()
        torch.manual_seed(1)
        logits = lavt.train()(*inputs)
        (logits[:, 0] * torch.linspace(-1, 1, 48, dtype=torch.double)).sum().backward()
        return logits.detach(), {name: p.grad.clone() for name, p in lavt.named_parameters() if p.grad is not None}

    anew, gradients = trained(photos[photo_of], words, mask)
    once, others = trained(photos, words, mask, photo_of)
    assert set(sizes) == {5, first_block}
    torch.testing.assert_close(once, anew)
    assert gradients.keys() == others.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(others[name], gradient, atol=1e-12, rtol=1e-7, msg=lambda why, n=name: f"{n}: {why}")
    lavt.eval()
    torch.testing.assert_close(lavt(photos, words, mask, photo_of), lavt(photos[photo_of], words, mask))


@pytest.mark.parametrize(("width", "expected"), [(None, 32), (12, 12)])
def test_the_decoder_is_as_wide_as_asked_for(width: int | None, expected: int) -> None:
    lavt = network(decoder_width=width)
    assert lavt.classifier.conv1_1.weight.shape[1] == expected
    assert lavt.classifier.conv1_2.weight.shape == (expected, expected + 8, 3, 3)


@pytest.mark.parametrize("size", [(32, 32), (33, 50), (96, 40), (64, 127), (5, 9)], ids=str)
def test_any_size(size: tuple[int, int]) -> None:
    with torch.no_grad():
        assert network().eval()(*example(size=size)).shape == (2, 2, *size)


def test_a_sample_alone_gives_what_it_gives_in_a_batch() -> None:
    lavt, (pixels, words, mask) = network().eval(), example(batch=3)
    with torch.no_grad():
        together = lavt(pixels, words, mask)
        alone = torch.cat([lavt(pixels[i : i + 1], words[i : i + 1], mask[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=1e-5)


def test_padding_has_no_effect() -> None:
    lavt, (pixels, words, mask) = network(fusion_heads=(1, 2, 1, 2)).eval(), example()
    with torch.no_grad():
        expected = lavt(pixels, words, mask)
        garbage = torch.where(mask.transpose(1, 2) > 0, words, torch.tensor(50.0))
        assert torch.equal(lavt(pixels, garbage, mask), expected)
        longer = lavt(pixels, F.pad(words, (0, 9)), F.pad(mask, (0, 0, 0, 9)))
        torch.testing.assert_close(longer, expected, atol=1e-5, rtol=1e-5)
        assert (lavt(pixels, words.roll(1, 2), mask) - expected).abs().max() > 1e-3  # while words do have one


@pytest.mark.parametrize("checkpoint_activations", [False, True])
def test_gradient_reaches_every_trainable_parameter(checkpoint_activations: bool) -> None:
    lavt = network(checkpoint_activations=checkpoint_activations, drop_path=0.0)
    lavt(*example()).square().mean().backward()
    without = [name for name, p in lavt.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert without == []
    frozen = {name for name, parameter in lavt.named_parameters() if not parameter.requires_grad}
    word_attention = [f"backbone.layers.{i}.fusion.image_lang_att" for i in range(4)]
    assert frozen == {
        *(f"{prefix}.{layer}.0.bias" for prefix in word_attention for layer in ("f_query", "W")),
        "backbone.layers.3.res_gate.0.weight",
        "backbone.layers.3.res_gate.2.weight",
    }


def test_activation_checkpointing_changes_no_gradient() -> None:
    gradients = []
    for checkpoint_activations in (False, True):
        lavt = network(checkpoint_activations=checkpoint_activations, drop_path=0.5, fusion_dropout=0.2)
        torch.manual_seed(1)
        lavt(*example()).square().mean().backward()
        gradients.append([p.grad for p in lavt.parameters() if p.requires_grad])
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, checkpointed)


def test_drop_path_rises_evenly_and_works_in_training_alone() -> None:
    lavt, inputs = network(drop_path=0.4), example()
    rates = [block.drop_path.rate for stage in lavt.backbone.layers for block in stage.blocks]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    with torch.no_grad():
        assert not torch.equal(lavt(*inputs), lavt(*inputs))
        lavt.eval()
        assert torch.equal(lavt(*inputs), lavt(*inputs))


def test_drop_path_keeps_the_mean() -> None:
    block = network(drop_path=0.4).backbone.layers[3].blocks[0]
    kept = block.drop_path(torch.ones(20_000, 1, 1, 1))
    assert kept.unique().tolist() == pytest.approx([0.0, 1 / 0.6])
    assert kept.mean().item() == pytest.approx(1.0, abs=0.03)


def test_training_after_evaluation_in_inference_mode() -> None:
    shift_mask.cache_clear()
    lavt, inputs = network(), example()
    with torch.inference_mode():
        lavt.eval()(*inputs)
    assert shift_mask.cache_info().currsize > 0
    lavt.train()(*inputs).sum().backward()


def test_a_place_that_must_not_be_seen_weighs_nothing() -> None:
    """Not even a denormal number, as by the published -100; which changes no float32 of what comes out."""
    mask = shift_mask(4, 4, 2, 1, torch.device("cpu"))
    weights = mask.softmax(-1)
    assert set(weights[mask < 0].tolist()) == {0.0}
    values = torch.rand(len(mask), 4, 8)
    assert torch.equal(weights @ values, mask.clamp(min=-100).softmax(-1) @ values)


def test_bfloat16_stays_close_to_single_precision() -> None:
    lavt, inputs = network().eval(), example()
    with torch.no_grad():
        exact = lavt(*inputs)
        with torch.autocast("cpu", torch.bfloat16):
            rough = lavt(*inputs).float()
    assert (rough - exact).abs().mean() < 0.05 * exact.abs().mean()


@pytest.mark.parametrize("bf16", [False, True])
def test_what_fills_windows_up_is_the_bias_and_costs_no_precision(bf16: bool) -> None:
    attention, x = WindowAttention(8, window=4, heads=2, shift=0), torch.randn(2, 3, 5, 8)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        filled, plain = attention._padded_qkv(x), attention.qkv(x)
    assert filled.shape == (2, 4, 8, 24)
    assert torch.equal(filled[:, :3, :5], plain)
    bias = attention.qkv.bias.detach().to(plain.dtype)
    for outside in (filled[:, 3:], filled[:, :, 5:]):
        assert torch.equal(outside, bias.expand_as(outside))


def test_window_overrides_the_settings() -> None:
    assert LAVT(SMALL, window=5, text_dim=10).settings.window == 5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LAVT("huge"), "no Swin called 'huge'"),
        (lambda: LAVT(SMALL, fusion_heads=(3, 1, 1, 1), text_dim=10), "do not divide by 3 heads"),
        (lambda: LAVT(SMALL, fusion_heads=(1, 1), text_dim=10), "fusion_heads"),
        (lambda: SwinArchitecture(embed_dim=10, depths=(1, 1, 1, 1), heads=(3, 2, 2, 2)), "do not divide by 3 heads"),
        (lambda: SwinArchitecture(embed_dim=8, depths=(1, 1, 1), heads=(1, 1, 1)), "four stages"),
    ],
)
def test_impossible_settings_are_refused(make, message: str) -> None:
    with pytest.raises(SscError, match=message):
        make()


def test_blocks_that_are_always_dropped_add_nothing() -> None:
    branch = torch.ones(2, 3, 4)
    assert not DropPath(1.0).train()(branch).any()
    assert torch.equal(DropPath(1.0).eval()(branch), branch)
