"""A reviewer's attacks: nothing hangs, nothing leaks, and one file's trouble stays that file's."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from packhorse.errors import AuthenticationError
from packhorse.model import Identity, Item
from packhorse.net.settings import NetSettings
from packhorse.net.transport import Network
from packhorse.portals.local import LocalPortal
from packhorse.testing.faults import Ask, FaultServer, GeneratedFile, Reply
from packhorse.testing.portal import FaultPortal, item_for
from packhorse.transfer.engine import Engine
from packhorse.transfer.events import Event, Failed, Placed, Progress
from packhorse.transfer.get import get
from packhorse.transfer.options import GetOptions, Outcome, Want

MIB = 1 << 20


def bounded(
    wants: Sequence[Want], folder: Path, emit: Callable[[Event], None] | None = None, **options: Any
) -> Outcome:
    """A get that is given twenty seconds. Raises ``TimeoutError`` where it hangs."""
    engine = Engine.shared()
    network = Network(NetSettings(stall_timeout=2, connect_timeout=5))

    async def work() -> Outcome:
        try:
            async with asyncio.timeout(20):
                return await get(wants, folder, GetOptions(**options), network, emit or _silent, pool=engine.pool)
        finally:
            await network.aclose()

    return engine.run(work())


def _silent(_: Event) -> None:
    """Nobody looks."""


class _CallbackError(Exception):
    """What a user's callback raised."""


@pytest.mark.parametrize("kind", [Placed, Failed, Progress])
@pytest.mark.parametrize("size", [1000, 3 * MIB])
def test_a_callback_that_raises_ends_the_get_with_its_error(tmp_path: Path, kind: type[Event], size: int) -> None:
    """The output was closed (``| head``), or the user's code is wrong: nothing waits for ever."""
    files = {f"{number}.bin": GeneratedFile(size, seed=number) for number in range(8)}

    def emit(event: Event) -> None:
        if isinstance(event, kind):
            raise _CallbackError

    with FaultServer(files, tokens=()) as locked, FaultServer(files) as server:
        portal = FaultPortal(locked if kind is Failed else server)
        wants = [Want(item_for(name, file, "digest"), portal) for name, file in files.items()]
        options: dict[str, Any] = {"limit_rate": size * 8} if kind is Progress else {}
        with pytest.raises(_CallbackError):
            bounded(wants, tmp_path, emit, retries=0, **options)


def test_a_writer_that_meets_the_unexpected_reports_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that may be written but not read cannot be synced; a name may be what a codec cannot say."""
    file = GeneratedFile(1000)
    with FaultServer({"a.bin": file}) as server:
        wants = [Want(item_for("a.bin", file, "digest"), FaultPortal(server))]
        for error in (PermissionError(13, "Permission denied"), ValueError("surrogates not allowed")):

            def fail(_: Path, error: Exception = error) -> None:
                raise error

            with monkeypatch.context() as patch:
                patch.setattr("packhorse.transfer.pile.sync_directory", fail)
                outcome = bounded(wants, tmp_path / type(error).__name__)
            assert len(outcome.placed) + len(outcome.failed) == 1


_MANY = """
import resource, sys, json
from pathlib import Path
from packhorse.model import Item, Identity
from packhorse.net.settings import NetSettings
from packhorse.net.transport import Network
from packhorse.testing.portal import FaultPortal
from packhorse.transfer.engine import Engine
from packhorse.transfer.get import get
from packhorse.transfer.options import GetOptions, Want

url, folder, kind, count, size, descriptors = sys.argv[1:]
if descriptors != "0":
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(descriptors), int(descriptors)))

class Place:
    def url_of(self, key):
        return f"{url}/{key}"

known = kind == "known"
items = [
    Item("f", f"a.bin?{n}", f"{n}.bin", int(size) if known else None, (), Identity("id", str(n)) if known else None)
    for n in range(int(count))
]
engine, network = Engine.shared(), Network(NetSettings())
outcome = engine.run(
    get([Want(i, FaultPortal(Place())) for i in items], Path(folder), GetOptions(), network, lambda e: None,
        pool=engine.pool)
)
status = Path("/proc/self/status").read_text()
peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) // 1024
print(json.dumps([len(outcome.placed), sorted({str(f.error) for f in outcome.failed})[:3], peak]))
"""


def _many(server: FaultServer, folder: Path, kind: str, count: int, size: int, descriptors: int) -> list[Any]:
    import json

    argv = [sys.executable, "-c", _MANY, server.url, str(folder), kind, str(count), str(size), str(descriptors)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    answer: list[Any] = json.loads(done.stdout)
    return answer


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="counts by /proc: Linux only")
@pytest.mark.parametrize("descriptors", [256, 1024])
def test_many_small_files_fit_the_usual_limits_of_descriptors(tmp_path: Path, descriptors: int) -> None:
    with FaultServer({"a.bin": b"x" * 100}) as server:
        placed, errors, _ = _many(server, tmp_path, "known", 2500, 100, descriptors)
    assert (placed, errors) == (2500, [])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="counts by /proc: Linux only")
@pytest.mark.parametrize(("kind", "size"), [("known", MIB - 5000), ("unknown", MIB - 5000), ("unknown", MIB + 5000)])
def test_many_files_do_not_wait_in_memory(tmp_path: Path, kind: str, size: int) -> None:
    """Neither those that are written and wait for their batch's names, nor the first MiB of those that prove large."""
    with FaultServer({"a.bin": GeneratedFile(size)}) as server:
        placed, errors, peak = _many(server, tmp_path, kind, 300, size, 0)
    assert (placed, errors) == (300, [])
    assert peak < 120, f"{peak} MiB"


