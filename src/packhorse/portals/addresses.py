"""What an address means: ``remote:path``, a pasted web link, a URL, a local path (DESIGN §2)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from packhorse.errors import AddressError
from packhorse.model import Address
from packhorse.net.redact import hide_token, show_text, show_url
from packhorse.portals.drs import parse_drs
from packhorse.portals.filesender.places import link_address
from packhorse.portals.flow.places import KINDS, link_path
from packhorse.portals.immport.places import link_path as immport_path
from packhorse.settings import Settings, near
from packhorse.wire.filesender.links import Link, is_token, parse_link, site_base

__all__ = ["resolve", "shown"]

_REMOTE: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]+):(.*)", re.DOTALL)
_SITE_TOKEN: Final = re.compile(r"(https?://[^\s?#]+?):([0-9A-Za-z]+(?:-[0-9A-Za-z]+){2,8})([/?].*)?", re.DOTALL)


def resolve(text: str, settings: Settings) -> Address:
    """Read an address. Raises :class:`AddressError` for one that means nothing."""
    text = text.strip()
    if text.startswith(("<http://", "<https://")) and text.endswith(">"):  # as mails write them
        text = text[1:-1]
    if not text or "\0" in text:
        raise AddressError("an empty address" if not text else "an address cannot hold a NUL character")
    scheme = text.partition("://")[0].lower() if "://" in text else ""
    if scheme in ("http", "https"):
        return _link(text, scheme, settings)
    if scheme == "drs":
        parse_drs(text)
        return Address("drs", text)
    if scheme == "file":
        return Address("local", unquote(urlsplit(text).path))
    found = _REMOTE.fullmatch(text)
    if found is None:
        return _local(text, settings)
    name, path = found.groups()
    if name in settings.remotes:
        return Address(name, path.removeprefix("//"))
    if not scheme and _exists(text):
        return Address("local", text)
    raise AddressError(
        f"there is no remote called {name!r}{near(name, settings.remotes)}",
        hint=f"packhorse remote list, or packhorse remote add {name} KIND URL",
    )


def shown(address: Address) -> str:
    """The address for messages: a URL's query, which may be a signature, is not shown."""
    if address.remote in ("http", "https"):
        return show_url(address.path)
    if "://" in address.remote:  # a pasted link's site
        return f"{address.remote}/?…"
    return hide_token(show_text(str(address), 400))


def _link(url: str, scheme: str, settings: Settings) -> Address:
    for remote in settings.remotes.values():
        reads = {"flow": link_path, "immport": immport_path}.get(remote.kind)
        if reads is not None and remote.url:
            path = reads(url, remote)
            if path is not None:
                return Address(remote.name, path)
    try:
        found = _filesender(url, settings)
        host = urlsplit(url).hostname
    except ValueError:
        found = host = None
    if found is not None:
        return found
    if not host:
        raise AddressError(f"{show_url(url)} is not a web address")
    return Address(scheme, url)


def _filesender(url: str, settings: Settings) -> Address | None:
    """A FileSender link, or ``SITE:TOKEN/name`` as ``ls`` writes it for a site that is not configured."""
    remotes = list(settings.remotes.values())
    link = parse_link(url)
    if link is not None:
        return Address(*link_address(link, remotes))
    found = _SITE_TOKEN.fullmatch(url)
    base = site_base(found[1]) if found is not None and is_token(found[2]) else None
    if found is not None and base is not None:
        name, path = link_address(Link(base, "download", found[2]), remotes)
        return Address(name, path + (found[3] or ""))
    page = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    base = site_base(url)
    known = any(remote.kind == "filesender" and remote.url and site_base(remote.url) == base for remote in remotes)
    # Elsewhere ?s=download alone may be anybody's page.
    if (page.get("s"), "token" in page or "vid" in page or known) in (("download", True), ("upload", True)):
        raise AddressError(
            f"{show_url(url)}: the token of this FileSender link is not whole",
            hint="copy the whole link out of the mail",
        )
    return None


def _local(text: str, settings: Settings) -> Address:
    if text.startswith((".", "/", "~", "\\")) or re.match(r"[A-Za-z]:[\\/]", text) or _exists(text):
        return Address("local", text)
    first = text.partition("/")[0]
    if first in KINDS:
        raise AddressError(f"{show_text(text)!r} names no remote; did you mean flow:{show_text(text)}?")
    if first in settings.remotes:
        raise AddressError(f"{show_text(text)!r} is no address; did you mean {first}:{text[len(first) + 1 :]}?")
    raise AddressError(
        f"{show_text(text)!r} is no address: neither REMOTE:PATH nor a web address, and no such file is here",
        hint="for example: packhorse get flow:samples/12",
    )


def _exists(text: str) -> bool:
    try:
        return Path(text).expanduser().exists()
    except (OSError, RuntimeError, ValueError):
        return False
