"""One connection of the faulty server: reads requests and sends the answers as planned, byte by byte."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from packhorse.testing.faults.base import Fault
from packhorse.testing.faults.log import Outcome, Record
from packhorse.testing.faults.message import Ask, End, Reader, Reply, Send, Wait, position, steps

if TYPE_CHECKING:
    from packhorse.testing.faults.server import FaultServer

_PIECE = 256 * 1024


class _OverError(Exception):
    """The connection is at its end, for the reason named."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class Connection(threading.Thread):
    """A thread that serves one client connection until either side ends it."""

    def __init__(self, server: FaultServer, sock: socket.socket, number: int, origin: str) -> None:
        super().__init__(name=f"fault-server-{number}", daemon=True)
        self.number = number
        self.origin = origin
        self.record: Record | None = None
        self.mid_body = False
        self._server = server
        self._sock = sock
        self._severed: Outcome | None = None

    def run(self) -> None:
        """Serve until the end; every way out closes the socket."""
        try:
            if self._server.context is not None:
                self._sock = self._server.context.wrap_socket(
                    self._sock, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=True
                )
                self._sock.do_handshake()
            reader = Reader(self._sock)
            while self._one(reader):
                pass
        except (OSError, ValueError):
            pass  # the client left, or spoke something else than HTTP
        except _OverError:
            pass
        finally:
            if self.record is not None and self.record.ended is None:
                self._finish("server closed")  # a route or a fault raised
            self.mid_body = False
            self._sock.close()
            self._server.forget(self)

    def sever(self, outcome: Outcome) -> None:
        """Break the connection from another thread."""
        self._severed = outcome
        with contextlib.suppress(OSError):
            # the plain method: SSLSocket.shutdown would pull the TLS state away under the other thread
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def queued(self) -> int:
        """Bytes in the send queue that the client's kernel has not acknowledged (0 where that cannot be asked)."""
        if sys.platform != "linux":
            return 0
        import fcntl
        import termios

        with contextlib.suppress(OSError, ValueError):
            return int(struct.unpack("i", fcntl.ioctl(self._sock.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0])
        return 0

    def _one(self, reader: Reader) -> bool:
        """Serve one request; say whether another may follow."""
        head = reader.head()
        if head is None:
            return False
        method, target, version, headers = head
        ask = Ask(method, target, headers, b"", self.number, self.origin)
        record = self.record = self._server.begin(ask)
        faults = self._server.faults(ask)
        length = int(ask.header("content-length") or 0)
        early = False
        if length:
            try:
                early = self._take_in(reader, length, ask, faults)
                body = b"" if early else reader.body(length)
            except OSError as error:
                raise _OverError(self._finish(self._severed or "client left")) from error
            except _OverError as over:
                self._finish(over.outcome)
                raise
            if body is None:
                self._finish("client left")
                return False
            record.body_in = record.body_in if early else length
            ask = Ask(method, target, headers, body, self.number, self.origin)
        reply, record.faults = self._server.plan(ask, faults)
        reply.close = reply.close or early
        record.status, record.answer = reply.status, tuple(reply.headers)
        try:
            self._answer(ask, reply, record)
        except OSError as error:
            raise _OverError(self._finish(self._severed or "client left")) from error
        except _OverError as over:
            self._finish(over.outcome)
            raise
        last = reply.close or reply.framing == "close" or version == "HTTP/1.0"
        self._finish("done")
        if early:
            self._linger()
        return not last and (ask.header("connection") or "").lower() != "close"

    def _take_in(self, reader: Reader, length: int, ask: Ask, faults: Sequence[Fault]) -> bool:
        """Read the body as the faults want it. Whether to answer before it is read."""
        if (ask.header("expect") or "").lower() == "100-continue":
            self._sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        for fault in faults:
            intake = fault.intake(ask, self._server)
            if intake is None:
                continue
            assert self.record is not None
            self.record.faults = (type(fault).__name__,)
            reader.reach(position(intake.at, length))
            self.record.body_in = min(length, reader.held)
            self._wait(intake.seconds, listening=False)
            if intake.how in {"cut", "reset"}:
                self._end(End(0, "reset" if intake.how == "reset" else "cut"), ask, self.record)
            if intake.how == "answer":
                return True
        return False

    def _linger(self) -> None:
        """Let the client have the answer: closing with unread bytes would reset the connection under it."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_WR)
            self._sock.settimeout(1)
            while self._sock.recv(_PIECE) and not self._server.stopped.is_set():
                pass

    def _answer(self, ask: Ask, reply: Reply, record: Record) -> None:
        if reply.drop:
            raise _OverError("dropped")
        for status, headers in reply.interim:
            self._sock.sendall(
                Reply(status, list(headers), framing="close").head().replace(b"Connection: close\r\n", b"")
            )
        self._head(reply)
        if ask.method == "HEAD":
            return
        self.mid_body = reply.length > 0
        for step in steps(reply):
            match step:
                case Send(data):
                    self._data(data, reply.framing, record)
                case Wait(seconds):
                    self._wait(seconds)
                case End():
                    self._end(step, ask, record)
        if reply.framing == "chunked" and reply.final_chunk:
            self._sock.sendall(b"0\r\n\r\n")
        promised = reply.lengths[0] if reply.lengths and len(reply.lengths) == 1 else ""
        if reply.framing == "length" and promised.isdigit() and int(promised) > reply.length:
            self._server.note_cut("short", connection=self)
            raise _OverError("cut")

    def _head(self, reply: Reply) -> None:
        head = reply.head()
        if not reply.head_seconds:
            self._sock.sendall(head)
            return
        size = max(1, len(head) // 20)
        for at in range(0, len(head), size):
            self._sock.sendall(head[at : at + size])
            self._wait(reply.head_seconds * size / len(head))

    def _data(self, data: memoryview, framing: str, record: Record) -> None:
        for at in range(0, len(data), _PIECE):
            piece = data[at : at + _PIECE]
            if framing == "chunked":
                self._sock.sendall(b"%x\r\n" % len(piece))
            while piece:
                # send, not sendall: what went out before an error has to be counted
                sent = self._sock.send(piece)
                record.body_sent += sent
                piece = piece[sent:]
            if framing == "chunked":
                self._sock.sendall(b"\r\n")

    def _wait(self, seconds: float, *, listening: bool = True) -> None:
        """Pause, but end at once when the server closes, and soon when the client leaves."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._server.stopped.wait(min(left, 0.05)):
                raise _OverError("server closed")
            if self._severed:
                raise _OverError(self._severed)
            if listening and self._left():
                raise _OverError("client left")

    def _left(self) -> bool:
        readable, _, _ = select.select([self._sock], [], [], 0) if self._sock.fileno() < 1024 else ([], [], [])
        if not readable:
            return False
        if isinstance(self._sock, ssl.SSLSocket):
            return True  # a client in the middle of an answer has nothing to say but goodbye
        try:
            return not self._sock.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    def _end(self, end: End, ask: Ask, record: Record) -> None:
        if end.revoke:
            self._server.revoke(ask.header("authorization"))
        if end.how == "reset":
            self._drain()
        self._server.note_cut(end.how, connection=self, at=record.body_sent)
        if end.everything:
            self._server.sever_all(but=self)
        if end.how == "reset":
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._sock, socket.SHUT_WR)
        raise _OverError(end.how)

    def _drain(self) -> None:
        """Let the client have what was sent: a reset throws the send queue away."""
        until = time.monotonic() + 1
        while self.queued() and time.monotonic() < until and not self._left():
            time.sleep(0.002)

    def _finish(self, outcome: Outcome) -> Outcome:
        record = self.record
        if record is not None:
            if outcome in {"client left", "reset", "server closed"}:
                record.body_unread = min(self.queued(), record.body_sent)
            record.outcome = outcome
            record.ended = self._server.now()
        self.mid_body = False
        return outcome
