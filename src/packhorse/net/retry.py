"""Retry or give up, and when: pure verdicts (DESIGN §4)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final, Literal

from packhorse.errors import (
    NetworkError,
    PackhorseError,
    ProtocolError,
    RateLimitedError,
    RemoteError,
    TlsError,
)
from packhorse.net.message import Headers

__all__ = ["MARGIN", "RetryPolicy", "Verdict", "asked_wait", "judge_error", "judge_status"]

RETRIED_STATUSES: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
SLOW_DOWN: Final = frozenset({429, 503})
MARGIN: Final = 0.1
"""Seconds added to the pause of a host: clocks are set and slewed, and to come early starts the wait anew."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """``retries`` tries after the first, with waits of ``base`` × 2ⁿ s up to ``cap``; a server's own wait is obeyed
    up to ``max_wait`` seconds, above that it fails and says the time."""

    retries: int = 3
    base: float = 0.5
    cap: float = 30.0
    max_wait: float = 600.0

    def backoff(self, attempt: int, jitter: float) -> float:
        """The wait before try number ``attempt`` + 1 (``attempt`` from 1); ``jitter`` in 0..1 spreads it by ± 25 %."""
        exponent = min(max(attempt, 1) - 1, 30)
        return float(min(self.cap, self.base * 2**exponent) * (0.75 + 0.5 * jitter))


@dataclass(frozen=True, slots=True)
class Verdict:
    """``retry`` after ``delay`` seconds, ``renew`` the credential or URL and retry, or ``fail``.

    ``slow_down``: the server is overloaded; fewer connections from now on. ``everyone``: the wait holds for all
    requests to this host.
    """

    action: Literal["retry", "renew", "fail"]
    delay: float = 0.0
    slow_down: bool = False
    everyone: bool = False
    too_long: bool = False


def _http_date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def _seconds(text: str | None) -> float | None:
    """A count of seconds; hostile text is no wait at all."""
    if text is None or not re.fullmatch(r"\s*\d{1,12}(\.\d{1,6})?\s*", text):
        return None
    return float(text)


def _retry_after(headers: Headers, now: float) -> float | None:
    after = headers.get("retry-after")
    if after is None:
        return None
    wait = _seconds(after)
    if wait is None and (date := _http_date(after)) is not None:
        wait = max(0.0, date - now)
    return wait


def asked_wait(headers: Headers, now: float) -> float | None:
    """How long the server asks to wait, in seconds from ``now`` (Unix time), or ``None``.

    Reads ``Retry-After`` (seconds and date), ``RateLimit`` and ``RateLimit-Reset`` (seconds), ``X-RateLimit-Reset``
    (seconds, or Unix time where it is that large).

    >>> asked_wait(Headers([("Retry-After", "Thu, 01 Jan 1970 00:02:00 GMT")]), now=60.0)
    60.0
    >>> asked_wait(Headers([("RateLimit", '"default";r=0;t=7')]), now=0.0)
    7.0
    """
    if (wait := _retry_after(headers, now)) is not None:
        return wait
    if (field := headers.get("ratelimit")) is not None:
        match = re.search(r"(?:\bt|\breset)\s*=\s*(\d{1,9})\b", field)
        if match:
            return float(match[1])
    if (wait := _seconds(headers.get("ratelimit-reset"))) is not None:
        return wait
    for name in ("x-ratelimit-reset", "x-rate-limit-reset"):
        if (wait := _seconds(headers.get(name))) is not None:
            return max(0.0, wait - now) if wait > 1e9 else wait
    return None


def judge_status(
    status: int, headers: Headers, *, attempt: int, policy: RetryPolicy, now: float, jitter: float
) -> Verdict:
    """What to do about an error status on try number ``attempt`` (from 1) without progress."""
    if status == 401:
        return Verdict("renew")
    if status not in RETRIED_STATUSES:
        return Verdict("fail")
    slow = status in SLOW_DOWN
    # Many services show their quota on every answer; as a wait it is meant only where too much was asked.
    wait = asked_wait(headers, now) if slow else _retry_after(headers, now)
    if wait is not None and wait > policy.max_wait:
        return Verdict("fail", delay=wait, slow_down=slow, too_long=True)
    # A storm that says how long it lasts is obeyed for longer than the tries of a silent one.
    allowed = policy.retries * 4 if wait is not None else policy.retries
    if attempt > allowed:
        return Verdict("fail", slow_down=slow)
    backoff = policy.backoff(attempt, jitter)
    return Verdict("retry", delay=backoff if wait is None else max(wait, 0.05), slow_down=slow, everyone=slow)


def judge_error(error: PackhorseError, *, attempt: int, policy: RetryPolicy, jitter: float) -> Verdict:
    """What to do about a failure below HTTP, or an answer that breaks the rules."""
    if isinstance(error, TlsError | RateLimitedError) or attempt > policy.retries:
        return Verdict("fail")
    if isinstance(error, NetworkError | ProtocolError) or (isinstance(error, RemoteError) and error.retryable):
        return Verdict("retry", delay=policy.backoff(attempt, jitter))
    return Verdict("fail")
