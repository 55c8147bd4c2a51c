"""Reading ZIPs by ranges: what zipfile and other programs wrote, and archives that lie."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import random
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packhorse.errors import IntegrityError, PackhorseError, ProtocolError
from packhorse.wire.zip import (
    Limits,
    ReadEntry,
    ZipEntry,
    ZipLayout,
    data_slice,
    head_range,
    read_directory,
    read_slice,
)


class Held:
    """An archive in memory that counts what is fetched of it."""

    def __init__(self, raw: bytes) -> None:
        self.raw, self.asked = raw, []

    asked: list[tuple[int, int]]

    def __call__(self, start: int, stop: int) -> bytes:
        assert 0 <= start < stop <= len(self.raw)
        self.asked.append((start, stop))
        return self.raw[start:stop]

    def entries(self, limits: Limits | None = None) -> list[ReadEntry]:
        return read_directory(self, len(self.raw), limits)

    def content(self, entry: ReadEntry) -> bytes:
        place = read_slice(self, entry)
        packed = self.raw[place.start : place.stop]
        assert len(packed) == entry.stored
        data = packed if entry.method == 0 else zlib.decompress(packed, -15)
        assert (len(data), zlib.crc32(data)) == (entry.size, entry.crc32)
        return data


def written(files: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED, comment: bytes = b"") -> bytes:
    """By Python's zipfile."""
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2023, 11, 14, 22, 13, 20)), data, compress_type=method)
        archive.comment = comment
    return into.getvalue()


FILES = {"a.txt": b"one" * 100, "folder/": b"", "folder/naïve.bin": bytes(range(256)) * 40, "empty": b""}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("comment", [b"", b"a comment PK\x05\x06 with a magic", b"x" * 65535])
def test_what_zipfile_writes(method: int, comment: bytes) -> None:
    held = Held(written(FILES, method=method, comment=comment))
    entries = held.entries()
    assert len(held.asked) == (2 if len(comment) > 60_000 else 1)  # one tail, and what it did not reach
    assert {entry.name: held.content(entry) for entry in entries} == FILES
    assert [entry.is_folder for entry in entries] == [False, True, False, False]
    assert {entry.modified for entry in entries} == {1_700_000_000}
    assert all(entry.unsupported is None for entry in entries)


def test_a_stream_with_data_descriptors_and_forced_zip64() -> None:
    class Stream(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise OSError

        def tell(self) -> int:
            raise OSError

    into = Stream()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("one", "two"):
            with archive.open(name, "w", force_zip64=True) as file:
                file.write(name.encode() * 1000)
    held = Held(into.getvalue())
    assert [held.content(entry) for entry in held.entries()] == [b"one" * 1000, b"two" * 1000]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.text(max_size=10), st.binary(max_size=50)), max_size=8))
def test_our_own_layout_comes_back(files: list[tuple[str, bytes]]) -> None:
    layout = ZipLayout([ZipEntry(name, len(data), zlib.crc32(data), 1_700_000_001) for name, data in files])
    raw = b"".join(
        piece if isinstance(piece, bytes) else files[piece.entry][1][piece.offset :][: piece.length]
        for piece in layout.read_plan()
    )
    held = Held(raw)
    entries = held.entries()
    assert [entry.name for entry in entries] == layout.names
    assert [held.content(entry) for entry in entries] == [data for _, data in files]
    assert all(entry.modified == 1_700_000_001 for entry in entries)
    for entry in entries:  # of a plain archive not a byte too many is fetched
        assert head_range(entry).stop == read_slice(held, entry).start


def test_beyond_4_gib_and_64_ki_without_holding_them() -> None:
    size = (6 << 30) + 3
    rows = [ZipEntry(f"{n}", 0, 0, 0) for n in range(70_000)]
    rows += [ZipEntry("big", size, 5, 0), ZipEntry("after", 9, zlib.crc32(bytes(9)), 0)]
    layout = ZipLayout(rows)

    def fetch(start: int, stop: int) -> bytes:
        assert stop - start <= 4 << 20
        pieces = layout.read_plan(start, stop)
        return b"".join(piece if isinstance(piece, bytes) else bytes(piece.length) for piece in pieces)

    entries = read_directory(fetch, layout.size)
    assert len(entries) == len(rows)
    assert (entries[-2].size, entries[-2].stored, entries[-1].name) == (size, size, "after")
    place = read_slice(fetch, entries[-1])
    assert len(place) == 9
    assert place.start > size
    assert len(read_slice(fetch, entries[-2])) == size


