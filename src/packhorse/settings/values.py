"""The values of the settings, and what a remote's name and address may be. No I/O."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from packhorse.errors import SettingsError
from packhorse.model import ProofLevel, Secret

__all__ = [
    "BUILTIN_KINDS",
    "BUILTIN_REMOTES",
    "DEMO_FILES",
    "DEMO_IMMPORT",
    "NetworkSettings",
    "RemoteSettings",
    "TransferDefaults",
    "check_remote_name",
    "clean_url",
    "near",
    "variable_prefix",
]

BUILTIN_KINDS: Final = ("flow", "immport", "filesender")
DEMO_FILES: Final = "demo-files"
"""The FileSender side of the demo server; ``demo`` is its Flow side: a remote is of one kind."""
DEMO_IMMPORT: Final = "demo-immport"
"""The ImmPort side of the demo server."""
BUILTIN_REMOTES: Final = ("flow", "immport", "demo", DEMO_FILES, DEMO_IMMPORT)
REMOTE_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
RESERVED_NAMES: Final = frozenset({"http", "https", "drs", "local", "file", "ftp", "s3"})


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """``[network]``. Times in seconds. ``ca_from`` says where the CA file was named (for ``config show``)."""

    ca_bundle: Path | None = None
    ca_from: str | None = None
    proxy: Secret | None = None
    no_proxy: str | None = None
    connect_timeout: float = 30.0
    stall_timeout: float = 60.0
    netrc: bool = False
    proxy_variables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TransferDefaults:
    """``[transfer]``: what a *get* does where the call says nothing. ``limit_rate`` in bytes per second."""

    jobs: int | None = None
    retries: int = 3
    durability: Literal["full", "none"] = "full"
    layout: Literal["plain", "organized", "patterns"] = "plain"
    require: ProofLevel | None = None
    limit_rate: int | None = None


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """One remote. ``url`` has no trailing slash; it is empty for the demo before it was ever started.

    ``origin`` says where it is defined: ``built-in``, a variable's name, or the settings file.
    """

    name: str
    kind: str
    url: str
    options: Mapping[str, Any] = field(default_factory=dict)
    origin: str = "built-in"

    @property
    def username(self) -> str | None:
        """The configured account name."""
        value = self.options.get("username")
        return value if isinstance(value, str) else None


def near(word: str, known: Iterable[str]) -> str:
    """A clause with the nearest known word, or nothing.

    >>> near("flwo", ["flow", "immport"])
    "; did you mean 'flow'?"
    >>> near("xyz", ["flow"])
    ''
    """
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {found[0]!r}?" if found else ""


def check_remote_name(name: str) -> None:
    """Refuse a name that an address could not carry. Raises :class:`SettingsError`."""
    if not REMOTE_NAME.fullmatch(name):
        raise SettingsError(
            f"{name!r} cannot be the name of a remote: lower-case letters, digits, '-' and '_' are allowed"
        )
    if name in RESERVED_NAMES or len(name) == 1:
        raise SettingsError(f"{name!r} cannot be the name of a remote: it would read as a URL scheme or a drive letter")


def clean_url(url: str) -> str:
    """The URL of a remote without trailing slashes. Raises ``ValueError`` when it is none.

    >>> clean_url("https://app.flow.bio/api/")
    'https://app.flow.bio/api'
    """
    url = url.strip()
    try:
        parts = urlsplit(url)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        port_is_fine = False
        parts = urlsplit("")
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname or not port_is_fine:
        raise ValueError("must be an address that begins with https:// or http://")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user name or password")
    if parts.query or parts.fragment or any(ch.isspace() or ord(ch) < 32 for ch in url):
        raise ValueError("must be a plain address without '?', '#' or spaces")
    return url.rstrip("/")


def variable_prefix(remote: str) -> str:
    """What the environment variables of a remote begin with: ``PACKHORSE_DEMO_FILES`` for ``demo-files``."""
    return f"PACKHORSE_{remote.upper().replace('-', '_')}"
