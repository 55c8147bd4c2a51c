"""The transport seam: one request, a body streamed to a sink; libcurl behind it (DESIGN §4, Transport).

On every handle: http and https only, no redirects, no content decoding, no total timeout, and callbacks that never
raise into libcurl. What comes out is a :class:`ResponseHead` or one of our errors.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

import pycurl

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
from packhorse.net.budget import HostBudget
from packhorse.net.head import MAX_HEADER_BYTES, final_head
from packhorse.net.lane import Lane, LaneThread
from packhorse.net.message import Request, ResponseHead, Sink, origin_of
from packhorse.net.redact import show_text, show_url
from packhorse.net.settings import NetSettings
from packhorse.net.tls import find_ca_bundle, uses_native_store

__all__ = ["MAX_HEADER_BYTES", "Network"]

_BREAKS: Final = re.compile(r"[\r\n\0]")
_RECEIVE_BUFFER: Final = 512 * 1024
_SEND_BUFFER: Final = 512 * 1024
# libcurl's stable number for the option (curl.h); pycurl has no name for it.
_SUPPRESS_CONNECT_HEADERS: Final = 265

_TLS_CODES: Final = frozenset({53, 54, 58, 59, 60, 66, 77, 80, 82, 83, 90, 91})
_RULE_CODES: Final = frozenset({1, 8, 61, 100})
_USAGE_CODES: Final = frozenset({3, 4})


class Network:
    """Connections, lanes and budgets under one set of settings. Lives on the engine's loop."""

    def __init__(self, settings: NetSettings | None = None, *, lanes: int | None = None) -> None:
        self.settings = settings or NetSettings()
        self.received = 0
        self.sent = 0
        self._count_lock = threading.Lock()
        self._cap = self.settings.max_connections
        self._ca_bundle = self.settings.ca_bundle or find_ca_bundle()
        self._small = Lane()
        self._lane_count = lanes or max(1, min(4, os.cpu_count() or 1))
        self._bulk: list[LaneThread] = []
        self._budgets: dict[tuple[str, str, int], HostBudget] = {}

    def budget(self, url: str) -> HostBudget:
        """The connection budget of the URL's host. Raises :class:`UsageError` for an unreadable URL."""
        try:
            origin = origin_of(url)
        except ValueError:
            raise UsageError(f"not a web address: {show_url(url)}") from None
        if origin not in self._budgets:
            self._budgets[origin] = HostBudget(self._cap)
        return self._budgets[origin]

    def set_cap(self, connections: int) -> None:
        """At most so many connections per host from now on (``--jobs``)."""
        self._cap = max(1, connections)
        for budget in self._budgets.values():
            budget.set_cap(self._cap)

    async def stream(
        self, request: Request, sink: Sink, *, bulk: bool = False, stall: float | None = None
    ) -> ResponseHead:
        """Send ``request`` and stream the body of the final answer to ``sink``.

        ``bulk`` bodies are received in a lane thread, on an HTTP/1.1 connection of their own, where the sink may
        block; others on the engine's loop, where it must not. The same holds for a request body given in pieces, which
        is asked for its pieces afresh when libcurl has to send it again. Redirects are answers like any other here.
        Raises :class:`NetworkError` and its kin, :class:`ProtocolError`, or whatever the sink or the body raised.
        """
        exchange = _Exchange(self, request, sink, bulk=bulk, stall=stall)
        if not bulk:
            return await exchange.run(self._small)
        lane = self._pick()
        return await lane.run(lambda: exchange.run(lane.lane))

    def count(self, received: int, sent: int = 0) -> None:
        """So many body bytes came, and went. Called from every lane."""
        with self._count_lock:
            self.received += received
            self.sent += sent

    def _pick(self) -> LaneThread:
        if len(self._bulk) < self._lane_count and all(lane.busy for lane in self._bulk):
            self._bulk.append(LaneThread(f"packhorse-lane-{len(self._bulk) + 1}"))
        return min(self._bulk, key=lambda lane: lane.busy)

    async def aclose(self) -> None:
        """End every transfer and thread."""
        await self._small.aclose()
        for lane in self._bulk:
            lane.close()
        self._bulk.clear()

    def configure(self, handle: Any, request: Request, *, bulk: bool, stall: float | None) -> None:
        """The options that hold for every request."""
        settings = self.settings
        handle.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        handle.setopt(pycurl.FOLLOWLOCATION, 0)
        handle.setopt(pycurl.NOSIGNAL, 1)
        handle.setopt(_SUPPRESS_CONNECT_HEADERS, 1)
        handle.setopt(pycurl.HTTP_CONTENT_DECODING, 0)
        handle.setopt(pycurl.CONNECTTIMEOUT_MS, int(settings.connect_timeout * 1000))
        handle.setopt(pycurl.LOW_SPEED_LIMIT, 1)
        handle.setopt(pycurl.LOW_SPEED_TIME, max(1, int(stall or settings.stall_timeout)))
        handle.setopt(pycurl.TCP_KEEPALIVE, 1)
        handle.setopt(pycurl.USERAGENT, settings.user_agent)
        if bulk:
            handle.setopt(pycurl.BUFFERSIZE, _RECEIVE_BUFFER)
            if request.body is not None:
                handle.setopt(pycurl.UPLOAD_BUFFERSIZE, _SEND_BUFFER)
            handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        else:
            handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
        if not request.repeatable:
            handle.setopt(pycurl.FRESH_CONNECT, 1)
        if settings.netrc:
            handle.setopt(pycurl.NETRC, pycurl.NETRC_OPTIONAL)
        if settings.proxy:
            handle.setopt(pycurl.PROXY, settings.proxy.reveal())
        if settings.no_proxy is not None:
            handle.setopt(pycurl.NOPROXY, settings.no_proxy)
        if request.url[:6].lower() == "https:":
            if self._ca_bundle is not None:
                handle.setopt(pycurl.CAINFO, str(self._ca_bundle))
            if settings.ca_bundle is None and uses_native_store():
                handle.setopt(pycurl.SSL_OPTIONS, pycurl.SSLOPT_NATIVE_CA)


