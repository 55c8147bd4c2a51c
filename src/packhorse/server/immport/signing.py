"""The RSA key of a server and the tokens that it signs (spec immport §1.1, §1.4)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from packhorse.errors import SettingsError
from packhorse.server.config import read_private, write_private

__all__ = ["Grant", "SigningKey"]

_BITS: Final = 2048


@dataclass(frozen=True, slots=True)
class Grant:
    """What a valid token says: of which sign-in it is (``LoginSession.id``), and what it is good for."""

    session_id: str
    scopes: frozenset[str]
    client_id: str


class SigningKey:
    """Signs and reads JWTs (RS256). The key is made at first use, 0600, the same for every process of the home.

    Links and transfer tokens, which only this server reads, are signed with ``secret`` (HMAC).
    """

    def __init__(self, path: Path, secret: bytes) -> None:
        self._path = path
        self._secret = hmac.digest(secret, b"packhorse: immport links", "sha256")
        self._lock = threading.Lock()
        self._key: RSAPrivateKey | None = None
        self._id = ""

    def issue(self, claims: Mapping[str, Any]) -> str:
        """A signed token with these claims. Raises :class:`SettingsError` when the key cannot be used."""
        key = self._loaded()
        return jwt.encode(dict(claims), key, algorithm="RS256", headers={"kid": self._id})

    def read(self, token: str) -> Grant | None:
        """What an access token of ours says; ``None`` for everything else, and for one that is over."""
        key = self._loaded()
        try:
            claims = jwt.decode(
                token, key.public_key(), algorithms=["RS256"], options={"verify_exp": False, "verify_aud": False}
            )
            if claims.get("token_use") is not None or float(claims["exp"]) <= time.time():
                return None  # an ID token says who somebody is, and opens nothing
            scopes = claims["scope"]
            if not isinstance(scopes, list):
                return None
            session_id = str(claims["jti"]).replace("-", "")
            return Grant(session_id, frozenset(map(str, scopes)), str(claims["client_id"]))
        except (jwt.InvalidTokenError, KeyError, ValueError, TypeError):
            return None

    def mac(self, purpose: str, text: str) -> str:
        """The signature of a text for one purpose, as 64 hexadecimal digits."""
        return hmac.new(self._secret, f"{purpose}\0{text}".encode("utf-8", "surrogatepass"), "sha256").hexdigest()

    def mac_holds(self, purpose: str, text: str, given: str) -> bool:
        """Whether a signature is the one of :meth:`mac`."""
        return given.isascii() and hmac.compare_digest(self.mac(purpose, text), given)

    def jwks(self) -> dict[str, Any]:
        """The public key as a JWK set (RFC 7517)."""
        members = _members(self._loaded())
        return {"keys": [{**members, "kid": self._id, "use": "sig", "alg": "RS256"}]}

    def _loaded(self) -> RSAPrivateKey:
        with self._lock:
            if self._key is None:
                key = self._read_or_make()
                # RFC 7638: the thumbprint of the public key is a name that needs no bookkeeping
                shown = json.dumps(_members(key), separators=(",", ":"), sort_keys=True)
                self._id = _base64(hashlib.sha256(shown.encode()).digest())
                self._key = key
            return self._key

    def _read_or_make(self) -> RSAPrivateKey:
        for _ in range(2):
            if (text := read_private(self._path)) is not None:
                try:
                    key = serialization.load_pem_private_key(text.encode(), None)
                except (ValueError, TypeError):
                    key = None
                if not isinstance(key, RSAPrivateKey):
                    raise SettingsError(
                        f"{self._path} holds no RSA key", hint="remove it: a new one is made, and sign-ins are over"
                    )
                return key
            fresh = generate_private_key(65537, _BITS).private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            write_private(self._path, fresh.decode("ascii"))
        raise SettingsError(f"the signing key {self._path} cannot be read back")


def _members(key: RSAPrivateKey) -> dict[str, str]:
    numbers = key.public_key().public_numbers()
    return {"e": _number(numbers.e), "kty": "RSA", "n": _number(numbers.n)}


def _number(value: int) -> str:
    return _base64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
