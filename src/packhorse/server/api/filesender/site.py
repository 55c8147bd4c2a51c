"""What the site tells anybody: ``/info``, ``/lang``, ``/echo``; and the logs that browsers send (spec §3, §9)."""

from __future__ import annotations

from typing import Any

from packhorse import __version__
from packhorse.server.api.filesender.core import Call
from packhorse.wire.filesender import bodies, records
from packhorse.wire.filesender.errors import MEANINGS

__all__ = ["echo", "info", "lang", "put_clientlogs"]


def info(call: Call) -> Any:
    """What clients need before they begin, and the limits that they can check by themselves."""
    settings = call.settings
    disclosed = {
        "version": f"packhorse-{__version__}",
        "forward_capabilities": [],
        "max_transfer_size": settings.max_transfer_size,
        "max_transfer_files": settings.max_transfer_files,
        "max_transfer_recipients": settings.max_recipients,
        "max_transfer_days_valid": settings.max_days,
        "default_transfer_days_valid": settings.default_days,
        "max_guest_days_valid": settings.guest_days,
        "chunk_upload_security": settings.chunk_security,
        "ban_extension": ",".join(settings.banned_extensions),
        "terasender_enabled": True,
    }
    logon = f"{call.base}/?s=logon&target=__target__"
    return bodies.info_body(records.Info(call.base, settings.site_name, settings.chunk_size, logon, disclosed))


def lang(_call: Call) -> Any:
    """Texts by their ids: what our refusals mean."""
    return {identifier: meaning.words for identifier, meaning in MEANINGS.items()}


def echo(call: Call) -> Any:
    """What the server understood; for looking at signatures."""
    actor = call.actor
    kind = "guest" if actor.guest else "remote" if actor.signed else "sp" if actor.user else None
    return {
        "args": list(call.asked.parts[1:]),
        "request": {name: value for name, value in call.asked.pairs if name != "signature"},
        "user": actor.user.username if actor.user else None,
        "auth": kind,
        "signed_as": {"method": call.asked.method.lower(), "host": call.asked.host, "path": call.asked.path},
    }


def put_clientlogs(call: Call) -> Any:
    """Browsers' own logs: taken and forgotten."""
    if not call.actor.anybody:
        call.user  # noqa: B018 - refuses
    return True
