"""What earlier fetches left beside files that are placed now: parts and journals, of this version or of others."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from packhorse.transfer.brought import remove_folder
from packhorse.transfer.lease import Lease
from packhorse.transfer.paths import part_name

__all__ = ["sweep"]

_PART: Final = re.compile(r"(?P<part>(?P<stem>.+)\.[0-9a-f]{8}\.part)\.[1d]")


def sweep(placed: Iterable[Path]) -> None:
    """Remove what is left of fetches of these files: of a process that died just after it placed one, of versions
    that the server no longer has. What belongs to an owner that may be alive stays. Never raises ``OSError``."""
    stems: dict[Path, set[str]] = {}
    for target in placed:
        stem = part_name(target.name, "0" * 8).removesuffix(f".{'0' * 8}.part")
        stems.setdefault(target.parent, set()).add(stem)
    for folder, names in stems.items():
        for part in _parts(folder, names):
            Lease.sweep(part)
            if not Lease.states(part):
                remove_folder(part)


def _parts(folder: Path, stems: set[str]) -> list[Path]:
    found = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = _PART.fullmatch(entry.name) if entry.name.endswith((".part.1", ".part.d")) else None
            if match and match["stem"] in stems:
                found.append(folder / match["part"])
    return found
