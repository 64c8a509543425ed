"""What a config may say of a file that is published."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from ssc_core.config.published_file import PublishedFile, Unpack


@pytest.mark.parametrize(
    "url", ["https://files.example/a b.pth", "http://files.example/ü.pth", "ftp://x/a", "https://"]
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ValidationError, match="urls"):
        PublishedFile(path="weights/a.pth", urls=(url,))


@pytest.mark.parametrize("path", ["data/x.tar.xz", "data/x.7z", "data/zip"])
def test_what_cannot_be_unpacked_is_refused_before_it_is_fetched(path: str) -> None:
    with pytest.raises(ValidationError, match=f"{path} cannot be unpacked, only .zip, "):
        PublishedFile.model_validate({"path": path, "unpack": {"to": "data", "holds": ["a"]}})


@pytest.mark.parametrize("path", ["x.zip", "data/X.ZIP", "x.whl", "x.tar", "x.Tar.gz", "x.tgz"])
def test_what_can_be_unpacked(path: str) -> None:
    PublishedFile.model_validate({"path": path, "unpack": {"to": "data", "holds": ["a"]}})


@pytest.mark.parametrize(
    ("strip", "folder"), [("", ""), (".", ""), ("./data", "data"), ("/data/", "data"), ("a/./b//c", "a/b/c")]
)
def test_a_folder_in_an_archive_is_written_as_the_names_of_its_files_are(strip: str, folder: str) -> None:
    assert Unpack(to="data", holds=("a",), strip=strip).strip == folder


@pytest.mark.parametrize("strip", ["../data", "a\\b"])
def test_a_folder_that_is_in_no_archive(strip: str) -> None:
    with pytest.raises(ValidationError, match="must be a folder in the archive"):
        Unpack(to="data", holds=("a",), strip=strip)
