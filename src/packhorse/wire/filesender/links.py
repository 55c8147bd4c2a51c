"""FileSender's web links: what people have on the clipboard (spec filesender §2.3, §2.5)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote, urlsplit

from packhorse.wire.filesender.signing import read_query

__all__ = ["Link", "download_link", "is_token", "new_token", "parse_link", "rest_url", "site_base", "upload_link"]

_TOKEN: Final = re.compile(r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+){2,8}")
_SCRIPTS: Final = ("/rest.php", "/index.php", "/download.php")
_LIMIT: Final = 4096


@dataclass(frozen=True, slots=True)
class Link:
    """One link: the site, what it leads to, its token (a recipient's, or a guest's voucher), files if it names some."""

    base: str
    kind: Literal["download", "upload"]
    token: str
    file_ids: tuple[int, ...] = ()


def is_token(text: str) -> bool:
    """Whether ``text`` could be a token: letters and digits in groups. Servers make 8-4-4-4-12; more is accepted.

    >>> is_token("0f5c2a7e-1111-4222-8333-94b6a1c2d3e4"), is_token("../x"), is_token("SDY1")
    (True, False, False)
    """
    return 16 <= len(text) <= 64 and _TOKEN.fullmatch(text) is not None


def new_token() -> str:
    """A fresh random token (122 bits), in the shape that all clients accept."""
    return str(uuid.uuid4())


def site_base(url: str) -> str | None:
    """The site's address without a trailing slash, script, query or fragment; ``None`` for what is no http(s) address.

    >>> site_base("https://h.example.org/filesender/rest.php/"), site_base("h.example.org")
    ('https://h.example.org/filesender', None)
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return None
    host = parts.hostname
    if parts.scheme.lower() not in ("http", "https") or not host or parts.username is not None:
        return None
    path = parts.path.rstrip("/")
    for script in _SCRIPTS:
        start, found, rest = path.partition(script)
        if found and (not rest or rest.startswith("/")):
            path = start
    if re.search(r"[\x00-\x20\x7f\\]", host + path):
        return None
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme.lower()}://{shown}{'' if port is None else f':{port}'}{path.rstrip('/')}"


def parse_link(text: str) -> Link | None:
    """The link in ``text``, or ``None`` when it is not FileSender's. Mail's ``<…>`` and ``&amp;`` are understood.

    >>> parse_link("https://h/fs/?s=download&token=0f5c2a7e-1111-4222-8333-94b6a1c2d3e4").kind
    'download'
    """
    if len(text) > _LIMIT:
        return None
    address = text.strip().strip("<>\"'").strip().replace("&amp;", "&")
    base = site_base(address)
    if base is None:
        return None
    parts = urlsplit(address)
    try:
        query = dict(read_query(parts.query))
    except ValueError:
        return None
    direct = parts.path.endswith("/download.php")
    page = "download" if direct else query.get("s", "")
    if page in ("upload", "guest_upload") and is_token(query.get("vid", "")):
        return Link(base, "upload", query["vid"])
    if page == "download" and is_token(query.get("token", "")):
        return Link(base, "download", query["token"], _file_ids(query.get("files_ids", "")))
    return None


def _file_ids(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    return tuple(int(part) for part in parts if part.isascii() and part.isdigit() and len(part) < 19)


def download_link(base: str, token: str) -> str:
    """The recipient's page."""
    return f"{base}/?s=download&token={quote(token, safe='')}"


def upload_link(base: str, voucher: str) -> str:
    """The guest's page."""
    return f"{base}/?s=upload&vid={quote(voucher, safe='')}"


def rest_url(base: str, parts: Iterable[str | int], query: Iterable[tuple[str, str]] = ()) -> str:
    """``BASE/rest.php/part/part?query``, encoded.

    >>> rest_url("https://h", ["transfer", "@me"]), rest_url("https://h", ["file", 7], [("key", "a b")])
    ('https://h/rest.php/transfer/@me', 'https://h/rest.php/file/7?key=a%20b')
    """
    path = "/".join(quote(str(part), safe="@") for part in parts)
    encoded = "&".join(f"{quote(name, safe='[]')}={quote(value, safe='@')}" for name, value in query)
    return f"{base}/rest.php/{path}" + (f"?{encoded}" if encoded else "")
