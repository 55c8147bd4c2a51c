"""``packhorse invite``, which ``packhorse guests invite`` is too."""

from __future__ import annotations

import time
from typing import Any

import click

from packhorse.cli.arguments import parse_email, parse_emails, parse_expiry, parse_options
from packhorse.cli.context import State, command
from packhorse.cli.sent import day
from packhorse.errors import UsageError

__all__ = ["invite_command", "invite_options", "invite_people"]


def invite_options(function: Any) -> Any:
    """The options of an invitation."""
    for add in reversed(
        (
            click.argument("emails", metavar="EMAIL...", nargs=-1, required=True),
            click.option("--via", metavar="REMOTE", help="The FileSender remote."),
            click.option("--subject", "-s", metavar="TEXT", default="", help="Subject of the mail."),
            click.option("--message", "-m", metavar="TEXT", default="", help="Text of the mail."),
            click.option("--from", "sender", metavar="ADDR", default="", help="Your address, where you have several."),
            click.option("--expires", metavar="14d|DATE", help="How long the voucher can be used: 14d, 2026-12-24."),
            click.option("--never-expires", is_flag=True, help="Where the site allows it."),
            click.option("--only-to-me", is_flag=True, help="By this voucher files can only be sent to you."),
            click.option("--once", is_flag=True, help="The voucher is good for one transfer."),
            click.option(
                "--option",
                "options",
                metavar="NAME[=VALUE]",
                multiple=True,
                help="A further option of the voucher, or of what is sent by it.",
            ),
        )
    ):
        function = add(function)
    return function


@command(
    "invite",
    examples="""
    packhorse invite ada@example.org
    packhorse invite ada@example.org --only-to-me --once --expires 14d --message 'The reads, please'
    """,
)
@invite_options
def invite_command(state: State, **given: Any) -> None:
    """Invite EMAIL to send files through your account: they are mailed a voucher and need none of their own."""
    invite_people(state, **given)


def invite_people(state: State, *, emails: tuple[str, ...], via: str | None, **given: Any) -> None:
    """Make a voucher for each, and say which were made as they are: a failure in the middle hides none."""
    from packhorse.portals.filesender.manage import GUEST_OPTIONS, TRANSFER_OPTIONS, Invitation

    if given["never_expires"] and given["expires"]:
        raise UsageError("--expires and --never-expires cannot be joined")
    people = parse_emails(emails)
    options = parse_options(given["options"], GUEST_OPTIONS | TRANSFER_OPTIONS, "option of a voucher")
    short = {
        "can_only_send_to_me": given["only_to_me"],
        "valid_only_one_time": given["once"],
        "does_not_expire": given["never_expires"],
    }
    guest = {name: bool(value) for name, value in options.items() if name in GUEST_OPTIONS}
    expires = parse_expiry(given["expires"], time.time()) if given["expires"] else None
    sender = parse_email(given["sender"]) if given["sender"] else None
    manager = state.session.manage(via)
    for email in people:
        made = manager.invite(
            Invitation(
                recipient=email,
                sender=sender,
                subject=given["subject"],
                message=given["message"],
                expires=expires,
                options={**guest, **{name: True for name, wanted in short.items() if wanted}},
                transfer_options={name: value for name, value in options.items() if name in TRANSFER_OPTIONS},
            )
        )
        until = day(made.expires)
        fields = {"id": made.id, "email": made.email, "upload_url": made.upload_url, "expires": made.expires}
        state.output.data("invited", fields)
        state.output.value(made.upload_url)
        state.output.line(f"mailed a voucher to {made.email or email}" + (f", until {until}" if until else "") + ":")
        state.output.line(f"  {made.upload_url}", "bold")
