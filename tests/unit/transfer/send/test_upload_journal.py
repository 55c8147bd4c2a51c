"""The journal of an upload: what was written is what is read, wherever a line was torn."""

from __future__ import annotations

import json
import os
import stat
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packhorse.errors import ChangedError
from packhorse.transfer.outgoing import Begun, LocalFile
from packhorse.transfer.send.journal import UploadJournal, read_upload, upload_key


def local(name: str, size: int = 25, **more: int) -> LocalFile:
    facts = {"mtime_ns": 1, "dev": 2, "ino": 3, **more}
    return LocalFile(Path("/data") / name, name, size, **facts)


FILES = [local("a"), local("b", 5)]


def written(path: Path) -> UploadJournal:
    journal = UploadJournal.open(path)
    journal.describe("k" * 16, "aarnet", {"to": ["x@y.org"]}, FILES)
    journal.begun(Begun({"token": "t0k"}, {"a": 1, "b": {"id": 2}}, 10, "77"))
    return journal


def test_it_is_for_its_owners_eyes_only(tmp_path: Path) -> None:
    path = tmp_path / "state" / "uploads" / "k.journal"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    path.chmod(0o644)
    written(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    fresh = tmp_path / "other" / "uploads" / "k.journal"
    written(fresh).close()
    assert stat.S_IMODE(fresh.stat().st_mode) == 0o600
    assert stat.S_IMODE(fresh.parent.stat().st_mode) & 0o077 == 0


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"")
    (tmp_path / "k.journal").symlink_to(tmp_path / "other")
    with pytest.raises(OSError):
        UploadJournal.open(tmp_path / "k.journal")


def test_every_line_carries_its_checksum(tmp_path: Path) -> None:
    journal = written(tmp_path / "k.journal")
    journal.encoded("a", 0, "ab" * 32)
    journal.confirmed("a", 0)
    journal.finished("a", "id1")
    journal.finishing()
    journal.done({"ok": True})
    journal.close()
    for line in (tmp_path / "k.journal").read_bytes().splitlines():
        body, _, check = line.rpartition(b" ")
        json.loads(body)
        assert int(check, 16) == zlib.crc32(body)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    journal = written(tmp_path / "k.journal")
    assert journal.state.stage == "sending"
    journal.encoded("a", 2, "cd" * 32)
    journal.confirmed("a", 2)
    journal.confirmed("a", 0)
    journal.finished("b", "B")
    journal.finishing()
    journal.close()
    state = read_upload((tmp_path / "k.journal").read_bytes())
    assert state == journal.state
    assert (state.stage, state.remote, state.key, state.files) == ("finishing", "aarnet", "k" * 16, FILES)
    assert state.begun == Begun({"token": "t0k"}, {"a": 1, "b": {"id": 2}}, 10, "77")
    assert state.confirmed == {"a": {0, 2}}
    assert state.held(FILES[0]) == 15  # parts 0 and 2 of 25 bytes in tens
    assert state.digests == {("a", 2): "cd" * 32}
    assert state.finished == {"b": "B"}


def test_a_part_is_encoded_from_one_plaintext_only(tmp_path: Path) -> None:
    journal = written(tmp_path / "k.journal")
    journal.encoded("a", 0, "ab" * 32)
    journal.close()
    journal = UploadJournal.open(tmp_path / "k.journal")
    journal.encoded("a", 0, "ab" * 32)
    with pytest.raises(ChangedError, match="part 1") as caught:
        journal.encoded("a", 0, "cd" * 32)
    assert "--discard" in str(caught.value.hint)
    journal.close()
    # A later line, from whoever, does not overrule the first.
    data = (tmp_path / "k.journal").read_bytes()
    body = json.dumps(["d", 1, "a", 0, "ee" * 32]).encode()
    assert read_upload(data + body + b" %08x\n" % zlib.crc32(body)).digests == {("a", 0): "ab" * 32}


def test_digests_and_the_end_are_durable_before_anything_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    real = os.fsync
    path = tmp_path / "k.journal"

    def fsync(descriptor: int) -> None:
        real(descriptor)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            synced.append(path.stat().st_size)

    monkeypatch.setattr(os, "fsync", fsync)
    journal = written(path)
    for step in (
        lambda: journal.encoded("a", 0, "ab" * 32),
        journal.finishing,
        lambda: journal.done(1),
    ):
        step()
        assert synced[-1] == path.stat().st_size
    journal.close()