def test_what_bsdtar_writes(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, data in (("größe.txt", b"x" * 5000), ("b", os.urandom(3000))):
        (tmp_path / "in" / name).write_bytes(data)
    (tmp_path / "in" / "link").symlink_to("b")
    made = ["bsdtar", "-cf", str(tmp_path / "x.zip"), "--format", "zip", "-C", str(tmp_path / "in"), "."]
    subprocess.run(made, check=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    held = Held((tmp_path / "x.zip").read_bytes())
    found = {entry.name.removeprefix("./"): entry for entry in held.entries()}
    assert held.content(found["größe.txt"]) == b"x" * 5000
    assert held.content(found["b"]) == (tmp_path / "in" / "b").read_bytes()
    assert found["link"].unsupported == "a link or device"


def test_what_cannot_be_unpacked_is_marked() -> None:
    for method, words in ((zipfile.ZIP_BZIP2, "packed by method 12"), (zipfile.ZIP_LZMA, "packed by method 14")):
        assert [entry.unsupported for entry in Held(written({"a": b"x" * 99}, method=method)).entries()] == [words]
    raw = bytearray(written({"a": b"x"}, method=0))
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    raw[6] |= 1
    assert [entry.unsupported for entry in Held(bytes(raw)).entries()] == ["encrypted"]


def test_old_names() -> None:
    def with_name(name: bytes, extra: bytes = b"", flags: int = 0) -> str:
        local = struct.pack("<4sHHHHHIIIHH", b"PK\x03\x04", 20, flags, 0, 0, 33, 0, 0, 0, len(name), 0) + name
        central = struct.pack(
            "<4sHHHHHHIIIHHHHHII",
            *(b"PK\x01\x02", 20, 20, flags, 0, 0, 33, 0, 0, 0, len(name), len(extra), 0, 0, 0, 0, 0),
        )
        central += name + extra
        raw = local + central + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 1, 1, len(central), len(local), 0)
        return Held(raw).entries()[0].name

    assert with_name(b"gr\x94\xe1e") == "größe"  # code page 437
    unicode = b"\x01" + struct.pack("<I", zlib.crc32(b"x")) + "größe".encode()
    assert with_name(b"x", struct.pack("<HH", 0x7075, len(unicode)) + unicode) == "größe"
    assert with_name(b"y", struct.pack("<HH", 0x7075, len(unicode)) + unicode) == "y"  # of another name
    with pytest.raises(ProtocolError, match="not text"):
        with_name(b"\xff\xfe", flags=0x800)


# archives that lie --------------------------------------------------------------------------------------------------

PLAIN = written({"one": b"1" * 50, "two": b"2" * 60}, method=zipfile.ZIP_STORED)
RECORDS = [PLAIN.index(b"PK\x01\x02"), PLAIN.rindex(b"PK\x01\x02")]
END = PLAIN.rindex(b"PK\x05\x06")


def patched(at: int, form: str, value: int) -> bytes:
    raw = bytearray(PLAIN)
    struct.pack_into(form, raw, at, value)
    return bytes(raw)


def renamed(old: bytes, new: bytes) -> bytes:
    return PLAIN.replace(old, new)


LIES: dict[str, bytes] = {
    "cut short": PLAIN[:-1],
    "cut much": PLAIN[:100],
    "no zip": b"<html>" * 100,
    "nothing": b"",
    "something before": b"MZ" + PLAIN,
    "something behind": PLAIN + b"x",
    "two ends": PLAIN[:-2]
    + struct.pack("<H", 22)
    + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 0, 0, 0, END + 22, 0),
    "another volume": patched(END + 4, "<H", 1),
    "counts differ": patched(END + 8, "<H", 1),
    "too few records": patched(END + 8, "<I", 1 | 1 << 16),
    "too many records": patched(END + 8, "<I", 3 | 3 << 16),
    "absurd count": patched(END + 8, "<I", 0xFFFE | 0xFFFE << 16),
    "directory elsewhere": patched(END + 16, "<I", 5),
    "directory beyond the end": patched(END + 16, "<I", 0xFFFFFFF0),
    "directory is larger": patched(END + 12, "<I", 5000),
    "directory is empty": patched(END + 12, "<I", 0),
    "size": patched(RECORDS[0] + 24, "<I", 51),
    "stored size": patched(RECORDS[0] + 20, "<I", 49),
    "both sizes beyond the archive": patched(RECORDS[0] + 20, "<I", 5000)[: RECORDS[0] + 24]
    + struct.pack("<I", 5000)
    + PLAIN[RECORDS[0] + 28 :],
    "both sizes over the next entry": patched(RECORDS[0] + 20, "<I", 55)[: RECORDS[0] + 24]
    + struct.pack("<I", 55)
    + PLAIN[RECORDS[0] + 28 :],
    "size in 64 bits that are missing": patched(RECORDS[0] + 24, "<I", 0xFFFFFFFF),
    "offset of the other": patched(RECORDS[1] + 42, "<I", 0),
    "offset in the directory": patched(RECORDS[1] + 42, "<I", RECORDS[0]),
    "offset beyond": patched(RECORDS[1] + 42, "<I", 0xFFFFFFF0),
    "record on another volume": patched(RECORDS[0] + 34, "<H", 3),
    "record without magic": patched(RECORDS[1], "<I", 0),
    "name too long": patched(RECORDS[1] + 28, "<H", 60000),
    "no name": patched(RECORDS[0] + 28, "<H", 0),
    "extra too long": patched(RECORDS[1] + 30, "<H", 60000),
    "twice": renamed(b"two", b"one"),
    "upwards": renamed(b"two", b"../"),
    "absolute": renamed(b"two", b"/tw"),
    "backslash": renamed(b"two", b"..\\"),
    "drive": renamed(b"two", b"C:x"),
    "nul": renamed(b"two", b"t\0o"),
    "folder with content": renamed(b"two", b"tw/"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_directory_that_lies_is_refused(lie: str) -> None:
    with pytest.raises((ProtocolError, IntegrityError)) as caught:
        Held(LIES[lie]).entries()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("at", "form", "value", "kind"),
    [
        (0, "<I", 0, ProtocolError),  # no header there
        (6, "<H", 1, ProtocolError),  # encrypted
        (8, "<H", 8, ProtocolError),  # another method
        (30, "<B", 0x58, ProtocolError),  # another name
        (26, "<H", 2, ProtocolError),  # a shorter name
        (28, "<H", 1, ProtocolError),  # an extra field that pushes the data over the next entry
        (14, "<I", 7, IntegrityError),  # CRC
        (18, "<I", 49, IntegrityError),  # stored size
        (22, "<I", 51, IntegrityError),  # size
        (22, "<I", 0, IntegrityError),  # 0 is no excuse without a data descriptor
    ],
)
def test_a_local_header_that_lies_is_refused(at: int, form: str, value: int, kind: type[PackhorseError]) -> None:
    held = Held(patched(at, form, value))
    entry = held.entries()[0]
    with pytest.raises(kind) as caught:
        read_slice(held, entry)
    assert "'one'" in str(caught.value)
    with pytest.raises(ProtocolError):
        data_slice(entry, b"PK")


def test_an_absurd_count_is_refused_before_the_directory_is_fetched() -> None:
    held = Held(LIES["absurd count"])
    with pytest.raises(ProtocolError, match="no room"):
        held.entries()


def test_answers_of_the_wrong_length() -> None:
    with pytest.raises(ProtocolError):
        read_directory(lambda start, stop: PLAIN[start : stop - 1], len(PLAIN))
    entry = Held(PLAIN).entries()[0]
    with pytest.raises(ProtocolError):
        read_slice(lambda start, stop: PLAIN[start : stop - 1], entry)


def test_bombs() -> None:
    claims = bytearray(written({"a": bytes(1 << 20)}))
    at = claims.index(b"PK\x01\x02")
    struct.pack_into("<I", claims, at + 24, 0xFFFFFF00)  # 4 GiB from a thousand bytes: no deflate does that
    with pytest.raises(IntegrityError):
        Held(bytes(claims)).entries()
    honest = written({f"{n}": bytes(4 << 20) for n in range(3)})
    assert len(Held(honest).entries()) == 3
    with pytest.raises(ProtocolError, match="bomb"):
        Held(honest).entries(Limits(unpacked=1 << 20))
    assert len(Held(honest).entries(Limits(unpacked=1 << 20, ratio=2000))) == 3
    with pytest.raises(ProtocolError, match="too many"):
        Held(PLAIN).entries(Limits(entries=1))
    with pytest.raises(ProtocolError, match="too many"):
        Held(PLAIN).entries(Limits(directory=10))


def test_overlapping_entries_as_in_known_bombs() -> None:
    """One body, quoted by many records: the kernel of a bomb that needs no recursion."""
    body = zlib.compress(bytes(100_000))[2:-4]
    local = struct.pack("<4sHHHHHIIIHH", b"PK\x03\x04", 20, 0, 8, 0, 33, 0, len(body), 100_000, 1, 0) + b"a" + body
    central = b""
    for n in range(20):
        record = (b"PK\x01\x02", 20, 20, 0, 8, 0, 33, 0, len(body), 100_000, 1, 0, 0, 0, 0, 0, 0)
        central += struct.pack("<4sHHHHHHIIIHHHHHII", *record) + bytes([97 + n])
    raw = local + central + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 20, 20, len(central), len(local), 0)
    with pytest.raises(ProtocolError, match="overlaps another entry"):
        Held(raw).entries()


