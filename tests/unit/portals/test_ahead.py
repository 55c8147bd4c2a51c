import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packhorse.portals.ahead import ahead, collect


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


@given(st.integers(0, 30), st.integers(1, 8))
def test_answers_come_in_order_and_never_too_many_at_once(count: int, window: int) -> None:
    busy = most = 0

    async def work(number: int) -> int:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        for _ in range((7 * number) % 5):  # later questions may be answered first
            await asyncio.sleep(0)
        busy -= 1
        return number * 10

    found = asyncio.run(collect(ahead(numbers(count), work, window)))
    assert found == [number * 10 for number in range(count)]
    assert most <= window


def test_a_failure_ends_the_others() -> None:
    ended: list[int] = []

    async def work(number: int) -> int:
        if number == 1:
            raise ValueError("one")
        try:
            await asyncio.sleep(0 if number == 0 else 60)
        except asyncio.CancelledError:
            ended.append(number)
            raise
        return number

    with pytest.raises(ValueError, match="one"):
        asyncio.run(collect(ahead(numbers(4), work)))
    assert ended == [2, 3]
