"""Parts of an upload: whatever overwrites whatever, each byte belongs to the part that came last."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packhorse.server.storage import DraftError, Part, StorageError, syncing
from packhorse.server.storage.disk import DiskStorage
from packhorse.server.uploads import absorb, holes

SIZE = 40
RANGES = st.lists(st.tuples(st.integers(0, SIZE - 1), st.integers(1, 15)), max_size=12)


@given(ranges=RANGES)
def test_parts_never_overlap_and_cover_what_came(ranges: list[tuple[int, int]]) -> None:
    held: list[Part] = []
    owner: list[int | None] = [None] * SIZE
    for number, (offset, wanted) in enumerate(ranges):
        length = min(wanted, SIZE - offset)
        found = absorb(held, offset, length)
        held = [part for part in held if part not in found.dropped]
        held = sorted([*held, *found.rests, Part(offset, length, f"{number:08x}")], key=lambda part: part.offset)
        owner[offset : offset + length] = [number] * length
    at = 0
    for part in held:
        assert part.offset >= at
        at = part.offset + part.length
        if part.crc32 is not None:  # a part that is whole still is what its sender sent
            assert set(owner[part.offset : at]) == {int(part.crc32, 16)}
    missing = [byte for begin, stop in holes(held, SIZE) for byte in range(begin, stop)]
    assert missing == [byte for byte in range(SIZE) if owner[byte] is None]


def _write(storage: DiskStorage, key: str, offset: int, body: bytes, *, told: bool, memory: bool = False) -> Part:
    writer = storage.part(len(body) if memory else None)
    if memory:
        assert writer.memory is not None
        writer.memory[:] = body
    else:
        writer.write(body)
    writer.keep(key, offset)
    part = Part(offset, len(body), f"{zlib.crc32(body):08x}")
    if told:
        storage.kept(key, part, writer)
    writer.close()
    return part


def _draft(
    storage: DiskStorage, pieces: list[tuple[int, bytes]], size: int, *, told: bool, memory: bool = False
) -> tuple[str, list[Part]]:
    key = storage.new_draft(size)
    parts = [_write(storage, key, offset, body, told=told, memory=memory) for offset, body in pieces]
    return key, sorted(parts, key=lambda part: part.offset)


@pytest.mark.parametrize("memory", [True, False])
@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("order", [1, -1])
def test_hashing_ahead_and_afterwards_agree(tmp_path: Path, told: bool, order: int, memory: bool) -> None:
    storage = DiskStorage(tmp_path)
    bodies = [os.urandom(700_001) for _ in range(5)]
    whole = b"".join(bodies)
    pieces = [(number * 700_001, body) for number, body in enumerate(bodies)][::order]
    key, parts = _draft(storage, pieces, len(whole), told=told, memory=memory)
    facts = storage.seal(key, len(whole), parts, modified=1)
    assert (facts.sha256, facts.size) == (hashlib.sha256(whole).hexdigest(), len(whole))
    assert facts.crc32 == f"{zlib.crc32(whole):08x}"
    assert (tmp_path / key).read_bytes() == whole


def test_more_parts_than_memory(tmp_path: Path) -> None:
    """Parts that wait for others keep their memory only while there is enough for all; none of it is lost."""
    storage = DiskStorage(tmp_path)
    size, count = 4 << 20, 12
    key = storage.new_draft(size * (count + 1))
    rng = random.Random(1)
    bodies = [rng.randbytes(size) for _ in range(count + 1)]
    late = [_write(storage, key, at * size, bodies[at], told=True, memory=True) for at in range(count, 0, -1)]
    writers = [storage.part(size) for _ in range(16)]
    lent = [writer for writer in writers if writer.memory is not None]
    assert len(lent) == (64 - 24) // 4  # what waits holds 24 MiB at most
    for writer in writers:
        writer.close()
        writer.close()
    parts = [_write(storage, key, 0, bodies[0], told=True), *late[::-1]]
    facts = storage.seal(key, size * (count + 1), parts, modified=1)
    assert facts.sha256 == hashlib.sha256(b"".join(bodies)).hexdigest()
    writers = [storage.part(size) for _ in range(17)]
    assert [writer.memory is not None for writer in writers] == [True] * 16 + [False]
    for writer in writers:
        writer.abandon()


@pytest.mark.parametrize("memory", [True, False])
def test_a_part_that_was_written_over_and_not_recorded_is_noticed(tmp_path: Path, memory: bool) -> None:
    """A request that fails between its write and the commit leaves other bytes than were recorded, and hashed ahead."""
    storage = DiskStorage(tmp_path)
    key, parts = _draft(storage, [(0, b"a" * 1000), (1000, b"b" * 1000)], 2000, told=True, memory=memory)
    _write(storage, key, 500, b"c" * 10, told=False, memory=memory)
    with pytest.raises(DraftError):
        storage.seal(key, 2000, parts, modified=1)


@pytest.mark.parametrize("memory", [True, False])
def test_a_part_that_was_given_up_is_not_kept(tmp_path: Path, memory: bool) -> None:
    storage = DiskStorage(tmp_path)
    key = storage.new_draft(10)
    writer = storage.part(10 if memory else None)
    if not memory:
        writer.write(b"x" * 10)
    writer.abandon()
    with pytest.raises(StorageError, match="given up"):
        writer.keep(key, 0)
    assert (tmp_path / key).read_bytes() == bytes(10)


def test_a_failed_write_out_fails_the_completion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system reports a failed write once: where it is heard ahead of the completion, the completion hears of it."""

    def fail(_descriptor: int) -> None:
        raise OSError(errno.EIO, "the disk is broken")

    monkeypatch.setattr(syncing, "_sync", fail)
    storage = DiskStorage(tmp_path)
    body = bytes(16 << 20)
    key, parts = _draft(storage, [(at << 24, body) for at in range(4)], 64 << 20, told=True, memory=True)
    for _ in range(2):
        with pytest.raises(StorageError, match="the disk is broken"):
            storage.seal(key, 64 << 20, parts, modified=1)
    storage.drop(key)


def test_what_was_hashed_ahead_and_then_overwritten_counts_for_nothing(tmp_path: Path) -> None:
    storage = DiskStorage(tmp_path)
    first, second, again = (os.urandom(1000) for _ in range(3))
    key, _ = _draft(storage, [(0, first), (1000, second)], 2000, told=True)
    parts = [_write(storage, key, 0, again, told=False), Part(1000, 1000, f"{zlib.crc32(second):08x}")]
    assert storage.seal(key, 2000, parts, modified=1).sha256 == hashlib.sha256(again + second).hexdigest()


def test_a_draft_with_other_bytes_or_a_hole_is_no_file(tmp_path: Path) -> None:
    storage = DiskStorage(tmp_path)
    key, (part, last) = _draft(storage, [(0, b"a" * 10), (10, b"b" * 10)], 20, told=False)
    with pytest.raises(DraftError):
        storage.seal(key, 20, [part], modified=1)
    with pytest.raises(DraftError):
        storage.seal(key, 20, [last], modified=1)
    with pytest.raises(DraftError):
        storage.seal(key, 21, [part, last], modified=1)
    with pytest.raises(DraftError):
        storage.seal(key, 20, [part, Part(10, 10, "00000000")], modified=1)
    storage.drop(key)
    storage.drop(key)
    assert [path for path in (tmp_path / "uploads").rglob("*") if path.is_file()] == []
