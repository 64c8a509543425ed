from __future__ import annotations

import gc
from contextlib import nullcontext

import pytest

from ssc_core.quick_import import without_collector


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_the_collector_is_afterwards_as_it_was(enabled, fails):
    was = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        with pytest.raises(ValueError) if fails else nullcontext(), without_collector():
            assert not gc.isenabled()
            if fails:
                raise ValueError
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if was else gc.disable)()
