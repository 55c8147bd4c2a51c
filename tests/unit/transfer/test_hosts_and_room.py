"""Waits that a redirect's target asks for, and bodies of which nobody says how long they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from packhorse.errors import SpaceError
from packhorse.testing.faults import Busy, Chunked, FaultServer, GeneratedFile, NoRanges, Redirect, Rule, Schedule
from packhorse.testing.portal import fetch, item_for
from packhorse.transfer import fetch as large
from packhorse.transfer import sink
from packhorse.transfer.preflight import Room

MIB = 1 << 20


def test_a_wait_that_the_target_of_a_redirect_asks_for_holds_for_the_target(tmp_path: Path) -> None:
    """The first host, which said nothing, goes on being asked; the other is left in peace."""
    files = {f"f{number}.bin": GeneratedFile(1000, seed=number) for number in range(4)}
    schedule = Schedule.of(Rule(Redirect(), times=None), Rule(Busy(1), origin="other"))
    with FaultServer(files, schedule) as server:
        items = [item_for(name, file, "digest") for name, file in files.items()]
        outcome, _, network = fetch(server, items, tmp_path, jobs=1)
        assert not outcome.failed, outcome.failed
        busy = next(one for one in server.requests() if one.status == 429)
        assert busy.origin == "other"
        waiting = [one for one in server.requests() if busy.started < one.started < busy.started + 0.8]
        assert network.budget(server.other_url)._paused_until
        assert not network.budget(server.url)._paused_until
    assert "other" not in {one.origin for one in waiting}


def test_a_body_without_an_end_stops_where_the_room_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = GeneratedFile(24 * MIB)
    looks = iter([100 * MIB] * 2)
    monkeypatch.setattr(sink, "LOOK_EVERY", 4 * MIB)
    monkeypatch.setattr(large, "look", lambda _: Room(next(looks, MIB), None))
    schedule = Schedule.of(Rule(NoRanges(), times=None), Rule(Chunked(), times=None))
    with FaultServer({"a.bin": file}, schedule) as server:
        outcome, _, network = fetch(server, [item_for("a.bin", file, "nothing")], tmp_path)
    assert isinstance(outcome.failed[0].error, SpaceError)
    assert not (tmp_path / "a.bin").exists()
    assert network.received < 20 * MIB
