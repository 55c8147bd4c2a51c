"""Packhorse carries research data between portals and proves what it moved.

>>> import packhorse
>>> outcome = packhorse.get("flow:samples/12", "reads/")          # doctest: +SKIP
>>> [(file.target.name, file.proof.level) for file in outcome.placed]    # doctest: +SKIP
[('WT_rep1_R1.fastq.gz', <ProofLevel.SHA256: 'sha256'>)]
>>> frame = packhorse.query("immport", "elisa", studyAccession=["SDY2", "SDY4"]).to_pandas()    # doctest: +SKIP

Everything is loaded at first use, so that the import itself costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from packhorse.errors import (
        AuthenticationError,
        IntegrityError,
        NetworkError,
        NotFoundError,
        PackhorseError,
        PermissionDeniedError,
    )
    from packhorse.model import Address, Digest, Item, Proof, ProofLevel, Secret
    from packhorse.session import Session
    from packhorse.session.shortcuts import get, query, send, verify
    from packhorse.settings import Settings
    from packhorse.tables import Table
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
    "Table",
    "__version__",
    "get",
    "query",
    "send",
    "verify",
]

_HOMES = {
    "errors": ("AuthenticationError IntegrityError NetworkError NotFoundError PackhorseError PermissionDeniedError"),
    "model": "Address Digest Item Proof ProofLevel Secret",
    "session": "Session",
    "session.shortcuts": "get query send verify",
    "settings": "Settings",
    "tables": "Table",
    "transfer.options": "GetOptions Outcome",
    "transfer.outgoing": "SendOptions SendOutcome",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    for home, names in _HOMES.items():
        if name in names.split():
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
