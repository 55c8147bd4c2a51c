"""A real PostgreSQL for tests: a cluster of its own below a temporary folder, on a free loopback port."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text
from tests.mailserver import free_port

__all__ = ["Cluster", "cluster"]


class Cluster:
    """A running cluster. ``database`` makes an empty database and says its SQLAlchemy URL."""

    def __init__(self, port: int, password: str) -> None:
        self._base = f"postgresql+psycopg://packhorse:{password}@127.0.0.1:{port}"

    def database(self) -> str:
        name = f"t{secrets.token_hex(6)}"
        engine = create_engine(f"{self._base}/postgres", isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return f"{self._base}/{name}"


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Start a cluster and end it. It keeps nothing and syncs nothing. Needs Debian's ``postgresql`` package."""
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="packhorse-postgres-", dir="/tmp"))
    password = secrets.token_hex(12)
    as_user: list[str] = []
    try:
        (folder / "password").write_text(password, encoding="utf-8")
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            as_user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
            for path in (folder, folder / "password"):
                shutil.chown(path, "nobody", "nogroup")
        data, port = folder / "data", free_port()
        made = [*as_user, str(programs / "initdb"), "-D", str(data), "-U", "packhorse", "-A", "scram-sha-256"]
        made += ["--pwfile", str(folder / "password"), "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run(made, check=True, capture_output=True, timeout=120, cwd="/")
        settings = {
            "port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": folder,
            "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "32MB",
        }  # fmt: skip
        begun = [*as_user, str(programs / "postgres"), "-D", str(data)]
        for name, value in settings.items():
            begun += ["-c", f"{name}={value}"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(begun, stdout=log, stderr=log, cwd="/")
        try:
            _wait(programs, port, process, folder / "log")
            yield Cluster(port, password)
        finally:
            process.terminate()  # no connection is cut
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    initdb = shutil.which("initdb")
    assert initdb is not None, "PostgreSQL is not installed: sudo apt install postgresql"
    return Path(initdb).parent


def _wait(programs: Path, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while subprocess.run(
        [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)], check=False
    ).returncode:
        assert process.poll() is None, log.read_text(errors="replace")
        assert time.monotonic() < end, "PostgreSQL did not start in a minute"
        time.sleep(0.05)
