"""Encrypted items: one request per chunk, decoded where the bytes are written, and proven by the decoding itself.

The toy cipher is AES-GCM by the chunk, and the server answers as FileSender does: its 206 names plaintext offsets and
the plaintext's size, while the body has 28 bytes more than that.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from packhorse.errors import IntegrityError
from packhorse.model import ByteRange, Digest, Identity, Item, ProofLevel
from packhorse.testing.faults import Ask, BytesFile, Cut, Fault, FaultServer, Flip, GeneratedFile, Reply, Rule, Schedule
from packhorse.testing.faults.base import Stage
from packhorse.testing.faults.message import Drip
from packhorse.testing.portal import FaultPortal, fetch
from packhorse.transfer.events import Resumed, Retried
from packhorse.transfer.portal import Locator
from packhorse.transfer.status import interrupted
from packhorse.wire.http import ContentRange

KIB = 1 << 10
MIB = 1 << 20
KEY = hashlib.sha256(b"the password").digest()
EXTRA = 28  # a nonce of 12 bytes and a tag of 16


def seal(plain: bytes, chunk: int, key: bytes = KEY) -> list[bytes]:
    """The stored chunks of a file."""
    cipher = AESGCM(key)
    out = []
    for index, at in enumerate(range(0, len(plain), chunk)):
        nonce = index.to_bytes(12, "big")
        out.append(nonce + cipher.encrypt(nonce, plain[at : at + chunk], None))
    return out


@dataclass(frozen=True)
class ToyCodec:
    """AES-GCM by the chunk; a decoder keeps a whole chunk."""

    size: int
    chunk: int
    key: bytes = KEY
    authenticates: bool = True

    def wire_range(self, wanted: ByteRange) -> ByteRange:
        return ByteRange(wanted.start, wanted.start + len(wanted) + EXTRA)

    def wire_size(self, wanted: ByteRange) -> int:
        return len(wanted) + EXTRA

    def accepts(self, got: ContentRange, wanted: ByteRange) -> bool:
        return (got.start, got.stop, got.total) == (wanted.start, wanted.stop, self.size)

    def decoder(self, wanted: ByteRange) -> Callable[[bytes, bool], bytes]:
        kept = bytearray()

        def decode(data: bytes, last: bool) -> bytes:
            kept.extend(data)
            if not last:
                return b""
            try:
                return AESGCM(self.key).decrypt(bytes(kept[:12]), bytes(kept[12:]), None)
            except InvalidTag:
                raise IntegrityError("wrong password, or damaged", expected="tag", got="another") from None

        return decode


class Stored:
    """A file as the server has it: the route that answers for it, and what was asked."""

    def __init__(self, plain: bytes, chunk: int, key: bytes = KEY, *, ranges: bool = True) -> None:
        self.plain, self.chunk, self.ranges = plain, chunk, ranges
        self.chunks = seal(plain, chunk, key)
        self.asked: list[int] = []
        self._lock = threading.Lock()

    def __call__(self, ask: Ask) -> Reply:
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", ask.header("range") or "")
        if found is None or not self.ranges:
            whole = b"".join(self.chunks)
            return Reply(200, [], BytesFile(whole), 0, len(whole))
        first, last = int(found[1]), int(found[2])
        assert first % self.chunk == 0, "no chunk begins there"
        index = first // self.chunk
        body = self.chunks[index]
        assert last == first + len(body) - 1, "more or less than one chunk"
        with self._lock:
            self.asked.append(index)
        stop = min(first + self.chunk, len(self.plain))
        said = ("Content-Range", f"bytes {first}-{stop - 1}/{len(self.plain)}")
        tag = ("ETag", f'"{first}"')  # as FileSender: another one for each range
        return Reply(206, [said, tag], BytesFile(body), 0, len(body))


class CodecPortal(FaultPortal):
    def __init__(self, server: FaultServer, codec: Any, **more: Any) -> None:
        super().__init__(server)
        self.codec, self.more = codec, more

    async def locate(self, item: Item) -> Locator:
        return Locator(self.server.url_of(item.key), size=self.codec.size, codec=self.codec, **self.more)


def item_of(size: int | None, *digests: Digest, identity: bool = True) -> Item:
    return Item("faulty", "a.bin", "a.bin", size, digests, Identity("id", "7", size) if identity else None)


def data(size: int, seed: int = 1) -> bytes:
    return GeneratedFile(size, seed=seed).read()


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize(
    ("size", "chunk"),
    [
        (0, 64 * KIB),
        (1, 64 * KIB),
        (64 * KIB, 64 * KIB),
        (3 * 64 * KIB + 1, 64 * KIB),
        (900 * KIB, 5 * MIB),
        (3 * MIB + 5, 700_001),
        (11 * MIB, 5 * MIB),
        (6 * MIB, 64 * MIB),
    ],
)
def test_encrypted_files_arrive_as_they_were(tmp_path: Path, size: int, chunk: int, ranges: bool) -> None:
    plain = data(size)
    stored = Stored(plain, chunk, ranges=ranges)
    with FaultServer({}, routes={"a.bin": stored}) as server:
        portal = CodecPortal(server, ToyCodec(size, chunk))
        outcome, _, network = fetch(server, [item_of(size)], tmp_path, portal, retries=0)
        again, _, idle = fetch(server, [item_of(size)], tmp_path, portal, retries=0)
    if not ranges and chunk < size <= MIB:
        assert not outcome.placed  # a small file of many chunks has to be asked for by the chunk
        return
    assert not outcome.failed, outcome.failed
    assert (tmp_path / "a.bin").read_bytes() == plain
    placed = outcome.placed[0]
    assert placed.proof.level is (ProofLevel.AEAD if size else ProofLevel.SIZE)
    assert placed.proof.digest("sha256") == Digest("sha256", hashlib.sha256(plain).hexdigest())
    if ranges:
        assert sorted(stored.asked) == list(range(len(stored.chunks)))
        assert network.received == sum(map(len, stored.chunks))
    assert again.placed[0].reused
    assert idle.received == 0


@pytest.mark.parametrize("size", [100, 3 * MIB])
def test_a_stated_digest_of_the_plaintext_still_has_to_agree(tmp_path: Path, size: int) -> None:
    plain = data(size)
    good = Digest("md5", hashlib.md5(plain, usedforsecurity=False).hexdigest())
    bad = Digest("md5", "0" * 32)
    with FaultServer({}, routes={"a.bin": Stored(plain, MIB)}) as server:
        portal = CodecPortal(server, ToyCodec(size, MIB))
        outcome, _, _ = fetch(server, [item_of(size, bad)], tmp_path, portal)
        assert isinstance(outcome.failed[0].error, IntegrityError)
        assert not (tmp_path / "a.bin").exists()
        outcome, _, _ = fetch(server, [item_of(size, good)], tmp_path, portal)
    proof = outcome.placed[0].proof
    assert (proof.level, proof.stated) == (ProofLevel.AEAD, good)


@pytest.mark.parametrize("identity", [True, False])
@pytest.mark.parametrize("size", [100, 3 * MIB])
def test_the_size_may_come_with_the_locator(tmp_path: Path, size: int, identity: bool) -> None:
    plain = data(size)
    with FaultServer({}, routes={"a.bin": Stored(plain, MIB)}) as server:
        portal = CodecPortal(server, ToyCodec(size, MIB))
        outcome, _, _ = fetch(server, [item_of(None, identity=identity)], tmp_path, portal)
    assert not outcome.failed, outcome.failed
    assert (tmp_path / "a.bin").read_bytes() == plain


@pytest.mark.parametrize("size", [900 * KIB, 6 * MIB + 1])
def test_cuts_cost_no_more_than_the_chunk_of_each(tmp_path: Path, size: int) -> None:
    plain = data(size)
    cuts = [Rule(Cut(at=place), nth=nth) for nth, place in ((1, 0.5), (4, 0.9), (6, 0))]
    stored = Stored(plain, 256 * KIB)
    with FaultServer({}, Schedule.of(*cuts), routes={"a.bin": stored}) as server:
        outcome, _, network = fetch(server, [item_of(size)], tmp_path, CodecPortal(server, ToyCodec(size, 256 * KIB)))
        count = len(server.cuts)
    assert not outcome.failed, outcome.failed
    assert (tmp_path / "a.bin").read_bytes() == plain
    assert network.received <= sum(map(len, stored.chunks)) + count * (256 * KIB + EXTRA)


def test_a_chunk_that_is_never_whole_is_given_up(tmp_path: Path) -> None:
    """Bytes that come and are thrown away are no progress."""
    size = 3 * MIB
    stored = Stored(data(size), MIB)
    with FaultServer({}, Schedule.of(Rule(Cut(at=0.5), times=None)), routes={"a.bin": stored}) as server:
        portal = CodecPortal(server, ToyCodec(size, MIB))
        outcome, _, _ = fetch(server, [item_of(size)], tmp_path, portal, retries=1)
    assert outcome.failed[0].error.code == "network"


def test_a_damaged_chunk_is_fetched_once_more(tmp_path: Path) -> None:
    for size in (100, 3 * MIB):
        plain = data(size)
        with FaultServer({}, Schedule.of(Rule(Flip(at=0.5), nth=1)), routes={"a.bin": Stored(plain, MIB)}) as server:
            portal = CodecPortal(server, ToyCodec(size, MIB))
            outcome, events, _ = fetch(server, [item_of(size)], tmp_path / str(size), portal)
        assert not outcome.failed
        assert (tmp_path / str(size) / "a.bin").read_bytes() == plain
        assert [event.why for event in events if isinstance(event, Retried)] == ["integrity"]


@pytest.mark.parametrize("size", [100, 5 * MIB])
def test_a_wrong_password_is_said_and_nothing_is_placed(tmp_path: Path, size: int) -> None:
    wrong = hashlib.sha256(b"another password").digest()
    with FaultServer({}, routes={"a.bin": Stored(data(size), MIB)}) as server:
        portal = CodecPortal(server, ToyCodec(size, MIB, wrong))
        outcome, _, _ = fetch(server, [item_of(size)], tmp_path, portal)
    assert [str(failed.error) for failed in outcome.failed] == ["wrong password, or damaged"]
    assert [path.name for path in tmp_path.iterdir() if path.name != ".packhorse"] == []


class _FailFrom(Fault):
    """503 from the n-th request on."""

    def __init__(self, first: int) -> None:
        self.first, self.count = first, 0
        self._lock = threading.Lock()

    def answer(self, ask: Ask, stage: Stage) -> Reply | None:
        return None

    def shape(self, reply: Reply, ask: Ask, stage: Stage) -> None:
        with self._lock:
            self.count += 1
            if self.count >= self.first:
                reply.drop = True


@pytest.mark.parametrize("chunk", [700_001, MIB, 2 * MIB])
def test_whole_chunks_are_kept_for_the_next_time_even_through_a_wrong_password(tmp_path: Path, chunk: int) -> None:
    size = 8 * chunk + 5
    plain = data(size)
    stored = Stored(plain, chunk)
    with FaultServer({}, Schedule.of(Rule(_FailFrom(6), times=None)), routes={"a.bin": stored}) as server:
        portal = CodecPortal(server, ToyCodec(size, chunk))
        outcome, _, _ = fetch(server, [item_of(size)], tmp_path, portal, retries=0, connections=1)
    assert outcome.failed[0].resumable
    assert [one.held for one in interrupted(tmp_path)] == [5 * chunk]
    with FaultServer({}, routes={"a.bin": stored}) as server:
        wrong = CodecPortal(server, ToyCodec(size, chunk, b"x" * 32))
        outcome, _, _ = fetch(server, [item_of(size)], tmp_path, wrong)
        assert outcome.failed[0].error.code == "integrity"
        assert outcome.failed[0].resumable
    stored.asked.clear()
    with FaultServer({}, routes={"a.bin": stored}) as server:
        outcome, events, _ = fetch(server, [item_of(size)], tmp_path, CodecPortal(server, ToyCodec(size, chunk)))
    assert not outcome.failed
    assert (tmp_path / "a.bin").read_bytes() == plain
    assert [event.kept for event in events if isinstance(event, Resumed)] == [5 * chunk]
    assert sorted(stored.asked) == [5, 6, 7, 8]
    assert outcome.placed[0].proof.level is ProofLevel.AEAD


def test_without_authentication_nothing_is_kept_where_something_did_not_decode(tmp_path: Path) -> None:
    size = 4 * MIB
    stored = Stored(data(size), MIB)
    with FaultServer({}, Schedule.of(Rule(Flip(at=0.5), nth=3, times=2)), routes={"a.bin": stored}) as server:
        portal = CodecPortal(server, ToyCodec(size, MIB, authenticates=False))
        outcome, _, _ = fetch(server, [item_of(size)], tmp_path, portal, connections=1)
        assert outcome.failed[0].error.code == "integrity"
        assert not outcome.failed[0].resumable
        assert not list(tmp_path.glob("*.part*"))
        outcome, _, _ = fetch(server, [item_of(size)], tmp_path, portal)
    assert outcome.placed[0].proof.level is ProofLevel.SIZE


CHILD = """
import json, sys
from pathlib import Path
sys.path[:0] = json.loads(sys.argv[1])["path"]
import importlib.util
asked = json.loads(sys.argv[1])
spec = importlib.util.spec_from_file_location("codecs_of_the_test", asked["file"])
module = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = module
spec.loader.exec_module(module)
module.child(asked)
"""


def child(asked: dict[str, Any]) -> None:
    """The process that is killed."""

    class Place:
        def url_of(self, path: str) -> str:
            return f"{asked['url']}/{path}"

    place: Any = Place()
    fetch(
        place, [item_of(asked["size"])], Path(asked["to"]), CodecPortal(place, ToyCodec(asked["size"], asked["chunk"]))
    )


def test_after_a_kill_at_most_the_current_chunk_of_each_connection_comes_again(tmp_path: Path) -> None:
    size, chunk = 24 * MIB, 2 * MIB
    plain = data(size)
    stored = Stored(plain, chunk)
    slow = Rule(_Slowly(8e6), times=None)
    with FaultServer({}, Schedule.of(slow), routes={"a.bin": stored}, send_buffer=64 * KIB) as server:
        asked = {
            "url": server.url,
            "size": size,
            "chunk": chunk,
            "to": str(tmp_path),
            "file": __file__,
            "path": sys.path,
        }
        process = subprocess.Popen([sys.executable, "-c", CHILD, json.dumps(asked)], env={**os.environ})
        until = time.monotonic() + 60
        while server.body_bytes_sent() < 14 * MIB and process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        mark = server.note_cut("kill -9")
        process.kill()
        process.wait(30)
    assert not (tmp_path / "a.bin").exists()
    first = len(stored.asked)
    stored.asked.clear()
    with FaultServer({}, routes={"a.bin": stored}) as server:
        outcome, events, _ = fetch(server, [item_of(size)], tmp_path, CodecPortal(server, ToyCodec(size, chunk)))
    assert not outcome.failed
    assert (tmp_path / "a.bin").read_bytes() == plain
    kept = next(event.kept for event in events if isinstance(event, Resumed))
    assert kept
    assert first + len(stored.asked) <= len(stored.chunks) + mark.open_connections


class _Slowly(Fault):
    """Not a lie: so many bytes per second."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def shape(self, reply: Reply, ask: Ask, stage: Stage) -> None:
        reply.drip = Drip(0, self.rate)


