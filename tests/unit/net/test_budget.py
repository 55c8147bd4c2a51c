"""The gate in front of a host: never more than it allows, and nobody forgotten."""

from __future__ import annotations

import asyncio
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packhorse.net.budget import BudgetState, HostBudget, on_clean, on_slow_down

states = st.builds(
    lambda cap, share, rtt, halved: BudgetState(max(1, round(cap * share)), cap, rtt, halved),
    st.integers(1, 64),
    st.floats(0, 1),
    st.floats(0.001, 10),
    st.floats(-1e6, 1e6),
)


@given(states, st.floats(0, 1e6))
def test_a_clean_answer_gives_one_more_up_to_the_cap(state: BudgetState, elapsed: float) -> None:
    after = on_clean(state, elapsed)
    assert after.limit == min(state.cap, state.limit + 1)
    assert (
        min(state.round_trip, elapsed, 10) * 0.999
        <= after.round_trip
        <= max(state.round_trip, min(elapsed, 10)) * 1.001
    )
    assert (after.cap, after.halved_at) == (state.cap, state.halved_at)


@given(states, st.floats(-1e6, 1e6))
def test_one_storm_counts_once(state: BudgetState, now: float) -> None:
    after = on_slow_down(state, now)
    if now - state.halved_at >= state.round_trip:
        assert (after.limit, after.halved_at) == (max(1, state.limit // 2), now)
    else:
        assert after == state
    assert on_slow_down(after, after.halved_at) == after


@given(states, st.lists(st.one_of(st.floats(0, 5), st.none()), max_size=60))
def test_the_limit_stays_between_one_and_the_cap(state: BudgetState, happenings: list[float | None]) -> None:
    now = 2e6
    for elapsed in happenings:
        now += elapsed or 0.3
        state = on_slow_down(state, now) if elapsed is None else on_clean(state, elapsed)
        assert 1 <= state.limit <= state.cap


class Crowd:
    """Many that want a turn, and the most that had one at the same time."""

    def __init__(self, budget: HostBudget) -> None:
        self.budget = budget
        self.inside = 0
        self.excess = 0
        self.served = 0

    async def visit(self, stay: float) -> None:
        await self.budget.acquire()
        try:
            self.inside += 1
            if self.inside > self.budget.state.limit:
                self.excess += 1
            await asyncio.sleep(stay)
            self.served += 1
        finally:
            self.inside -= 1
            self.budget.release()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(1, 40))
def test_nobody_is_forgotten_and_the_limit_holds_whatever_is_cancelled(seed: int, cap: int, crowd: int) -> None:
    draw = random.Random(seed)

    async def main() -> None:
        budget = HostBudget(cap, start=draw.randint(1, 8))
        people = Crowd(budget)
        tasks = [asyncio.create_task(people.visit(draw.random() * 0.002)) for _ in range(crowd)]
        gone = set()
        for _ in range(crowd):
            await asyncio.sleep(0)
            match draw.randint(0, 4):
                case 0:
                    victim = draw.choice(tasks)
                    victim.cancel()
                    gone.add(victim)
                case 1:
                    budget.clean(0.001)
                case 2:
                    budget.set_cap(draw.randint(1, cap))
        results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
        assert not [r for r in results if isinstance(r, Exception)]
        assert people.served >= crowd - len(gone)
        assert people.excess <= crowd  # a cap that is lowered meanwhile lets those inside finish
        assert budget.in_use == 0
        # All turns can be had again: none was lost.
        for _ in range(budget.state.limit):
            await asyncio.wait_for(budget.acquire(), 1)
        assert budget.free == 0

    asyncio.run(main())


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.lists(st.integers(0, 9), min_size=1, max_size=120))
def test_who_came_first_is_served_first(cap: int, happenings: list[int]) -> None:
    """Newcomers pass nobody, and who gave up holds nobody up."""

    async def main() -> None:
        budget = HostBudget(cap, start=1)
        waiting: dict[int, asyncio.Task[None]] = {}
        came: list[int] = []
        served: list[int] = []
        inside = 0

        async def visit(number: int) -> None:
            nonlocal inside
            await budget.acquire()
            served.append(number)
            inside += 1

        def leave() -> None:
            nonlocal inside
            if inside:
                inside -= 1
                budget.release()

        for number, what in enumerate(happenings):
            match what:
                case 0 | 1 | 2 | 3:
                    came.append(number)
                    waiting[number] = asyncio.create_task(visit(number))
                case 4 | 5:
                    leave()
                case 6:
                    # at the same moment as a turn becomes free
                    leave()
                    came.append(number)
                    waiting[number] = asyncio.create_task(visit(number))
                case 7:
                    late = [one for one in came if one not in served]
                    if late:
                        waiting[late[len(late) // 2]].cancel()
                        came.remove(late[len(late) // 2])
                case 8:
                    budget.clean(0.001)
                case 9:
                    budget.pause(0.001)
            if what % 2:
                await asyncio.sleep(0)
        while len(served) < len(came):
            leave()
            await asyncio.sleep(0.0005)
        assert [one for one in served if one in came] == came
        while inside:
            leave()
        await asyncio.gather(*waiting.values(), return_exceptions=True)

    asyncio.run(main())


def test_the_limit_is_never_exceeded() -> None:
    async def main() -> int:
        budget = HostBudget(5, start=2)
        people = Crowd(budget)
        tasks = [asyncio.create_task(people.visit(0.001)) for _ in range(50)]
        for _ in range(20):
            await asyncio.sleep(0.001)
            budget.clean(0.001)
        await asyncio.gather(*tasks)
        return people.excess

    assert asyncio.run(main()) == 0


def test_a_cancelled_turn_goes_to_the_next_in_line() -> None:
    async def main() -> None:
        budget = HostBudget(1)
        await budget.acquire()
        first = asyncio.create_task(budget.acquire())
        second = asyncio.create_task(budget.acquire())
        await asyncio.sleep(0)
        budget.release()  # the turn is first's now
        first.cancel()
        await asyncio.wait_for(second, 1)
        with pytest.raises(asyncio.CancelledError):
            await first
        assert budget.in_use == 1

    asyncio.run(main())


def test_a_pause_holds_everyone() -> None:
    async def main() -> float:
        budget = HostBudget(4)
        budget.pause(0.15)
        budget.pause(0.01)  # a shorter one does not end it
        started = time.monotonic()
        await asyncio.gather(*(budget.acquire() for _ in range(4)))
        return time.monotonic() - started

    assert 0.15 <= asyncio.run(main()) < 1.0


def test_a_lowered_limit_holds_after_those_inside_have_left() -> None:
    async def main() -> None:
        budget = HostBudget(8, start=4)
        for _ in range(4):
            await budget.acquire()
        budget.slow_down()
        assert (budget.state.limit, budget.free) == (2, 0)
        waiting = asyncio.create_task(budget.acquire())
        for _ in range(2):
            budget.release()
            await asyncio.sleep(0)
            assert not waiting.done()
        budget.release()
        await asyncio.wait_for(waiting, 1)

    asyncio.run(main())
