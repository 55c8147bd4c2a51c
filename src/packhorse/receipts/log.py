"""A log of downloads, in the shape of Flow's guide (seed 003, "Log Downloads")."""

from __future__ import annotations

import json
import logging
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from packhorse.errors import DestinationError
from packhorse.transfer.events import Event, Placed

__all__ = ["DownloadLog"]


class DownloadLog:
    """An event handler that appends a line ``asctime - {json}`` for every file that was downloaded.

    The object holds ``action``, ``file_id``, ``filename``, ``size`` and ``timestamp`` (UTC, ISO 8601 without offset, as
    the guide's ``utcnow().isoformat()``). Files that were here already are no downloads. No logger is configured.
    Raises :class:`DestinationError` where the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = path.open("a", encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise DestinationError(f"the log cannot be written: {error.strerror}: {path}") from None
        self._format = logging.Formatter("%(asctime)s - %(message)s")
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        if not isinstance(event, Placed) or event.reused:
            return
        facts = {
            "action": "download",
            "file_id": event.id or event.key,
            "filename": event.path.rpartition("/")[2],
            "size": event.size,
            "timestamp": datetime.fromtimestamp(event.time, UTC).replace(tzinfo=None).isoformat(),
        }
        record = logging.LogRecord("downloader", logging.INFO, "", 0, json.dumps(facts), None, None)
        record.created, record.msecs = event.time, int(event.time % 1 * 1000)
        with self._lock:
            self._file.write(self._format.format(record) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
