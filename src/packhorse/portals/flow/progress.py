"""Percent and bytes of one download, as ``download_file(progress=True)`` shows them.

On standard error, as curl and tqdm do, so that a program's own output stays its own: one line rewritten in place on a
terminal, elsewhere a line every 30 s and one at the end.
"""

from __future__ import annotations

import sys
import time
from typing import Final, TextIO

from packhorse.transfer.events import Event, Failed, Placed, Progress

__all__ = ["ProgressLine"]

_TERMINAL_PAUSE: Final = 0.1
_LOG_PAUSE: Final = 30.0


class ProgressLine:
    """An event handler. ``name`` is what the line begins with."""

    def __init__(self, name: str, stream: TextIO | None = None) -> None:
        self.name = name
        self.stream = stream or sys.stderr
        self.terminal = self.stream.isatty()
        self._shown = time.monotonic() - (_TERMINAL_PAUSE if self.terminal else 0.0)
        self._width = 0

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progress) and event.path:
            pause = _TERMINAL_PAUSE if self.terminal else _LOG_PAUSE
            if time.monotonic() - self._shown >= pause:
                self._shown = time.monotonic()
                self._show(event.done, event.size, last=False)
        elif isinstance(event, Placed):
            self._show(event.size, event.size, last=True)
        elif isinstance(event, Failed) and self._width:
            self._write("", last=True)

    def _show(self, done: int, size: int | None, *, last: bool) -> None:
        if size is None:
            text = f"{self.name}: {done:,} bytes"
        else:
            percent = 100.0 if size == 0 else 100.0 * done / size
            text = f"{self.name}: {percent:.1f}% ({done:,} of {size:,} bytes)"
        self._write(text, last=last)

    def _write(self, text: str, *, last: bool) -> None:
        if self.terminal:
            padded = text.ljust(self._width)
            self._width = len(text)
            self.stream.write(f"\r{padded}" + ("\n" if last else ""))
        elif text:
            self.stream.write(text + "\n")
        self.stream.flush()
