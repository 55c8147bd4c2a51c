"""Bodies that go: counted, in large pieces, and sent again from their start when a kept connection was dead."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from packhorse.errors import NetworkError
from packhorse.net.budget import HostBudget
from packhorse.net.calls import Collect as Collected
from packhorse.net.calls import stream_following
from packhorse.net.message import Request
from packhorse.net.transport import Network
from packhorse.testing.faults import GeneratedFile

from .helpers import Collect, RawServer, read_request, reply, run

BOTH = pytest.mark.parametrize("bulk", [False, True], ids=["small", "bulk"])
DATA = GeneratedFile(3_000_000, 3).read()


def pieces(step: int = 70_000) -> Iterator[memoryview]:
    view = memoryview(DATA)
    for at in range(0, len(view), step):
        yield view[at : at + step]


def put(url: str, body: object = pieces) -> Request:
    return Request("PUT", url, body=body, body_size=len(DATA))  # type: ignore[arg-type]


@BOTH
def test_pieces_may_be_views_and_are_counted(bulk: bool) -> None:
    seen: list[bytes] = []

    def handle(sock: socket.socket) -> None:
        seen.append(read_request(sock)[1])
        sock.sendall(reply(200, b"ok", "Connection: close"))

    with RawServer(handle) as server:

        async def work(network: Network) -> int:
            await network.stream(put(server.url), Collect(), bulk=bulk)
            return network.sent

        assert run(work) == len(DATA)
    assert seen == [DATA]


@BOTH
def test_a_kept_connection_that_died_is_not_the_callers_trouble(bulk: bool) -> None:
    """The server closes after the first answer without saying so: the body is asked for again, and sent whole."""
    seen: list[bytes] = []
    closed = threading.Event()
    begun: list[int] = []

    def handle(sock: socket.socket) -> None:
        seen.append(read_request(sock)[1])
        sock.sendall(reply(200, b"ok"))
        if len(seen) == 1:
            # It reads some of the next request and leaves.
            sock.recv(1000)
            sock.shutdown(socket.SHUT_RDWR)
            closed.set()

    def body() -> Iterator[memoryview]:
        begun.append(1)
        yield from pieces()

    with RawServer(handle) as server:

        async def work(network: Network) -> list[bytes]:
            answers = []
            for _ in range(2):
                sink = Collect()
                await network.stream(put(server.url, body), sink, bulk=bulk)
                answers.append(sink.body)
            return answers

        try:
            assert run(work) == [b"ok", b"ok"]
        except NetworkError:
            # A reset in the middle of the body is an error of its own; the caller tries again.
            assert closed.is_set()
            assert seen == [DATA]
        else:
            assert len(begun) == 3
            assert seen == [DATA, DATA]


def test_large_bodies_go_in_few_calls() -> None:
    asked: list[int] = []

    class Body:
        def __call__(self) -> Iterator[bytes]:
            for at in range(0, len(DATA), 1 << 20):
                asked.append(at)
                yield DATA[at : at + (1 << 20)]

    def handle(sock: socket.socket) -> None:
        assert read_request(sock)[1] == DATA
        sock.sendall(reply(200, b"", "Connection: close"))

    with RawServer(handle) as server:
        run(lambda network: network.stream(put(server.url, Body()), Collect(), bulk=True))
    assert asked == [0, 1 << 20, 2 << 20]


def test_a_307_takes_the_body_along() -> None:
    seen: list[tuple[bytes, bytes]] = []

    def handle(sock: socket.socket) -> None:
        while True:
            head, body = read_request(sock)
            seen.append((head.split(b"\r\n")[0], body))
            last = b"/there" in head
            sock.sendall(reply(200, b"ok") if last else reply(307, b"", f"Location: {server.url}/there"))
            if last:
                return

    with RawServer(handle) as server:

        async def work(network: Network) -> bytes:
            sink = Collected(server.url)
            head = await stream_following(network, put(server.url + "/here"), sink, bulk=True)
            assert head.status == 200
            assert sink.head is head
            return b"".join(sink.pieces)

        assert run(work) == b"ok"
    assert seen == [(b"PUT /here HTTP/1.1", DATA), (b"PUT /there HTTP/1.1", DATA)]


def test_what_a_server_says_before_it_leaves_is_known() -> None:
    """It refuses after the head of the request and closes: whoever sent the body can still learn why."""

    def handle(sock: socket.socket) -> None:
        while b"\r\n\r\n" not in sock.recv(65536):
            pass
        sock.sendall(reply(413, b"too large", "Connection: close"))
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(65536):
            pass

    with RawServer(handle) as server:

        async def work(network: Network) -> int:
            sink = Collected(server.url)
            try:
                return (await stream_following(network, put(server.url), sink, bulk=True)).status
            except NetworkError:
                assert sink.head is not None
                return sink.head.status

        assert run(work) == 413


def test_who_rests_waits_for_the_pause() -> None:
    async def work(network: Network) -> tuple[float, float]:
        import time

        budget = HostBudget(4)
        before = time.monotonic()
        await budget.rest()
        at_once = time.monotonic() - before
        budget.pause(0.2)
        await budget.rest()
        return at_once, time.monotonic() - before

    at_once, paused = run(work)
    assert at_once < 0.1
    assert paused >= 0.2
