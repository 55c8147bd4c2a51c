"""One's own transfers, guests and account: list, show, extend, remind, close, delete … (spec §5, §7, §8, §9)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from packhorse.errors import ProtocolError, UsageError
from packhorse.portals.filesender.api import FileSenderApi
from packhorse.settings import near
from packhorse.wire.filesender.bodies import new_guest_body
from packhorse.wire.filesender.records import (
    AuditEvent,
    Guest,
    Info,
    Quota,
    Recipient,
    Transfer,
    TransferFile,
    UserInfo,
    parse_audit_log,
    parse_file,
    parse_guest,
    parse_guests,
    parse_quota,
    parse_recipient,
    parse_transfer,
    parse_transfers,
    parse_user,
)

__all__ = ["GUEST_OPTIONS", "TRANSFER_OPTIONS", "Invitation", "Manager", "check_options"]

TRANSFER_OPTIONS: Final = frozenset(
    [
        "email_me_copies",
        "email_me_on_expire",
        "email_upload_complete",
        "email_download_complete",
        "email_daily_statistics",
        "email_report_on_closing",
        "enable_recipient_email_download_complete",
        "add_me_to_recipients",
        "email_recipient_when_transfer_expires",
        "get_a_link",
        "hide_sender_email",
        "redirect_url_on_complete",
        "popup_on_complete",
        "encryption",
        "collection",
        "must_be_logged_in_to_download",
        "storage_cloud_s3_bucket",
        "web_notification_when_upload_is_complete",
        "verify_email_to_download",
        "openpgp_encrypt_passphrase_to_email",
        "forward_to_another_server",
        "forward_server_name",
    ]
)
"""What a transfer may be told (spec §4.1)."""
GUEST_OPTIONS: Final = frozenset(
    [
        "email_upload_started",
        "email_upload_page_access",
        "valid_only_one_time",
        "does_not_expire",
        "can_only_send_to_me",
        "email_guest_created",
        "email_guest_created_receipt",
        "email_guest_expired",
        "guest_upload_default_expire_is_guest_expire",
        "guest_upload_expire_read_only",
    ]
)
"""What a voucher may be told (spec §7)."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """A voucher to be made. ``expires`` in Unix seconds; ``options`` are the voucher's, ``transfer_options`` those of
    what the guest will send. ``sender`` is the inviting address, the user's own where it is not given."""

    recipient: str
    sender: str | None = None
    subject: str = ""
    message: str = ""
    expires: int | None = None
    options: Mapping[str, bool] = field(default_factory=dict)
    transfer_options: Mapping[str, Any] = field(default_factory=dict)

    def body(self, user: str) -> dict[str, Any]:
        """The body of POST /guest; ``user`` is the inviting user's address. Raises :class:`UsageError` for unknown
        options, and where nobody invites."""
        check_options(self.options, GUEST_OPTIONS, "guest option")
        check_options(self.transfer_options, TRANSFER_OPTIONS, "transfer option")
        sender = self.sender or user
        if not sender:
            raise UsageError("a voucher needs the address of who invites", hint="--from ADDRESS")
        return new_guest_body(
            self.recipient,
            sender,
            subject=self.subject,
            message=self.message,
            expires=self.expires,
            options=self.options,
            transfer_options=self.transfer_options,
        )


def check_options(options: Mapping[str, Any], known: frozenset[str], what: str) -> None:
    """Raise :class:`UsageError` for a name that servers would silently ignore."""
    for name in options:
        if name not in known:
            raise UsageError(f"{name!r} is no {what}{near(name, known)}", hint=f"known: {', '.join(sorted(known))}")


