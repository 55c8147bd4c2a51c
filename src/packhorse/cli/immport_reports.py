"""What the command line says of an ImmPort ticket and its report."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from packhorse.cli.output import Output
from packhorse.cli.texts import Column, count, safe
from packhorse.errors import DestinationError

if TYPE_CHECKING:
    from packhorse.portals.immport.uploads import TicketReport

__all__ = ["show_report", "write_report"]

_SHOWN: Final = 20


def write_report(report: TicketReport, place: Path) -> Path:
    """Write the whole report: the server's text, else its rows. Raises :class:`DestinationError`."""
    text = report.text
    if text is None:
        head = ["File Name", "Line Number", "Status", "Error Message", "Description"]
        rows: list[list[Any]] = [head]
        rows += [[row.file_name, row.line, row.status, row.error, row.description] for row in report.rows]
        text = "".join("\t".join(_cell(cell) for cell in row) + "\n" for row in rows)
    draft = place.with_name(f".{place.name}.part")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(text.encode("utf-8", "replace"))
        draft.replace(place)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise DestinationError(f"the report cannot be written to {place}: {error.strerror}") from error
    return place


def _cell(value: Any) -> str:
    return "" if value is None else " ".join(str(value).split())


def show_report(output: Output, report: TicketReport, place: Path) -> None:
    """The verdict, the errors by place, and the new records; for programs all of it."""
    output.data("report", {**report.as_dict(), "report_file": str(place)})
    output.value(report.status)
    errors = report.errors
    for row in errors[:_SHOWN]:
        where = safe(row.file_name or "the package") + (f", line {row.line}" if row.line else "")
        output.line(where, "bold")
        for line in textwrap.wrap(safe(row.error or row.description or ""), output.width - 2):
            output.line(f"  {line}")
    if len(errors) > _SHOWN:
        output.line(f"and {count(len(errors) - _SHOWN, 'more error')}", "dim")
    if errors:
        output.line()
    made = [section for section in report.sections if section.file_name]
    columns = (Column("file", flexible=True), Column("records", right=True), Column("first"), Column("last"))
    rows = [
        [section.file_name, str(len(section.rows)), section.rows[0][1], section.rows[-1][1]]
        for section in made
        if section.rows and len(section.columns) > 1
    ]
    if rows:
        output.table(columns, rows)
    style = "red" if report.rejected else "green" if report.final else ""
    output.line(f"{report.ticket}: {report.status}", style)
