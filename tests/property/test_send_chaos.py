"""Uploads under seeded faults and interruptions: whatever happens, what the portal has in the end is what the files
are, finished once, and no part was ever made of two plaintexts.

``PACKHORSE_MORE=10`` runs ten times as many histories.
"""

from __future__ import annotations

import concurrent.futures
import os
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from packhorse.errors import PackhorseError
from packhorse.net.retry import RetryPolicy
from packhorse.net.settings import NetSettings
from packhorse.net.transport import Network
from packhorse.testing.faults import FaultServer, PartStore, Schedule
from packhorse.testing.receiver import PartReceiver
from packhorse.transfer.engine import Engine
from packhorse.transfer.events import Event, Failed, Placed, Started, Summary
from packhorse.transfer.outgoing import LocalFile, SendOptions, SendOutcome
from packhorse.transfer.send import gather, pending, send

MORE = int(os.environ.get("PACKHORSE_MORE", "1"))


@pytest.fixture(autouse=True, scope="module")
def engine_ends() -> Iterator[None]:
    yield
    Engine.shared().close()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RetryPolicy, "backoff", lambda self, attempt, jitter: 0.01 * attempt)


class Marked:
    """An encoder that writes down each index with its plaintext, and that can be undone."""

    def __init__(self, seen: dict[tuple[int, int], set[bytes]]) -> None:
        self.seen = seen

    def encode(self, index: int, plain: bytes) -> bytes:
        return index.to_bytes(4, "big") + plain[::-1]


@dataclass
class Played:
    """What a seed stands for."""

    sizes: dict[str, int]
    part: int
    encoded: bool
    options: dict[str, Any]
    schedule: Schedule
    stops: list[float]

    @classmethod
    def of(cls, seed: int) -> Played:
        draw = random.Random(seed)
        part = draw.choice((4096, 20_000, 65_536, 300_000))
        sizes = {
            f"file{number}": draw.choice((0, 1, part - 1, part, part + 1, draw.randint(2, 20 * part)))
            for number in range(draw.randint(1, 5))
        }
        options = {
            "concurrent_parts": draw.choice((None, 1, 3)),
            "concurrent_files": draw.choice((None, 1, 2)),
            "retries": 10,
        }
        stops = [draw.random() * draw.choice((0.05, 0.3)) for _ in range(draw.choice((0, 1, 1, 3)))]
        schedule = Schedule.uploads(seed, draw.random())
        return cls(sizes, part, draw.random() < 0.4, options, schedule, stops)


def once(
    server: FaultServer, files: list[LocalFile], state: Path, played: Played, stop: float | None
) -> tuple[SendOutcome | None, list[Event]]:
    """One process's life: to its end, or until it is stopped after so many seconds (``None``: never)."""
    engine = Engine.shared()
    events: list[Event] = []

    async def work() -> SendOutcome:
        network = Network(NetSettings(stall_timeout=5))
        encoder = Marked({}) if played.encoded else None
        there = PartReceiver(server.url, network, part_size=played.part, encoder=encoder)
        try:
            return await send(
                there, files, SendOptions(**played.options), network, events.append, state_dir=state, pool=engine.pool
            )
        finally:
            await network.aclose()

    future, cancel = engine.submit(work())
    if stop is not None:
        time.sleep(stop)
        cancel.cancel()
    try:
        return future.result(timeout=60), events
    except concurrent.futures.CancelledError:
        return None, events


@settings(max_examples=20 * MORE, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 1 << 32))
def test_what_arrives_is_what_was_sent(seed: int) -> None:
    played = Played.of(seed)
    store = PartStore()
    with tempfile.TemporaryDirectory() as folder, FaultServer({}, played.schedule, seed, store=store) as server:
        data, state = Path(folder, "data"), Path(folder, "state")
        data.mkdir()
        for name, size in played.sizes.items():
            (data / name).write_bytes(random.Random(f"{seed}{name}").randbytes(size))
        files = gather([data])
        outcome: SendOutcome | None = None
        for stop in [*played.stops, None]:
            outcome, events = once(server, files, state, played, stop)
            if outcome is not None:
                break
        assert outcome is not None
        for _ in range(4):
            # Of what is not repeated blindly, an error may come up to the user, who types it again.
            if outcome.error is None:
                break
            assert isinstance(outcome.error, PackhorseError)
            outcome, events = once(server, files, state, played, None)
            assert outcome is not None
        outcome.raise_for_failures()
        check_store(store, files, played)
        check_events(events, outcome)
        assert pending(state) == []
        assert [path.suffix for path in (state / "uploads").iterdir()] == [".sent"]
        # Another process cannot know what the one before was asked to wait.
        assert server.impatient == [] or played.stops


def check_store(store: PartStore, files: list[LocalFile], played: Played) -> None:
    finished = [upload for upload in store.uploads.values() if upload.status == "finished"]
    # One that was stopped while it was created leaves an empty one behind, never a finished one.
    [upload] = finished
    assert (upload.finishes, upload.finish_calls) == (1, 1)
    # What a process that was stopped had sent may still wait to be read when another one is done.
    assert upload.late == 0 or played.stops
    for other in store.uploads.values():
        assert other is upload or not any(file.parts for file in other.files.values())
    by_name = {file.name: file for file in upload.files.values()}
    assert set(by_name) == {file.name for file in files}
    for file in files:
        taken, content = by_name[file.name], file.path.read_bytes()
        assert taken.finished >= 1
        assert sorted(taken.parts) == list(range(0, file.size, played.part))
        for offset, body in taken.parts.items():
            plain = content[offset : offset + played.part]
            expected = (offset // played.part).to_bytes(4, "big") + plain[::-1] if played.encoded else plain
            assert body == expected
            assert taken.versions[offset] == {expected}


def check_events(events: list[Event], outcome: SendOutcome) -> None:
    assert isinstance(events[-1], Summary)
    assert any(isinstance(event, Started) and not event.path for event in events)
    assert not any(isinstance(event, Failed) for event in events)
    placed = [event.path for event in events if isinstance(event, Placed)]
    assert len(placed) == len(set(placed))
    assert {one.file.name for one in outcome.sent} == {file.name for file in outcome.files}
    for one in outcome.sent:
        assert one.kept + one.sent == one.file.size
