"""The one place that writes to a person or a program.

Results go to standard output; progress, notes and errors to standard error, so that ``packhorse ls … | sort`` and
``--json`` stay clean. The mode is resolved once: ``human``, ``json`` (NDJSON, one object per line, each with ``v`` and
``event``) or ``quiet`` (only bare values and errors).
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, Literal

from packhorse.cli.texts import Column, safe, table

if TYPE_CHECKING:
    from packhorse.cli.failures import Failure
    from packhorse.transfer.events import Event

__all__ = ["Mode", "Output"]

Mode = Literal["human", "json", "quiet"]

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_PROOF_STYLE = {"aead": "green", "sha256": "green", "md5": "green", "crc32": "green", "size": "yellow", "none": "red"}


class Output:
    """Everything a command says. Safe to call from the engine's thread.

    A reader that goes away (``packhorse ls … | head``) sets :attr:`broken`; a running transfer goes on.
    """

    def __init__(
        self,
        mode: Mode = "human",
        *,
        progress: bool = True,
        out: IO[str] | None = None,
        err: IO[str] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        environ = os.environ if environ is None else environ
        self.mode = mode
        self.out = sys.stdout if out is None else out
        self.err = sys.stderr if err is None else err
        self.broken = False
        self._lock = threading.Lock()
        plain = bool(environ.get("NO_COLOR")) or environ.get("TERM") == "dumb"
        self.out_is_terminal = _is_terminal(self.out)
        self.err_is_terminal = _is_terminal(self.err)
        self._colour_out = self.out_is_terminal and not plain
        self._colour_err = self.err_is_terminal and not plain
        self.progress = progress and mode == "human"
        self.bars = self.progress and self.err_is_terminal and environ.get("TERM") != "dumb"
        self.width = max(40, min(shutil.get_terminal_size((80, 24)).columns, 140)) if self.out_is_terminal else 80

    # ------------------------------------------------------------------ results

    def line(self, text: str = "", style: str = "") -> None:
        """A line of the result, for people only."""
        if self.mode == "human":
            self._write(self.out, _styled(safe(text), style, self._colour_out))

    def paragraph(self, text: str) -> None:
        """A line of the result, folded between words where the terminal is narrower; elsewhere it stays one."""
        if not self.out_is_terminal:
            self.line(text)
            return
        for part in textwrap.wrap(safe(text), self.width, subsequent_indent="  ", break_long_words=False):
            self.line(part)

    def value(self, text: str) -> None:
        """A bare value: what is left of a result with ``--quiet``."""
        if self.mode == "quiet":
            self._write(self.out, safe(text))

    def data(self, event: str, fields: Mapping[str, Any]) -> None:
        """One NDJSON object, for programs only."""
        if self.mode == "json":
            from packhorse.transfer.events import EVENT_VERSION

            self._json({"v": EVENT_VERSION, "event": event, **fields})

    def event(self, event: Event) -> None:
        """One event of a transfer, for programs only."""
        if self.mode == "json":
            from packhorse.transfer.events import as_dict

            self._json(as_dict(event))

    def raw(self, text: str) -> None:
        """Text that is itself the result in every mode (a completion script)."""
        self._write(self.out, text.rstrip("\n"))

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[str]], *, proof: int | None = None) -> None:
        """An aligned table within the line's width, for people only. ``proof`` is the column that is coloured."""
        if self.mode != "human":
            return
        rows = list(rows)
        lines = table(columns, rows, self.width)
        for index, text in enumerate(lines):
            if index == 0:
                self._write(self.out, _styled(text, "bold", self._colour_out))
                continue
            level = rows[index - 1][proof].split(" ")[0] if proof is not None else ""
            self._write(self.out, _mark(text, level, self._colour_out))

    # ------------------------------------------------------------------ asides

    def note(self, text: str, style: str = "") -> None:
        """An aside on standard error: not with ``--quiet``, not with ``--json``."""
        if self.mode == "human":
            for part in text.split("\n"):
                self._write(self.err, _styled(safe(part), style, self._colour_err))

    def warn(self, text: str) -> None:
        """A warning on standard error, in every mode."""
        self._write(self.err, _styled("warning: ", "yellow", self._colour_err) + safe(text))

    def failure(self, failure: Failure) -> None:
        """An error: a line and what to do next on standard error; with ``--json`` an object on standard output too."""
        self.data("error", failure.as_dict())
        self.error_lines(failure)

    def error_lines(self, failure: Failure) -> None:
        """The lines of an error, on standard error, in every mode."""
        head, *rest = (safe(part) for part in failure.message.split("\n"))
        self._write(self.err, _styled("error: ", "red", self._colour_err) + head)
        for part in rest:
            self._write(self.err, f"  {part}")
        for name, value in failure.details:
            self._write(self.err, f"  {name + ':':<10} {safe(value)}")
        for index, part in enumerate(failure.hint.split("\n") if failure.hint else ()):
            lead = "hint: " if index == 0 else "      "
            self._write(self.err, _styled(lead, "cyan", self._colour_err) + safe(part))

    # ------------------------------------------------------------------ the streams

    def _json(self, value: Mapping[str, Any]) -> None:
        import msgspec

        self._write(self.out, msgspec.json.encode(value, enc_hook=str).decode())

    def _write(self, stream: IO[str], text: str) -> None:
        with self._lock:
            if self.broken and stream is self.out:
                return
            try:
                stream.write(text + "\n")
                stream.flush()
            except BrokenPipeError:
                self.broken = True
            except ValueError:  # a closed stream: nobody is left to read
                self.broken = True


def _is_terminal(stream: IO[str]) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False


def _styled(text: str, style: str, colour: bool) -> str:
    if not colour or not style or not text:
        return text
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m"


def _mark(line: str, level: str, colour: bool) -> str:
    """The line with its last word ``level`` in the colour of that proof."""
    if not colour or level not in _PROOF_STYLE or f" {level}" not in line:
        return line
    head, _, tail = line.rpartition(f" {level}")
    return f"{head} {_styled(level, _PROOF_STYLE[level], True)}{tail}"
