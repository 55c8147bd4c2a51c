"""Asking ahead: several answers under way at once, given in the order of the questions."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Final, TypeVar

__all__ = ["AHEAD", "ahead", "collect"]

AHEAD: Final = 16
A = TypeVar("A")
B = TypeVar("B")


async def ahead(rows: AsyncIterator[A], work: Callable[[A], Awaitable[B]], window: int = AHEAD) -> AsyncIterator[B]:
    """``work`` of every row, in order, at most ``window`` at once. A failure comes in its turn and ends the others."""
    under_way: deque[asyncio.Future[B]] = deque()
    try:
        async for row in rows:
            under_way.append(asyncio.ensure_future(work(row)))
            if len(under_way) >= window:
                yield await under_way.popleft()
        while under_way:
            yield await under_way.popleft()
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        await _close(rows)


async def collect(rows: AsyncIterator[A]) -> list[A]:
    """Everything that an iterator gives; it is closed at once when that fails, not by the garbage collector."""
    try:
        return [row async for row in rows]
    finally:
        await _close(rows)


async def _close(rows: AsyncIterator[A]) -> None:
    if isinstance(rows, AsyncGenerator):
        await rows.aclose()
