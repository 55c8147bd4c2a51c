"""``ascp``'s management port (``-M PORT``): progress and errors for the program that started it (spec immport §5.4)."""

from __future__ import annotations

import contextlib
import secrets
import socket
import time
from typing import Final

from packhorse.errors import (
    AuthenticationError,
    DestinationError,
    NetworkError,
    NotFoundError,
    PermissionDeniedError,
    SpaceError,
    UsageError,
)

__all__ = ["Management", "error_code"]

_PATIENCE: Final = 5.0
_CODES: Final[tuple[tuple[type[BaseException], int], ...]] = (
    (NotFoundError, 4),
    (PermissionDeniedError, 5),
    (UsageError, 8),
    (NetworkError, 12),
    (SpaceError, 25),
    (KeyboardInterrupt, 28),
    (AuthenticationError, 34),
    (DestinationError, 36),
)


def error_code(error: BaseException) -> int:
    """The number that ``ascp`` has for an error; 2 for what it has none for.

    >>> error_code(NotFoundError("x")), error_code(ValueError())
    (4, 2)
    """
    return next((code for kind, code in _CODES if isinstance(error, kind)), 2)


class Management:
    """A connection to the port, or nothing where none was asked for or nobody listens."""

    def __init__(self, port: int | None) -> None:
        self._id = secrets.token_hex(8)
        self._began = time.monotonic()
        self._socket: socket.socket | None = None
        if port is not None:
            with contextlib.suppress(OSError):
                self._socket = socket.create_connection(("127.0.0.1", port), _PATIENCE)
        self._send("INIT", SessionId=self._id, Direction="Receive", Operation="Transfer")

    def session(self, host: str, source: str, destination: str) -> None:
        """What is going to be done."""
        self._send("SESSION", SessionId=self._id, Host=host, Source=source, Destination=destination)

    def progress(self, done: int, size: int | None) -> None:
        """How many bytes of the whole are here."""
        elapsed = int((time.monotonic() - self._began) * 1e6)
        remaining = "" if size is None else str(max(size - done, 0))
        self._send("STATS", SessionId=self._id, TransferBytes=done, Elapsedusec=elapsed, Remaining=remaining)

    def placed(self, path: str, size: int) -> None:
        """A file has its name."""
        self._send("STOP", SessionId=self._id, File=path, Size=size, Written=size)

    def done(self, size: int) -> None:
        self._send("DONE", SessionId=self._id, TransferBytes=size)

    def failed(self, code: int, text: str) -> None:
        self._send("ERROR", SessionId=self._id, Code=code, Description=text)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, kind: str, **fields: object) -> None:
        if self._socket is None:
            return
        lines = ["FASPMGR 2", f"Type: {kind}"]
        for name, value in fields.items():
            clean = "".join(sign if sign.isprintable() else "?" for sign in str(value))
            lines.append(f"{name}: {clean}")
        try:
            self._socket.sendall(("\n".join(lines) + "\n\n").encode("utf-8", "replace"))
        except OSError:  # whoever wanted to know has gone; the files are still wanted
            self.close()
