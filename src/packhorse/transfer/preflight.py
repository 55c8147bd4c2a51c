"""Before the first byte: is there room (DESIGN §4, Pre-flight)? The decision is pure; looking is one call."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from packhorse.errors import SpaceError

__all__ = ["Room", "check_room", "look", "required_bytes"]


@dataclass(frozen=True, slots=True)
class Room:
    """What a file system has left for us: bytes, and inodes where it counts them."""

    available: int
    inodes: int | None


def look(destination: Path) -> Room | None:
    """The room at ``destination``, or at the nearest folder above it that exists. ``None`` where it cannot be known."""
    place = destination.absolute()
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if not hasattr(os, "statvfs"):
        import shutil

        with contextlib.suppress(OSError):
            return Room(shutil.disk_usage(place).free, None)
        return None
    try:
        state = os.statvfs(place)
    except OSError:
        return None
    return Room(state.f_bavail * state.f_frsize, state.f_favail if state.f_files else None)


def required_bytes(remaining: int) -> int:
    """Room for ``remaining`` bytes: a tenth more, as the guide has it ("Check Available Space")."""
    return remaining + remaining // 10


def check_room(remaining: int, files: int, room: Room | None, destination: Path) -> None:
    """Raise :class:`SpaceError` with Required and Available when ``remaining`` bytes in ``files`` files do not fit."""
    if room is None or not files:
        return
    required = required_bytes(remaining)
    if required > room.available:
        raise SpaceError(
            f"not enough space at {destination}. Required: {required:,} bytes, Available: {room.available:,} bytes",
            required=required,
            available=room.available,
            hint="free some space there, or choose another place with --to",
        )
    # A file, its part and its journals at once; the ledger.
    inodes = files + 64
    if room.inodes is not None and inodes > room.inodes:
        raise SpaceError(
            f"not enough inodes at {destination}. Required: {inodes:,}, Available: {room.inodes:,}",
            required=inodes,
            available=room.inodes,
            hint="remove some files there, or choose another place with --to",
        )
