"""The reports of a ticket: written by the server and read by the client (spec immport §4).

A *summary* is JSON with a row for every step and every error. A *database report* is text: for a validation the same
rows, tab separated; for an upload the new accessions, file by file, with CR LF.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from packhorse.errors import ProtocolError

__all__ = [
    "ResultRow",
    "Section",
    "batch_report",
    "parse_summary",
    "parse_upload_report",
    "parse_validation_report",
    "summary_body",
    "upload_report",
    "validation_report",
]

_COLUMNS: Final = ("File Name", "Line Number", "Status", "Error Message", "Description")
_DASHES: Final = "-" * 61
_CUT: Final = 40
"""How much of a value an upload report shows."""
_STARS: Final = "*" * 45


@dataclass(frozen=True, slots=True)
class ResultRow:
    """A step or an error: where (``line`` counts from 1, as editors do), what came of it, and why."""

    status: str
    file_name: str = ""
    line: int | None = None
    error: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """A part of an upload report: the rows of a file of the package that became records of ``table``."""

    file_name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def _cell(value: object) -> str:
    """A value on its one line, in its one column."""
    return " ".join(str(value).split()) if value is not None else ""


def summary_body(
    *,
    registration: int,
    ticket: str,
    workspace: str,
    file_name: str,
    status: str,
    day: str,
    user: str,
    method: str,
    rows: Sequence[tuple[int, ResultRow]],
) -> dict[str, Any]:
    """The answer to ``reports/summary``; ``rows`` with their ids, ``day`` as ``yyyy-mm-dd``."""
    return {
        "summary": {
            "uploadRegistrationId": registration,
            "workspaceName": workspace,
            "fileName": file_name,
            "status": status,
            "uploadTicketNumber": ticket,
            "dateCreated": day,
            "createdBy": user,
            "uploadMethod": method,
            "uploadRegistrationResults": [
                {
                    "uploadRegistrationResultId": number,
                    "description": row.description,
                    "errorMessage": row.error,
                    "fileName": row.file_name or None,
                    "lineNumber": row.line,
                    "status": row.status,
                    "uploadTicketNumber": ticket,
                    "dateCreated": day,
                    "createdBy": user,
                    "dateLastUpdated": day,
                    "lastUpdatedBy": user,
                }
                for number, row in rows
            ],
        },
        "uploadTicketNumber": ticket,
        "type": "summary",
    }


def parse_summary(body: Any) -> tuple[str, tuple[ResultRow, ...]]:
    """The status and the rows of a summary. Raises :class:`ProtocolError` for what is none."""
    summary = body.get("summary") if isinstance(body, Mapping) else None
    rows = summary.get("uploadRegistrationResults") if isinstance(summary, Mapping) else None
    if not isinstance(summary, Mapping) or not isinstance(rows, Sequence | None) or isinstance(rows, str):
        raise ProtocolError("the server's summary of the ticket is not in the documented form")
    found = []
    for row in rows or ():
        if isinstance(row, Mapping):
            line = row.get("lineNumber")
            found.append(
                ResultRow(
                    str(row.get("status") or ""),
                    str(row.get("fileName") or ""),
                    line if isinstance(line, int) and not isinstance(line, bool) else None,
                    _text(row.get("errorMessage")),
                    _text(row.get("description")),
                )
            )
    return str(summary.get("status") or ""), tuple(found)


def _text(value: object) -> str | None:
    return None if value in (None, "") else str(value)


def _intro(workspace: int, at: dt.datetime, package: str) -> list[str]:
    return [
        f"The validation report is based on ImmPort workspace (workspace_id = {workspace}).",
        f"The validation report was generated on {at:%Y-%m-%d-%H:%M:%S}.",
        f"The data package file submitted was {_cell(package)}.",
        "",
    ]


def validation_report(workspace: int, at: dt.datetime, package: str, rows: Sequence[ResultRow]) -> str:
    """The database report of a validation: three lines, an empty one, the header, the rows; the last is the verdict."""
    lines = [*_intro(workspace, at, package), "\t".join(_COLUMNS)]
    for row in rows:
        line = "" if row.line is None else row.line
        lines.append("\t".join(map(_cell, (row.file_name, line, row.status, row.error, row.description))))
    return "\n".join(lines) + "\n"


def batch_report(
    workspace: int, at: dt.datetime, package: str, rows: Sequence[ResultRow], stored: Section | None
) -> str:
    """The database report of a batch update: its steps, and what was changed."""
    lines = [
        f"{_STARS} Batch Updater Job Report {_STARS}",
        "",
        *_intro(workspace, at, package),
        "\t".join(_COLUMNS[1:]),
    ]
    lines += ["\t".join(map(_cell, (row.line or 0, row.status, row.error, row.description))) for row in rows]
    lines += ["", f"{_STARS[:-1]} Database Submission Report {_STARS}", ""]
    if stored is None:
        lines.append("The Database Submission Report is Empty.")
    else:
        lines.append("\t".join(map(_cell, stored.columns)))
        lines += ["\t".join(map(_cell, row)) for row in stored.rows]
    return "\n".join(lines) + "\n"


def parse_validation_report(text: str) -> tuple[ResultRow, ...]:
    """The rows of a validation's or a batch update's report. Raises :class:`ProtocolError` where no header is."""
    lines = text.replace("\r\n", "\n").split("\n")
    head = next((at for at, line in enumerate(lines) if tuple(line.split("\t")[-4:]) == _COLUMNS[1:]), None)
    if head is None:
        raise ProtocolError("the server's report is not in the documented form: it has no header of columns")
    columns = lines[head].split("\t")
    found = []
    for line in lines[head + 1 :]:
        if not line.strip() and len(columns) == 4:
            break
        if not line.strip():
            continue
        cells = (line.split("\t") + [""] * 5)[: len(columns)]
        name = cells[0] if len(columns) == 5 else ""
        where, status, error, description = cells[-4:]
        at = int(where) if where.isascii() and where.isdigit() and len(where) < 10 else None
        found.append(ResultRow(status, name, at, error or None, description or None))
    return tuple(found)


def upload_report(
    *,
    workspace: int,
    workspace_name: str,
    ticket: str,
    submitter: str,
    username: str,
    submitted: dt.datetime,
    at: dt.datetime,
    package: str,
    size: int,
    method: str,
    sections: Sequence[Section],
    files: Sequence[tuple[str, int, str, str]],
    counts: Mapping[str, int],
    results: int,
) -> str:
    """The database report of an upload that was stored.

    ``files``: status, size, name and place of every file; ``counts``: new rows by table; ``results``: rows of the
    summary.
    """
    title = "EXPERIMENT DATA UPLOAD REPORT"
    lines = [
        title,
        "=" * len(title),
        "",
        f"REPORT DATE:                 {_stamp(at, '%d-%b-%Y %H:%M:%S')}",
        f"WORKSPACE_ID:                {workspace} NAME {_cell(workspace_name)}",
        f"SUBMISSION TICKET NUMBER:    {ticket}",
        f"SUBMITTER:                   {_cell(submitter)}",
        f"SUBMITTER USERNAME:          {_cell(username)}",
        f"SUBMISSION DATE/TIME:        {_stamp(submitted, '%d-%b-%Y %I:%M:%S %p')}",
        f"UPLOAD PACKAGE ZIP FILENAME: {_cell(package)}",
        f"UPLOAD PACKAGE ZIP FILESIZE: {size}",
        f"UPLOAD METHOD:               {method}",
        "",
        "",
        "",
    ]
    for section in sections:
        lines.append(f"FILENAME: {_cell(section.file_name)}    Total records: {len(section.rows)}")
        lines += [_DASHES, "\t".join(section.columns)]
        lines += ["\t".join(_cell(cell)[:_CUT] or "-" for cell in row) for row in section.rows]
        lines += ["", ""]
    lines += [f"LIST OF FILENAME(S) IN PACKAGE      Total Files: {len(files)}", _DASHES]
    lines.append("FILE_STATUS\tFILE_SIZE (BYTES)\tFILE_NAME\tPATH")
    lines += ["\t".join((status, str(length), _cell(name), _cell(place))) for status, length, name, place in files]
    lines += ["", f"Count Report (uploadTicketNumber = {ticket}):", ""]
    lines += ["upload_registration = 1", f"upload_registration_result = {results}", ""]
    lines += [f"{table} = {count}" for table, count in counts.items()]
    return "\r\n".join(lines) + "\r\n"


def _stamp(at: dt.datetime, form: str) -> str:
    return at.strftime(form).upper()


def parse_upload_report(text: str) -> tuple[Section, ...]:
    """The sections of an upload's report, that of the package's files last. Raises :class:`ProtocolError`."""
    lines = text.replace("\r\n", "\n").split("\n")
    if not any(line.startswith("SUBMISSION TICKET NUMBER:") for line in lines[:20]):
        raise ProtocolError("the server's report is not in the documented form: it names no ticket")
    found: list[Section] = []
    name, columns, rows = "", (), []  # type: str, tuple[str, ...], list[tuple[str, ...]]
    state = ""
    for line in [*lines, ""]:
        if line.startswith(("FILENAME:", "LIST OF FILENAME")):
            name, state = line.removeprefix("FILENAME:").partition("    Total records:")[0].strip(), "head"
            name = "" if line.startswith("LIST") else name
            columns, rows = (), []
        elif state == "head" and line.startswith("---"):
            state = "columns"
        elif state == "columns":
            columns, state = tuple(line.split("\t")), "rows"
        elif state == "rows" and line.strip():
            cells = (line.split("\t") + [""] * len(columns))[: len(columns)]
            rows.append(tuple(cells))
        elif state == "rows":
            found.append(Section(name, columns, tuple(rows)))
            state = ""
    return tuple(found)
