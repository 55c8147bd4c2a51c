"""API keys as people have them: the bare text, the whole JSON object, or the path of its file (spec immport §1.3)."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from packhorse.credentials.ladder import sendable
from packhorse.credentials.private import read_private
from packhorse.errors import CredentialStoreError
from packhorse.model import Secret

__all__ = ["parse_expiry", "read_key"]

_LONGEST_PATH = 4096


def read_key(text: Secret, origin: str) -> Secret:
    """The key in what was given. Reads a file where a path was given, so call it in a thread.

    ``origin`` names the place for messages. Raises :class:`CredentialStoreError` for a file that others can read or
    that is missing, JSON without a key, a key that is over.
    """
    words = text.reveal().strip()
    if not words.startswith("{"):
        path = _as_path(words)
        if path is None:
            return sendable(text, origin)
        held = read_private(path)
        if held is None:
            raise CredentialStoreError(f"{origin} names {path}, which does not exist")
        words, origin = held.strip(), str(path)
        if not words.startswith("{"):
            return sendable(Secret(words), origin)
    return _from_json(words, origin)


def _as_path(words: str) -> Path | None:
    """The file that the text names: one that is there, or a name that no key has."""
    if len(words) > _LONGEST_PATH or "\0" in words or "\n" in words:
        return None
    path = Path(words).expanduser() if words.startswith("~") else Path(words)
    try:
        there = path.is_file()
    except OSError:
        return None
    return path if there or words.lower().endswith(".json") else None


def _from_json(words: str, origin: str) -> Secret:
    try:
        held: Any = json.loads(words)
    except (ValueError, RecursionError):
        held = None
    if not isinstance(held, dict):
        raise CredentialStoreError(f"{origin} begins like JSON and is none: was the whole key copied?")
    found = next((held[name] for name in ("api_key", "access_token", "token") if isinstance(held.get(name), str)), None)
    if found is None:
        raise CredentialStoreError(f"{origin} is JSON without a member api_key")
    end = parse_expiry(held.get("expires_at"))
    if end is not None and end <= time.time():
        day = time.strftime("%Y-%m-%d", time.gmtime(end))
        raise CredentialStoreError(
            f"the API key of {origin} was over on {day}", hint="make a new one: keys are good for 30 days"
        )
    return sendable(Secret(found), origin)


def parse_expiry(text: object) -> float | None:
    """``expires_at`` (RFC 3339 with up to nanoseconds) in Unix seconds; ``None`` for anything else.

    >>> parse_expiry("2026-06-15T08:56:00.123456789Z")
    1781513760.123456
    """
    if not isinstance(text, str):
        return None
    found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)", text.strip())
    if found is None:
        return None
    try:
        return datetime.fromisoformat(found[1] + (found[2] or "")[:7] + found[3].replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError):
        return None
