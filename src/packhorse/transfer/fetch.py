"""One large file: lease, part, pieces over several connections, proof, place (DESIGN §4).

The driver only loops and waits. What it decides is decided in :mod:`answer`, :mod:`blocks`, :mod:`lease`,
:mod:`packhorse.net.retry` and :func:`packhorse.transfer.job.prove`, which are pure.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import replace

from packhorse.errors import (
    BusyError,
    ChangedError,
    DestinationError,
    IntegrityError,
    NetworkError,
    PackhorseError,
    ProtocolError,
)
from packhorse.model import ByteRange, Digest, Identity, Proof
from packhorse.net.calls import stream_following
from packhorse.net.message import ResponseHead
from packhorse.transfer.answer import Answer, Expectation, FirstAnswer
from packhorse.transfer.blocks import (
    BLOCK,
    block_count,
    block_range,
    cut_pieces,
    missing_ranges,
    piece_size,
)
from packhorse.transfer.brought import bring_and_place
from packhorse.transfer.decode import Decoding, UndecodableError, chunks_of, extent_of
from packhorse.transfer.events import Resumed, Retried, Verified
from packhorse.transfer.existing import reprove
from packhorse.transfer.files import destination_error, sync_directory
from packhorse.transfer.job import (
    BroughtInstead,
    Job,
    Refused,
    Source,
    Task,
    Tries,
    claims,
    mismatch,
    prove,
    wanted_algorithms,
)
from packhorse.transfer.journal import JournalState, Owner
from packhorse.transfer.lease import Lease, keep, still_ours, this_process, unless
from packhorse.transfer.ledger import LedgerEntry, address_of, entry_for, unchanged
from packhorse.transfer.options import PlacedFile
from packhorse.transfer.part import Hasher, Part, Piece, check_blocks
from packhorse.transfer.paths import part_name
from packhorse.transfer.place import name_file, set_time
from packhorse.transfer.portal import Codec, Locator
from packhorse.transfer.preflight import check_room, look
from packhorse.transfer.sink import EnoughError, NoRangesError, PieceSink
from packhorse.transfer.small import ask_first
from packhorse.transfer.team import Team

__all__ = ["LargeFile"]

_MAX_RESTARTS = 2
_PER_CONNECTION = 1024 * 1024
_NEXT_TO_NOTHING = 16 * 1024


class _SettledElsewhereError(Exception):
    """Another process placed the file while we waited for its lease."""


class LargeFile:
    """The fetch of one file. ``first`` is what an earlier answer told, where the portal does not vouch."""

    def __init__(self, job: Job, task: Task, first: FirstAnswer | None = None) -> None:
        self.job = job
        self.task = task
        self.item = task.item
        self.source = Source(task.item, task.portal)
        self.first = first
        self.kept = 0
        self.resumable = False
        self.framed = True  # whether the last answer's end was marked
        self.part: Part | None = None
        self.codec: Codec | None = None
        self.extent: int | None = None  # the size, where the locator tells it
        self.pieces: list[Piece] = []
        self.brought = 0  # bytes that the portal's own tool says are here

    @property
    def identity(self) -> Identity:
        """The portal's where it vouches, else the first answer's."""
        if self.item.identity is not None:
            return self.item.identity
        if self.first is None:
            return Identity("weak", "", self.size)
        return self.first.identity

    @property
    def size(self) -> int | None:
        known = self.item.size if self.item.size is not None else self.extent
        return self.first.size if known is None and self.first else known

    @property
    def _chunk(self) -> int | None:
        """File bytes that come only together."""
        return None if self.codec is None else self.codec.chunk

    @property
    def progress(self) -> int:
        """Bytes of the file that are here."""
        return self.kept + self.brought + sum(piece.arrived for piece in self.pieces)

    async def run(self) -> PlacedFile | None:
        """Fetch, prove and place it. ``None`` when another process placed it meanwhile. Raises our errors."""
        restarts = 0
        again = False
        while True:
            try:
                return await self._once()
            except _SettledElsewhereError:
                return None
            except BroughtInstead:
                self.kept, self.pieces = 0, []
            except UndecodableError as undecodable:
                raise undecodable.error from undecodable
            except ChangedError as error:
                restarts += 1
                if restarts > _MAX_RESTARTS:
                    raise
                self.first = None
                self._retried(restarts, error)
            except IntegrityError as error:
                if again:
                    raise
                again = True
                self._retried(1, error)

    def _retried(self, attempt: int, error: PackhorseError) -> None:
        self.kept = self.brought = 0
        self.pieces = []
        self.resumable = False
        self._say_retried(attempt, error)

    def _say_retried(self, attempt: int, error: PackhorseError) -> None:
        self.job.emit(Retried(path=self.task.path, attempt=attempt, delay=0.0, why=error.code, detail=str(error)))

    async def _once(self) -> PlacedFile:
        locator = await self.source.locator()
        self.codec, self.extent = locator.codec, extent_of(self.item, locator)
        if self.item.identity is None and self.first is None and self.codec is None and locator.bring is None:
            await self._ask_first()
        target = self.task.target
        part_path = target.with_name(part_name(target.name, self.identity.short))
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            lease = await Lease.take(part_path, waiting=self._wait_for, settled=self._settled)
            if lease is None or self._settled():
                if lease is not None:
                    lease.clear()
                raise _SettledElsewhereError
        except OSError as error:
            raise destination_error(error, target) from None
        try:
            return await self._under(lease)
        except (PackhorseError, OSError, UndecodableError) as error:
            if lease.lost():
                # The part is another's now: nothing of it is ours to remove or to complain of.
                if await self.job.blocking(self._vouched):
                    raise _SettledElsewhereError from None
                raise BusyError("another process took this file over", hint="packhorse status") from None
            self.resumable = lease.holds and self.size is not None and not self._tainted(error)
            if not self.resumable:
                # Nothing of it can be used again.
                lease.journal.void("discarded")
                part_path.unlink(missing_ok=True)
                lease.clear()
            if isinstance(error, OSError):
                raise destination_error(error, target) from None
            raise
        finally:
            lease.let_go("stopped")

    def _tainted(self, error: Exception) -> bool:
        """Whether what is held must not be used again. A chunk that is not authentic says nothing of those that are;
        without authentication a wrong password may have decoded them to anything."""
        if isinstance(error, UndecodableError):
            return self.codec is None or self.codec.chunk is None or not self.codec.authenticates
        return isinstance(error, ChangedError | IntegrityError)

    async def _under(self, lease: Lease) -> PlacedFile:
        states = [state for state in lease.inherited if self._is_ours(state)]
        fresh = not states or self.size is None
        block = self._chunk or BLOCK
        lease.journal.open_with(this_process(), self.identity, address_of(self.item), block)
        bring = (await self.source.locator()).bring
        if bring is not None:
            return await bring_and_place(self, lease, bring)
        part = Part.open(lease.part, self.size, lease.journal, fresh=fresh, chunk=self._chunk)
        self.part = part
        beats = asyncio.create_task(keep(lease))
        hashing: asyncio.Future[list[Digest]] | None = None
        try:
            held, tail = await self._held(part, states)
            algorithms = wanted_algorithms(self.item, self.job.options, self.stated)
            hasher = Hasher(part, algorithms)
            hashing = asyncio.ensure_future(self.job.blocking(hasher.run))  # type: ignore[arg-type]
            await unless(beats, self._fill(part, held, beats))
            if tail is not None:
                await self._compare_tail(part, *tail)
            part.finish()
            digests = await hashing
            still_ours(lease)
            proof = self.proof_of(part, digests)
            return await self.place_part(part, lease, proof)
        finally:
            beats.cancel()
            part.abandon()
            if hashing is not None:
                await asyncio.wait([hashing])
                if not hashing.cancelled():
                    hashing.exception()
            with contextlib.suppress(asyncio.CancelledError, BusyError):
                await beats
            self.part = None
            part.close()

    def _is_ours(self, state: JournalState) -> bool:
        """Whether a journal is about the same object. A digest means the same everywhere, an id at its remote, a tag
        or a date at its address only (without the query, which changes when a signature is renewed)."""
        if state.identity != self.identity or state.block != (self._chunk or BLOCK):
            return False
        mine, other = address_of(self.item), state.address
        if self.identity.kind == "id":
            return mine.partition(":")[0] == other.partition(":")[0]
        return self.identity.kind == "digest" or mine.partition("?")[0] == other.partition("?")[0]

    # -- what is here already -------------------------------------------------------------------------------------

    async def _held(self, part: Part, states: list[JournalState]) -> tuple[dict[int, int], tuple[int, int] | None]:
        """The blocks that are held, re-read and compared; and for a weak identity the one to be compared anew."""
        known: dict[int, int] = {}
        for state in states:
            known.update(state.blocks)
        if not known or part.size is None:
            if part.size is not None and states:
                self.job.emit(Resumed(path=self.task.path, kept=0, size=part.size, why="nothing was held yet"))
            return {}, None
        held: dict[int, int] = await self.job.blocking(lambda: check_blocks(part, known), part.abandon)  # type: ignore[assignment]
        bad = [index for index in known if index not in held and index < block_count(part.size, part.block)]
        tail = None
        if held and not self.identity.strong:
            last = max(held)
            tail = (last, held.pop(last))
        assert part.journal is not None
        part.journal.blocks(held.items())
        self.kept = sum(len(block_range(index, part.size, part.block)) for index in held)
        discarded = sum(len(block_range(index, part.size, part.block)) for index in bad)
        why = "blocks that do not agree with their checksum are fetched again" if bad else ""
        if tail is not None:
            why = why or "nothing vouches for the object: the last block is fetched again and compared"
        self.job.emit(Resumed(path=self.task.path, kept=self.kept, discarded=discarded, size=part.size, why=why))
        return held, tail

    async def _compare_tail(self, part: Part, index: int, crc: int) -> None:
        """The last block of a weak identity came again: is it what it was?"""
        again = await self.job.blocking(lambda: check_blocks(part, {index: crc}))
        if not again:
            raise ChangedError("the object changed at the server since the last time")

    # -- bytes ----------------------------------------------------------------------------------------------------

    async def _ask_first(self) -> None:
        """One byte, to learn size and identity where neither portal nor an earlier answer tells."""
        self.first = await ask_first(self.job, self.task, self.source)

    async def _fill(self, part: Part, held: dict[int, int], beats: asyncio.Task[None]) -> None:
        """Fetch all that is missing; on several connections where the server can."""
        locator = await self.source.locator()
        if locator.local_path is not None:
            await self.job.blocking(lambda: _copy(locator, part, self.job), part.abandon)
            return
        if part.size is None:
            await self._whole([Piece(part, 0, None)])
            return
        missing = missing_ranges(held, part.size, part.block)
        if not missing:
            return
        if self.item.size is None:
            # The pre-flight could not know the size, and a server may say any number.
            folder = self.task.target.parent
            room = await asyncio.get_running_loop().run_in_executor(self.job.pool, look, folder)
            check_room(sum(map(len, missing)), 1, room, folder)
        sliced = locator.slice is not None
        divisible = locator.codec is None or locator.codec.chunk is not None
        if divisible and (sliced or (locator.ranges and (self.first is None or self.first.ranges))):
            rest = await self._in_pieces(part, missing, beats, locator)
            if not rest:
                return
            self.job.emit(
                Retried(path=self.task.path, attempt=1, delay=0.0, why="no-ranges", detail="one stream from the start")
            )
            missing = rest
        await self._whole([Piece(part, span.start, span.stop) for span in missing])

    async def _whole(self, pieces: list[Piece]) -> None:
        """The whole object in one answer, as often as it takes; only what is missing is taken from it."""
        tries = Tries(self.job, self.task.path, self.source)
        self.pieces += pieces
        last = pieces[-1]
        while True:
            ended = await self._attempt(pieces, None, tries, None)
            if last.stop is None and ended:
                last.part.size = last.stop = last.position
                return
            if last.stop is not None and all(piece.done for piece in pieces):
                return
            if ended:
                await tries.after_error(NetworkError(f"the answer ended after {last.position:,} bytes"))

    async def _in_pieces(
        self, part: Part, missing: list[ByteRange], beats: asyncio.Task[None], locator: Locator
    ) -> list[ByteRange]:
        """Fetch missing ranges in pieces over several connections. What is left when the server cannot do ranges."""
        assert part.size is not None
        cap = self.job.options.connections or min(16, self.job.network.budget(locator.url).state.cap)
        team = Team(self.job, cap)
        size = part.chunk or piece_size(part.size, team.target)
        pieces = [Piece(part, span.start, span.stop) for span in cut_pieces(missing, size, part.block)]
        self.pieces = team.pieces = [*self.pieces, *pieces]
        try:
            await team.run(pieces, self._piece, beats, opened=self.first is not None and self.first.ranges)
        except NoRangesError:
            if locator.slice is not None:
                raise
            for piece in team.pieces:
                piece.leave()
            # Halves that idle hands took over stand last; one stream takes them in the order of the file.
            return sorted(ByteRange(piece.position, piece.stop or 0) for piece in team.pieces if not piece.done)
        return []

    async def _piece(self, piece: Piece, opened: asyncio.Event) -> None:
        """One piece to its end, through every trouble that passes."""
        tries = Tries(self.job, self.task.path, self.source)
        refused = spoilt = 0
        while not piece.done:
            assert piece.stop is not None
            before = piece.position
            start = before if piece.part.chunk is None else piece.start
            try:
                ended = await self._attempt([piece], ByteRange(start, piece.stop), tries, opened)
            except UndecodableError as error:
                # Once may be the way here; twice is the object or the password.
                spoilt += 1
                if spoilt >= 2:
                    raise
                self._say_retried(spoilt, error.error)
                continue
            except NoRangesError:
                # From a server that did ranges until now, once may be a proxy's mood.
                refused += 1
                if refused >= 2 or not opened.is_set():
                    raise
                continue
            refused = 0
            if ended and before + _NEXT_TO_NOTHING > piece.position < piece.stop:
                await tries.after_error(ProtocolError("the server sends next to none of the bytes that were asked for"))

    async def _attempt(
        self, pieces: list[Piece], wanted: ByteRange | None, tries: Tries, opened: asyncio.Event | None
    ) -> bool:
        """One request for these bytes (``None``: for the whole object). True when its answer ended as it should, False
        when another try is due, the wait for it being over; raises to give up."""
        taken = await self.job.bytes.take(_PER_CONNECTION + (self._chunk or 0))
        before = sum(piece.position for piece in pieces)
        locator: Locator | None = None
        try:
            request, locator = await self.source.request(wanted, self._known_identity)
            sink = self._sink(pieces, wanted, locator, opened)
            complete = False
            try:
                head = await stream_following(self.job.network, request, sink, bulk=True)
                complete = True
            except EnoughError:
                return True
            except NetworkError:
                if sink.refusal is None:
                    raise
                head = sink.refusal
            finally:
                sink.end(complete=complete)
                came = sum(piece.position for piece in pieces) - before
                tries.progress(came, done=all(piece.done for piece in pieces))
            if sink.answer is None or sink.answer.kind in ("refused", "same"):
                raise Refused(head, bytes(sink.error_body), request)
            if sink.answer.kind == "complete":
                raise ChangedError("the object ends before the bytes that were asked for")
            if pieces[-1].stop is None and sink.at < pieces[-1].position:
                raise ChangedError("the object is shorter now than what came of it before")
        except Refused as refused:
            assert locator is not None
            await tries.after_refusal(refused, locator)
            return False
        except (NetworkError, ProtocolError) as error:
            await tries.after_error(error)
            return False
        finally:
            self.job.bytes.give(taken)
        return True

    @property
    def _known_identity(self) -> Identity | None:
        return self.identity if (self.first or self.item.identity) else None

    def _sink(
        self, pieces: list[Piece], wanted: ByteRange | None, locator: Locator, opened: asyncio.Event | None
    ) -> PieceSink:
        loop = asyncio.get_running_loop()
        plain, codec, name = locator.plain, locator.codec, self.item.path
        identity = self._known_identity

        def began(head: ResponseHead, answer: Answer) -> None:
            first = FirstAnswer.of(head, answer)
            part = pieces[-1].part
            if not plain:
                first = first.within(self.size)
            if codec is not None:
                first = replace(first, identity=self.identity)
            if plain and part.size is None and first.size is not None:
                part.size = pieces[-1].stop = first.size
            loop.call_soon_threadsafe(self._opened, first, opened)

        return PieceSink(
            pieces,
            Expectation(
                asked=Source.wire_range(locator, wanted),
                total=self.size if plain else None,
                identity=identity if codec is None else None,
                has_digest=bool(self.item.digests),
                name=name,
                media_type=self.item.media_type,
                accepts=None if codec is None or wanted is None else lambda got: codec.accepts(got, wanted),
            ),
            asked=wanted,
            check=locator.check,
            began=began,
            compare=not self.identity.strong and (identity is not None or codec is not None),
            decoding=None
            if codec is None
            else Decoding(codec, [wanted] if wanted else chunks_of(codec, self.size), size=self.size, name=name),
            look=self._look,
            meter=self.job.meter,
            throttle=self.job.throttle,
        )

    def _look(self, count: int) -> None:
        """Whether there is room for so many bytes more, where nobody could say before how many would come."""
        if self.job.options.check_space:
            folder = self.task.target.parent
            check_room(count, 1, look(folder), folder)

    def _opened(self, first: FirstAnswer, opened: asyncio.Event | None) -> None:
        if self.first is None:
            self.first = first
        self.framed = first.framed
        if opened is not None:
            opened.set()

    # -- the lease ------------------------------------------------------------------------------------------------

    def _wait_for(self, owner: Owner | None) -> None:
        who = f"process {owner.pid} on {owner.host}" if owner else "another process"
        self.job.emit(
            Retried(path=self.task.path, attempt=0, delay=0.0, why="busy", detail=f"{who} is fetching it; waiting")
        )

    def _settled(self) -> bool:
        """Whether another process placed it meanwhile."""
        if not os.path.lexists(self.task.target):
            return False
        self.job.ledger.reload()
        entry = self.job.ledger.entries.get(self.task.path)
        return entry is not None and unchanged(entry, self.task.target) and self._same(entry)

    def _vouched(self) -> bool:
        """Whether who took over has placed the file. Our last writes, of equal bytes, may have moved its time."""
        if self._settled():
            return True
        entry = self.job.ledger.entries.get(self.task.path)
        return entry is not None and self._same(entry) and reprove(entry, self.task.target)

    def _same(self, entry: LedgerEntry) -> bool:
        """Whether it was placed since we began, and as the object that we are to fetch."""
        if entry == self.job.ledger.before.get(self.task.path):
            return False
        return entry.stands_for(self.item, self.identity)

    # -- proof and place ------------------------------------------------------------------------------------------

    @property
    def stated(self) -> tuple[Digest, ...]:
        """What is stated so far: where the portal vouches, answers that come later may still add to it."""
        return claims(self.item, self.first.digests if self.first else ())

    def proof_of(self, part: Part, digests: list[Digest]) -> Proof:
        """What the whole part is proven by. Raises :class:`IntegrityError`."""
        size = part.size
        if size is None or part.frontier.position != size or os.fstat(part.fd).st_size != size:
            have = part.frontier.position
            raise IntegrityError(
                f"{self.task.path} is not whole: {have:,} of {size or 0:,} bytes", expected=str(size), got=str(have)
            )
        marked = self.size is not None or self.framed
        proof, claim = prove(
            digests,
            self.stated,
            size=size,
            stated_size=self.item.size,
            whole=marked,
            authenticated=self.codec is not None and self.codec.authenticates,
        )
        if claim is not None:
            got = next(digest for digest in digests if digest.algorithm == claim.algorithm)
            raise mismatch(self.task.path, claim, got)
        self.job.emit(
            Verified(
                path=self.task.path,
                proof=proof.level.value,
                stated=str(proof.stated or ""),
                recorded=[str(digest) for digest in proof.recorded],
            )
        )
        return proof

    async def place_part(self, part: Part, lease: Lease, proof: Proof) -> PlacedFile:
        """Give the proven part its final name, with its entry in the ledger. Raises our errors and ``OSError``."""
        task, options = self.task, self.job.options
        durable = options.durability == "full"
        modified = self.item.modified
        if modified is None and self.first is not None:
            modified = self.first.modified

        def work() -> None:
            still_ours(lease)
            if not part.in_place():
                raise DestinationError(f"{part.path} was moved or exchanged while it was written")
            set_time(part.fd, part.path, modified)
            if durable:
                os.fsync(part.fd)
            entry = entry_for(
                task.path,
                os.fstat(part.fd),
                proof,
                item=self.item,
                identity=self.identity,
                original=task.original,
                durability=options.durability,
                etag=self.first.etag if self.first else "",
                modified=self.first.last_modified if self.first else "",
            )
            self.job.ledger.add([entry], sync=durable)
            name_file(part.path, task.target, overwrite=options.overwrite)
            if durable:
                sync_directory(task.target.parent)
            lease.clear()

        await self.job.blocking(work)
        size = part.size or 0
        return PlacedFile(self.item, task.target, size, proof, kept=self.kept, fetched=max(0, size - self.kept))


def _copy(locator: Locator, part: Part, job: Job) -> None:
    """A local file's bytes, through the same part and proof as any other."""
    assert locator.local_path is not None
    piece = Piece(part, 0, part.size)
    with open(locator.local_path, "rb", buffering=0) as source:  # noqa: PTH123 - a descriptor is all that is wanted
        while data := source.read(256 * 1024):
            job.meter.add(len(data))
            if part.abandoned or not piece.take(data):
                break
    piece.flush()
    if part.size is None:
        part.size = piece.position
