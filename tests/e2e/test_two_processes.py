"""Two processes, one destination: one waits or takes over, the file is right and fetched about once. No lock is
trusted: also where ``flock`` lets everybody in, where the owner is on another host, and where it comes back late."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from packhorse.testing.faults import Dribble, FaultServer, GeneratedFile, Rule, Schedule

from .test_kill import sha256_of
from .typed import MIB, ROOT, Popen, Typist, wait_until

FILE = GeneratedFile(24 * MIB, seed=77)
FLOCK = """
import fcntl
fcntl.flock = fcntl.lockf = lambda *_: None
"""
ELSEWHERE = """
import packhorse.transfer.fetch as fetch
import packhorse.transfer.lease as lease
lease._machine = lambda: ("elsewhere", "another boot", "another space")
fetch.BEAT_SECONDS = 1.0
"""
IMPATIENT = """
import packhorse.transfer.lease as lease
lease.STALE_SECONDS = 3.0
"""


@pytest.fixture
def typist(tmp_path: Path) -> Typist:
    return Typist(tmp_path)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """3 MiB/s for each connection: about two seconds for the whole file."""
    with FaultServer({"big.bin": FILE}, Schedule.of(Rule(Dribble(3 * MIB), times=None))) as server:
        yield server


def begin(typist: Typist, server: FaultServer, patch: str = "", name: str = "patch") -> Popen:
    """Type the get; ``patch`` is run in the child before anything else."""
    folder = typist.folder / name
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(patch)
    path = os.pathsep.join((str(folder), str(ROOT / "src")))
    return typist.start("get", server.url_of("big.bin"), "d/", "--json", env={"PYTHONPATH": path})


def begun(typist: Typist, process: Popen, held: int = 4 * MIB) -> None:
    wait_until(lambda: typist.held() >= held or process.poll() is not None, "the first one moves bytes")
    assert process.poll() is None, process.communicate()


def all_is_well(typist: Typist, server: FaultServer, needless: int) -> None:
    """The file is right and alone, was fetched about once, and the ledger vouches for it."""
    assert typist.names() == ["big.bin"]
    assert sha256_of(typist.work / "d/big.bin") == FILE.sha256
    server.settle()
    fetched = server.body_bytes_sent()
    assert fetched <= FILE.size + needless, f"{fetched - FILE.size:,} needless bytes"
    ran = typist("get", server.url_of("big.bin"), "d/", "--json")
    assert ran.code == 0, ran.said
    assert ran.events("placed")[0]["reused"], "the ledger does not vouch for the file"
    assert typist.names() == ["big.bin"]


@pytest.mark.parametrize("patch", ["", FLOCK], ids=["", "flock-lets-everybody-in"])
@pytest.mark.parametrize("head_start", [True, False], ids=["one-first", "at-once"])
def test_the_second_waits_and_finds_it_done(typist: Typist, server: FaultServer, patch: str, head_start: bool) -> None:
    with begin(typist, server, patch) as one:
        if head_start:
            begun(typist, one)
        with begin(typist, server, patch) as two:
            rans = [typist.end(process) for process in (one, two)]
    assert [ran.code for ran in rans] == [0, 0], [ran.said for ran in rans]
    placed = [ran.events("placed")[0] for ran in rans]
    assert sorted(bool(event.get("reused")) for event in placed) == [False, True]
    waited = [event for ran in rans for event in ran.events("retried") if event["why"] == "busy"]
    assert waited
    assert f"process {one.pid if head_start else ''}" in waited[0]["detail"]
    all_is_well(typist, server, needless=3 * MIB)


def test_an_owner_on_another_host_whose_heart_beats_is_waited_for(typist: Typist, server: FaultServer) -> None:
    with begin(typist, server, ELSEWHERE, "far") as far:
        begun(typist, far)
        with begin(typist, server, IMPATIENT, "near") as near:
            rans = [typist.end(process) for process in (far, near)]
    assert [ran.code for ran in rans] == [0, 0], [ran.said for ran in rans]
    assert not rans[0].events("placed")[0].get("reused")
    assert rans[1].events("placed")[0]["reused"]
    assert "on elsewhere" in rans[1].events("retried")[0]["detail"]
    all_is_well(typist, server, needless=3 * MIB)


def take_over(typist: Typist, server: FaultServer, patch: str) -> float:
    """The other host's process dies; how long the next one waited before it took over. It keeps what was held."""
    with begin(typist, server, ELSEWHERE, "far") as far:
        begun(typist, far)
        server.note_cut("kill -9")
        far.kill()
        far.communicate(timeout=30)
    held = typist.held()
    started = time.monotonic()
    with begin(typist, server, patch, "near") as near:
        ran = typist.end(near, 180)
    waited = time.monotonic() - started
    assert ran.code == 0, ran.said
    assert ran.events("placed")[0]["kept"] == held
    assert ran.events("retried")[0]["why"] == "busy"
    all_is_well(typist, server, needless=server.needless_budget() + 2 * MIB)
    return waited


def test_an_owner_on_another_host_whose_heart_stands_still_is_taken_over(typist: Typist, server: FaultServer) -> None:
    assert take_over(typist, server, IMPATIENT) >= 3


@pytest.mark.slow
def test_ninety_seconds_are_ninety_seconds(typist: Typist, server: FaultServer) -> None:
    assert 90 <= take_over(typist, server, "") < 120


@pytest.mark.parametrize("late", [False, True], ids=["while-it-is-fetched", "when-it-is-done"])
def test_an_owner_that_comes_back_from_the_dead_does_no_harm(typist: Typist, server: FaultServer, late: bool) -> None:
    """Stopped, judged dead, taken over, and woken again: it stops with a clear error, or finds the file done."""
    with begin(typist, server, ELSEWHERE, "far") as far:
        begun(typist, far)
        far.send_signal(signal.SIGSTOP)
        try:
            held = typist.held()
            with begin(typist, server, IMPATIENT, "near") as near:
                if late:
                    ran = typist.end(near)
                    far.send_signal(signal.SIGCONT)
                else:
                    begun(typist, near, held + 2 * MIB)
                    far.send_signal(signal.SIGCONT)
                    ran = typist.end(near)
        finally:
            far.send_signal(signal.SIGCONT)
        ghost = typist.end(far)
    assert ran.code == 0, ran.said
    assert ran.events("placed")[0]["kept"] >= held
    if ghost.code == 0:
        assert ghost.events("placed")[0]["reused"], ghost.said
    else:
        assert ghost.code == 1, ghost.said
        assert [event["code"] for event in ghost.events("failed")] == ["busy"], ghost.said
        assert ghost.err.startswith("error: "), ghost.err
    # What the sleeper's connections had asked for is sent to it all the same.
    all_is_well(typist, server, needless=FILE.size)
