"""What a config may say of a file that is published."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from ssc_core.config.published_file import PublishedFile


@pytest.mark.parametrize(
    "url", ["https://files.example/a b.pth", "http://files.example/ü.pth", "ftp://x/a", "https://"]
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ValidationError, match="urls"):
        PublishedFile(path="weights/a.pth", urls=(url,))
