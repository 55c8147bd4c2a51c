"""ImmPort: the portal, and the documented Python functions.

>>> from packhorse.portals.immport import api_file_download
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from packhorse.portals.immport.api import ImmPortApi
    from packhorse.portals.immport.auth import ImmPortAuth
    from packhorse.portals.immport.compat import api_file_download, request_aspera_token, request_immport_token
    from packhorse.portals.immport.portal import ImmPortPortal, open_portal
    from packhorse.portals.immport.uploads import ImmPortUploads

__all__ = [
    "API_ENDPOINT_BASE_URL",
    "ASPERA_BIN_DIR",
    "ASPERA_PRIVATE_KEY_FILE",
    "ASPERA_SERVER",
    "ASPERA_TOKEN_URL",
    "ASPERA_USERNAME",
    "DATA_QUERY_URL",
    "IMMPORT_TOKEN_URL",
    "ImmPortApi",
    "ImmPortAuth",
    "ImmPortPortal",
    "ImmPortUploads",
    "api_file_download",
    "open_portal",
    "request_aspera_token",
    "request_immport_token",
]

# The constants of ImmPort's Python page. They may be assigned anew: the functions read them at every call.
API_ENDPOINT_BASE_URL = "https://api.immport.org"
DATA_QUERY_URL = API_ENDPOINT_BASE_URL + "/data/query"
IMMPORT_TOKEN_URL = "https://auth.immport.org/auth/token"  # noqa: S105 - an address
ASPERA_BIN_DIR = "../common/aspera/cli/bin"
ASPERA_TOKEN_URL = API_ENDPOINT_BASE_URL + "/data/download/token"
ASPERA_PRIVATE_KEY_FILE = "../common/aspera/cli/etc/asperaweb_id_dsa.openssh"
ASPERA_USERNAME = "databrowser"
ASPERA_SERVER = "aspera-immport.niaid.nih.gov"

_HOMES = {
    "ImmPortApi": "api",
    "ImmPortAuth": "auth",
    "ImmPortPortal": "portal",
    "ImmPortUploads": "uploads",
    "api_file_download": "compat",
    "open_portal": "portal",
    "request_aspera_token": "compat",
    "request_immport_token": "compat",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
