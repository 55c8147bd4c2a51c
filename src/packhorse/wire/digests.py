"""Digest header fields: ``Repr-Digest``/``Content-Digest`` (RFC 9530), ``Digest`` (RFC 3230), ``Content-MD5``.

Which bytes they speak of differs, and that decides which may prove a file: ``Repr-Digest`` and ``Digest`` always mean
the whole representation; ``Content-Digest`` and ``Content-MD5`` mean the body of this very message, which in a 206 is
only a part.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable
from typing import Final

from packhorse.model import Digest

__all__ = [
    "content_md5",
    "parse_content_md5",
    "parse_digest_field",
    "parse_legacy_digest",
    "repr_digest",
    "stated_digests",
]

_NAMES: Final = {"sha256": "sha-256", "md5": "md5"}
_ALGORITHMS: Final = {"sha-256": "sha256", "sha256": "sha256", "md5": "md5"}
_SIZES: Final = {"sha256": 32, "md5": 16}
_FIELD: Final = re.compile(r"([a-z0-9*_.-]{1,32})[ \t]*=[ \t]*:([A-Za-z0-9+/=]{0,200}):", re.ASCII | re.IGNORECASE)
_LIMIT: Final = 8192


def repr_digest(digests: Iterable[Digest]) -> str | None:
    """``Repr-Digest`` (or ``Content-Digest``) for those digests that HTTP has names for, or ``None``.

    >>> repr_digest([Digest("md5", "d41d8cd98f00b204e9800998ecf8427e"), Digest("crc32", "00000000")])
    'md5=:1B2M2Y8AsgTpgAmY7PhCfg==:'
    """
    shown = [f"{_NAMES[d.algorithm]}=:{_base64(d)}:" for d in digests if d.algorithm in _NAMES]
    return ", ".join(shown) or None


def content_md5(digest: Digest) -> str:
    """``Content-MD5`` (RFC 1864): only for a body that is the whole file."""
    if digest.algorithm != "md5":
        raise ValueError("Content-MD5 carries an md5")
    return _base64(digest)


def parse_digest_field(text: str | None) -> tuple[Digest, ...]:
    """The digests of a ``Repr-Digest`` or ``Content-Digest`` field that we can compute; others are left out.

    >>> [str(d) for d in parse_digest_field('sha-512=:eA==:, md5=:1B2M2Y8AsgTpgAmY7PhCfg==:;x=1')]
    ['md5:d41d8cd98f00b204e9800998ecf8427e']
    """
    if text is None or len(text) > _LIMIT:
        return ()
    return _unambiguous(_decode(name, value) for name, value in _FIELD.findall(text))


def parse_legacy_digest(text: str | None) -> tuple[Digest, ...]:
    """The digests of an RFC 3230 ``Digest`` field (``MD5=base64,SHA-256=base64``)."""
    if text is None or len(text) > _LIMIT:
        return ()
    pairs = (part.strip(" \t").partition("=") for part in text.split(","))
    return _unambiguous(_decode(name, value) for name, _, value in pairs)


def parse_content_md5(text: str | None) -> Digest | None:
    """The digest of a ``Content-MD5`` field, or ``None``."""
    return None if text is None or len(text) > 64 else _decode("md5", text.strip(" \t"))


def stated_digests(header: Callable[[str], str | None], *, status: int = 200) -> tuple[Digest, ...]:
    """What a response says about the whole file. ``header`` gives a field's value by its name.

    Of a 206 the fields that speak of the message body are left out. Two fields that contradict each other leave that
    algorithm out altogether: then nothing is stated.
    """
    found = [*parse_digest_field(header("Repr-Digest")), *parse_legacy_digest(header("Digest"))]
    if status != 206:
        found += parse_digest_field(header("Content-Digest"))
        md5 = parse_content_md5(header("Content-MD5"))
        found += [md5] if md5 else []
    return _unambiguous(found)


def _unambiguous(digests: Iterable[Digest | None]) -> tuple[Digest, ...]:
    seen: dict[str, set[Digest]] = {}
    for digest in digests:
        if digest is not None:
            seen.setdefault(digest.algorithm, set()).add(digest)
    return tuple(next(iter(group)) for group in seen.values() if len(group) == 1)


def _base64(digest: Digest) -> str:
    return base64.b64encode(bytes.fromhex(digest.value)).decode("ascii")


def _decode(name: str, value: str) -> Digest | None:
    algorithm = _ALGORITHMS.get(name.strip(" \t").lower())
    if algorithm is None:
        return None
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None
    return Digest(algorithm, raw.hex()) if len(raw) == _SIZES[algorithm] else None
