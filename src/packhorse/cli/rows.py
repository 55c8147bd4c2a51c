"""Rows on a terminal, in a pipe, in a file: what ``query``, ``lookup`` and ``studies`` share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click

from packhorse.cli.context import State
from packhorse.cli.texts import Column, count, safe, wide
from packhorse.errors import UsageError

if TYPE_CHECKING:
    from packhorse.portals.immport.queries import Written
    from packhorse.tables import Format, Note, Table

__all__ = [
    "give_table",
    "kind_of",
    "limit_option",
    "output_options",
    "piped",
    "preview",
    "rows_of",
    "say_notes",
    "say_written",
    "telling",
]

_SHOWN: Final = 20
_WIDEST: Final = 32
_MOST_NOTES: Final = 8
_TELLING: Final = """\
study_accession studyAccession subjectAccession subject_accession name brief_title briefTitle title
analytePreferred analyteReported geneSymbolPreferred geneSymbolReported populationNamePreferred populationNameReported
virusStrainPreferred virusStrainReported locusName allele1 allele2 metaboliteNamePreferred proteinNamePreferred
valuePreferred valueReported unitPreferred unitReported concentrationValuePreferred concentrationUnitPreferred
populationStatisticPreferred populationStatUnitPreferred spotNumberPreferred spotNumberReported cellNumberReported
intensity labTestNamePreferred resultValuePreferred resultValueReported armName studyTimeCollected
studyTimeCollectedUnit
fileName filesizeBytes path filePath description gender race ethnicity species
"""
"""Members that say most, in the order in which they get a place."""

_FORMATS: Final = ("json", "ndjson", "tsv", "csv", "parquet")


def output_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--format``, ``--output``, ``--overwrite``."""
    for add in reversed(
        (
            click.option(
                "--format",
                "kind",
                type=click.Choice(_FORMATS),
                help="How rows are written: by default what FILE's name says, and TSV in a pipe.",
            ),
            click.option(
                "-o", "--output", "target", metavar="FILE", help="Write all rows there; the file is whole or not there."
            ),
            click.option("--overwrite", is_flag=True, help="Replace FILE where it exists."),
        )
    ):
        function = add(function)
    return function


limit_option = click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many rows.")


def kind_of(state: State, kind: str | None, target: str | None) -> Format | None:
    """The format of what goes to a file or a pipe; ``None`` where a person or ``--json`` reads.

    Raises :class:`UsageError` for a name that says none, and for what no terminal can show.
    """
    from packhorse.tables import format_of

    if target not in (None, "-"):
        return kind or format_of(Path(str(target)).name)  # type: ignore[return-value]
    terminal = state.output.out_is_terminal
    if kind == "parquet" and terminal:
        raise UsageError("a terminal cannot show Parquet", hint="give a file: -o rows.parquet")
    if kind is not None:
        return kind  # type: ignore[return-value]
    return "tsv" if state.output.mode == "quiet" or (state.output.mode == "human" and not terminal) else None


def say_notes(state: State, notes: Sequence[Note]) -> None:
    """What was odd in an answer, as warnings."""
    for note in notes[:_MOST_NOTES]:
        state.output.warn(str(note))
    if len(notes) > _MOST_NOTES:
        state.output.warn(f"… and {count(len(notes) - _MOST_NOTES, 'more oddity', 'more oddities')}")


def say_written(state: State, written: Written, target: str, kind: str) -> None:
    """The outcome of ``-o``."""
    say_notes(state, written.notes)
    state.output.data(
        "written",
        {
            "path": target,
            "format": kind,
            "rows": written.rows,
            "columns": [column.name for column in written.columns],
            "notes": [str(note) for note in written.notes],
        },
    )
    state.output.value(target)
    state.output.line(f"{target}: {count(written.rows, 'row')}, {count(len(written.columns), 'column')}")


