"""A client for an ASGI application in this process: one request at a time, no sockets."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import requests.structures


@dataclass
class Answer:
    status_code: int
    headers: requests.structures.CaseInsensitiveDict[str]
    content: bytes
    complete: bool

    @property
    def text(self) -> str:
        return self.content.decode()

    def json(self) -> Any:
        return json.loads(self.content)


class Client:
    """``get`` and ``post`` against an application."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def get(self, url: str, headers: dict[str, str] | None = None) -> Answer:
        return self.request("GET", url, headers)

    def request(self, method: str, url: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Answer:
        return asyncio.run(self._request(method, url, headers or {}, body))

    async def _request(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Answer:
        parts = urlsplit(url)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(parts.path),
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("test", 80),
        }
        sent: list[dict[str, Any]] = []
        asked = False

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if asked:
                await asyncio.Event().wait()  # the client stays
            asked = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        fields = requests.structures.CaseInsensitiveDict(
            {name.decode("latin-1"): value.decode("latin-1") for name, value in sent[0]["headers"]}
        )
        content = b"".join(message.get("body", b"") for message in sent[1:])
        return Answer(sent[0]["status"], fields, content, not sent[-1].get("more_body", False))
