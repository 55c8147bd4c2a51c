"""The listening sockets of the faulty server, which can be shut for a time."""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
import threading
import time
from collections.abc import Callable


class Listeners:
    """Listens on one port for each origin in a thread of its own, and hands accepted sockets to ``take``."""

    def __init__(
        self, host: str, ports: dict[str, int], send_buffer: int | None, take: Callable[[socket.socket, str], None]
    ) -> None:
        self.ports = ports
        self._host, self._send_buffer, self._take = host, send_buffer, take
        self._sockets: dict[str, socket.socket] = {}
        self._refused_until = 0.0
        self._stopped = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Open all ports; a port 0 becomes the one that the system gave. Raises OSError if one is taken."""
        try:
            for origin in self.ports:
                self._listen(origin)
        except OSError:
            self._shut()
            raise
        self._wake_in, self._wake_out = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="fault-server-accept", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, for good."""
        if self._thread is None:
            return
        self._stopped = True
        self._wake()
        self._thread.join(10)
        self._thread = None
        self._wake_in.close()
        self._wake_out.close()

    def refuse(self, seconds: float) -> None:
        """Shut the ports for so long; returns when they are shut."""
        self._refused_until = time.monotonic() + seconds
        self._wake()
        until = time.monotonic() + min(seconds, 1)
        while self._sockets and time.monotonic() < until and not self._stopped:
            time.sleep(0.001)

    def _run(self) -> None:
        while not self._stopped:
            pause = self._refused_until - time.monotonic()
            if pause > 0:
                self._shut()
            elif not self._reopened():
                pause = 0.01  # the port is not free yet
            with selectors.DefaultSelector() as selector:
                selector.register(self._wake_in, selectors.EVENT_READ, "")
                for origin, sock in self._sockets.items():
                    selector.register(sock, selectors.EVENT_READ, origin)
                for key, _ in selector.select(pause if pause > 0 else None):
                    if key.data:
                        self._accept(key.data)
                    else:
                        self._wake_in.recv(4096)
        self._shut()

    def _accept(self, origin: str) -> None:
        try:
            sock, _ = self._sockets[origin].accept()
        except OSError:
            return  # the client has left already
        sock.setblocking(True)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._take(sock, origin)

    def _listen(self, origin: str) -> None:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if self._send_buffer is not None:  # accepted sockets inherit it
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._send_buffer)
            sock.bind((self._host, self.ports[origin]))
            sock.listen(256)
            sock.setblocking(False)
        except OSError:
            sock.close()
            raise
        self.ports[origin] = sock.getsockname()[1]
        self._sockets[origin] = sock

    def _reopened(self) -> bool:
        try:
            for origin in self.ports:
                if origin not in self._sockets:
                    self._listen(origin)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
        return True

    def _shut(self) -> None:
        while self._sockets:
            self._sockets.popitem()[1].close()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._wake_out.send(b"!")
