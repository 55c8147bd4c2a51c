"""What is seen while bytes move: bars on a terminal, a plain line every 30 s elsewhere, nothing with ``--quiet``.

:class:`Tally` counts from the event stream alone and is pure; the displays only show it. Events come from the engine's
thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self

from packhorse.cli.output import Output
from packhorse.cli.texts import count, duration, safe, shorten, size
from packhorse.transfer.events import Event, Failed, Placed, Progress, Resumed, Retried, Started

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

__all__ = ["Display", "Tally"]

LINE_EVERY = 30.0
MOST_NOTES = 20
MOST_BARS = 4


@dataclass(slots=True)
class Tally:
    """How far the whole job is. ``done`` and ``total`` in bytes, ``rate`` in bytes per second."""

    files: int | None = None
    files_done: int = 0
    done: int = 0
    total: int | None = None
    rate: float | None = None
    kept: int = 0
    failed: int = 0
    fetched: int = 0
    sent: int = 0
    up: bool = False
    active: set[str] = field(default_factory=set)

    def take(self, event: Event) -> None:
        """Count one event."""
        match event:
            case Started(path=""):
                self.files, self.total, self.up = event.files, event.size, event.direction == "up"
            case Progress(path=""):
                self.done, self.rate = event.done, event.rate
                self.total = event.size if event.size is not None else self.total
                self.files_done = event.files_done if event.files_done is not None else self.files_done
                self.files = event.files if event.files is not None else self.files
            case Resumed():
                self.kept += event.kept
            case Started():
                self.active.add(event.path)
            case Placed():
                self.files_done += 1
                self.fetched += event.fetched
                self.sent += event.sent
                self.active.discard(event.path)
            case Failed():
                self.failed += 1
                self.active.discard(event.path)
            case _:
                pass

    def words(self) -> str:
        """The line for logs.

        >>> Tally(files=12, files_done=2, done=412 * 2**20, total=2**30, rate=102 * 2.0**20).words()
        '412 MiB of 1 GiB (40%), 102 MiB/s, 6.0 s left, 2 of 12 files'
        """
        parts = [size(self.done)]
        if self.total:
            parts[0] += f" of {size(self.total)} ({100 * self.done // self.total}%)"
        if self.rate:
            parts.append(f"{size(self.rate)}/s")
            if self.total and self.total > self.done:
                parts.append(f"{duration((self.total - self.done) / self.rate)} left")
        if self.files and self.files > 1:
            parts.append(f"{self.files_done:,} of {count(self.files, 'file')}")
        if self.failed:
            parts.append(f"{self.failed:,} failed")
        return ", ".join(parts)


class Display:
    """An event handler and a context manager around one get or send."""

    def __init__(
        self,
        output: Output,
        *,
        verbose: bool = False,
        also: Callable[[Event], None] | None = None,
        every: float = LINE_EVERY,
    ) -> None:
        self.tally = Tally()
        self._output = output
        self._verbose = verbose
        self._also = also
        self._every = every
        self._notes = 0
        self._ended = threading.Event()
        self._ticker: threading.Thread | None = None
        self._bars: _Bars | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        if self._output.bars:
            self._bars = _Bars(self._output)
        elif self._output.progress:
            self._ticker = threading.Thread(target=self._tick, name="packhorse-progress", daemon=True)
            self._ticker.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._ended.set()
        if self._ticker is not None:
            self._ticker.join()
        if self._bars is not None:
            self._bars.close()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """While somebody is asked something on the terminal, no bar is drawn over the question."""
        with self._lock:
            if self._bars is not None:
                self._bars.close()
        try:
            yield
        finally:
            with self._lock:
                if self._bars is not None and not self._ended.is_set():
                    self._bars.open()

    def __call__(self, event: Event) -> None:
        """Take one event. Called in the engine's thread."""
        with self._lock:
            self.tally.take(event)
            self._output.event(event)
            self._pass_on(event)
            if self._output.mode == "human":
                text = self._note(event)
                if text:
                    self._say(text)
            if self._bars is not None:
                self._bars.show(event, self.tally)

    def _pass_on(self, event: Event) -> None:
        if self._also is None:
            return
        try:
            self._also(event)
        except OSError as error:  # a full disk under the log must not end the transfer
            self._also = None
            self._output.warn(f"the log cannot be written any more: {error.strerror}")

    def _note(self, event: Event) -> str:
        match event:
            case Resumed(kept=kept, discarded=discarded) if kept or discarded:
                self._notes += 1
                if self._notes > MOST_NOTES and not self._verbose:
                    return ""
                of = f" of {size(event.size)}" if event.size is not None else ""
                text = f"resumed {event.path}: kept {size(kept)}{of}"
                if discarded:
                    text += f", {size(discarded)} did not agree and come again"
                return text + (f" ({event.why})" if event.why else "")
            case Retried(why="over" | "busy", detail=detail) if detail:
                return detail
            case Retried() if self._verbose:
                detail = f": {event.detail}" if event.detail else ""
                wait = f" in {duration(event.delay)}" if event.delay else ""
                return f"trying {event.path or 'the server'} again{wait}, try {event.attempt} ({event.why}{detail})"
            case _:
                return ""

    def _say(self, text: str) -> None:
        if self._bars is not None:
            self._bars.above(safe(text))
        else:
            self._output.note(text)

    def _tick(self) -> None:
        while not self._ended.wait(self._every):
            self._output.note(self.tally.words())


class _Bars:
    """Bars by rich: the whole job, and the few largest files that are moving."""

    def __init__(self, output: Output) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        console = Console(file=output.err, highlight=False, markup=False, emoji=False, soft_wrap=False)
        name_width = max(12, min(32, console.width - 50))
        self._name_width = name_width
        self._progress: Bars = Progress(
            TextColumn("{task.fields[name]}", markup=False),
            BarColumn(bar_width=None, complete_style="cyan", finished_style="green"),
            TextColumn("{task.percentage:>3.0f}%", markup=False),
            TextColumn("{task.fields[moved]}", markup=False, justify="right"),
            console=console,
            transient=True,
            refresh_per_second=5,
            expand=True,
        )
        self._job: TaskID = self._progress.add_task("", name="starting".ljust(name_width), moved="", total=None)
        self._files: dict[str, TaskID] = {}
        self.open()

    def show(self, event: Event, tally: Tally) -> None:
        match event:
            case Progress(path="") | Started(path=""):
                speed = f"{size(tally.rate)}/s" if tally.rate else ""
                doing = "sending" if tally.up else "fetching"
                name = f"{tally.files_done:,} of {count(tally.files, 'file')}" if tally.files else doing
                moved = f"{size(tally.done)} of {size(tally.total)}  {speed:>11}" if tally.total else size(tally.done)
                self._progress.update(
                    self._job, completed=tally.done, total=tally.total, name=name.ljust(self._name_width), moved=moved
                )
            case Progress(path=path):
                task = self._files.get(path)
                if task is None:
                    if len(self._files) >= MOST_BARS:
                        return
                    name = shorten(safe(path), self._name_width).ljust(self._name_width)
                    task = self._files[path] = self._progress.add_task("", name=name, moved="", total=event.size)
                speed = f"{size(event.rate)}/s" if event.rate else ""
                self._progress.update(task, completed=event.done, moved=f"{size(event.size)}  {speed:>11}")
            case Placed(path=path) | Failed(path=path):
                task = self._files.pop(path, None)
                if task is not None:
                    self._progress.remove_task(task)
            case _:
                pass

    def above(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)

    def open(self) -> None:
        self._progress.start()

    def close(self) -> None:
        self._progress.stop()
