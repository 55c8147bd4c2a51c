"""Small clients for the kit's own tests; none of them is Packhorse's."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from packhorse.testing.faults import FaultServer, Record


@dataclass
class Got:
    status: int
    headers: http.client.HTTPMessage
    body: bytes
    broken: bool = False


def get(server_or_url: FaultServer | str, path: str = "/a", method: str = "GET", **headers: str) -> Got:
    """One request on one connection; a body that ends early is returned with ``broken``."""
    base = server_or_url if isinstance(server_or_url, str) else server_or_url.url
    parts = urlsplit(base)
    with connected(base) as connection:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        try:
            body, broken = answer.read(), False
        except http.client.IncompleteRead as error:
            body, broken = error.partial, True
        except ConnectionResetError:
            body, broken = b"", True
        assert parts.port
        return Got(answer.status, answer.headers, body, broken)


@contextmanager
def connected(base: str) -> Iterator[http.client.HTTPConnection]:
    parts = urlsplit(base)
    assert parts.hostname
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=10, context=context)
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    try:
        yield connection
    finally:
        connection.close()


def raw(server: FaultServer, request: str = "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") -> bytes:
    """Everything the server says until it closes."""
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as sock:
        sock.sendall(request.encode())
        data = b""
        while piece := sock.recv(65536):
            data += piece
        return data


def settled(server: FaultServer, count: int = 1) -> Record:
    """The last record, once that many answers have ended (the server's thread may be behind the client)."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        done = [record for record in server.log if record.ended is not None]
        if len(done) >= count:
            return server.log[-1]
        time.sleep(0.002)
    pytest.fail(f"no {count} ended answers: {server.log}")
