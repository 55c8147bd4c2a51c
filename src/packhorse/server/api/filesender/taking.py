"""The body of a chunk: into memory or aside, and its digests (spec §4.3)."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from isal import isal_zlib
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from packhorse.server.api.filesender.auth import Pending
from packhorse.server.filesender.faults import Fault
from packhorse.server.intake import read_body
from packhorse.server.storage import PartWriter

__all__ = ["Taker", "filled", "gathered"]

_GATHER: Final = 256 * 1024


class Taker:
    """Takes pieces in; used by one thread at a time."""

    def __init__(self, writer: PartWriter, pending: Pending, digest: str | None) -> None:
        self.writer = writer
        self.length = 0
        self.crc = 0
        self._signer = pending.signer
        self._sha256 = None if digest is None else hashlib.sha256()
        self._stated = digest

    def take(self, block: bytearray) -> None:
        """Write and hash one block."""
        self.writer.write(block)
        self.hash(block)

    def hash(self, block: bytearray | memoryview) -> None:
        """Hash one block."""
        self.length += len(block)
        self.crc = isal_zlib.crc32(block, self.crc)
        if self._sha256 is not None:
            self._sha256.update(block)
        if self._signer is not None:
            self._signer.body(block)

    def digest(self) -> str | None:
        """The sha256, where one was stated. Raises :class:`Fault` when it is another one."""
        if self._sha256 is None or self._stated is None:
            return None
        found = self._sha256.hexdigest()
        stated = self._stated.strip().lower().encode("utf-8", "replace")
        if not hmac.compare_digest(found.encode(), stated):
            raise Fault("rest_sanity_check_failed", {"reason": "the bytes have another SHA-256 than was stated"})
        return found


async def filled(request: Request, memory: memoryview) -> memoryview:
    """The whole chunk, in memory."""
    try:
        got = await read_body(request.scope, request.receive, memory)
    except ValueError:
        raise Fault("file_chunk_out_of_bounds") from None
    if got < len(memory):
        raise Fault("rest_sanity_check_failed", {"reason": "body", "expected": len(memory), "found": got})
    return memory


async def gathered(request: Request, taker: Taker, most: int) -> bytearray:
    """Everything but the last piece is taken; that one is the result."""
    held = bytearray()
    async for piece in request.stream():
        held += piece
        if taker.length + len(held) > most:
            raise Fault("storage_chunk_too_large", {"limit": most})
        if len(held) >= _GATHER:
            await run_in_threadpool(taker.take, held)
            held = bytearray()
    return held