def test_a_torn_last_line_does_not_swallow_the_next(tmp_path: Path) -> None:
    path = tmp_path / "k.journal"
    journal = written(path)
    journal.confirmed("a", 0)
    journal.confirmed("a", 1)
    journal.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:-4])
    journal = UploadJournal.open(path)
    assert journal.state.confirmed == {"a": {0}}
    journal.confirmed("a", 2)
    journal.close()
    assert read_upload(path.read_bytes()).confirmed == {"a": {0, 2}}


def test_what_was_confirmed_of_one_transfer_says_nothing_of_the_next(tmp_path: Path) -> None:
    """Even where the line that voids it, or the one that begins the next, was lost: a hole would be sent as a file."""
    path = tmp_path / "k.journal"
    journal = written(path)
    journal.confirmed("a", 0)
    journal.encoded("a", 1, "ab" * 32)
    journal.finished("b", "B")
    journal.void("over")
    first = path.stat().st_size
    journal.describe("k" * 16, "aarnet", {}, FILES)
    journal.begun(Begun({"token": "two"}, {"a": 1, "b": 2}, 10, "78"))
    journal.confirmed("a", 1)
    journal.begun(Begun({"token": "two"}, {"a": 1, "b": 2}, 10, "78"), anew=False)
    journal.confirmed("a", 2)
    journal.close()
    data = path.read_bytes()
    lines = data.splitlines(keepends=True)
    whole = read_upload(data)
    assert (whole.confirmed, whole.finished, whole.digests) == ({"a": {1, 2}}, {}, {})
    for without in range(len(lines)):
        state = read_upload(b"".join(lines[:without] + lines[without + 1 :]))
        if state.begun is not None and state.begun.id == "78":
            assert state.confirmed.get("a", set()) <= {1, 2}
            assert not state.finished
            assert not state.digests
        elif state.begun is not None:
            assert len(b"".join(lines[: without + 1])) > first
            assert state.confirmed.get("a", set()) <= {0}


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_whatever_is_damaged_nothing_is_made_up(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("journal") / "k.journal"
    journal = written(path)
    for part in (0, 1, 2):
        journal.encoded("a", part, f"{part}" * 64)
        journal.confirmed("a", part)
    journal.finished("a", "A")
    journal.finishing()
    journal.close()
    whole = path.read_bytes()
    kind = data.draw(st.sampled_from(["cut", "flip", "hole"]))
    at = data.draw(st.integers(0, len(whole) - 1))
    if kind == "cut":
        damaged = whole[:at]
    elif kind == "flip":
        damaged = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    else:
        damaged = whole[:at] + bytes(min(8, len(whole) - at)) + whole[at + 8 :]
    state = read_upload(damaged)
    assert state.confirmed.get("a", set()) <= {0, 1, 2}
    assert all(state.digests[key] == f"{key[1]}" * 64 for key in state.digests)
    assert set(state.finished) <= {"a"}
    if state.begun is not None:
        assert state.begun.state == {"token": "t0k"}
    if kind == "cut" and state.stage == "finishing":
        # Lines follow each other: what comes last says that all before it is there.
        assert state.confirmed == {"a": {0, 1, 2}}
        assert state.finished == {"a": "A"}


@given(st.binary(max_size=400))
def test_anything_at_all_can_be_read(data: bytes) -> None:
    sealed = b"".join(b"%s %08x\n" % (line, zlib.crc32(line)) for line in data.split(b"\n"))
    for text in (data, sealed):
        assert read_upload(text).stage in ("new", "beginning", "sending", "finishing", "done")


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=9), lambda x: st.lists(x, max_size=4)))
def test_foreign_json_with_good_checksums_does_no_harm(value: object) -> None:
    lines = [json.dumps(value), json.dumps({"type": "begun", "state": value, "refs": value, "part_size": value})]
    lines += [json.dumps([kind, value, value, value, value]) for kind in ("d", "c", "f", "v", "finishing")]
    text = b"".join(b"%s %08x\n" % (line.encode(), zlib.crc32(line.encode())) for line in lines)
    state = read_upload(text)
    assert state.begun is None or state.begun.part_size


def test_the_key_is_the_commands_not_the_contents() -> None:
    one = upload_key("aarnet", {"to": ["a", "b"], "n": 1}, FILES)
    assert len(one) == 16
    assert one == upload_key("aarnet", {"n": 1, "to": ["a", "b"]}, [local("b", 6, mtime_ns=9), local("a", ino=8)])
    assert one != upload_key("other", {"to": ["a", "b"], "n": 1}, FILES)
    assert one != upload_key("aarnet", {"to": ["a"], "n": 1}, FILES)
    assert one != upload_key("aarnet", {"to": ["a", "b"], "n": 1}, FILES[:1])
