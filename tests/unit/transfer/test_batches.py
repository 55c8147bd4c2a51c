"""Small files are written on the engine's loop while the file system is quick, and by threads where it is not."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from packhorse.model import Item
from packhorse.testing.faults import FaultServer, GeneratedFile
from packhorse.testing.portal import fetch, item_for
from packhorse.transfer import batch, pile
from packhorse.transfer.ledger import read_ledger


def files(count: int) -> tuple[dict[str, GeneratedFile], list[Item]]:
    made = {f"d{number % 3}/f{number}.bin": GeneratedFile(1000 + number, seed=number) for number in range(count)}
    return made, [item_for(name, file, "digest") for name, file in made.items()]


@pytest.mark.parametrize("durability", ["full", "none"])
@pytest.mark.parametrize("delay", [0.0, 0.02])
def test_a_slow_file_system_is_given_to_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, delay: float, durability: Any
) -> None:
    """Writing that takes long on the loop would hold up all that comes in."""
    made, items = files(120)
    wrote: list[str] = []
    real = pile.pwrite_all

    def slowly(*values: Any) -> None:
        wrote.append(threading.current_thread().name)
        time.sleep(delay)
        real(*values)

    monkeypatch.setattr(pile, "pwrite_all", slowly)
    # The server's threads share this process, and may hold the loop up longer than any disk.
    monkeypatch.setattr(batch, "_SLOW", batch._SLOW if delay else 10.0)
    with FaultServer(made) as server:
        outcome, _, _ = fetch(server, items, tmp_path, durability=durability)
    assert len(outcome.placed) == 120
    assert all((tmp_path / name).read_bytes() == file.read() for name, file in made.items())
    assert set(read_ledger(tmp_path)) == set(made)
    here = wrote.count("packhorse-engine")
    assert here < 20 if delay else here == 120


def test_more_files_than_a_batch_all_get_their_names(tmp_path: Path) -> None:
    made, items = files(700)
    with FaultServer(made) as server:
        outcome, _, _ = fetch(server, items, tmp_path)
        again, _, network = fetch(server, items, tmp_path)
    assert len(outcome.placed) == 700
    assert all(placed.reused for placed in again.placed)
    assert network.received == 0


def test_files_are_durable_and_noted_before_they_have_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, items = files(5)
    order: list[str] = []
    sync, name = pile.os.fsync, pile.name_unnamed

    def fsync(descriptor: int) -> None:
        order.append("sync")
        sync(descriptor)

    def named(*values: Any, **more: Any) -> None:
        order.append("name")
        assert len(read_ledger(tmp_path)) == 5
        name(*values, **more)

    monkeypatch.setattr(pile.os, "fsync", fsync)
    monkeypatch.setattr(pile, "name_unnamed", named)
    with FaultServer(made) as server:
        outcome, _, _ = fetch(server, items, tmp_path)
    assert len(outcome.placed) == 5
    first = order.index("name")
    assert order[:first].count("sync") >= 6  # the files and the ledger
    assert order.count("name") == 5
