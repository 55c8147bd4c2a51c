"""A network for one test, a sink that remembers, and a server that says exactly what it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVar

from packhorse.net.message import ResponseHead
from packhorse.net.settings import NetSettings
from packhorse.net.transport import Network

T = TypeVar("T")


def run(work: Callable[[Network], Awaitable[T]], settings: NetSettings | None = None) -> T:
    """``work`` with a network of its own, closed afterwards."""

    async def main() -> T:
        network = Network(settings or NetSettings(stall_timeout=5, connect_timeout=5), lanes=2)
        try:
            return await asyncio.wait_for(work(network), 30)
        finally:
            await network.aclose()

    return asyncio.run(main())


class Collect:
    """Keeps heads and bytes, and when the last call was."""

    def __init__(self) -> None:
        self.heads: list[ResponseHead] = []
        self._pieces: list[bytes] = []
        self.first_byte = 0.0
        self.calls = 0

    def begin(self, head: ResponseHead) -> None:
        self.calls += 1
        self.first_byte = time.monotonic()
        self.heads.append(head)
        self._pieces.clear()

    def write(self, data: bytes) -> None:
        self.calls += 1
        self._pieces.append(data)

    @property
    def body(self) -> bytes:
        return b"".join(self._pieces)


class RawServer:
    """Gives every accepted connection to ``handle`` in a thread of its own."""

    def __init__(self, handle: Callable[[socket.socket], None]) -> None:
        self._handle = handle
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._accepting = threading.Thread(target=self._accept)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._socket.accept()
            except OSError:
                return
            self._sockets.append(sock)
            thread = threading.Thread(target=self._serve, args=(sock,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            self._handle(sock)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._accepting.join(5)
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)


def read_head(sock: socket.socket) -> bytes:
    """The request's head, with its blank line; what is left of the body stays unread by length only."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(1)
        if not piece:
            raise OSError("gone")
        data += piece
    return data


def read_request(sock: socket.socket) -> tuple[bytes, bytes]:
    """Head and body, the body by Content-Length or in chunks."""
    head = read_head(sock)
    lower = head.lower()
    body = b""
    if b"transfer-encoding: chunked" in lower:
        with sock.makefile("rb") as file:
            while size := int(file.readline(), 16):
                body += file.read(size)
                file.readline()
            file.readline()
        return head, body
    for line in lower.split(b"\r\n"):
        if line.startswith(b"content-length:"):
            size = int(line.partition(b":")[2])
            while len(body) < size:
                body += sock.recv(size - len(body))
    return head, body


def answers(*replies: bytes) -> tuple[Callable[[socket.socket], None], list[tuple[bytes, bytes]]]:
    """A handler that gives one reply to each request in turn (the last one again and again), and what it was sent.

    An empty reply is a connection that closes without a word.
    """
    seen: list[tuple[bytes, bytes]] = []

    def handle(sock: socket.socket) -> None:
        while True:
            seen.append(read_request(sock))
            reply = replies[min(len(seen), len(replies)) - 1]
            if not reply:
                return
            sock.sendall(reply)
            if b"connection: close" in reply.lower():
                return

    return handle, seen


def reply(status: int, body: bytes = b"", *headers: str) -> bytes:
    """An HTTP/1.1 answer with its length."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
