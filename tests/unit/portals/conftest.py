"""A loopback server that answers what a test scripts, and a Flow portal or session over it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

import pytest

from packhorse.net.settings import NetSettings
from packhorse.portals.context import PortalContext
from packhorse.portals.flow.portal import FlowPortal
from packhorse.settings import RemoteSettings
from packhorse.transfer.engine import Engine

T = TypeVar("T")


@dataclass
class Asked:
    """One request that came."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass
class Answer:
    """One answer. ``body`` that is no bytes is sent as JSON."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


Route = Any
"""An :class:`Answer`, anything for JSON with 200, or a function of the request that gives either."""


class Script:
    """Routes by path. What is not scripted is 404 in the guide's form."""

    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}
        self.asked: list[Asked] = []
        self.url = ""

    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]

    def answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        missing = Answer({"error": "Data file not found", "code": "NOT_FOUND", "status": 404}, 404)
        route = self.routes.get(f"{asked.method} {asked.path}", self.routes.get(asked.path, missing))
        if callable(route):
            route = route(asked)
        return route if isinstance(route, Answer) else Answer(route)


def _handler(script: Script) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            asked = Asked(
                self.command, parts.path, dict(parse_qsl(parts.query)), dict(self.headers), self.rfile.read(length)
            )
            answer = script.answer(asked)
            headers = dict(answer.headers)
            body = answer.body
            if not isinstance(body, bytes):
                body = json.dumps(body).encode()
                headers.setdefault("Content-Type", "application/json")
            self.send_response(answer.status)
            headers.setdefault("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_HEAD = _any  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            """Quiet."""

    return Handler


@pytest.fixture
def script() -> Iterator[Script]:
    made = Script()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(made))
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session", autouse=True)
def engine() -> Iterator[Engine]:
    yield Engine.shared()
    Engine.shared().close()


def on_engine(work: Coroutine[Any, Any, T]) -> T:
    return Engine.shared().run(work)


MakePortal = Callable[..., FlowPortal]


@pytest.fixture
def flow(script: Script, tmp_path: Path) -> MakePortal:
    """Makes a portal of a remote at the scripted server; the environment is what the test gives."""

    def make(name: str = "lab", environ: Mapping[str, str] | None = None, **context: Any) -> FlowPortal:
        options = context.pop("options", {"keyring": False})
        return FlowPortal(
            PortalContext(
                remote=RemoteSettings(name, "flow", f"{script.url}/api", options),
                network=Engine.shared().network(NetSettings()),
                environ={"HOME": str(tmp_path / "home"), **(environ or {})},
                state_dir=tmp_path / "state",
                **context,
            )
        )

    return make


async def everything(iterator: Any) -> list[Any]:
    return [entry async for entry in iterator]
