"""huey, made to lose nothing: a job that was taken is kept under a lease until it is done.

huey deletes a task when a worker takes it, so a kill would lose it. Here taking moves it to the table ``claims`` with
a time limit, which the owner keeps pushing ahead; what is overdue goes back to the queue. Moves are one transaction
each. Tasks are kept as JSON, never pickled: whoever can write the queue must not be able to run code.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from huey.api import Huey
from huey.consumer import Consumer, Worker
from huey.registry import Message
from huey.serializer import Serializer
from huey.storage import SqliteStorage

__all__ = ["Queue", "QueueConsumer"]

log = logging.getLogger("packhorse.server")

_CLAIMS: Final = (
    "create table if not exists claims (id integer not null primary key, queue text not null, data blob not null, "
    "priority real not null, owner text not null, until real not null)"
)
_LATE: Final = 60
"""Seconds that a process may have waited for the database."""
_TICKS: Final = "create table if not exists ticks (name text not null primary key, due real not null)"


class _Json(Serializer):  # type: ignore[misc] # huey has no types
    """The parts of a huey message that we use, as JSON."""

    def _serialize(self, data: Message) -> bytes:
        eta = data.eta.isoformat() if data.eta else None
        kept = {"id": data.id, "name": data.name, "eta": eta, "retries": data.retries, "kwargs": data.kwargs}
        return json.dumps(kept, separators=(",", ":")).encode()

    def _deserialize(self, data: bytes) -> Message:
        kept = json.loads(bytes(data))
        eta = datetime.fromisoformat(kept["eta"]) if kept["eta"] else None
        return Message(kept["id"], kept["name"], eta, kept["retries"], 0, None, (), kept["kwargs"])


class _Leased(SqliteStorage):  # type: ignore[misc] # huey has no types
    """SQLite storage whose tasks are claimed, not deleted. One object per process; threads share its connection."""

    ddl: Final = [*SqliteStorage.ddl, _CLAIMS, _TICKS]

    def __init__(self, name: str = "huey", *, lease: float = 30, **options: Any) -> None:
        self.lease = lease
        self.owner = secrets.token_hex(8)
        self._held = threading.local()
        super().__init__(name, **options)

    def dequeue(self) -> bytes | None:
        """The next task, claimed by this thread until :meth:`settle`."""
        self._held.claim = None
        if not self.sql("select 1 from task where queue = ? limit 1", (self.name,), results=True):
            return None
        with self.db(commit=True) as cursor:
            cursor.execute(
                "select id, data, priority from task where queue = ? order by priority desc, id limit 1", (self.name,)
            )
            found = cursor.fetchone()
            if found is None:
                return None
            number, data, priority = found
            cursor.execute("delete from task where id = ?", (number,))
            cursor.execute(
                "insert into claims (queue, data, priority, owner, until) values (?, ?, ?, ?, ?)",
                (self.name, data, priority, self.owner, time.time() + self.lease),
            )
            claim = cursor.lastrowid
        self._held.claim = claim
        return bytes(data)

    def settle(self) -> None:
        """This thread's task is dealt with."""
        claim = getattr(self._held, "claim", None)
        if claim is not None:
            self._held.claim = None
            self.sql("delete from claims where id = ? and owner = ?", (claim, self.owner), commit=True)

    def renew(self) -> None:
        """Push the limits of this process's claims ahead."""
        self.sql("update claims set until = ? where owner = ?", (time.time() + self.lease, self.owner), commit=True)

    def reclaim(self) -> int:
        """Put back what nobody works on any more; how many."""
        overdue = "from claims where queue = ? and until < ?"
        given = (self.name, time.time())
        if not self.sql(f"select 1 {overdue} limit 1", given, results=True):
            return 0
        with self.db(commit=True) as cursor:
            cursor.execute(f"insert into task (queue, data, priority) select queue, data, priority {overdue}", given)
            cursor.execute(f"delete {overdue}", given)
            return int(cursor.rowcount)

    def read_schedule(self, ts: datetime) -> list[bytes]:
        """Move what is due into the queue at once; huey would hold it in memory meanwhile, where a kill loses it."""
        due = "from schedule where queue = ? and timestamp <= ?"
        given = (self.name, ts.timestamp())
        if self.sql(f"select 1 {due} limit 1", given, results=True):
            with self.db(commit=True) as cursor:
                cursor.execute(
                    f"insert into task (queue, data, priority) select queue, data, 0 {due} order by timestamp, id",
                    given,
                )
                cursor.execute(f"delete {due}", given)
        return []

    def tick(self, name: str, seconds: float, data: bytes) -> bool:
        """Queue a periodic task if it is due; of several processes one does."""
        now = time.time()
        with self.db(commit=True) as cursor:
            cursor.execute("insert or ignore into ticks (name, due) values (?, ?)", (name, now))
            # A limit far further away than the period was set by a longer one, or by a clock that went wrong. Not a
            # moment further: who waited for the database has an older "now" than who was first.
            cursor.execute(
                "update ticks set due = ? where name = ? and (due <= ? or due > ?)",
                (now + seconds, name, now, now + seconds + _LATE),
            )
            if not cursor.rowcount:
                return False
            cursor.execute("insert into task (queue, data, priority) values (?, ?, 0)", (self.name, data))
            return True


class Queue(Huey):  # type: ignore[misc] # huey has no types
    """A huey over :class:`_Leased`, which wakes its workers when something is queued here."""

    def __init__(self, path: Path, *, lease: float) -> None:
        self.wake = threading.Event()
        super().__init__(
            "packhorse",
            results=False,
            serializer=_Json(),
            storage_class=_Leased,
            filename=str(path),
            lease=lease,
            timeout=10,
        )

    def dequeue(self) -> Any:
        data = self.storage.dequeue()
        if data is None:
            return None
        try:
            return self.deserialize_task(data)
        except Exception:
            log.exception("a queued job cannot be read; it is dropped")
            self.storage.settle()
            return None

    def execute(self, task: Any, timestamp: datetime | None = None) -> None:
        super().execute(task, timestamp)
        self.storage.settle()  # not when that raised: then the lease runs out and the job is done again


class _Worker(Worker):  # type: ignore[misc] # huey has no types
    def sleep(self) -> None:
        if not self.stop_flag.is_set():
            self.huey.wake.wait(min(self.delay, self.max_delay))
            self.huey.wake.clear()
        self.delay *= self.backoff


class QueueConsumer(Consumer):  # type: ignore[misc] # huey has no types
    """Worker and scheduler threads inside another program, whose signals are its own."""

    worker_class = _Worker

    def _set_signal_handlers(self) -> None:
        pass
