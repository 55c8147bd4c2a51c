"""``packhorse immport upload|validate|batch-update``: packages on their way to ImmPort."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from packhorse.cli.context import State, command
from packhorse.cli.immport_reports import show_report, write_report
from packhorse.cli.texts import count, safe, size
from packhorse.errors import UsageError

if TYPE_CHECKING:
    from packhorse.portals.immport.packages import LocalPackage
    from packhorse.portals.immport.tickets import KnownTicket
    from packhorse.portals.immport.uploads import TicketReport
    from packhorse.wire.immport.tickets import Scheme

__all__ = ["batch_update_command", "finish", "poll_option", "upload_command", "validate_command", "via_option"]

via_option = click.option(
    "--via", metavar="REMOTE", default="immport", show_default=True, help="The ImmPort remote that takes it."
)
workspace_option = click.option(
    "--workspace", metavar="W", help="Its number, name or category (LSR, TEST); not needed where only one fits."
)
poll_option = click.option(
    "--poll",
    type=click.FloatRange(min=0.05, max=3600),
    default=5.0,
    metavar="SECONDS",
    help="The first wait between two looks at the ticket; later ones grow to a minute.",
)
report_option = click.option(
    "--report", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Where to write the whole report."
)
_notes = click.option("--notes", default="", metavar="TEXT", help="A note for the curators.")
_name = click.option("--name", metavar="NAME", help="The package's name, where it is not one ZIP.")
_paths = click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")


def finish(state: State, report: TicketReport, remote: str, place: Path | None) -> int:
    """Write and show a report. Raises :class:`RejectedError` for a package that was turned down."""
    from packhorse.portals.immport.uploads import RejectedError

    place = write_report(
        report, place or state.state_dir / "immport-tickets" / remote.rstrip(":") / f"{report.ticket}.txt"
    )
    show_report(state.output, report, place)
    if report.rejected:
        found = count(len(report.errors), "error")
        raise RejectedError(
            f"{remote.rstrip(':')} rejected the package: {found}", report=report, hint=f"the whole report: {place}"
        )
    state.output.line(f"report: {place}", "dim")
    return 0


class _Run:
    """One package on its way, step by step, with what is said of it."""

    def __init__(self, state: State, uploads: Any, scheme: Scheme, workspace: int) -> None:
        self.state = state
        self.uploads = uploads
        self.scheme = scheme
        self.workspace = workspace

    def step(self, package: LocalPackage, *, validate: bool, notes: str) -> TicketReport:
        """Register (or go on with the ticket there is), wait for the end, and get the report."""
        verb = "validating" if validate else "storing"
        ticket = self._ticket(package, validate=validate, notes=notes)
        self.state.output.note(f"{ticket.ticket}: {verb} …")
        if validate:
            self.uploads.validate(ticket.ticket, self.scheme, self._say)
        else:
            self.uploads.wait(ticket.ticket, self.scheme, self._say)
        report: TicketReport = self.uploads.report(ticket.ticket, self.scheme)
        return report

    def _ticket(self, package: LocalPackage, *, validate: bool, notes: str) -> KnownTicket:
        output = self.state.output
        known: KnownTicket | None = self.uploads.known(
            package, self.scheme, validate=validate, workspace=self.workspace
        )
        if known is not None:
            output.note(f"{known.ticket}: this package is there already; going on with its ticket")
            return known
        output.note(f"sending {safe(package.title)} ({count(len(package.files), 'file')}, {size(package.size)}) …")
        found: KnownTicket = self.uploads.send(
            package, self.scheme, validate=validate, workspace=self.workspace, notes=notes
        )
        output.data("ticket", {"ticket": found.ticket, "status": found.status, "purpose": found.purpose})
        return found

    def _say(self, status: str) -> None:
        if self.state.verbose:
            self.state.output.note(f"  {status}", "dim")


def _run(state: State, via: str, workspace: str | None, poll: float, scheme: Scheme) -> _Run:
    uploads = state.session.submissions(via, poll=poll)
    chosen = uploads.workspace(workspace)
    return _Run(state, uploads, scheme, chosen.id)


@command(
    "upload",
    examples="""
    packhorse immport upload package.zip
    packhorse immport upload templates/ results/ --name my-package --workspace LSR
    packhorse immport upload package.zip --via demo-immport --workspace TEST
    """,
)
@_paths
@workspace_option
@_name
@_notes
@click.option("--no-validate", is_flag=True, help="Do not have it validated first.")
@click.option("--offline", is_flag=True, help="Only reserve a ticket; PATH is the name that the package will have.")
@report_option
@poll_option
@via_option
def upload_command(
    state: State,
    *,
    paths: tuple[Path, ...],
    workspace: str | None,
    name: str | None,
    notes: str,
    no_validate: bool,
    offline: bool,
    report: Path | None,
    poll: float,
    via: str,
) -> int:
    """Submit a package: one ZIP, or files and folders. It is validated first, and stored if nothing is wrong.

    Typed again after a cut, it goes on with the ticket that it got.
    """
    from packhorse.portals.immport.packages import look
    from packhorse.wire.immport.tickets import UPLOAD

    if offline:
        return _offline(state, paths, workspace, notes, via)
    package = look(paths, name)
    run = _run(state, via, workspace, poll, UPLOAD)
    if not no_validate and run.uploads.known(package, UPLOAD, validate=False, workspace=run.workspace) is None:
        checked = run.step(package, validate=True, notes=notes)
        if checked.rejected:
            return finish(state, checked, via, report)
        state.output.note("nothing is wrong with it", "green")
    return finish(state, run.step(package, validate=False, notes=notes), via, report)


def _offline(state: State, paths: tuple[Path, ...], workspace: str | None, notes: str, via: str) -> int:
    if len(paths) != 1 or paths[0].name != str(paths[0]):
        raise UsageError("--offline takes one name, without folders", hint="packhorse immport upload big.zip --offline")
    uploads = state.session.submissions(via)
    chosen = uploads.workspace(workspace)
    found = uploads.register_offline(paths[0].name, validate=False, workspace=chosen.id, notes=notes)
    state.output.data("ticket", {"ticket": found.ticket, "status": found.status, "purpose": found.purpose})
    state.output.value(found.ticket)
    state.output.line(f"{found.ticket}: {found.status}; it goes on when {safe(paths[0].name)} is on the server")
    return 0


@command(
    "validate",
    examples="""
    packhorse immport validate package.zip
    packhorse immport validate bioSamples.txt subjects.txt --report report.txt
    """,
)
@_paths
@workspace_option
@_name
@_notes
@report_option
@poll_option
@via_option
def validate_command(
    state: State,
    *,
    paths: tuple[Path, ...],
    workspace: str | None,
    name: str | None,
    notes: str,
    report: Path | None,
    poll: float,
    via: str,
) -> int:
    """Have a package looked at, without storing anything. Exit code 1 and the errors where something is wrong."""
    from packhorse.portals.immport.packages import look
    from packhorse.wire.immport.tickets import UPLOAD

    package = look(paths, name)
    run = _run(state, via, workspace, poll, UPLOAD)
    return finish(state, run.step(package, validate=True, notes=notes), via, report)


@command(
    "batch-update",
    examples="""
    packhorse immport batch-update UpdateValue.biosample.txt --validate-only
    packhorse immport batch-update UpdateValue.biosample.txt --workspace LSR
    """,
)
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@workspace_option
@_notes
@click.option("--validate-only", is_flag=True, help="Have the file looked at; change nothing.")
@report_option
@poll_option
@via_option
def batch_update_command(
    state: State,
    *,
    file: Path,
    workspace: str | None,
    notes: str,
    validate_only: bool,
    report: Path | None,
    poll: float,
    via: str,
) -> int:
    """Change values of records that were uploaded, by a text file of accessions and new values."""
    from packhorse.portals.immport.packages import look
    from packhorse.wire.immport.tickets import BATCH

    package = look([file], None)
    if len(package.files) != 1 or file.is_dir():
        raise UsageError("a batch update is one text file", hint="packhorse immport templates --batch")
    run = _run(state, via, workspace, poll, BATCH)
    checked = run.step(package, validate=True, notes=notes)
    if checked.rejected or validate_only:
        return finish(state, checked, via, report)
    return finish(state, run.step(package, validate=False, notes=notes), via, report)
