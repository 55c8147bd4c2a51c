"""A FileSender client written by hand for these tests: signing by hmac, nothing of ``packhorse.wire``."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from packhorse.server.config import ServerConfig
from packhorse.server.filesender.settings import FileSenderSettings
from packhorse.server.filesender_keys import create_filesender_key
from packhorse.server.run import Ready, serve
from packhorse.server.users import create_user

CHUNK = 5 << 20


@dataclass
class Fs:
    """One caller of a site: by signature when ``key`` is set, else anonymous (or with ``cookies``)."""

    url: str
    user: str = ""
    key: str = ""
    app: str = ""
    algorithm: str = "sha1"
    http: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.http.trust_env = False

    def signed_query(
        self, method: str, path: str, query: dict[str, str], body: bytes, *, at: float = 0
    ) -> dict[str, str]:
        query = dict(query)
        if self.app:
            query["remote_application"] = self.app
        if self.user:
            query["remote_user"] = self.user
        query["timestamp"] = str(int(time.time() + at))
        pairs = "&".join(f"{name}={query[name]}" for name in sorted(query))
        text = f"{method.lower()}&{urlsplit(self.url).netloc}{path}?{pairs}".encode()
        if body:
            text += b"&" + body
        query["signature"] = hmac.new(self.key.encode(), text, self.algorithm).hexdigest()
        return query

    def call(
        self,
        method: str,
        path: str,
        sent: Any = None,
        *,
        raw: bytes | None = None,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        at: float = 0,
        signed: bool = True,
        **options: Any,
    ) -> requests.Response:
        """One call; ``path`` begins with ``/transfer`` and so on (or is ``/download.php``)."""
        full = path if path.startswith("/download.php") else "/rest.php" + path
        body = raw if raw is not None else b"" if sent is None else json.dumps(sent).encode()
        asked = query or {}
        if signed and self.key:
            asked = self.signed_query(method, full, asked, body, at=at)
        kind = "application/octet-stream" if raw is not None else "application/json"
        options = {"timeout": 60, "allow_redirects": False, **options}
        return self.http.request(
            method,
            self.url + full,
            params=asked,
            data=body,
            headers={"Content-Type": kind, "Accept-Encoding": "identity", **(headers or {})},
            **options,
        )

    def ok(self, method: str, path: str, sent: Any = None, **options: Any) -> Any:
        answer = self.call(method, path, sent, **options)
        assert answer.status_code == (201 if method == "POST" else 200), (path, answer.status_code, answer.text)
        return answer.json()

    def new(self, sizes: dict[str, int], **more: Any) -> dict[str, Any]:
        """A transfer of files by name; a link unless ``recipients`` are given."""
        files = [{"name": name, "size": size} for name, size in sizes.items()]
        made: dict[str, Any] = self.ok("POST", "/transfer", {"files": files, "recipients": [], "options": {}, **more})
        return made

    def chunk(
        self, file: dict[str, Any], offset: int, body: bytes, *, stated: bool = True, **options: Any
    ) -> requests.Response:
        """A chunk by the file's key alone."""
        headers = {}
        if stated:
            headers = {
                "X-Filesender-File-Size": str(file["size"]),
                "X-Filesender-Chunk-Offset": str(offset),
                "X-Filesender-Chunk-Size": str(len(body)),
            }
        headers.update(options.pop("headers", {}))
        query = {"key": file["puid"], **options.pop("query", {})}
        return self.call(
            "PUT",
            f"/file/{file['id']}/chunk/{offset}",
            raw=body,
            query=query,
            headers=headers,
            **{"signed": False, **options},
        )

    def upload(self, file: dict[str, Any], data: bytes, **options: Any) -> None:
        for offset in range(0, len(data), CHUNK):
            body = data[offset : offset + CHUNK]
            answer = self.chunk(file, offset, body, **options)
            assert answer.status_code == 200, answer.text
            assert answer.json() == {"offset": offset, "written": len(body)}

    def complete(self, file: dict[str, Any]) -> requests.Response:
        return self.call("PUT", f"/file/{file['id']}", {"complete": True}, query={"key": file["puid"]})

    def send(self, files: dict[str, bytes], **more: Any) -> dict[str, Any]:
        """A whole transfer, announced; its record as it was created."""
        made = self.new({name: len(data) for name, data in files.items()}, **more)
        for file in made["files"]:
            self.upload(file, files[file["name"]])
            assert self.complete(file).json() is True
        self.ok("PUT", f"/transfer/{made['id']}", {"complete": True})
        return made

    def fetch(self, made: dict[str, Any], number: int = 0, **options: Any) -> requests.Response:
        """Download one file by the first recipient's token."""
        query = {"token": made["recipients"][0]["token"], "files_ids": str(made["files"][number]["id"])}
        query.setdefault("transaction_id", "11111111-2222-4333-8444-555555555555")
        query.update(options.pop("query", {}))
        return self.call(options.pop("method", "GET"), "/download.php", query=query, signed=False, **options)

    def log(self, transfer: dict[str, Any]) -> list[str]:
        return [line["event"] for line in self.ok("GET", f"/transfer/{transfer['id']}/auditlog")]


