"""Virtual archives over HTTP: every range equals the slice, and nothing that is not good is ever whole."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.datastructures import Headers
from starlette.responses import JSONResponse

from packhorse.server.archive import ArchiveEntry, tar_answer, zip_answer
from packhorse.server.storage import Piece, Reader, StoredFacts
from packhorse.server.storage.disk import DiskStorage

from .asgi import Client

NOON = 1_700_000_000.0


@dataclass
class Shelf:
    """Stored files written by hand, and an application that serves them all as one archive."""

    root: Path
    entries: list[ArchiveEntry] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    answer: Callable[..., Any] = zip_answer
    options: dict[str, Any] = field(default_factory=dict)
    storage: Any = None

    def __post_init__(self) -> None:
        self.storage = DiskStorage(self.root)
        self.client = Client(self.app)

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        response = self.answer(self.entries, "my données.zip", Headers(scope=scope), self.storage, **self.options)
        await response(scope, receive, send)

    def add(self, name: str, body: bytes, *, in_place: bool = False, modified: float = NOON) -> Path:
        path = self.root / f"object{len(self.entries)}"
        path.write_bytes(body)
        size, crc = len(body), f"{zlib.crc32(body):08x}"
        md5, sha = hashlib.md5(body).hexdigest(), hashlib.sha256(body).hexdigest()
        backend, key = ("in-place", str(path)) if in_place else ("objects", path.name)
        mtime = path.stat().st_mtime_ns if in_place else None
        # two pieces, as an upload leaves them
        cut = size // 3
        pieces = (
            (Piece(key, 0, size, crc),)
            if in_place
            else (
                Piece(key, 0, cut, f"{zlib.crc32(body[:cut]):08x}"),
                Piece(key, cut, size - cut, f"{zlib.crc32(body[cut:]):08x}"),
            )
        )
        self.entries.append(
            ArchiveEntry(name, StoredFacts(backend, size, md5, sha, crc, modified, mtime, pieces), modified)
        )
        self.bodies.append(body)
        return path


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    found = Shelf(tmp_path)
    found.add("a.txt", b"hello")
    found.add("big/réads.bin", os.urandom(3_000_000))
    found.add("empty", b"")
    found.add("../a.txt", os.urandom(70_000), in_place=True)
    found.add("A.txt", os.urandom(700_000), in_place=True, modified=NOON + 60)
    found.add("last", b"x")
    return found


def test_the_whole_archive(shelf: Shelf) -> None:
    answer = shelf.client.get("/")
    assert (answer.status_code, answer.complete) == (200, True)
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["ETag"].startswith('"')
    assert answer.headers["Last-Modified"] == formatdate(NOON + 60, usegmt=True)
    assert "filename*=UTF-8''my%20donn%C3%A9es.zip" in answer.headers["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["a.txt", "big/réads.bin", "empty", "__/a.txt", "A (2).txt", "last"]
        assert [archive.read(name) for name in archive.namelist()] == shelf.bodies
    head = shelf.client.request("HEAD", "/")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers == answer.headers


def test_a_tar_is_the_same_thing(shelf: Shelf) -> None:
    shelf.answer = tar_answer
    answer = shelf.client.get("/")
    assert answer.headers["Content-Type"] == "application/x-tar"
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    with tarfile.open(fileobj=io.BytesIO(answer.content), errorlevel=2) as archive:
        assert [archive.extractfile(info).read() for info in archive.getmembers()] == shelf.bodies  # type: ignore[union-attr]
    part = shelf.client.get("/", {"Range": "bytes=3000000-3099999", "If-Range": answer.headers["ETag"]})
    assert (part.status_code, part.content) == (206, answer.content[3_000_000:3_100_000])


@pytest.fixture(params=[zip_answer, tar_answer], ids=["zip", "tar"])
def whole(request: pytest.FixtureRequest, shelf: Shelf) -> tuple[Shelf, bytes]:
    shelf.answer = request.param
    return shelf, shelf.client.get("/").content


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_range_is_the_slice_of_the_whole(whole: tuple[Shelf, bytes], data: st.DataObject) -> None:
    shelf, raw = whole
    near = st.sampled_from([0, 40, 3_000_100, 3_070_300, len(raw) - 500, len(raw) - 22])
    first = data.draw(st.integers(0, len(raw) - 1) | near)
    last = data.draw(st.integers(first, len(raw) - 1) | st.integers(first, first + 300))
    answer = shelf.client.get("/", {"Range": f"bytes={first}-{last}"})
    last = min(last, len(raw) - 1)
    assert (answer.status_code, answer.complete) == (206, True)
    assert answer.content == raw[first : last + 1]
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(raw)}"
    assert answer.headers["Content-Length"] == str(last + 1 - first)


def test_ranges_and_conditions(shelf: Shelf) -> None:
    answer = shelf.client.get("/")
    raw, etag, date = answer.content, answer.headers["ETag"], answer.headers["Last-Modified"]
    part = {"Range": "bytes=-100"}
    assert shelf.client.get("/", part).content == raw[-100:]
    assert shelf.client.get("/", {**part, "If-Range": etag}).status_code == 206
    # a date says nothing of an archive that lost a file, so it never allows a range
    for other in ('"x"', "W/" + etag, date):
        answer = shelf.client.get("/", {**part, "If-Range": other})
        assert (answer.status_code, answer.content) == (200, raw)
    over = shelf.client.get("/", {"Range": f"bytes={len(raw)}-"})
    assert (over.status_code, over.headers["Content-Range"]) == (416, f"bytes */{len(raw)}")
    unchanged = shelf.client.get("/", {"If-None-Match": etag})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert shelf.client.get("/", {"If-Modified-Since": date}).status_code == 200
    assert shelf.client.get("/", {"If-Match": '"x"'}).status_code == 412


def test_the_tag_is_of_these_bytes_only(shelf: Shelf) -> None:
    tag = shelf.client.get("/").headers["ETag"]
    assert shelf.client.get("/").headers["ETag"] == tag
    shelf.entries.append(shelf.entries[0])
    assert shelf.client.get("/").headers["ETag"] != tag
    shelf.entries.pop()
    first = shelf.entries[0]
    facts = StoredFacts(
        first.facts.backend, 5, first.facts.md5, "0" * 64, first.facts.crc32, NOON, None, first.facts.pieces
    )
    shelf.entries[0] = ArchiveEntry(first.name, facts, NOON)  # another file with the same size, date and CRC
    assert shelf.client.get("/").headers["ETag"] != tag


def test_no_file_at_all(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    answer = shelf.client.get("/")
    assert (answer.status_code, answer.content) == (200, b"PK\x05\x06" + bytes(18))
    assert "Last-Modified" not in answer.headers


@pytest.mark.parametrize("number", [0, 3])
def test_a_file_that_is_gone_is_said_before_the_head(shelf: Shelf, number: int) -> None:
    (shelf.root / f"object{number}").unlink()
    answer = shelf.client.get("/")
    assert answer.status_code == 503
    assert "cannot be read" in answer.text
    assert str(shelf.root) not in answer.text


def test_the_portal_says_it_in_its_own_words(shelf: Shelf) -> None:
    shelf.options["refuse"] = lambda status, headers: JSONResponse({"code": status}, status, dict(headers))
    assert shelf.client.get("/", {"Range": "bytes=99999999-"}).json() == {"code": 416}
    (shelf.root / "object0").unlink()
    assert shelf.client.get("/").json() == {"code": 503}


def test_a_late_file_that_is_gone_or_changed_breaks_the_connection(tmp_path: Path) -> None:
    for harm in ("gone", "changed", "shorter"):
        shelf = Shelf(tmp_path)
        paths = [shelf.add(f"{n}.bin", os.urandom(5_000), in_place=True) for n in range(200)]
        if harm == "gone":
            paths[150].unlink()
        elif harm == "changed":
            os.utime(paths[150], (1, 1))
        else:
            os.truncate(paths[150], 4_999)
        answer = shelf.client.get("/")
        assert answer.status_code == 200
        assert not answer.complete
        assert 140 * 5_000 < len(answer.content) < int(answer.headers["Content-Length"])
        # ranges without that file are as good as ever
        good = shelf.client.get("/", {"Range": "bytes=0-99999"})
        assert (good.status_code, good.complete, good.content) == (206, True, answer.content[:100_000])
        bad = shelf.client.get("/", {"Range": f"bytes={150 * 5_060}-"})
        assert bad.status_code == 503 or not bad.complete


class Spy:
    """A disk storage that notes what is opened and read, and can harm a file while it is read."""

    def __init__(self, inner: DiskStorage) -> None:
        self.inner, self.opened, self.open_now, self.most = inner, 0, 0, 0
        self.while_reading: Callable[[], None] = lambda: None

    def open(self, facts: StoredFacts) -> Reader:
        reader, spy = self.inner.open(facts), self
        self.opened += 1
        self.open_now += 1
        self.most = max(self.most, self.open_now)
        is_open = True

        class Watched:
            check = staticmethod(reader.check)

            def read(self, offset: int, length: int) -> bytes:
                spy.while_reading()
                return reader.read(offset, length)

            def read_hot(self, offset: int, length: int) -> bytes | None:
                spy.while_reading()
                return reader.read_hot(offset, length)

            def close(self) -> None:
                nonlocal is_open
                spy.open_now -= is_open
                is_open = False
                reader.close()

        return Watched()


def test_a_file_that_changes_while_it_is_sent_breaks_the_connection(shelf: Shelf) -> None:
    shelf.storage = spy = Spy(shelf.storage)
    spy.while_reading = lambda: os.utime(shelf.root / "object4", (1, 1))
    for header in ({}, {"Range": "bytes=3100000-"}, {"Range": "bytes=3100000-3400000"}):
        answer = shelf.client.get("/", header)
        assert answer.status_code in (200, 206)
        assert not answer.complete
        assert len(answer.content) < int(answer.headers["Content-Length"])
        os.utime(shelf.root / "object4", ns=(1, shelf.entries[4].facts.mtime_ns or 0))
    assert spy.open_now == 0


def test_few_files_are_touched_before_the_head_and_one_is_open(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    for n in range(1_000):
        shelf.add(f"{n}", b"%d" % n * 99)
    shelf.storage = spy = Spy(shelf.storage)
    before = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def noted(message: Any) -> None:
            if message["type"] == "http.response.start":
                before.append(spy.opened)
            await send(message)

        await shelf.app(scope, receive, noted)

    assert Client(app).get("/").complete
    assert Client(app).get("/", {"Range": "bytes=5000-6000"}).complete
    opened = spy.opened
    assert Client(app).get("/", {"Range": "bytes=5000-6000"}).complete
    assert before[0] == 64
    assert before[2] == opened + 1
    assert spy.most == 1
    assert spy.open_now == 0


class Remote(io.RawIOBase):
    """An archive at the other end of ranges, as a file object."""

    def __init__(self, client: Client) -> None:
        self.client, self.at, self.got = client, 0, 0
        self.size = int(client.request("HEAD", "/").headers["Content-Length"])

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = offset + (0, self.at, self.size)[whence]
        return self.at

    def read(self, count: int = -1) -> bytes:
        stop = self.size if count < 0 else min(self.at + count, self.size)
        if stop <= self.at:
            return b""
        answer = self.client.get("/", {"Range": f"bytes={self.at}-{stop - 1}"})
        assert (answer.status_code, answer.complete, len(answer.content)) == (206, True, stop - self.at)
        self.at = stop
        self.got += len(answer.content)
        return answer.content


def test_beyond_4_gib_by_ranges(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.add("first", b"one")
    size = (5 << 30) + 7
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(size)
        file.seek(size - 6)
        file.write(b"ending")
    facts = StoredFacts(
        "objects", size, "0" * 32, "0" * 64, "12345678", NOON, None, (Piece("big", 0, size, "12345678"),)
    )
    shelf.entries.append(ArchiveEntry("huge.bam", facts, NOON))
    shelf.bodies.append(b"")
    shelf.add("last", b"three")
    file = Remote(shelf.client)
    with zipfile.ZipFile(file) as archive:  # type: ignore[type-var]
        assert archive.read("first") == b"one"
        assert archive.read("last") == b"three"
        info = archive.getinfo("huge.bam")
        assert (info.file_size, info.CRC) == (size, 0x12345678)
        after = archive.getinfo("last").header_offset
        assert after > size
        file.seek(after - 6)
        assert file.read(10) == b"endingPK\x03\x04"
    assert file.got < 20_000


def test_ten_thousand_stored_files_for_every_reader(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    shelf = Shelf(tmp_path / "store")
    for n in range(10_000):
        shelf.add(f"sample {n % 100}/réads_{n}.txt", b"%d\n" % n * (n % 7))
    answer = shelf.client.get("/")
    assert (answer.status_code, answer.complete) == (200, True)
    raw = tmp_path / "all.zip"
    raw.write_bytes(answer.content)
    with zipfile.ZipFile(raw) as archive:
        assert archive.testzip() is None
        assert [archive.read(name) for name in archive.namelist()] == shelf.bodies
    tested = subprocess.run(["unzip", "-tqq", str(raw)], capture_output=True, text=True, check=False)
    assert (tested.returncode, tested.stdout, tested.stderr) == (0, "", "")
    listed = subprocess.run(
        ["bsdtar", "-tf", str(raw)], capture_output=True, check=True, env={**os.environ, "LC_ALL": "C.UTF-8"}
    )
    assert listed.stdout.decode().splitlines() == [entry.name for entry in shelf.entries]
