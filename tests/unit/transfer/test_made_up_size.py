"""A size that a server made up costs neither time nor memory."""

from __future__ import annotations

import time
from pathlib import Path

from packhorse.errors import SpaceError
from packhorse.model import Item
from packhorse.testing.faults import Ask, FaultServer, Reply
from packhorse.testing.portal import fetch
from packhorse.transfer.blocks import missing_ranges

HUGE = 2**62


def test_what_is_missing_of_a_huge_file_is_told_at_once() -> None:
    begun = time.process_time()
    (first, second) = missing_ranges([5], HUGE)
    assert (first.start, first.stop, second.start, second.stop) == (0, 5 << 20, 6 << 20, HUGE)
    assert time.process_time() - begun < 1.0


def test_it_is_refused_before_the_first_byte_and_the_others_go_on(tmp_path: Path) -> None:
    def answer(ask: Ask) -> Reply:
        body = b"x" * (1 << 20)
        return Reply.of(206, body, "application/gzip", ("Content-Range", f"bytes 0-{len(body) - 1}/{HUGE}"))

    with FaultServer({"small": b"right"}, routes={"/huge": answer}) as server:
        items = [Item("faulty", name, name) for name in ("huge", "small")]
        outcome, _, _ = fetch(server, items, tmp_path)
    assert [file.item.key for file in outcome.placed] == ["small"]
    assert isinstance(outcome.failed[0].error, SpaceError)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".packhorse", "small"]
