"""A server whose answers each test writes, byte by byte, and a session with a remote ``lab`` there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from packhorse.portals.immport import vocabulary
from packhorse.session import Session
from packhorse.settings import Settings


@dataclass
class Answer:
    """``cut``: the connection ends after so many bytes, though more were announced. ``length``: announced at all."""

    body: bytes = b"[]"
    status: int = 200
    kind: str = "application/json"
    cut: int | None = None
    length: bool = True
    before: Callable[[], object] = lambda: None


@dataclass
class Site:
    """``answers`` by path below ``/data/query``: an answer, or a function of the parameters."""

    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    def answer(self, target: str) -> Answer:
        parts = urlsplit(target)
        params = dict(parse_qsl(parts.query))
        path = parts.path.removeprefix("/data/query/")
        self.asked.append((path, params))
        found = self.answers.get(path, Answer(b'{"error" : "Not Found"}', 404))
        found = found(params) if callable(found) else found
        return found if isinstance(found, Answer) else Answer(found)

    def paths(self, start: str = "result") -> list[dict[str, str]]:
        return [params for path, params in self.asked if path.startswith(start)]


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer = made.answer(self.path)
            answer.before()
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.kind)
            if answer.length:
                self.send_header("Content-Length", str(len(answer.body)))
            else:
                self.send_header("Connection", "close")
                self.close_connection = True
            self.end_headers()
            self.wfile.write(answer.body[: answer.cut])
            if answer.cut is not None:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}"
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def session(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setattr(vocabulary, "_CACHED", {})
    environ = {"PACKHORSE_HOME": str(tmp_path / "home"), "PACKHORSE_LAB_TOKEN": "a-token", "no_proxy": "127.0.0.1"}
    settings = Settings.load(environ).add_remote("lab", "immport", site.url)
    with Session(settings) as made:
        yield made
