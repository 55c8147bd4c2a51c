"""``ascp``'s log: ``aspera-scp-transfer.log`` in the folder of ``-L``, and a second name for the newest one."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from pathlib import Path
from typing import Final

__all__ = ["TransferLog"]

_NAME: Final = "aspera-scp-transfer.log"
_SECOND: Final = "aspera-scp-transfer.0.log"


class TransferLog:
    """Lines of one session, appended to what is there; nothing where no folder was given.

    Raises ``OSError`` when the folder cannot be written to.
    """

    def __init__(self, folder: str | None) -> None:
        self._session = secrets.token_hex(4)
        self._file = None
        if folder is None:
            return
        path = Path(folder) / _NAME
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0), 0o660)
        self._file = os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace")
        second = path.with_name(_SECOND)
        if not second.exists():
            with contextlib.suppress(OSError):  # a second name is a comfort: not every file system has them
                os.link(path, second)

    def say(self, text: str) -> None:
        """One line, with time and session."""
        if self._file is not None:
            clean = "".join(sign if sign.isprintable() else "?" for sign in text)
            stamp = time.strftime("%Y-%m-%d %H:%M:%S")
            self._file.write(f"{stamp} [{os.getpid()}-{self._session}] LOG {clean}\n")
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
