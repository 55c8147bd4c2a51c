"""``packhorse transfers``: one's own transfers at a FileSender site."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from packhorse.cli.arguments import parse_email, parse_emails, parse_expiry, split_id
from packhorse.cli.asking import agreed
from packhorse.cli.context import ListingGroup, State, command, global_options
from packhorse.cli.sent import day
from packhorse.cli.texts import Column, count, size
from packhorse.errors import ExitCode, NotFoundError, UsageError

if TYPE_CHECKING:
    from packhorse.wire.filesender.records import AuditEvent, Recipient, Transfer

__all__ = ["chosen", "transfers_command", "via_option", "yes_option"]

via_option = click.option("--via", metavar="REMOTE", help="The FileSender remote; not needed where only one is there.")
yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")


def chosen(state: State, text: str, via: str | None, kind: str) -> tuple[Any, int]:
    """The site's manager, and the number of a transfer or guest: ``12``, or ``REMOTE:12`` without ``--via``."""
    remote, number = split_id(text, kind)
    if remote is not None and via is not None and via.rstrip(":") != remote:
        raise UsageError(f"{text} is not at {via}", hint="leave --via out")
    return state.session.manage(remote or via), number


@click.group("transfers", cls=ListingGroup)
@global_options(hidden=True)
def transfers_command() -> None:
    """List, extend, remind, close and delete what you sent. Without a word: list."""


def _numbered(name: str, examples: str, *more: Callable[[Any], Any]) -> Callable[[Any], click.Command]:
    """A command on one transfer: its number, and where it is."""

    def declare(function: Any) -> click.Command:
        for add in reversed((click.argument("transfer", metavar="ID"), *more, via_option)):
            function = add(function)
        return command(name, group=transfers_command, examples=examples)(function)

    return declare


@command("list", group=transfers_command, examples="packhorse transfers list --via aarnet")
@via_option
def list_(state: State, via: str | None) -> None:
    """List your transfers that can be fetched now, newest first; what your guests sent is among them."""
    rows = []
    for transfer in state.session.manage(via).transfers():
        state.output.data("transfer", _transfer_fields(transfer))
        state.output.value(str(transfer.id))
        rows.append(
            [
                str(transfer.id),
                transfer.subject or _first([file.name for file in transfer.files]),
                size(sum(file.size for file in transfer.files)),
                str(len(transfer.files)),
                _first([recipient.email or "(link)" for recipient in transfer.recipients]),
                day(transfer.created),
                day(transfer.expires),
            ]
        )
    state.output.table(
        (
            Column("id", right=True),
            Column("subject", flexible=True),
            Column("size", right=True),
            Column("files", right=True),
            Column("to", flexible=True),
            Column("sent"),
            Column("until"),
        ),
        rows,
    )
    state.output.line(count(len(rows), "transfer") if rows else "no transfers", "dim")


def _first(names: list[str]) -> str:
    """The first of several, and how many more there are."""
    return names[0] + (f" +{len(names) - 1}" if len(names) > 1 else "") if names else ""


def _transfer_fields(transfer: Transfer) -> dict[str, Any]:
    """A transfer for programs. The links in it are the user's own to give away; keys and salts are left out."""
    return {
        "id": transfer.id,
        "subject": transfer.subject,
        "message": transfer.message,
        "user_email": transfer.user_email,
        "created": transfer.created,
        "expires": transfer.expires,
        "expiry_date_extension": transfer.expiry_date_extension,
        "size": sum(file.size for file in transfer.files),
        "options": dict(transfer.options),
        "files": [{"id": file.id, "name": file.name, "size": file.size} for file in transfer.files],
        "recipients": [_recipient_fields(recipient) for recipient in transfer.recipients],
    }


def _recipient_fields(recipient: Recipient) -> dict[str, Any]:
    return {
        "id": recipient.id,
        "email": recipient.email,
        "created": recipient.created,
        "last_activity": recipient.last_activity,
        "download_url": recipient.download_url,
        "errors": [asdict(error) for error in recipient.errors],
    }


@_numbered("show", "packhorse transfers show 12")
def show(state: State, transfer: str, via: str | None) -> None:
    """Show all of transfer ID: its files, recipients, links and options."""
    manager, number = chosen(state, transfer, via, "transfers")
    found = manager.transfer(number)
    output = state.output
    output.data("transfer", _transfer_fields(found))
    output.value(str(found.id))
    output.line(f"transfer {found.id}" + (f": {found.subject}" if found.subject else ""), "bold")
    if found.message:
        output.line(f"message: {found.message}")
    extension = f" (can be extended by {count(found.expiry_date_extension, 'day')})" * bool(found.expiry_date_extension)
    output.line(f"sent {day(found.created) or '?'} by {found.user_email or '?'}, until {day(found.expires)}{extension}")
    on = sorted(name for name, value in found.options.items() if value)
    if on:
        output.paragraph(f"options: {', '.join(on)}")
    _files_table(state, found)
    _recipients_table(state, found.recipients)


