"""Signed links to a study's file: ``s3`` looks like a presigned object address, ``stream`` is our own (spec §3.5).

A link opens one file, for the user who asked, until its time is over, without any header. What the user may see is
asked again when it is used.
"""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote, urlencode

from packhorse.server.immport.signing import SigningKey
from packhorse.wire.immport.fileids import file_uuid

__all__ = ["METHODS", "LinkError", "Links", "Method", "Opened", "open_s3", "open_stream"]

Method = Literal["s3", "stream"]
METHODS: Final[tuple[Method, ...]] = ("s3", "stream")
_ALGORITHM: Final = "PACKHORSE-HMAC-SHA256"
_DATE: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]{1,18}", re.ASCII)


class LinkError(Exception):
    """A link that opens nothing: ``code`` in the words of S3."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(code, words)
        self.code, self.words = code, words


@dataclass(frozen=True, slots=True)
class Opened:
    """What a good link is for: a file, by its ``path`` or ``uuid``, for a user."""

    user_id: int
    path: str | None = None
    uuid: str | None = None


@dataclass(frozen=True, slots=True)
class Links:
    """Makes links for one user, on the site at ``base``; they open a file for ``seconds`` from ``at`` (Unix time)."""

    base: str
    keys: SigningKey
    user_id: int

    def s3(self, path: str, seconds: int, at: float) -> str:
        date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
        query = {
            "X-Amz-Algorithm": _ALGORITHM,
            "X-Amz-Credential": f"{self.user_id}/{date[:8]}/us-east-1/s3/aws4_request",
            "X-Amz-Date": date,
            "X-Amz-Expires": str(seconds),
            "X-Amz-SignedHeaders": "host",
            "X-Amz-Signature": self.keys.mac("s3", f"{path}\0{self.user_id}\0{date}\0{seconds}"),
        }
        return f"{self.base}/data/s3/immport-data/{quote(path, safe='/')}?{urlencode(query)}"

    def stream(self, path: str, seconds: int, at: float) -> str:
        uuid, expires = file_uuid(path), int(at) + seconds
        signature = self.keys.mac("stream", f"{uuid}\0{self.user_id}\0{expires}")
        query = {"user": self.user_id, "expires": expires, "signature": signature}
        return f"{self.base}/data/stream/{uuid}?{urlencode(query)}"


def open_s3(keys: SigningKey, path: str, query: Mapping[str, str], at: float) -> Opened:
    """What an ``s3`` link is for. Raises :class:`LinkError`."""
    date, seconds = query.get("X-Amz-Date", ""), query.get("X-Amz-Expires", "")
    user = query.get("X-Amz-Credential", "").partition("/")[0]
    if query.get("X-Amz-Algorithm") != _ALGORITHM or not all(
        (_DATE.fullmatch(date), _NUMBER.fullmatch(seconds), _NUMBER.fullmatch(user))
    ):
        raise LinkError("AccessDenied", "Access Denied")
    if not keys.mac_holds("s3", f"{path}\0{user}\0{date}\0{seconds}", query.get("X-Amz-Signature", "")):
        raise LinkError("SignatureDoesNotMatch", "The signature of this link does not match its address")
    begun = calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))
    if at >= begun + int(seconds):
        raise LinkError("AccessDenied", "Request has expired")
    return Opened(int(user), path=path)


def open_stream(keys: SigningKey, uuid: str, query: Mapping[str, str], at: float) -> Opened:
    """What a ``stream`` link is for. Raises :class:`LinkError`."""
    user, expires = query.get("user", ""), query.get("expires", "")
    if not _NUMBER.fullmatch(user) or not _NUMBER.fullmatch(expires):
        raise LinkError("AccessDenied", "This link is not whole: copy all of it")
    if not keys.mac_holds("stream", f"{uuid}\0{user}\0{expires}", query.get("signature", "")):
        raise LinkError("AccessDenied", "The signature of this link does not match its address")
    if at >= int(expires):
        raise LinkError("AccessDenied", "This link is over: ask for a new one")
    return Opened(int(user), uuid=uuid)
