"""Our server behind faults: ``python faulty_site.py SEED -- ARGUMENTS OF packhorse.server.run``.

Every request for a chunk, up or down, goes wrong the first time that it is made, in a way that the seed draws; the
second time it is served. What went wrong is counted in the answer of ``GET /faults``.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from packhorse.server import run

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

CHUNK = re.compile(r"/rest\.php/file/\d+/chunk/\d+")
UP = ("refused", "fault", "empty fault", "cut", "acknowledgement lost", "lie")
DOWN = ("refused", "fault", "cut")


class Faulty:
    """The application, with a fault for every chunk."""

    def __init__(self, app: App, seed: int) -> None:
        self.app = app
        self.draw = random.Random(seed)
        self.seen: set[tuple[str, str, str]] = set()
        self.count: Counter[str] = Counter()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["path"] == "/faults":
            await answer(send, 200, json.dumps(self.count).encode())
            return
        ranges = b"".join(value for name, value in scope["headers"] if name == b"range").decode()
        up = scope["method"] == "PUT" and CHUNK.fullmatch(scope["path"]) is not None
        down = scope["path"] == "/download.php" and scope["method"] == "GET" and ranges
        ids = re.search(r"files_ids=(\d+)", scope["query_string"].decode())
        key = (scope["method"], scope["path"] if up else (ids[1] if ids else ""), "" if up else str(ranges))
        if not (up or down) or key in self.seen:
            await self.app(scope, receive, send)
            return
        self.seen.add(key)
        kind = self.draw.choice(UP if up else DOWN)
        self.count[f"{'up' if up else 'down'}: {kind}"] += 1
        await self.spoil(kind, scope, receive, send)

    async def spoil(self, kind: str, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer wrongly."""
        if kind in ("refused", "fault", "empty fault"):
            while (await receive()).get("more_body"):
                pass
        if kind == "refused":
            await answer(send, 503, b"busy", (b"retry-after", b"0"))
        elif kind == "fault":
            await answer(send, 502, b"<html>bad gateway</html>")
        elif kind == "empty fault":
            await answer(send, 500, b"")
        elif kind == "cut":
            await self.cut(scope, receive, send)
        else:
            await self.deceive(kind, scope, receive, send)

    async def cut(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """End the connection in the middle of the body, whichever way it goes."""
        if scope["method"] == "PUT":
            await receive()
            await broken(send)
            return
        left = self.draw.randint(0, 1 << 20)

        async def some(message: Message) -> None:
            nonlocal left
            if message["type"] == "http.response.body":
                piece = message.get("body", b"")[: max(0, left)]
                left -= len(piece)
                if left <= 0:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                    raise ConnectionAbortedError
                message = {**message, "body": piece}
            await send(message)

        await self.app(scope, receive, some)

    async def deceive(self, kind: str, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Take the chunk, and then say nothing, or the wrong size."""
        kept: list[Message] = []

        async def keep(message: Message) -> None:
            kept.append(message)

        await self.app(scope, receive, keep)
        if kind == "lie" and kept[0]["status"] == 200:
            said = json.loads(b"".join(message.get("body", b"") for message in kept[1:]))
            await answer(send, 200, json.dumps({**said, "written": said["written"] - 1}).encode())
        else:
            await asyncio.sleep(0.05)
            await broken(send)


async def answer(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    """A whole answer."""
    size = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [size, *headers]})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def broken(send: Send) -> None:
    """A head that promises more than comes: the server can only close the connection."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
    raise ConnectionAbortedError


def main() -> int:
    seed, arguments = int(sys.argv[1]), sys.argv[3:]
    real = run.create_app

    def create(config: Any) -> Any:
        app = real(config)
        faulty = Faulty(app, seed)
        faulty.state = app.state  # type: ignore[attr-defined]
        return faulty

    run.create_app = create
    return run.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
