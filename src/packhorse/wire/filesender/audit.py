"""A transfer's log (spec filesender §8). ``records`` has these names too."""

from __future__ import annotations

from dataclasses import dataclass

from packhorse.wire.filesender.lenient import items, mapping, moment, number, text

__all__ = ["AuditActor", "AuditEvent", "AuditTarget", "parse_audit_log"]


@dataclass(frozen=True, slots=True)
class AuditActor:
    """Who did it: ``type`` is ``User``, ``Guest`` or ``Recipient``; ``ip`` is empty where the site hides it."""

    type: str
    id: str = ""
    identity: str | None = None
    ip: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True)
class AuditTarget:
    """What it was done to: ``type`` is ``Transfer``, ``File`` (path, name, size) or ``Recipient`` (email)."""

    type: str
    id: str = ""
    name: str = ""
    path: str = ""
    size: int | None = None
    email: str = ""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One line of a transfer's log; ``event`` is the server's own name, ``time_taken`` seconds."""

    date: int | None
    event: str
    author: AuditActor
    target: AuditTarget
    time_taken: float | None = None


def parse_audit_log(value: object) -> tuple[AuditEvent, ...]:
    """Read a transfer's log, in the server's order (oldest first)."""
    return items(value, "events", _audit_event)


def _audit_event(value: object) -> AuditEvent:
    record = mapping(value)
    author, target, taken = (mapping(record.get(name)) for name in ("author", "target", "time_taken"))
    seconds = taken.get("raw")
    identity = author.get("identity")
    return AuditEvent(
        date=moment(record.get("date")),
        event=text(record.get("event")),
        author=AuditActor(
            type=text(author.get("type")),
            id=text(author.get("id")),
            identity=identity if isinstance(identity, str) else None,
            ip=text(author.get("ip")),
            email=text(author.get("email")),
        ),
        target=AuditTarget(
            type=text(target.get("type")),
            id=text(target.get("id")),
            name=text(target.get("name")),
            path=text(target.get("path")),
            size=number(target.get("size")),
            email=text(target.get("email")),
        ),
        time_taken=float(seconds) if isinstance(seconds, int | float) and not isinstance(seconds, bool) else None,
    )
