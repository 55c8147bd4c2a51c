"""``packhorse ls`` and ``packhorse info``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from packhorse.cli.context import State, command
from packhorse.cli.texts import Column, count, size

if TYPE_CHECKING:
    from packhorse.transfer.portal import Entry

__all__ = ["info_command", "ls_command", "record_lines"]

_COLUMNS = (
    Column("name", flexible=True),
    Column("kind"),
    Column("size", right=True),
    Column("modified"),
    Column("stated"),
    Column("address", flexible=True),
)


@command(
    "ls",
    examples="""
    packhorse ls flow:
    packhorse ls flow:samples/12
    packhorse ls flow:executions/456 --json
    """,
)
@click.argument("address")
def ls_command(state: State, address: str) -> None:
    """List what is at ADDRESS, one level.

    With --quiet only the addresses, one a line, as 'packhorse get --from -' reads them.
    """
    output = state.output
    entries = state.session.ls(address)
    rows = []
    for entry in entries:
        output.data("entry", _fields(entry))
        output.value(entry.address)
        rows.append(_row(entry))
    output.table(_COLUMNS, rows)
    sizes = [entry.size for entry in entries if entry.size is not None]
    total = f", {size(sum(sizes))}" if sizes else ""
    output.line(f"{count(len(entries), 'entry', 'entries')}{total}" if entries else "nothing here", "dim")


def _row(entry: Entry) -> list[str]:
    stated = ", ".join(digest.algorithm for digest in entry.item.digests) if entry.item else ""
    return [
        entry.name,
        entry.kind,
        size(entry.size) if entry.size is not None else "",
        _day(entry.modified),
        stated,
        entry.address,
    ]


def _fields(entry: Entry) -> dict[str, Any]:
    return {
        "address": entry.address,
        "name": entry.name,
        "kind": entry.kind,
        "size": entry.size,
        "modified": entry.modified,
        "digests": [str(digest) for digest in entry.item.digests] if entry.item else [],
        "details": dict(entry.details),
    }


def _day(seconds: float | None) -> str:
    if seconds is None:
        return ""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
    except (OverflowError, ValueError, OSError):  # a server may say anything
        return ""


@command(
    "info",
    examples="""
    packhorse info flow:data/789
    packhorse info flow:executions/456 --json
    """,
)
@click.argument("address")
def info_command(state: State, address: str) -> None:
    """Show what the portal records about ADDRESS."""
    record = state.session.info(address)
    output = state.output
    output.data("record", {"address": address, "record": record})
    for line in record_lines(record, 0):
        output.line(line)


def record_lines(record: Mapping[str, Any], depth: int) -> Iterator[str]:
    """The record as indented ``name: value`` lines; what is empty is left out."""
    indent = "  " * depth
    for name, value in record.items():
        if isinstance(value, Mapping):
            # an attribute with its description: the value is what is looked for
            if value.get("value") is not None and not isinstance(value["value"], (Mapping, list, tuple)):
                yield f"{indent}{name}: {value['value']}"
            elif value:
                yield f"{indent}{name}:"
                yield from record_lines(value, depth + 1)
        elif isinstance(value, (list, tuple)):
            if value:
                yield f"{indent}{name}: {len(value)}"
            for element in value:
                yield f"{indent}  - {_one_line(element) if isinstance(element, Mapping) else element}"
        elif value not in (None, ""):
            yield f"{indent}{name}: {_plain(name, value)}"


def _plain(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and name == "size":
        return f"{value:,} bytes ({size(value)})"
    if isinstance(value, (int, float)) and name in ("created", "modified", "started", "finished") and _day(value):
        return f"{_day(value)} ({value})"
    return str(value)


def _one_line(element: Mapping[str, Any]) -> str:
    simple = {k: v for k, v in element.items() if v is not None and not isinstance(v, (Mapping, list, tuple))}
    first = [str(simple.pop(key)) for key in ("id", "filename", "name") if key in simple]
    if isinstance(simple.get("size"), int):
        first.append(size(simple["size"]))
    return "  ".join(first) if first else ", ".join(f"{key}={value}" for key, value in simple.items())