class _Exchange:
    """One request and its answer: the callbacks' state."""

    def __init__(self, network: Network, request: Request, sink: Sink, *, bulk: bool, stall: float | None) -> None:
        self.network = network
        self.request = request
        self.sink = sink
        self.bulk = bulk
        self.stall = stall
        self.head: ResponseHead | None = None
        self.failure: BaseException | None = None
        self.received = 0
        self.sent = 0
        self._lines: list[bytes] = []

    async def run(self, lane: Lane) -> ResponseHead:
        like = self._like
        handle = None if like is None else lane.ready(like)
        try:
            if handle is None:
                handle = lane.handle()
                self.network.configure(handle, self.request, bulk=self.bulk, stall=self.stall)
                self._prepare_method(handle)
            self._prepare(handle)
            await lane.perform(handle)
        except pycurl.error as error:
            if self.failure is not None:
                raise self.failure from None
            if self.head is None:
                self._begin()  # cut right behind the head: what it said still counts
            raise _translate(error, self.request, self.head, self.received) from None
        finally:
            self.network.count(self.received, self.sent)
        lane.give_back(handle, like)
        if self.failure is not None:
            raise self.failure
        if self.head is None:
            self._begin()
        if self.head is None:
            raise ProtocolError(f"{show_url(self.request.url)} answered without a header")
        return self.head

    @property
    def _like(self) -> Hashable | None:
        """What plain GETs have in common, so that a handle may keep its settings; ``None`` for any other request."""
        request = self.request
        if request.method != "GET" or request.body is not None or not request.repeatable:
            return None
        return self.bulk, self.stall, request.url[:6].lower() == "https:"

    def _prepare(self, handle: Any) -> None:
        """What is of this request alone."""
        request = self.request
        try:
            handle.setopt(pycurl.URL, request.url.encode("ascii"))
        except UnicodeEncodeError:
            raise UsageError(f"not a web address (it must be percent-encoded): {show_url(request.url)}") from None
        lines = ["Expect:"]
        named = {name.lower() for name in request.headers}
        if "accept-encoding" not in named:
            lines.append("Accept-Encoding: identity")
        if request.body is not None and "content-type" not in named:
            lines.append("Content-Type:")  # libcurl would call every body a form
        for name, value in request.headers.items():
            text = value.reveal() if isinstance(value, Secret) else value
            line = f"{name}: {text}" if text else f"{name};"
            if _BREAKS.search(line):
                raise UsageError(f"a line break in the request header {show_text(name, 40)}")
            lines.append(line)
        handle.setopt(pycurl.HTTPHEADER, [line.encode("utf-8") for line in lines])
        # A method of C: a Python function for each of a dozen lines would cost more than all else of a small request.
        handle.setopt(pycurl.HEADERFUNCTION, self._lines.append)
        handle.setopt(pycurl.WRITEFUNCTION, self._on_body)

    def _prepare_method(self, handle: Any) -> None:
        request = self.request
        if request.body is None:
            if request.method == "HEAD":
                handle.setopt(pycurl.NOBODY, 1)
            elif request.method == "GET":
                handle.setopt(pycurl.HTTPGET, 1)
            elif request.method == "POST":
                handle.setopt(pycurl.POST, 1)
                handle.setopt(pycurl.POSTFIELDSIZE, 0)
            else:
                handle.setopt(pycurl.CUSTOMREQUEST, request.method)
            return
        if isinstance(request.body, bytes):
            handle.setopt(pycurl.POST, 1)
            # Not COPYPOSTFIELDS, which refuses NUL bytes. pycurl keeps a reference to the bytes.
            handle.setopt(pycurl.POSTFIELDS, request.body)
            self.sent = len(request.body)
        else:
            handle.setopt(pycurl.UPLOAD, 1)
            handle.setopt(pycurl.INFILESIZE_LARGE, -1 if request.body_size is None else request.body_size)
            reader = _Pieces(self, request.body)
            handle.setopt(pycurl.READFUNCTION, reader.read)
            handle.setopt(pycurl.SEEKFUNCTION, reader.seek)
        handle.setopt(pycurl.CUSTOMREQUEST, request.method)

    def _begin(self) -> None:
        """Hand the final head to the sink: with the first byte of the body, or at the end."""
        head = final_head(self._lines, self.request.url)
        if head is not None:
            self.head = head
            self.sink.begin(head)

    def _on_body(self, data: bytes) -> int | None:
        try:
            self.received += len(data)
            if self.head is None:
                self._begin()
            self.sink.write(data)
        except BaseException as error:  # noqa: BLE001 - nothing may reach libcurl; it is raised again in run()
            self.failure = error
            return -1
        return None


