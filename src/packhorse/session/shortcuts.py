"""The calls of one line, each with a session of its own: ``packhorse.get``, ``send``, ``verify``, ``query``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from packhorse.model import Proof
from packhorse.session.core import Addresses, Session
from packhorse.session.sending import Paths
from packhorse.tables import Table
from packhorse.transfer.events import EventHandler
from packhorse.transfer.options import Outcome
from packhorse.transfer.outgoing import SendOutcome

__all__ = ["get", "query", "send", "verify"]


def get(
    addresses: Addresses, destination: str | Path = ".", *, on_event: EventHandler | None = None, **options: Any
) -> Outcome:
    """Fetch every file at the addresses to ``destination``, and prove it; raise the first failure.

    ``options`` are the fields of :class:`GetOptions`. What an interrupted call left is used by the next.
    """
    with Session() as session:
        return session.get(addresses, destination, on_event=on_event, **options).raise_for_failures()


def send(
    paths: Paths, to: Iterable[str] | str = (), *, on_event: EventHandler | None = None, **wishes: Any
) -> SendOutcome:
    """Send files and folders to people, or for a link, through a FileSender site; raise what stopped it.

    ``wishes`` are those of :meth:`Session.send`. What an interrupted call left is used by the next.
    """
    with Session() as session:
        return session.send(paths, to, on_event=on_event, **wishes).raise_for_failures()


def verify(address: str, path: str | Path) -> Proof:
    """Compare the file at ``path`` with what the portal states of the one at ``address``. Raises IntegrityError."""
    with Session() as session:
        return session.verify(address, path)


def query(remote: str, name: str, /, **filters: str | float | Sequence[str] | None) -> Table:
    """All rows of a query, as :meth:`Session.query`: ``packhorse.query("immport", "elisa", studyAccession="SDY2")``.

    Raises UsageError for a filter or value that does not exist, with near names.
    """
    with Session() as session:
        return session.query(remote, name, **filters)  # type: ignore[arg-type]
