"""What the network layer is told: injected, never read from the environment here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from packhorse.model import Secret

__all__ = ["NetSettings"]


@dataclass(frozen=True, slots=True)
class NetSettings:
    """TLS, proxies and times (seconds). There is no total timeout; ``stall_timeout`` counts time without any byte.

    ``proxy`` as libcurl reads it (``http://``, ``socks5h://`` …); ``None`` leaves it to the usual variables.
    """

    ca_bundle: Path | None = None
    proxy: Secret | None = None
    no_proxy: str | None = None
    connect_timeout: float = 30.0
    stall_timeout: float = 60.0
    max_connections: int = 32
    user_agent: str = "packhorse"
    netrc: bool = False
