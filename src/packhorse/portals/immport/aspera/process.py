"""Running ``ascp`` under guard: no terminal, a process group of its own, limits of silence and of time, bounded output.

It blocks: call it in a thread. What it is told stands in a list of arguments and in the environment; no shell is ever
involved.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from packhorse.errors import StalledError, TransferError
from packhorse.portals.immport.aspera.find import INSTALL
from packhorse.portals.immport.aspera.management import Message, Messages
from packhorse.portals.immport.aspera.verdicts import KeyRefusedError, asks_for_password

__all__ = ["Ended", "Limits", "Run"]

_TAIL: Final = 64 * 1024
_TICK: Final = 0.1
_GRACE: Final = 3.0


@dataclass(frozen=True, slots=True)
class Limits:
    """``idle``: seconds without a word, a byte or a message; ``total``: seconds in all; ``output``: bytes of words."""

    idle: float = 120.0
    total: float = 7 * 86400.0
    output: int = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended: exit status, the end of its output, and the last ERROR of the management port."""

    status: int
    said: str
    code: int | None = None
    words: str = ""


@dataclass
class _Heard:
    """What the listening threads heard."""

    tail: bytes = b""
    total: int = 0
    there: int = 0
    code: int | None = None
    words: str = ""
    last: float = field(default_factory=time.monotonic)
    over: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def output(self, data: bytes) -> None:
        with self.lock:
            self.tail = (self.tail + data)[-_TAIL:]
            self.total += len(data)
            self.last = time.monotonic()

    def message(self, message: Message) -> None:
        with self.lock:
            self.last = time.monotonic()
            self.there = max(self.there, message.bytes or 0)
            if message.type == "ERROR":
                self.code = message.code
                self.words = message.fields.get("Description", "")[:400]


class Run:
    """One run of ``ascp``. ``arguments`` is without the program; ``-M PORT`` is put before it here.

    ``measure`` says how many bytes are there by what lies on the disk; ``tell`` is told the count as it grows,
    ``started`` the number of the process, which leads a group of its own.
    """

    def __init__(
        self,
        program: Path,
        arguments: Sequence[str],
        environ: Mapping[str, str],
        *,
        measure: Callable[[], int] = lambda: 0,
        tell: Callable[[int], None] = lambda _: None,
        started: Callable[[int], None] = lambda _: None,
        limits: Limits | None = None,
    ) -> None:
        self.program = program
        self.arguments = list(arguments)
        self.environ = dict(environ)
        self.measure = measure
        self.tell = tell
        self.started = started
        self.limits = limits or Limits()
        self._stop = threading.Event()

    def stop(self) -> None:
        """End it, from another thread; :meth:`run` comes back soon after."""
        self._stop.set()

    def run(self) -> Ended:
        """Run to the end. Raises :class:`KeyRefusedError` when it asks for a password, :class:`StalledError` when a
        limit is reached, :class:`TransferError` when it cannot be run or says too much."""
        heard = _Heard()
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            port = listener.getsockname()[1]
            process = self._start(["-M", str(port), *self.arguments])
            stack.callback(_end, process)
            self.started(process.pid)
            threads = [
                threading.Thread(target=_read_output, args=(process, heard), name="packhorse-ascp-output"),
                threading.Thread(target=_read_messages, args=(listener, heard), name="packhorse-ascp-messages"),
            ]
            for thread in threads:
                thread.start()
            try:
                status = self._watch(process, heard)
            finally:
                _end(process)
                heard.over = True
                for thread in threads:
                    thread.join()
        return Ended(status, heard.tail.decode("utf-8", "replace"), heard.code, heard.words)

    def _start(self, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        windows = sys.platform == "win32"
        try:
            return subprocess.Popen(  # noqa: S603 - a list of arguments, no shell
                [str(self.program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=self.environ,
                bufsize=0,
                start_new_session=not windows,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0) if windows else 0,
            )
        except (OSError, ValueError) as error:
            words = getattr(error, "strerror", None) or str(error)
            raise TransferError(f"{self.program} cannot be run: {words}", hint=INSTALL) from None

    def _watch(self, process: subprocess.Popen[bytes], heard: _Heard) -> int:
        began = time.monotonic()
        there = 0
        while not _is_over(process):
            self._stop.wait(_TICK)
            now = time.monotonic()
            here = max(self.measure(), heard.there)
            if here > there:
                there, heard.last = here, now
                self.tell(here)
            self._check(heard, now - began, now)
        _end(process)
        if asks_for_password(heard.tail):
            raise _asked()
        return process.returncode

    def _check(self, heard: _Heard, took: float, now: float) -> None:
        """Raises where it has to be ended."""
        with heard.lock:
            tail, total, last = heard.tail, heard.total, heard.last
        if asks_for_password(tail):
            raise _asked()
        if self._stop.is_set():
            raise TransferError("stopped")
        limits = self.limits
        if total > limits.output:
            raise TransferError(f"ascp writes without end ({total:,} bytes), and was ended", hint="--route https")
        if now - last > limits.idle:
            raise StalledError(f"ascp said and did nothing for {limits.idle:,.0f} s, and was ended")
        if took > limits.total:
            raise StalledError(f"ascp was not done after {limits.total:,.0f} s, and was ended")


def _asked() -> KeyRefusedError:
    return KeyRefusedError("ascp asks for a password: the server does not take this key, or the key wants one")


def _is_over(process: subprocess.Popen[bytes]) -> bool:
    """Whether it ended. It is left unreaped where that is possible, so that its number still is its group's."""
    if process.returncode is None and hasattr(os, "waitid"):
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
    return process.poll() is not None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program and all that it started, and wait for it."""
    if process.returncode is not None:
        return
    if not _is_over(process):
        _signal(process, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE
        while not _is_over(process) and time.monotonic() < deadline:
            time.sleep(0.02)
    if process.returncode is None:
        _signal(process, getattr(signal, "SIGKILL", signal.SIGTERM))
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(OSError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, number)


def _read_output(process: subprocess.Popen[bytes], heard: _Heard) -> None:
    assert process.stdout is not None
    with process.stdout as stream:
        while True:
            if sys.platform != "win32" and not select.select([stream], [], [], 0.2)[0]:
                if heard.over:  # somebody else holds the pipe open
                    return
                continue
            data = os.read(stream.fileno(), 16384)
            if not data:
                return
            heard.output(data)
            if heard.over:
                return


def _read_messages(listener: socket.socket, heard: _Heard) -> None:
    """Whoever connects first is ascp, or somebody on this machine who can do no more than lie about the progress."""
    listener.settimeout(0.2)
    while not heard.over:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(0.2)
                _listen(connection, heard)


def _listen(connection: socket.socket, heard: _Heard) -> None:
    messages = Messages()
    while not (heard.over or messages.nonsense):
        try:
            data = connection.recv(16384)
        except TimeoutError:
            continue
        if not data:
            return
        for message in messages.feed(data):
            heard.message(message)