def test_one_remote_s_password_does_not_fail_another_s_files(tmp_path: Path) -> None:
    file = GeneratedFile(1000)
    names = [f"{number}.bin" for number in range(100)]
    with FaultServer({"a.bin": file}, tokens=()) as locked, FaultServer(dict.fromkeys(names, file)) as server:
        one, two = FaultPortal(locked), FaultPortal(server)
        two.remote = "other"
        wants = [Want(item_for("a.bin", file, "digest"), one)]
        wants += [Want(Item("other", name, name), two) for name in names]
        outcome = bounded(wants, tmp_path, jobs=4, retries=0)
    assert len(outcome.placed) == 100
    assert isinstance(outcome.failed[0].error, AuthenticationError)


def test_jobs_of_one_get_are_not_the_next_one_s(tmp_path: Path) -> None:
    file = GeneratedFile(1000)
    engine = Engine.shared()
    network = Network(NetSettings(max_connections=20))
    with FaultServer({"a.bin": file}) as server:
        for jobs, cap in ((2, 2), (None, 20)):
            wants = [Want(item_for("a.bin", file, "digest"), FaultPortal(server))]
            options = GetOptions(jobs=jobs)
            engine.run(get(wants, tmp_path / str(jobs), options, network, _silent, pool=engine.pool))
            assert network.budget(server.url).state.cap == cap

        async def end() -> None:
            await network.aclose()

        engine.run(end())


