"""The lease of an upload: of two processes that mean the same one, one sends it."""

from __future__ import annotations

from concurrent.futures import Executor
from functools import partial
from pathlib import Path

from packhorse.errors import BusyError
from packhorse.model import Identity
from packhorse.transfer.events import EventHandler, Retried
from packhorse.transfer.journal import Owner
from packhorse.transfer.lease import Lease, this_process
from packhorse.transfer.send.journal import journal_error
from packhorse.transfer.tries import blocking

__all__ = ["hold"]


async def hold(path: Path, key: str, pool: Executor, emit: EventHandler) -> Lease:
    """The lease of an upload. Raises :class:`BusyError` when another process has it, or had it and is done."""
    was_there = path.exists()

    def waiting(owner: Owner | None) -> None:
        who = f"process {owner.pid} on {owner.host}" if owner else "another process"
        me = this_process()
        if owner is not None and (owner.host, owner.boot, owner.space) == (me.host, me.boot, me.space):
            raise BusyError(f"{who} is sending it now", hint="packhorse status")
        emit(Retried(path="", attempt=0, delay=0.0, why="busy", detail=f"{who} may be sending it; waiting"))

    lease: Lease | None = None
    try:
        await blocking(pool, partial(path.parent.mkdir, 0o700, parents=True, exist_ok=True))
        lease = await Lease.take(path, waiting=waiting, settled=lambda: was_there and not path.exists())
        if lease is None:
            raise BusyError("another process has just sent it", hint="the same command shows its links")
        if was_there and not path.exists():
            lease.clear()
            raise BusyError("another process has just sent it", hint="the same command shows its links")
        lease.journal.open_with(this_process(), Identity("id", key), "")
    except OSError as error:
        if lease is not None:
            lease.withdraw()  # on a full disk it has no name, and the next process would wait for whoever that is
        raise journal_error(error, path) from None
    return lease
