"""For tests that edit code: what `ssc_core.provenance` remembers of it for as long as a process lives."""

from __future__ import annotations

from ssc_core import provenance


def forget_digests() -> None:
    for function in (provenance.code_version, provenance._read_module, provenance._find_module):
        function.cache_clear()
