"""Flow (flow.bio): the portal, and the guide's Python client.

>>> from packhorse.portals.flow import Client
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from packhorse.portals.flow.client import Client
    from packhorse.portals.flow.portal import FlowPortal, open_portal
    from packhorse.portals.flow.record import Record

__all__ = ["Client", "FlowPortal", "Record", "open_portal"]

_HOMES = {"Client": "client", "FlowPortal": "portal", "open_portal": "portal", "Record": "record"}


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
