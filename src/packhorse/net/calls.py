"""Small requests, whole: what API calls of portals use. Redirects, retries, renewal and authorisation in one place."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from packhorse.errors import PackhorseError, ProtocolError, RateLimitedError, RefusedError
from packhorse.net.message import Reply, Request, ResponseHead, Sink
from packhorse.net.redact import show_url
from packhorse.net.redirect import follow, same_origin
from packhorse.net.retry import MARGIN, RetryPolicy, judge_error, judge_status
from packhorse.net.transport import Network

__all__ = ["MAX_REPLY", "Authorise", "Collect", "Renew", "TimedSink", "call", "stream_following", "too_long"]

MAX_REPLY: Final = 16 * 1024 * 1024
_FRESH_FOR: Final = 5.0
"""Seconds for which the address that a redirect gave may wait for its turn: it may be signed for a short time."""
Authorise = Callable[[Request], Awaitable[Request]]
Renew = Callable[[Request], Awaitable[bool]]
OnRetry = Callable[[int, float, str], None]
Settled = Callable[[Reply], bool]


class Collect:
    """A sink in memory, bounded."""

    def __init__(self, url: str, limit: int = MAX_REPLY) -> None:
        self.url = url
        self.head: ResponseHead | None = None
        self.limit = limit
        self.pieces: list[bytes] = []
        self.size = 0
        self.first_byte = 0.0
        self.hops = 0

    def begin(self, head: ResponseHead) -> None:
        if head.status in (301, 302, 303, 307, 308):
            self.hops += 1
        self.head = head
        self.first_byte = time.monotonic()
        self.pieces.clear()
        self.size = 0

    def write(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > self.limit:
            raise ProtocolError(f"{show_url(self.url)} answers with more than {self.limit:,} bytes")
        self.pieces.append(data)


class TimedSink(Sink, Protocol):
    """A sink that notes when the answer's head came (``time.monotonic()``)."""

    first_byte: float


async def stream_following(
    network: Network, request: Request, sink: TimedSink, *, bulk: bool = False, stall: float | None = None
) -> ResponseHead:
    """One try, each hop within its host's budget, redirects followed: the sink is begun anew for every answer.

    Credentials were added before and are dropped at another origin.
    """
    hop = 0
    first = request
    while True:
        budget = network.budget(request.url)
        asked = time.monotonic()
        await budget.acquire()
        started = time.monotonic()
        if hop and started - asked > _FRESH_FOR and first.repeatable:
            budget.release()
            request, hop = first, 0
            continue
        try:
            head = await network.stream(request, sink, bulk=bulk, stall=stall)
        except RefusedError:
            budget.slow_down()
            raise
        finally:
            budget.release()
        if head.status not in (429, 503):
            budget.clean(sink.first_byte - started)
        hop += 1
        onward = follow(request, head, hop)
        if onward is None:
            return head
        request = onward


async def call(
    network: Network,
    request: Request,
    *,
    authorise: Authorise | None = None,
    renew: Renew | None = None,
    retries: int = 3,
    on_retry: OnRetry | None = None,
    limit: int = MAX_REPLY,
    settled: Settled | None = None,
    stall: float | None = None,
) -> Reply:
    """Send ``request`` and return the whole answer, of any final status: the portal says what an error means.

    ``authorise`` signs the finished request before every try; ``renew`` is asked once on 401. Requests that are not
    repeatable are retried only where the server surely did nothing (401, 429, 503, a refused connection, each without
    a redirect before it). ``settled`` says of an error answer that no repetition will change it (FileSender refuses
    with 500). ``stall``: seconds without a byte, where a slow answer is usual.
    Raises :class:`NetworkError` …, :class:`RateLimitedError` where the server asks for more than 10 minutes.
    """
    policy = RetryPolicy(retries=retries)
    attempt = 0
    renewed = False
    while True:
        attempt += 1
        signed = await authorise(request) if authorise is not None else request
        sink = Collect(request.url, limit)
        try:
            head = await stream_following(network, signed, sink, stall=stall)
        except PackhorseError as error:
            verdict = judge_error(error, attempt=attempt, policy=policy, jitter=random.random())
            untouched = sink.hops == 0 and error.code == "refused"
            if verdict.action == "fail" or not (request.repeatable or untouched):
                raise
            why = error.code
        else:
            reply = Reply(head, b"".join(sink.pieces))
            if settled is not None and settled(reply):
                return reply
            verdict = judge_status(
                reply.status,
                reply.head.headers,
                attempt=attempt,
                policy=policy,
                now=time.time(),
                jitter=random.random(),
            )
            why = f"HTTP {reply.status}"
            # A redirect says that the first server has taken the request.
            repeatable = request.repeatable or sink.hops == 0
            budget = network.budget(reply.head.url)  # of who said so, which a redirect may have named
            if verdict.slow_down:
                budget.slow_down()
            if verdict.everyone:
                budget.pause(verdict.delay + MARGIN)
            if verdict.too_long:
                raise too_long(reply.head, verdict.delay)
            if verdict.action == "renew":
                mine = same_origin(reply.head.url, request.url) and repeatable
                if renew is None or renewed or not mine or not await renew(signed):
                    return reply
                renewed = True
                attempt -= 1
                continue
            if verdict.action == "fail" or not repeatable or not (request.repeatable or reply.status in (429, 503)):
                return reply
        if on_retry is not None:
            on_retry(attempt, verdict.delay, why)
        await asyncio.sleep(verdict.delay)


def too_long(head: ResponseHead, delay: float) -> RateLimitedError:
    """The error for a wait that is longer than we wait by ourselves."""
    at = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(time.time() + delay))
    return RateLimitedError(
        f"{show_url(head.url)} asks to wait {delay:,.0f} s, until {at}",
        status=head.status,
        hint=f"type the same command again after {at}",
    )
