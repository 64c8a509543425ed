from __future__ import annotations

import pytest
import torch

from ssc_core.errors import SscError
from ssc_core.torch_runtime import ShrinkingBatches, pick_bf16


def test_batches_and_order():
    seen = []
    run = ShrinkingBatches(3, "things")
    assert run(range(8), lambda items: seen.append(len(items)) or [2 * i for i in items]) == [2 * i for i in range(8)]
    assert seen == [3, 3, 2]


def test_the_size_is_halved_for_good_and_nothing_is_lost(caplog):
    def two_at_most(items):
        if len(items) > 2:
            raise torch.OutOfMemoryError("full")
        return list(items)

    run = ShrinkingBatches(9, "things")
    assert run(range(7), two_at_most) == list(range(7))
    assert run.size == 2 and caplog.text.count("out of memory") == 2


def test_one_that_does_not_fit_is_an_error():
    def never(items):
        raise torch.OutOfMemoryError("full")

    with pytest.raises(SscError, match="not even one fits"):
        ShrinkingBatches(4, "things")([1], never)


def test_other_errors_are_not_swallowed():
    def broken(items):
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        ShrinkingBatches(4, "things")([1], broken)


def test_a_batch_of_nothing_is_an_error():
    with pytest.raises(SscError, match="less than 1"):
        ShrinkingBatches(0, "things")


def test_bf16_is_for_gpus_unless_asked_for():
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert [pick_bf16("auto", cpu), pick_bf16("auto", gpu), pick_bf16("fp32", gpu)] == [False, True, False]
    assert pick_bf16("bf16", cpu)
    with pytest.raises(SscError, match="precision 'fp16' is none of auto, fp32, bf16"):
        pick_bf16("fp16", cpu)


@pytest.mark.parametrize("able", [{"avx512_bf16": True}, {"amx_bf16": True}, {}])
def test_what_is_trained_on_a_cpu_does_not_depend_on_its_instructions(
    monkeypatch: pytest.MonkeyPatch, able: dict
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert not pick_bf16("auto", torch.device("cpu"), native=True)