def _files_table(state: State, transfer: Transfer) -> None:
    columns = (Column("file id", right=True), Column("name", flexible=True), Column("size", right=True))
    state.output.table(columns, [[str(file.id), file.name, size(file.size)] for file in transfer.files])


def _recipients_table(state: State, recipients: tuple[Recipient, ...]) -> None:
    output = state.output
    columns = (Column("recipient id", right=True), Column("email", flexible=True), Column("last seen"), Column("note"))
    rows = []
    for one in recipients:
        bounced = ", ".join(error.type for error in one.errors)
        rows.append([str(one.id), one.email or "(link)", _moment(one.last_activity), bounced])
    output.table(columns, rows)
    for one in recipients:
        if one.download_url:
            output.line(f"{one.email or 'the link'}: {one.download_url}")


@_numbered("files", "packhorse transfers files 12 --json")
def files_(state: State, transfer: str, via: str | None) -> None:
    """List the files of transfer ID. Its owner fetches them with 'packhorse get REMOTE:transfers/ID'."""
    manager, number = chosen(state, transfer, via, "transfers")
    found = manager.transfer(number)
    for file in found.files:
        state.output.data("file", {"transfer": number, "id": file.id, "name": file.name, "size": file.size})
        state.output.value(file.name)
    _files_table(state, found)
    total = sum(file.size for file in found.files)
    state.output.line(f"{count(len(found.files), 'file')}, {size(total)}", "dim")


@_numbered("recipients", "packhorse transfers recipients 12")
def recipients_(state: State, transfer: str, via: str | None) -> None:
    """List the recipients of transfer ID, their links, and when each was last seen."""
    manager, number = chosen(state, transfer, via, "transfers")
    found = manager.recipients(number)
    for one in found:
        state.output.data("recipient", {"transfer": number, **_recipient_fields(one)})
        state.output.value(one.email or one.download_url)
    _recipients_table(state, found)


@_numbered(
    "add",
    "packhorse transfers add 12 ada@example.org",
    click.argument("emails", metavar="EMAIL...", nargs=-1, required=True),
)
def add(state: State, transfer: str, emails: tuple[str, ...], via: str | None) -> None:
    """Add recipients to transfer ID; each is mailed at once."""
    people = parse_emails(emails)
    manager, number = chosen(state, transfer, via, "transfers")
    for email in people:
        made = manager.add_recipient(number, email)
        state.output.data("recipient", {"transfer": number, **_recipient_fields(made)})
        state.output.value(made.download_url)
        state.output.line(f"mailed to {made.email or email}:")
        state.output.line(f"  {made.download_url}", "bold")


@_numbered(
    "remind",
    "packhorse transfers remind 12 ada@example.org",
    click.argument("emails", metavar="[EMAIL...]", nargs=-1),
)
def remind(state: State, transfer: str, emails: tuple[str, ...], via: str | None) -> None:
    """Mail the recipients of transfer ID again: all of them, or only those that are named."""
    people = [parse_email(email) for email in emails]
    manager, number = chosen(state, transfer, via, "transfers")
    if not people:
        manager.remind(number)
        state.output.data("reminded", {"transfer": number})
        state.output.line(f"reminded everybody of transfer {number}")
        return
    found = [_recipient(manager.recipients(number), email, number) for email in people]
    for one in found:
        manager.remind_recipient(one.id)
        state.output.data("reminded", {"transfer": number, "email": one.email})
        state.output.line(f"reminded {one.email} of transfer {number}")


@_numbered(
    "remove",
    "packhorse transfers remove 12 ada@example.org",
    click.argument("email", metavar="EMAIL|ID"),
    yes_option,
)
def remove(state: State, transfer: str, email: str, yes: bool, via: str | None) -> int:
    """Take a recipient of transfer ID out: their link is over. With the last one the transfer closes."""
    manager, number = chosen(state, transfer, via, "transfers")
    everybody = manager.recipients(number)
    one = _recipient(everybody, email, number)
    last = len(everybody) == 1
    if last and not agreed(f"{email} is the last recipient: transfer {number} closes. Remove?", yes=yes):
        return _left(state)
    manager.remove_recipient(one.id)
    state.output.data("removed", {"transfer": number, "recipient": one.id, "email": one.email})
    state.output.line(f"{one.email or one.id} can no longer fetch transfer {number}" + ("; it is closed" * last))
    return int(ExitCode.DONE)


