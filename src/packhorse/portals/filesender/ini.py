"""The settings file of FileSender's own Python script, ``~/.filesender/filesender.py.ini``: users have it already."""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packhorse.credentials.private import MAX_SECRET_FILE, read_private
from packhorse.errors import SettingsError
from packhorse.model import Secret
from packhorse.wire.filesender.links import site_base

__all__ = ["IniSettings", "ini_file", "read_ini"]


@dataclass(frozen=True, slots=True)
class IniSettings:
    """``base`` is the site's address without ``/rest.php``; ``days`` the validity that the user is used to."""

    file: Path
    base: str
    username: str | None = None
    api_key: Secret | None = None
    days: int | None = None


def ini_file(environ: Mapping[str, str]) -> Path:
    """Where the script keeps it."""
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    return home / ".filesender" / "filesender.py.ini"


def read_ini(path: Path, base: str | None = None) -> IniSettings | None:
    """What the file says; ``None`` where there is none, or where it is for another server than ``base``.

    The key is read only from a file that nobody else can read: raises :class:`CredentialStoreError` else, and
    :class:`SettingsError` for a file that cannot be understood.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_SECRET_FILE).decode("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}") from None
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        raise SettingsError(f"{path} is no settings file of filesender.py", hint="get it anew from your site") from None
    found = site_base(parser.get("system", "base_url", fallback=""))
    if found is None:
        raise SettingsError(f"{path}: base_url is no address that begins with https:// or http://")
    if base is not None and found != base:
        return None
    username = parser.get("user", "username", fallback="").strip() or None
    key = parser.get("user", "apikey", fallback="").strip()
    if key:
        read_private(path)  # only its checks are wanted
    days = parser.get("system", "default_transfer_days_valid", fallback="").strip()
    return IniSettings(
        file=path,
        base=found,
        username=username,
        api_key=Secret(key) if key else None,
        days=int(days) if days.isascii() and days.isdigit() and len(days) < 5 else None,
    )
