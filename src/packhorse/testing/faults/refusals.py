"""Faults of statuses, headers and connections: no data, or none yet."""

from __future__ import annotations

import email.utils
import math
import time
from dataclasses import dataclass
from typing import Literal

from packhorse.testing.faults.base import Fault, Stage
from packhorse.testing.faults.message import Ask, Reply

HOSTILE_NAMES: tuple[str, ...] = (
    'attachment; filename="../../../../etc/cron.d/evil"',
    'attachment; filename="/etc/passwd"',
    'attachment; filename="..\\\\..\\\\windows\\\\system32\\\\evil.dll"',
    'attachment; filename="C:\\\\evil.exe"',
    'attachment; filename=".."',
    'attachment; filename=""',
    'attachment; filename="nul\x00byte"',
    'attachment; filename="CON"',
    'attachment; filename="trailing. "',
    'attachment; filename="' + "n" * 4000 + '"',
    "attachment; filename*=UTF-8''..%2F..%2Fevil",
    "attachment; filename*=UTF-8''%2e%2e%00%0d%0aSet-Cookie%3a%20a",
    "attachment; filename*=UTF-8''%FF%FE",
    'attachment; filename="gpj\u202ecod.exe"',
    'attachment; filename="line\x1b[2Jescape"',
    'attachment; filename="bad\udcff\udcfebytes"',
    "attachment; filename=unquoted/../name",
    'attachment; filename="never closed',
)
"""Values of Content-Disposition that try to get out of a folder, or to break a reader."""


@dataclass(frozen=True)
class Status(Fault):
    """Answer with this status and Flow's form of error body."""

    status: int
    text: str | None = None

    def answer(self, ask: Ask, stage: Stage) -> Reply | None:
        extra = (("WWW-Authenticate", "Bearer"),) if self.status == 401 else ()
        return Reply.error(self.status, self.text, *extra)


WaitForm = Literal[
    "seconds", "date", "ratelimit", "ratelimit-reset", "x-ratelimit-reset", "x-ratelimit-reset-delta", "none"
]


@dataclass(frozen=True)
class Busy(Fault):
    """429 or 503 that asks to wait.

    ``form``: Retry-After in ``seconds`` or as a ``date``; RateLimit-Reset in seconds (``ratelimit-reset``); the IETF
    draft's ``RateLimit`` field with ``t=``; X-RateLimit-Reset as a Unix time or in seconds (``-delta``); ``none``.
    A storm is a rule with ``times=n``. Requests that come too early are marked ``early`` in the log.
    """

    wait: float = 1
    form: WaitForm = "seconds"
    status: int = 429

    def answer(self, ask: Ask, stage: Stage) -> Reply | None:
        stage.hold(ask.name, self.wait if self.form != "none" else 0, ask.origin)
        return Reply.error(self.status, None, *self._headers())

    def _headers(self) -> tuple[tuple[str, str], ...]:
        seconds, moment = str(math.ceil(self.wait)), math.ceil(time.time() + self.wait)
        left = (("Limit", "10"), ("Remaining", "0"))
        match self.form:
            case "seconds":
                return (("Retry-After", seconds),)
            case "date":
                return (("Retry-After", email.utils.formatdate(moment, usegmt=True)),)
            case "ratelimit":
                return (("RateLimit-Policy", '"default";q=10;w=60'), ("RateLimit", f'"default";r=0;t={seconds}'))
            case "ratelimit-reset":
                return (*((f"RateLimit-{name}", value) for name, value in left), ("RateLimit-Reset", seconds))
            case "x-ratelimit-reset":
                return (*((f"X-RateLimit-{name}", value) for name, value in left), ("X-RateLimit-Reset", str(moment)))
            case "x-ratelimit-reset-delta":
                return (*((f"X-RateLimit-{name}", value) for name, value in left), ("X-RateLimit-Reset", seconds))
        return ()


@dataclass(frozen=True)
class Redirect(Fault):
    """Redirect to the same path on ``other`` (another origin), on ``main`` with a query, or to a given URL."""

    to: str = "other"
    status: int = 302

    def answer(self, ask: Ask, stage: Stage) -> Reply | None:
        url = self.to
        if url in {"main", "other"}:
            url = f"{stage.origin_url(url)}{ask.path}?X-Signature=s3cret{stage.count()}"
        return Reply.of(self.status, b"", "text/plain", ("Location", url))


@dataclass(frozen=True)
class RedirectLoop(Fault):
    """Redirect to itself, with another query each time. Use it in a rule that fires always."""

    def answer(self, ask: Ask, stage: Stage) -> Reply | None:
        return Reply.of(302, b"", "text/plain", ("Location", f"{ask.path}?again={stage.count()}"))


@dataclass(frozen=True)
class Header(Fault):
    """Set a header to a raw value, on whatever answer there is."""

    name: str
    value: str

    def shape(self, reply: Reply, ask: Ask, stage: Stage) -> None:
        reply.put(self.name, self.value)


@dataclass(frozen=True)
class HostileName(Fault):
    """A Content-Disposition of `HOSTILE_NAMES` (or any other raw value)."""

    value: str = HOSTILE_NAMES[0]

    def shape(self, reply: Reply, ask: Ask, stage: Stage) -> None:
        reply.put("Content-Disposition", self.value)


@dataclass(frozen=True)
class HugeHeader(Fault):
    """A header of ``size`` bytes."""

    size: int = 1 << 20

    def shape(self, reply: Reply, ask: Ask, stage: Stage) -> None:
        reply.put("X-Padding", "x" * self.size)


@dataclass(frozen=True)
class SlowHead(Fault):
    """Spread the status line and headers over so many seconds, some bytes at a time."""

    seconds: float = 1.0

    def shape(self, reply: Reply, ask: Ask, stage: Stage) -> None:
        reply.head_seconds = self.seconds


@dataclass(frozen=True)
class Interim(Fault):
    """Informational answers (100, 103) before the final one."""

    statuses: tuple[int, ...] = (100, 103)

    def shape(self, reply: Reply, ask: Ask, stage: Stage) -> None:
        hints = (("Link", "</style.css>; rel=preload"),)
        reply.interim += [(status, hints if status == 103 else ()) for status in self.statuses]


@dataclass(frozen=True)
class Hangup(Fault):
    """Close the connection without any answer."""

    def answer(self, ask: Ask, stage: Stage) -> Reply | None:
        return Reply(0, drop=True)


@dataclass(frozen=True)
class Refuse(Fault):
    """Close without an answer, and refuse new connections for ``seconds``. Open connections live on."""

    seconds: float = 0.5

    def answer(self, ask: Ask, stage: Stage) -> Reply | None:
        stage.refuse(self.seconds)
        return Reply(0, drop=True)
