"""``Content-Disposition`` (RFC 6266, names by RFC 5987/8187): build exactly, read leniently."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, unquote_to_bytes

__all__ = ["content_disposition", "parse_content_disposition"]

_ATTR_CHARS: Final = "!#$&+-.^_`|~"  # RFC 8187 attr-char besides letters and digits
_UNSAFE: Final = re.compile(r'[^\x20-\x7e]|["\\%/]')
_LIMIT: Final = 8192


def content_disposition(name: str, *, inline: bool = False) -> str:
    """The header for a file called ``name``; names beyond plain ASCII also get ``filename*``.

    The fallback has ``_`` for what old readers misread (quotes, backslash, percent, slash, controls, non-ASCII).

    >>> content_disposition("a.txt")
    'attachment; filename="a.txt"'
    >>> content_disposition("naïve.txt")
    'attachment; filename="na_ve.txt"; filename*=UTF-8\\'\\'na%C3%AFve.txt'
    """
    kind = "inline" if inline else "attachment"
    fallback = _UNSAFE.sub("_", name)
    header = f'{kind}; filename="{fallback}"'
    if fallback != name:
        header += "; filename*=UTF-8''" + quote(name.encode("utf-8", "replace"), safe=_ATTR_CHARS)
    return header


_PARAMETER: Final = re.compile(
    r";[ \t]*(?P<name>[!#$%&'+\-.^_`|~0-9A-Za-z]+\*?)[ \t]*=[ \t]*"
    r"(?:\"(?P<quoted>(?:[^\"\\]|\\.)*)\"|(?P<plain>[^;]*))",
    re.DOTALL,
)


def parse_content_disposition(text: str | None) -> str | None:
    """The file name that a server suggests, raw and hostile, or ``None`` when it suggests none.

    ``filename*`` wins over ``filename``. Header text is Latin-1; a name in it that is valid UTF-8 is read as UTF-8,
    because that is what servers that ignore RFC 6266 send. The caller must make a safe path of it.

    >>> parse_content_disposition("attachment; filename=x.txt; filename*=UTF-8''na%C3%AFve.txt")
    'naïve.txt'
    """
    if text is None or len(text) > _LIMIT:
        return None
    kind, semicolon, _ = text.partition(";")
    start = len(kind) if semicolon else 0
    if not semicolon:
        if "=" not in text:
            return None
        text = ";" + text  # "filename=x" alone is sent by some servers
    found: dict[str, str] = {}
    for match in _PARAMETER.finditer(text, start):
        name = match["name"].lower()
        if name in found:
            continue
        quoted = match["quoted"]
        found[name] = (
            re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL) if quoted is not None else match["plain"].strip(" \t")
        )
    extended = _extended(found["filename*"]) if "filename*" in found else None
    name = extended or (_utf8(found["filename"]) if "filename" in found else "")
    return name or None


def _extended(value: str) -> str | None:
    """RFC 8187 ``charset'language'percent-encoded``."""
    charset, _, rest = value.partition("'")
    _, quote_mark, encoded = rest.partition("'")
    if not quote_mark:
        return None
    try:
        raw = unquote_to_bytes(encoded)
        match charset.lower():
            case "utf-8" | "utf8":
                return raw.decode("utf-8")
            case "iso-8859-1" | "latin-1" | "us-ascii":
                return raw.decode("latin-1")
            case _:
                return None
    except UnicodeError:
        return None


def _utf8(text: str) -> str:
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text
