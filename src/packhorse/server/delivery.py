"""Delivering posted letters: by SMTP, or as files in the home's ``outbox`` when no mail server is set.

Any number of processes may deliver at once: a letter is taken by an update that only one of them can do.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, cast
from urllib.parse import urlsplit

import aiosmtplib
from sqlalchemy import ColumnElement, CursorResult, and_, delete, or_, select, update
from sqlalchemy.orm import Session

from packhorse.server.config import MailSettings, ServerConfig
from packhorse.server.db.engine import Database
from packhorse.server.db.letters import FAILED, QUEUED, SENDING, SENT, QueuedLetter
from packhorse.server.jobs import job, periodic
from packhorse.server.mail import GIVE_UP, SENDING_LIMIT, build, wait_after

if TYPE_CHECKING:
    from packhorse.server.api.core import Home

__all__ = ["Mailer", "Trouble", "forget", "trouble_of", "when_given_up"]

log = logging.getLogger("packhorse.server")

_LANES: Final = 3
_BATCH: Final = 60
_COMMAND_SECONDS: Final = 60
_LETTER_SECONDS: Final = 300
_KEEP_SENT: Final = 30 * 24 * 3600
_KEEP_FAILED: Final = 90 * 24 * 3600
when_given_up: Final[list[Callable[[Session, str, str, str], None]]] = []
"""Called with a session, a letter's ``about``, its recipient and the reason, for rooms that show failures to people."""
_BINARY: Final = getattr(os, "O_BINARY", 0)  # Windows would write other line ends
_TROUBLES: Final = (aiosmtplib.SMTPException, OSError, ValueError)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a letter did not go out. ``final``: no use in trying again. ``everyone``: no other letter would go either."""

    words: str
    final: bool = False
    everyone: bool = False


def trouble_of(error: Exception) -> Trouble:
    """What an error of the way out means (RFC 5321 §4.2.1: 4xx is for the time being, 5xx for good).

    A refusal of our name, password or sender address is a fault of the settings, not of the letter: it waits.
    """
    words = " ".join(str(error).split())[:300] or type(error).__name__
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused) and error.recipients:
        first = error.recipients[0]
        return Trouble(f"{first.code} {' '.join(first.message.split())}"[:300], final=first.code >= 500)
    if isinstance(error, aiosmtplib.SMTPAuthenticationError | aiosmtplib.SMTPSenderRefused):
        return Trouble(f"{error.code} {words}", everyone=True)
    if isinstance(error, aiosmtplib.SMTPDataError):
        return Trouble(f"{error.code} {error.message}"[:300], final=error.code >= 500)
    if isinstance(error, aiosmtplib.SMTPNotSupported | ValueError):
        return Trouble(words, final=True)  # this mail cannot be said to this server
    return Trouble(f"{type(error).__name__}: {words}", everyone=True)


class Way(Protocol):
    """A way out for mails."""

    async def send(self, message: EmailMessage, letter: QueuedLetter) -> None:
        """Hand one mail over. Raises whatever :func:`trouble_of` knows."""

    async def open(self) -> None:
        """Get ready. Raises likewise."""

    async def close(self) -> None:
        """Let go."""


class Outbox:
    """Writes mails as ``.eml`` files, closed to others. The same letter gives the same file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def open(self) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)

    async def send(self, message: EmailMessage, letter: QueuedLetter) -> None:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(letter.created))
        draft = self._folder / f".{letter.id}.{secrets.token_hex(6)}"
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o600), "wb") as file:
                file.write(message.as_bytes())
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._folder / f"{stamp}-{letter.id:08d}.eml")
        finally:
            draft.unlink(missing_ok=True)

    async def close(self) -> None:
        pass


class Smtp:
    """One connection to the mail server."""

    def __init__(self, settings: MailSettings, sender: str) -> None:
        self._settings = settings
        self._sender = sender
        self._client: aiosmtplib.SMTP | None = None

    async def open(self) -> None:
        settings = self._settings
        client = aiosmtplib.SMTP(
            hostname=settings.host,
            port=settings.port or None,
            use_tls=settings.security == "tls",
            start_tls=settings.security == "starttls",
            username=settings.user or None,
            password=settings.password or None,
            cert_bundle=str(settings.ca_file) if settings.ca_file else None,
            timeout=_COMMAND_SECONDS,
        )
        self._client = client
        await client.connect()
        if client.is_ehlo_or_helo_needed:
            await client.ehlo()

    async def send(self, message: EmailMessage, letter: QueuedLetter) -> None:
        assert self._client is not None
        utf8 = not letter.recipient.isascii()
        if utf8 and not self._client.supports_extension("smtputf8"):
            raise aiosmtplib.SMTPNotSupported("the mail server takes no addresses beyond ASCII")
        async with asyncio.timeout(_LETTER_SECONDS):
            await self._client.sendmail(
                self._sender, letter.recipient, message.as_bytes(), mail_options=["SMTPUTF8", "BODY=8BITMIME"] * utf8
            )

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None and client.is_connected:
            try:
                async with asyncio.timeout(5):
                    await client.quit()
            except (aiosmtplib.SMTPException, OSError, TimeoutError):
                client.close()


