"""What the faulty server remembers: every request, and every cut with the connections that were open at it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal["open", "done", "cut", "reset", "dropped", "client left", "server closed"]


@dataclass
class Record:
    """One request and its answer. Times are seconds since the server's start.

    ``body_sent`` counts body bytes (without chunk framing) that the kernel took from the server; ``body_unread`` those
    of them that were still in the server's send queue when the connection ended (Linux). What the client's kernel holds
    unread cannot be seen from here, so ``body_sent - body_unread`` is an upper bound of what the client read.
    ``body_in`` counts the bytes of the request's body that were read. ``faults`` are the names of those that changed
    this answer or the reading. ``early``: the client was asked to wait, and did not.
    """

    number: int
    connection: int
    origin: str
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    started: float
    status: int = 0
    body_sent: int = 0
    body_unread: int = 0
    body_in: int = 0
    faults: tuple[str, ...] = ()
    early: bool = False
    ended: float | None = None
    outcome: Outcome = "open"
    answer: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    def header(self, name: str) -> str | None:
        """A request header's first value, or None."""
        return next((value for key, value in self.headers if key == name.lower()), None)

    @property
    def range(self) -> str | None:
        """The Range header, or None."""
        return self.header("range")

    @property
    def authorization(self) -> str | None:
        """The Authorization header, or None."""
        return self.header("authorization")

    @property
    def body_out(self) -> int:
        """Body bytes that left for the client."""
        return self.body_sent - self.body_unread


@dataclass(frozen=True)
class CutRecord:
    """A broken connection: by a fault, or noted by a test that ended the client.

    ``open_connections`` counts the connections that were in the middle of a body at that time, this one included.
    """

    time: float
    connection: int
    path: str
    kind: str
    at: int
    open_connections: int
