"""An upload that was interrupted goes on where it was: in another process, after kill -9, and is finished once."""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from packhorse.errors import BusyError, ChangedError, NetworkError, ServerError, TransferError
from packhorse.model import Identity
from packhorse.net.settings import NetSettings
from packhorse.net.transport import Network
from packhorse.testing.faults import EmptyError, FaultServer, LostAnswer, PartStore, Rule, StallUpload
from packhorse.testing.receiver import PartReceiver, send_files
from packhorse.transfer import lease
from packhorse.transfer.engine import Engine
from packhorse.transfer.events import Resumed, Retried, Started
from packhorse.transfer.journal import Journal, Owner
from packhorse.transfer.outgoing import Begun, LocalFile, SendOptions
from packhorse.transfer.send import discard, gather, journal_path, pending, send, upload_key
from packhorse.transfer.send.journal import UploadJournal, journal_error

Serve = Callable[..., FaultServer]
Tree = Callable[..., list[LocalFile]]
PART = 64 * 1024
CHILD = Path(__file__).with_name("child.py")
SRC = Path(__file__).parents[4] / "src"


def whole(store: PartStore, files: list[LocalFile], upload: int | None = None) -> None:
    contents = store.contents(upload)
    for file in files:
        assert contents[file.name] == file.path.read_bytes(), file.name


def interrupted(server: FaultServer, files: list[LocalFile], state: Path, *, after: int, **more: Any) -> None:
    """A send that is cancelled when the store has ``after`` parts."""
    engine = Engine.shared()

    async def work() -> None:
        network = Network(NetSettings(stall_timeout=5))
        there = PartReceiver(server.url, network, part_size=PART, **more)
        try:
            await send(
                there,
                files,
                SendOptions(limit_rate=20 * PART),
                network,
                lambda _: None,
                state_dir=state,
                pool=engine.pool,
            )
        finally:
            await network.aclose()

    future, cancel = engine.submit(work())
    until = time.monotonic() + 20
    while parts_in(server) < after and not future.done():
        assert time.monotonic() < until
        time.sleep(0.005)
    cancel.cancel()
    with pytest.raises(concurrent.futures.CancelledError):
        future.result(timeout=20)
    time.sleep(0.2)  # what was on its way arrives, or not
    server.settle()


def parts_in(server: FaultServer) -> int:
    """Parts that were acknowledged."""
    return sum(1 for one in server.requests(method="PUT") if one.path.count("/") == 4 and one.status == 200)


def test_ctrl_c_keeps_the_journal_and_the_same_call_goes_on(
    serve: Serve, store: PartStore, tree: Tree, tmp_path: Path
) -> None:
    files = tree(a=20 * PART, b=5 * PART)
    with serve() as server:
        interrupted(server, files, tmp_path / "state", after=6)
        [left] = pending(tmp_path / "state")
        assert (left.stage, left.running, left.files, left.size) == ("sending", False, 2, 25 * PART)
        assert 1 * PART <= left.confirmed < 25 * PART
        before = parts_in(server)
        outcome, events, receiver = send_files(server.url, files, tmp_path / "state", receiver={"part_size": PART})
        after = parts_in(server)
    outcome.raise_for_failures()
    whole(store, files)
    assert outcome.resumed
    assert receiver.calls[0] == "alive"
    assert "begin" not in receiver.calls
    assert (store.created, store.last.finishes) == (1, 1)
    assert after - before == 25 - left.confirmed // PART
    assert (
        sum(event.kept for event in events if isinstance(event, Resumed))
        + sum(one.kept for one in outcome.sent if one.sent == 0)
        >= left.confirmed
    )
    assert isinstance(events[0], Started)
    assert events[0].held == left.confirmed
    assert sum(one.sent + one.kept for one in outcome.sent) == 25 * PART
    assert pending(tmp_path / "state") == []


@contextmanager
def child(*args: object) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    command = [sys.executable, str(CHILD), *map(str, args)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=20)


