"""The rows of a query as record batches: several requests at once, their rows in order, bounded memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from typing import Any, Final

from packhorse.errors import AuthenticationError, DestinationError, ProtocolError
from packhorse.portals.immport.api import ImmPortApi
from packhorse.portals.immport.asking import Ask
from packhorse.portals.immport.pipe import Held, Pipe
from packhorse.tables import Column, Decoder, Note, WiderAnswerError
from packhorse.tables.blocks import Block, Decoded
from packhorse.tables.careful import Wider

__all__ = ["Rows"]

_AHEAD: Final = 4
"""Requests under way at once; the host's budget may allow fewer."""
_DECODING: Final = 3
"""Blocks that are decoded at once."""
_ACCEPT: Final = {"json": "application/json", "tsv": "text/tab-separated-values, application/json;q=0.5"}


@dataclass(slots=True)
class Rows:
    """One reading of an :class:`Ask`. ``columns`` are final when the first batch is out, ``notes`` and ``count`` when
    the last is. Lives on the engine's loop."""

    api: ImmPortApi
    ask: Ask
    columns: tuple[Column, ...]
    wire: str = "json"
    limit: int | None = None
    count: int = 0
    notes: list[Note] = field(default_factory=list)
    _given: bool = False

    async def batches(self) -> AsyncGenerator[Any, None]:
        """Record batches that are not empty. Raises :class:`WiderAnswerError` where ``columns`` did not do,
        :class:`ProtocolError`, and what the request raises."""
        waiting = deque(self.ask.requests)
        under_way: deque[tuple[Pipe, asyncio.Task[None]]] = deque()
        left = self.limit
        try:
            while waiting or under_way:
                while waiting and len(under_way) < _AHEAD:
                    path, params = waiting.popleft()
                    pipe = Pipe()
                    under_way.append((pipe, asyncio.create_task(self._receive(path, params, pipe))))
                pipe, task = under_way[0]
                async with contextlib.aclosing(self._decoded(pipe, task)) as batches:
                    async for batch in batches:
                        part = batch if left is None else batch.slice(0, left)
                        self.count += part.num_rows
                        if part.num_rows:
                            self._given = True
                            yield part
                        if left is not None:
                            left -= part.num_rows
                            if left <= 0:
                                return
                under_way.popleft()
                pipe.close()
        finally:
            for pipe, task in under_way:
                task.cancel()
                pipe.close()
            await asyncio.gather(*(task for _, task in under_way), return_exceptions=True)

    async def _receive(self, path: str, params: tuple[tuple[str, str], ...], pipe: Pipe) -> None:
        if self.wire == "tsv":
            params = (*params, ("format", "tsv"))
        accept = _ACCEPT[self.wire]
        try:
            await self.api.stream(path, params, pipe, auth=self.ask.needs_token, accept=accept)
        except AuthenticationError:
            if self.ask.needs_token:
                raise
            # Some servers want a token where the documents say none.
            await self.api.stream(path, params, pipe, auth=True, accept=accept)
        except OSError as error:
            raise DestinationError(f"the answer cannot be kept for the while: {error.strerror or error}") from None

    async def _decoded(self, pipe: Pipe, task: asyncio.Task[None]) -> AsyncGenerator[Any, None]:
        """The batches of one answer."""
        loop = asyncio.get_running_loop()
        task.add_done_callback(lambda _: pipe.end())
        decoder = Decoder(self.columns)
        decoding: deque[asyncio.Future[Decoded]] = deque()
        try:
            while (held := await pipe.get()) is not None:
                blocks = await asyncio.to_thread(_fed, decoder, held)
                self._settle(decoder, blocks)
                for block in blocks:
                    decoding.append(loop.run_in_executor(None, block.decode))
                    if len(decoding) >= _DECODING:
                        yield decoder.accept(await decoding.popleft())
            await task
            self._check_end(pipe, decoder)
            blocks = await asyncio.to_thread(decoder.finish)
            self._settle(decoder, blocks)
            decoding.extend(loop.run_in_executor(None, block.decode) for block in blocks)
            while decoding:
                yield decoder.accept(await decoding.popleft())
        except ProtocolError as error:
            raise self._told(error) from None
        finally:
            for future in decoding:
                future.cancel()
            await asyncio.gather(*decoding, return_exceptions=True)
            self._take(decoder.notes)

    def _settle(self, decoder: Decoder, blocks: list[Block]) -> None:
        """The columns of this answer are those of all."""
        if decoder.columns == self.columns or not blocks:
            return
        if self._given:
            added = decoder.columns[len(self.columns)]
            raise WiderAnswerError(Wider(decoder.columns, added.name, "is in no answer before", 1), self.count + 1)
        self.columns = decoder.columns

    def _check_end(self, pipe: Pipe, decoder: Decoder) -> None:
        """Lines have no end of their own: the server must have said where they end."""
        head = pipe.head
        if decoder.by_lines and head is not None and head.http_version in ("1.0", "1.1"):
            framed = "content-length" in head.headers or "transfer-encoding" in head.headers
            if not framed:
                raise ProtocolError(
                    "the answer is text whose end cannot be told from a cut line", hint="ask for JSON: --wire json"
                )

    def _told(self, error: ProtocolError) -> ProtocolError:
        """The error with the query's name."""
        if not error.message.startswith(self.api.remote):
            error.message = f"{self.api.remote}:{self.ask.query.name}: {error.message}"
            error.args = (error.message,)
        return error

    def _take(self, notes: list[Note]) -> None:
        for note in notes:
            for index, known in enumerate(self.notes):
                if (known.member, known.what) == (note.member, note.what):
                    self.notes[index] = replace(known, count=known.count + note.count)
                    break
            else:
                self.notes.append(note)


def _fed(decoder: Decoder, held: Held) -> list[Block]:
    return decoder.feed(held.read())
