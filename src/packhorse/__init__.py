"""Packhorse carries research data between portals and proves what it moved.

>>> import packhorse
>>> outcome = packhorse.get("flow:samples/12", "reads/")          # doctest: +SKIP
>>> [(file.target.name, file.proof.level) for file in outcome.placed]    # doctest: +SKIP
[('WT_rep1_R1.fastq.gz', <ProofLevel.SHA256: 'sha256'>)]

Everything is loaded at first use, so that the import itself costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from packhorse.errors import (
        AuthenticationError,
        IntegrityError,
        NetworkError,
        NotFoundError,
        PackhorseError,
        PermissionDeniedError,
    )
    from packhorse.model import Address, Digest, Item, Proof, ProofLevel, Secret
    from packhorse.session import Addresses, Paths, Session
    from packhorse.settings import Settings
    from packhorse.transfer.events import EventHandler
    from packhorse.transfer.options import GetOptions, Outcome
    from packhorse.transfer.outgoing import SendOptions, SendOutcome

__version__ = "0.1.0"

__all__ = [
    "Address",
    "AuthenticationError",
    "Digest",
    "GetOptions",
    "IntegrityError",
    "Item",
    "NetworkError",
    "NotFoundError",
    "Outcome",
    "PackhorseError",
    "PermissionDeniedError",
    "Proof",
    "ProofLevel",
    "Secret",
    "SendOptions",
    "SendOutcome",
    "Session",
    "Settings",
    "__version__",
    "get",
    "send",
    "verify",
]

_HOMES = {
    "errors": [
        "AuthenticationError",
        "IntegrityError",
        "NetworkError",
        "NotFoundError",
        "PackhorseError",
        "PermissionDeniedError",
    ],
    "model": ["Address", "Digest", "Item", "Proof", "ProofLevel", "Secret"],
    "session": ["Session"],
    "settings": ["Settings"],
    "transfer.options": ["GetOptions", "Outcome"],
    "transfer.outgoing": ["SendOptions", "SendOutcome"],
}


def get(
    addresses: Addresses, destination: str | Path = ".", *, on_event: EventHandler | None = None, **options: Any
) -> Outcome:
    """Fetch every file at the addresses to ``destination``, and prove it; raise the first failure.

    ``options`` are the fields of :class:`GetOptions`. What an interrupted call left is used by the next.
    """
    from packhorse.session import Session

    with Session() as session:
        return session.get(addresses, destination, on_event=on_event, **options).raise_for_failures()


def send(
    paths: Paths, to: Iterable[str] | str = (), *, on_event: EventHandler | None = None, **wishes: Any
) -> SendOutcome:
    """Send files and folders to people, or for a link, through a FileSender site; raise what stopped it.

    ``wishes`` are those of :meth:`Session.send`. What an interrupted call left is used by the next.
    """
    from packhorse.session import Session

    with Session() as session:
        return session.send(paths, to, on_event=on_event, **wishes).raise_for_failures()


def verify(address: str, path: str | Path) -> Proof:
    """Compare the file at ``path`` with what the portal states of the one at ``address``. Raises IntegrityError."""
    from packhorse.session import Session

    with Session() as session:
        return session.verify(address, path)


def __getattr__(name: str) -> Any:
    from importlib import import_module

    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