def _recipient(everybody: tuple[Recipient, ...], wanted: str, number: int) -> Recipient:
    for one in everybody:
        if wanted.casefold() == one.email.casefold() or wanted == str(one.id):
            return one
    raise NotFoundError(f"transfer {number} has no recipient {wanted}", hint=f"packhorse transfers recipients {number}")


@_numbered(
    "extend",
    "packhorse transfers extend 12 --remind",
    click.option("--until", metavar="14d|DATE", help="Where the site allows a day of your own: 14d, 2026-12-24."),
    click.option("--remind", is_flag=True, help="Mail the recipients too."),
)
def extend(state: State, transfer: str, until: str | None, remind: bool, via: str | None) -> None:
    """Let transfer ID be fetched for longer: by the site's next step, or until a day."""
    import time

    when = parse_expiry(until, time.time()) if until else None
    manager, number = chosen(state, transfer, via, "transfers")
    before = manager.transfer(number).expires
    found = manager.extend(number, until=when, remind=remind)
    state.output.data("transfer", _transfer_fields(found))
    state.output.line(f"transfer {number} can be fetched until {day(found.expires) or '?'}")
    if found.expires is not None and found.expires == before:
        state.output.warn("the site says yes, and leaves the day as it was")


@_numbered("close", "packhorse transfers close 12 --yes", yes_option)
def close(state: State, transfer: str, yes: bool, via: str | None) -> int:
    """Close transfer ID: nobody can fetch it any more, its data is deleted, its log is kept."""
    return _end(state, transfer, via, yes, "close")


@_numbered("delete", "packhorse transfers delete 12 --yes", yes_option)
def delete(state: State, transfer: str, yes: bool, via: str | None) -> int:
    """Delete transfer ID with its data and its log."""
    return _end(state, transfer, via, yes, "delete")


def _end(state: State, transfer: str, via: str | None, yes: bool, how: str) -> int:
    manager, number = chosen(state, transfer, via, "transfers")
    if not yes:
        found = manager.transfer(number)
        what = f"{count(len(found.files), 'file')}, {size(sum(file.size for file in found.files))}"
        named = f"transfer {number} ({found.subject}; {what})" if found.subject else f"transfer {number} ({what})"
        if not agreed(f"{how.capitalize()} {named}?", yes=False):
            return _left(state)
    getattr(manager, how)(number)
    state.output.data("ended", {"transfer": number, "how": how})
    state.output.line(f"transfer {number} is {how}d")
    return int(ExitCode.DONE)


def _left(state: State) -> int:
    state.output.line("left as it is")
    return int(ExitCode.DONE)


@_numbered("log", "packhorse transfers log 12", click.option("--mail", is_flag=True, help="Have it mailed to you."))
def log(state: State, transfer: str, mail: bool, via: str | None) -> None:
    """Show what happened to transfer ID: who fetched what, and when; oldest first."""
    manager, number = chosen(state, transfer, via, "transfers")
    if mail:
        manager.mail_audit_log(number)
        state.output.data("mailed", {"transfer": number})
        state.output.line(f"the log of transfer {number} is mailed to you")
        return
    rows = []
    for event in manager.audit_log(number):
        state.output.data("logged", {"transfer": number, **asdict(event), "event": "logged", "name": event.event})
        rows.append([_moment(event.date), event.event, _who(event), _what(event)])
    columns = (Column("when"), Column("event"), Column("who", flexible=True), Column("what", flexible=True))
    state.output.table(columns, rows)
    if not rows:
        state.output.line("the site keeps no log of it")


def _who(event: AuditEvent) -> str:
    author = event.author
    return author.email or author.identity or author.type.lower()


def _what(event: AuditEvent) -> str:
    target = event.target
    return target.path or target.name or target.email or ("" if target.type == "Transfer" else target.type.lower())


@command("quota", group=transfers_command, examples="packhorse transfers quota --via aarnet")
@via_option
def quota(state: State, via: str | None) -> None:
    """Show how much you may still send, where the site counts it."""
    found = state.session.manage(via).quota()
    if found is None:
        state.output.data("quota", {"total": None, "used": None, "available": None})
        state.output.line("the site sets you no quota")
        return
    state.output.data("quota", asdict(found))
    state.output.value(str(found.available))
    state.output.line(f"{size(found.available)} of {size(found.total)} are free, {size(found.used)} are used")


def _moment(seconds: float | None) -> str:
    try:
        return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M") if seconds is not None else ""
    except (OverflowError, ValueError, OSError):
        return ""
