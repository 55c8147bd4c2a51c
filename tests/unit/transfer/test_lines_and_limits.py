"""Half-written lines of journals and ledgers, and wishes for memory that are withdrawn."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from packhorse.model import Identity
from packhorse.transfer import journal as journals
from packhorse.transfer.journal import Journal, Owner, read_journal
from packhorse.transfer.lease import this_process
from packhorse.transfer.ledger import Ledger, LedgerEntry, read_ledger
from packhorse.transfer.limits import ByteBudget


class FullDisk:
    """``os.write`` of a disk that takes ``room`` more bytes, a few at a time."""

    def __init__(self, room: int) -> None:
        self.room = room
        self._write = os.write

    def __call__(self, descriptor: int, data: bytes) -> int:
        if self.room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = self._write(descriptor, bytes(data)[: min(7, self.room)])
        self.room -= taken
        return taken


def test_a_journal_line_behind_a_half_written_one_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal"
    journal = Journal(path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND))
    journal.open_with(this_process(), Identity("id", "x", 10), "r:k")
    with monkeypatch.context() as patch:
        patch.setattr(journals.os, "write", FullDisk(12))
        with pytest.raises(OSError, match="space"):
            journal.blocks([(0, 1)])
    journal.blocks([(1, 2)])
    journal.close()
    state = read_journal(path.read_bytes())
    assert state.blocks == {1: 2}
    assert isinstance(state.owner, Owner)


def test_a_ledger_line_behind_a_half_written_one_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(tmp_path)
    first, second, third = (
        LedgerEntry(path=name, size=1, mtime=2, inode=3, proof="size", placed=1.0) for name in ("a", "b", "c")
    )
    ledger.add([first], sync=False)
    with monkeypatch.context() as patch:
        patch.setattr(journals.os, "write", FullDisk(25))
        with pytest.raises(OSError, match="space"):
            ledger.add([second], sync=False)
    ledger.add([third], sync=False)
    ledger.close()
    assert set(read_ledger(tmp_path)) == {"a", "c"}


def test_a_withdrawn_wish_lets_the_next_one_pass() -> None:
    async def story() -> None:
        budget = ByteBudget(10)
        assert await budget.take(6) == 6
        large = asyncio.ensure_future(budget.take(8))
        small = asyncio.ensure_future(budget.take(4))
        await asyncio.sleep(0)
        assert not small.done()  # first come, first served
        large.cancel()
        assert await asyncio.wait_for(small, 1) == 4
        budget.give(4)
        budget.give(6)
        assert budget.free == 10

    asyncio.run(story())
