from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ssc_core.config.labelling import CompatSettings
from ssc_core.config.training import TrainSettings
from ssc_core.correct import losses
from ssc_core.correct.losses import Candidates, Options, PixelLoss, Samples, StepSize
from ssc_core.errors import SscError


def distinct(lists: list[torch.Tensor]) -> Candidates:
    """Candidates from masks (K_i, H, W) of each sample; equal masks are one instance."""
    seen: dict[bytes, int] = {}
    rows = tuple(np.array([seen.setdefault(mask.numpy().tobytes(), len(seen)) for mask in of]) for of in lists)
    masks = {row: mask for of, own in zip(lists, rows, strict=True) for row, mask in zip(own, of, strict=True)}
    return Candidates(torch.stack([masks[row] for row in range(len(masks))]), rows)


def case(samples: int = 6, seed: int = 0):
    """Two images; refs of the first share three candidates, those of the second have one each."""
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(samples, 2, 7, 5, generator=g)
    masks = torch.rand(3 + samples, 7, 5, generator=g) > 0.5
    image_ids = np.array([4, 4, 4, 9, 9, 9])[:samples]
    ref_ids = np.array([1, 1, 2, 3, 4, 5])[:samples]
    candidates = [masks[:3] if i < 3 else masks[3 + i : 4 + i] for i in range(samples)]
    return image_ids, ref_ids, logits, candidates


def samples(image_ids, ref_ids, logits, candidates, *, step=None, judge=None, epoch=0) -> Samples:
    return Samples(
        image_ids,
        ref_ids,
        logits,
        distinct(candidates),
        step or StepSize.of(image_ids),
        epoch,
        None if judge is None else lambda: judge,
    )


def published_ce(logits, target, weights=(0.9, 1.1)):
    return F.cross_entropy(logits[None], target[None].long(), weight=torch.tensor(weights))


ALL = [losses.random_ce, losses.greedy_ce, losses.greedy_no_constraints, losses.greedy_ce_contrastive]


def test_pixel_loss_is_weighted_cross_entropy_of_each_sample():
    _, _, logits, candidates = case()
    targets = torch.stack([c[0] for c in candidates])
    expected = [published_ce(x, t) for x, t in zip(logits, targets, strict=True)]
    torch.testing.assert_close(losses.pixel_loss(logits, targets), torch.stack(expected))


def test_dice_by_hand():
    logits = torch.tensor([[[[0.0, 0.0]], [[50.0, -50.0]]]])
    targets = torch.tensor([[[True, True]]])
    plain = losses.pixel_loss(logits, targets)
    with_dice = losses.pixel_loss(logits, targets, PixelLoss(dice=2.0))
    assert (with_dice - plain).item() == pytest.approx(2 * (1 - (2 * 1 + 1) / (1 + 2 + 1)))


@pytest.mark.parametrize("loss", ALL)
def test_the_loss_is_the_mean_over_matched_targets(loss):
    image_ids, ref_ids, logits, candidates = case()
    options = Options(contrast=0.0)
    value, assignment, _ = loss(samples(image_ids, ref_ids, logits, candidates), options)
    masks = distinct(candidates).masks
    expected = sum(published_ce(logits[i], masks[row]) for i, row in enumerate(assignment.rows) if row >= 0)
    torch.testing.assert_close(value, expected / 6)


@pytest.mark.parametrize("loss", ALL)
def test_the_loss_does_not_depend_on_the_order_of_samples(loss):
    image_ids, ref_ids, logits, candidates = case()
    order = [4, 0, 5, 2, 3, 1]
    before = loss(samples(image_ids, ref_ids, logits, candidates)).value
    after = loss(samples(image_ids[order], ref_ids[order], logits[order], [candidates[i] for i in order])).value
    torch.testing.assert_close(before, after)


@pytest.mark.parametrize("loss", ALL)
def test_parts_of_a_step_add_up(loss):
    image_ids, ref_ids, logits, candidates = case()
    whole = loss(samples(image_ids, ref_ids, logits, candidates)).value
    step = StepSize.of(image_ids)
    assert step == StepSize(samples=6, pairs=12)
    parts = [
        loss(samples(image_ids[p], ref_ids[p], logits[p], candidates[p], step=step)).value
        for p in (slice(3), slice(3, 6))
    ]
    torch.testing.assert_close(sum(parts), whole)


