"""Parts of an upload: whatever overwrites whatever, each byte belongs to the part that came last."""

from __future__ import annotations

import hashlib
import os
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packhorse.server.storage import DraftError, Part
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


def _draft(storage: DiskStorage, pieces: list[tuple[int, bytes]], size: int, *, told: bool) -> tuple[str, list[Part]]:
    key, parts = storage.new_draft(size), []
    for offset, body in pieces:
        writer = storage.part()
        writer.write(body)
        writer.keep(key, offset)
        writer.close()
        parts.append(Part(offset, len(body), f"{zlib.crc32(body):08x}"))
        if told:
            storage.kept(key, parts[-1])
    return key, sorted(parts, key=lambda part: part.offset)


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("order", [1, -1])
def test_hashing_ahead_and_afterwards_agree(tmp_path: Path, told: bool, order: int) -> None:
    storage = DiskStorage(tmp_path)
    bodies = [os.urandom(700_001) for _ in range(5)]
    whole = b"".join(bodies)
    pieces = [(number * 700_001, body) for number, body in enumerate(bodies)][::order]
    key, parts = _draft(storage, pieces, len(whole), told=told)
    facts = storage.seal(key, len(whole), parts, modified=1)
    assert (facts.sha256, facts.size) == (hashlib.sha256(whole).hexdigest(), len(whole))
    assert facts.crc32 == f"{zlib.crc32(whole):08x}"


def test_what_was_hashed_ahead_and_then_overwritten_counts_for_nothing(tmp_path: Path) -> None:
    storage = DiskStorage(tmp_path)
    first, second, again = (os.urandom(1000) for _ in range(3))
    key, _ = _draft(storage, [(0, first), (1000, second)], 2000, told=True)
    writer = storage.part()
    writer.write(again)
    writer.keep(key, 0)
    writer.close()
    parts = [Part(0, 1000, f"{zlib.crc32(again):08x}"), Part(1000, 1000, f"{zlib.crc32(second):08x}")]
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
