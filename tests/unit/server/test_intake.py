"""Bodies read into memory: every byte once and in order, however it comes, and the connection goes on afterwards."""

from __future__ import annotations

import hashlib
import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from packhorse.server.intake import IntakeProtocol, read_body


class _App:
    """Answers with what it read: the first ``take`` bytes into memory (all by default), the rest as it comes."""

    def __init__(self) -> None:
        self.gone: list[str] = []
        self.filled = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        length = int(dict(scope["headers"]).get(b"content-length", b"0"))
        take = int(scope["query_string"] or length)
        memory = memoryview(bytearray(take))
        try:
            got = await read_body(scope, receive, memory)
        except ClientDisconnect:
            self.gone.append(scope["path"])
            return
        rest = b""
        while len(rest) < length - got:
            rest += (await receive())["body"]
        answer = json.dumps([scope["path"], got, hashlib.sha256(bytes(memory[:got]) + rest).hexdigest()]).encode()
        headers = [(b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


@contextmanager
def _serving(app: _App) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, http=IntakeProtocol, loop="asyncio", lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> _App:
    made = _App()
    usual = IntakeProtocol.fill

    async def fill(self: IntakeProtocol, memory: memoryview) -> int:
        got = await usual(self, memory)
        made.filled += got
        return got

    monkeypatch.setattr(IntakeProtocol, "fill", fill)
    return made


def _head(path: str, length: int) -> bytes:
    return f"PUT {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n".encode()


def _answer(raw: Any) -> list[Any]:
    length = 0
    while (line := raw.readline()) != b"\r\n":
        assert line, "the connection ended"
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    found: list[Any] = json.loads(raw.read(length))
    return found


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 3_000_000])
@pytest.mark.parametrize("cut", [1, 70_000, 1 << 30])
def test_all_bytes_and_then_the_next_request(app: _App, size: int, cut: int) -> None:
    body = random.Random(size).randbytes(size)
    digest = hashlib.sha256(body).hexdigest()
    with _serving(app) as port, socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with client.makefile("rb") as raw:
            client.sendall(_head("/a", size) + body[:cut])
            client.sendall(body[cut:])
            assert _answer(raw) == ["/a", size, digest]
            # the second follows without waiting, and the third comes with the end of its body
            client.sendall(_head("/b", size) + body + _head("/c", 3) + b"xyz")
            assert _answer(raw) == ["/b", size, digest]
            assert _answer(raw) == ["/c", 3, hashlib.sha256(b"xyz").hexdigest()]
            # what does not go into memory comes as it always does
            client.sendall(_head("/d?1000", max(size, 1000)) + body.ljust(1000, b"\0")[:900])
            time.sleep(0.05)
            client.sendall(body.ljust(1000, b"\0")[900:])
            assert _answer(raw)[2] == hashlib.sha256(body.ljust(1000, b"\0")).hexdigest()
    assert app.gone == []


def test_a_slow_sender_is_read_into_memory(app: _App) -> None:
    body = random.Random(1).randbytes(500_000)
    with _serving(app) as port, socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with client.makefile("rb") as raw:
            client.sendall(_head("/slow", len(body)))
            for at in range(0, len(body), 50_000):
                client.sendall(body[at : at + 50_000])
                time.sleep(0.01)
            assert _answer(raw) == ["/slow", len(body), hashlib.sha256(body).hexdigest()]
    assert app.filled > 0  # not by the usual way alone: h11 still has what is looked for


@pytest.mark.parametrize("sent", [0, 10, 100_000])
def test_a_sender_that_goes_is_noticed(app: _App, sent: int) -> None:
    with _serving(app) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
            client.sendall(_head("/gone", 1 << 20) + bytes(sent))
        until = time.monotonic() + 30
        while not app.gone and time.monotonic() < until:
            time.sleep(0.01)
        assert app.gone == ["/gone"]


def test_chunked_bodies_take_the_usual_way(app: _App) -> None:
    with _serving(app) as port, socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(
            b"PUT /x?6 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"
        )
        with client.makefile("rb") as raw:
            assert _answer(raw) == ["/x", 6, hashlib.sha256(b"abcdef").hexdigest()]
    assert app.filled == 0
