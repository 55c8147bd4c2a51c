"""The transport against servers that do what servers do."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from packhorse.errors import (
    NetworkError,
    PackhorseError,
    ProtocolError,
    RefusedError,
    StalledError,
    TlsError,
    UsageError,
)
from packhorse.model import Secret
from packhorse.net.message import Request, ResponseHead
from packhorse.net.settings import NetSettings
from packhorse.net.transport import MAX_HEADER_BYTES, Network
from packhorse.testing import faults as f

from .helpers import Collect, RawServer, answers, read_head, read_request, reply, run

BOTH = pytest.mark.parametrize("bulk", [False, True], ids=["small", "bulk"])
DATA = f.GeneratedFile(300_000, 1).read()


def always(fault: f.Fault) -> f.Schedule:
    return f.Schedule.of(f.Rule(fault, times=None, method=None))


def send(request: Request, *, bulk: bool = False, settings: NetSettings | None = None) -> tuple[ResponseHead, Collect]:
    sink = Collect()
    head = run(lambda network: network.stream(request, sink, bulk=bulk), settings)
    return head, sink


@BOTH
def test_a_body_arrives_whole_and_is_counted(bulk: bool) -> None:
    with f.FaultServer({"a": DATA}) as server:

        async def work(network: Network) -> tuple[ResponseHead, int]:
            head = await network.stream(Request("GET", server.url_of("a")), sink, bulk=bulk)
            return head, network.received

        sink = Collect()
        head, received = run(work)
        asked = server.log[0]
    assert (head.status, head.ok, sink.body, received) == (200, True, DATA, len(DATA))
    assert asked.header("accept-encoding") == "identity"
    assert asked.header("expect") is None
    assert sink.heads == [head]


@BOTH
def test_interim_answers_are_passed_over(bulk: bool) -> None:
    with f.FaultServer({"a": b"x"}, always(f.Interim((100, 103, 103)))) as server:
        head, sink = send(Request("GET", server.url_of("a")), bulk=bulk)
    assert (head.status, len(sink.heads), sink.body) == (200, 1, b"x")
    assert head.headers.get("link") is None


def test_a_huge_header_is_refused_and_a_large_one_is_not() -> None:
    for size, fine in ((MAX_HEADER_BYTES - 2000, True), (MAX_HEADER_BYTES, False), (1 << 20, False)):
        with f.FaultServer({"a": b"x"}, always(f.HugeHeader(size))) as server:
            if fine:
                assert send(Request("GET", server.url_of("a")))[0].status == 200
            else:
                with pytest.raises(ProtocolError):
                    send(Request("GET", server.url_of("a")))


def test_many_headers_that_are_large_together_are_refused() -> None:
    handle, _ = answers(reply(200, b"", *(f"X-{n}: {'y' * 1000}" for n in range(80))))
    with RawServer(handle) as server, pytest.raises(ProtocolError, match="bytes of headers"):
        send(Request("GET", server.url))


@BOTH
def test_trailers_say_nothing(bulk: bool) -> None:
    text = (
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: ETag\r\n\r\n3\r\nabc\r\n0\r\nETag: "evil"\r\n\r\n'
    )
    handle, _ = answers(text)
    with RawServer(handle) as server:
        head, sink = send(Request("GET", server.url), bulk=bulk)
    assert (sink.body, len(sink.heads), head.headers.get("etag")) == (b"abc", 1, None)


def test_folded_and_odd_header_lines() -> None:
    handle, _ = answers(b"HTTP/1.1 200 \r\nContent-Length: 0\r\nA: one\r\n two\r\nB:\r\nB: x:y\r\n\r\n")
    with RawServer(handle) as server:
        head, _ = send(Request("GET", server.url))
    assert head.headers.get_all("a") == ["one two"]
    assert head.headers.get_all("b") == ["", "x:y"]


@pytest.mark.parametrize("text", [b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 abc\r\n\r\n", b"<html>hello</html>"])
def test_what_is_not_http_is_a_protocol_error(text: bytes) -> None:
    def handle(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(text)

    with RawServer(handle) as server, pytest.raises((ProtocolError, NetworkError)):
        send(Request("GET", server.url))


def test_head_has_no_body() -> None:
    with f.FaultServer({"a": DATA}) as server:
        head, sink = send(Request("HEAD", server.url_of("a")))
        assert [record.method for record in server.log] == ["HEAD"]
    assert (head.headers.get("content-length"), sink.body) == (str(len(DATA)), b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("size", [0, 5, 3_000_000])
def test_a_body_in_memory(method: str, size: int) -> None:
    handle, seen = answers(reply(201, b"ok"))
    body = DATA[:size] + bytes(max(0, size - len(DATA)))
    with RawServer(handle) as server:
        head, sink = send(Request(method, server.url + "/x", {"Content-Type": "a/b"}, body))
    assert (head.status, sink.body) == (201, b"ok")
    request = seen[0][0]
    assert request.startswith(f"{method} /x HTTP/1.1\r\n".encode())
    assert f"content-length: {size}\r\n".encode() in request.lower()
    assert b"content-type: a/b\r\n" in request.lower()
    assert request.lower().count(b"content-type") == 1
    assert b"expect" not in request.lower()
    assert seen[0][1] == body


@pytest.mark.parametrize("size", [None, 300_000])
@BOTH
def test_a_body_in_pieces(size: int | None, bulk: bool) -> None:
    handle, seen = answers(reply(200))

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(DATA), 70_001):
            yield b""  # an empty piece is not the end
            yield DATA[start : start + 70_001]

    with RawServer(handle) as server:
        send(Request("PUT", server.url, body=pieces, body_size=size), bulk=bulk)
    assert seen[0][1] == DATA
    assert (b"transfer-encoding: chunked" in seen[0][0].lower()) is (size is None)


def test_a_body_without_a_type_is_called_nothing() -> None:
    handle, seen = answers(reply(200))
    with RawServer(handle) as server:
        send(Request("POST", server.url, body=b"{}"))
    assert b"content-type" not in seen[0][0].lower()


def test_a_body_that_fails_is_the_callers_own_error(capfd: pytest.CaptureFixture[str]) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"x" * 100_000
        raise FileNotFoundError("the file went away")

    handle, _ = answers(reply(200))
    with RawServer(handle) as server, pytest.raises(FileNotFoundError, match="went away"):
        send(Request("PUT", server.url, body=pieces, body_size=200_000))
    assert capfd.readouterr().err == ""


def test_headers_as_they_are_given() -> None:
    handle, seen = answers(reply(200))
    headers = {"Authorization": Secret("Bearer t"), "X-Empty": "", "Accept-Encoding": "gzip", "X-Ä": "ö"}
    with RawServer(handle) as server:
        send(Request("GET", server.url, headers))
    lines = seen[0][0].decode().split("\r\n")
    assert "Authorization: Bearer t" in lines
    assert "X-Ä: ö" in lines
    assert "Accept-Encoding: gzip" in lines
    assert [line for line in lines if line.startswith("X-Empty")] == ["X-Empty:"]
    assert sum(line.lower().startswith("accept-encoding") for line in lines) == 1


@pytest.mark.parametrize("name", ["X", "X\r\nEvil: 1", "X\n", "X\0"])
@pytest.mark.parametrize("value", ["a\r\nEvil: 1", "a\n", "a\0b", Secret("s3cret\r\nEvil: 1")])
def test_a_line_break_in_a_header_is_refused(name: str, value: str | Secret) -> None:
    with pytest.raises(UsageError) as caught:
        send(Request("GET", "http://127.0.0.1:9/", {name: value}))
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/", "dict://127.0.0.1/", "scp://127.0.0.1/x"],
)
@BOTH
def test_only_the_web(url: str, bulk: bool) -> None:
    sink = Collect()
    with pytest.raises(PackhorseError):
        run(lambda network: network.stream(Request("GET", url), sink, bulk=bulk))
    assert sink.calls == 0


@pytest.mark.parametrize("url", ["http://", "http:///x", "nonsense", "", "http://h/\u00e4", "http://h:99999/"])
def test_no_web_address_is_a_usage_error(url: str) -> None:
    with pytest.raises((UsageError, NetworkError)):
        send(Request("GET", url))


def test_a_port_where_nobody_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(RefusedError):
        send(Request("GET", f"http://127.0.0.1:{port}/"))


def test_a_name_that_does_not_exist() -> None:
    with pytest.raises(NetworkError, match=r"host\.invalid cannot be resolved"):
        send(Request("GET", "http://host.invalid/?secret=1"))


@BOTH
def test_tls_with_the_right_ca_and_without(bulk: bool) -> None:
    with f.FaultServer({"a": DATA}, tls=True) as server:
        trusting = NetSettings(ca_bundle=server.ca_file, stall_timeout=5)
        head, sink = send(Request("GET", server.url_of("a")), bulk=bulk, settings=trusting)
        assert (head.status, sink.body) == (200, DATA)
        with pytest.raises(TlsError) as caught:
            send(Request("GET", server.url_of("a")), bulk=bulk)
        wrong_name = server.url_of("a").replace("127.0.0.1", "127.0.0.2")
        with pytest.raises(NetworkError):
            send(Request("GET", wrong_name), bulk=bulk, settings=trusting)
    assert not caught.value.retryable


def test_a_stall_ends_after_the_stall_time() -> None:
    with f.FaultServer({"a": DATA}, always(f.Stall(20, 1000))) as server:
        started = time.monotonic()
        sink = Collect()
        with pytest.raises(StalledError):
            run(lambda network: network.stream(Request("GET", server.url_of("a")), sink, bulk=True, stall=1))
    # libcurl looks at the mean of its last five seconds, so it is a little late.
    assert 0.9 < time.monotonic() - started < 15
    assert sink.body == DATA[: len(sink.body)]


@BOTH
@pytest.mark.parametrize("fault", [f.Cut(1000), f.Reset(1000), f.Chunked(cut_at=1000), f.LengthLie(5), f.Hangup()])
def test_an_answer_that_ends_early_is_never_success(fault: f.Fault, bulk: bool) -> None:
    with f.FaultServer({"a": DATA}, always(fault)) as server:
        sink = Collect()
        with pytest.raises(NetworkError):
            run(lambda network: network.stream(Request("GET", server.url_of("a")), sink, bulk=bulk))
    assert DATA.startswith(sink.body)


@BOTH
def test_an_answer_in_gzip_is_not_undone(bulk: bool) -> None:
    with f.FaultServer({"a": DATA}, always(f.Gzip())) as server:
        head, sink = send(Request("GET", server.url_of("a")), bulk=bulk)
    assert head.headers.get("content-encoding") == "gzip"
    assert sink.body[:2] == b"\x1f\x8b"


class Raising(Collect):
    """A sink that fails in one of its methods."""

    def __init__(self, where: str, error: BaseException) -> None:
        super().__init__()
        self.where, self.error = where, error

    def begin(self, head: ResponseHead) -> None:
        super().begin(head)
        if self.where == "begin":
            raise self.error

    def write(self, data: bytes) -> None:
        super().write(data)
        if self.where == "write":
            raise self.error


@BOTH
@pytest.mark.parametrize("where", ["begin", "write"])
@pytest.mark.parametrize("error", [ValueError("mine"), OSError(28, "full"), ProtocolError("no")])
def test_a_sinks_own_error_comes_through(
    bulk: bool, where: str, error: Exception, capfd: pytest.CaptureFixture[str]
) -> None:
    with f.FaultServer({"a": DATA}) as server:

        async def work(network: Network) -> None:
            sink = Raising(where, error)
            with pytest.raises(type(error)) as caught:
                await network.stream(Request("GET", server.url_of("a")), sink, bulk=bulk)
            assert caught.value is error
            calls = sink.calls
            await asyncio.sleep(0.05)
            assert sink.calls == calls
            # The network is as good as before.
            good = Collect()
            await network.stream(Request("GET", server.url_of("a")), good, bulk=bulk)
            assert good.body == DATA

        run(work)
    assert capfd.readouterr().err == ""


@BOTH
def test_after_a_cancellation_no_sink_is_called(bulk: bool) -> None:
    class Counting(Collect):
        def write(self, data: bytes) -> None:
            self.calls += 1

    big = f.GeneratedFile(4_000_000_000, 3)
    with f.FaultServer({"a": big}) as server:

        async def work(network: Network) -> None:
            for wait in (0.0, 0.001, 0.005, 0.01, 0.03):
                sink = Counting()
                task = asyncio.create_task(network.stream(Request("GET", server.url_of("a")), sink, bulk=bulk))
                await asyncio.sleep(wait)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                calls = sink.calls
                await asyncio.sleep(0.05)
                assert sink.calls == calls
            assert all(lane.busy == 0 for lane in network._bulk)

        run(work)


def test_a_cancelled_lane_is_waited_for_while_its_sink_blocks() -> None:
    entered, leave = threading.Event(), threading.Event()

    class Blocking(Collect):
        inside = False

        def write(self, data: bytes) -> None:
            self.inside = True
            entered.set()
            leave.wait(10)
            self.inside = False

    with f.FaultServer({"a": DATA}) as server:

        async def work(network: Network) -> None:
            sink = Blocking()
            task = asyncio.create_task(network.stream(Request("GET", server.url_of("a")), sink, bulk=True))
            await asyncio.to_thread(entered.wait, 10)
            task.cancel()
            await asyncio.sleep(0.1)
            assert not task.done()  # what the sink writes to must not be closed yet
            leave.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not sink.inside

        run(work)


def test_requests_that_must_not_be_repeated_go_out_on_a_fresh_connection() -> None:
    with f.FaultServer({"a": b"x"}, routes={"post": lambda ask: f.Reply.of(200, b"{}")}) as server:

        async def work(network: Network) -> None:
            for _ in range(2):
                await network.stream(Request("GET", server.url_of("a")), Collect())
            for _ in range(2):
                await network.stream(Request("POST", server.url_of("post"), body=b"1"), Collect())

        run(work)
        one, two, three, four = (record.connection for record in server.log)
    assert one == two
    assert len({two, three, four}) == 3


def test_a_connection_that_the_server_closed_is_not_an_error_for_a_get() -> None:
    handle, seen = answers(reply(200, b"1"), b"", reply(200, b"2"))
    with RawServer(handle) as server:

        async def work(network: Network) -> bytes:
            sink = Collect()
            for _ in range(2):
                await network.stream(Request("GET", server.url), sink)
            return sink.body

        assert run(work) == b"2"
    assert len(seen) == 3


def test_a_post_that_is_cut_is_sent_once() -> None:
    handle, seen = answers(reply(200, b"1"), b"", reply(200, b"2"))
    with RawServer(handle) as server:

        async def work(network: Network) -> None:
            await network.stream(Request("GET", server.url), Collect())
            with pytest.raises(NetworkError):
                await network.stream(Request("POST", server.url, body=b"make it"), Collect())

        run(work)
    assert [head.split()[0] for head, _ in seen] == [b"GET", b"POST"]


# -- proxies ---------------------------------------------------------------------------------------------------------


def connect_proxy(target: tuple[str, int], status: str = "200 Connection established") -> RawServer:
    """A CONNECT proxy whose own answer carries headers that must not be believed."""

    def handle(sock: socket.socket) -> None:
        head = read_head(sock)
        if not head.startswith(b"CONNECT "):
            return
        lying = 'ETag: "proxy"\r\nContent-Range: bytes 0-0/1\r\nLocation: http://evil.example/\r\nX-Proxy: yes\r\n'
        sock.sendall(f"HTTP/1.1 {status}\r\n{lying}\r\n".encode())
        if not status.startswith("200"):
            return
        with socket.create_connection(target) as up:
            back = threading.Thread(target=pump, args=(up, sock))
            back.start()
            pump(sock, up)
            back.join(5)

    return RawServer(handle)


def pump(source: socket.socket, drain: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            drain.sendall(data)
        drain.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@BOTH
def test_the_headers_of_a_proxy_are_not_the_answers(bulk: bool) -> None:
    with f.FaultServer({"a": DATA}, tls=True) as server, connect_proxy(server.address) as proxy:
        settings = NetSettings(ca_bundle=server.ca_file, proxy=Secret(proxy.url), stall_timeout=5)
        head, sink = send(Request("GET", server.url_of("a")), bulk=bulk, settings=settings)
    assert (head.status, sink.body, len(sink.heads)) == (200, DATA, 1)
    assert head.headers.get("x-proxy") is None
    assert head.headers.get("etag") != '"proxy"'


@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "403 No", "302 Found", "502 Bad"])
def test_a_refusing_proxy_is_a_network_error(status: str) -> None:
    with connect_proxy(("127.0.0.1", 9), status) as proxy:
        sink = Collect()
        settings = NetSettings(proxy=Secret(proxy.url), stall_timeout=5)
        with pytest.raises(NetworkError) as caught:
            run(lambda network: network.stream(Request("GET", "https://host.example/"), sink), settings)
    assert sink.calls == 0
    assert status[:3] in str(caught.value)


def test_no_proxy_is_obeyed() -> None:
    with f.FaultServer({"a": b"x"}) as server:
        settings = NetSettings(proxy=Secret("http://127.0.0.1:9"), no_proxy="127.0.0.1")
        assert send(Request("GET", server.url_of("a")), settings=settings)[1].body == b"x"
        with pytest.raises(NetworkError):
            send(Request("GET", server.url_of("a")), settings=NetSettings(proxy=Secret("http://127.0.0.1:9")))


def test_the_password_of_a_proxy_is_in_no_error() -> None:
    settings = NetSettings(proxy=Secret("http://me:s3cret@127.0.0.1:9"))
    with pytest.raises(NetworkError) as caught:
        send(Request("GET", "http://host.example/"), settings=settings)
    assert "s3cret" not in f"{caught.value!r}{caught.value}"
    assert "s3cret" not in repr(settings)


def test_bytes_are_counted_from_every_lane() -> None:
    big = f.GeneratedFile(3_000_000, 3)
    with f.FaultServer({"a": big}) as server:

        async def work(network: Network) -> int:
            tasks = [network.stream(Request("GET", server.url_of("a")), Collect(), bulk=n % 3 > 0) for n in range(12)]
            await asyncio.gather(*tasks)
            return network.received

        assert run(work) == 12 * big.size


def test_read_request_of_the_helper_reads_chunks() -> None:
    one, two = socket.socketpair()
    with one, two:
        one.sendall(b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        assert read_request(two)[1] == b"abc"