@pytest.mark.parametrize("encode", [False, True], ids=["plain", "encoded"])
def test_kill_minus_nine_again_and_again(
    encode: bool, serve: Serve, store: PartStore, tree: Tree, tmp_path: Path
) -> None:
    draw = random.Random(20261122)
    files = tree(a=30 * PART + 7, b=PART, c=0, d=9 * PART)
    more = ["encode"] if encode else []
    in_flight = 512 + 7  # 32 MiB hold every part of these: all that is not acknowledged may be on its way
    with serve(Rule(StallUpload(0.02), path="/uploads/*/*/*", method="PUT", times=None)) as server:
        kills = 0
        while kills < 5:
            before = parts_in(server)
            enough = before + draw.randint(1, 8)
            with child(server.url, tmp_path / "state", PART, 12 * PART, tmp_path / "data", *more) as process:
                until = time.monotonic() + 30
                while parts_in(server) < enough and process.poll() is None:
                    assert time.monotonic() < until
                    time.sleep(0.005)
                if process.poll() is not None:
                    break
                process.kill()
            kills += 1
        assert kills >= 3
        acknowledged = {
            one.path for one in server.requests(method="PUT") if one.path.count("/") == 4 and one.status == 200
        }
        held = [left.confirmed for left in pending(tmp_path / "state")]
        with child(server.url, tmp_path / "state", PART, 0, tmp_path / "data", *more) as process:
            out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        total = [one.path for one in server.requests(method="PUT") if one.path.count("/") == 4]
    sent, kept, *calls = out.split()
    assert calls[0] == "alive"
    assert [int(kept)] == held
    assert int(sent) + int(kept) == 40 * PART + 7
    assert len(acknowledged) <= 41
    assert len(total) <= 41 + (kills + 1) * in_flight
    assert (store.created, store.last.finishes, store.last.finish_calls, store.last.late) == (1, 1, 1, 0)
    assert all(len(seen) == 1 for file in store.last.files.values() for seen in file.versions.values())
    if encode:
        for file, taken in zip(files, store.last.files.values(), strict=True):
            plain = file.path.read_bytes()
            for offset, body in taken.parts.items():
                assert int.from_bytes(body[:4], "big") == offset // PART
                assert bytes((byte - 1) % 256 for byte in body[4:]) == plain[offset : offset + PART]
            assert sorted(taken.parts) == list(range(0, file.size, PART))
    else:
        whole(store, files)
    assert pending(tmp_path / "state") == []


def test_what_was_confirmed_is_not_sent_again(serve: Serve, tree: Tree, tmp_path: Path) -> None:
    """Of all parts that were acknowledged well before the kill, none goes twice."""
    tree(a=60 * PART)
    with serve() as server:
        with child(server.url, tmp_path / "state", PART, 20 * PART, tmp_path / "data") as process:
            until = time.monotonic() + 30
            while parts_in(server) < 12:
                assert time.monotonic() < until
                assert process.poll() is None
                time.sleep(0.005)
            first = {one.path for one in server.requests(method="PUT") if one.status == 200}
            time.sleep(1.0)  # its journal is written by then
            process.kill()
        server.settle()
        count = len(server.log)
        send_files(server.url, gather([tmp_path / "data"]), tmp_path / "state", receiver={"part_size": PART})
        again = {one.path for one in server.log[count:]}
    assert not first & again


@pytest.mark.parametrize("change", ["content", "longer", "gone"])
def test_a_file_that_changed_stops_it_before_anything_is_sent(
    change: str, serve: Serve, store: PartStore, tree: Tree, tmp_path: Path
) -> None:
    files = tree(a=20 * PART, b=3)
    state = tmp_path / "state"
    with serve() as server:
        interrupted(server, files, state, after=4)
        path = files[0].path
        if change == "gone":
            path.unlink()
            path.write_bytes(b"another")
        elif change == "longer":
            with path.open("ab") as file:
                file.write(b"!")
        else:
            path.write_bytes(bytes(20 * PART))
        count = len(server.log)
        with pytest.raises(ChangedError) as caught:
            send_files(server.url, gather([tmp_path / "data"]), state, receiver={"part_size": PART})
        assert len(server.log) == count
        [left] = pending(state)
        assert f"packhorse send --discard {left.key}" in (caught.value.hint or "")
        assert str(path) in str(caught.value)
        assert str(files[1].path) not in str(caught.value)
        # What the hint says helps.
        assert run_discard(server.url, left.key, state) == "discarded"
        assert store.uploads[1].status == "deleted"
        now = gather([tmp_path / "data"])
        outcome, _, _ = send_files(server.url, now, state, receiver={"part_size": PART})
    outcome.raise_for_failures()
    whole(store, now)
    assert (store.created, store.last.finishes) == (2, 1)