def wide(**changes: int) -> bytes:
    """An empty ZIP with a zip64 end, with some values changed."""
    values = {"magic": 0x06064B50, "length": 44, "disk": 0, "here": 0, "count": 0, "size": 0, "offset": 0}
    values |= {"at": 0, "disks": 1, "short": 0, **changes}
    record = struct.pack(
        "<IQHHIIQQQQ",
        *(values["magic"], values["length"], 45, 45, values["disk"], 0, values["here"], values["count"]),
        *(values["size"], values["offset"]),
    )
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, values["at"], values["disks"])
    return record + locator + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 0, 0, values["short"], 0, 0)


def test_zip64_ends_that_lie() -> None:
    assert Held(wide()).entries() == []
    assert Held(wide(short=0xFFFFFFFF)).entries() == []
    lies = [{"magic": 1}, {"length": 45}, {"length": 2**63}, {"disk": 1}, {"here": 1}, {"size": 1}, {"offset": 9}]
    lies += [{"at": 1}, {"at": 2**63}, {"disks": 2}, {"short": 7}, {"count": 2**63, "here": 2**63}]
    lies += [{"count": 1, "here": 1}, {"size": 2**64 - 9, "offset": 9}]
    for lie in lies:
        with pytest.raises(ProtocolError):
            Held(wide(**lie)).entries()


