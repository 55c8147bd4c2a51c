"""Who owns a part file: the decision, and a journal that never got its name."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from packhorse.transfer import lease
from packhorse.transfer.journal import Owner
from packhorse.transfer.lease import NAMELESS_SECONDS, STALE_SECONDS, Lease, Witness, judge_owner

ME = Owner("here", "boot-1", "pids-1", 100, "5")
ALIVE = {7: "3"}


@pytest.mark.parametrize(
    ("owner", "unmoved", "verdict"),
    [
        (None, NAMELESS_SECONDS - 1, "perhaps alive"),
        (None, NAMELESS_SECONDS, "gone"),
        (Owner("there", "boot-9", "pids-9", 7, "3"), STALE_SECONDS - 1, "perhaps alive"),
        (Owner("there", "boot-9", "pids-9", 7, "3"), STALE_SECONDS, "gone"),
        (Owner("here", "boot-0", "pids-1", 7, "3"), 0.0, "gone"),  # before the last boot
        (Owner("here", "boot-1", "pids-1", 7, "3"), 60.0, "perhaps alive"),
        (Owner("here", "boot-1", "pids-1", 7, "2"), 0.0, "gone"),  # another process has its number now
        (Owner("here", "boot-1", "pids-1", 8, "3"), 0.0, "gone"),
        (Owner("here", "boot-1", "pids-2", 8, "3"), 0.0, "perhaps alive"),  # another container
    ],
)
def test_owners(owner: Owner | None, unmoved: float, verdict: str) -> None:
    assert judge_owner(Witness(owner, False, unmoved), ME, ALIVE.get) == verdict
    assert judge_owner(Witness(owner, True, 0.0), ME, ALIVE.get) == "gone"


def test_a_journal_without_a_name_holds_nobody_up_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "NAMELESS_SECONDS", 0.2)
    part = tmp_path / "reads.fastq.gz.0123abcd.part"
    part.with_name(part.name + ".1").write_bytes(b"")  # killed before its first line
    began = time.monotonic()
    taken = asyncio.run(Lease.take(part, waiting=lambda _owner: None, poll=0.05))
    assert taken is not None
    assert taken.number == 2
    assert 0.2 <= time.monotonic() - began < 30
    taken.let_go("test")
