"""A receiver over the fault server's part store, and one *send* over the engine with short waits.

Part of the kit: what a test of sending needs besides :class:`packhorse.testing.faults.PartStore`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from packhorse.errors import AuthenticationError, NotFoundError, PackhorseError, ProtocolError, RemoteError, ServerError
from packhorse.model import ByteRange
from packhorse.net.calls import call
from packhorse.net.message import Reply, Request, ResponseHead
from packhorse.net.settings import NetSettings
from packhorse.net.transport import Network
from packhorse.transfer.engine import Engine
from packhorse.transfer.events import Event, EventHandler
from packhorse.transfer.outgoing import Begun, Encoder, LocalFile, SendOptions, SendOutcome
from packhorse.transfer.send import send

__all__ = ["PartReceiver", "send_files"]


class PartReceiver:
    """An upload to a part store at ``url``. ``token`` is sent as ``TOKEN-N``; each renewal counts N up."""

    remote = "faulty"

    def __init__(
        self,
        url: str,
        network: Network,
        *,
        part_size: int = 1 << 20,
        token: str | None = None,
        encoder: Encoder | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self.url = url
        self.network = network
        self.part_size = part_size
        self.token = token
        self.about: Mapping[str, Any] = about or {}
        self.renewals = 0
        self.calls: list[str] = []
        self._encoder = encoder

    async def begin(self, files: Sequence[LocalFile]) -> Begun:
        self.calls.append("begin")
        wanted = {"files": [{"name": file.name, "size": file.size} for file in files]}
        said = (await self._call("POST", "", wanted)).json()
        return self._begun(said)

    def _begun(self, said: Any) -> Begun:
        refs = {name: [said["id"], number] for name, number in said["files"].items()}
        return Begun({"upload": said["id"]}, refs, id=str(said["id"]))

    async def alive(self, state: Any) -> Begun | None:
        self.calls.append("alive")
        try:
            said = (await self._call("GET", f"/{state['upload']}")).json()
        except NotFoundError:
            return None
        return self._begun(said) if said["status"] == "open" else None

    def encoder(self, ref: Any, file: LocalFile) -> Encoder | None:
        return self._encoder

    def request(self, ref: Any, part: ByteRange, body: bytes, sha256: str) -> Request:
        headers = {"Content-Type": "application/octet-stream", "X-SHA256": sha256}
        if self._encoder is not None:
            headers["X-Encoded"] = "1"
        return Request("PUT", f"{self.url}/uploads/{ref[0]}/{ref[1]}/{part.start}", headers, body)

    async def authorise(self, request: Request) -> Request:
        if self.token is None:
            return request
        return request.with_headers(Authorization=f"Bearer {self.token}-{self.renewals}")

    async def renew(self, refused: Request, head: ResponseHead, body: bytes) -> bool:
        return head.status == 401 and await self._renew(refused)

    async def _renew(self, refused: Request) -> bool:
        if self.token is None:
            return False
        if refused.headers.get("Authorization") == f"Bearer {self.token}-{self.renewals}":
            self.renewals += 1
        return True

    def acknowledge(self, ref: Any, part: ByteRange, reply: Reply) -> None:
        said = reply.json()
        if not isinstance(said, dict) or said.get("offset") != part.start:
            raise ProtocolError("the server acknowledges another part")
        if self._encoder is None and said.get("written") != len(part):
            raise ProtocolError(f"the server wrote {said.get('written')} bytes of {len(part)}")

    async def finish_file(self, ref: Any) -> str | None:
        self.calls.append("finish_file")
        await self._call("PUT", f"/{ref[0]}/{ref[1]}")
        return str(ref[1])

    async def finish(self, state: Any) -> Any:
        self.calls.append("finish")
        return (await self._call("PUT", f"/{state['upload']}", idempotent=False)).json()

    async def finished(self, state: Any) -> Any | None:
        self.calls.append("finished")
        try:
            said = (await self._call("GET", f"/{state['upload']}")).json()
        except NotFoundError:
            return None
        return said if said["status"] == "finished" else None

    async def discard(self, state: Any) -> None:
        self.calls.append("discard")
        await self._call("DELETE", f"/{state['upload']}")

    async def explain(self, head: ResponseHead, body: bytes) -> PackhorseError:
        if head.status == 401:
            return AuthenticationError("not signed in")
        if head.status == 404:
            return NotFoundError("not there")
        if head.status >= 500:
            return ServerError(f"the server answers {head.status}", status=head.status)
        return RemoteError(f"the server answers {head.status}", status=head.status)

    async def _call(
        self, method: str, path: str, value: Mapping[str, Any] | None = None, *, idempotent: bool | None = None
    ) -> Reply:
        body = b"" if value is None else msgspec.json.encode(value)
        request = Request(method, f"{self.url}/uploads{path}", body=body or None, idempotent=idempotent)
        reply = await call(self.network, request, authorise=self.authorise, renew=self._renew)
        if not reply.head.ok:
            raise await self.explain(reply.head, reply.content)
        return reply


def send_files(
    url: str,
    files: Sequence[LocalFile],
    state_dir: Path,
    *,
    on_event: EventHandler | None = None,
    receiver: Mapping[str, Any] | None = None,
    settings: NetSettings | None = None,
    **options: Any,
) -> tuple[SendOutcome, list[Event], PartReceiver]:
    """One *send* over the engine, with short waits, on a network of its own (closed when it returns). ``receiver`` are
    values for :class:`PartReceiver`, ``options`` those of :class:`SendOptions`."""
    engine = Engine.shared()
    network = Network(settings or NetSettings(stall_timeout=2, connect_timeout=5, user_agent="packhorse-tests"))
    there = PartReceiver(url, network, **(receiver or {}))
    events: list[Event] = []

    def told(event: Event) -> None:
        events.append(event)
        if on_event is not None:
            on_event(event)

    async def work() -> SendOutcome:
        try:
            return await send(
                there, files, SendOptions(**options), network, told, state_dir=state_dir, pool=engine.pool
            )
        finally:
            await network.aclose()

    return engine.run(work()), events, there
