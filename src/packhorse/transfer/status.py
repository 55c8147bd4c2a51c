"""What is begun and not done: part files and their journals in a folder and below it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packhorse.transfer.journal import held_bytes
from packhorse.transfer.lease import Lease, Witness, judge_owner, this_process
from packhorse.transfer.ledger import LEDGER_DIR

__all__ = ["Interrupted", "interrupted"]

_PART: Final = re.compile(r"(?P<name>.+)\.(?P<short>[0-9a-f]{8})\.part")
_MAX_DEPTH: Final = 8


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A part file: where it will land, how much is held of how much (bytes), when it was last written (Unix seconds),
    whether its owner seems to be running, and what is fetched."""

    target: Path
    part: Path
    size: int | None
    held: int
    seen: float
    running: bool
    address: str


def interrupted(folder: Path) -> list[Interrupted]:
    """Every part file with a journal in ``folder`` and at most eight levels below it, sorted by path."""
    found = []
    for part in _parts(folder, _MAX_DEPTH):
        match = _PART.fullmatch(part.name)
        states = Lease.states(part)
        if match is None or not states:
            continue
        known = next((state.identity for state in reversed(states) if state.identity is not None), None)
        size = known.size if known else None
        held = 0 if size is None else held_bytes(states, size)
        last = states[-1]
        journal = part.with_name(f"{part.name}.{len(states)}")
        seen = max(_changed(part), _changed(journal))
        if not seen:
            continue  # it was placed while we looked
        owner = Witness(last.owner, last.released, 0.0)
        running = judge_owner(owner, this_process()) == "perhaps alive"
        found.append(Interrupted(part.with_name(match["name"]), part, size, held, seen, running, last.address))
    return sorted(found, key=lambda one: str(one.target))


def _changed(path: Path) -> float:
    """When a file was last written; 0 when it is gone."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _parts(folder: Path, depth: int) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".part") and entry.is_file(follow_symlinks=False):
                    yield Path(entry.path)
                elif depth and entry.name != LEDGER_DIR and entry.is_dir(follow_symlinks=False):
                    yield from _parts(Path(entry.path), depth - 1)
    except OSError:
        return
