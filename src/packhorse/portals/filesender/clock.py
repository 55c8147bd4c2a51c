"""What the server's clock says, learnt from the ``Date`` of its answers: signed requests live for 15 s (spec §2.1)."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import Final

from packhorse.net.message import ResponseHead

__all__ = ["NOTICE_ABOVE", "Clock"]

NOTICE_ABOVE: Final = 15.0
"""Seconds between the clocks above which a person is told."""
_GRAIN: Final = 2.0  # a Date has whole seconds, and was written some time ago
_LIMIT: Final = 10 * 365 * 86400.0


class Clock:
    """The server's time, as far as it is known. Pure but for reading our own clock."""

    def __init__(self) -> None:
        self.skew = 0.0
        self.known = False

    def learn(self, head: ResponseHead, now: float | None = None) -> bool:
        """Read an answer's ``Date``. True when the clock was set anew by more than a grain."""
        date = head.headers.get("date")
        if date is None:
            return False
        now = time.time() if now is None else now
        try:
            server = parsedate_to_datetime(date).timestamp()
        except (TypeError, ValueError, IndexError, OverflowError):
            return False
        skew = server - now
        if abs(skew) > _LIMIT:
            return False
        if abs(skew) <= _GRAIN:
            skew = 0.0
        # An answer that was long on its way makes the server look behind; timestamps ahead of it do no harm, so that
        # what is known is only ever put forward.
        if self.known and skew <= self.skew + _GRAIN:
            return False
        moved = abs(skew - self.skew) > _GRAIN
        self.skew, self.known = skew, True
        return moved

    def now(self) -> int:
        """The server's time in whole Unix seconds, rather late than early: the future is accepted, the past is not."""
        return int(time.time() + self.skew + 0.999)

    def notice(self, remote: str) -> str | None:
        """One line for a person when the clocks differ by more than :data:`NOTICE_ABOVE`."""
        if abs(self.skew) <= NOTICE_ABOVE:
            return None
        way = "behind" if self.skew > 0 else "ahead of"
        return (
            f"this machine's clock is {abs(self.skew):,.0f} s {way} {remote}'s; "
            "requests are signed with the server's time, but set the clock right"
        )