def test_a_server_that_gives_one_byte_a_time_is_given_up(tmp_path: Path) -> None:
    data = GeneratedFile(3 * MIB)

    def route(ask: Ask) -> Reply:
        first = int((ask.header("range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        return Reply(206, [("Content-Range", f"bytes {first}-{first}/{data.size}")], data, first, first + 1)

    with FaultServer({}, routes={"a.bin": route}) as server:
        item = Item("faulty", "a.bin", "a.bin", data.size, (), Identity("id", "a", data.size))
        outcome = bounded([Want(item, FaultPortal(server))], tmp_path, retries=1)
        assert len(server.requests()) < 50
    assert outcome.failed


@pytest.mark.parametrize("size", [1000, 3 * MIB])
def test_a_destination_below_a_file_fails_file_by_file(tmp_path: Path, size: int) -> None:
    (tmp_path / "taken").write_text("a file")
    file = GeneratedFile(size)
    with FaultServer({"a.bin": file, "b.bin": file}) as server:
        taken = Item("f", "a.bin", "taken/a.bin", size, (), Identity("id", "a", size))
        free = Item("f", "b.bin", "b.bin", size, (), Identity("id", "b", size))
        outcome = bounded([Want(taken, FaultPortal(server)), Want(free, FaultPortal(server))], tmp_path)
        assert [placed.target.name for placed in outcome.placed] == ["b.bin"]
        assert outcome.failed[0].error.code == "destination"
        whole = bounded([Want(taken, FaultPortal(server))], tmp_path / "taken" / "below")
    assert whole.failed[0].error.code == "destination"


def test_a_path_that_is_too_long_fails_alone(tmp_path: Path) -> None:
    file = GeneratedFile(3 * MIB)
    with FaultServer({"a.bin": file, "b.bin": file}) as server:
        deep = Item("f", "a.bin", "/".join(["x" * 200] * 40), file.size, (), Identity("id", "a", file.size))
        free = Item("f", "b.bin", "b.bin", file.size, (), Identity("id", "b", file.size))
        outcome = bounded([Want(deep, FaultPortal(server)), Want(free, FaultPortal(server))], tmp_path)
    assert [placed.target.name for placed in outcome.placed] == ["b.bin"]


@pytest.mark.parametrize("size", [900_000, 4 * MIB])
def test_a_held_rate_does_not_hold_up_the_end(tmp_path: Path, size: int) -> None:
    """Ctrl-C while the lanes sleep to keep the rate."""
    file = GeneratedFile(size)
    engine = Engine.shared()
    network = Network(NetSettings())
    with FaultServer({"a.bin": file}) as server:
        wants = [Want(item_for("a.bin", file, "id"), FaultPortal(server))]
        options = GetOptions(limit_rate=20_000)
        future, cancel = engine.submit(get(wants, tmp_path, options, network, _silent, pool=engine.pool))
        time.sleep(1.0)
        began = time.monotonic()
        cancel.cancel()
        with pytest.raises(BaseException):  # noqa: B017 - how it says so is not the point here
            future.result(timeout=60)
        assert time.monotonic() - began < 2.0

        async def end() -> None:
            await network.aclose()

        engine.run(end())


def test_a_held_rate_is_no_stall(tmp_path: Path) -> None:
    """Four connections share 60 kB/s; each stands still for longer than the stall time, by our own doing."""
    file = GeneratedFile(1_500_000, seed=1)
    with FaultServer({f"{n}.bin": file for n in range(4)}) as server:
        events: list[Event] = []
        portal = FaultPortal(server)
        wants = [Want(item_for(f"{n}.bin", file, "digest"), portal) for n in range(4)]
        outcome = bounded(wants, tmp_path, events.append, limit_rate=1_000_000)
        assert int(outcome.exit_code) == 0
        assert not [event for event in events if type(event).__name__ == "Retried"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_in_the_middle_does_not_disturb_the_parent(tmp_path: Path) -> None:
    """The child has the parent's event poll and sockets; freeing the engine there must not touch them."""
    file = GeneratedFile(6 * MIB, seed=2)
    with FaultServer({"a.bin": file}) as server:
        wants = [Want(item_for("a.bin", file, "digest"), FaultPortal(server))]
        done: list[Outcome] = []
        worker = threading.Thread(target=lambda: done.append(bounded(wants, tmp_path, limit_rate=4 * MIB)))
        worker.start()
        time.sleep(0.7)
        child = os.fork()
        if not child:
            import gc

            gc.collect()
            os._exit(0)
        os.waitpid(child, 0)
        worker.join()
    assert int(done[0].exit_code) == 0
    assert not done[0].failed


def test_many_gets_at_once_do_not_wait_for_each_other_s_threads(tmp_path: Path) -> None:
    """More files are copied and hashed at once than the pool has threads."""
    source = tmp_path / "from"
    source.mkdir()
    for number in range(8):
        (source / f"{number}.bin").write_bytes(GeneratedFile(2 * MIB, seed=number).read())
    engine, network, portal = Engine.shared(), Network(NetSettings()), LocalPortal()

    async def one(number: int) -> Outcome:
        items = [item async for item in portal.items(str(source))]
        options = GetOptions(durability="none")
        wants = [Want(item, portal) for item in items]
        return await get(wants, tmp_path / str(number), options, network, _silent, pool=engine.pool)

    async def all_of_them() -> list[Outcome]:
        async with asyncio.timeout(30):
            return await asyncio.gather(*map(one, range(12)))

    outcomes = engine.run(all_of_them())
    assert all(len(outcome.placed) == 8 for outcome in outcomes)


@pytest.mark.parametrize("size", [1000, 9 * MIB])
def test_three_gets_of_one_file_at_once(tmp_path: Path, size: int) -> None:
    file = GeneratedFile(size, seed=3)
    for turn in range(3):
        folder = tmp_path / str(turn)
        with FaultServer({"a.bin": file}) as server:
            item = Item("faulty", "a.bin", "a.bin", size, (), Identity("id", "a", size))
            wants = [Want(item, FaultPortal(server))]
            found: list[Outcome] = []

            def one(wants: list[Want] = wants, folder: Path = folder, found: list[Outcome] = found) -> None:
                found.append(bounded(wants, folder))

            threads = [threading.Thread(target=one) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            found.append(bounded(wants, folder))
        assert (folder / "a.bin").read_bytes() == file.read()
        assert [outcome.failed for outcome in found] == [[], [], [], []]
        assert found[-1].placed[0].reused
        assert sorted(path.name for path in folder.iterdir()) == [".packhorse", "a.bin"]


def test_pieces_follow_each_other_on_one_connection(tmp_path: Path) -> None:
    """An answer that ended by itself leaves its connection whole."""
    file = GeneratedFile(64 * MIB, seed=5)
    with FaultServer({"a.bin": file}) as server:
        item = Item("faulty", "a.bin", "a.bin", file.size, (), Identity("id", "a", file.size))
        outcome = bounded([Want(item, FaultPortal(server))], tmp_path, connections=1, durability="none")
        requests = server.requests()
    assert int(outcome.exit_code) == 0
    assert len(requests) > 2
    # A lane of its own for each connection at once: a piece may go to another one than the last.
    assert len({request.connection for request in requests}) < len(requests)


def test_an_empty_local_file_arrives(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_bytes(b"")

    async def items() -> list[Item]:
        return [item async for item in LocalPortal().items(str(tmp_path / "empty.txt"))]

    wants = [Want(item, LocalPortal()) for item in Engine.shared().run(items())]
    assert bounded(wants, tmp_path / "to").placed[0].size == 0