def test_a_ref_left_over_adds_no_loss_and_no_gradient():
    two = torch.zeros(2, 4, 4, dtype=torch.bool)
    two[0, :2], two[1, 2:] = True, True
    image_ids, ref_ids = np.array([1, 1, 1]), np.array([1, 2, 3])
    logits = torch.randn(3, 2, 4, 4, requires_grad=True)
    given = samples(image_ids, ref_ids, logits, [two, two, two])
    value, assignment, iou = losses.greedy_ce(given)
    value.backward()
    (left,) = np.flatnonzero(assignment.times == 0)
    assert given.targets(assignment).sum((1, 2)).tolist() == [0 if i == left else 8 for i in range(3)]
    assert iou[left] == 0
    assert logits.grad[left].abs().sum() == 0
    assert all(logits.grad[i].abs().sum() > 0 for i in range(3) if i != left)


@pytest.mark.parametrize("loss", [losses.greedy_ce, losses.greedy_no_constraints, losses.greedy_ce_contrastive])
def test_select_has_a_say_that_fades(loss):
    """The network says that candidate 0 is the one, Select the other; soft IoUs are 1 and 0."""
    masks = torch.zeros(2, 4, 4, dtype=torch.bool)
    masks[0, :2], masks[1, 2:] = True, True
    margin = torch.where(masks[:1], 100.0, -100.0)
    logits = torch.stack([-margin, margin], dim=1)
    candidates = Candidates(masks, (np.array([0, 1]),), (np.array([0.1, 0.9]),))

    def chosen(done: float, weight: float) -> int:
        of = Samples(np.array([1]), np.array([1]), logits, candidates, StepSize(1, 0), done=done)
        return int(loss(of, Options(prior=weight)).assignment.rows[0])

    assert [chosen(done, weight=2.0) for done in (0.0, 0.25, 0.5, 0.99)] == [1, 1, 0, 0]
    assert chosen(0.0, weight=0.0) == 0


def test_double_count_doubles_the_loss_of_single_candidates():
    image_ids, ref_ids, logits, candidates = case()
    image_ids[:] = 4
    plain = losses.greedy_ce(samples(image_ids, ref_ids, logits, candidates)).value
    doubled = losses.greedy_ce(samples(image_ids, ref_ids, logits, candidates), Options(double_count=True)).value
    alone = losses.greedy_ce(
        samples(image_ids[3:], ref_ids[3:], logits[3:], candidates[3:], step=StepSize.of(image_ids))
    ).value
    torch.testing.assert_close(doubled, plain + alone)


@pytest.mark.parametrize(("optimal", "rows"), [(False, [2, 2, 0, 3, 4, 5]), (True, [1, 1, 2, 3, 4, 5])])
def test_the_assignment_is_the_one_that_options_name(optimal, rows):
    found = losses.greedy_ce(samples(*case(seed=2)), Options(optimal=optimal))
    assert found.assignment.rows.tolist() == rows


@pytest.mark.parametrize("loss", [losses.greedy_ce, losses.greedy_no_constraints, losses.greedy_ce_contrastive])
def test_a_teacher_decides_and_the_student_learns(loss):
    image_ids, ref_ids, logits, candidates = case()
    judge = case(seed=1)[2]
    by_teacher = loss(samples(image_ids, ref_ids, logits, candidates, judge=judge))
    teacher_alone = loss(samples(image_ids, ref_ids, judge, candidates))
    assert by_teacher.assignment.rows.tolist() == teacher_alone.assignment.rows.tolist()
    assert (
        by_teacher.assignment.rows.tolist()
        != loss(samples(image_ids, ref_ids, logits, candidates)).assignment.rows.tolist()
    )
    assert by_teacher.value != teacher_alone.value


@pytest.mark.parametrize("prior", [0.0, 9.0])
@pytest.mark.parametrize("loss", [losses.greedy_ce, losses.greedy_no_constraints])
def test_confidence_weights_each_sample_by_soft_iou_whatever_select_says(loss, prior):
    image_ids, ref_ids, logits, candidates = case()
    given = samples(image_ids, ref_ids, logits, candidates)
    shares = tuple(np.arange(1.0, len(own) + 1) / np.arange(1.0, len(own) + 1).sum() for own in given.candidates.rows)
    given = replace(given, candidates=replace(given.candidates, prior=shares))
    value, assignment, _ = loss(given, Options(temperature=0.01, prior=prior))
    held = distinct(candidates)
    iou = losses.matching.soft_iou(logits.softmax(1)[:, 1], held.masks).numpy()
    weights = losses.matching.confidence(iou, held.rows, assignment.rows, 0.01)
    assert weights[:3].max() < 1
    assert weights[3:].tolist() == [1, 1, 1]
    terms = [weights[i] * published_ce(logits[i], held.masks[row]) for i, row in enumerate(assignment.rows) if row >= 0]
    torch.testing.assert_close(value, sum(terms) / 6)


