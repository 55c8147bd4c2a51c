"""What a *get* is asked to do, and what came of it. Plain values."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from packhorse.errors import ExitCode, PackhorseError
from packhorse.model import Item, Proof, ProofLevel, SafePath
from packhorse.transfer.portal import Portal

__all__ = ["Durability", "FailedFile", "GetOptions", "Layout", "Outcome", "PlacedFile", "Planned", "Want"]

Durability = Literal["full", "none"]
Layout = Literal["plain", "organized", "patterns"]
"""``plain``: the names as they are. ``organized``: ``samples/<name>``, ``executions/<id>``, ``data`` (the guide's
"Organize Downloads"). ``patterns``: ``<sample>``, ``execution_<id>``, ``<project>/<sample>`` ("Download Patterns")."""


@dataclass(frozen=True, slots=True)
class GetOptions:
    """How to get. ``jobs`` caps the connections per host; ``limit_rate`` in bytes per second for the whole job.

    ``require``: the weakest proof that counts as done; ``NONE`` also turns hashing off. ``retries`` counts tries
    without progress, after the first. ``receipt``: also make the digests that a manifest wants. ``bulk``: fetch many
    files out of an archive, where the portal makes one; ``None`` leaves it to the portal.
    """

    layout: Layout = "plain"
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    overwrite: bool = False
    require: ProofLevel | None = None
    jobs: int | None = None
    limit_rate: int | None = None
    retries: int = 3
    durability: Durability = "full"
    receipt: bool = False
    connections: int | None = None
    check_space: bool = True
    bulk: bool | None = None


@dataclass(frozen=True, slots=True)
class Want:
    """One item and, where the caller names the file, the exact place it goes (``target``)."""

    item: Item
    portal: Portal
    target: Path | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """One row of a dry run: what would move where, and what is already here."""

    item: Item
    path: SafePath | None
    target: Path
    action: Literal["fetch", "resume", "reuse", "conflict"]
    held: int = 0
    renamed: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PlacedFile:
    """A file that is complete under its final name. ``kept`` bytes were here before, ``fetched`` came now."""

    item: Item
    target: Path
    size: int
    proof: Proof
    reused: bool = False
    kept: int = 0
    fetched: int = 0


@dataclass(frozen=True, slots=True)
class FailedFile:
    """A file that was given up, and why."""

    item: Item
    target: Path
    error: PackhorseError
    resumable: bool = False


@dataclass(slots=True)
class Outcome:
    """What came of a *get*: every file is in ``placed`` or ``failed`` (or, of a dry run, in ``planned``)."""

    destination: Path
    placed: list[PlacedFile] = field(default_factory=list)
    failed: list[FailedFile] = field(default_factory=list)
    planned: list[Planned] = field(default_factory=list)
    seconds: float = 0.0
    require: ProofLevel | None = None

    @property
    def unproven(self) -> list[PlacedFile]:
        """Files that are placed with less proof than was required."""
        if self.require is None:
            return []
        return [file for file in self.placed if not file.proof.level.satisfies(self.require)]

    @property
    def exit_code(self) -> ExitCode:
        """The command line's exit code for this outcome (DESIGN §4)."""
        if self.failed:
            if self.placed:
                return ExitCode.PARTLY
            codes = {file.error.exit_code for file in self.failed}
            return codes.pop() if len(codes) == 1 else ExitCode.FAILED
        return ExitCode.UNVERIFIED if self.unproven else ExitCode.DONE

    def raise_for_failures(self) -> Outcome:
        """Raise the first error if anything failed, as Python callers expect."""
        if self.failed:
            raise self.failed[0].error
        return self

    def path(self) -> Path:
        """The one file that was asked for. Raises ``ValueError`` when there was not exactly one."""
        if len(self.placed) != 1:
            raise ValueError(f"{len(self.placed)} files were placed, not one")
        return self.placed[0].target

    def __fspath__(self) -> str:
        return os.fspath(self.path())