# -- a codec without chunks: the object decodes from its start to its end --


@dataclass(frozen=True)
class Inflate:
    """A ZIP entry's deflate stream."""

    size: int | None
    chunk: None = None
    authenticates: bool = False

    def wire_range(self, wanted: ByteRange) -> ByteRange:
        raise AssertionError("not asked of a codec without chunks")

    def wire_size(self, wanted: ByteRange) -> int:
        raise AssertionError("not asked of a codec without chunks")

    def accepts(self, got: ContentRange, wanted: ByteRange) -> bool:
        raise AssertionError("not asked of a codec without chunks")

    def decoder(self, wanted: ByteRange) -> Callable[[bytes, bool], bytes]:
        inflater = zlib.decompressobj(-15)

        def decode(data: bytes, last: bool) -> bytes:
            try:
                out = inflater.decompress(data)
            except zlib.error as error:
                raise IntegrityError(f"the entry is damaged: {error}", expected="deflate", got="") from None
            if last and not inflater.eof:
                raise IntegrityError("the entry is cut off", expected="the end", got="more")
            return out

        return decode


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("size", [0, 1, 100_000, 5 * MIB])
def test_an_entry_of_a_zip_is_a_slice_that_is_inflated(tmp_path: Path, size: int, known: bool) -> None:
    plain = (data(size // 2 + 1) * 2)[:size]
    deflate = zlib.compressobj(wbits=-15)
    packed = deflate.compress(plain) + deflate.flush()
    archive = os.urandom(1000) + packed + os.urandom(5000)
    with FaultServer({"a.bin": archive}, Schedule.of(Rule(Cut(at=0.7), nth=2))) as server:
        portal = CodecPortal(server, Inflate(size if known else None), slice=ByteRange(1000, 1000 + len(packed)))
        item = Item("faulty", "a.bin", "in.bin", size if known else None, (), Identity("id", "7"))
        outcome, _, _ = fetch(server, [item], tmp_path, portal)
        assert not outcome.failed, outcome.failed
        assert all(one.range == f"bytes=1000-{1000 + len(packed) - 1}" for one in server.requests())
    assert (tmp_path / "in.bin").read_bytes() == plain
    assert outcome.placed[0].proof.level is ProofLevel.SIZE


@pytest.mark.parametrize("size", [100_000, 3 * MIB])
def test_a_stream_that_does_not_inflate_is_refused(tmp_path: Path, size: int) -> None:
    deflate = zlib.compressobj(wbits=-15)
    packed = deflate.compress(data(size)) + deflate.flush()
    for body, stated in ((packed[:-9], size), (packed, size - 1), (packed, size + 1)):
        with FaultServer({"a.bin": body}) as server:
            outcome, _, _ = fetch(server, [item_of(stated)], tmp_path, CodecPortal(server, Inflate(stated)))
        assert outcome.failed[0].error.code == "integrity"
        assert not list(tmp_path.glob("*.bin*"))


# -- slices --


class SlicePortal(FaultPortal):
    def __init__(self, server: FaultServer, span: ByteRange) -> None:
        super().__init__(server)
        self.span = span

    async def locate(self, item: Item) -> Locator:
        return Locator(self.server.url_of(item.key), slice=self.span)


@pytest.mark.parametrize("knowledge", ["digest", "id", "size", "nothing"])
@pytest.mark.parametrize("start", [0, 1, 2 * MIB + 3])
@pytest.mark.parametrize("size", [0, 1, 1000, MIB, MIB + 1, 5 * MIB])
def test_a_slice_is_all_that_is_asked_for(tmp_path: Path, size: int, start: int, knowledge: str) -> None:
    whole = data(9 * MIB)
    plain = whole[start : start + size]
    digest = Digest("sha256", hashlib.sha256(plain).hexdigest())
    item = {
        "digest": Item("faulty", "a.zip", "in.bin", size, (digest,), Identity("digest", digest.value, size)),
        "id": Item("faulty", "a.zip", "in.bin", size, (), Identity("id", "7", size)),
        "size": Item("faulty", "a.zip", "in.bin", size),
        "nothing": Item("faulty", "a.zip", "in.bin"),
    }[knowledge]
    cut = Schedule.of(Rule(Cut(at=0.5), nth=2))
    with FaultServer({"a.zip": whole}, cut) as server:
        portal = SlicePortal(server, ByteRange(start, start + size))
        outcome, _, _ = fetch(server, [item], tmp_path, portal)
        assert not outcome.failed, outcome.failed
        for one in server.requests():
            found = re.fullmatch(r"bytes=(\d+)-(\d+)", one.range or "")
            assert found is not None
            assert start <= int(found[1]) <= int(found[2]) < start + size
    assert (tmp_path / "in.bin").read_bytes() == plain
    assert outcome.placed[0].proof.level is (ProofLevel.SHA256 if knowledge == "digest" else ProofLevel.SIZE)


@pytest.mark.parametrize("size", [1000, 3 * MIB])
def test_a_server_that_sends_the_whole_object_for_a_slice_is_refused(tmp_path: Path, size: int) -> None:
    whole = data(9 * MIB)
    for start in (0, 5):
        with FaultServer({"a.zip": whole}, Schedule.of(Rule(_Whole(), times=None))) as server:
            item = Item("faulty", "a.zip", "in.bin", size, (), Identity("id", "7", size))
            portal = SlicePortal(server, ByteRange(start, start + size))
            outcome, _, _ = fetch(server, [item], tmp_path, portal, retries=0)
        assert "whole object" in str(outcome.failed[0].error)
        assert not (tmp_path / "in.bin").exists()


def test_a_slice_of_another_size_than_the_item_s_is_refused(tmp_path: Path) -> None:
    for size in (10, 3 * MIB):
        with FaultServer({"a.zip": data(9 * MIB)}) as server:
            item = Item("faulty", "a.zip", "in.bin", size, (), Identity("id", "7", size))
            outcome, _, _ = fetch(server, [item], tmp_path, SlicePortal(server, ByteRange(0, size + 1)))
        assert outcome.failed[0].error.code == "protocol"


class _Whole(Fault):
    """No ranges at all."""

    def entity(self, entity: Any, ask: Ask, stage: Stage) -> None:
        entity.ranges = False
