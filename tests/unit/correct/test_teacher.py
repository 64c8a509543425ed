from __future__ import annotations

import pytest
import torch

from ssc_core.correct.teacher import Teacher


def network(weight: float) -> torch.nn.Module:
    model = torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False), torch.nn.BatchNorm1d(1))
    torch.nn.init.constant_(model[0].weight, weight)
    return model


def test_the_average_by_hand() -> None:
    student = network(0.0)
    teacher = Teacher(student, decay=0.2)
    # the first step keeps 1 / 10 of the start, the second 2 / 11, which is still less than the decay
    for step, (weight, expected) in enumerate([(1.0, 0.9), (2.0, 0.9 * 2 / 11 + 2.0 * 9 / 11)]):
        torch.nn.init.constant_(student[0].weight, weight)
        student[1].running_mean.fill_(weight)
        student[1].num_batches_tracked += 1
        teacher.follow(student, step)
        assert teacher.network[0].weight.item() == pytest.approx(expected)
        assert teacher.network[1].running_mean.item() == pytest.approx(expected)
    assert teacher.network[1].num_batches_tracked.item() == 2
    late = teacher.network[0].weight.item()
    teacher.follow(student, 1000)
    assert teacher.network[0].weight.item() == pytest.approx(0.2 * late + 0.8 * 2.0)


def test_it_is_another_network_in_eval_mode_without_gradients() -> None:
    student = network(1.0).train()
    teacher = Teacher(student, decay=0.9)
    assert student.training
    assert not teacher.network.training
    assert not any(parameter.requires_grad for parameter in teacher.network.parameters())
    student[0].weight.data.fill_(5.0)
    assert teacher.network[0].weight.item() == 1.0
