"""FileSender: the portal, and the documented Python client.

>>> from packhorse.portals.filesender import FileSenderClient, GuestAuth, UserAuth
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from packhorse.portals.filesender.client import FileSenderClient, SyncFileSenderClient
    from packhorse.portals.filesender.manage import Invitation, Manager
    from packhorse.portals.filesender.portal import FileSenderPortal, open_portal
    from packhorse.portals.filesender.sending import Sending
    from packhorse.portals.filesender.types import (
        Auth,
        File,
        FileUpdate,
        Guest,
        GuestAuth,
        PartialTransfer,
        ServerInfo,
        Transfer,
        TransferUpdate,
        UserAuth,
    )

__all__ = [
    "Auth",
    "File",
    "FileSenderClient",
    "FileSenderPortal",
    "FileUpdate",
    "Guest",
    "GuestAuth",
    "Invitation",
    "Manager",
    "PartialTransfer",
    "Sending",
    "ServerInfo",
    "SyncFileSenderClient",
    "Transfer",
    "TransferUpdate",
    "UserAuth",
    "open_portal",
]

_HOMES = {
    **dict.fromkeys(__all__, "types"),
    **dict.fromkeys(("FileSenderClient", "SyncFileSenderClient"), "client"),
    **dict.fromkeys(("FileSenderPortal", "open_portal"), "portal"),
    **dict.fromkeys(("Invitation", "Manager"), "manage"),
    "Sending": "sending",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
