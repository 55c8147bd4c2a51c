"""Another try or not, for pieces that come and parts that go: what :mod:`packhorse.net.retry` decides is done here."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Final, TypeVar

from packhorse.errors import PackhorseError, RemoteError
from packhorse.net.calls import too_long
from packhorse.net.message import Request, ResponseHead
from packhorse.net.retry import MARGIN, RetryPolicy, Verdict, judge_error, judge_status
from packhorse.net.transport import Network
from packhorse.transfer.events import EventHandler, Retried

__all__ = ["MAX_RENEWALS", "BaseTries", "Refused", "blocking", "plain_error"]

T = TypeVar("T")

MAX_RENEWALS: Final = 2
_PROGRESS: Final = 16 * 1024


class Refused(Exception):  # noqa: N818 - not an error yet: the portal says what it means
    """The server answered with an error status; ``body`` is its beginning."""

    def __init__(self, head: ResponseHead, body: bytes, request: Request) -> None:
        super().__init__(head.status)
        self.head = head
        self.body = body
        self.request = request


class BaseTries:
    """The tries of one piece or part. Progress starts the count anew; renewals are counted apart."""

    def __init__(self, network: Network, policy: RetryPolicy, emit: EventHandler, path: str) -> None:
        self.network = network
        self.policy = policy
        self.emit = emit
        self.path = path
        self.attempt = 0
        self.renewals = 0
        self.hopeful = False

    def progress(self, count: int, *, done: bool) -> None:
        """``count`` bytes came: what went wrong before is forgiven, unless it was next to nothing."""
        if count >= _PROGRESS or (done and count):
            self.attempt = 0
            self.renewals = 0
            self.hopeful = True

    async def after_error(self, error: PackhorseError) -> None:
        """Wait for the next try after a failure below HTTP, or raise it."""
        self.attempt += 1
        verdict = judge_error(error, attempt=self.attempt, policy=self.policy, jitter=random.random())
        await self.wait(verdict, error.code, str(error), error)

    def judge(self, head: ResponseHead, url: str) -> Verdict:
        """Count a refusal and say what its status asks for; the host's budget obeys at once. Raises
        :class:`RateLimitedError` for a wait that is too long."""
        self.attempt += 1
        verdict = judge_status(
            head.status,
            head.headers,
            attempt=self.attempt,
            policy=self.policy,
            now=time.time(),
            jitter=random.random(),
        )
        budget = self.network.budget(url)
        if verdict.slow_down:
            budget.slow_down()
        if verdict.everyone:
            budget.pause(verdict.delay + MARGIN)
        if verdict.too_long:
            raise too_long(head, verdict.delay)
        return verdict

    async def wait(self, verdict: Verdict, why: str, detail: str, error: PackhorseError | None) -> None:
        """Wait as the verdict says; where it is not to try again, raise ``error``."""
        if verdict.action != "retry":
            assert error is not None
            raise error
        delay = verdict.delay
        if self.hopeful and not verdict.everyone:
            delay *= 0.1  # it worked until just now
        self.hopeful = False
        self.emit(Retried(path=self.path, attempt=self.attempt, delay=round(delay, 3), why=why, detail=detail))
        await asyncio.sleep(delay)


def plain_error(explained: Exception, head: ResponseHead) -> PackhorseError:
    """What a portal's ``explain`` gave, if it is one of our errors; else the status in words."""
    if isinstance(explained, PackhorseError):
        return explained
    return RemoteError(f"the server answers {head.status}", status=head.status)


async def blocking(pool: Executor, work: Callable[[], T], stop: Callable[[], None] | None = None) -> T:
    """Run what blocks in a thread. It is waited for even when the caller is cancelled; ``stop`` tells it then."""
    future = asyncio.get_running_loop().run_in_executor(pool, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        if stop is not None:
            stop()
        await asyncio.wait([future])
        raise
