"""The queue of jobs with real huey: nothing is lost, whatever dies."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from packhorse.server.jobs import ATTEMPTS, Jobs, Registry, wait_before
from packhorse.server.queue import Queue

SOURCE = Path(__file__).resolve().parents[3] / "src"


def wait_until(true: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def jobs(tmp_path: Path, registry: Registry) -> Iterator[Jobs]:
    made = Jobs(tmp_path / "jobs.db", registry=registry, lease=0.6, beat=0.05)
    yield made
    made.stop()


def rows(tmp_path: Path, table: str) -> int:
    connection = sqlite3.connect(tmp_path / "jobs.db")
    try:
        return int(connection.execute(f"select count(*) from {table}").fetchone()[0])
    finally:
        connection.close()


def test_a_queued_job_gets_its_home_and_values(jobs: Jobs, registry: Registry, tmp_path: Path) -> None:
    seen: list[Any] = []

    @registry.job("note")
    def note(home: str, *, number: int, names: list[str]) -> None:
        seen.append((home, number, names))

    jobs.enqueue("note", number=7, names=["é", ""])  # before the start: kept
    jobs.start("the home")
    jobs.enqueue("note", number=8, names=[])
    wait_until(lambda: len(seen) == 2)
    assert sorted(seen) == [("the home", 7, ["é", ""]), ("the home", 8, [])]
    wait_until(lambda: rows(tmp_path, "claims") == 0)
    assert rows(tmp_path, "task") == 0


def test_what_cannot_be_queued(jobs: Jobs, registry: Registry) -> None:
    registry.job("note")(lambda _home: None)
    with pytest.raises(LookupError):
        jobs.enqueue("nothing")
    with pytest.raises(TypeError):
        jobs.enqueue("note", value=object())
    with pytest.raises(ValueError):
        jobs.enqueue("note", value=float("nan"))
    with pytest.raises(ValueError):
        registry.job("note")(lambda _home: None)


def test_a_job_is_taken_at_once_by_an_idle_worker(jobs: Jobs, registry: Registry) -> None:
    done = threading.Event()
    registry.job("quick")(lambda _home: done.set())
    jobs.start(None)
    time.sleep(1.5)  # idle workers look ever less often
    started = time.monotonic()
    jobs.enqueue("quick")
    assert done.wait(5)
    assert time.monotonic() - started < 0.5


def test_a_delayed_job_waits(jobs: Jobs, registry: Registry) -> None:
    done: list[float] = []
    registry.job("later")(lambda _home: done.append(time.monotonic()))
    jobs.start(None)
    asked = time.monotonic()
    jobs.enqueue("later", delay=1)
    wait_until(lambda: done)
    assert 0.9 <= done[0] - asked < 5


def test_a_failing_job_is_tried_again_and_then_given_up(
    jobs: Jobs, registry: Registry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr("packhorse.server.jobs.wait_before", lambda attempt: 0.01)
    monkeypatch.setattr("packhorse.server.jobs.ATTEMPTS", 3)
    tried: list[int] = []

    @registry.job("twice")
    def twice(_home: object, *, number: int) -> None:
        tried.append(number)
        if tried.count(number) < 2 or number == 9:
            raise RuntimeError("not yet")

    jobs.start(None)
    jobs.enqueue("twice", number=1)
    wait_until(lambda: tried.count(1) == 2)
    jobs.enqueue("twice", number=9)
    wait_until(lambda: tried.count(9) == 3)
    wait_until(lambda: "it is given up" in caplog.text)
    time.sleep(1.2)
    assert tried.count(9) == 3
    assert tried.count(1) == 2
    assert "not yet" in caplog.text
    assert rows(tmp_path, "claims") == rows(tmp_path, "task") == rows(tmp_path, "schedule") == 0


def test_waits_grow_to_an_hour() -> None:
    waits = [wait_before(attempt) for attempt in range(2, ATTEMPTS + 1)]
    assert waits[:3] == [5, 15, 45]
    assert waits == sorted(waits)
    assert waits[-1] == 3600
    assert wait_before(500) == 3600


def test_a_periodic_job_comes_again_and_survives_its_own_failure(jobs: Jobs, registry: Registry) -> None:
    ran: list[float] = []

    @registry.periodic(1, "often")
    def often(_home: object) -> None:
        ran.append(time.monotonic())
        raise RuntimeError("always")

    jobs.start(None)
    wait_until(lambda: len(ran) >= 3)
    assert ran[2] - ran[0] > 1.5
    with pytest.raises(ValueError):
        registry.periodic(0.5, "too often")


def test_of_two_processes_one_does_the_periodic_job(tmp_path: Path, registry: Registry) -> None:
    ran: list[float] = []
    registry.periodic(3600, "once")(lambda _home: ran.append(1))
    both = [Jobs(tmp_path / "jobs.db", registry=registry, beat=0.05) for _ in range(2)]
    for one in both:
        one.start(None)
    time.sleep(1.5)
    assert all(one.stop() for one in both)
    assert len(ran) == 1


def test_who_waited_for_the_database_does_not_do_the_job_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue(tmp_path / "jobs.db", lease=10)
    assert queue.storage.tick("once", 3600, b"{}")
    before = time.time() - 0.5
    monkeypatch.setattr(time, "time", lambda: before)
    assert not queue.storage.tick("once", 3600, b"{}")


def test_the_next_turn_of_a_periodic_job_outlives_the_process(tmp_path: Path, registry: Registry) -> None:
    ran: list[float] = []
    registry.periodic(3600, "once")(lambda _home: ran.append(1))
    for _ in range(2):
        jobs = Jobs(tmp_path / "jobs.db", registry=registry, beat=0.05)
        jobs.start(None)
        wait_until(lambda: ran)
        time.sleep(0.3)
        assert jobs.stop()
    assert len(ran) == 1


def test_a_long_job_keeps_its_lease(jobs: Jobs, registry: Registry) -> None:
    ran: list[float] = []

    @registry.job("long")
    def long(_home: object) -> None:
        ran.append(1)
        time.sleep(2)  # more than three leases

    jobs.start(None)
    jobs.enqueue("long")
    wait_until(lambda: ran)
    time.sleep(2.5)
    assert len(ran) == 1


def test_a_job_that_will_not_end_does_not_keep_the_stop(jobs: Jobs, registry: Registry, tmp_path: Path) -> None:
    begun, let_go = threading.Event(), threading.Event()

    @registry.job("stuck")
    def stuck(_home: object) -> None:
        begun.set()
        let_go.wait(20)

    jobs.start(None)
    jobs.enqueue("stuck")
    assert begun.wait(5)
    before = time.monotonic()
    assert not jobs.stop(0.3)
    assert time.monotonic() - before < 2
    assert rows(tmp_path, "claims") == 1  # for the next process
    let_go.set()
    wait_until(lambda: rows(tmp_path, "claims") == 0)


def test_a_spoiled_task_does_not_stop_the_others(jobs: Jobs, registry: Registry, tmp_path: Path) -> None:
    done = threading.Event()
    registry.job("fine")(lambda _home: done.set())
    connection = sqlite3.connect(tmp_path / "jobs.db")
    connection.execute("insert into task (queue, data, priority) values ('packhorse', ?, 9)", (b"\x80pickle",))
    connection.commit()
    connection.close()
    jobs.enqueue("fine")
    jobs.start(None)
    assert done.wait(5)
    wait_until(lambda: rows(tmp_path, "claims") == 0)


KILLED = """
import os, sys, time
from pathlib import Path
from packhorse.server.jobs import Jobs, Registry
registry, log = Registry(), Path(sys.argv[1]) / "log"
@registry.job("work")
def work(home, *, number):
    with log.open("a") as file: file.write(f"begun {number}\\n")
    if sys.argv[2] == "hang": time.sleep(60)
    with log.open("a") as file: file.write(f"done {number}\\n")
