from __future__ import annotations

import pytest
import torch

from ssc_core.errors import SscError
from ssc_core.torch_runtime import pick_device, resolve_device


@pytest.mark.parametrize("pick", [resolve_device, lambda device: pick_device(device, 1)])
def test_a_gpu_that_is_not_there_is_one_message(monkeypatch: pytest.MonkeyPatch, pick) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick("auto") == pick("cpu") == torch.device("cpu")
    with pytest.raises(SscError, match="torch sees no GPU"):
        pick("cuda")
