"""``packhorse immport ticket|templates|workspaces``: what is there to submit with, and what became of it."""

from __future__ import annotations

import os
from pathlib import Path

import click

from packhorse.cli.commands.immport_upload import finish, poll_option, report_option, via_option, workspace_option
from packhorse.cli.context import State, command
from packhorse.cli.sent import day
from packhorse.cli.texts import Column, count, size
from packhorse.errors import DestinationError

__all__ = ["templates_command", "ticket_command", "workspaces_command"]


@command(
    "ticket",
    examples="""
    packhorse immport ticket
    packhorse immport ticket jdoe_20260105_123 --wait
    packhorse immport ticket jdoe_20260105_123 --json
    """,
)
@click.argument("ticket", required=False, metavar="[TICKET]")
@click.option("--wait", is_flag=True, help="Wait until it is completed or rejected.")
@report_option
@poll_option
@via_option
def ticket_command(state: State, *, ticket: str | None, wait: bool, report: Path | None, poll: float, via: str) -> int:
    """Show what became of a TICKET, or list those that were got from here. A rejected one is exit code 1."""
    uploads = state.session.submissions(via, poll=poll)
    if ticket is None:
        return _list(state, uploads.book.all())
    scheme = uploads.find_scheme(ticket)
    if wait:
        uploads.wait(ticket, scheme)
    return finish(state, uploads.report(ticket, scheme), via, report)


def _list(state: State, known: list[object]) -> int:
    from packhorse.portals.immport.tickets import KnownTicket

    output, rows = state.output, []
    for one in known:
        assert isinstance(one, KnownTicket)
        fields = ("ticket", "status", "purpose", "workspace", "package", "created")
        output.data("ticket", {name: getattr(one, name) for name in fields})
        output.value(one.ticket)
        rows.append([one.ticket, one.package, one.purpose, day(int(one.created)), one.status])
    columns = (Column("ticket"), Column("package", flexible=True), Column("for"), Column("sent"), Column("last seen"))
    output.table(columns, rows)
    output.line(count(len(rows), "ticket") if rows else "no tickets were got from here", "dim")
    return 0


@command(
    "templates",
    examples="""
    packhorse immport templates
    packhorse immport templates --batch --to batch-templates.zip
    """,
)
@workspace_option
@click.option("--batch", is_flag=True, help="The files of the batch updater instead.")
@click.option("--to", "place", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Where to put it.")
@click.option("--overwrite", is_flag=True, help="Write over a file that is there.")
@via_option
def templates_command(
    state: State, *, workspace: str | None, batch: bool, place: Path | None, overwrite: bool, via: str
) -> int:
    """Fetch the empty templates, as a ZIP of text and JSON forms."""
    from packhorse.wire.immport.tickets import BATCH, UPLOAD

    place = place or Path("immport-batch-templates.zip" if batch else "immport-templates.zip")
    if place.exists() and not overwrite:
        raise DestinationError(f"{place} is there already", hint="--overwrite, or --to another file")
    uploads = state.session.submissions(via)
    chosen = uploads.workspace(workspace)
    content = uploads.templates(BATCH if batch else UPLOAD, chosen.id)
    draft = place.with_name(f".{place.name}.part")
    try:
        draft.write_bytes(content)
        os.replace(draft, place)  # noqa: PTH105 - one call for any kind of path
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise DestinationError(f"{place} cannot be written: {error.strerror}") from error
    state.output.data("templates", {"path": str(place), "size": len(content)})
    state.output.value(str(place))
    state.output.line(f"{place} ({size(len(content))})")
    return 0


@command("workspaces", examples="packhorse immport workspaces --via demo-immport")
@via_option
def workspaces_command(state: State, via: str) -> int:
    """List the workspaces that you may upload to."""
    output, rows = state.output, []
    for one in state.session.submissions(via).workspaces():
        output.data("workspace", {"id": one.id, "name": one.name, "type": one.kind, "category": one.category})
        output.value(str(one.id))
        rows.append([str(one.id), one.name, one.kind, one.category])
    columns = (Column("workspace", right=True), Column("name", flexible=True), Column("type"), Column("category"))
    output.table(columns, rows)
    output.line(count(len(rows), "workspace") if rows else "no workspaces", "dim")
    return 0
