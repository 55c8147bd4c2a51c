"""What is left beside a placed file, and who may still need it."""

from __future__ import annotations

import os
from pathlib import Path

from packhorse.model import Identity
from packhorse.transfer.journal import Journal
from packhorse.transfer.lease import this_process
from packhorse.transfer.sweep import sweep


def journal_of(path: Path) -> Journal:
    return Journal(path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND))


def test_a_journal_without_a_name_is_removed(tmp_path: Path) -> None:
    """Its process was killed between creating it and saying whose it is."""
    target = tmp_path / "a.bin"
    target.write_bytes(b"x")
    (tmp_path / "a.bin.0123abcd.part.1").touch()
    sweep([target])
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_a_living_owner_keeps_its_part(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    target.write_bytes(b"x")
    (tmp_path / "a.bin.0123abcd.part").write_bytes(b"half")
    journal = journal_of(tmp_path / "a.bin.0123abcd.part.1")
    journal.open_with(this_process(), Identity("id", "1", 10), "r:k")
    sweep([target])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", "a.bin.0123abcd.part", "a.bin.0123abcd.part.1"]
    journal.release("done")
    journal.close()
    sweep([target])
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]
