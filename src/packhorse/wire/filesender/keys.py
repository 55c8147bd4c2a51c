"""A transfer's key and its password (spec filesender §10.1, §10.2). The server never has either."""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib
import os
from dataclasses import dataclass
from typing import Final

from packhorse.errors import DecryptionError, ProtocolError
from packhorse.wire.filesender.shared import SharedFile

__all__ = [
    "DEFAULT_ITERATIONS",
    "MAX_ITERATIONS",
    "CryptoParams",
    "KeyVersion",
    "derive_key",
    "generate_password",
    "new_client_entropy",
    "new_salt",
    "params_of",
    "password_bytes",
]

DEFAULT_ITERATIONS: Final = 150_000
"""PBKDF2 iterations of stock clients."""

MAX_ITERATIONS: Final = 10_000_000
"""Above this (some seconds of work) a server's number is taken for an attack."""

_MAX_TEXT: Final = 4096


class KeyVersion(enum.IntEnum):
    """How a transfer is encrypted (``encryption_key_version``). Version 2 can be read by no client."""

    CBC_PLAIN_KEY = 0
    CBC = 1
    GCM = 3

    @classmethod
    def of(cls, value: int | None) -> KeyVersion:
        """The version of a server's number; none means 0 (§6). ``ProtocolError`` for one that nobody can read."""
        try:
            return cls(value or 0)
        except ValueError:
            raise ProtocolError(f"the files are encrypted in a way that is not known (key version {value})") from None


@dataclass(frozen=True, slots=True)
class CryptoParams:
    """How a transfer's key comes from its password. ``salt`` is used as text; ``client_entropy`` is only stored."""

    key_version: KeyVersion
    salt: str
    iterations: int = DEFAULT_ITERATIONS
    password_version: int = 1
    password_encoding: str = "none"  # noqa: S105 - the name of an encoding
    client_entropy: str = ""


def params_of(file: SharedFile) -> CryptoParams:
    """The parameters that a server states for one file. ``ProtocolError`` for an unknown key version."""
    return CryptoParams(
        key_version=KeyVersion.of(file.key_version),
        salt=file.salt,
        iterations=DEFAULT_ITERATIONS if file.iterations is None else file.iterations,
        password_version=file.password_version or 1,
        password_encoding=file.password_encoding or "none",
        client_entropy=file.client_entropy,
    )


def generate_password() -> str:
    """A password of 32 random bytes as base64 (44 characters): password version 2, encoding ``base64``."""
    return base64.b64encode(os.urandom(32)).decode()


def new_client_entropy() -> str:
    """The ``encryption_client_entropy`` of a new transfer: base64 of 32 random bytes."""
    return base64.b64encode(os.urandom(32)).decode()


def new_salt() -> str:
    """A transfer's salt as a server makes it: 32 characters of base64 text (24 random bytes)."""
    return base64.b64encode(os.urandom(24)).decode()


def password_bytes(text: str, version: int, encoding: str) -> bytes:
    """The bytes that the key comes from: version 1 is the typed text, version 2 base64 of 32 bytes.

    ``DecryptionError`` for a text that cannot be the password, ``ProtocolError`` for another version or encoding.
    """
    if version == 1:
        return text.encode("utf-8", "surrogateescape")
    if version != 2 or encoding not in ("base64", ""):
        raise ProtocolError(
            f"the password has a form that is not known (version {version}, encoding {encoding[:40]!r})"
        )
    try:
        found = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if len(found) != 32:
        raise DecryptionError(
            "the password is not the one of this transfer, which was generated: 44 characters ending in =",
            hint="copy the whole password, with its last character",
        )
    return found


def derive_key(password: bytes, params: CryptoParams) -> bytes:
    """The AES key (32 bytes). Takes tenths of a second: derive once per transfer, in a thread.

    ``ProtocolError`` when iterations or salt are out of bounds.
    """
    if params.key_version is KeyVersion.CBC_PLAIN_KEY:
        return hashlib.sha256(password).digest()
    if not 1 <= params.iterations <= MAX_ITERATIONS:
        raise ProtocolError(
            f"the server asks for {params.iterations:,} rounds of key derivation; 1 to {MAX_ITERATIONS:,} are done"
        )
    if not 1 <= len(params.salt) <= _MAX_TEXT:
        raise ProtocolError("the server states no salt for the encryption key")
    return hashlib.pbkdf2_hmac("sha256", password, params.salt.encode(), params.iterations, 32)
