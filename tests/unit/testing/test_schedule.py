"""Schedules: rules count as they say, and seeded compositions repeat."""

from __future__ import annotations

import http.client
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from packhorse.testing import faults as f
from packhorse.testing.faults.message import Ask
from packhorse.testing.faults.schedule import Running

from .clients import get


def names(schedule: f.Schedule, asks: list[Ask], seed: int = 0) -> list[list[str]]:
    running = Running(schedule, seed)
    return [[type(fault).__name__ for fault in running.faults(ask)] for ask in asks]


def ask(path: str = "/a", method: str = "GET", *headers: tuple[str, str], origin: str = "main") -> Ask:
    return Ask(method, path, headers, origin=origin)


def test_rules_choose_by_path_number_and_range() -> None:
    schedule = f.Schedule.of(
        f.Rule(f.Cut(), path="/*.bin", nth=2, times=2),
        f.Rule(f.Stall(1), ranged=True, times=None),
        f.Rule(f.Flip(), each_path=True),
        f.Rule(f.Gzip(), origin="other"),
    )
    asks = [ask("/a.bin"), ask("/b.txt"), ask("/a.bin"), ask("/b.bin"), ask("/a.bin", "GET", ("range", "bytes=0-"))]
    asks += [ask("/a.bin", "HEAD"), ask("/z", origin="other")]
    assert names(schedule, asks) == [["Flip"], ["Flip"], ["Cut"], ["Cut", "Flip"], ["Stall"], [], ["Gzip"]]


def test_probability_is_seeded_and_in_proportion() -> None:
    def schedule(seed: int) -> f.Schedule:
        return f.Schedule.of(f.Rule(f.Cut(), times=None, probability=0.25), seed=seed)

    asks = [ask()] * 2000
    first = names(schedule(1), asks)
    assert first == names(schedule(1), asks)
    assert first != names(schedule(2), asks)
    assert first != names(schedule(1), asks, seed=9)
    assert 400 < sum(map(len, first)) < 600


@given(st.integers(0, 2**32), st.floats(0, 1), st.booleans())
def test_random_schedules_repeat_and_end(seed: int, intensity: float, digests: bool) -> None:
    schedule = f.Schedule.random(seed, intensity, digests=digests)
    assert schedule == f.Schedule.random(seed, intensity, digests=digests)
    assert schedule.describe()
    moods = (
        f.WeakETag,
        f.NoETag,
        f.NoLastModified,
        f.HostileName,
        f.Interim,
        f.Redirect,
        f.Chunked,
        f.FreshETag,
        f.NoLength,
    )
    for rule in schedule.rules:
        assert rule.times is not None or isinstance(rule.fault, moods)
        assert digests or not isinstance(rule.fault, f.Flip | f.NoLength | f.NoETag)
    assert sum(isinstance(rule.fault, f.Replaced) for rule in schedule.rules) <= 1


@given(st.integers(0, 2**32))
def test_hostile_schedules_repeat(seed: int) -> None:
    assert f.Schedule.hostile(seed) == f.Schedule.hostile(seed)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_a_patient_client_survives_random_schedules(seed: int) -> None:
    """The plainest correct client: whole file again, until size and digest agree."""
    file = f.GeneratedFile(300_000, seed)
    made = f.Schedule.random(seed, 1.0, longest=0.05)
    # http.client takes a 103 for the answer itself
    schedule = f.Schedule(tuple(rule for rule in made.rules if not isinstance(rule.fault, f.Interim)), made.seed)
    with f.FaultServer({"a": file}, schedule) as server:
        for _ in range(40):
            try:
                got = get(server)
                if got.status == 302:
                    got = get(server.other_url, "/" + got.headers["Location"].split("/", 3)[3])
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)
                continue
            if not got.broken and got.body == server.content("a").read():
                return
        raise AssertionError(server.log)
