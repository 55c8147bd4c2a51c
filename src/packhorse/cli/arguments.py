"""What people type after ``--to``, ``--expires`` and ``--option``, and how a transfer or a guest is named. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from datetime import date, datetime
from typing import Final

from packhorse.cli.texts import safe, shorten
from packhorse.errors import UsageError
from packhorse.settings import near

__all__ = ["parse_email", "parse_emails", "parse_expiry", "parse_options", "split_id"]

# Deliberately strict: one address that a FileSender site does not like empties its whole list of recipients.
_LOCAL: Final = r"[^\s@,;<>()\[\]\"\\:\x00-\x20\x7f]{1,64}"
_DOMAIN: Final = r"(?=.{1,253}$)[^\W_](?:[\w-]{0,61}[^\W_])?(?:\.[^\W_](?:[\w-]{0,61}[^\W_])?)*"
_EMAIL: Final = re.compile(f"{_LOCAL}@{_DOMAIN}")
_NAMED: Final = re.compile(r"(?:\"[^\"<>]*\"\s*|[^\"<>,;]*)<([^<>]+)>")
_DAYS: Final = {"h": 1 / 24, "d": 1, "w": 7}
_SPAN: Final = re.compile(r"(\d{1,6})\s*(h|d|w|days?|weeks?|hours?)", re.IGNORECASE)


def parse_emails(texts: Iterable[str]) -> tuple[str, ...]:
    """Mail addresses out of ``--to`` words: separated by commas, semicolons, blanks or lines, each once, in order.

    ``Name <address>`` is understood. Raises :class:`UsageError` that names what is no address.

    >>> parse_emails(["ada@example.org, Bob <bob@example.org>", "ADA@example.org"])
    ('ada@example.org', 'bob@example.org')
    """
    found: dict[str, str] = {}
    for text in texts:
        for word in _words(text):
            if not _EMAIL.fullmatch(word) or ".." in word or word.startswith(".") or ".@" in word:
                raise UsageError(
                    f"{shorten(safe(word), 80)!r} is no mail address",
                    hint="write them as ada@example.org,bob@example.org",
                )
            found.setdefault(word.casefold(), word)
    return tuple(found.values())


def parse_email(text: str) -> str:
    """One mail address. Raises :class:`UsageError`."""
    found = parse_emails([text])
    if len(found) != 1:
        raise UsageError(f"{shorten(safe(text), 80)!r} is not one mail address")
    return found[0]


def _words(text: str) -> list[str]:
    return [word for part in re.split(r"[,;\n]", _NAMED.sub(r" \1 ", text)) for word in part.split()]


def parse_expiry(text: str, now: float) -> int:
    """Unix seconds from ``14d``, ``2w``, ``36h`` (from ``now`` on) or ``2026-12-24`` (that day, at this time of day).

    Raises :class:`UsageError` for anything else, and for what does not lie ahead.

    >>> parse_expiry("14d", 1_000_000)
    2209600
    """
    words = text.strip()
    span = _SPAN.fullmatch(words)
    when = _day(words, now) if span is None else now + int(span[1]) * _DAYS[span[2][0].lower()] * 86400
    if when <= now:
        raise UsageError(f"{words} does not lie ahead", hint="give a later day, or a span such as 14d")
    return round(when)


def _day(words: str, now: float) -> float:
    try:
        clock = datetime.fromtimestamp(now).astimezone().time()
        return datetime.combine(date.fromisoformat(words), clock).timestamp()
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"{shorten(safe(words), 40)!r} is no day", hint="write 14d, 2w, 36h or a date such as 2026-12-24"
        ) from None


def parse_options(texts: Iterable[str], known: Collection[str], what: str) -> dict[str, bool | str]:
    """``NAME`` (yes), ``NAME=true``, ``NAME=no``, ``NAME=TEXT`` by name. Raises :class:`UsageError` for unknown names.

    >>> parse_options(["email_me_copies", "hide_sender_email=no"], {"email_me_copies", "hide_sender_email"}, "option")
    {'email_me_copies': True, 'hide_sender_email': False}
    """
    found: dict[str, bool | str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip().replace("-", "_").lower()
        if name not in known:
            raise UsageError(
                f"there is no {what} {shorten(safe(name), 60)!r}{near(name, known)}",
                hint=f"known are: {', '.join(sorted(known))}",
            )
        found[name] = _value(value.strip()) if equals else True
    return found


def _value(text: str) -> bool | str:
    word = text.lower()
    if word in ("true", "yes", "on", "1"):
        return True
    return False if word in ("false", "no", "off", "0") else text


def split_id(text: str, kind: str) -> tuple[str | None, int]:
    """Remote and number of a transfer or guest: ``12``, ``aarnet:12`` or, as ``ls`` writes it, ``aarnet:transfers/12``.

    ``kind`` is ``transfers`` or ``guests``. Raises :class:`UsageError`.

    >>> split_id("12", "transfers"), split_id("aarnet:transfers/12", "transfers")
    ((None, 12), ('aarnet', 12))
    """
    remote, colon, rest = text.strip().rpartition(":")
    number = rest.strip("/").removeprefix(kind).strip("/")
    if not (number.isascii() and number.isdigit() and len(number) < 19) or (colon and not remote):
        raise UsageError(f"{shorten(safe(text), 60)!r} is no number of the {kind}", hint=f"packhorse {kind} lists them")
    return remote or None, int(number)
