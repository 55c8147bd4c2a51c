"""ImmPort: the portal, and the documented Python functions.

>>> from packhorse.portals.immport import api_file_download
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from packhorse.portals.immport.api import ImmPortApi
    from packhorse.portals.immport.auth import ImmPortAuth

__all__ = ["ImmPortApi", "ImmPortAuth"]

_HOMES = {"ImmPortApi": "api", "ImmPortAuth": "auth"}


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
