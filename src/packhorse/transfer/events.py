"""The event stream (DESIGN §4): one versioned schema for ``--json``, Python callbacks and the server.

Every event is a frozen struct; :func:`encode` gives one NDJSON line ``{"v": 1, "event": "placed", …}``. Fields may be
added within a version; none is renamed, removed or given another meaning. Sizes in bytes, times in Unix seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec

__all__ = [
    "EVENT_VERSION",
    "Event",
    "EventHandler",
    "Failed",
    "Placed",
    "Progress",
    "Resumed",
    "Retried",
    "Started",
    "Summary",
    "Verified",
    "encode",
]

EVENT_VERSION = 1


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", omit_defaults=True):
    """The root: ``time`` is when it happened."""

    time: float = msgspec.field(default_factory=time.time)


class Started(Event, frozen=True, kw_only=True, tag="started"):
    """A file's turn has come (``path``), or the whole job's (``path`` empty): how many files and bytes in all.
    ``direction`` is ``up`` for what is sent; ``id`` the portal's id of a transfer."""

    path: str = ""
    address: str = ""
    size: int | None = None
    files: int | None = None
    held: int = 0
    direction: str = ""
    id: str = ""


class Resumed(Event, frozen=True, kw_only=True, tag="resumed"):
    """Part of a file was already here. ``kept`` bytes were re-read and agreed; ``discarded`` did not, and ``why``.
    Of what is sent: ``kept`` bytes were already acknowledged by the portal."""

    path: str
    kept: int
    discarded: int = 0
    size: int | None = None
    why: str = ""


class Progress(Event, frozen=True, kw_only=True, tag="progress"):
    """How far it is: of one file, or (``path`` empty) of the whole job. ``rate`` in bytes per second."""

    path: str = ""
    done: int = 0
    size: int | None = None
    rate: float | None = None
    files_done: int | None = None
    files: int | None = None
    connections: int | None = None


class Retried(Event, frozen=True, kw_only=True, tag="retried"):
    """Another try: ``attempt`` of this file or piece, after ``delay`` seconds, because of ``why`` (an error code)."""

    path: str
    attempt: int
    delay: float
    why: str
    detail: str = ""


class Verified(Event, frozen=True, kw_only=True, tag="verified"):
    """The bytes were compared with what the source stated (``proof``), or only counted or hashed here."""

    path: str
    proof: str
    stated: str = ""
    recorded: list[str] = []


class Placed(Event, frozen=True, kw_only=True, tag="placed"):
    """The file has its final name. ``id`` is the portal's id of it, where it has one; ``reused`` is set where it was
    there before, proven. Of what is sent: the portal acknowledged the whole file; ``sent`` bytes of it went now."""

    path: str
    address: str = ""
    key: str = ""
    id: str = ""
    size: int
    proof: str
    digests: list[str] = []
    reused: bool = False
    kept: int = 0
    fetched: int = 0
    sent: int = 0
    seconds: float = 0.0
    durability: str = "full"


class Failed(Event, frozen=True, kw_only=True, tag="failed"):
    """A file was given up. Nothing stands under its final name; what arrived is kept where ``resumable``."""

    path: str
    address: str = ""
    code: str
    message: str
    hint: str = ""
    exit_code: int = 1
    resumable: bool = False


class Summary(Event, frozen=True, kw_only=True, tag="summary"):
    """The last event. ``exit_code`` as the command line's; ``proofs`` counts files by proof level. ``sent``: bytes that
    went over the network, with those that were sent again; ``id``: the portal's id of a transfer."""

    files: int
    placed: int
    reused: int
    failed: int
    size: int
    fetched: int
    kept: int
    seconds: float
    exit_code: int
    proofs: dict[str, int] = {}
    destination: str = ""
    direction: str = ""
    sent: int = 0
    id: str = ""


EventHandler = Callable[[Event], None]

_encoder = msgspec.json.Encoder()


def as_dict(event: Event) -> dict[str, Any]:
    """The event as plain values, version first."""
    plain: dict[str, Any] = msgspec.to_builtins(event)
    return {"v": EVENT_VERSION, **plain}


def encode(event: Event) -> bytes:
    """One NDJSON line, with its line feed.

    >>> encode(Retried(path="a.gz", attempt=1, delay=0.5, why="network", time=0.0))
    b'{"v":1,"event":"retried","time":0.0,"path":"a.gz","attempt":1,"delay":0.5,"why":"network"}\\n'
    """
    return _encoder.encode(as_dict(event)) + b"\n"
