"""An ``ascp`` that outlived us: ``kill -9`` ends one process only, and what goes on must not meet its successor.

Beside the file stands who writes it. The next run ends that process where it is on this machine and surely the same;
where that cannot be known, it leaves the old file to it and begins a new one.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path
from typing import Final

from packhorse.errors import BusyError
from packhorse.transfer.lease import process_start, this_process

__all__ = ["note", "settle"]

_NOTE: Final = "writer.json"
_PATIENCE: Final = 5.0


def note(folder: Path, pid: int) -> None:
    """Write down who writes here from now on. Never raises ``OSError``."""
    me = this_process()
    held = {"host": me.host, "boot": me.boot, "space": me.space, "pid": pid, "started": process_start(pid) or ""}
    with contextlib.suppress(OSError):
        (folder / _NOTE).write_text(json.dumps(held), encoding="ascii")


def settle(folder: Path, stem: str) -> None:
    """See that nobody writes in ``folder`` any more: files beginning with ``stem`` are kept then, else removed.

    Blocks for some seconds at most. Raises :class:`BusyError` where the old process cannot be ended.
    """
    try:
        held = json.loads((folder / _NOTE).read_text(encoding="ascii"))
        host, boot, space = str(held["host"]), str(held["boot"]), str(held["space"])
        pid, started = int(held["pid"]), str(held["started"])
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        _leave(folder, stem)
        return
    me = this_process()
    if host == me.host and boot != me.boot:
        return  # the machine was started anew since
    if (host, space) != (me.host, me.space):
        _leave(folder, stem)
        return
    if pid <= 1 or not _lives(pid, started):
        return
    if not started or os.name != "posix":
        _leave(folder, stem)
        return
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGKILL)  # it was made the leader of a group of its own
    deadline = time.monotonic() + _PATIENCE
    while _lives(pid, started):
        if time.monotonic() > deadline:
            raise BusyError(f"an ascp of an earlier run (process {pid}) still writes this file and cannot be ended")
        time.sleep(0.05)


def _lives(pid: int, started: str) -> bool:
    now = process_start(pid)
    return now is not None and (not started or not now or now == started)


def _leave(folder: Path, stem: str) -> None:
    """Take the names away: who still has a file open writes where nobody reads."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.name.startswith(stem):
                path.unlink()
