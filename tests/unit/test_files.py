from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ssc_core.errors import SscError
from ssc_core.files import atomic_path, check_writable, read_json, write_json, write_json_lists


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(RuntimeError, match="stop"), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("stop")
    assert read_json(path) == {"a": 1}
    assert [p.name for p in path.parent.iterdir()] == ["a.json"]


def test_a_killed_writer_leaves_no_output(tmp_path: Path) -> None:
    code = (
        "import os, signal; from pathlib import Path; from ssc_core.files import atomic_path\n"
        f"with atomic_path(Path({str(tmp_path / 'out')!r})) as t:\n"
        "    t.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_disk_errors_say_what_to_do(tmp_path: Path, code: int) -> None:
    with pytest.raises(SscError, match=r"cannot write .*out: "), atomic_path(tmp_path / "out"):
        raise OSError(code, os.strerror(code))


def test_a_drive_error_shows_through_the_error_of_a_library(tmp_path: Path) -> None:
    with pytest.raises(SscError, match="free some space"), atomic_path(tmp_path / "out"):
        try:
            raise OSError(errno.ENOSPC, "full")
        except OSError:
            raise RuntimeError("unexpected pos 704 vs 598")  # noqa: B904  (as torch.save does)


def test_an_error_that_is_already_for_people_stays(tmp_path: Path) -> None:
    with pytest.raises(SscError, match="photo 7"), atomic_path(tmp_path / "out"):
        raise SscError("photo 7 cannot be read") from PermissionError(errno.EACCES, "no")


def test_not_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "a.json", float("nan"))
    (tmp_path / "b.json").write_text('{"a": ')
    with pytest.raises(SscError, match="not valid JSON"):
        read_json(tmp_path / "b.json")
    with pytest.raises(SscError, match="does not exist"):
        read_json(tmp_path / "c.json")


def test_a_folder_that_can_be_made_can_be_written(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "deep")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)  # root may write everywhere
    with pytest.raises(SscError, match=rf"cannot write to {tmp_path}: .*`results:`"):
        check_writable(tmp_path / "new" / "deep")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "has the key 'c' twice"),
        ("9" * 5000, "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("{", "not valid JSON"),
    ],
)
def test_json_of_strangers_is_an_error_that_names_the_file(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(SscError, match=rf"a\.json .*{message}|a\.json {message}"):
        read_json(tmp_path / "a.json")


def test_lists_are_written_as_one_piece_would_be(tmp_path: Path) -> None:
    content = {"images": [{"id": 1, "name": "ä\nb"}, {"id": 2, "boxes": [[1, 2], []]}], "none": [], "classes": [{}]}
    write_json(tmp_path / "whole.json", content)
    entries = [("classes", {}), *(("images", one) for one in content["images"])]
    write_json_lists(tmp_path / "lists.json", list(content), entries)
    assert (tmp_path / "lists.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        write_json_lists(tmp_path / "bad.json", ["a"], [("a", float("nan"))])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lists.json", "whole.json"]
