"""``packhorse guests``: the people whom one invited to send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from packhorse.cli.commands.invite import invite_options, invite_people
from packhorse.cli.commands.transfers import chosen, via_option
from packhorse.cli.context import ListingGroup, State, command, global_options
from packhorse.cli.sent import day
from packhorse.cli.texts import Column, count
from packhorse.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from packhorse.wire.filesender.records import Guest

__all__ = ["guests_command"]

_id = click.argument("guest", metavar="ID|EMAIL")


@click.group("guests", cls=ListingGroup)
@global_options(hidden=True)
def guests_command() -> None:
    """List, invite, remind and revoke guests. Without a word: list."""


@command("list", group=guests_command, examples="packhorse guests list --via aarnet")
@via_option
def list_(state: State, via: str | None) -> None:
    """List the vouchers that are open."""
    rows = []
    for guest in state.session.manage(via).guests():
        state.output.data("guest", _fields(guest))
        state.output.value(str(guest.id))
        until = day(guest.expires) if not guest.options.get("does_not_expire") else "never"
        rows.append([str(guest.id), guest.email, str(guest.transfer_count), day(guest.created), until, _note(guest)])
    columns = (
        Column("id", right=True),
        Column("guest", flexible=True),
        Column("sent", right=True),
        Column("invited"),
        Column("until"),
        Column("note", flexible=True),
    )
    state.output.table(columns, rows)
    state.output.line(count(len(rows), "guest") if rows else "no open vouchers", "dim")


def _note(guest: Guest) -> str:
    words = [
        "once" if guest.options.get("valid_only_one_time") else "",
        "only to me" if guest.options.get("can_only_send_to_me") else "",
        *(error.type for error in guest.errors),
    ]
    return ", ".join(word for word in words if word)


def _fields(guest: Guest) -> dict[str, Any]:
    return {
        "id": guest.id,
        "email": guest.email,
        "user_email": guest.user_email,
        "upload_url": guest.upload_url,
        "transfer_count": guest.transfer_count,
        "subject": guest.subject,
        "message": guest.message,
        "options": dict(guest.options),
        "transfer_options": dict(guest.transfer_options),
        "created": guest.created,
        "expires": guest.expires,
        "errors": [error.type for error in guest.errors],
    }


def _chosen(state: State, text: str, via: str | None) -> tuple[Any, int]:
    """The site's manager and a voucher's number; an address means the one open voucher of that person."""
    if "@" not in text:
        return chosen(state, text, via, "guests")
    manager = state.session.manage(via)
    found = [guest.id for guest in manager.guests() if guest.email.casefold() == text.casefold()]
    if not found:
        raise NotFoundError(f"{text} has no open voucher", hint="packhorse guests lists them")
    if len(found) > 1:
        numbers = ", ".join(map(str, found))
        raise UsageError(f"{text} has {len(found)} open vouchers: {numbers}", hint="name one by its number")
    return manager, found[0]


@command("show", group=guests_command, examples="packhorse guests show 7")
@_id
@via_option
def show(state: State, guest: str, via: str | None) -> None:
    """Show a voucher, its link, and what was sent by it."""
    manager, number = _chosen(state, guest, via)
    found, sent = manager.guest(number), manager.guest_transfers(number)
    output = state.output
    output.data("guest", {**_fields(found), "transfers": [transfer.id for transfer in sent]})
    output.value(found.upload_url)
    output.line(f"guest {found.id}: {found.email}", "bold")
    until = "for ever" if found.options.get("does_not_expire") else f"until {day(found.expires) or '?'}"
    output.line(f"invited {day(found.created) or '?'}, {until}")
    if found.upload_url:
        output.line(f"voucher: {found.upload_url}")
    for options, what in ((found.options, "voucher"), (found.transfer_options, "what is sent")):
        on = sorted(name for name, value in options.items() if value is True)
        if on:
            output.paragraph(f"options of the {what}: {', '.join(on)}")
    for transfer in sent:
        names = ", ".join(file.name for file in transfer.files[:5])
        output.line(f"sent {day(transfer.created)}: transfer {transfer.id} ({names})")


@command(
    "invite",
    group=guests_command,
    examples="packhorse guests invite ada@example.org --once",
)
@invite_options
def invite(state: State, **given: Any) -> None:
    """Invite EMAIL to send files through your account; the same as 'packhorse invite'."""
    invite_people(state, **given)


@command("remind", group=guests_command, examples="packhorse guests remind ada@example.org")
@_id
@via_option
def remind(state: State, guest: str, via: str | None) -> None:
    """Mail a voucher again."""
    manager, number = _chosen(state, guest, via)
    manager.remind_guest(number)
    state.output.data("reminded", {"guest": number})
    state.output.line(f"guest {number} is mailed the voucher again")


@command("extend", group=guests_command, examples="packhorse guests extend 7")
@_id
@via_option
def extend(state: State, guest: str, via: str | None) -> None:
    """Let a voucher be used for longer, where the site allows it."""
    manager, number = _chosen(state, guest, via)
    found = manager.extend_guest(number)
    state.output.data("guest", _fields(found))
    state.output.line(f"the voucher of {found.email} can be used until {day(found.expires) or '?'}")


@command("revoke", group=guests_command, examples="packhorse guests revoke ada@example.org")
@_id
@via_option
def revoke(state: State, guest: str, via: str | None) -> None:
    """Close a voucher: nothing can be sent by it any more. What was sent stays."""
    manager, number = _chosen(state, guest, via)
    manager.revoke_guest(number)
    state.output.data("revoked", {"guest": number})
    state.output.line(f"the voucher of guest {number} is closed")
