"""ImmPort: the portal, and the documented Python functions.

>>> from packhorse.portals.immport import api_file_download
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from packhorse.portals.immport.api import ImmPortApi
    from packhorse.portals.immport.auth import ImmPortAuth
    from packhorse.portals.immport.portal import ImmPortPortal, open_portal
    from packhorse.portals.immport.uploads import ImmPortUploads

__all__ = ["ImmPortApi", "ImmPortAuth", "ImmPortPortal", "ImmPortUploads", "open_portal"]

_HOMES = {
    "ImmPortApi": "api",
    "ImmPortAuth": "auth",
    "ImmPortPortal": "portal",
    "ImmPortUploads": "uploads",
    "open_portal": "portal",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
