"""The faulty server itself: listeners, files, tokens, the log, and the composition of an answer."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, unquote

from packhorse.testing.faults.answers import Entity, answer
from packhorse.testing.faults.base import Fault
from packhorse.testing.faults.connection import Connection
from packhorse.testing.faults.content import Content, as_content
from packhorse.testing.faults.listeners import Listeners
from packhorse.testing.faults.log import CutRecord, Record
from packhorse.testing.faults.message import Ask, Reply
from packhorse.testing.faults.parts import PartStore
from packhorse.testing.faults.schedule import Running, Schedule

Tokens = Collection[str] | Callable[[str], bool]
Route = Callable[[Ask], Reply]


class FaultServer:
    """A loopback HTTP/1.1 server that goes wrong on schedule. Use it as a context manager.

    ``files`` maps paths (with or without the leading slash) to bytes or `GeneratedFile`. ``bearer`` is the one token
    that is accepted; ``tokens`` several, as a collection (which may be changed meanwhile) or a function of the token;
    with neither, no token is needed. ``routes`` maps paths to functions that answer in place of a file, without the
    check of tokens. ``store`` takes uploads in parts. ``tls`` serves https with a certificate of its own: ``ca_file``
    is what a client has to trust. ``send_buffer`` bounds what the kernel holds unsent for each connection (None: the
    system's choice), so that the log says closely what left.

    Every path is served on two origins, ``url`` and ``other_url``; the second needs no token, like a signed URL.
    """

    def __init__(
        self,
        files: Mapping[str, bytes | Content],
        schedule: Schedule | None = None,
        seed: int = 0,
        bearer: str | None = None,
        tls: bool = False,
        *,
        tokens: Tokens | None = None,
        routes: Mapping[str, Route] | None = None,
        store: PartStore | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        send_buffer: int | None = 256 * 1024,
    ) -> None:
        self.log: list[Record] = []
        self.cuts: list[CutRecord] = []
        self.store = store
        self.tokens: Tokens | None = tokens if bearer is None else {bearer}
        self.ca_file: Path | None = None
        self.context: ssl.SSLContext | None = None
        self.stopped = threading.Event()
        self._tls, self._host = tls, host
        self._running = Running(schedule or Schedule(), seed)
        self._files = {_key(path): (as_content(content), 0) for path, content in files.items()}  # content, version
        self._routes = {_key(path): route for path, route in (routes or {}).items()}
        self._revoked: set[str | None] = set()
        self._held: dict[tuple[str, str], float] = {}
        self._numbers, self._counter = itertools.count(1), itertools.count(1)
        self._connections: set[Connection] = set()
        self._listeners = Listeners(host, {"main": port, "other": 0}, send_buffer, self._take)
        self._lock = threading.RLock()
        self._began = time.monotonic()
        self._cleanup = contextlib.ExitStack()

    # -- life ------------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Listen. Raises OSError if the port is taken."""
        if self._tls:
            from packhorse.testing.faults.tls import server_context

            folder = self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="packhorse-faults-"))
            self.context, self.ca_file = server_context(Path(folder), self._host)
        try:
            self._listeners.start()
        except OSError:
            self._cleanup.close()
            raise
        return self

    def close(self) -> None:
        """End every connection and free everything; returns when no thread of the server is left."""
        self.stopped.set()
        self._listeners.close()
        for connection in self._open():
            connection.sever("server closed")
        for connection in self._open():
            connection.join(10)
        self._cleanup.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- where -----------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end."""
        return self.origin_url("main")

    @property
    def other_url(self) -> str:
        """The base URL of the second origin (another port)."""
        return self.origin_url("other")

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of ``url``."""
        return self._host, self._listeners.ports["main"]

    def origin_url(self, origin: str) -> str:
        """The base URL of ``main`` or ``other``."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._tls else 'http'}://{host}:{self._listeners.ports[origin]}"

    def url_of(self, path: str) -> str:
        """The URL of a file."""
        return self.url + quote(_key(path))

    # -- what happened ---------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Seconds since the server was made, as in the log."""
        return time.monotonic() - self._began

    def settle(self, timeout: float = 2.0) -> bool:
        """Wait until every answer has ended; False if one has not in time.

        A client may have its last byte before the server's thread has noted that; call this before counting.
        """
        until = time.monotonic() + timeout
        while any(record.ended is None for record in self.requests()):
            if time.monotonic() > until:
                return False
            time.sleep(0.002)
        return True

    def requests(self, path: str | None = None, method: str | None = None) -> list[Record]:
        """The log's records of a path and a method (default: all)."""
        with self._lock:
            found = list(self.log)
        wanted = None if path is None else _key(path)
        return [one for one in found if wanted in {None, unquote(one.path)} and method in {None, one.method}]

    def body_bytes_sent(self, path: str | None = None) -> int:
        """Body bytes that left for clients in answers 200 and 206 (see `Record`; call `settle` first)."""
        return sum(record.body_out for record in self.requests(path) if record.status in {200, 206})

    def open_connections(self) -> int:
        """How many connections are in the middle of a body now, or have unsent bytes of one."""
        return sum(1 for one in self._open() if one.mid_body or (one.record is not None and one.queued() > 0))

    @property
    def open_connections_at_cuts(self) -> int:
        """The connections that were in the middle of a body, summed over all cuts."""
        with self._lock:
            return sum(cut.open_connections for cut in self.cuts)

    def needless_budget(self, each: int = 1 << 20) -> int:
        """How many bytes a client may have read in vain: ``each`` for every connection open at a cut."""
        return each * self.open_connections_at_cuts

    @property
    def leaked(self) -> list[Record]:
        """Requests that brought an Authorization header to the other origin."""
        return [record for record in self.requests() if record.origin == "other" and record.authorization is not None]

    @property
    def impatient(self) -> list[Record]:
        """Requests that came before the wait that the client had been asked for was over."""
        return [record for record in self.requests() if record.early]

    def content(self, path: str) -> Content:
        """What the path holds now."""
        with self._lock:
            return self._files[_key(path)][0]

    # -- what tests may do meanwhile -------------------------------------------------------------------------------

    def note_cut(self, kind: str, *, connection: Connection | None = None, at: int = 0) -> CutRecord:
        """Put a cut on record; tests call it as they end a client, just before they do."""
        record = connection.record if connection else None
        at = at or (record.body_sent if record else 0)
        count = max(self.open_connections(), 1 if connection else 0)
        cut = CutRecord(
            self.now(), connection.number if connection else 0, record.path if record else "", kind, at, count
        )
        with self._lock:
            self.cuts.append(cut)
        return cut

    def cut_all(self) -> CutRecord:
        """Cut every connection at once, as a network that goes down."""
        cut = self.note_cut("cut all")
        self.sever_all()
        return cut

    def sever_all(self, but: Connection | None = None) -> None:
        """Break all connections (except one), without a record of its own."""
        for connection in self._open():
            if connection is not but:
                connection.sever("cut")

    def replace(self, path: str, content: bytes | Content | None = None) -> Entity:
        """Give a path a new version: another ETag and date, and other content if given."""
        with self._lock:
            old, version = self._files[_key(path)]
            self._files[_key(path)] = (old if content is None else as_content(content), version + 1)
            return Entity.of(*self._files[_key(path)])

    def revoke(self, authorization: str | None) -> None:
        """Answer 401 from now on to requests that carry this Authorization header (None: that carry none)."""
        with self._lock:
            self._revoked.add(authorization)

    def refuse(self, seconds: float) -> None:
        """Refuse new connections for so long; returns when that is so."""
        self._listeners.refuse(seconds)

    def hold(self, path: str, seconds: float, origin: str = "main") -> None:
        """Note that requests for this path at this origin that come within so many seconds are early."""
        with self._lock:
            self._held[_key(path), origin] = time.monotonic() + seconds

    def count(self) -> int:
        """A number that rises with every call."""
        return next(self._counter)

    # -- the connections' side -------------------------------------------------------------------------------------

    def begin(self, ask: Ask) -> Record:
        """Put a request on record."""
        with self._lock:
            early = time.monotonic() < self._held.get((_key(ask.name), ask.origin), 0.0)
            record = Record(
                len(self.log) + 1,
                ask.connection,
                ask.origin,
                ask.method,
                ask.target,
                ask.headers,
                self.now(),
                early=early,
            )
            self.log.append(record)
        return record

    def faults(self, ask: Ask) -> list[Fault]:
        """The faults for this request; it counts with this call."""
        return self._running.faults(ask)

    def plan(self, ask: Ask, faults: Sequence[Fault]) -> tuple[Reply, tuple[str, ...]]:
        """Compose the answer, and name the faults that changed it or the reading of the request."""
        named = [fault for fault in faults if ask.header("content-length") and fault.intake(ask, self) is not None]
        reply = self._gate(ask)
        if reply is None:
            for fault in faults:
                if (reply := fault.answer(ask, self)) is not None:
                    if fault not in named:
                        named.append(fault)
                    break
        if reply is None and self.store is not None:
            reply = self.store.answer(ask)
        if reply is None:
            entity = self._entity(ask)
            if entity is None:
                reply = Reply.error(404)
            else:
                for fault in faults:
                    before = dataclasses.replace(entity)
                    fault.entity(entity, ask, self)
                    if entity != before:
                        named.append(fault)
                reply = answer(ask, entity)
        if not reply.drop:
            for fault in faults:
                shape = _shape(reply)
                fault.shape(reply, ask, self)
                if _shape(reply) != shape and fault not in named:
                    named.append(fault)
        return reply, tuple(type(fault).__name__ for fault in named)

    def forget(self, connection: Connection) -> None:
        """Strike a connection that has ended off the list."""
        with self._lock:
            self._connections.discard(connection)

    def _gate(self, ask: Ask) -> Reply | None:
        """What comes before any file: routes, the method, the token."""
        route = self._routes.get(_key(ask.name))
        if route is not None:
            return route(ask)
        if ask.method not in {"GET", "HEAD"} and (self.store is None or not self.store.knows(ask)):
            return Reply.error(405, None, ("Allow", "GET, HEAD"))
        if ask.origin == "main" and not self._accepted(ask):
            return Reply.error(401, "Not authenticated", ("WWW-Authenticate", "Bearer"))
        return None

    def _accepted(self, ask: Ask) -> bool:
        with self._lock:
            if ask.header("authorization") in self._revoked:
                return False
            if self.tokens is None:
                return True
            if ask.token is None:
                return False
            return self.tokens(ask.token) if callable(self.tokens) else ask.token in self.tokens

    def _entity(self, ask: Ask) -> Entity | None:
        with self._lock:
            found = self._files.get(_key(ask.name))
        return Entity.of(*found) if found else None

    def _open(self) -> list[Connection]:
        with self._lock:
            return list(self._connections)

    def _take(self, sock: socket.socket, origin: str) -> None:
        connection = Connection(self, sock, next(self._numbers), origin)
        with self._lock:
            self._connections.add(connection)
        connection.start()


def _key(path: str) -> str:
    return "/" + path.lstrip("/")


def _shape(reply: Reply) -> tuple[object, ...]:
    """Everything about an answer that a fault may change, cheap to compare."""
    lists: tuple[list[Any], ...] = (reply.headers, reply.stalls, reply.flips, reply.interim)
    rest = (reply.framing, reply.end, reply.drip, reply.close, reply.drop, reply.final_chunk, reply.head_seconds)
    return (
        reply.status,
        reply.start,
        reply.stop,
        reply.lengths,
        id(reply.content),
        *(tuple(each) for each in lists),
        *rest,
    )
