"""One file of an upload: its parts read, encoded and sent, each until it is acknowledged (DESIGN §4).

The driver only loops and waits. What it decides is decided in :mod:`packhorse.net.retry` and
:func:`packhorse.transfer.send.tries.judge_refusal`, which are pure.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from packhorse.errors import NetworkError, PackhorseError, ProtocolError, TransferError
from packhorse.model import ByteRange
from packhorse.net.calls import Collect, stream_following
from packhorse.net.message import Body, Reply, Request
from packhorse.net.retry import RetryPolicy
from packhorse.net.transport import Network
from packhorse.transfer.events import EventHandler, Placed, Resumed, Started, Verified
from packhorse.transfer.limits import ByteBudget, Meter, Throttle
from packhorse.transfer.outgoing import Encoder, LocalFile, Receiver, SendOptions, SentFile
from packhorse.transfer.send.journal import UploadJournal
from packhorse.transfer.send.reading import OpenFile, Prepared, part_count, part_range
from packhorse.transfer.send.tries import PartTries
from packhorse.transfer.tries import Refused, blocking

__all__ = ["FileSender", "Sending"]

_PIECE: Final = 512 * 1024
_BULK: Final = 256 * 1024
_PARTS_AT_ONCE: Final = 32


@dataclass(slots=True)
class Sending:
    """What the files of one *send* share. Lives on the engine's loop; ``pool`` is for work that blocks, ``readers`` for
    the making of parts: few threads, since each keeps what it once had of memory."""

    receiver: Receiver
    options: SendOptions
    network: Network
    emit: EventHandler
    pool: Executor
    readers: Executor
    journal: UploadJournal
    part_size: int
    bytes: ByteBudget
    throttle: Throttle | None = None
    meter: Meter = field(default_factory=Meter)
    active: dict[str, FileSender] = field(default_factory=dict)

    @property
    def policy(self) -> RetryPolicy:
        return RetryPolicy(retries=self.options.retries)

    def stop(self) -> None:
        """It is over: lanes that are held go on at once."""
        if self.throttle is not None:
            self.throttle.stop()


class _Flow:
    """A body in pieces, counted as they go and held to the rate. Called from a lane."""

    def __init__(self, body: Body, throttle: Throttle | None, meter: Meter) -> None:
        self.sent = 0
        self._body = body
        self._throttle = throttle
        self._meter = meter

    def __call__(self) -> Iterator[memoryview]:
        self.sent = 0
        throttle = self._throttle
        step = _PIECE if throttle is None else max(1024, min(_PIECE, throttle.rate // 10))
        for piece in (self._body,) if isinstance(self._body, bytes) else self._body():
            view = memoryview(piece)
            for at in range(0, len(view), step):
                some = view[at : at + step]
                if throttle is not None:
                    throttle.hold(len(some))
                self.sent += len(some)
                self._meter.add(len(some))
                yield some


class FileSender:
    """The sending of one file: ``ref`` is what names it at the portal."""

    def __init__(self, shared: Sending, file: LocalFile, ref: Any) -> None:
        self.shared = shared
        self.file = file
        self.ref = ref
        state = shared.journal.state
        self.kept = state.held(file)
        self.confirmed = 0
        self._held = frozenset(state.confirmed.get(file.name, ()))
        self._flows: set[_Flow] = set()
        self._open = OpenFile(file, state.key)
        self._encoder: Encoder | None = None

    @property
    def progress(self) -> int:
        """Bytes of the file that are at the portal or on their way."""
        going = sum(flow.sent for flow in self._flows)
        return min(self.file.size, self.kept + self.confirmed + going)

    async def run(self) -> SentFile:
        """Send what is not confirmed, and finish the file. Raises our errors."""
        shared, file = self.shared, self.file
        began = time.monotonic()
        shared.emit(Started(path=file.name, size=file.size, held=self.kept, direction="up"))
        if self._held:
            shared.emit(Resumed(path=file.name, kept=self.kept, size=file.size))
        try:
            await blocking(shared.pool, self._begin)
            await self._parts()
            await blocking(shared.pool, self._open.check_name)
            id_ = await shared.receiver.finish_file(self.ref) or ""
            shared.journal.finished(file.name, id_)
        finally:
            self._open.close()
        sent = SentFile(file, id_, self.kept, self.confirmed)
        shared.emit(Verified(path=file.name, proof=sent.proof.value))
        shared.emit(
            Placed(
                path=file.name,
                id=id_,
                size=file.size,
                proof=sent.proof.value,
                kept=self.kept,
                sent=self.confirmed,
                seconds=round(time.monotonic() - began, 3),
            )
        )
        return sent

    def _begin(self) -> None:
        self._open.open()
        self._encoder = self.shared.receiver.encoder(self.ref, self.file)

    async def _parts(self) -> None:
        shared, size = self.shared, self.shared.part_size
        slots = asyncio.Semaphore(shared.options.concurrent_parts or _PARTS_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for index in range(part_count(self.file.size, size)):
                if index in self._held:
                    continue
                part = part_range(index, self.file.size, size)
                await slots.acquire()
                # An encoded part is there twice while it is made.
                taken = await shared.bytes.take(len(part) * (1 if self._encoder is None else 2))
                group.create_task(self._part(index, part, taken, slots))

    async def _part(self, index: int, part: ByteRange, taken: int, slots: asyncio.Semaphore) -> None:
        """One part until it is acknowledged."""
        shared = self.shared
        try:
            make = partial(self._open.prepare, index, part, self._encoder, shared.journal)
            try:
                prepared = await blocking(shared.readers, make)
            except OSError as error:
                raise TransferError(f"cannot read {self.file.path}: {error.strerror or error}") from None
            if self._encoder is not None:
                shared.bytes.give(taken - taken // 2)
                taken //= 2
            await self._deliver(prepared)
            shared.journal.confirmed(self.file.name, index)
            self.confirmed += len(part)
        finally:
            shared.bytes.give(taken)
            slots.release()

    async def _deliver(self, prepared: Prepared) -> None:
        shared = self.shared
        tries = PartTries(shared.network, shared.policy, shared.emit, self.file.name)
        while True:
            try:
                reply = await self._attempt(prepared)
                shared.receiver.acknowledge(self.ref, prepared.part, reply)
            except Refused as refused:
                await tries.after_refusal(refused, shared.receiver)
            except PackhorseError as error:
                await tries.after_error(error)
            else:
                return

    async def _attempt(self, prepared: Prepared) -> Reply:
        """One request and its answer. Raises :class:`Refused` for any but a good one."""
        shared = self.shared
        request = shared.receiver.request(self.ref, prepared.part, prepared.body, prepared.sha256)
        # Signatures are short-lived: not before the host's pause is over.
        await shared.network.budget(request.url).rest()
        signed = await shared.receiver.authorise(request)
        flow = _Flow(signed.body or b"", shared.throttle, shared.meter)
        self._flows.add(flow)
        try:
            sink = Collect(signed.url)
            going = _flowing(signed, flow)
            bulk = shared.throttle is not None or (going.body_size or 0) > _BULK
            try:
                head = await stream_following(shared.network, going, sink, bulk=bulk)
            except NetworkError:
                # A server that refuses may close before it has taken the body: what it said counts.
                if sink.head is None or sink.head.status < 400:
                    raise
                head = sink.head
        finally:
            self._flows.discard(flow)
        body = b"".join(sink.pieces)
        if not head.ok:
            raise Refused(head, body, signed)
        return Reply(head, body)


def _flowing(request: Request, flow: _Flow) -> Request:
    """The request with its body as a flow of known length."""
    size = len(request.body) if isinstance(request.body, bytes) else request.body_size
    if size is None:
        raise ProtocolError("the length of a part's body is not known")
    return replace(request, body=flow, body_size=size)
