"""Large request bodies, read from the socket straight into the application's memory.

The usual way of a body through uvicorn, h11 and ASGI makes four copies of each byte and a wake-up per 64 KiB: more
work than hashing and storing it. (1 GiB in PUTs of 5 MiB to a file, four at once, in one run on 2 cores: 1.7 s of CPU
that way, 1.2 with granian's ASGI, 0.9 with its RSGI, 0.6 this way.) An application may instead take the reader that
:class:`IntakeProtocol` puts into the scope's ``extensions`` and hand it the memory to fill. Everything else about a
connection stays uvicorn's.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import MutableMapping
from typing import Any, Final

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

__all__ = ["IntakeProtocol", "read_body"]

_EXTENSION: Final = "packhorse.intake"
_PIECE: Final = 256 * 1024


async def read_body(scope: MutableMapping[str, Any], receive: Receive, memory: memoryview) -> int:
    """Fill ``memory`` from the request's body: how many bytes came, fewer than it holds only where the body ends.

    Works under any ASGI server; under ours without copies. What does not fit into ``memory`` stays to be received, but
    for the rest of a piece that ASGI handed over, which counts as too much: raises ``ValueError``. Raises
    :class:`~starlette.requests.ClientDisconnect` when the sender is gone.
    """
    intake: IntakeProtocol | None = scope.get("extensions", {}).get(_EXTENSION)
    at = 0
    while at < len(memory):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        piece: bytes = message.get("body", b"")
        if at + len(piece) > len(memory):
            raise ValueError("the body is longer than was said")
        memory[at : at + len(piece)] = piece
        at += len(piece)
        if not message.get("more_body", False):
            break
        if intake is not None:
            at += await intake.fill(memory[at:])
    return at


class IntakeProtocol(H11Protocol, asyncio.BufferedProtocol):
    """uvicorn's HTTP/1.1 with one more way to read a body whose length is known."""

    _shared = threading.local()  # one for each event loop: what is read is taken out before the next read

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._inner: Any = self.app
        self.app = self._with_reader
        self._memory: memoryview | None = None
        self._at = 0
        self._reader: Any = None
        self._filled: asyncio.Future[None] | None = None

    async def _with_reader(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["extensions"] = {**scope.get("extensions", {}), _EXTENSION: self}
        await self._inner(scope, receive, send)

    # -- what the transport calls ----------------------------------------------------------------------------------

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        if self._memory is not None:
            return self._memory[self._at :]
        scratch: memoryview | None = getattr(self._shared, "scratch", None)
        if scratch is None:
            scratch = self._shared.scratch = memoryview(bytearray(_PIECE))
        return scratch

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes came."""
        if self._memory is None:
            self.data_received(bytes(self._shared.scratch[:nbytes]))
            return
        self._at += nbytes
        if self._at == len(self._memory):
            self._stop()  # at once: the next bytes may come before the application runs

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        super().connection_lost(exc)
        self._stop()

    def _stop(self) -> None:
        """What comes from now on goes its usual way; h11 is told how much of the body did not."""
        if self._memory is None:
            return
        self._memory = None
        self._reader._remaining -= self._at
        if not self._reader._remaining:
            self.handle_events()  # h11 finds the body's end
        if self._filled is not None and not self._filled.done():
            self._filled.set_result(None)

    # -- what the application calls ------------------------------------------------------------------------------

    async def fill(self, memory: memoryview) -> int:
        """Read the body's next bytes into ``memory``: how many, which is 0 where the body goes its usual way.

        Called between two ``receive``; the end of the body comes from ``receive``. A sender that is gone ends it early.
        """
        cycle, reader = self.cycle, _reader(self.cycle)
        wanted = 0 if reader is None else min(reader._remaining, len(memory))
        if not wanted or cycle.body or cycle.disconnected or self._memory is not None:
            return 0
        self._memory, self._at, self._reader = memory[:wanted], 0, reader
        self._filled = asyncio.get_running_loop().create_future()
        self.flow.resume_reading()
        try:
            await self._filled
        finally:
            self._stop()
        return self._at


def _reader(cycle: RequestResponseCycle) -> Any:
    """h11's count of what is left of a body with a ``Content-Length``; it has no public name.

    ``None`` for another framing, for bytes that h11 holds already, and for an h11 that is made in another way: then
    bodies go the usual way.
    """
    reader = getattr(cycle.conn, "_reader", None)
    plain = type(reader).__name__ == "ContentLengthReader" and isinstance(getattr(reader, "_remaining", None), int)
    return reader if plain and not cycle.conn.trailing_data[0] else None