jobs = Jobs(Path(sys.argv[1]) / "jobs.db", registry=registry, lease=1.0, beat=0.1)
if sys.argv[2] == "hang":
    for number in range(5): jobs.enqueue("work", number=number)
jobs.start(None)
while sys.argv[2] == "hang" or log.read_text().count("done") < 5: time.sleep(0.02)
sys.exit(0 if jobs.stop() else 3)
"""


def test_kill_in_the_middle_loses_no_job(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONWARNINGS": "error"}
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    log = tmp_path / "log"
    first = subprocess.Popen([*command, "hang"], env=environment)
    try:
        wait_until(lambda: log.exists() and log.read_text().count("begun") == 2, 30)
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    second = subprocess.run(
        [*command, "work"], check=False, env=environment, timeout=60, capture_output=True, text=True
    )
    assert second.returncode == 0, second.stderr
    assert second.stderr == ""
    done = [line for line in log.read_text().splitlines() if line.startswith("done")]
    assert sorted(done) == [f"done {number}" for number in range(5)]
    assert log.read_text().count("begun") == 7  # the two that were under way, again


def test_an_exit_without_stop_does_not_hang(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from packhorse.server.jobs import Jobs, Registry\n"
        "registry = Registry(); registry.job('x')(lambda home: __import__('time').sleep(60))\n"
        "jobs = Jobs(Path(sys.argv[1]) / 'jobs.db', registry=registry); jobs.enqueue('x'); jobs.start(None)\n"
        "__import__('time').sleep(0.5)"
    )
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False, env=environment, timeout=20)
    assert ended.returncode == 0
