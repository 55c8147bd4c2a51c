"""Passwords, tokens, API keys: how callers prove who they are. No HTTP here."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import argon2
import jwt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = [
    "API_KEY_MARK",
    "AttemptLimiter",
    "Claims",
    "Sealer",
    "Tokens",
    "check_password",
    "hash_key",
    "hash_password",
    "new_api_key",
    "new_password",
    "new_session_id",
]

API_KEY_MARK: Final = "phk_"
"""How our API keys begin; it tells them from JWTs, and scanners of public code can find leaked ones."""

_hasher = argon2.PasswordHasher()
_decoy_lock = threading.Lock()
_decoy: str | None = None


def hash_password(password: str) -> str:
    """The argon2id hash that is stored."""
    return _hasher.hash(password)


def check_password(stored: str | None, password: str) -> bool:
    """Whether the password is right. An unknown user (``None``) takes the same time as a known one."""
    global _decoy
    if stored is None:
        with _decoy_lock:
            if _decoy is None:
                _decoy = _hasher.hash(secrets.token_hex(16))
    try:
        _hasher.verify(stored or _decoy or "", password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False
    return stored is not None


def new_password() -> str:
    """A password nobody has to remember."""
    return secrets.token_urlsafe(12)


def new_api_key() -> str:
    """A key to be shown once."""
    return API_KEY_MARK + secrets.token_urlsafe(32)


def hash_key(key: str) -> str:
    """What is kept of an API key: it has 256 random bits, so a plain sha256 cannot be guessed back."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def new_session_id() -> str:
    """The id of one sign-in."""
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says: whose it is, of which sign-in, and what it is for."""

    user_id: int
    session_id: str
    use: Literal["access", "refresh"]


class Tokens:
    """Issues and reads JWTs (HS256) under one home's key."""

    def __init__(self, key: bytes, *, access_seconds: float, refresh_seconds: float) -> None:
        self._key = key
        self.access_seconds = access_seconds
        self.refresh_seconds = refresh_seconds

    def access(self, user_id: int, session_id: str) -> str:
        """A token for the ``Authorization`` header."""
        return self._issue(user_id, session_id, "access", self.access_seconds)

    def refresh(self, user_id: int, session_id: str) -> str:
        """A token for the refresh cookie."""
        return self._issue(user_id, session_id, "refresh", self.refresh_seconds)

    def _issue(self, user_id: int, session_id: str, use: str, seconds: float) -> str:
        issued = time.time()
        claims = {
            "sub": str(user_id),
            "sid": session_id,
            "use": use,
            "iat": issued,
            "exp": issued + seconds,
            "jti": secrets.token_hex(8),
        }
        return jwt.encode(claims, self._key, algorithm="HS256")

    def read(self, token: str) -> Claims | None:
        """The claims of a token that is ours and not over; ``None`` for everything else."""
        try:
            # the library cuts exp to whole seconds; ours may live for less than one
            claims = jwt.decode(
                token, self._key, algorithms=["HS256"], options={"verify_exp": False, "verify_iat": False}
            )
            use = claims["use"]
            if use not in ("access", "refresh") or float(claims["exp"]) <= time.time():
                return None
            return Claims(int(claims["sub"]), str(claims["sid"]), use)
        except (jwt.InvalidTokenError, KeyError, ValueError, TypeError):
            return None


class Sealer:
    """Keeps secrets that must be read again (keys for HMAC) under a key derived from the home's own."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(hmac.digest(key, b"packhorse: sealed secrets", "sha256"))

    def seal(self, text: str, about: str) -> str:
        """``text`` sealed; ``about`` says whose it is, so that one row's secret cannot be put into another."""
        nonce = secrets.token_bytes(12)
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, text.encode(), about.encode())).decode("ascii")

    def open(self, sealed: str, about: str) -> str | None:
        """The text again; ``None`` when it was sealed by another home, for something else, or was changed."""
        try:
            raw = base64.b64decode(sealed, validate=True)
            return self._cipher.decrypt(raw[:12], raw[12:], about.encode()).decode()
        except (ValueError, InvalidTag):
            return None


class AttemptLimiter:
    """Counts failed sign-ins per key in a sliding window, in this process. Thread-safe, bounded in memory."""

    _MOST_KEYS: Final = 10_000

    def __init__(self, attempts: int, window: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._attempts = attempts
        self._window = window
        self._clock = clock
        self._failures: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def wait(self, key: str) -> float:
        """Seconds until another attempt is allowed; 0 when it is allowed now."""
        with self._lock:
            failures = self._failures.get(key)
            if failures is None:
                return 0.0
            self._drop_old(failures)
            if len(failures) < self._attempts:
                return 0.0
            return max(failures[-self._attempts] + self._window - self._clock(), 0.001)

    def failed(self, key: str) -> None:
        """Count a failure."""
        with self._lock:
            if key not in self._failures and len(self._failures) >= self._MOST_KEYS:
                self._failures.pop(next(iter(self._failures)))
            self._failures.setdefault(key, deque(maxlen=self._attempts)).append(self._clock())

    def succeeded(self, key: str) -> None:
        """Forget the failures of a key that signed in."""
        with self._lock:
            self._failures.pop(key, None)

    def _drop_old(self, failures: deque[float]) -> None:
        while failures and failures[0] <= self._clock() - self._window:
            failures.popleft()
