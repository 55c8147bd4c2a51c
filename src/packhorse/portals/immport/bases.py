"""Where each of ImmPort's services is: one origin, or an address of its own each (spec immport §0). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args
from urllib.parse import urlencode, urlsplit

from packhorse.net.redirect import same_origin
from packhorse.settings import RemoteSettings

__all__ = ["Bases", "Service", "bases_of", "token_urls"]

Service = Literal["auth", "query", "data", "upload", "batch"]
_PATHS: Final = {
    "auth": "/auth",
    "query": "/data/query",
    "data": "/data",
    "upload": "",
    "batch": "/data/batch/updater",
}
_OFFICIAL: Final = ("www.immport.org", "immport.org", "api.immport.org", "auth.immport.org")
_UPLOAD_HOST: Final = "https://immport-upload.niaid.nih.gov"
_TOKEN_BASES: Final = ("https://www.immport.org/auth", "https://auth.immport.org/auth")
_ASPERA_HOST: Final = "aspera-immport.niaid.nih.gov"


@dataclass(frozen=True, slots=True)
class Bases:
    """The address of every service, without a trailing slash; ``origin`` is the remote's own.

    ``auth_others`` are further places of the token service, asked where the first has none. ``aspera_host`` is a
    host name.
    """

    origin: str
    auth: str
    query: str
    data: str
    upload: str
    batch: str
    aspera_host: str
    auth_others: tuple[str, ...] = ()

    def url(self, service: Service, path: str, params: Sequence[tuple[str, str]] = ()) -> str:
        """The URL of a path below a service's base; the path is taken as it is, so escape what stands in it.

        >>> bases = bases_of(RemoteSettings("immport", "immport", "https://www.immport.org"))
        >>> bases.url("query", "result/elisa", (("studyAccession", "SDY2,SDY4"),))
        'https://www.immport.org/data/query/result/elisa?studyAccession=SDY2%2CSDY4'
        """
        base: str = getattr(self, service)
        below = path.strip("/")
        query = f"?{urlencode(params)}" if params else ""
        return f"{base}/{below}{query}" if below else f"{base}{query}"

    def holds(self, url: str) -> bool:
        """Whether a URL is at one of the services: the token goes nowhere else."""
        places = (self.origin, *(getattr(self, name) for name in get_args(Service)), *self.auth_others)
        return any(same_origin(url, place) for place in places)


def token_urls(url: str) -> tuple[str, ...]:
    """A token service's address, and where else it may be: ImmPort's moved from one host to another.

    >>> token_urls("https://auth.immport.org/auth/token")[1]
    'https://www.immport.org/auth/token'
    """
    both = [f"{base}/token" for base in _TOKEN_BASES]
    return (url, *(other for other in both if other != url)) if url in both else (url,)


def bases_of(remote: RemoteSettings) -> Bases:
    """The services of a remote: ``auth_url`` and so on of its settings, else the usual places at its origin.

    >>> bases_of(RemoteSettings("immport", "immport", "https://www.immport.org")).upload
    'https://immport-upload.niaid.nih.gov:8443'
    >>> bases_of(RemoteSettings("lab", "immport", "http://127.0.0.1:8000")).batch
    'http://127.0.0.1:8000/data/batch/updater'
    """
    host = urlsplit(remote.url).hostname or ""
    official = host in _OFFICIAL
    found = {name: remote.url + path for name, path in _PATHS.items()}
    others: tuple[str, ...] = ()
    if official:
        found["upload"] = f"{_UPLOAD_HOST}:8443"
        found["batch"] = f"{_UPLOAD_HOST}:9443/data/batch/updater"
        both = _TOKEN_BASES
        if host in ("api.immport.org", "auth.immport.org"):  # the first generation
            found["auth"] = both[1]
            found["query"], found["data"] = "https://api.immport.org/data/query", "https://api.immport.org/data"
        others = tuple(place for place in both if place != found["auth"])
    for name in found:
        given = remote.options.get(f"{name}_url")
        if isinstance(given, str):
            found[name] = given.rstrip("/")
            others = () if name == "auth" else others
    aspera = remote.options.get("aspera_host") or (_ASPERA_HOST if official else host)
    return Bases(remote.url, **found, aspera_host=str(aspera), auth_others=others)
