"""Signed requests of users and applications (spec filesender §2.1).

One call for a small request::

    signature = sign(key, canonical("get", signed_host("h.example.org", 443, "https"), "/rest.php/user/@me", query))

and for a chunk whose body comes in pieces::

    mac = signer(key)
    mac.head(canonical("put", host, path, query))
    mac.body(piece)                        # as often as there are pieces
    mac.signature()
"""

from __future__ import annotations

import hashlib
import hmac
import html
import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from packhorse.errors import SettingsError, UsageError

__all__ = [
    "Signer",
    "canonical",
    "fresh",
    "read_query",
    "sign",
    "signature_matches",
    "signed_host",
    "signed_url",
    "signer",
    "unverifiable_because",
]

WINDOW: Final = 15
"""Seconds for which a timestamp is good (spec §2.1)."""

_UNSIGNED: Final = frozenset({"signature", "_"})
_DEFAULT_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}
_MAX_FIELDS: Final = 1000
_MAX_DEPTH: Final = 32


def signed_host(host: str, port: int | None, scheme: str) -> str:
    """The host as it is signed: lower case, with the port only if it is not the scheme's own.

    >>> signed_host("H.example.org", 443, "https"), signed_host("h", 8080, "http"), signed_host("::1", 8443, "https")
    ('h.example.org', 'h:8080', '[::1]:8443')
    """
    name = host.lower()
    if ":" in name and not name.startswith("["):
        name = f"[{name}]"
    return name if port is None or _DEFAULT_PORTS.get(scheme.lower()) == port else f"{name}:{port}"


def read_query(raw: str | bytes) -> list[tuple[str, str]]:
    """A raw query string as decoded pairs, blank values kept, ``+`` as a space; what cannot be UTF-8 is replaced.

    A server must use the *last* of equal names, as :func:`canonical` does: otherwise a signed request could be
    changed by a second value in front. ``ValueError`` above 1000 parameters.

    >>> read_query("a=1&b=&c=x+y%2F&c=2")
    [('a', '1'), ('b', ''), ('c', 'x y/'), ('c', '2')]
    """
    text = raw.decode("latin-1") if isinstance(raw, bytes) else raw
    return parse_qsl(text.lstrip("?"), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="replace")


def canonical(method: str, host: str, path: str, query: Sequence[tuple[str, str]], body: bytes = b"") -> bytes:
    """The bytes that are signed: ``method&host/path?a=1&b[c]=2&body``.

    ``host`` comes from :func:`signed_host`; ``path`` (with the folder of the site, ``rest.php`` and the rest) and
    ``query`` are percent-decoded. ``signature`` and ``_`` are left out, of equal names the last counts, names are
    sorted as bytes at each level of nesting. An empty body adds nothing.

    >>> canonical("GET", "h", "/rest.php/info", [("timestamp", "7"), ("signature", "ff"), ("a[y]", "2"), ("a[x]", "1")])
    b'get&h/rest.php/info?a[x]=1&a[y]=2&timestamp=7'
    """
    head = f"{method.lower()}&{host}{path}".encode("utf-8", "surrogateescape")
    values: dict[tuple[bytes, ...], bytes] = {}
    counts: dict[tuple[bytes, ...], int] = {}
    for name, value in query:
        if name not in _UNSIGNED:
            values[_numbered(_levels(name), counts)] = value.encode("utf-8", "surrogateescape")
    if values:
        head += b"?" + b"&".join(_shown(levels) + b"=" + values[levels] for levels in sorted(values))
    return head + b"&" + body if body else head


def _levels(name: str) -> list[bytes]:
    """``a[b][c]`` as its levels; a name whose brackets are not nesting stays as it is.

    >>> _levels("a[b][]"), _levels("a]["), _levels("[x]")
    ([b'a', b'b', b''], [b'a]['], [b'[x]'])
    """
    root, bracket, rest = name.partition("[")
    if not root or not bracket or not rest.endswith("]") or "]" in root:
        return [name.encode("utf-8", "surrogateescape")]
    inner = rest[:-1].split("][")
    if len(inner) > _MAX_DEPTH or any("[" in level or "]" in level for level in inner):
        return [name.encode("utf-8", "surrogateescape")]
    return [level.encode("utf-8", "surrogateescape") for level in (root, *inner)]


def _numbered(levels: list[bytes], counts: dict[tuple[bytes, ...], int]) -> tuple[bytes, ...]:
    """The levels with a number for each empty one, as PHP counts them: ``a[]``, ``a[]`` are ``a[0]``, ``a[1]``."""
    for at, level in enumerate(levels):
        if at and not level:
            before = tuple(levels[:at])
            levels[at] = str(counts.get(before, 0)).encode()
            counts[before] = counts.get(before, 0) + 1
    return tuple(levels)


