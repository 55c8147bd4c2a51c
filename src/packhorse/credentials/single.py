"""One caller at a time, on whichever loop runs."""

from __future__ import annotations

import asyncio

__all__ = ["Single"]


class Single:
    """``async with single():`` lets one caller in at a time.

    The engine gets a new loop after fork, and a lock belongs to one loop: there it is a new one.
    """

    def __init__(self) -> None:
        self._held: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None

    def __call__(self) -> asyncio.Lock:
        """The lock of the running loop. Raises ``RuntimeError`` where none runs."""
        loop = asyncio.get_running_loop()
        if self._held is None or self._held[0] is not loop:
            self._held = (loop, asyncio.Lock())
        return self._held[1]
