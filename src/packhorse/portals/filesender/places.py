"""Addresses of FileSender: ``TOKEN``, ``TOKEN/reads/*.gz``, ``transfers/12``, ``guests``, pasted links. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Literal
from urllib.parse import parse_qs

from packhorse.errors import AddressError, UsageError
from packhorse.net.redact import show_text
from packhorse.settings import RemoteSettings
from packhorse.wire.filesender.links import Link, is_token, parse_link, site_base

__all__ = ["ARCHIVES", "Place", "fits", "link_address", "parse_place", "voucher_refused"]

Kind = Literal["root", "token", "transfers", "guests", "voucher"]
ARCHIVES: Final = ("zip", "tar")
_EXAMPLES: Final = "for example REMOTE:TOKEN, REMOTE:TOKEN/reads/*.gz, REMOTE:transfers/12, or the whole link"


@dataclass(frozen=True, slots=True)
class Place:
    """``id`` is a token, a voucher or a transfer's number; ``rest`` a file's name or a pattern; ``archive`` zip or tar;
    ``files`` the file ids that a link names."""

    kind: Kind
    id: str = ""
    rest: str = ""
    archive: str = ""
    files: tuple[int, ...] = ()


def parse_place(path: str) -> Place:
    """Read the path of a FileSender address. Raises :class:`AddressError`.

    >>> parse_place("transfers/12/a/b.txt")
    Place(kind='transfers', id='12', rest='a/b.txt', archive='', files=())
    >>> parse_place("0f5c2a7e-1111-4222-8333-94b6a1c2d3e4?archive=zip").archive
    'zip'
    """
    if "://" in path:
        return _of_link(parse_link(path))
    path, question, asked = path.strip("/").partition("?")
    # A question mark is no character of a name here: servers refuse it.
    archive, files = _asked(asked) if question else ("", ())
    word, _, rest = path.strip("/").partition("/")
    rest = rest.strip("/")
    if not word and not question:
        return Place("root")
    if is_token(word):
        return Place("token", word.lower(), rest, archive, files)
    number, _, below = rest.partition("/")
    if word == "voucher" and is_token(number) and not below:
        return Place("voucher", number.lower())
    if word == "guests" and not rest:
        return Place("guests")
    if word in ("transfers", "transfer"):
        if number and not (number.isascii() and number.isdigit() and len(number) < 19):
            raise AddressError(f"{show_text(path)!r} is no FileSender address: a transfer's id is a number")
        return Place("transfers", number, below.strip("/"), archive, files)
    raise AddressError(f"{show_text(path)!r} is no FileSender address: a token has the form 8-4-4-4-12", hint=_EXAMPLES)


def _asked(query: str) -> tuple[str, tuple[int, ...]]:
    values = parse_qs(query, keep_blank_values=True)
    archive = values.pop("archive", [""])[0].lower()
    ids = values.pop("files", [""])[0]
    if values or archive not in ("", *ARCHIVES):
        raise AddressError(f"?{show_text(query)} is not understood", hint="REMOTE:TOKEN?archive=zip, or tar")
    try:
        return archive, tuple(int(part) for part in ids.split(",") if part)
    except ValueError:
        raise AddressError(f"?{show_text(query)} is not understood: file ids are numbers") from None


def _of_link(link: Link | None) -> Place:
    if link is None:
        raise AddressError("this is no link of a FileSender site", hint=_EXAMPLES)
    if link.kind == "upload":
        return Place("voucher", link.token)
    return Place("token", link.token, files=link.file_ids)


def link_address(link: Link, remotes: list[RemoteSettings]) -> tuple[str, str]:
    """Remote and path for a pasted link: a configured remote of that site, else the site's own address as the remote.

    >>> link_address(parse_link("https://h/fs/?s=upload&vid=0f5c2a7e-1111-4222-8333-94b6a1c2d3e4"), [])
    ('https://h/fs', 'voucher/0f5c2a7e-1111-4222-8333-94b6a1c2d3e4')
    """
    path = f"voucher/{link.token}" if link.kind == "upload" else link.token
    if link.file_ids:
        path += "?files=" + ",".join(map(str, link.file_ids))
    for remote in remotes:
        if remote.kind == "filesender" and remote.url and site_base(remote.url) == link.base:
            return remote.name, path
    return link.base, path


def fits(path: str, wanted: str) -> bool:
    """Whether a file's name is meant: the name itself, a folder above it, or a pattern.

    >>> fits("a/b.txt", "a"), fits("a/b.txt", "*.txt"), fits("a[1].txt", "a[1].txt"), fits("ab.txt", "a")
    (True, True, True, False)
    """
    return not wanted or path == wanted or path.startswith(wanted + "/") or fnmatchcase(path, wanted)


def voucher_refused(remote: str, base: str) -> UsageError:
    """The error for a voucher where a download token is wanted."""
    return UsageError(
        f"{remote}: this is a voucher: it invites you to send files, and there is nothing to download by it",
        hint=f"send by it: packhorse send FILES --voucher '{base}/?s=upload&vid=…'; a link for receiving looks like "
        f"{base}/?s=download&token=…",
    )
