"""What a site will refuse of an upload, found before anything is created there (spec §4.1). Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from hashlib import sha256
from typing import Any, Final

from packhorse.errors import PackhorseError, PermissionDeniedError, UsageError
from packhorse.model import Secret
from packhorse.net.redact import show_text
from packhorse.portals.filesender.manage import TRANSFER_OPTIONS, check_options
from packhorse.portals.filesender.sending import Sending
from packhorse.transfer.outgoing import LocalFile
from packhorse.wire.filesender.names import BANNED_EXTENSIONS, refused_because
from packhorse.wire.filesender.records import Info, Quota

__all__ = ["about", "check_files", "check_quota", "check_sending", "chunk_size"]

_SHOWN: Final = 5


def check_sending(sending: Sending, remote: str, *, guest: bool) -> None:
    """Raise :class:`UsageError` for wishes that contradict each other, or that servers would silently ignore."""
    check_options(sending.options, TRANSFER_OPTIONS, "transfer option")
    if sending.recipients and (sending.link or sending.options.get("get_a_link")):
        raise UsageError(
            f"{remote}: a transfer has recipients or a link: with a link the recipients would be left out",
            hint="leave --link out: every recipient's own link is shown when all is sent",
        )
    for email in sending.recipients:
        name, at, host = email.partition("@")
        if not (name and at and host) or any(ch.isspace() or ch in ",;<>" for ch in email):
            raise UsageError(
                f"{show_text(email)!r} is no e-mail address", hint="one malformed address empties the list"
            )
    if sending.password is not None and not sending.password.reveal():
        raise UsageError("an empty password encrypts nothing")
    if guest and sending.options:
        raise UsageError(f"{remote}: a voucher's options are those that its sender gave it", hint="leave them out")


def chunk_size(sending: Sending, info: Info, remote: str) -> int:
    """Bytes of a part. Raises :class:`UsageError` for a size that the site does not take."""
    site = info.chunk_size
    if site is None:
        raise UsageError(f"{remote}: this server states no chunk size: is it a FileSender site?")
    wanted = sending.chunk_size
    if wanted is None:
        return site
    if not 1 <= wanted <= site:
        raise UsageError(f"{remote}: a chunk has 1 to {site:,} bytes on this site, not {wanted:,}")
    if sending.password is not None and wanted != site:
        raise UsageError(f"{remote}: encrypted files are sent in the site's own chunks of {site:,} bytes")
    return wanted


def check_files(files: Sequence[LocalFile], sending: Sending, info: Info, remote: str) -> None:
    """Raise for names, pairs and limits that would be refused, every name at once."""
    if not files:
        raise UsageError(f"{remote}: there is no file to send")
    banned = _banned(info)
    troubles = [
        f"{show_text(file.name)}: {because}"
        for file in files
        if (because := refused_because(file.name, banned=banned)) is not None
    ]
    if troubles:
        more = f" (and {len(troubles) - _SHOWN} more)" if len(troubles) > _SHOWN else ""
        raise UsageError(
            f"{remote} does not take these names: {'; '.join(troubles[:_SHOWN])}{more}",
            hint="rename them, or pack them into an archive; nothing was sent",
        )
    _check_pairs(files, remote)
    _check_limits(files, sending, info, remote)


def _banned(info: Info) -> Collection[str]:
    stated = info.disclosed.get("ban_extension")
    if isinstance(stated, str):
        return frozenset(part.strip().lower() for part in stated.split(",") if part.strip())
    return BANNED_EXTENSIONS


def _check_pairs(files: Sequence[LocalFile], remote: str) -> None:
    """Two files of equal name and size become one there (spec §0.12); of equal name they cannot be told apart."""
    seen: set[str] = set()
    for file in files:
        if file.name in seen:
            raise UsageError(
                f"{remote}: two files would be called {show_text(file.name)}, and become one",
                hint="send the folder that holds them, or rename one; nothing was sent",
            )
        seen.add(file.name)


def _check_limits(files: Sequence[LocalFile], sending: Sending, info: Info, remote: str) -> None:
    total, largest = sum(file.size for file in files), max(files, key=lambda file: file.size)
    encrypted = sending.password is not None
    per_file = info.limit("max_transfer_encrypted_file_size" if encrypted else "max_transfer_file_size")
    limits: list[tuple[str, int | None, int, str]] = [
        ("files", info.limit("max_transfer_files"), len(files), "pack them into an archive, or send fewer"),
        ("recipients", info.limit("max_transfer_recipients"), len(sending.recipients), "send it twice"),
        ("bytes in one transfer", info.limit("max_transfer_size"), total, "split it into several transfers"),
        (f"bytes in a file ({show_text(largest.name)})", per_file, largest.size, "split the file"),
    ]
    for what, limit, have, hint in limits:
        if limit is not None and have > limit:
            raise _over(f"{remote} takes at most {limit:,} {what}, and these are {have:,}", hint)


def check_quota(files: Sequence[LocalFile], quota: Quota | None, remote: str) -> None:
    """Raise where the user's quota has no room for the files."""
    total = sum(file.size for file in files)
    if quota is not None and total > quota.available:
        raise _over(
            f"{remote}: the files have {total:,} bytes; of your quota of {quota.total:,}, {quota.available:,} are left",
            f"close older transfers: packhorse transfers --via {remote}",
        )


def _over(text: str, hint: str) -> PackhorseError:
    return PermissionDeniedError(text, status=413, hint=f"{hint}; nothing was sent")


def about(sending: Sending, *, site: str, guest: Secret | None) -> dict[str, Any]:
    """What makes this the same upload the next time it is typed, without secrets, nor how the password was made.

    ``site`` is its address: a remote's name may point to another one by then, whose transfers have the same numbers.
    """
    message = sha256(sending.message.encode("utf-8", "surrogatepass")).hexdigest()[:16] if sending.message else ""
    known: dict[str, Any] = {
        "site": site,
        "recipients": sorted(sending.recipients),
        "subject": sending.subject,
        "message": message,
        "from": sending.sender,
        "options": {name: sending.options[name] for name in sorted(sending.options)},
        "link": sending.link,
        "extra": sorted(sending.extra),
        "encrypted": sending.password is not None,
        "expires": sending.validity or sending.expires or "",
        "guest": sha256(guest.reveal().encode()).hexdigest()[:16] if guest is not None else "",
    }
    return {name: value for name, value in known.items() if value}
