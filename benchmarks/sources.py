"""The served files and the server: nginx over files in memory, on free loopback ports, with a CA of our own."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from packhorse.testing.faults.tls import server_context
from packhorse.testing.link import NetnsLink

__all__ = ["PROVEN", "Content", "Served", "Server", "make_files", "memory_folder", "serve"]

PROVEN = "proven/"
_CHUNK = 4 * 1024 * 1024
_LINK_PORT = 8080


@dataclass(frozen=True)
class Content:
    """``count`` files of ``size`` bytes each."""

    count: int
    size: int

    @property
    def total(self) -> int:
        return self.count * self.size

    @property
    def words(self) -> str:
        each = (
            f"{self.size / 2**30:g} GiB"
            if self.size >= 2**30
            else (f"{self.size / 2**20:g} MiB" if self.size >= 2**20 else f"{self.size / 2**10:g} KiB")
        )
        return f"one file of {each}" if self.count == 1 else f"{self.count:,} files of {each}"


@dataclass(frozen=True)
class Served:
    """One file at the server."""

    name: str
    size: int
    sha256: str


def memory_folder() -> Path | None:
    """Where files are in memory: what is served must not be read from the disk that is written to."""
    path = Path("/dev/shm")
    return path if path.is_dir() and os.access(path, os.W_OK) else None


def make_files(folder: Path, content: Content, seed: int) -> list[Served]:
    """Make the files: bytes that do not compress, the same for the same seed."""
    folder.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256(f"packhorse benchmark {seed}".encode()).digest()
    stream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
    zeros = bytes(min(_CHUNK, content.size))
    made: list[Served] = []
    for index in range(content.count):
        name, digest, left = f"file{index:05d}.bin", hashlib.sha256(), content.size
        with open(folder / name, "wb") as out:
            while left:
                data = stream.update(zeros[: min(left, len(zeros))])
                digest.update(data)
                out.write(data)
                left -= len(data)
        made.append(Served(name, content.size, digest.hexdigest()))
    return made


@dataclass(frozen=True)
class Server:
    """A running nginx: base addresses (with a closing slash) and the CA certificate that vouches for ``https``."""

    http: str
    https: str
    ca: Path

    def base(self, scheme: str) -> str:
        return self.https if scheme == "https" else self.http


def _config(root: Path, work: Path, listen: Sequence[str], files: Sequence[Served]) -> str:
    digests = "\n".join(
        f'    "/{PROVEN}{one.name}" "sha-256=:{base64.b64encode(bytes.fromhex(one.sha256)).decode()}:";'
        for one in files
    )
    temporary = "\n".join(
        f"  {kind}_temp_path {work}/temporary;" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    listens = "\n".join(f"    listen {one};" for one in listen)
    user = "user root;\n" if os.geteuid() == 0 else ""
    return f"""{user}worker_processes 2;
daemon off;
pid {work}/nginx.pid;
error_log {work}/error.log warn;
events {{ worker_connections 2048; }}
http {{
  default_type application/octet-stream;
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000;
{temporary}
  map_hash_max_size 65536;
  map_hash_bucket_size 256;
  map $uri $stated {{
    default "";
{digests}
  }}
  server {{
{listens}
    ssl_certificate {work}/ca.pem;
    ssl_certificate_key {work}/key.pem;
    root {root};
    location / {{ autoindex on; }}
    location /{PROVEN} {{
      alias {root}/;
      add_header Repr-Digest $stated;
    }}
  }}
}}
"""


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


@contextmanager
def serve(root: Path, work: Path, files: Sequence[Served], link: NetnsLink | None = None) -> Iterator[Server]:
    """nginx over ``root`` until the block ends; with ``link``, at its server's end. Raises RuntimeError."""
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    work.mkdir(parents=True, exist_ok=True)
    (work / "temporary").mkdir(exist_ok=True)
    host = "127.0.0.1" if link is None else link.server_address
    _, ca = server_context(work, host)
    if link is None:
        plain, tls = _free_ports(2)
    else:
        plain, tls = _LINK_PORT, _LINK_PORT + 1
    config = work / "nginx.conf"
    config.write_text(_config(root, work, [f"{host}:{plain}", f"{host}:{tls} ssl"], files))
    argv = [program, "-e", str(work / "error.log"), "-c", str(config)]
    none = subprocess.DEVNULL
    process: subprocess.Popen[Any] = (
        subprocess.Popen(argv, stdin=none, stdout=none, stderr=none)
        if link is None
        else link.popen(argv, "server", stdin=none, stdout=none, stderr=none)
    )
    try:
        _wait_until_ready(process, work / "nginx.pid", work / "error.log")
        yield Server(f"http://{host}:{plain}/", f"https://{host}:{tls}/", ca)
    finally:
        process.terminate()  # nginx ends its workers at SIGTERM
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(process: subprocess.Popen[Any], pid: Path, log: Path) -> None:
    """nginx writes its pid file after it has bound its ports."""
    end = time.monotonic() + 10
    while not (pid.exists() and pid.read_text().strip()):
        if process.poll() is not None or time.monotonic() > end:
            said = log.read_text()[-500:] if log.exists() else ""
            raise RuntimeError(f"nginx did not start: {said}")
        time.sleep(0.02)
