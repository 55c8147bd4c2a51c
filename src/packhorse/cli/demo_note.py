"""The note that a running ``serve --demo`` leaves in the state directory, so that the ``demo`` remote finds it.

The address stands in ``demo.json``, which the settings read; beside it, where the server's home has its users' random
passwords (mode 0600), so that ``packhorse login demo`` needs nothing typed. Both notes go when the server ends.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Final

from packhorse.model import Secret
from packhorse.settings import DEMO_FILES, DEMO_IMMPORT, Settings, private_write

__all__ = ["demo_account", "forget_demo", "record_demo"]

_SECRETS: Final = {"demo": "password", DEMO_FILES: "filesender_api_key", DEMO_IMMPORT: "password"}


def _server_note(settings: Settings) -> Path:
    return settings.demo_file.with_name("demo-server.json")


def record_demo(settings: Settings, url: str, home: Path) -> None:
    """Leave the note. Raises :class:`~packhorse.errors.SettingsError`."""
    settings.record_demo(url)
    note = {"url": url, "users_file": str(home.absolute() / "demo-users.json")}
    private_write(_server_note(settings), json.dumps(note).encode() + b"\n")


def demo_account(settings: Settings, remote: str = "demo") -> tuple[str, Secret] | None:
    """Name and password (for ``demo-files`` the API key) of the user ``demo`` of the demo server that runs, if one left
    its note."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        note = json.loads(_server_note(settings).read_bytes())
        if settings.remotes[remote].url in (note["url"], f"{note['url']}/api"):
            for user in json.loads(Path(note["users_file"]).read_bytes()):
                if user["username"] == "demo":
                    return "demo", Secret(str(user[_SECRETS[remote]]))
    return None


def forget_demo(settings: Settings, url: str) -> None:
    """Take the note of the server at ``url`` away, unless another one has written over it."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        if json.loads(settings.demo_file.read_bytes())["url"] == url:
            settings.demo_file.unlink()
            _server_note(settings).unlink(missing_ok=True)
