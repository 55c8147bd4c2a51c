"""Virtual ZIPs, read back by Python's own zipfile and by other people's programs."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import time
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from isal import isal_zlib

from packhorse.wire.archives import ArchiveLayout
from packhorse.wire.zip import ZipEntry, ZipLayout

NOON = 1_700_000_000  # 2023-11-14 22:13:20 UTC


def joined(layout: ArchiveLayout, contents: Sequence[bytes], start: int = 0, stop: int | None = None) -> bytes:
    found = []
    for piece in layout.read_plan(start, stop):
        assert len(piece) > 0
        if isinstance(piece, bytes):
            found.append(piece)
        else:
            assert piece.length > 0
            data = contents[piece.entry][piece.offset : piece.offset + piece.length]
            assert len(data) == piece.length
            found.append(data)
    return b"".join(found)


def layout_of(files: Sequence[tuple[str, bytes]], modified: float = NOON) -> ZipLayout:
    return ZipLayout([ZipEntry(name, len(data), zlib.crc32(data), modified) for name, data in files])


class Virtual(io.RawIOBase):
    """An archive as a file object, every stored file being zeros: nothing is held, whatever its size."""

    def __init__(self, layout: ArchiveLayout) -> None:
        self.layout, self.at, self.told = layout, 0, 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = offset + (0, self.at, self.layout.size)[whence]
        return self.at

    def read(self, size: int = -1) -> bytes:
        stop = self.layout.size if size < 0 else min(self.at + size, self.layout.size)
        assert stop - self.at < 64 << 20
        found = b"".join(
            piece if isinstance(piece, bytes) else bytes(piece.length) for piece in self.layout.read_plan(self.at, stop)
        )
        self.at += len(found)
        self.told += len(found)
        return found


def test_zipfile_reads_names_bytes_dates_and_modes() -> None:
    files = [("a.txt", b"one"), ("folder/naïve 中文.fastq.gz", b"x" * 70_000), ("folder/empty", b"")]
    raw = joined(layout_of(files), [data for _, data in files])
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        assert archive.testzip() is None
        assert {info.filename: archive.read(info) for info in archive.infolist()} == dict(files)
        for info in archive.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            assert info.flag_bits == 0x800  # UTF-8, no data descriptor
            assert info.date_time == (2023, 11, 14, 22, 13, 20)
            assert info.external_attr >> 16 == 0o100644
            assert info.create_system == 3
            assert info.extra == struct.pack("<HHBi", 0x5455, 5, 1, NOON)


def test_no_entry_at_all_is_an_empty_zip() -> None:
    layout = ZipLayout([])
    raw = joined(layout, [])
    assert raw == b"PK\x05\x06" + bytes(18)
    assert layout.size == 22
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        assert archive.namelist() == []


@pytest.mark.parametrize(
    ("modified", "shown", "exact"),
    [
        (0.0, (1980, 1, 1, 0, 0, 0), 0),
        (-1.5, (1980, 1, 1, 0, 0, 0), -1),
        (315532801.9, (1980, 1, 1, 0, 0, 0), 315532801),
        (2.0**31 - 1, (2038, 1, 19, 3, 14, 6), 2**31 - 1),
        (2.0**31, (2038, 1, 19, 3, 14, 8), None),
        (4354819199.0, (2107, 12, 31, 23, 59, 58), None),
        (1e15, (1980, 1, 1, 0, 0, 0), 0),
        (float("nan"), (1980, 1, 1, 0, 0, 0), 0),
        (float("-inf"), (1980, 1, 1, 0, 0, 0), 0),
        (-3e9, (1980, 1, 1, 0, 0, 0), None),
        (9e9, (2107, 12, 31, 23, 59, 58), None),
    ],
)
def test_dates_are_clamped_and_exact_where_there_is_room(
    modified: float, shown: tuple[int, ...], exact: int | None
) -> None:
    files = [("a", b"12"), ("b", b"")]
    layout = layout_of(files, modified)
    raw = joined(layout, [data for _, data in files])
    assert len(raw) == layout.size
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        assert archive.testzip() is None
        info = archive.getinfo("a")
        assert info.date_time == shown
        assert info.extra == (b"" if exact is None else struct.pack("<HHBi", 0x5455, 5, 1, exact))


contents = st.lists(st.tuples(st.text(max_size=12), st.binary(max_size=300)), max_size=12)


@settings(deadline=None)
@given(contents, st.data())
def test_any_slice_is_the_slice_of_the_whole(files: list[tuple[str, bytes]], data: st.DataObject) -> None:
    layout = layout_of(files)
    bodies = [body for _, body in files]
    whole = joined(layout, bodies)
    assert len(whole) == layout.size
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert archive.testzip() is None
        assert [archive.read(info) for info in archive.infolist()] == bodies
    start = data.draw(st.integers(0, layout.size))
    stop = data.draw(st.integers(start, layout.size + 3))
    assert joined(layout, bodies, start, stop) == whole[start:stop]
    inside = {piece.entry for piece in layout.read_plan(start, stop) if not isinstance(piece, bytes)}
    assert inside <= set(layout.entries_in(start, stop))


def test_every_cut_of_a_small_archive() -> None:
    files = [("a", b"12345"), ("é", b""), ("c/d", b"6")]
    layout, bodies = layout_of(files), [data for _, data in files]
    whole = joined(layout, bodies)
    for cut in range(layout.size + 1):
        assert joined(layout, bodies, 0, cut) + joined(layout, bodies, cut) == whole


def test_the_fingerprint_speaks_of_everything() -> None:
    entry = ZipEntry("a", 5, 7, NOON)
    others = [
        [entry._replace(name="b")],
        [entry._replace(size=6)],
        [entry._replace(crc32=8)],
        [entry._replace(modified=NOON + 1)],
        [entry, entry],
        [],
    ]
    prints = {ZipLayout(rows).fingerprint for rows in [[entry], *others]}
    assert len(prints) == len(others) + 1
    assert ZipLayout([entry]).fingerprint == ZipLayout([entry]).fingerprint


@pytest.mark.parametrize("bad", [{"size": -1}, {"crc32": -1}, {"crc32": 2**32}])
def test_impossible_facts_are_refused(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        ZipLayout([ZipEntry("a", 5, 7, NOON)._replace(**bad)])
    with pytest.raises(ValueError):
        ZipLayout([ZipEntry("a", 2**62, 7, NOON), ZipEntry("b", 2**62, 7, NOON)])


EDGE = 0xFFFFFFFF


@pytest.mark.parametrize("size", [EDGE - 1, EDGE, EDGE + 1, 5 << 40])
def test_sizes_and_offsets_around_4_gib(size: int) -> None:
    rows = [
        ZipEntry("first", 10, zlib.crc32(bytes(10)), NOON),
        ZipEntry("big", size, 1, NOON),
        ZipEntry("after", 20, zlib.crc32(bytes(20)), NOON),
    ]
    layout = ZipLayout(rows)
    file = Virtual(layout)
    with zipfile.ZipFile(file) as archive:  # type: ignore[type-var]
        assert [(info.filename, info.file_size, info.compress_size) for info in archive.infolist()] == [
            (row.name, row.size, row.size) for row in rows
        ]
        assert archive.read("first") == bytes(10)
        assert archive.read("after") == bytes(20)
        offset = archive.getinfo("big").header_offset
    assert file.told < 10_000
    head = b"".join(piece for piece in layout.read_plan(offset, offset + 100) if isinstance(piece, bytes))
    small, large = struct.unpack_from("<II", head, 18)
    assert small == large == min(size, EDGE)
    if size >= EDGE:
        assert struct.unpack_from("<HHQQ", head, 30 + len("big")) == (1, 16, size, size)
    # the record of the end: offsets beyond 32 bits only there
    tail = b"".join(piece for piece in layout.read_plan(layout.size - 98) if isinstance(piece, bytes))
    assert (tail[-42:-38] == b"PK\x06\x07") == (size + 100 > EDGE)


def test_several_entries_above_4_gib() -> None:
    rows = [ZipEntry(f"{n}.bam", (5 << 30) + n, n, NOON) for n in range(4)]
    layout = ZipLayout(rows)
    with zipfile.ZipFile(Virtual(layout)) as archive:  # type: ignore[type-var]
        assert [(info.filename, info.file_size) for info in archive.infolist()] == [(r.name, r.size) for r in rows]
        assert [info.header_offset for info in archive.infolist()] == [
            n * (5 << 30) + n * 64 + sum(range(n)) for n in range(4)
        ]
        assert archive.start_dir == 4 * (5 << 30) + 4 * 64 + 6
    # 46 + 5 of the name + 9 of the date + 20 of the sizes, and 8 of the offset for all but the first
    assert layout.size == 4 * (5 << 30) + 4 * 64 + 6 + 4 * 80 + 3 * 8 + 98


@pytest.mark.parametrize("before", range(-3, 3))
def test_an_offset_of_just_4_gib(before: int) -> None:
    head = 30 + 1 + 9
    rows = [ZipEntry("a", EDGE - head + before, 0, NOON), ZipEntry("b", 3, zlib.crc32(bytes(3)), NOON)]
    layout = ZipLayout(rows)
    with zipfile.ZipFile(Virtual(layout)) as archive:  # type: ignore[type-var]
        assert archive.getinfo("b").header_offset == EDGE + before
        assert archive.read("b") == bytes(3)


@pytest.mark.parametrize("count", [65_534, 65_535, 65_536])
def test_counts_around_64_ki(count: int) -> None:
    layout = ZipLayout([ZipEntry(f"{number}", 0, 0, NOON) for number in range(count)])
    raw = joined(layout, [b""] * count)
    assert len(raw) == layout.size
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        assert len(archive.namelist()) == count
        assert archive.namelist()[-1] == str(count - 1)
    assert (b"PK\x06\x06" in raw[-98:]) == (count >= 65_535)


def test_a_directory_of_more_than_4_gib_says_so_in_64_bits() -> None:
    layout = ZipLayout([ZipEntry("a", 5, 0, NOON)])
    layout._records[-1] = EDGE + 5
    end = layout._end_records()
    assert struct.unpack_from("<4sQHHIIQQQQ", end)[-2:] == (EDGE + 5, 30 + 1 + 9 + 5)
    assert struct.unpack("<4sHHHHIIH", end[-22:])[5] == EDGE


def best_of(times: int, work: Callable[[], object]) -> float:
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return min(taken)


def test_the_first_byte_does_not_wait_for_sizes_nor_much_for_counts() -> None:
    def first(count: int, size: int) -> float:
        rows = [ZipEntry(f"sample_{n % 99}/reads_{n}.fastq.gz", size, n, NOON + n) for n in range(count)]
        return best_of(5, lambda: next(ZipLayout(rows).read_plan()))

    few, many = first(10, 1), first(10_000, 1 << 40)
    assert few < 0.02
    assert many < 0.25  # some 12 ms on a free machine


def unzipped(raw: Path, *, names: bool = True) -> None:
    """Three readers that are not ours: Info-ZIP, libarchive, and (by the callers) Python."""
    tested = subprocess.run(["unzip", "-tqq", str(raw)], capture_output=True, text=True, check=False)
    assert (tested.returncode, tested.stdout, tested.stderr) == (0, "", "")
    listed = subprocess.run(["bsdtar", "-tf", str(raw)], capture_output=True, check=False, env=os.environ | UTF8)
    assert (listed.returncode, listed.stderr) == (0, b"")
    if names:
        with zipfile.ZipFile(raw) as archive:
            assert listed.stdout.decode().splitlines() == archive.namelist()


UTF8 = {"LC_ALL": "C.UTF-8"}


def test_ten_thousand_files_for_every_reader(tmp_path: Path) -> None:
    files = [(f"run {n % 20}/é{n}.txt", b"%d\n" % n * (n % 50)) for n in range(10_000)]
    raw = tmp_path / "many.zip"
    raw.write_bytes(joined(layout_of(files), [data for _, data in files]))
    unzipped(raw)
    with zipfile.ZipFile(raw) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [name for name, _ in files]


def crc_of_zeros(size: int) -> int:
    block, crc = bytes(16 << 20), 0
    while size:
        crc = isal_zlib.crc32(block if size > len(block) else block[:size], crc)
        size -= min(size, len(block))
    return crc


def write_sparse(layout: ArchiveLayout, path: Path) -> None:
    with path.open("wb") as file:
        for piece in layout.read_plan():
            if isinstance(piece, bytes):
                file.write(piece)
            else:
                file.seek(piece.length, os.SEEK_CUR)
        file.truncate(layout.size)


@pytest.mark.slow
def test_an_entry_above_4_gib_for_every_reader(tmp_path: Path) -> None:
    size = (4 << 30) + 12_345
    rows = [
        ZipEntry("small", 1000, crc_of_zeros(1000), NOON),
        ZipEntry("big.bam", size, crc_of_zeros(size), NOON),
        ZipEntry("after/größe.txt", 2000, crc_of_zeros(2000), NOON),
    ]
    raw = tmp_path / "big.zip"
    write_sparse(ZipLayout(rows), raw)
    assert raw.stat().st_blocks * 512 < 1 << 20
    unzipped(raw)
    with zipfile.ZipFile(raw) as archive:
        assert archive.getinfo("big.bam").file_size == size
        assert archive.read("after/größe.txt") == bytes(2000)