@pytest.mark.parametrize(("sure", "most_pushed"), [(1, 1), (5, 0.43)])
def test_contrast_by_hand(sure, most_pushed):
    """Word by word, pair by pair. Networks that are not sure are pushed by 1, whatever they say."""
    image_ids, ref_ids, logits, candidates = case()
    logits = sure * logits
    targets = torch.stack([c[0] for c in candidates])
    targets[2] = False
    p = logits.double().softmax(1)
    expected = torch.zeros(6, 6, dtype=torch.float64)
    for i in range(6):
        for j in range(6):
            if i == j or image_ids[i] != image_ids[j]:
                continue
            kl = p[j] * (p[j].log() - p[i].log())
            if ref_ids[i] == ref_ids[j]:
                expected[i, j] = kl.sum() / 2 / 35
            else:
                kl = (kl * (targets[i] | targets[j])).sum() / 2
                expected[i, j] = min(1.0, 1 / (0.1 * kl))
    got = losses.contrast(image_ids, ref_ids, logits, targets)
    torch.testing.assert_close(got.double(), expected, rtol=1e-4, atol=1e-6)
    assert expected[2, 0].item() == pytest.approx(most_pushed, abs=0.01)


def test_contrast_has_finite_gradients_for_equal_predictions():
    logits = torch.zeros(2, 2, 4, 4, requires_grad=True)
    losses.contrast(np.array([1, 1]), np.array([1, 2]), logits, torch.ones(2, 4, 4, dtype=torch.bool)).sum().backward()
    assert torch.isfinite(logits.grad).all()


def test_the_contrastive_term_is_the_mean_over_pairs():
    image_ids, ref_ids, logits, candidates = case()
    plain = losses.greedy_ce(samples(image_ids, ref_ids, logits, candidates))
    full = losses.greedy_ce_contrastive(samples(image_ids, ref_ids, logits, candidates), Options(contrast=0.5))
    masks = distinct(candidates).masks
    targets = torch.stack([masks[r] if r >= 0 else torch.zeros_like(masks[0]) for r in plain.assignment.rows])
    terms = losses.contrast(image_ids, ref_ids, logits, targets)
    torch.testing.assert_close(full.value, plain.value + 0.5 * terms.sum() / 12)


def test_a_step_of_one_sample_has_no_pairs():
    given = samples(*case(samples=1))
    assert given.step == StepSize(samples=1, pairs=0)
    assert losses.greedy_ce_contrastive(given).value == losses.greedy_ce(given).value


def test_supervised_takes_one_mask_a_sample():
    image_ids, ref_ids, logits, candidates = case()
    value = losses.supervised(samples(image_ids, ref_ids, logits, [c[:1] for c in candidates])).value
    torch.testing.assert_close(value, losses.pixel_loss(logits, torch.stack([c[0] for c in candidates])).mean())
    with pytest.raises(ValueError, match="exactly one mask"):
        losses.supervised(samples(image_ids, ref_ids, logits, candidates))


def test_soft_iou_is_that_of_each_sample_with_its_target():
    image_ids, ref_ids, logits, candidates = case()
    got = losses.greedy_ce(samples(image_ids, ref_ids, logits, candidates))
    masks = distinct(candidates).masks
    table = losses.matching.soft_iou(logits.softmax(1)[:, 1], masks)
    for i, row in enumerate(got.assignment.rows):
        assert got.soft_iou[i].item() == pytest.approx(table[i, row].item() if row >= 0 else 0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "teacher", "value", "rows"),
    [
        ("supervised", {}, False, "0x1.93e3d8p-1", [0, 0, 0, 1, 2, 3]),
        ("greedy_no_constraints", {"temperature": 0.1}, True, "0x1.32d7f4p-1", [0, 0, 2, 3, 4, 5]),
        ("greedy_ce", {"temperature": 0.1, "double_count": True}, True, "0x1.32d7f4p-1", [0, 0, 2, 3, 4, 5]),
        ("greedy_ce", {"optimal": True}, False, "0x1.7376fap-1", [1, 1, 2, 3, 4, 5]),
        ("greedy_ce_contrastive", {"contrast": 0.05}, True, "0x1.96b554p-1", [0, 0, 2, 3, 4, 5]),
    ],
)
def test_values_are_those_before_losses_had_one_signature(name, options, teacher, value, rows):
    """The same bits where they were measured; another machine may add in another order."""
    image_ids, ref_ids, logits, candidates = case()
    if name == "supervised":
        candidates = [c[:1] for c in candidates]
    judge = case(seed=1)[2] if teacher else None
    given = samples(image_ids, ref_ids, logits.requires_grad_(), candidates, step=StepSize(9, 20), judge=judge, epoch=2)
    found = losses.load_loss(name)(given, Options(pixel=PixelLoss((0.8, 1.2), 0.5), **options))
    assert found.value.item() == pytest.approx(float.fromhex(value), rel=1e-6)
    assert found.assignment.rows.tolist() == rows


