"""Mails: posted in the caller's transaction, delivered by a job.

A letter is a row first, so that nobody is mailed for an act that was rolled back, and nobody twice for one that was
done. Its Message-ID and Date are fixed then: should the server die between a delivery and its record, the mail goes
out once more after :data:`SENDING_LIMIT` with the same Message-ID, which mail systems know as a repetition. That is
the one case of one.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, make_msgid
from typing import Final

from sqlalchemy.orm import Session

from packhorse.errors import UsageError
from packhorse.server.config import MailSettings
from packhorse.server.db.engine import after_commit
from packhorse.server.db.letters import QueuedLetter

__all__ = ["AFTER_POST", "GIVE_UP", "SENDING_LIMIT", "Letter", "build", "check_address", "post", "wait_after"]

log = logging.getLogger("packhorse.server")

SENDING_LIMIT: Final = 900
"""Seconds after which a letter that is being sent counts as left behind; no delivery may take longer."""
GIVE_UP: Final = 3 * 24 * 3600
"""Seconds after posting when a letter that is still refused for the time being is given up."""
AFTER_POST: Final = "after_post"
"""The key in ``Database.info`` of what to call after a transaction that posted letters."""

_HEADER: Final = re.compile(r"Reply-To|X-[A-Za-z0-9-]{1,60}", re.ASCII)
_LOCAL: Final = re.compile(r"[^\s\"(),:;<>@\[\\\]\x00-\x20\x7f]{1,64}")
_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)", re.ASCII)
_SUBJECT_LENGTH: Final = 250


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail to one person. ``text`` is the plain text, ``html`` the same for those who prefer it.

    ``headers`` may hold ``Reply-To`` and ``X-…`` ones. ``about`` says what it speaks of, for whoever looks for it
    later (``transfer-7``).
    """

    to: str
    subject: str
    text: str
    html: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    about: str = ""


def wait_after(attempts: int) -> int:
    """Seconds before the next attempt after so many: 1 min, 3 min, 9 min, ... at most 6 h."""
    return int(min(60 * 3 ** (min(max(attempts, 1), 20) - 1), 6 * 3600))


def check_address(text: str) -> str:
    """One e-mail address, its domain in ASCII. Raises :class:`UsageError` for anything else.

    Stricter than RFC 5322: no comments, quotes, routes or address literals, which nobody types and attackers do.
    """
    local, at, domain = text.strip().rpartition("@")
    try:
        ascii_domain = domain.encode("idna").decode("ascii").lower() if at else ""
    except UnicodeError:
        ascii_domain = ""
    labels = ascii_domain.split(".")
    dots_fine = not local.startswith(".") and not local.endswith(".") and ".." not in local
    printable = not any(unicodedata.category(sign)[0] in "CZ" for sign in local)
    fits = len(local.encode("utf-8", "replace")) <= 64 and len(ascii_domain) <= 189
    if _LOCAL.fullmatch(local) and dots_fine and printable and fits and all(map(_LABEL.fullmatch, labels)):
        return f"{local}@{ascii_domain}"
    raise UsageError(f"{_one_line(text)[:100]!r} is not an e-mail address", hint="name@example.org")


def post(session: Session, letter: Letter) -> None:
    """Queue a letter in the caller's transaction; it goes out when (and only if) that commits.

    Raises :class:`UsageError` for an address that is none, :class:`ValueError` for a header that may not be set.
    """
    headers = {}
    for name, value in letter.headers.items():
        if not _HEADER.fullmatch(name):
            raise ValueError(f"a letter may not set the header {name!r}")
        headers[name] = check_address(value) if name == "Reply-To" else _one_line(value)[:200]
    session.add(
        QueuedLetter(
            message_id=make_msgid(domain="packhorse"),
            recipient=check_address(letter.to),
            subject=_shortened(_one_line(letter.subject), _SUBJECT_LENGTH),
            text=_clean(letter.text),
            html=_clean(letter.html),
            headers=headers,
            about=letter.about[:100],
        )
    )
    wake = session.info.get(AFTER_POST)
    if wake is not None and not session.info.get("letters posted"):
        session.info["letters posted"] = True
        after_commit(session, wake)  # should that fail, the periodic job takes the letter


def build(letter: QueuedLetter, settings: MailSettings, sender: str) -> EmailMessage:
    """The mail itself, the same bytes each time."""
    utf8 = not letter.recipient.isascii()
    message = EmailMessage(SMTPUTF8 if utf8 else SMTP)
    message["From"] = Address(display_name=_one_line(settings.sender_name), addr_spec=sender)
    local, _, domain = letter.recipient.rpartition("@")
    message["To"] = Address(username=local, domain=domain)
    message["Subject"] = letter.subject
    message["Date"] = format_datetime(datetime.fromtimestamp(letter.created, UTC))
    message["Message-ID"] = letter.message_id
    message["Auto-Submitted"] = "auto-generated"
    for name, value in letter.headers.items():
        message[name] = value
    # quoted-printable passes every server, and keeps lines short whatever people write
    message.set_content(letter.text, charset="utf-8", cte="quoted-printable")
    if letter.html:
        message.add_alternative(letter.html, subtype="html", charset="utf-8", cte="quoted-printable")
        message.set_boundary(f"=_{letter.id:012d}_{letter.created}")
    return message


def _one_line(text: str) -> str:
    return " ".join("".join(" " if unicodedata.category(sign)[0] in "CZ" else sign for sign in text).split())


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _clean(text: str) -> str:
    kept = (
        sign for sign in text.replace("\r\n", "\n") if sign in "\n\t" or unicodedata.category(sign) not in ("Cc", "Cs")
    )
    return "".join(kept)
