"""A TCP proxy that makes a loopback connection slow and far: anywhere, without root.

It delays and paces the bytes of all its connections as one line would. It cannot lose packets, for it never sees them:
``loss`` only holds a connection's bytes back for a round trip, as a retransmission would, without the slower sending
that follows in a real TCP. For what congestion control does, use `packhorse.testing.link.NetnsLink`.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import socket
import struct
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

from packhorse.testing.closing import end_server

_PIECE = 16 * 1024
_SEGMENT = 1448


class _Way:
    """One direction of the line: the time at which it is free again, shared by all connections."""

    def __init__(self, rate: float, delay: float) -> None:
        self.rate, self.delay, self.octets = rate, delay, 0
        self._free = 0.0

    def arrival(self, size: int, now: float) -> float:
        """When ``size`` bytes handed over now have come out at the far end."""
        self.octets += size
        self._free = max(now, self._free) + (size / self.rate if self.rate else 0.0)
        return self._free + self.delay


class LinkProxy:
    """Listens on loopback and carries every connection to ``target`` over an imagined line.

    ``rtt_ms``: round trip, half each way; a new connection's first bytes wait one round trip more, for the handshake.
    ``rate_mbit``: megabits/s each way for all connections together (0: no limit). ``window_kib``: the most that one
    connection may have under way. ``loss``: see the module. Precise to about 2 ms.

    >>> from packhorse.testing.faults import FaultServer
    >>> import time, urllib.request
    >>> with FaultServer({"a": b"hello"}) as server, LinkProxy(server.address, rtt_ms=40) as link:
    ...     began = time.monotonic()
    ...     with urllib.request.urlopen(link.url + "/a") as answer:
    ...         text = answer.read()
    ...     text, time.monotonic() - began >= 0.08
    (b'hello', True)
    """

    def __init__(
        self,
        target: tuple[str, int],
        *,
        rtt_ms: float = 50.0,
        rate_mbit: float = 0.0,
        loss: float = 0.0,
        window_kib: float = 4096.0,
        seed: int = 0,
    ) -> None:
        self._target, self._rtt, self._loss = target, rtt_ms / 1000, loss
        self._window = int(window_kib * 1024)
        self._up, self._down = (_Way(rate_mbit * 125_000, rtt_ms / 2000) for _ in range(2))
        self._draw = random.Random(f"proxy:{seed}")
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread: threading.Thread | None = None
        self.port = 0

    @property
    def address(self) -> tuple[str, int]:
        """Where clients connect to."""
        return ("127.0.0.1", self.port)

    @property
    def url(self) -> str:
        """The address as an http URL, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def octets(self) -> tuple[int, int]:
        """Bytes carried so far: from clients, to clients."""
        return self._up.octets, self._down.octets

    def start(self) -> Self:
        """Listen. Raises OSError if that is not possible."""
        self._thread = threading.Thread(target=self._loop.run_forever, name="link-proxy", daemon=True)
        self._thread.start()
        try:
            self._call(self._open())
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Break all connections and end."""
        if self._loop.is_closed():
            return
        if self._thread is not None:
            self._call(self._shut())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
        self._loop.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0, backlog=256)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _shut(self) -> None:
        if hasattr(self, "_server"):
            await end_server(self._server)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        in_order = False
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            writers.append(far_writer)
            handshake = self._loop.time() + self._rtt
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, far_writer, self._up, handshake))
                both.create_task(self._pump(far_reader, writer, self._down, 0.0))
            in_order = True
        except* OSError:
            pass
        finally:
            for one in writers:
                if in_order:
                    one.close()
                else:
                    _reset(one)  # a reset on one side is a reset on the other
                with contextlib.suppress(OSError):
                    await one.wait_closed()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: _Way, first: float) -> None:
        """Carry one direction of one connection; the end of the stream arrives as late as bytes do."""
        # What is under way is bounded by the window, in pieces; the sender then waits, as TCP's would.
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(max(1, self._window // _PIECE))
        async with asyncio.TaskGroup() as both:
            both.create_task(self._fetch(reader, under_way, way, first))
            both.create_task(self._deliver(under_way, writer))

    async def _fetch(
        self, reader: asyncio.StreamReader, under_way: asyncio.Queue[tuple[float, bytes]], way: _Way, first: float
    ) -> None:
        last = 0.0
        data = b"."
        while data:
            data = await reader.read(_PIECE)
            arrival = way.arrival(len(data), self._loop.time())
            last = max(last, first + way.delay, arrival + self._held_back(len(data)))
            await under_way.put((last, data))

    async def _deliver(self, under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        while True:
            due, data = await under_way.get()
            wait = due - self._loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            if not data:
                with contextlib.suppress(OSError):
                    writer.write_eof()
                return
            writer.write(data)
            await writer.drain()

    def _held_back(self, size: int) -> float:
        if self._loss <= 0 or not size:
            return 0.0
        chance = 1 - (1 - self._loss) ** math.ceil(size / _SEGMENT)
        return self._rtt if self._draw.random() < chance else 0.0


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