def refused(answer: requests.Response, identifier: str, status: int = 500) -> Any:
    """Assert a refusal's shape: its ``details``."""
    assert (answer.status_code, answer.json()["message"]) == (status, identifier), answer.text
    body = answer.json()
    assert set(body) == {"message", "uid", "details"}
    assert len(bytes.fromhex(body["uid"])) == 7
    return body["details"]


def by_hand(path: Path, sql: str, *values: Any) -> list[Any]:
    """Look into, or change, a site's database as time would."""
    import sqlite3

    with sqlite3.connect(path / "packhorse.db", timeout=20) as connection:
        rows = connection.execute(sql, values).fetchall()
    connection.close()
    return rows


@pytest.fixture(scope="session")
def people(demo: Any) -> dict[str, Fs]:
    """The demo's users, each with a session of their own."""
    return {
        name: Fs(demo.url, f"{name}@demo.invalid", entry["filesender_api_key"]) for name, entry in demo.users.items()
    }


@pytest.fixture(scope="session")
def alice(people: dict[str, Fs]) -> Fs:
    return people["demo"]


@pytest.fixture(scope="session")
def other(people: dict[str, Fs]) -> Fs:
    return people["other"]


@pytest.fixture(scope="session")
def nobody(demo: Any) -> Fs:
    return Fs(demo.url)


@dataclass
class Site:
    """A server of this process with settings of its own."""

    config: ServerConfig
    url: str
    port: int
    keys: dict[str, str]

    def user(self, name: str = "demo", **more: Any) -> Fs:
        return Fs(self.url, name, self.keys[name], **more)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Start servers with given :class:`FileSenderSettings`; they end with the test."""
    running: list[tuple[threading.Thread, Ready]] = []

    def begin(config: dict[str, Any] | None = None, **settings: Any) -> Site:
        home = tmp_path / f"home{len(running)}"
        made = ServerConfig(home=home, port=_free_port(), filesender=FileSenderSettings(**settings), **(config or {}))
        keys = {}
        for name in ("demo", "other", "admin"):
            create_user(
                made, name, "correct horse", email=f"{name}@demo.invalid", role="admin" if name == "admin" else "user"
            )
            keys[name] = create_filesender_key(made, name)
        told: list[Ready] = []
        ready = threading.Event()

        def announce(found: Ready) -> None:
            told.append(found)
            ready.set()

        thread = threading.Thread(
            target=serve, args=(made,), kwargs={"demo": False, "ready_json": False, "on_ready": announce}
        )
        thread.start()
        assert ready.wait(60)
        running.append((thread, told[0]))
        return Site(made, told[0].url, made.port, keys)

    yield begin
    for thread, found in running:
        found.stop()
        thread.join(20)
        assert not thread.is_alive()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
