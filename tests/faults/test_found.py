"""What chaos found, each as a small test of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import pytest
from msgspec.structs import replace

from packhorse.testing.faults import Busy, Cut, Dribble, FaultServer, GeneratedFile, Rule, Schedule
from packhorse.testing.portal import fetch, item_for
from packhorse.transfer.events import Retried
from packhorse.transfer.journal import Journal, Owner, read_journal
from packhorse.transfer.lease import this_process
from packhorse.transfer.part import Part, Piece
from packhorse.transfer.paths import part_name


def test_a_server_without_conditions_is_not_asked_for_the_bytes_again(tmp_path: Path) -> None:
    """It knows no If-None-Match, but its strong tag says that the object is what was placed."""
    file = GeneratedFile(5_000_000, seed=3)
    with FaultServer({"a.bin": file}) as server:
        for _ in range(2):
            outcome, _, network = fetch(server, [item_for("a.bin", file, "nothing")], tmp_path)
            assert int(outcome.exit_code) == 0, outcome.failed
        assert outcome.placed[0].reused
        assert network.received < 256 * 1024


@pytest.mark.parametrize("size", [500_000, 8_000_000], ids=["small", "large"])
def test_a_wait_that_is_asked_for_is_kept_even_if_the_refusal_is_cut(tmp_path: Path, size: int) -> None:
    """The head of a 429 says all; that its body broke off does not make it a broken connection."""
    file = GeneratedFile(size, seed=4)
    schedule = Schedule.of(Busy(1, "seconds", 429), Cut(at=0.5))
    with FaultServer({"a.bin": file}, schedule) as server:
        outcome, events, _ = fetch(server, [item_for("a.bin", file, "digest")], tmp_path)
        assert int(outcome.exit_code) == 0, outcome.failed
        assert server.requests()[0].faults == ("Busy", "Cut")
        assert not server.impatient
    assert [event.why for event in events if isinstance(event, Retried)] == ["http-429"]


def test_what_a_process_left_that_died_while_it_placed_is_removed(tmp_path: Path) -> None:
    """The file has its name and is in the ledger; the part's name and the journals were not removed yet."""
    file = GeneratedFile(3_000_000, seed=5)
    item = item_for("a.bin", file, "digest")
    assert item.identity is not None
    part = tmp_path / part_name("a.bin", item.identity.short)
    with FaultServer({"a.bin": file}) as server:
        assert int(fetch(server, [item], tmp_path)[0].exit_code) == 0
        os.link(tmp_path / "a.bin", part)
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait(30)
        for owner, left in ((this_process(), 2), (owner_of(gone.pid), 0)):
            path = part.with_name(f"{part.name}.1")
            path.unlink(missing_ok=True)
            journal = Journal(path, os.open(path, os.O_WRONLY | os.O_CREAT))
            journal.open_with(owner, item.identity, "faulty:a.bin")
            journal.close()
            outcome, _, _ = fetch(server, [item], tmp_path)
            assert outcome.placed[0].reused
            assert len(list(tmp_path.glob("*.part*"))) == left, "a living owner's are left, a dead one's are not"
    assert (tmp_path / "a.bin").read_bytes() == file.read()


def owner_of(pid: int) -> Owner:
    return replace(this_process(), pid=pid, started="")


def test_who_lost_the_lease_removes_nothing(tmp_path: Path) -> None:
    """Also when the object changes at the server: the part file is the new owner's now."""
    file = GeneratedFile(6_000_000, seed=6)

    def take_over() -> None:
        while not (first := list(tmp_path.glob("*.part.1"))) or not read_journal(first[0].read_bytes()).blocks:
            time.sleep(0.002)
        first[0].with_suffix(".2").touch()
        server.replace("a.bin", GeneratedFile(6_000_000, seed=7))
        server.cut_all()

    with FaultServer({"a.bin": file}, Schedule.of(Rule(Dribble(1_500_000), times=None))) as server:
        thread = threading.Thread(target=take_over)
        thread.start()
        outcome, _, _ = fetch(server, [item_for("a.bin", file, "nothing")], tmp_path)
        thread.join(30)
    assert [failed.error.code for failed in outcome.failed] == ["busy"]
    assert len(list(tmp_path.glob("*.part"))) == 1
    assert len(list(tmp_path.glob("*.part.2"))) == 1
    assert not (tmp_path / "a.bin").exists()


def test_a_block_that_two_pieces_wrote_is_held_as_well(tmp_path: Path) -> None:
    """Idle hands take over the second half of what is left of a piece, in the middle of a block. Nobody journalled such
    blocks, and what was whole had to come again."""
    journal = Journal(tmp_path / "j", os.open(tmp_path / "j", os.O_RDWR | os.O_CREAT))
    part = Part.open(tmp_path / "p", 3 * 2**20, journal)
    data = os.urandom(3 * 2**20)
    first = Piece(part, 0, 3 * 2**20)
    first.take(data[: 2**19])
    second = first.split(0.0)
    assert second is not None
    third = second.split(0.0)
    assert third is not None
    assert first.stop is not None
    assert first.stop % 2**20
    for piece in (third, first, second):
        assert piece.stop is not None
        for at in range(piece.reached, piece.stop, 10_000):
            piece.take(data[at : min(at + 10_000, piece.stop)])
    part.close()
    journal.close()
    held = read_journal((tmp_path / "j").read_bytes()).blocks
    assert held == {index: zlib.crc32(data[index * 2**20 : (index + 1) * 2**20]) for index in range(3)}
