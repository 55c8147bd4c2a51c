"""What a person wants of an upload, apart from the files. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from packhorse.model import Secret

__all__ = ["Sending"]


@dataclass(frozen=True, slots=True)
class Sending:
    """``recipients`` are mailed; without any a link is made (not for guests, whose voucher decides). ``link`` asks for
    one outright. ``sender`` is the ``from`` address; ``expires`` in Unix seconds; ``options`` as servers name them.

    ``validity`` is the expiry as it was typed (``14d``): an upload is known again by it, and not by ``expires``, which
    may be counted from now. ``password`` encrypts end to end (key version 3); ``generated`` says that it was made by
    :func:`packhorse.wire.filesender.crypto.generate_password`. ``chunk_size`` in bytes, the site's where not given.
    ``extra`` are further members of POST /transfer.
    """

    recipients: tuple[str, ...] = ()
    subject: str = ""
    message: str = ""
    sender: str = ""
    expires: int | str | None = None
    validity: str = ""
    language: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    link: bool = False
    password: Secret | None = None
    generated: bool = False
    chunk_size: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
