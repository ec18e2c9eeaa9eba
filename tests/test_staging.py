"""Files that appear together: whole, their owner's alone, or not at all."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from jhe_server.errors import Invalid
from jhe_server.staging import staged


def there(folder: Path) -> dict[str, str]:
    return {one.name: one.read_text() for one in folder.iterdir() if one.is_file()}


def write(folder: Path, text: str, *names: str) -> None:
    with staged(folder) as fresh:
        for name in names:
            fresh(name).write(text.encode())


def test_nothing_is_there_under_its_name_before_everything_is(tmp_path: Path) -> None:
    write(tmp_path, "old", "a", "b")
    with staged(tmp_path) as fresh:
        fresh("a").write(b"new")
        fresh("b").write(b"new")
        assert {name: text for name, text in there(tmp_path).items() if name in "ab"} == {"a": "old", "b": "old"}
    assert there(tmp_path) == {"a": "new", "b": "new"}


def broken_off(folder: Path, how: BaseException | None = None) -> None:
    with staged(folder) as fresh:
        fresh("a").write(b"new")
        if how is not None:
            raise how
        with Path("/dev/full").open("wb", buffering=0) as full:
            full.write(b"new")


@pytest.mark.parametrize("how", [ValueError(), KeyboardInterrupt()])
def test_what_is_broken_off_leaves_the_earlier_files_and_no_others(tmp_path: Path, how: BaseException) -> None:
    write(tmp_path, "old", "a")
    with pytest.raises(type(how)):
        broken_off(tmp_path, how)
    assert there(tmp_path) == {"a": "old"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the device that is always full is Linux's")
def test_a_disk_that_takes_no_more_is_said_in_a_sentence(tmp_path: Path) -> None:
    write(tmp_path, "old", "a")
    with pytest.raises(Invalid) as refusal:
        broken_off(tmp_path)
    assert refusal.value.detail == f"{tmp_path} cannot be written: No space left on device."
    assert there(tmp_path) == {"a": "old"}


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_folder_in_the_place_of_a_file_stops_both(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(Invalid, match="Is a directory"):
        write(tmp_path, "new", "a", "b")
    assert there(tmp_path) == {}


def test_files_are_their_owners_alone(tmp_path: Path) -> None:
    write(tmp_path / "made", "new", "a")
    modes = [stat.S_IMODE(one.stat().st_mode) for one in (tmp_path / "made", tmp_path / "made" / "a")]
    assert modes == [0o700, 0o600]