@pytest.mark.parametrize(
    ("name", "train", "compat", "options"),
    [
        ("greedy_ce", {"class_weights": (0.5, 2.0)}, {}, Options(PixelLoss((0.5, 2.0)))),
        ("greedy_ce", {"dice_weight": 0.5}, {}, Options(PixelLoss(dice=0.5))),
        ("greedy_ce", {"prior_weight": 5.0}, {}, Options(prior=5.0)),
        ("greedy_ce", {"confidence_temperature": 0.1}, {}, Options(temperature=0.1)),
        ("greedy_ce", {"assignment": "optimal"}, {}, Options(optimal=True)),
        ("greedy_ce", {}, {"matching_double_count": True}, Options(double_count=True)),
        ("greedy_ce_contrastive", {"contrastive_weight": 0.5}, {}, Options(contrast=0.5)),
        ("random_ce", {"seed": 2}, {}, Options(seed=2)),
    ],
)
def test_every_setting_reaches_the_loss(name, train, compat, options):
    image_ids, ref_ids, logits, candidates = case(seed=2)
    image_ids[:] = 4
    given = samples(image_ids, ref_ids, logits.requires_grad_(), candidates)
    shares = tuple(np.linspace(0.0, 1.0, len(own)) for own in given.candidates.rows)
    given = replace(given, candidates=replace(given.candidates, prior=shares))
    loss = losses.load_loss(name)
    as_set = losses.chosen_loss(TrainSettings(loss=name, **train), CompatSettings(**compat))(given).value
    assert as_set == loss(given, options).value
    assert as_set != loss(given, Options()).value
    as_default = losses.chosen_loss(TrainSettings(loss=name), CompatSettings())(given).value
    assert as_default == loss(given, Options()).value


LOSS = """
from ssc_core.correct.losses import greedy_ce
from ssc_core.correct.matching import Assignment
import numpy as np, torch

def none(samples, options):
    return None

def constant(samples, options):
    return greedy_ce(samples, options)._replace(value=torch.zeros(()))

def a_vector(samples, options):
    return greedy_ce(samples, options)._replace(value=samples.logits)

def a_number(samples, options):
    return greedy_ce(samples, options)._replace(value=0.5)

def one_iou(samples, options):
    return greedy_ce(samples, options)._replace(soft_iou=torch.zeros(()))

def none_that_count(samples, options):
    return greedy_ce(samples, options)._replace(assignment=Assignment(np.full(6, -1), np.full(6, 1)))

def others(samples, options):
    return greedy_ce(samples, options)._replace(assignment=Assignment.once(np.full(6, 8)))

def too_few(samples, options):
    return greedy_ce(samples, options)._replace(assignment=Assignment.once(np.full(5, 0)))

def elsewhere(samples, options):  # as one that makes its own tensors, and was written on a CPU
    found = greedy_ce(samples, options)
    return found._replace(soft_iou=torch.empty(6, device="meta"))

class Half:
    def __call__(self, samples, options):
        found = greedy_ce(samples, options)
        return found._replace(value=found.value / 2)
"""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none", "none gave None, not ssc_core.correct.losses.MatchedLoss"),
        ("constant", "not a scalar tensor that depends on the logits"),
        ("a_vector", r"a tensor \(6, 2, 7, 5\) as value"),
        ("a_number", "a float as value, not a scalar tensor"),
        ("one_iou", r"a tensor \(\) as soft_iou, not a tensor \(6,\)"),
        ("none_that_count", "no candidates of their samples"),
        ("others", "no candidates of their samples"),
        ("too_few", r"not a NumPy array int64 \(6,\)"),
        ("elsewhere", "a soft_iou on meta; the logits are on cpu"),
        ("nowhere", "has no function 'nowhere'"),
    ],
)
def test_a_loss_that_breaks_its_contract_is_told_so(tmp_path, name, message):
    plugin = tmp_path / "mine.py"
    plugin.write_text(LOSS)
    image_ids, ref_ids, logits, candidates = case()
    given = samples(image_ids, ref_ids, logits.requires_grad_(), candidates)
    with pytest.raises(SscError, match=f"loss '.*mine.py:{name}'.*{message}"):
        losses.load_loss(f"{plugin}:{name}")(given, Options())
    half = losses.load_loss(f"{plugin}:Half")(given, Options())
    assert half.value.item() == pytest.approx(losses.greedy_ce(given).value.item() / 2)
