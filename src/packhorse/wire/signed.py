"""How long a signed address holds, read off the address itself. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

__all__ = ["is_signed", "signed_until"]

_SIGNATURES = ("x-amz-signature", "x-goog-signature", "signature", "sig", "token")
_LONGEST = 10 * 365 * 86400.0


def _query(url: str) -> dict[str, str]:
    try:
        return {name.lower(): value for name, value in parse_qsl(urlsplit(url).query)}
    except ValueError:
        return {}


def is_signed(url: str) -> bool:
    """Whether the address carries a signature of its own.

    >>> is_signed("https://s3.example.org/a?X-Amz-Signature=abc"), is_signed("https://host/a?x=1")
    (True, False)
    """
    return any(name in _SIGNATURES for name in _query(url))


def signed_until(url: str) -> float | None:
    """When the signature is over, in Unix seconds of the signer's clock; ``None`` where the address does not say.

    Reads the query of S3 (versions 4 and 2), of Google's store and of CloudFront.

    >>> signed_until("https://s3/a?X-Amz-Date=20260102T030405Z&X-Amz-Expires=60")
    1767323105.0
    >>> signed_until("https://cdn/a?Expires=1767323105&Signature=x")
    1767323105.0
    >>> signed_until("https://host/a?x=1") is None
    True
    """
    query = _query(url)
    for vendor in ("x-amz", "x-goog"):
        lasts = _seconds(query.get(f"{vendor}-expires"))
        begins = _stamp(query.get(f"{vendor}-date"))
        if lasts is not None and begins is not None and lasts < _LONGEST:
            return begins + lasts
    return _seconds(query.get("expires"))


def _seconds(text: str | None) -> float | None:
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 12:
        return None
    return float(text)


def _stamp(text: str | None) -> float | None:
    try:
        return datetime.strptime(text or "", "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
