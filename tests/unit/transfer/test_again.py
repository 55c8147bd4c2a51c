"""The same *get* again: what is there already, what changed, what an earlier run left."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from packhorse.model import Item, ProofLevel
from packhorse.testing import faults as f
from packhorse.testing.portal import fetch, item_for
from packhorse.transfer.status import interrupted

MIB = 1 << 20
NAME = "reads.gz"
ALWAYS = None


def always(*faults: f.Fault) -> f.Schedule:
    return f.Schedule.of(*(f.Rule(fault, times=None) for fault in faults))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != ".packhorse")


@pytest.mark.parametrize("size", [5000, 3 * MIB + 5])
@pytest.mark.parametrize("knowledge", ["digest", "md5", "id"])
def test_what_is_proven_is_not_asked_for(tmp_path: Path, size: int, knowledge: str) -> None:
    file = f.GeneratedFile(size)
    with f.FaultServer({NAME: file}) as server:
        fetch(server, [item_for(NAME, file, knowledge)], tmp_path)
        asked = len(server.log)
        outcome, events, _ = fetch(server, [item_for(NAME, file, knowledge)], tmp_path)
        assert len(server.log) == asked
    assert outcome.exit_code == 0
    assert outcome.placed[0].reused
    assert outcome.placed[0].proof.level == {"digest": "sha256", "md5": "md5", "id": "size"}[knowledge]
    assert names(tmp_path) == [NAME]
    assert [type(event).__name__ for event in events if type(event).__name__ != "Progress"] == [
        "Started",
        "Placed",
        "Summary",
    ]


@pytest.mark.parametrize("size", [5000, 3 * MIB + 5])
@pytest.mark.parametrize("mood", [[], [f.NoETag()], [f.WeakETag()]])
def test_a_server_that_knows_no_conditions_says_by_its_tags_that_nothing_changed(
    tmp_path: Path, size: int, mood: list[f.Fault]
) -> None:
    file = f.GeneratedFile(size)
    with f.FaultServer({NAME: file}, always(*mood)) as server:
        fetch(server, [Item("faulty", NAME, NAME)], tmp_path)
        asked = len(server.log)
        outcome, _, _ = fetch(server, [Item("faulty", NAME, NAME)], tmp_path)
        assert outcome.placed[0].reused
        assert server.log[asked].header("if-none-match" if mood != [f.NoETag()] else "if-modified-since")
        server.replace(NAME, f.GeneratedFile(size, 1))
        outcome, _, _ = fetch(server, [Item("faulty", NAME, NAME)], tmp_path)
        assert [failed.error.code for failed in outcome.failed] == ["destination"]
        assert (tmp_path / NAME).read_bytes() == file.read()
        outcome, _, _ = fetch(server, [Item("faulty", NAME, NAME)], tmp_path, overwrite=True)
        assert not outcome.placed[0].reused
    assert (tmp_path / NAME).read_bytes() == f.GeneratedFile(size, 1).read()


@pytest.mark.parametrize("size", [5000, 3 * MIB + 5])
def test_overwrite_means_what_is_there_now_where_nothing_tells_versions_apart(tmp_path: Path, size: int) -> None:
    with f.FaultServer({NAME: f.GeneratedFile(size)}, always(f.NoETag(), f.NoLastModified())) as server:
        item = Item("faulty", NAME, NAME)
        fetch(server, [item], tmp_path)
        server.replace(NAME, f.GeneratedFile(size, 1))
        outcome, _, _ = fetch(server, [item], tmp_path, overwrite=True)
    assert not outcome.placed[0].reused
    assert (tmp_path / NAME).read_bytes() == f.GeneratedFile(size, 1).read()


def test_the_last_block_of_what_nobody_vouches_for_is_compared(tmp_path: Path) -> None:
    old, new = f.GeneratedFile(6 * MIB), f.GeneratedFile(6 * MIB, 1)
    schedule = f.Schedule.of(
        f.Rule(f.NoETag(), times=None),
        f.Rule(f.NoLastModified(), times=None),
        f.Rule(f.Cut(3 * MIB), nth=2, times=None, ranged=True),
    )
    item = Item("faulty", NAME, NAME)
    with f.FaultServer({NAME: old}, schedule) as server:
        outcome, _, _ = fetch(server, [item], tmp_path, retries=0, connections=1)
        assert outcome.failed[0].resumable
        [left] = interrupted(tmp_path)
        assert MIB < left.held < 6 * MIB
    with f.FaultServer({NAME: new}, always(f.NoETag(), f.NoLastModified())) as server:
        outcome, events, _ = fetch(server, [item], tmp_path)
    assert (tmp_path / NAME).read_bytes() == new.read()
    assert outcome.placed[0].proof.level is ProofLevel.SIZE
    assert "changed" in [event.why for event in events if type(event).__name__ == "Retried"]  # type: ignore[attr-defined]


def leave_a_part(folder: Path, size: int, knowledge: str) -> None:
    file = f.GeneratedFile(size, 9)
    with f.FaultServer({NAME: file}, f.Schedule.of(f.Rule(f.Cut(0.5), times=None))) as server:
        fetch(server, [item_for(NAME, file, knowledge)], folder, retries=0, connections=1)
    assert [name for name in names(folder) if name.endswith(".part")]


@pytest.mark.parametrize("size", [5000, 3 * MIB + 5])
def test_what_is_left_of_another_version_goes_when_the_file_is_placed(tmp_path: Path, size: int) -> None:
    leave_a_part(tmp_path, 4 * MIB, "digest")
    (tmp_path / "other.gz.01234567.part").write_bytes(b"of another file")
    file = f.GeneratedFile(size)
    with f.FaultServer({NAME: file}) as server:
        fetch(server, [item_for(NAME, file, "digest")], tmp_path)
    assert names(tmp_path) == ["other.gz.01234567.part", NAME]


def test_what_another_process_is_fetching_is_left_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_a_part(tmp_path, 4 * MIB, "digest")
    before = names(tmp_path)
    [journal] = tmp_path.glob("*.part.1")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(line for line in lines if not line.startswith(b'["r"')))
    file = f.GeneratedFile(5000)
    with f.FaultServer({NAME: file}) as server:
        fetch(server, [item_for(NAME, file, "digest")], tmp_path)
    assert names(tmp_path) == sorted([NAME, *before])
    assert [left.running for left in interrupted(tmp_path)] == [True]


def test_a_file_that_is_there_by_chance_is_adopted_by_its_digest_and_by_nothing_else(tmp_path: Path) -> None:
    file = f.GeneratedFile(2 * MIB)
    (tmp_path / NAME).write_bytes(file.read())
    with f.FaultServer({NAME: file}) as server:
        outcome, _, _ = fetch(server, [item_for(NAME, file, "id")], tmp_path)
        assert outcome.exit_code == 1
        outcome, _, _ = fetch(server, [item_for(NAME, file, "digest")], tmp_path)
        assert outcome.placed[0].reused
        assert not server.log
        os.utime(tmp_path / NAME, (1, time.time()))
        (tmp_path / NAME).write_bytes(bytes(2 * MIB))
        outcome, _, _ = fetch(server, [item_for(NAME, file, "digest")], tmp_path)
        assert outcome.exit_code == 1
        assert not server.log
    assert (tmp_path / NAME).read_bytes() == bytes(2 * MIB)


def test_a_journal_that_is_missing_in_the_row_holds_nobody_up(tmp_path: Path) -> None:
    leave_a_part(tmp_path, 4 * MIB, "digest")
    leave_a_part(tmp_path, 4 * MIB, "digest")
    [first] = tmp_path.glob("*.part.1")
    assert first.with_suffix(".2").exists()
    first.unlink()
    file = f.GeneratedFile(4 * MIB, 9)
    with f.FaultServer({NAME: file}) as server:
        outcome, _, _ = fetch(server, [item_for(NAME, file, "digest")], tmp_path)
    assert outcome.exit_code == 0
    assert outcome.placed[0].kept >= MIB
    assert names(tmp_path) == [NAME]
