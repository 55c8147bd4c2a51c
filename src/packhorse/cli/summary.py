"""What came of a get, in words. Pure functions over an :class:`~packhorse.transfer.options.Outcome`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from packhorse.cli.texts import Column, count, duration, rate, size
from packhorse.model import ProofLevel
from packhorse.transfer.options import Outcome, PlacedFile, Planned

__all__ = ["OUTCOME_COLUMNS", "PLAN_COLUMNS", "outcome_rows", "plan_rows", "plan_words", "proof_words", "summary_words"]

OUTCOME_COLUMNS = (
    Column("file", flexible=True),
    Column("size", right=True),
    Column("proof"),
    Column("note", flexible=True),
)
PLAN_COLUMNS = (
    Column("file", flexible=True),
    Column("size", right=True),
    Column("action"),
    Column("held", right=True),
    Column("lands at", flexible=True),
    Column("note", flexible=True),
)
MOST_ROWS = 30
"""A table of thousands helps nobody; the summary line counts them, and ``--json`` names every one."""


def outcome_rows(outcome: Outcome, most: int = MOST_ROWS) -> tuple[list[list[str]], int]:
    """The rows of the final table and how many were left out; what is weakest proven is shown first then."""
    placed: Sequence[PlacedFile] = sorted(outcome.placed, key=lambda file: str(file.target))
    if len(placed) > most:
        placed = sorted(placed, key=lambda file: file.proof.level.rank)[:most]
    rows = [
        [_relative(file.target, outcome.destination), size(file.size), file.proof.level.value, _note(file)]
        for file in placed
    ]
    return rows, len(outcome.placed) - len(rows)


def _note(file: PlacedFile) -> str:
    if file.reused:
        return "was here"
    return f"kept {size(file.kept)}" if file.kept else ""


def _relative(target: Path, base: Path) -> str:
    try:
        return target.relative_to(base).as_posix() or target.name
    except ValueError:
        return str(target)


def proof_words(levels: Counter[ProofLevel]) -> str:
    """How many files were proven by what, strongest first. Size alone is not called proof.

    >>> proof_words(Counter({ProofLevel.MD5: 1, ProofLevel.SHA256: 3, ProofLevel.SIZE: 2, ProofLevel.NONE: 1}))
    '3 proven by sha256, 1 by md5, 2 checked by size only, 1 not proven'
    """
    words: list[str] = []
    for level in sorted(levels, key=lambda level: (-level.rank, level.value)):
        number = levels[level]
        if level.rank >= ProofLevel.CRC32.rank:
            words.append(f"{number:,} {'by' if words else 'proven by'} {level.value}")
        elif level is ProofLevel.SIZE:
            words.append(f"{number:,} checked by size only")
        else:
            words.append(f"{number:,} not proven")
    return ", ".join(words)


def summary_words(outcome: Outcome) -> str:
    """The one line at the end of a get."""
    placed = outcome.placed
    if not placed:
        return f"none of {count(len(outcome.failed), 'file')} arrived"
    total = sum(file.size for file in placed)
    fetched = sum(file.fetched for file in placed)
    kept = sum(file.kept for file in placed if not file.reused)
    reused = [file for file in placed if file.reused]
    line = f"{count(len(placed), 'file')}, {size(total)}"
    if reused and len(reused) == len(placed):
        line += ", all here already"
    else:
        speed = rate(fetched, outcome.seconds)
        line += f" in {duration(outcome.seconds)}" + (f" ({speed})" if speed and fetched else "")
    proofs = proof_words(Counter(file.proof.level for file in placed))
    if proofs:
        line += f", {proofs}"
    if kept:
        line += f"; kept {size(kept)} from before"
    if reused and len(reused) < len(placed):
        line += f"; {len(reused):,} were here already"
    if outcome.failed:
        line += f"; {len(outcome.failed):,} failed"
    return line


def plan_rows(planned: Sequence[Planned], destination: Path) -> list[list[str]]:
    """The rows of a dry run. Where a file lands is said where that is not its own name in the destination."""
    rows = []
    for row in planned:
        lands = _relative(row.target, destination)
        held = size(row.held) if row.held else ""
        note = row.reason or ("renamed" if row.renamed else "")
        rows.append(
            [row.item.path, size(row.item.size), row.action, held, "" if lands == row.item.path else lands, note]
        )
    return rows


def plan_words(planned: Sequence[Planned], destination: Path) -> str:
    """The total of a dry run."""
    wanted = [row for row in planned if row.action in ("fetch", "resume")]
    total = sum(row.item.size or 0 for row in planned)
    left = sum(max((row.item.size or 0) - row.held, 0) for row in wanted)
    unknown = sum(row.item.size is None for row in planned)
    line = f"{count(len(planned), 'file')}, {size(total)}; {size(left)} to fetch into {destination}"
    here = sum(row.action == "reuse" for row in planned)
    if here:
        line += f", {here:,} here already"
    clash = sum(row.action == "conflict" for row in planned)
    if clash:
        line += f", {count(clash, 'conflict')}"
    if unknown:
        line += f"; {unknown:,} of unknown size"
    return line