def spoiled(seed: int, raw: bytes) -> bytes:
    chance = random.Random(seed)
    found = bytearray(raw)
    for _ in range(chance.randint(1, 6)):
        at = chance.choice([chance.randrange(len(found)), chance.randrange(RECORDS[0], len(found))])
        found[at] = chance.choice([0, 1, 0xFF, chance.randrange(256)])
    return bytes(found)


@settings(deadline=None, max_examples=500)
@given(st.integers(0, 2**32), st.sampled_from([PLAIN, written({"aa": b"5" * 300, "b/": b"", "b/é": b"z" * 70})]))
def test_spoiled_archives_are_refused_or_read_within_their_bounds(seed: int, raw: bytes) -> None:
    held = Held(spoiled(seed, raw))
    places = []
    try:
        for entry in held.entries():
            place = read_slice(held, entry)
            assert 0 <= place.start <= place.stop <= len(held.raw)
            places.append(place)
    except (ProtocolError, IntegrityError):
        pass
    places.sort()
    assert all(one.stop <= other.start for one, other in itertools.pairwise(places))


@given(st.binary(max_size=200), st.binary(max_size=60))
def test_rubbish_only_ever_gives_our_errors(front: bytes, back: bytes) -> None:
    pieces: list[Callable[[], bytes]] = [lambda: front, lambda: front + b"PK\x05\x06" + back, lambda: front + PLAIN]
    for make in pieces:
        with contextlib.suppress(ProtocolError, IntegrityError):
            Held(make()).entries()
