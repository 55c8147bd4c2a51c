"""Invented release packages for tests and benchmarks: small and whole, or with as many ELISA rows as are wanted.

The same seed gives the same bytes. Nothing in them is anybody's data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import IO, Any

from packhorse.server.immport.synthetic import StudyPlan, Tables, make_study
from packhorse.server.immport.synthetic.results import elisa_cells
from packhorse.server.immport.writing import write_package

__all__ = ["make_package"]


def make_package(
    to: Path | IO[bytes],
    accession: str = "SDY9001",
    *,
    release: str = "DR54",
    seed: int = 0,
    subjects: int = 6,
    rows: int = 0,
    change: Callable[[Tables], None] | None = None,
    more: Mapping[str, Iterable[Mapping[str, Any]]] | None = None,
) -> StudyPlan:
    """Write a package to ``to`` and tell what was planned.

    ``rows`` ELISA results more are streamed, on the samples that the study has: ``rows=1_000_000`` needs no memory.
    ``change`` may alter the tables before; ``more`` are rows of further tables (``lk_…``, or ones that nobody knows).

    >>> import io
    >>> make_package(io.BytesIO(), "SDY7", subjects=2).title
    'Invented study SDY7'
    """
    plan = StudyPlan(accession, f"Invented study {accession}", seed=seed, subjects=subjects)
    tables, documents = make_study(plan)
    if change is not None:
        change(tables)
    given: dict[str, Iterable[Mapping[str, Any]]] = {**tables, **(more or {})}
    if rows:
        given["elisa_result"] = chain(tables["elisa_result"], _elisa(plan, tables["elisa_result"], rows))
    write_package(to, accession, release, given, documents=documents, level=1 if rows else 6)
    return plan


def _elisa(plan: StudyPlan, samples: list[dict[str, Any]], rows: int) -> Iterator[dict[str, Any]]:
    """More results of the same samples, with rising ids."""
    first = int(samples[-1]["result_id"]) + 1
    cells = [elisa_cells(plan, at) for at in range(997)]
    for at in range(rows):
        yield {**samples[at % len(samples)], **cells[at % len(cells)], "result_id": first + at}