@contextmanager
def piped(state: State) -> Iterator[BinaryIO]:
    """The output's stream for bytes, behind what text was written. A reader that goes away is no error."""
    text = state.output.out
    behind: BinaryIO | None = getattr(text, "buffer", None)
    held = BytesIO() if behind is None else None  # a stream of text alone gets it at the end
    try:
        text.flush()
        yield behind or held or BytesIO()
        if held is not None:
            text.write(held.getvalue().decode())
        text.flush()
    except BrokenPipeError:
        state.output.broken = True


def give_table(state: State, table: Table, kind: str | None, target: str | None, *, overwrite: bool, what: str) -> None:
    """A table that is here: to its file, its pipe or the terminal. ``what`` is the noun of a row."""
    form = kind_of(state, kind, target)
    if form is None:
        if state.output.mode == "json":
            for row in table:
                state.output.data("row", {"row": row})
        else:
            preview(state, iter(table), len(table), what)
        say_notes(state, table.notes)
        return
    if target in (None, "-"):
        with piped(state) as out:
            say_notes(state, (*table.notes, *table.write(out, form)))
        return
    from packhorse.portals.immport.queries import Written

    notes = table.write(str(target), form, overwrite=overwrite)
    say_written(state, Written(len(table), table.columns, (*table.notes, *notes)), str(target), form)


def preview(state: State, rows: Iterator[Mapping[str, Any]], total: int | None, what: str = "row") -> int:
    """The first rows in their most telling columns, and how many there are. Rows are counted where ``total`` is
    ``None``; the count."""
    first = list(islice(rows, _SHOWN))
    if total is None:
        total = len(first) + sum(1 for _ in rows)
    if not first:
        state.output.line(f"no {what} matches", "dim")
        return 0
    names = list(first[0])
    chosen = telling(names, first, state.output.width)
    columns = [
        Column(name, right=all(isinstance(row[name], int | float | None) for row in first), flexible=True)
        for name in chosen
    ]
    state.output.table(columns, [[_shown(row[name]) for name in chosen] for row in first])
    parts = f"{count(total, what)}" if total <= len(first) else f"{len(first)} of {count(total, what)}"
    hidden = "" if len(chosen) == len(names) else f", {len(chosen)} of {len(names)} columns"
    all_of = "" if not hidden and total <= len(first) else "; all of it: -o FILE.tsv"
    state.output.line(f"{parts}{hidden}{all_of}", "dim")
    return total


def telling(names: Sequence[str], rows: Sequence[Mapping[str, Any]], width: int) -> list[str]:
    """The columns that fit into ``width``: those that say most, then the others, none that is empty in all rows.

    >>> rows = [{"resultId": 1, "comments": None, "studyAccession": "SDY2", "valuePreferred": -1.0}]
    >>> telling(list(rows[0]), rows, 80)
    ['studyAccession', 'valuePreferred', 'resultId']
    """
    used = [name for name in names if any(row[name] not in (None, "") for row in rows)] or list(names)
    twins = _lesser_twins(used, rows)
    order = [name for name in _TELLING.split() if name in used and name not in twins]
    order += [name for name in used if name not in order and name not in twins]
    chosen: list[str] = []
    left = width + 2
    for name in order:
        widest = max(wide(safe(name)), *(min(wide(safe(_shown(row[name]))), _WIDEST) for row in rows))
        if widest + 2 > left:
            continue
        chosen.append(name)
        left -= widest + 2
    return chosen or order[:1]


def _lesser_twins(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Of each pair ``xPreferred``, ``xReported`` the one that is empty more often: they mostly say the same."""
    found = set()
    for name in names:
        other = name.removesuffix("Preferred") + "Reported"
        if name.endswith("Preferred") and other in names:
            said = {each: sum(row[each] not in (None, "") for row in rows) for each in (name, other)}
            found.add(name if said[name] < said[other] else other)
    return found


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) and abs(value) < 1e15 else str(value)


def rows_of(batches: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """The rows of record batches; behind the first rows, which are shown, they are only counted."""
    for batch in batches:
        yield from batch.to_pylist()
