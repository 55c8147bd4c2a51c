"""Writing the settings file: whole, private, and with the reader's comments left where they are."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packhorse.errors import SettingsError

__all__ = ["parse", "private_write", "with_remote", "without_remote"]


def private_write(path: Path, content: bytes) -> None:
    """Write a file of mode 0600 whole or not at all (a new file beside it, fsynced, then renamed over it).

    The directory is made with mode 0700 where it is missing. Raises :class:`SettingsError`.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror or error}") from None


def with_remote(text: str, name: str, values: Mapping[str, Any]) -> str:
    """The file's text with ``[remotes.NAME]`` set to ``values``; all other lines, comments too, stay as they are.

    Raises :class:`SettingsError` when the file writes this remote in a way that cannot be edited line by line.
    """
    before = parse(text)
    if name in before.get("remotes", {}):
        text = without_remote(text, name)
    if text and not text.endswith("\n"):
        text += "\n"
    lines = [f"[remotes.{name}]", *(f"{key} = {_toml(value)}" for key, value in values.items())]
    edited = text + ("\n" if text else "") + "\n".join(lines) + "\n"
    _expect(edited, {**before, "remotes": {**before.get("remotes", {}), name: dict(values)}}, name)
    return edited


def without_remote(text: str, name: str) -> str:
    """The file's text without ``[remotes.NAME]`` and its sub-tables."""
    header = re.compile(rf"\s*\[\s*remotes\s*\.\s*[\"']?{re.escape(name)}[\"']?\s*(\.[^\]]*)?\]\s*(#.*)?")
    kept: list[str] = []
    held: list[str] = []  # comments and blank lines below the table: they belong to whatever comes next
    inside = False
    for line in text.splitlines(keepends=True):
        if line.lstrip().startswith("["):
            inside = bool(header.fullmatch(line.rstrip("\r\n")))
        if not inside:
            kept += [*held, line]
            held = []
        elif line.strip() and not line.lstrip().startswith("#"):
            held = []
        else:
            held.append(line)
    kept += held
    edited = "".join(kept).rstrip("\n")
    edited = edited + "\n" if edited else ""
    wanted = parse(text)
    remotes = {key: value for key, value in wanted.get("remotes", {}).items() if key != name}
    wanted = {key: value for key, value in wanted.items() if key != "remotes"}
    _expect(edited, {**wanted, "remotes": remotes} if remotes else wanted, name)
    return edited


def parse(text: str, file: Path | str = "the settings file") -> dict[str, Any]:
    """The file's text as tables. Raises :class:`SettingsError`."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file}: {error}") from None


def _expect(text: str, wanted: Mapping[str, Any], name: str) -> None:
    # The edit is by lines; reading it back proves that it changed this remote and nothing else.
    try:
        if tomllib.loads(text) == wanted:
            return
    except tomllib.TOMLDecodeError:
        pass
    raise SettingsError(f"the settings file writes the remote {name!r} in a way that only an editor can change")


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    # A JSON string is a TOML basic string, but for DEL, which TOML wants escaped.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
