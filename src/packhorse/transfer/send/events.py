"""What a *send* tells: progress four times a second, and the sum at the end."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Final

from packhorse.errors import PackhorseError, TransferError
from packhorse.transfer.events import Event, EventHandler, Failed, Progress, Summary
from packhorse.transfer.outgoing import LocalFile, SendOutcome
from packhorse.transfer.send.parts import Sending

__all__ = ["Teller", "failed", "summary", "tick"]

_TICK: Final = 0.25


class Teller:
    """Tells the caller. A handler that raises ends the send with its error, and is called no more."""

    def __init__(self, handler: EventHandler) -> None:
        self._handler = handler
        self.crashed = False

    def __call__(self, event: Event) -> None:
        if self.crashed:
            return
        try:
            self._handler(event)
        except BaseException as error:
            self.crashed = True
            if isinstance(error, Exception):
                raise
            # SystemExit would end the engine's thread.
            raise TransferError(f"a callback raised {error!r}") from None


async def tick(shared: Sending, outcome: SendOutcome) -> None:
    """Progress of the job and of every file that is being sent, for ever."""
    before, then = shared.meter.total, time.monotonic()
    while True:
        await asyncio.sleep(_TICK)
        now = time.monotonic()
        rate = (shared.meter.total - before) / max(1e-6, now - then)
        before, then = shared.meter.total, now
        for name, sender in list(shared.active.items()):
            shared.emit(Progress(path=name, done=sender.progress, size=sender.file.size))
        active = sum(sender.progress for sender in shared.active.values())
        shared.emit(
            Progress(
                done=sum(one.file.size for one in outcome.sent) + active,
                size=outcome.size,
                rate=round(rate, 1),
                files_done=len(outcome.sent) + len(outcome.failed),
                files=len(outcome.files),
            )
        )


def failed(file: LocalFile | None, error: PackhorseError, *, resumable: bool) -> Failed:
    """A file was given up, or (``None``) the upload as a whole."""
    return Failed(
        path="" if file is None else file.name,
        code=error.code,
        message=error.message,
        hint=error.hint or "",
        exit_code=int(error.exit_code),
        resumable=resumable,
    )


def summary(outcome: SendOutcome, went: int) -> Summary:
    """The last event; ``went`` bytes went over the network."""
    return Summary(
        files=len(outcome.files),
        placed=len(outcome.sent),
        reused=0,
        failed=len(outcome.failed),
        size=sum(one.file.size for one in outcome.sent),
        fetched=0,
        kept=sum(one.kept for one in outcome.sent),
        seconds=round(outcome.seconds, 3),
        exit_code=int(outcome.exit_code),
        proofs=dict(Counter(one.proof.value for one in outcome.sent)),
        destination=outcome.remote,
        direction="up",
        sent=went,
        id=outcome.id,
    )