class Manager:
    """Calls of a signed-in user. Each raises :class:`AuthenticationError` without a key, :class:`NotFoundError` for
    what is not there, :class:`PermissionDeniedError` for what is somebody else's. Lives on the engine's loop."""

    def __init__(self, api: FileSenderApi) -> None:
        self.api = api

    async def _call(self, method: str, path: str, body: Any = None, *, once: bool = False) -> Any:
        await self.api.auth.require(f"{self.api.remote}:{path}")
        # What mails people is never repeated blindly.
        return await self.api.send(method, path, body=body, repeatable=False if once else None)

    # The site and the account.

    async def info(self) -> Info:
        """What the server says of itself. Needs no account."""
        return await self.api.info()

    async def user(self) -> UserInfo:
        """Who the key is of."""
        return parse_user(await self._call("GET", "user/@me"))

    async def quota(self) -> Quota | None:
        """The user's quota in bytes; ``None`` where there is none."""
        return parse_quota(await self._call("GET", "user/@me/quota"))

    # Transfers.

    async def transfers(self) -> tuple[Transfer, ...]:
        """One's own available transfers, guests' uploads included, newest first. Closed ones and uploads in progress
        are not listed by servers."""
        return parse_transfers(await self._call("GET", "transfer"))

    async def transfer(self, number: int) -> Transfer:
        """One transfer, closed ones too until they are purged."""
        return parse_transfer(await self._call("GET", f"transfer/{number:d}"))

    async def files(self, number: int) -> tuple[TransferFile, ...]:
        """The files of a transfer."""
        return (await self.transfer(number)).files

    async def file(self, number: int) -> TransferFile:
        """One file by its id."""
        return parse_file(await self._call("GET", f"file/{number:d}"))

    async def delete_file(self, number: int) -> None:
        """Delete one file; with the last one the transfer closes."""
        await self._call("DELETE", f"file/{number:d}")

    async def extend(self, number: int, *, until: int | None = None, remind: bool = False) -> Transfer:
        """Extend a transfer by the site's next step, or (3.x) to a Unix time; ``remind`` mails the recipients too.

        Returns the transfer as it is then: servers answer with ``true``, and 2.x takes a time for a mere yes.
        """
        body: dict[str, Any] = {"extend_expiry_date": True if until is None else until}
        if remind:
            body["remind"] = True
        await self._call("PUT", f"transfer/{number:d}", body, once=True)
        return await self.transfer(number)

    async def remind(self, number: int) -> None:
        """Mail all recipients of a transfer again."""
        await self._call("PUT", f"transfer/{number:d}", {"remind": True}, once=True)

    async def close(self, number: int) -> Transfer:
        """Close a transfer: its data is deleted, its log kept."""
        answer = await self._call("PUT", f"transfer/{number:d}", {"closed": True}, once=True)
        return parse_transfer(answer)

    async def delete(self, number: int) -> None:
        """Delete a transfer outright."""
        await self._call("DELETE", f"transfer/{number:d}")

    async def stop_daily_statistics(self, number: int) -> None:
        """No more daily letters about a transfer: the one option that can be taken back."""
        body = {"optionremove": True, "option": "email_daily_statistics"}
        await self._call("PUT", f"transfer/{number:d}", body)

    async def audit_log(self, number: int) -> tuple[AuditEvent, ...]:
        """What happened to a transfer, oldest first; empty where the site keeps no log."""
        return parse_audit_log(await self._call("GET", f"transfer/{number:d}/auditlog"))

    async def mail_audit_log(self, number: int) -> None:
        """Have the log mailed to oneself."""
        await self._call("GET", f"transfer/{number:d}/auditlog/mail", once=True)

    # Recipients.

    async def recipients(self, number: int) -> tuple[Recipient, ...]:
        """The recipients of a transfer."""
        return (await self.transfer(number)).recipients

    async def recipient(self, number: int) -> Recipient:
        """One recipient by its id."""
        return parse_recipient(await self._call("GET", f"recipient/{number:d}"))

    async def add_recipient(self, number: int, email: str) -> Recipient:
        """Add a recipient to a transfer, who is mailed at once if it is available."""
        return parse_recipient(await self._call("POST", f"transfer/{number:d}/recipient", {"recipient": email}))

    async def remind_recipient(self, number: int) -> None:
        """Mail one recipient again."""
        await self._call("PUT", f"recipient/{number:d}", {"remind": True}, once=True)

    async def remove_recipient(self, number: int) -> None:
        """Remove a recipient; with the last one the transfer closes."""
        await self._call("DELETE", f"recipient/{number:d}")

    # Guests.

    async def guests(self) -> tuple[Guest, ...]:
        """One's own open vouchers."""
        return parse_guests(await self._call("GET", "guest"))

    async def guest(self, number: int) -> Guest:
        """One voucher, closed ones too."""
        return parse_guest(await self._call("GET", f"guest/{number:d}"))

    async def invite(self, invitation: Invitation) -> Guest:
        """Make a voucher and mail it. ``token`` of the answer is the voucher, ``upload_url`` its link."""
        await self.api.auth.require("an invitation")
        by = self.api.auth.by
        user = by.user or "" if by is not None else ""
        if not invitation.sender and "@" not in user:
            known = (await self.user()).saml_id if user else ""
            user = known if "@" in known else ""
        guest = parse_guest(await self.api.send("POST", "guest", body=invitation.body(user)))
        if not guest.token:
            raise ProtocolError(f"{self.api.remote}: the server made a voucher and does not say which")
        return guest

    async def guest_transfers(self, number: int) -> tuple[Transfer, ...]:
        """What a guest sent."""
        return parse_transfers(await self._call("GET", f"guest/{number:d}/transfers"))

    async def remind_guest(self, number: int) -> None:
        """Mail a voucher again."""
        await self._call("PUT", f"guest/{number:d}", {"remind": True}, once=True)

    async def extend_guest(self, number: int) -> Guest:
        """Extend a voucher by the site's next step, where the site allows it."""
        answer = await self._call("PUT", f"guest/{number:d}", {"extend_expiry_date": True}, once=True)
        return parse_guest(answer) if not isinstance(answer, bool | int) else await self.guest(number)

    async def revoke_guest(self, number: int) -> None:
        """Close a voucher: nobody can send by it any more."""
        await self._call("DELETE", f"guest/{number:d}")
