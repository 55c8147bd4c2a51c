"""Faults that break a body off, slow it down, or frame it badly."""

from __future__ import annotations

import gzip
from dataclasses import dataclass

from packhorse.testing.faults.base import Fault, Stage
from packhorse.testing.faults.content import BytesFile
from packhorse.testing.faults.message import Ask, At, Drip, End, Reply


@dataclass(frozen=True)
class Cut(Fault):
    """Close the connection (FIN) after ``at`` body bytes; with ``everything``, every connection with it."""

    at: At = 0.5
    everything: bool = False

    def shape(self, reply: Reply, ask: Ask, stage: Stage) -> None:
        reply.end = End(self.at, "cut", self.everything)


@dataclass(frozen=True)
class Reset(Fault):
    """Send a TCP reset (SO_LINGER 0) after ``at`` body bytes."""

    at: At = 0.5

    def shape(self, reply: Reply, ask: Ask, stage: Stage) -> None:
        reply.end = End(self.at, "reset")


@dataclass(frozen=True)
class Stall(Fault):
    """Send nothing for ``seconds`` after ``at`` body bytes, then go on."""

    seconds: float
    at: At = 0.5

    def shape(self, reply: Reply, ask: Ask, stage: Stage) -> None:
        reply.stalls.append((self.at, self.seconds))


@dataclass(frozen=True)
class Dribble(Fault):
    """Send at ``rate`` bytes/s from ``at`` on, for ``length`` bytes (None: to the end)."""

    rate: float
    at: At = 0
    length: int | None = None

    def shape(self, reply: Reply, ask: Ask, stage: Stage) -> None:
        reply.drip = Drip(self.at, self.rate, self.length)


@dataclass(frozen=True)
class Expire(Fault):
    """Cut after ``at`` body bytes, and answer 401 until the client comes with another token.

    ``at=None`` answers 401 to this very request. The server must accept the other token too (``tokens=``).
    """

    at: At | None = 0.5

    def answer(self, ask: Ask, stage: Stage) -> Reply | None:
        if self.at is not None:
            return None
        stage.revoke(ask.header("authorization"))
        return Reply.error(401, "Signature has expired", ("WWW-Authenticate", 'Bearer error="invalid_token"'))

    def shape(self, reply: Reply, ask: Ask, stage: Stage) -> None:
        if self.at is not None:
            reply.end = End(self.at, "cut", revoke=True)


@dataclass(frozen=True)
class Gzip(Fault):
    """Send the selected bytes gzipped, with the compressed length, whatever Accept-Encoding said."""

    def shape(self, reply: Reply, ask: Ask, stage: Stage) -> None:
        packed = gzip.compress(reply.content.read(reply.start, reply.stop), 1, mtime=0)
        reply.content, reply.start, reply.stop = BytesFile(packed), 0, len(packed)
        reply.put("Content-Encoding", "gzip")


@dataclass(frozen=True)
class LengthLie(Fault):
    """Content-Length is ``by`` bytes more (or less) than what is sent; then the connection is closed."""

    by: int = 1

    def shape(self, reply: Reply, ask: Ask, stage: Stage) -> None:
        reply.lengths, reply.close = [str(max(0, reply.length + self.by))], True


@dataclass(frozen=True)
class OpenRangeOffByOne(Fault):
    """Content-Length one byte too long and then a close, for open ranges (``bytes=N-``) only, as FileSender does."""

    def shape(self, reply: Reply, ask: Ask, stage: Stage) -> None:
        if reply.status == 206 and (ask.header("range") or "").rstrip().endswith("-"):
            reply.lengths, reply.close = [str(reply.length + 1)], True


@dataclass(frozen=True)
class BadLength(Fault):
    """Content-Length with these raw values: ``("-1",)``, ``("ten",)``, ``("5", "6")`` for a contradicting pair."""

    values: tuple[str, ...] = ("-1",)

    def shape(self, reply: Reply, ask: Ask, stage: Stage) -> None:
        reply.lengths, reply.close = list(self.values), True


@dataclass(frozen=True)
class NoLength(Fault):
    """Leave Content-Length out; the end of the connection is the end of the body."""

    def shape(self, reply: Reply, ask: Ask, stage: Stage) -> None:
        reply.framing = "close"


@dataclass(frozen=True)
class Chunked(Fault):
    """Chunked transfer coding. With ``cut_at`` it is broken off there, at a chunk's end, without the final chunk."""

    cut_at: At | None = None

    def shape(self, reply: Reply, ask: Ask, stage: Stage) -> None:
        reply.framing = "chunked"
        if self.cut_at is not None:
            reply.end, reply.final_chunk = End(self.cut_at), False
