"""HTTP/1.1 messages as the faulty server sees them: a parsed request, and the plan of an answer.

Written from RFC 9110 and RFC 9112 and sharing nothing with the rest of Packhorse: a bug in a shared reader
would agree with itself in every round trip.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal
from urllib.parse import unquote

from packhorse.testing.faults.content import BytesFile, Content

At = int | float
"""A place in a body: an ``int`` is a byte offset (its last byte, if the body is shorter), a ``float`` from 0 to 1 a
fraction of the body."""

MAX_HEAD = 256 * 1024
MAX_BODY = 64 * 1024 * 1024


def position(at: At, length: int) -> int:
    """Turn ``at`` into a byte offset of a body of ``length`` bytes; never past its last byte.

    >>> position(10, 100), position(1000, 100), position(0.25, 100), position(5, 0)
    (10, 99, 25, 0)
    """
    offset = int(at * length) if isinstance(at, float) else at
    return max(0, min(offset, length - 1))


@dataclass(frozen=True)
class Ask:
    """One request. Header names are in lower case; ``origin`` is ``main`` or ``other`` (the second listener)."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    connection: int = 0
    origin: str = "main"

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def name(self) -> str:
        """The path with its percent signs resolved: what files and rules are named by."""
        return unquote(self.path)

    @property
    def query(self) -> str:
        """What follows the question mark."""
        return self.target.partition("?")[2]

    def header(self, name: str) -> str | None:
        """The first value of a header, or None."""
        return next((value for key, value in self.headers if key == name.lower()), None)

    @property
    def token(self) -> str | None:
        """The bearer token the client sent, if any."""
        scheme, _, token = (self.header("authorization") or "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else None


@dataclass(frozen=True)
class Intake:
    """How a request's body of some length is taken. At ``at`` the server reads nothing for ``seconds``, and then closes
    (``cut``), resets (``reset``), answers and closes (``answer``) or reads on."""

    at: At
    how: Literal["cut", "reset", "answer", "on"] = "on"
    seconds: float = 0.0


@dataclass(frozen=True)
class End:
    """How and where a body is broken off: ``how`` is ``cut`` (FIN) or ``reset`` (RST)."""

    at: At
    how: Literal["cut", "reset"] = "cut"
    everything: bool = False
    revoke: bool = False


@dataclass(frozen=True)
class Drip:
    """A slow stretch of a body: ``rate`` bytes/s from ``at`` for ``length`` bytes (None: to the end)."""

    at: At
    rate: float
    length: int | None = None


@dataclass
class Reply:
    """The plan of one answer. Faults change it; the connection then sends it as it stands."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    content: Content = field(default_factory=lambda: BytesFile(b""))
    start: int = 0
    stop: int = 0
    framing: Literal["length", "close", "chunked"] = "length"
    lengths: list[str] | None = None  # what Content-Length says, when it is not the truth
    interim: list[tuple[int, tuple[tuple[str, str], ...]]] = field(default_factory=list)
    head_seconds: float = 0.0
    end: End | None = None
    stalls: list[tuple[At, float]] = field(default_factory=list)
    drip: Drip | None = None
    flips: list[tuple[At, int]] = field(default_factory=list)
    final_chunk: bool = True
    close: bool = False
    drop: bool = False  # close without any answer

    @classmethod
    def of(cls, status: int, body: bytes, kind: str = "application/json", *headers: tuple[str, str]) -> Reply:
        """An answer with a small body of its own."""
        return cls(status, [("Content-Type", kind), *headers], BytesFile(body), 0, len(body))

    @classmethod
    def error(cls, status: int, text: str | None = None, *headers: tuple[str, str]) -> Reply:
        """An answer in the shape of Flow's errors: ``{"error": "…"}``."""
        body = json.dumps({"error": text or HTTPStatus(status).phrase}).encode()
        return cls.of(status, body, "application/json", *headers)

    @property
    def length(self) -> int:
        """How many body bytes there are to send."""
        return self.stop - self.start

    def get(self, name: str) -> str | None:
        """The first value of a header, or None."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def put(self, name: str, *values: str) -> None:
        """Replace a header by these values (none: leave it out)."""
        self.headers = [(key, value) for key, value in self.headers if key.lower() != name.lower()]
        self.headers += [(name, value) for value in values]

    def head(self) -> bytes:
        """The status line and headers, ready to send."""
        try:
            phrase = HTTPStatus(self.status).phrase
        except ValueError:
            phrase = "Unknown"
        lines = [f"HTTP/1.1 {self.status} {phrase}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.framing == "length":
            lines += [f"Content-Length: {value}" for value in self.lengths or [str(self.length)]]
        elif self.framing == "chunked":
            lines.append("Transfer-Encoding: chunked")
        if self.close or self.framing == "close":
            lines.append("Connection: close")
        # surrogateescape: hostile header values may hold any byte
        return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class Send:
    """A step of a body: these bytes."""

    data: memoryview


@dataclass(frozen=True)
class Wait:
    """A step of a body: nothing for so many seconds."""

    seconds: float


Step = Send | Wait | End


def steps(reply: Reply) -> Iterator[Step]:
    """Turn the plan of a body into what to do, in order.

    >>> reply = Reply.of(200, b"abcdef")
    >>> reply.stalls, reply.end = [(2, 0.5)], End(4)
    >>> [bytes(step.data) if isinstance(step, Send) else type(step).__name__ for step in steps(reply)]
    [b'ab', 'Wait', b'cd', 'End']
    """
    length = reply.length
    stalls = sorted(((position(at, length), seconds) for at, seconds in reply.stalls), reverse=True)
    end = position(reply.end.at, length) if reply.end else length
    flips = {position(at, length) + i for at, count in reply.flips for i in range(count)}
    done = 0
    for whole in reply.content.pieces(reply.start, reply.stop):
        piece = _flipped(whole, done, flips)
        while piece:
            while stalls and stalls[-1][0] <= done < end:
                yield Wait(stalls.pop()[1])
            if done >= end:
                break
            take, pause = _stride(reply.drip, length, done)
            take = min(take, len(piece), end - done, stalls[-1][0] - done if stalls else length)
            yield Send(piece[:take])
            if pause:
                yield Wait(pause)
            piece, done = piece[take:], done + take
        if done >= end:
            break
    if reply.end:
        yield reply.end


def _flipped(piece: memoryview, start: int, flips: set[int]) -> memoryview:
    inside = [offset - start for offset in flips if start <= offset < start + len(piece)]
    if not inside:
        return piece
    changed = bytearray(piece)
    for offset in inside:
        changed[offset] ^= 0xFF
    return memoryview(changed)


def _stride(drip: Drip | None, length: int, done: int) -> tuple[int, float]:
    """How many bytes may go at once from here, and the pause after them."""
    if drip is None:
        return length, 0.0
    first = position(drip.at, length)
    last = length if drip.length is None else first + drip.length
    if done < first:
        return first - done, 0.0
    if done >= last:
        return length, 0.0
    take = min(max(1, int(drip.rate / 20)), last - done)
    return take, take / drip.rate


class Reader:
    """Reads requests from a socket, one after the other."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._held = bytearray()

    def head(self) -> tuple[str, str, str, tuple[tuple[str, str], ...]] | None:
        """Return method, target, version and headers of the next request, or None when the client has left.

        Raises ValueError for what is no HTTP/1.x request.
        """
        while (end := self._held.find(b"\r\n\r\n")) < 0:
            if len(self._held) > MAX_HEAD:
                raise ValueError("request head too large")
            if not self._more():
                return None
        text = bytes(self._held[:end]).decode("latin-1")
        del self._held[: end + 4]
        first, *rest = text.split("\r\n")
        method, target, version = first.split(" ")
        if not version.startswith("HTTP/1."):
            raise ValueError("not HTTP/1")
        pairs = (line.partition(":") for line in rest)
        return method, target, version, tuple((name.strip().lower(), value.strip()) for name, _, value in pairs)

    def body(self, length: int) -> bytes | None:
        """Return ``length`` bytes of body, or None when the client has left."""
        if not self.reach(length):
            return None
        data = bytes(memoryview(self._held)[:length])
        del self._held[:length]
        return data

    def reach(self, length: int) -> bool:
        """Read until ``length`` bytes of the body are here; False when the client has left."""
        if not 0 <= length <= MAX_BODY:
            raise ValueError("request body too large")
        while len(self._held) < length:
            if not self._more():
                return False
        return True

    @property
    def held(self) -> int:
        """How many bytes were read and not taken."""
        return len(self._held)

    def _more(self) -> bool:
        data = self._sock.recv(65536)
        self._held += data
        return bool(data)
