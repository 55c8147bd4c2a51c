"""Encryption of one upload (spec §10): key version 3, the password in memory only."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from packhorse.errors import DecryptionError, ProtocolError
from packhorse.model import Secret
from packhorse.wire.filesender.bodies import NewFile
from packhorse.wire.filesender.crypto import (
    CryptoParams,
    FileCrypto,
    KeyVersion,
    derive_key,
    new_client_entropy,
    new_file_crypto,
    password_bytes,
)

__all__ = ["Sealing"]

_CHECK: Final = b"packhorse: is this the key of that upload?"


class Sealing:
    """What encrypts the files of one upload. ``generated``: the password is base64 of 32 random bytes."""

    def __init__(self, password: Secret, *, generated: bool, chunk: int) -> None:
        self._password = password
        self._generated = generated
        self._chunk = chunk
        self._keys: dict[str, bytes] = {}

    def params(self, salt: str = "") -> CryptoParams:
        """For the creation (without a salt, which the server makes), and for the key."""
        return CryptoParams(
            key_version=KeyVersion.GCM,
            salt=salt,
            password_version=2 if self._generated else 1,
            password_encoding="base64" if self._generated else "none",
            client_entropy="" if salt else new_client_entropy(),
        )

    def sealed(self, new: NewFile) -> NewFile:
        """A file of the creation with a fresh IV, and what binds its chunks together."""
        crypto = new_file_crypto(bytes(32), new.size, self._chunk)  # IV and AEAD text need no key
        return replace(new, iv=crypto.iv_field, aead=crypto.aead_field)

    async def begun(self, salt: str) -> dict[str, Any]:
        """What the journal keeps: the salt, how the password was made, and what tells its key from another.

        Raises :class:`ProtocolError` where the server gave no salt.
        """
        if not salt:
            raise ProtocolError("the server gives no salt for an encrypted transfer")
        return {"salt": salt, "generated": self._generated, "check": await asyncio.to_thread(self._check, salt)}

    async def resume(self, state: Mapping[str, Any]) -> None:
        """Go on with what :meth:`begun` kept. Raises :class:`DecryptionError` for another password: parts under two
        keys would be readable by nobody."""
        self._generated = bool(state.get("generated"))  # what was generated is typed the next time
        value = await asyncio.to_thread(self._check, str(state["salt"]))
        if not hmac.compare_digest(value, str(state["check"])):
            raise DecryptionError(
                "this upload was begun with another password",
                hint="give the first password again, or begin anew: packhorse send --discard KEY",
            )

    def encoder(self, ref: Mapping[str, Any], size: int) -> SealedFile:
        """For one file. Blocks for tenths of a second, the first time."""
        iv, aead = b64decode(ref["iv"]), b64decode(ref["aead"])
        return SealedFile(FileCrypto(self._key(ref["salt"]), KeyVersion.GCM, ref["chunk"], size, iv, aead))

    def _key(self, salt: str) -> bytes:
        if salt not in self._keys:
            params = self.params(salt)
            raw = password_bytes(self._password.reveal(), params.password_version, params.password_encoding)
            self._keys[salt] = derive_key(raw, params)
        return self._keys[salt]

    def _check(self, salt: str) -> str:
        """Tells whether a key is that of the upload, and nothing of the key: a MAC under it, for this use only."""
        return hmac.new(self._key(salt), _CHECK, hashlib.sha256).hexdigest()[:32]


class SealedFile:
    """The engine's ``Encoder`` of one file."""

    def __init__(self, crypto: FileCrypto) -> None:
        self._crypto = crypto

    def encode(self, index: int, plain: bytes) -> bytes:
        """The stored form of a chunk."""
        return self._crypto.encrypt(index, plain)
