"""Addresses of Flow: ``samples/12``, ``executions/456/results/x.tsv``, ``projects?name=liver``, pasted links. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from packhorse.errors import AddressError
from packhorse.net.redact import show_text
from packhorse.settings import RemoteSettings, near
from packhorse.wire.flow import parse_id, safe_relative_path

__all__ = ["KINDS", "Place", "link_path", "parse_place"]

Kind = Literal["root", "data", "samples", "projects", "executions", "search"]
KINDS: Final[tuple[Kind, ...]] = ("samples", "projects", "executions", "data")
_ALIASES: Final[dict[str, Kind]] = {
    "sample": "samples",
    "project": "projects",
    "execution": "executions",
    "downloads": "data",
    **{kind: kind for kind in KINDS},
    "search": "search",
}
_FLOW_HOSTS: Final = frozenset({"app.flow.bio", "api.flow.bio", "files.flow.bio"})
_EXAMPLES: Final = "for example data/789, samples/12, projects/3 or executions/456/multiqc_report.html"


@dataclass(frozen=True, slots=True)
class Place:
    """``id`` is a text of digits, ``rest`` the path below it without slashes around, ``query`` what a listing asks."""

    kind: Kind
    id: str | None = None
    rest: str = ""
    query: tuple[tuple[str, str], ...] = ()


def parse_place(path: str) -> Place:
    """Read the path of a Flow address. Raises :class:`AddressError`.

    >>> parse_place("executions/456/results/")
    Place(kind='executions', id='456', rest='results', query=())
    >>> parse_place("samples?name=liver").query
    (('name', 'liver'),)
    """
    path, question, query_text = path.partition("?")
    path = path.strip("/")
    query = tuple(parse_qsl(query_text, keep_blank_values=True)) if question else ()
    if not path:
        return Place("root")
    word, _, below = path.partition("/")
    kind = _ALIASES.get(word)
    if kind is None:
        raise AddressError(f"Flow has no {show_text(word)!r}{near(word, _ALIASES)}", hint=_EXAMPLES)
    if not below:
        return Place(kind, query=query)
    number, _, rest = below.partition("/")
    if kind == "search" or parse_id(number) is None:
        raise AddressError(f"{show_text(path)!r} is no Flow address: an id is written in digits", hint=_EXAMPLES)
    if query:
        raise AddressError(
            f"{show_text(path)!r} takes no question mark: only listings are asked", hint=f"{kind}?name=…"
        )
    if rest and not safe_relative_path(rest):
        raise AddressError(
            f"{show_text(path)!r} is no Flow address: a path has no empty part and no '..'", hint=_EXAMPLES
        )
    return Place(kind, number, rest)


@lru_cache(maxsize=64)
def _hosts_of(url: str, web_url: str) -> tuple[frozenset[tuple[str | None, int | None]], str]:
    """Hosts and ports whose links are a remote's, and the path of its address. Raises ``ValueError``."""
    base, web = urlsplit(url), urlsplit(web_url)
    if not base.hostname:
        return frozenset(), base.path
    hosts = {(base.hostname, base.port), (web.hostname, web.port)}
    if base.hostname in _FLOW_HOSTS:
        hosts |= {(host, None) for host in _FLOW_HOSTS}
    return frozenset(hosts), base.path


def link_path(url: str, remote: RemoteSettings) -> str | None:
    """The path at ``remote`` that a pasted web or API link means, or ``None`` when it is not this remote's.

    >>> flow = RemoteSettings("flow", "flow", "https://app.flow.bio/api")
    >>> link_path("https://api.flow.bio/downloads/789/a%20b.gz?direct=yes", flow)
    'data/789'
    >>> link_path("https://app.flow.bio/executions/456/results/x.tsv", flow)
    'executions/456/results/x.tsv'
    """
    try:
        hosts, below = _hosts_of(remote.url, str(remote.options.get("web_url") or remote.url))
        link = urlsplit(url)
        if (link.hostname, link.port) not in hosts:
            return None
    except ValueError:
        return None
    path = link.path
    for prefix in (below, "/files", "/api"):
        if prefix and path.startswith(prefix + "/"):
            path = path.removeprefix(prefix)
            break
    try:
        place = parse_place(unquote(path))
    except AddressError:
        return None
    if place.id is None:
        return None
    if place.kind == "data" or not place.rest:
        return f"{place.kind}/{place.id}"
    return f"{place.kind}/{place.id}/{place.rest}"