class _Pieces:
    """libcurl's way through a body given in pieces. An empty piece is not the end."""

    def __init__(self, exchange: _Exchange, body: Callable[[], Iterable[bytes | memoryview]]) -> None:
        self._exchange = exchange
        self._body = body
        self._pieces: Iterator[bytes | memoryview] | None = None
        self._left = memoryview(b"")

    def read(self, size: int) -> bytes | int:
        """READFUNCTION: at most ``size`` bytes, none at the end."""
        try:
            if self._pieces is None:
                self._pieces = iter(self._body())
            while not self._left:
                self._left = memoryview(next(self._pieces))
        except StopIteration:
            return b""
        except BaseException as error:  # noqa: BLE001 - as in _on_body
            self._exchange.failure = error
            return int(pycurl.READFUNC_ABORT)
        out, self._left = bytes(self._left[:size]), self._left[size:]
        self._exchange.sent += len(out)
        return out

    def seek(self, offset: int, origin: int) -> int:
        """SEEKFUNCTION: a kept connection was dead, and the body is sent again from its start on another."""
        if offset or origin:
            return int(pycurl.SEEKFUNC_CANTSEEK)
        self._pieces, self._left = None, memoryview(b"")
        return int(pycurl.SEEKFUNC_OK)


def _translate(error: pycurl.error, request: Request, head: ResponseHead | None, received: int) -> PackhorseError:
    """libcurl's code and words as one of our errors."""
    code, words = 0, str(error)
    with suppress(ValueError, TypeError):
        code, words = error.args[0], str(error.args[1])
    host = urlsplit(request.url).hostname or "the server"
    words = show_text(words)
    if code in _TLS_CODES:
        return TlsError(f"the TLS certificate of {host} is not accepted: {words}")
    if code in _RULE_CODES:
        return ProtocolError(f"{host} breaks the rules of HTTP: {words}")
    if code in _USAGE_CODES:
        return UsageError(f"not a web address: {show_url(request.url)}")
    if code == 5:
        return NetworkError(f"the proxy's name cannot be resolved: {words}")
    if code == 6:
        return NetworkError(f"the name {host} cannot be resolved")
    if code == 7:
        return RefusedError(f"no connection to {host}: {words}")
    if code == 28 and head is None and "onnect" in words:
        return NetworkError(f"no connection to {host} in time: {words}")
    if code == 28:
        return StalledError(f"{host} sent nothing for too long: {words}")
    if code == 23:
        return ProtocolError(f"the answer of {host} could not be taken: {words}")
    return NetworkError(f"the connection to {host} broke after {received:,} bytes: {words}")
