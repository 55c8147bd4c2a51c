"""What a portal is given when it is opened, and what some portals can do beyond the engine's protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from packhorse.credentials.ladder import Answer, Credential
from packhorse.credentials.prompt import Prompt
from packhorse.model import Secret
from packhorse.net.transport import Network
from packhorse.settings import RemoteSettings

__all__ = ["Notify", "Passphrase", "PortalContext", "SignsIn"]

Passphrase = Callable[[str], Secret | None]
"""Asked, with a line that says for what, for the password of something encrypted; ``None`` when nobody can be asked."""
Notify = Callable[[str], None]
"""Told one line that a person should see and no error carries (a clock that is wrong)."""


@dataclass(frozen=True, slots=True)
class PortalContext:
    """All that a portal may know of the world. ``open_portal(context) -> Portal`` is what a plug-in offers under the
    entry-point group ``packhorse.portals``, by the name of its kind. ``anonymous``: no credential is looked for.
    ``passphrase`` is called in a thread."""

    remote: RemoteSettings
    network: Network
    environ: Mapping[str, str]
    state_dir: Path
    explicit: Credential | None = None
    prompt: Prompt | None = None
    anonymous: bool = False
    passphrase: Passphrase | None = None
    notify: Notify | None = None


@runtime_checkable
class SignsIn(Protocol):
    """A portal with accounts."""

    async def sign_in(self, username: str, password: Secret, *, store: str) -> Mapping[str, Any]:
        """Sign in, keep the tokens where ``store`` says (``auto``, ``file``, ``keyring``, ``none``), and say who."""

    async def use_token(self, token: Secret, *, username: str | None, store: str) -> Mapping[str, Any]:
        """Check a token or API key with the server, keep it, and say whose it is."""

    async def sign_out(self) -> bool:
        """Forget what is stored. True when there was anything."""

    async def whoami(self) -> Mapping[str, Any]:
        """Who the server says we are; empty when not signed in. Raises AuthenticationError for a refused token."""

    async def credentials(self) -> Answer:
        """What every rung of the ladder says, for ``doctor``. Raises nothing."""