def run_discard(url: str, key: str, state: Path) -> str:
    engine = Engine.shared()

    async def work() -> str:
        network = Network(NetSettings())
        try:
            return await discard(PartReceiver(url, network), key, state_dir=state, pool=engine.pool)
        finally:
            await network.aclose()

    return engine.run(work())


def test_discard_of_nothing_and_of_what_was_finished(
    serve: Serve, store: PartStore, tree: Tree, tmp_path: Path
) -> None:
    files = tree(a=10)
    state = tmp_path / "state"
    with serve(Rule(LostAnswer(), path="/uploads/1", method="PUT")) as server:
        assert run_discard(server.url, "0" * 16, state) == "nothing"
        outcome, _, _ = send_files(server.url, files, state, retries=0)
        assert isinstance(outcome.error, NetworkError)
        assert run_discard(server.url, outcome.key, state) == "finished"
        assert store.last.status == "finished"
    assert pending(state) == []


def test_an_encoded_part_is_never_made_of_other_bytes(
    serve: Serve, store: PartStore, tree: Tree, tmp_path: Path
) -> None:
    """Changed in a way that no fact of the file shows: the digest of the plaintext does."""
    from .child import Shift

    files = tree(a=6 * PART)
    state, path = tmp_path / "state", files[0].path
    with serve(Rule(EmptyError(500), path="/uploads/*/*/131072", method="PUT", times=4)) as server:
        more = {"part_size": PART, "encoder": Shift()}
        outcome, _, _ = send_files(server.url, files, state, receiver=more, retries=0)
        assert isinstance(outcome.error, ServerError)
        with path.open("r+b") as file:
            file.seek(2 * PART + 5)
            file.write(b"changed")
        os.utime(path, ns=(files[0].mtime_ns, files[0].mtime_ns))
        sent = len(server.requests(method="PUT"))
        outcome, _, _ = send_files(server.url, files, state, receiver=more, retries=0)
        assert isinstance(outcome.error, ChangedError)
        assert "part 3" in str(outcome.error)
        assert not any(one.path.endswith("/131072") for one in server.requests(method="PUT")[sent:])
    assert all(len(seen) == 1 for seen in store.last.files[1].versions.values())
    assert store.last.finish_calls == 0


