"""Parts of one file, for a transfer that somebody else made and will end: what the documented client's
``upload_file`` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from packhorse.model import ByteRange
from packhorse.net.message import Reply, Request, ResponseHead
from packhorse.portals.filesender.receiver import FileSenderReceiver
from packhorse.transfer.outgoing import Begun, Encoder, LocalFile

__all__ = ["LoneFileReceiver"]


class LoneFileReceiver:
    """The engine's ``Receiver`` for the parts of one file; nothing is created or ended. ``complete``: say of the file
    that it is whole."""

    def __init__(self, whole: FileSenderReceiver, ref: Mapping[str, Any], *, complete: bool) -> None:
        self._whole = whole
        self._ref = dict(ref)
        self._complete = complete
        self.remote = whole.remote
        self.part_size = whole.part_size
        # Another transfer's file of this name is another upload.
        self.about: Mapping[str, Any] = {"file": ref["id"], "complete": complete}

    async def begin(self, files: Sequence[LocalFile]) -> Begun:
        return Begun({"file": self._ref["id"]}, {file.name: self._ref for file in files}, self.part_size)

    async def alive(self, state: Any) -> Begun | None:
        # The server tells nothing of parts; one that is over refuses the next one.
        return Begun(state, {self._ref["name"]: self._ref}, self.part_size)

    def encoder(self, ref: Any, file: LocalFile) -> Encoder | None:
        return None

    def request(self, ref: Any, part: ByteRange, body: bytes, sha256: str) -> Request:
        return self._whole.request(ref, part, body, sha256)

    async def authorise(self, request: Request) -> Request:
        return await self._whole.authorise(request)

    async def renew(self, refused: Request, head: ResponseHead, body: bytes) -> bool:
        return await self._whole.renew(refused, head, body)

    def acknowledge(self, ref: Any, part: ByteRange, reply: Reply) -> None:
        self._whole.acknowledge(ref, part, reply)

    async def finish_file(self, ref: Any) -> str | None:
        return await self._whole.finish_file(ref) if self._complete else str(ref["id"])

    async def finish(self, state: Any) -> Any:
        return {"file": state["file"]}

    async def finished(self, state: Any) -> Any | None:
        return None

    async def discard(self, state: Any) -> None:
        """The transfer is not ours to remove."""

    async def explain(self, head: ResponseHead, body: bytes) -> Exception:
        return await self._whole.explain(head, body)
