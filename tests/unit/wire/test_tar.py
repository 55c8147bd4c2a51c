"""Virtual tars, read back by Python's tarfile, GNU tar and bsdtar."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packhorse.wire.archives import ArchiveLayout
from packhorse.wire.tar import TarEntry, TarLayout

NOON = 1_700_000_000
NAMES = ["a.txt", "folder/naïve 中文.fastq.gz", "x/" * 49 + "yz", "x/" * 50 + "y", "long/" * 60 + "name.txt", "empty"]


def joined(layout: ArchiveLayout, contents: Sequence[bytes], start: int = 0, stop: int | None = None) -> bytes:
    return b"".join(
        piece if isinstance(piece, bytes) else contents[piece.entry][piece.offset : piece.offset + piece.length]
        for piece in layout.read_plan(start, stop)
    )


def layout_of(files: Sequence[tuple[str, bytes]], modified: float = NOON) -> TarLayout:
    return TarLayout([TarEntry(name, len(data), modified, "") for name, data in files])


def test_three_readers(tmp_path: Path) -> None:
    files = [(name, name.encode() * number * 31) for number, name in enumerate(NAMES)]
    layout = layout_of(files)
    raw = tmp_path / "x.tar"
    raw.write_bytes(joined(layout, [data for _, data in files]))
    assert raw.stat().st_size == layout.size
    with tarfile.open(raw, errorlevel=2) as archive:
        assert archive.getnames() == NAMES
        for info, (_, data) in zip(archive.getmembers(), files, strict=True):
            got = archive.extractfile(info)
            assert got is not None
            assert got.read() == data
            assert (info.mode, info.mtime, info.isreg()) == (0o644, NOON, True)
    for command in (["bsdtar", "-xf"], ["tar", "-xf"]):
        to = tmp_path / command[0]
        to.mkdir()
        done = subprocess.run(
            [*command, str(raw), "-C", str(to)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert all((to / name).read_bytes() == data for name, data in files)
        assert (to / NAMES[0]).stat().st_mtime == NOON


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.text(max_size=150), st.binary(max_size=1200)), max_size=6),
    st.sampled_from([NOON, 0, -5, 2**33, 2**35]),
    st.data(),
)
def test_any_slice_is_the_slice_of_the_whole(
    files: list[tuple[str, bytes]], modified: int, data: st.DataObject
) -> None:
    layout = layout_of(files, modified)
    bodies = [body for _, body in files]
    whole = joined(layout, bodies)
    assert len(whole) == layout.size
    with tarfile.open(fileobj=io.BytesIO(whole), errorlevel=2) as archive:
        members = archive.getmembers()
        assert [archive.extractfile(info).read() for info in members] == bodies  # type: ignore[union-attr]
        assert [info.mtime for info in members] == [modified] * len(files)
        assert [info.name for info in members] == layout.names
    start = data.draw(st.integers(0, layout.size))
    stop = data.draw(st.integers(start, layout.size))
    assert joined(layout, bodies, start, stop) == whole[start:stop]


@pytest.mark.parametrize("size", [8**11 - 1, 8**11, 8**11 + 1, 5 << 40])
def test_sizes_around_8_gib(size: int) -> None:
    layout = TarLayout([TarEntry("big", size, NOON, ""), TarEntry("after", 3, NOON, "")])

    class Zeros(io.RawIOBase):
        at = 0

        def seekable(self) -> bool:
            return True

        def tell(self) -> int:
            return self.at

        def seek(self, offset: int, whence: int = 0) -> int:
            assert whence == 0
            self.at = offset
            return offset

        def read(self, count: int = -1) -> bytes:
            assert 0 <= count < 1 << 20
            found = b"".join(
                piece if isinstance(piece, bytes) else bytes(piece.length)
                for piece in layout.read_plan(self.at, self.at + count)
            )
            self.at += len(found)
            return found

    with tarfile.open(fileobj=Zeros(), errorlevel=2) as archive:  # type: ignore[call-overload]
        members = archive.getmembers()
        assert [(info.name, info.size) for info in members] == [("big", size), ("after", 3)]
        assert archive.extractfile(members[1]).read() == bytes(3)
    blocks = -(-size // 512) * 512
    assert layout.size == (512 if size < 8**11 else 1536) + blocks + 1024 + 1024


def test_an_empty_tar_and_impossible_sizes() -> None:
    assert joined(TarLayout([]), []) == bytes(1024)
    with pytest.raises(ValueError):
        TarLayout([TarEntry("a", -1, NOON, "")])


def test_the_fingerprint_speaks_of_everything() -> None:
    entry = TarEntry("a", 5, NOON, "x")
    others = [
        entry._replace(name="b"),
        entry._replace(size=6),
        entry._replace(modified=0),
        entry._replace(tag="y"),
    ]
    assert len({TarLayout([row]).fingerprint for row in [entry, *others]}) == 5