class Mailer:
    """Delivers one home's letters. Thread-safe; one run at a time in this process."""

    def __init__(self, config: ServerConfig, database: Database, stopping: threading.Event) -> None:
        self._settings = config.mail
        self._database = database
        self._stopping = stopping
        self._outbox = config.home / "outbox"
        self.sender = config.mail.sender or f"packhorse@{_domain(config)}"
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        self._complained = False

    def deliver(self) -> int:
        """Send every letter that is due; how many went out. While another thread does it, it is asked to look again."""
        sent = 0
        self._wanted.set()
        while self._wanted.is_set() and not self._stopping.is_set() and self._lock.acquire(blocking=False):
            try:
                self._wanted.clear()
                sent += asyncio.run(self._deliver_all())
            finally:
                self._lock.release()
        return sent

    async def _deliver_all(self) -> int:
        total = 0
        while not self._stopping.is_set() and (ids := self._due()):
            before, waiting = total, deque(ids)
            for sent, blocked in await asyncio.gather(*(self._lane(waiting) for _ in range(min(_LANES, len(ids))))):
                total += sent
                if blocked:
                    return total
            if total == before and len(ids) < _BATCH:  # all refused or taken by others
                break
        return total

    async def _lane(self, waiting: deque[int]) -> tuple[int, bool]:
        """Send what waits over one connection: how many went out, and whether the way is blocked for all."""
        way: Way = Smtp(self._settings, self.sender) if self._settings.host else Outbox(self._outbox)
        sent = 0
        try:
            try:
                if not await self._opened(way):
                    return sent, True
            except _TROUBLES as error:
                self._blocked(trouble_of(error))
                return sent, True
            while waiting and not self._stopping.is_set():
                letter = self._take(waiting.popleft())
                if letter is None:
                    continue
                try:
                    await way.send(build(letter, self._settings, self.sender), letter)
                except _TROUBLES as error:
                    trouble = trouble_of(error)
                    self._put_back(letter, trouble)
                    if trouble.everyone:
                        self._blocked(trouble)
                        return sent, True
                else:
                    self._record(letter.id, state=SENT, sent=int(time.time()), error="")
                    self._complained = False
                    sent += 1
        finally:
            await way.close()
        return sent, False

    async def _opened(self, way: Way) -> bool:
        """Open the way out, unless the server is told to stop meanwhile: a mail server that hangs is not waited for."""
        opening = asyncio.ensure_future(way.open())
        try:
            while not opening.done() and not self._stopping.is_set():
                await asyncio.wait({opening}, timeout=0.2)
            if not opening.done():
                return False
            await opening
            return True
        finally:
            opening.cancel()

    def _due(self) -> list[int]:
        with self._database.read() as session:
            found = session.scalars(
                select(QueuedLetter.id).where(_waits()).order_by(QueuedLetter.due, QueuedLetter.id).limit(_BATCH)
            )
            return list(found)

    def _take(self, number: int) -> QueuedLetter | None:
        """Claim a letter, unless another process did."""
        now = int(time.time())
        with self._database.write() as session:
            taken = session.execute(
                update(QueuedLetter)
                .where(QueuedLetter.id == number, _waits())
                .values(state=SENDING, attempts=QueuedLetter.attempts + 1, due=now + SENDING_LIMIT)
            )
            if not cast("CursorResult[object]", taken).rowcount:
                return None
            return session.get(QueuedLetter, number)

    def _put_back(self, letter: QueuedLetter, trouble: Trouble) -> None:
        now = int(time.time())
        if trouble.final or now - letter.created > GIVE_UP:
            log.warning("letter %d (%s) is given up: %s", letter.id, letter.about, trouble.words)
            self._record(letter.id, state=FAILED, error=trouble.words)
            with self._database.write() as session:
                for tell in when_given_up:
                    tell(session, letter.about, letter.recipient, trouble.words)
        else:
            self._record(letter.id, state=QUEUED, error=trouble.words, due=now + wait_after(letter.attempts))

    def _record(self, number: int, **values: object) -> None:
        with self._database.write() as session:
            session.execute(update(QueuedLetter).where(QueuedLetter.id == number).values(**values))

    def _blocked(self, trouble: Trouble) -> None:
        """Nothing goes out at present: say so once, note it at the letters, give up those that are too old."""
        if not self._complained:
            self._complained = True
            log.error("letters wait, the mail server cannot be used: %s", trouble.words)
        now = int(time.time())
        with self._database.write() as session:
            session.execute(update(QueuedLetter).where(_waits()).values(error=trouble.words))
            too_old = session.scalars(select(QueuedLetter).where(_waits(), QueuedLetter.created < now - GIVE_UP)).all()
        for letter in too_old:
            self._put_back(letter, trouble)


def _domain(config: ServerConfig) -> str:
    """What the default From address ends in: the public host's name, which a number is not."""
    host = urlsplit(config.public_url or "").hostname or config.host
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host
    return "localhost"


def _waits() -> ColumnElement[bool]:
    return and_(QueuedLetter.state.in_((QUEUED, SENDING)), QueuedLetter.due <= int(time.time()))


@periodic(60, "deliver letters at times")
def _at_times(home: Home) -> None:
    home.mail.deliver()


@job("deliver letters")
def _asked_for(home: Home) -> None:
    home.mail.deliver()


@periodic(24 * 3600, "forget old letters")
def forget(home: Home) -> None:
    """Drop letters that went out a month ago, and those given up three months ago."""
    now = int(time.time())
    with home.database.write() as session:
        session.execute(
            delete(QueuedLetter).where(
                or_(
                    and_(QueuedLetter.state == SENT, QueuedLetter.created < now - _KEEP_SENT),
                    and_(QueuedLetter.state == FAILED, QueuedLetter.created < now - _KEEP_FAILED),
                )
            )
        )
