"""*send*: files to a portal, once: created, sent part by part, finished (DESIGN §4, Upload).

Nothing is begun twice and nothing finished twice: the journal says how far an earlier process came, and where it does
not know, the portal is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from packhorse.errors import ChangedError, PackhorseError, ProtocolError, TransferError, UsageError
from packhorse.net.retry import RetryPolicy
from packhorse.net.transport import Network
from packhorse.transfer.events import EventHandler, Retried, Started
from packhorse.transfer.lease import Lease, keep, still_ours, unless
from packhorse.transfer.limits import BYTE_BUDGET, ByteBudget, Throttle
from packhorse.transfer.outgoing import Begun, FailedSend, LocalFile, Receiver, SendOptions, SendOutcome, SentFile
from packhorse.transfer.send.events import Teller, failed, summary, tick
from packhorse.transfer.send.gather import local_file
from packhorse.transfer.send.hold import hold
from packhorse.transfer.send.journal import UploadJournal, discard_hint, journal_error, journal_path, upload_key
from packhorse.transfer.send.parts import FileSender, Sending
from packhorse.transfer.send.reading import same_file
from packhorse.transfer.send.sent import Sent, remember_sent
from packhorse.transfer.tries import BaseTries, blocking

__all__ = ["send"]

_FILES_AT_ONCE: Final = 16
_READERS: Final = 2


async def send(
    receiver: Receiver,
    files: Sequence[LocalFile],
    options: SendOptions,
    network: Network,
    emit: EventHandler,
    *,
    state_dir: Path,
    pool: Executor,
) -> SendOutcome:
    """Send ``files`` as one transfer, or go on with it where an earlier process was interrupted.

    What stops it once bytes move is in the outcome (and in ``failed`` events); what was confirmed by then is journalled
    in ``state_dir`` and not sent again by the same call. Before that it raises: :class:`UsageError`,
    :class:`ChangedError` when a file changed since the upload was begun, :class:`BusyError` when another process is
    sending it, and whatever the receiver raises when it begins.
    """
    _check(files, receiver, options)
    started = time.monotonic()
    key = upload_key(receiver.remote, receiver.about, files)
    path = journal_path(state_dir, key)
    tell = Teller(emit)
    outcome = SendOutcome(receiver.remote, key, list(files))
    lease = await hold(path, key, pool, tell)
    journal: UploadJournal | None = None
    try:
        journal = await blocking(pool, partial(_open, path))
        upload = _Upload(receiver, outcome.files, options, network, tell, pool, journal, lease, outcome)
        guard = asyncio.create_task(keep(lease))
        try:
            await unless(guard, upload.run(), upload.stop)
        finally:
            guard.cancel()
            await asyncio.wait([guard])
            if not guard.cancelled():
                guard.exception()
        outcome.seconds = time.monotonic() - started
        tell(summary(outcome, upload.went))
        # The last act: who is stopped before it finds "done" in the journal, and who is stopped after it finds a note;
        # nobody is mailed twice.
        if journal.state.stage == "done":
            await blocking(pool, partial(_remember, state_dir, outcome, journal))
            journal.remove()
    finally:
        if journal is not None:
            journal.close()
        if lease.lost() or path.exists():
            lease.let_go("stopped")
        else:
            lease.clear()
    return outcome


def _check(files: Sequence[LocalFile], receiver: Receiver, options: SendOptions) -> None:
    if not files:
        raise UsageError("there is no file to send", hint="packhorse send REMOTE FILE…")
    if len({file.name for file in files}) < len(files):
        raise UsageError("two files would have the same name")
    for asked in (options.concurrent_files, options.concurrent_parts, options.jobs, options.limit_rate):
        if asked is not None and asked < 1:
            raise UsageError("how many at once, and how fast, must be at least 1")
    if receiver.part_size < 1:
        raise ProtocolError(f"{receiver.remote} wants parts of {receiver.part_size} bytes")


def _remember(state_dir: Path, outcome: SendOutcome, journal: UploadJournal) -> None:
    begun = journal.state.begun
    ids = {one.file.name: one.id for one in outcome.sent}
    sent = Sent(time.time(), outcome.id, outcome.result, None if begun is None else begun.state, ids)
    remember_sent(state_dir, outcome.key, outcome.files, sent)


def _open(path: Path) -> UploadJournal:
    try:
        return UploadJournal.open(path)
    except OSError as error:
        raise journal_error(error, path) from None


@dataclass(slots=True)
class _Upload:
    """One *send* under its lease."""

    receiver: Receiver
    files: list[LocalFile]
    options: SendOptions
    network: Network
    emit: Teller
    pool: Executor
    journal: UploadJournal
    lease: Lease
    outcome: SendOutcome
    shared: Sending | None = None

    @property
    def went(self) -> int:
        """Bytes that went over the network."""
        return self.shared.meter.total if self.shared is not None else 0

    def stop(self) -> None:
        """It is over: whatever is held goes on at once."""
        if self.shared is not None:
            self.shared.stop()

    async def run(self) -> None:
        """All of it: what came of it is in ``outcome``."""
        outcome, stage = self.outcome, self.journal.state.stage
        if stage in ("finishing", "done"):
            outcome.resumed = True
            if await self._was_finished():
                self._still_wanted()
                self._started()
                self._done(outcome.result)
                return
        begun = await self._resume() if stage in ("sending", "finishing") else await self._begin()
        outcome.id = begun.id
        self._started()
        try:
            await self._send_all(begun)
            outcome.result = await self._finish(begun)
        except PackhorseError as error:
            self.stop()
            outcome.error = error
            if not outcome.failed:
                self.emit(failed(None, error, resumable=not isinstance(error, ChangedError)))
            return
        self._done(outcome.result)

    # -- how it begins --------------------------------------------------------------------------------------------

    async def _begin(self) -> Begun:
        """Create the transfer. A journal that only says that this was tried knows nothing of what came of it, and
        portals list only finished ones: at worst there is an empty transfer, which the portal removes by itself."""
        journal = self.journal
        if journal.state.stage == "beginning":
            detail = "an earlier process was stopped while it began; the site may keep an empty transfer for some days"
            self.emit(Retried(path="", attempt=1, delay=0.0, why="over", detail=f"{detail}, and tells nobody of it"))
            journal.void("the transfer was not begun")
        about = self.receiver.about
        try:
            await blocking(
                self.pool, partial(journal.describe, self.outcome.key, self.receiver.remote, about, self.files)
            )
            begun = await self.receiver.begin(self.files)
            begun = self._checked(begun, begun.part_size or self.receiver.part_size)
        except BaseException:
            journal.remove()  # there is nothing to go on with
            raise
        await blocking(self.pool, partial(journal.begun, begun))
        return begun

    async def _resume(self) -> Begun:
        """Go on with what an earlier process began, or begin anew where the portal has it no more."""
        state = self.journal.state
        assert state.begun is not None
        assert state.begun.part_size is not None
        self.outcome.resumed = True
        self._unchanged(state.files, "since this upload was begun, so nothing was sent")
        begun = await self.receiver.alive(state.begun.state)
        if begun is not None:
            begun = self._checked(begun, state.begun.part_size)
            await blocking(self.pool, partial(self.journal.begun, begun, anew=False))
            return begun
        if state.stage == "finishing":
            raise TransferError(
                f"{self.receiver.remote} no longer knows this upload, and cannot say whether it was finished",
                hint=f"ask a recipient whether it came; {discard_hint(self.outcome.key)}",
            )
        detail = "the portal no longer has what was begun; all is sent again"
        self.emit(Retried(path="", attempt=1, delay=0.0, why="over", detail=detail))
        await blocking(self.pool, partial(self.journal.void, "the portal has it no more"))
        self.outcome.resumed = False
        return await self._begin()

    def _checked(self, begun: Begun, part_size: int) -> Begun:
        missing = [file.name for file in self.files if file.name not in begun.refs]
        if missing or part_size < 1:
            what = f"takes no note of {missing[0]}" if missing else f"wants parts of {part_size} bytes"
            raise ProtocolError(f"{self.receiver.remote} {what}")
        return Begun(begun.state, begun.refs, part_size, begun.id)

    def _unchanged(self, others: Sequence[LocalFile], when: str) -> None:
        """The files are what they were, or are now, in ``others``."""
        known = {file.name: file for file in others}
        changed = [
            str(file.path) for file in self.files if file.name not in known or not same_file(known[file.name], file)
        ]
        if changed:
            raise ChangedError(f"changed {when}: {'; '.join(changed)}", hint=discard_hint(self.outcome.key))

    def _started(self) -> None:
        state = self.journal.state
        held = sum(file.size if file.name in state.finished else state.held(file) for file in self.files)
        self.emit(
            Started(
                path="",
                files=len(self.files),
                size=self.outcome.size,
                held=held,
                address=self.receiver.remote,
                direction="up",
                id=self.outcome.id,
            )
        )

    # -- files ----------------------------------------------------------------------------------------------------

    async def _send_all(self, begun: Begun) -> None:
        """Every file that is not finished yet. Raises what stopped the first one that failed."""
        options, outcome = self.options, self.outcome
        assert begun.part_size is not None
        self.network.set_cap(options.jobs or self.network.settings.max_connections)
        # With one connection one reader: parts then go in the order of the file.
        count = min(_READERS, os.cpu_count() or 1, options.jobs or _READERS)
        readers = ThreadPoolExecutor(count, thread_name_prefix="packhorse-read")
        self.shared = shared = Sending(
            receiver=self.receiver,
            options=options,
            network=self.network,
            emit=self.emit,
            pool=self.pool,
            readers=readers,
            journal=self.journal,
            part_size=begun.part_size,
            bytes=ByteBudget(_room(options, begun.part_size)),
            throttle=Throttle(options.limit_rate) if options.limit_rate else None,
        )
        finished = self.journal.state.finished
        outcome.sent += [SentFile(file, finished[file.name], file.size) for file in self.files if file.name in finished]
        queue = iter([file for file in self.files if file.name not in finished])
        ticker = asyncio.create_task(tick(shared, outcome))
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(len(self.files), options.concurrent_files or _FILES_AT_ONCE)):
                    group.create_task(self._work(shared, queue, begun))
        except BaseExceptionGroup as errors:
            raise _first(errors) from None
        finally:
            readers.shutdown(wait=False)
            ticker.cancel()
            await asyncio.wait([ticker])
            if not ticker.cancelled():
                ticker.exception()

    async def _work(self, shared: Sending, queue: Iterator[LocalFile], begun: Begun) -> None:
        for file in queue:
            sender = FileSender(shared, file, begun.refs[file.name])
            shared.active[file.name] = sender
            try:
                self.outcome.sent.append(await sender.run())
            except (PackhorseError, BaseExceptionGroup) as error:
                shared.stop()
                why = _first(error)
                if isinstance(why, PackhorseError):
                    resumable = not isinstance(why, ChangedError)
                    self.outcome.failed.append(FailedSend(file, why, resumable))
                    shared.emit(failed(file, why, resumable=resumable))
                raise why from None
            finally:
                shared.active.pop(file.name, None)

    # -- how it ends ----------------------------------------------------------------------------------------------

    async def _was_finished(self) -> bool:
        """Whether an earlier process finished it: the journal says so, or the portal."""
        state, outcome = self.journal.state, self.outcome
        outcome.id = state.begun.id if state.begun is not None else ""
        if state.stage == "done":
            outcome.result = state.result
        else:
            if state.begun is None:
                raise TransferError(
                    f"{self.journal.path} is damaged, and cannot say whether this upload was finished",
                    hint=f"ask a recipient whether it came; {discard_hint(outcome.key)}",
                )
            result = await self.receiver.finished(state.begun.state)
            if result is None:
                return False
            outcome.result = result
        outcome.sent = [SentFile(file, state.finished.get(file.name, ""), file.size) for file in self.files]
        return True

    async def _finish(self, begun: Begun) -> Any:
        """End the transfer. It is not repeated before the portal said that it did not take place."""
        await blocking(self.pool, self._check_all)
        still_ours(self.lease)
        await blocking(self.pool, self.journal.finishing)
        tries = BaseTries(self.network, RetryPolicy(retries=self.options.retries), self.emit, "")
        ask = False
        while True:
            try:
                if ask and (result := await self.receiver.finished(begun.state)) is not None:
                    return result
                ask = True
                return await self.receiver.finish(begun.state)
            except PackhorseError as error:
                await tries.after_error(error)

    def _check_all(self) -> None:
        """No file changed while the others were sent."""
        now = []
        for file in self.files:
            with contextlib.suppress(OSError, ValueError):
                now.append(local_file(file.path, file.name))
        self._unchanged(now, "while they were sent, so the upload was not finished")

    def _still_wanted(self) -> None:
        """What was finished is what is here now; else the same command means another upload."""
        try:
            self._unchanged(self.journal.state.files, "since this upload was begun")
        except ChangedError as error:
            self.journal.remove()
            raise ChangedError(
                f"this upload was finished by an earlier process, but {error.message}",
                hint="to send them as they are now, type the same command again",
            ) from None

    def _done(self, result: Any) -> None:
        if self.journal.state.stage != "done":
            self.journal.done(result)


def _room(options: SendOptions, part_size: int) -> int:
    """Bytes of memory for parts in flight. Under a rate no more than it lets go in an eighth of a second, or two parts:
    a lane that is held does not hear answers."""
    if options.concurrent_parts is not None:
        return max(BYTE_BUDGET, part_size * options.concurrent_parts)
    usual = BYTE_BUDGET
    if options.limit_rate is not None:
        usual = min(usual, max(options.limit_rate // 8, 2 * part_size))
    return max(usual, part_size)


def _first(error: BaseException) -> BaseException:
    """The first error of a group, and of the groups in it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
