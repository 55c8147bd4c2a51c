"""The tickets that were got from here, each a small file in the state directory: what makes uploads resumable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from packhorse.settings import private_write
from packhorse.wire.immport.tickets import is_ticket

__all__ = ["KnownTicket", "TicketBook"]

_MOST: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTicket:
    """A ticket of ours. ``scheme`` is ``upload`` or ``batch``; ``status`` is the last that was seen; ``created`` in
    Unix seconds; ``fingerprint`` says which files were sent."""

    ticket: str
    remote: str
    scheme: str
    purpose: str
    workspace: int
    package: str
    fingerprint: str
    status: str
    created: float


class TicketBook:
    """The tickets of one remote."""

    def __init__(self, state_dir: Path, remote: str) -> None:
        self._folder = state_dir / "immport-tickets" / remote
        self._remote = remote

    def keep(self, ticket: KnownTicket) -> None:
        """Write a ticket down, or its new status. Raises :class:`SettingsError` where the state cannot be written."""
        private_write(self._folder / f"{ticket.ticket}.json", msgspec.json.encode(ticket) + b"\n")

    def find(self, ticket: str) -> KnownTicket | None:
        """A ticket by its number; ``None`` for one that was not got from here, or whose file is damaged."""
        if not is_ticket(ticket):
            return None
        try:
            return msgspec.json.decode((self._folder / f"{ticket}.json").read_bytes(), type=KnownTicket)
        except (OSError, msgspec.DecodeError):
            return None

    def all(self) -> list[KnownTicket]:
        """Every ticket, the newest first."""
        return sorted(self._read(), key=lambda one: (one.created, one.ticket), reverse=True)

    def _read(self) -> Iterator[KnownTicket]:
        try:
            names = [path.stem for path in self._folder.glob("*.json")][:_MOST]
        except OSError:
            return
        for name in names:
            if (found := self.find(name)) is not None:
                yield found
