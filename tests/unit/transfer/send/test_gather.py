"""What a *send* gathers: every file once, under one name, and every trouble at once."""

from __future__ import annotations

import os
import socket
import stat
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from packhorse.errors import NotFoundError, UsageError
from packhorse.transfer.send import gather
from packhorse.transfer.send.gather import local_file


def names(*paths: Path) -> list[str]:
    return [file.name for file in gather(paths)]


def test_names_are_relative_to_the_parent_of_a_given_folder(tmp_path: Path) -> None:
    (tmp_path / "run" / "reads" / "deep").mkdir(parents=True)
    (tmp_path / "run" / "a.txt").write_bytes(b"a")
    (tmp_path / "run" / "reads" / "deep" / "b.txt").write_bytes(b"bb")
    (tmp_path / "alone.txt").write_bytes(b"ccc")
    found = gather([tmp_path / "run", tmp_path / "alone.txt"])
    assert [(file.name, file.size) for file in found] == [
        ("alone.txt", 3),
        ("run/a.txt", 1),
        ("run/reads/deep/b.txt", 2),
    ]
    facts = (tmp_path / "alone.txt").stat()
    assert (found[0].mtime_ns, found[0].ino, found[0].dev) == (facts.st_mtime_ns, facts.st_ino, facts.st_dev)
    assert all(file.path.is_absolute() for file in found)


def test_home_dots_and_the_same_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "f").write_bytes(b"f")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path / "d" / "e")
    assert [file.name for file in gather(["~/d"])] == ["d/f"]
    assert [file.name for file in gather([".."])] == ["d/f"]
    assert [file.name for file in gather(["../f", "~/d/f", tmp_path / "d" / "f"])] == ["f"]


def test_empty_folders_are_noted(tmp_path: Path) -> None:
    (tmp_path / "d" / "empty").mkdir(parents=True)
    (tmp_path / "d" / "f").write_bytes(b"f")
    found = gather([tmp_path / "d"])
    assert [file.name for file in found] == ["d/f"]
    assert found.empty_folders == ["d/empty"]


def test_links_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    (tmp_path / "d" / "in").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "g").write_bytes(b"gg")
    (tmp_path / "d" / "f").write_bytes(b"f")
    (tmp_path / "d" / "in" / "up").symlink_to(tmp_path / "d")
    (tmp_path / "d" / "in" / "self").symlink_to(".")
    (tmp_path / "d" / "there").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "d" / "there-too").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "d" / "link").symlink_to(tmp_path / "d" / "f")
    found = gather([tmp_path / "d"])
    assert [file.name for file in found] == ["d/f", "d/link", "d/there-too/g", "d/there/g"]
    assert found.loops == ["d/in/self", "d/in/up"]


def test_everything_that_cannot_be_sent_is_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "good").write_bytes(b"x")
    (folder / "secret").write_bytes(b"x")
    (folder / "gone").symlink_to(tmp_path / "nowhere")
    os.mkfifo(folder / "pipe")
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        real = os.open

        def guarded(path: str | Path, flags: int, mode: int = 0o777) -> int:  # root may read everything
            if Path(path).name == "secret":
                raise PermissionError(13, "Permission denied")
            return real(path, flags, mode)

        monkeypatch.setattr(os, "open", guarded)
        with pytest.raises(UsageError) as caught:
            gather([folder])
    message = str(caught.value)
    for name in ("secret", "gone", "pipe", "socket"):
        assert str(folder / name) in message
    assert "good" not in message
    assert "Permission denied" in message
    assert "a pipe" in message


def test_a_missing_path_and_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="not-there"):
        gather([tmp_path / "not-there"])
    with pytest.raises(UsageError):
        gather([])


def test_two_files_of_one_name_are_both_named(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_bytes(folder.encode())
    with pytest.raises(UsageError) as caught:
        gather([tmp_path / "one" / "a.txt", tmp_path / "two" / "a.txt"])
    assert str(tmp_path / "one" / "a.txt") in str(caught.value)
    assert str(tmp_path / "two" / "a.txt") in str(caught.value)
    assert names(tmp_path / "one", tmp_path / "two") == ["one/a.txt", "two/a.txt"]


def test_names_are_composed_and_must_be_text(tmp_path: Path) -> None:
    (tmp_path / unicodedata.normalize("NFD", "Zürich.txt")).write_bytes(b"z")
    assert names(*tmp_path.iterdir()) == [unicodedata.normalize("NFC", "Zürich.txt")]
    bad = os.fsencode(tmp_path) + b"/bad\xff.txt"
    try:
        with open(bad, "wb") as file:
            file.write(b"x")
    except OSError:
        return  # this file system has no such names
    with pytest.raises(UsageError, match=r"bad\\xff"):
        gather([os.fsdecode(bad)])


def test_a_pipe_in_a_files_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="not a file"):
        local_file(tmp_path / "pipe", "pipe")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.from_regex(r"[a-c](/[a-c]){0,3}", fullmatch=True), st.binary(max_size=20), max_size=8))
def test_it_finds_what_is_there(tmp_path_factory: pytest.TempPathFactory, tree: dict[str, bytes]) -> None:
    root = tmp_path_factory.mktemp("tree") / "root"
    root.mkdir()
    expected: dict[str, int] = {}
    for name, content in tree.items():
        path = root / name
        if any((root / "/".join(name.split("/")[:depth])).is_file() for depth in range(1, name.count("/") + 2)):
            continue
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        expected[f"root/{name}"] = len(content)
    found = gather([root])
    assert {file.name: file.size for file in found} == expected
    assert all(stat.S_ISREG(file.path.stat().st_mode) for file in found)


def test_our_own_notes_in_a_folder_stay_here(tmp_path: Path) -> None:
    """What ``get`` wrote down beside the files it fetched is no part of them."""
    folder = tmp_path / "reads"
    (folder / ".packhorse").mkdir(parents=True)
    (folder / ".packhorse" / "ledger.1.log").write_text("x")
    (folder / "a.txt").write_text("y")
    assert [file.name for file in gather([folder])] == ["reads/a.txt"]