def test_the_digest_is_durable_before_the_first_byte_leaves(
    serve: Serve, tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib

    from .child import Shift

    files = tree(a=9 * PART)
    state = tmp_path / "state"
    plain = files[0].path.read_bytes()
    journal = journal_path(state, upload_key("faulty", {}, files))
    durable: list[bytes] = []
    real_fsync, real_request = os.fsync, PartReceiver.request

    def fsync(descriptor: int) -> None:
        real_fsync(descriptor)
        durable.append(journal.read_bytes())

    def request(self: PartReceiver, ref: Any, part: Any, body: bytes, sha256: str) -> Any:
        digest = hashlib.sha256(plain[part.start : part.stop]).hexdigest()
        assert digest.encode() in durable[-1]
        assert sha256 == hashlib.sha256(body).hexdigest()
        return real_request(self, ref, part, body, sha256)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(PartReceiver, "request", request)
    with serve() as server:
        outcome, _, _ = send_files(server.url, files, state, receiver={"part_size": PART, "encoder": Shift()})
    outcome.raise_for_failures()


@pytest.mark.parametrize("done", [True, False], ids=["done", "not done"])
def test_a_finish_whose_answer_was_lost_is_not_repeated_blindly(
    done: bool, serve: Serve, store: PartStore, tree: Tree, tmp_path: Path
) -> None:
    files = tree(a=10)
    fault = LostAnswer() if done else EmptyError(500)
    with serve(Rule(fault, path="/uploads/1", method="PUT")) as server:
        outcome, _, receiver = send_files(server.url, files, tmp_path / "state")
    outcome.raise_for_failures()
    assert outcome.result["status"] == "finished"
    assert receiver.calls[-2:] == (["finish", "finished"] if done else ["finished", "finish"])
    assert (store.last.finishes, store.last.finish_calls) == (1, 1)
    assert pending(tmp_path / "state") == []


@pytest.mark.parametrize("done", [True, False], ids=["done", "not done"])
def test_another_process_asks_before_it_finishes(
    done: bool, serve: Serve, store: PartStore, tree: Tree, tmp_path: Path
) -> None:
    files = tree(a=10, b=3 * PART)
    state = tmp_path / "state"
    fault = LostAnswer() if done else EmptyError(500)
    with serve(Rule(fault, path="/uploads/1", method="PUT")) as server:
        outcome, _, _ = send_files(server.url, files, state, retries=0)
        assert outcome.error is not None
        [left] = pending(state)
        assert left.stage == "finishing"
        puts = len(server.requests(method="PUT"))
        outcome, _, receiver = send_files(server.url, files, state)
        assert len(server.requests(method="PUT")) - puts == (0 if done else 1)
    outcome.raise_for_failures()
    assert outcome.resumed
    assert receiver.calls == (["finished"] if done else ["finished", "alive", "finish"])
    assert (store.last.finishes, store.last.finish_calls) == (1, 1)
    assert outcome.result["status"] == "finished"
    assert len(outcome.sent) == 2
    assert pending(state) == []


def test_what_was_finished_and_has_changed_since_is_another_upload(
    serve: Serve, store: PartStore, tree: Tree, tmp_path: Path
) -> None:
    files = tree(a=10)
    state = tmp_path / "state"
    with serve(Rule(LostAnswer(), path="/uploads/1", method="PUT")) as server:
        send_files(server.url, files, state, retries=0)
        files[0].path.write_bytes(b"next week's")
        files = gather([tmp_path / "data"])
        with pytest.raises(ChangedError, match="finished by an earlier process"):
            send_files(server.url, files, state)
        assert store.created == 1
        outcome, _, _ = send_files(server.url, files, state)
    outcome.raise_for_failures()
    whole(store, files)
    assert (store.created, store.uploads[1].finishes, store.uploads[2].finishes) == (2, 1, 1)


def test_stopped_just_after_its_end_it_is_not_sent_again(
    serve: Serve, store: PartStore, tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C between the portal's last answer and ours."""
    files = tree(a=10)
    engine = Engine.shared()
    real = UploadJournal.done

    async def work() -> None:
        network = Network(NetSettings())
        there = PartReceiver(server.url, network)
        task = asyncio.current_task()
        assert task is not None

        def done(self: UploadJournal, result: Any) -> None:
            real(self, result)
            task.cancel()

        monkeypatch.setattr(UploadJournal, "done", done)
        try:
            await send(
                there, files, SendOptions(), network, lambda _: None, state_dir=tmp_path / "state", pool=engine.pool
            )
        finally:
            await network.aclose()

    with serve() as server:
        with pytest.raises(concurrent.futures.CancelledError):
            engine.run(work())
        outcome, _, receiver = send_files(server.url, files, tmp_path / "state")
    outcome.raise_for_failures()
    assert outcome.resumed
    assert outcome.result["status"] == "finished"
    assert receiver.calls == []
    assert (store.created, store.last.finish_calls) == (1, 1)
    assert pending(tmp_path / "state") == []


def test_when_nobody_knows_it_says_so(serve: Serve, store: PartStore, tree: Tree, tmp_path: Path) -> None:
    files = tree(a=10)
    with serve(Rule(LostAnswer(), path="/uploads/1", method="PUT")) as server:
        send_files(server.url, files, tmp_path / "state", retries=0)
        store.uploads[1].status = "deleted"
        with pytest.raises(TransferError, match="cannot say") as caught:
            send_files(server.url, files, tmp_path / "state")
    assert "--discard" in (caught.value.hint or "")
    assert store.created == 1


def test_a_journal_that_says_done_is_only_read(serve: Serve, store: PartStore, tree: Tree, tmp_path: Path) -> None:
    """Killed between the last line and the journal's removal."""
    files = tree(a=10)
    path = journal_path(tmp_path / "state", upload_key("faulty", {}, files))
    journal = UploadJournal.open(path)
    journal.describe("k", "faulty", {}, files)
    journal.begun(Begun({"upload": 1}, {files[0].name: [1, 1]}, PART, "1"))
    journal.finishing()
    journal.done({"link": "https://x.org/1"})
    journal.close()
    with serve() as server:
        outcome, _, receiver = send_files(server.url, files, tmp_path / "state")
        assert len(server.log) == 0
    assert outcome.result == {"link": "https://x.org/1"}
    assert receiver.calls == []
    assert not path.exists()


def test_what_the_portal_no_longer_has_is_begun_anew(
    serve: Serve, store: PartStore, tree: Tree, tmp_path: Path
) -> None:
    files = tree(a=12 * PART)
    with serve() as server:
        interrupted(server, files, tmp_path / "state", after=3)
        store.uploads[1].status = "deleted"
        outcome, events, receiver = send_files(server.url, files, tmp_path / "state", receiver={"part_size": PART})
    outcome.raise_for_failures()
    assert receiver.calls[:2] == ["alive", "begin"]
    assert any(isinstance(event, Retried) and event.why == "over" for event in events)
    assert not outcome.resumed
    whole(store, files)
    assert (store.created, store.last.finishes) == (2, 1)


def test_stopped_while_it_began_it_says_that_an_empty_transfer_may_be_there(
    serve: Serve, store: PartStore, tree: Tree, tmp_path: Path
) -> None:
    files = tree(a=10)
    journal = UploadJournal.open(journal_path(tmp_path / "state", upload_key("faulty", {}, files)))
    journal.describe("k", "faulty", {}, files)
    journal.close()
    with serve() as server:
        outcome, events, receiver = send_files(server.url, files, tmp_path / "state")
    outcome.raise_for_failures()
    assert receiver.calls[0] == "begin"
    (said,) = [event for event in events if isinstance(event, Retried)]
    assert (said.why, "may keep an empty transfer" in said.detail) == ("over", True)
    whole(store, files)


@pytest.mark.parametrize("where", ["lease", "journal"])
def test_a_full_disk_leaves_nothing_that_the_next_process_waits_for(
    where: str, serve: Serve, store: PartStore, tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = tree(a=10)
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def refuse(self: Any, *_: Any, **__: Any) -> None:
        raise full if where == "lease" else journal_error(full, self.path)

    with serve() as server:
        with monkeypatch.context() as patched:
            patched.setattr(*((Journal, "open_with") if where == "lease" else (UploadJournal, "_append")), refuse)
            with pytest.raises(TransferError, match="No space left"):
                send_files(server.url, files, tmp_path / "state")
        assert list((tmp_path / "state" / "uploads").iterdir()) == []
        assert store.created == 0
        outcome, events, _ = send_files(server.url, files, tmp_path / "state")
    outcome.raise_for_failures()
    assert not [event for event in events if isinstance(event, Retried)]


def test_parts_stay_as_they_were_when_the_portal_changes_its_size(
    serve: Serve, store: PartStore, tree: Tree, tmp_path: Path
) -> None:
    files = tree(a=12 * PART)
    with serve() as server:
        interrupted(server, files, tmp_path / "state", after=3)
        outcome, _, _ = send_files(server.url, files, tmp_path / "state", receiver={"part_size": PART * 3 // 2})
    outcome.raise_for_failures()
    whole(store, files)
    assert sorted(store.last.files[1].parts) == list(range(0, 12 * PART, PART))


def test_two_processes_do_not_send_the_same(serve: Serve, store: PartStore, tree: Tree, tmp_path: Path) -> None:
    files = tree(a=30 * PART)
    with serve() as server, child(server.url, tmp_path / "state", PART, 15 * PART, tmp_path / "data") as process:
        until = time.monotonic() + 30
        while parts_in(server) < 3:
            assert time.monotonic() < until
            time.sleep(0.005)
        assert pending(tmp_path / "state")[0].running
        with pytest.raises(BusyError, match=str(process.pid)):
            send_files(server.url, files, tmp_path / "state", receiver={"part_size": PART})
        with pytest.raises(BusyError):
            run_discard(server.url, pending(tmp_path / "state")[0].key, tmp_path / "state")
        err = process.communicate(timeout=30)[1]
        assert process.returncode == 0, err
    whole(store, files)
    assert (store.created, store.last.finishes) == (1, 1)


def owned_elsewhere(path: Path) -> None:
    """An upload that a process on another machine is sending, as its journals look from here."""
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    descriptor = os.open(path.with_name(path.name + ".1"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    owner = Journal(path, descriptor)
    owner.open_with(Owner("another-node", "b", "s", 1, "1"), Identity("id", "k"), "")
    owner.close()


@pytest.mark.parametrize("how", ["sends it", "dies"])
def test_a_process_on_another_machine_is_waited_for(
    how: str, serve: Serve, store: PartStore, tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = tree(a=10)
    path = journal_path(tmp_path / "state", upload_key("faulty", {}, files))
    owned_elsewhere(path)
    told: list[str] = []

    def on_event(event: Any) -> None:
        if isinstance(event, Retried):
            told.append(event.detail)
            if how == "sends it":
                path.unlink()
                path.with_name(path.name + ".1").unlink()

    monkeypatch.setattr(lease, "STALE_SECONDS", 1.0)
    with serve() as server:
        if how == "sends it":
            with pytest.raises(BusyError, match="just sent"):
                send_files(server.url, files, tmp_path / "state", on_event=on_event)
        else:
            send_files(server.url, files, tmp_path / "state", on_event=on_event)[0].raise_for_failures()
    assert len(told) == 1
    assert "another-node" in told[0]
    assert store.created == (0 if how == "sends it" else 1)
    assert [one.suffix for one in path.parent.iterdir()] == ([] if how == "sends it" else [".sent"])


def test_who_was_overtaken_stops(
    serve: Serve, store: PartStore, tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asleep for too long: another process took number n + 1."""
    files = tree(a=40 * PART)
    path = journal_path(tmp_path / "state", upload_key("faulty", {}, files))

    def on_event(event: Any) -> None:
        if isinstance(event, Started) and event.path:
            path.with_name(path.name + ".2").write_bytes(b"")

    with serve() as server, pytest.raises(BusyError, match="took"):
        send_files(
            server.url, files, tmp_path / "state", receiver={"part_size": PART}, limit_rate=10 * PART, on_event=on_event
        )
    assert store.last.finish_calls == 0
    assert path.exists()


def test_a_begin_that_fails_leaves_nothing_behind(serve: Serve, store: PartStore, tree: Tree, tmp_path: Path) -> None:
    files = tree(a=10)
    with serve(Rule(EmptyError(500), path="/uploads", method="POST")) as server:
        with pytest.raises(ServerError):
            send_files(server.url, files, tmp_path / "state")
        assert len(server.requests(method="POST")) == 1
        assert list((tmp_path / "state" / "uploads").iterdir()) == []
        outcome, _, _ = send_files(server.url, files, tmp_path / "state")
    outcome.raise_for_failures()
    whole(store, files)


def test_the_engine_itself_sends_again_what_was_done(
    serve: Serve, store: PartStore, tree: Tree, tmp_path: Path
) -> None:
    files = tree(a=10)
    with serve() as server:
        for _ in range(2):
            send_files(server.url, files, tmp_path / "state")[0].raise_for_failures()
    assert store.created == 2


def test_a_cancelled_wait_for_the_rate_ends_at_once(serve: Serve, tree: Tree, tmp_path: Path) -> None:
    files = tree(a=40 * PART)
    engine = Engine.shared()

    async def work() -> float:
        network = Network(NetSettings())
        there = PartReceiver(server.url, network, part_size=10 * PART)
        task = asyncio.create_task(
            send(
                there,
                files,
                SendOptions(limit_rate=8 * 1024),
                network,
                lambda _: None,
                state_dir=tmp_path / "state",
                pool=engine.pool,
            )
        )
        await asyncio.sleep(1)
        began = time.monotonic()
        task.cancel()
        await asyncio.wait([task])
        await network.aclose()
        return time.monotonic() - began

    with serve() as server:
        assert engine.run(work()) < 2
