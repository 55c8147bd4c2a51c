"""``packhorse status``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from packhorse.cli import records
from packhorse.cli.context import State, command
from packhorse.cli.texts import Column, ago, count, size

if TYPE_CHECKING:
    from packhorse.transfer.send import PendingUpload

__all__ = ["status_command"]

_BEGINNING = 60.0  # seconds between a record and its journal, at most

_UPLOADS = (
    Column("upload"),
    Column("to", flexible=True),
    Column("files", flexible=True),
    Column("size", right=True),
    Column("there", right=True),
    Column("last seen"),
    Column("now"),
)


@command(
    "status",
    examples="""
    packhorse status
    packhorse status downloads/
    """,
)
@click.argument("directory", type=click.Path(path_type=Path), required=False)
def status_command(state: State, directory: Path | None) -> None:
    """Show interrupted transfers in DIRECTORY (default: here) and those begun elsewhere, and how to go on.

    Without DIRECTORY also what was begun to be sent and did not end.
    """
    from packhorse.transfer.status import interrupted

    output = state.output
    known = [record for record in records.read_all(state.state_dir / "transfers") if not record.upload]
    if directory is not None and not directory.exists():
        raise FileNotFoundError(2, "No such directory", str(directory))
    folders = [directory.absolute() if directory is not None else Path.cwd()]
    if directory is None:
        folders += [Path(record.destination) for record in known]
    now, rows, seen = time.time(), [], set[Path]()
    places = dict.fromkeys(folder if folder.is_dir() else folder.parent for folder in folders)
    for part in (part for place in places for part in interrupted(place)):
        if part.target in seen:  # one place may lie in another
            continue
        seen.add(part.target)
        busy = "running" if part.running else ""
        rows.append([_shown(part.target), size(part.size), size(part.held), ago(part.seen, now), busy])
        fields = {"target": str(part.target), "size": part.size, "held": part.held, "running": part.running}
        output.data("interrupted", {**fields, "address": part.address})
        output.value(str(part.target))
    output.table(
        (
            Column("file", flexible=True),
            Column("size", right=True),
            Column("held", right=True),
            Column("last seen"),
            Column("now"),
        ),
        rows,
    )
    typed = [record for record in known if directory is None or Path(record.destination) in places]
    for record in typed:
        output.data("begun", {"command": record.command, "cwd": record.cwd, "started": record.started})
        output.line(f"begun {ago(record.started, now)} in {record.cwd}; to go on:")
        output.line(f"  {record.command}")
    sends = _uploads(state, now) if directory is None else 0
    if not rows and not typed and not sends:
        output.line("nothing is interrupted" + (f" in {directory}" if directory is not None else ""))
    elif rows:
        output.line(f"{count(len(rows), 'file')} begun and not done")


def _uploads(state: State, now: float) -> int:
    """What was begun to be sent, and the command that goes on with each. Returns how many there are."""
    from packhorse.transfer.send import pending

    output, folder = state.output, state.state_dir / "transfers"
    found = pending(state.state_dir)
    typed = {record.upload: record for record in records.read_all(folder) if record.upload}
    for one in found:
        record = typed.get(one.key)
        names = ("key", "remote", "id", "stage", "files", "size", "confirmed", "running")
        said = {"command": record.command, "cwd": record.cwd} if record else {}
        output.data("sending", {**{name: getattr(one, name) for name in names}, **said})
        output.value(one.key)
    output.table(_UPLOADS, [_row(one, now) for one in found])
    for one in (one for one in found if not one.running):
        if one.key in typed:
            record = typed[one.key]
            output.line(f"begun {ago(record.started, now)} in {record.cwd}; to go on:")
            output.line(f"  {record.command}")
        output.line(f"to give it up: packhorse send --discard {one.key}")
    for key, record in typed.items():  # sent or given up meanwhile, by other means
        if key not in {one.key for one in found} and now - record.started > _BEGINNING:
            records.end(folder, record)
    return len(found)


def _row(one: PendingUpload, now: float) -> list[str]:
    name = one.names[0] if one.files == 1 else f"{one.names[0]} and {one.files - 1:,} more"
    busy = "running" if one.running else ""
    return [one.key, one.remote, name, size(one.size), size(one.confirmed), ago(one.seen, now), busy]


def _shown(target: Path) -> str:
    """The path from here, where it is below."""
    try:
        return str(target.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(target)