def _shown(levels: tuple[bytes, ...]) -> bytes:
    return levels[0] + b"".join(b"[" + level + b"]" for level in levels[1:])


class Signer:
    """HMAC over a canonical head and a body in pieces. Not shared between threads; hashing releases the GIL."""

    __slots__ = ("_begun", "_mac")

    def __init__(self, key: str, algorithm: str = "sha1") -> None:
        if algorithm not in hashlib.algorithms_guaranteed or algorithm.startswith("shake"):
            raise SettingsError(
                f"{algorithm!r} is not a signature algorithm that Packhorse knows", hint="use sha1 (stock), sha256, …"
            )
        self._mac = hmac.new(key.encode(), digestmod=algorithm)
        self._begun = False

    def head(self, canonical: bytes) -> None:
        """Take the canonical string without its body, once and first."""
        self._mac.update(canonical)

    def body(self, piece: bytes | bytearray | memoryview) -> None:
        """Take the next piece of the raw body; empty pieces change nothing."""
        if not len(piece):
            return
        if not self._begun:
            self._mac.update(b"&")
            self._begun = True
        self._mac.update(piece)

    def signature(self) -> str:
        """The lower-case hexadecimal signature of what was taken so far."""
        return self._mac.hexdigest()


def signer(key: str, algorithm: str = "sha1") -> Signer:
    """A :class:`Signer`; ``key`` is the API key or secret as written. ``SettingsError`` for an unknown algorithm."""
    return Signer(key, algorithm)


def sign(key: str, canonical: bytes, algorithm: str = "sha1") -> str:
    """The signature of one canonical string, body included (lower-case hexadecimal)."""
    mac = Signer(key, algorithm)
    mac.head(canonical)
    return mac.signature()


def signature_matches(expected: str, given: str) -> bool:
    """Whether a request's ``signature`` is the expected one, compared in constant time; any text may be given."""
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogateescape"))


def fresh(timestamp: int | str, now: float, window: int = WINDOW) -> bool:
    """Whether a request's ``timestamp`` is at most ``window`` seconds old. The future is good: slow clients post-date.

    >>> fresh("1000", 1015), fresh("1000", 1016), fresh(9000, 1000), fresh("soon", 0)
    (True, False, True, False)
    """
    if isinstance(timestamp, str):
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
            return False
        timestamp = int(timestamp)
    return int(now) - timestamp <= window


def signed_url(
    method: str,
    url: str,
    key: str,
    *,
    timestamp: int,
    user: str = "",
    application: str = "",
    body: bytes | Sequence[bytes] = b"",
    algorithm: str = "sha1",
) -> str:
    """``url`` with who signs, when, and the signature.

    ``url`` may have a query (percent-encoded); one of ``user`` and ``application`` is needed, both mean that the
    application acts for the user. ``body`` is the raw body, or its pieces in order. ``UsageError`` without a signer.
    """
    if not user and not application:
        raise UsageError("a signed request needs a user name or an application")
    parts = urlsplit(url)
    query = [pair for pair in read_query(parts.query) if pair[0] not in _UNSIGNED | {"remote_user", "timestamp"}]
    if application:
        query.append(("remote_application", application))
    if user:
        query.append(("remote_user", user))
    query.append(("timestamp", str(timestamp)))
    mac = Signer(key, algorithm)
    host = signed_host(parts.hostname or "", parts.port, parts.scheme)
    mac.head(canonical(method, host, unquote(parts.path), query))
    for piece in (body,) if isinstance(body, bytes) else body:
        mac.body(piece)
    query.append(("signature", mac.signature()))
    encoded = "&".join(f"{quote(name, safe='[]@')}={quote(value, safe='@')}" for name, value in query)
    return f"{parts.scheme}://{parts.netloc}{parts.path}?{encoded}"


def unverifiable_because(query: Sequence[tuple[str, str]]) -> str | None:
    """Why a real FileSender can never verify this query, or ``None``: it changes some texts before checking (trap 7).

    >>> unverifiable_because([("remote_user", "a&amp;b")])
    "the server changes the text of 'remote_user' (HTML entities, '<')"
    """
    for name, value in query:
        if not re.fullmatch(r"[A-Za-z0-9._-]+(?:\[[A-Za-z0-9._-]*\])*", name):
            return f"the server does not take the parameter name {name!r}"
        if html.unescape(value) != value or re.search(r"<\S", value):
            return f"the server changes the text of {name!r} (HTML entities, '<')"
    return None
