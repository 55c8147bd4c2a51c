"""The ``[server]`` tables of the settings file::

[server.mail]
host = "smtp.example.org"               # without one, letters become files in the home's outbox
port = 587                              # else the usual one of security
security = "starttls"                   # none, starttls or tls
user = "packhorse"
password_file = "/etc/packhorse/smtp"   # 0600; or the variable PACKHORSE_MAIL_PASSWORD
sender = "portal@example.org"
sender_name = "Our portal"
ca_file = "/etc/ssl/site-ca.pem"

[server.filesender]                     # limits and defaults, by the names of FileSenderSettings
max_days = 20
max_transfer_size = 1099511627776

[server.immport]                        # lives of tokens, keys and links, by the names of ImmPortSettings
token_seconds = 3600
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from packhorse.errors import SettingsError
from packhorse.server.config import MailSettings, read_private
from packhorse.server.filesender.settings import FileSenderSettings
from packhorse.server.immport.settings import ImmPortSettings
from packhorse.settings import Settings
from packhorse.settings.reader import Reader

__all__ = ["read_server"]

_MAIL_KEYS: Final = ("host", "port", "security", "user", "password_file", "sender", "sender_name", "ca_file")


def read_server(settings: Settings) -> dict[str, Any]:
    """What the file says about the server, by the names of ``ServerConfig``'s fields.

    Raises :class:`SettingsError` with the file and the key.
    """
    reader = Reader(settings.file)
    reader.only(settings.server, ("mail", "filesender", "immport"), "server.")
    return {
        "mail": _mail(reader, reader.table(settings.server, "mail"), settings.environ),
        "filesender": _filesender(reader, reader.table(settings.server, "filesender")),
        "immport": _immport(reader, reader.table(settings.server, "immport")),
    }


def _mail(reader: Reader, table: Mapping[str, Any], environ: Mapping[str, str]) -> MailSettings:
    at = "server.mail."
    reader.only(table, _MAIL_KEYS, at)
    texts = {key: reader.text(table, key, at) for key in ("host", "user", "sender", "sender_name")}
    password = environ.get("PACKHORSE_MAIL_PASSWORD", "")
    if file := reader.text(table, "password_file", at):
        found = read_private(Path(file).expanduser())
        if found is None:
            raise reader.wrong(at + "password_file", f"names {file}, which is not there")
        password = password or found.strip("\r\n")
    ca_file = reader.text(table, "ca_file", at)
    if ca_file and not Path(ca_file).expanduser().is_file():
        raise reader.wrong(at + "ca_file", f"names {ca_file}, which is not a file of certificates")
    chosen: dict[str, Any] = {key: value for key, value in texts.items() if value is not None}
    try:
        return MailSettings(
            **chosen,
            port=reader.count(table, "port", at, 1, 65535) or 0,
            security=reader.choice(table, "security", at, ("none", "starttls", "tls")) or "none",  # type: ignore[arg-type]
            password=password if chosen.get("user") else "",
            ca_file=Path(ca_file).expanduser() if ca_file else None,
        )
    except SettingsError as error:
        raise SettingsError(f"{reader.file}: [server.mail]: {error.message}", hint=error.hint) from error


def _filesender(reader: Reader, table: Mapping[str, Any]) -> FileSenderSettings:
    """Every field by its name, of the type of its default."""
    at = "server.filesender."
    fields = {field.name: field.default for field in dataclasses.fields(FileSenderSettings)}
    reader.only(table, fields, at)
    chosen: dict[str, Any] = {}
    for key in table:
        default = fields[key]
        if isinstance(default, bool):
            chosen[key] = reader.flag(table, key, at, default=default)
        elif isinstance(default, int):
            chosen[key] = reader.count(table, key, at, 0, 2**53)
        elif isinstance(default, tuple):
            chosen[key] = _list(reader, table[key], at + key, type(default[0]))
        else:
            choices = {"chunk_security": ("key", "auth"), "signature_algorithm": ("sha1", "sha256", "sha512")}.get(key)
            chosen[key] = reader.choice(table, key, at, choices) if choices else reader.text(table, key, at)
    if chosen.get("chunk_size") == 0:
        raise reader.wrong(at + "chunk_size", "must be above 0")
    return FileSenderSettings(**chosen)


def _immport(reader: Reader, table: Mapping[str, Any]) -> ImmPortSettings:
    at = "server.immport."
    reader.only(table, [field.name for field in dataclasses.fields(ImmPortSettings)], at)
    chosen: dict[str, Any] = {key: reader.count(table, key, at, 1, 10**9) for key in table}
    return ImmPortSettings(**chosen)


def _list(reader: Reader, value: object, key: str, kind: type) -> tuple[Any, ...]:
    if not isinstance(value, list) or not all(type(entry) is kind for entry in value):
        raise reader.wrong(key, f"must be a list of {'whole numbers' if kind is int else 'texts'}")
    return tuple(value)
