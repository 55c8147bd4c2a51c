"""File descriptors on every system: reads and writes at an offset, and directories made durable."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["closing", "read_at", "sync_directory", "write_at"]


@contextmanager
def closing(descriptor: int) -> Iterator[int]:
    """Close the descriptor at the end."""
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read_at(descriptor: int, length: int, offset: int) -> bytes:
    """At most ``length`` bytes from ``offset``."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, length, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)  # Windows: each descriptor belongs to one request, so the offset is ours
    return os.read(descriptor, length)


def write_at(descriptor: int, block: bytes | bytearray | memoryview, offset: int) -> None:
    """All of ``block`` at ``offset``."""
    with memoryview(block) as whole:
        done = 0
        while done < len(whole):
            with whole[done:] as rest:
                done += _write_some(descriptor, rest, offset + done)


def _write_some(descriptor: int, block: memoryview, offset: int) -> int:
    if hasattr(os, "pwrite"):
        return os.pwrite(descriptor, block, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.write(descriptor, block)


def sync_directory(path: Path) -> None:
    """Make new names in a directory durable."""
    if os.name == "posix":
        with closing(os.open(path, os.O_RDONLY)) as descriptor:
            os.fsync(descriptor)
