"""Through which FileSender site something goes: ``--via``, a voucher's link, or the only site configured. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from packhorse.errors import AddressError, SettingsError, UsageError
from packhorse.model import Secret
from packhorse.net.redact import show_text, show_url
from packhorse.settings import DEMO_FILES, Settings
from packhorse.wire.filesender.links import Link, is_token, parse_link, site_base

__all__ = ["Via", "choose"]

_ADD: Final = "packhorse remote add NAME filesender https://filesender.example.org, then --via NAME"


@dataclass(frozen=True, slots=True)
class Via:
    """``remote`` is a remote's name, or the address of a site that is not configured; ``voucher``: as its guest."""

    remote: str
    voucher: Secret | None = None


def choose(settings: Settings, via: str | None = None, voucher: Secret | str | None = None) -> Via:
    """The site that is meant.

    ``via`` is a remote's name, a site's address, or a voucher's link; ``voucher`` a link, or its id where ``via`` names
    the site. With neither it is the only FileSender remote that is configured; the demo's counts only where there is no
    other. Raises :class:`UsageError` or :class:`AddressError`, saying what to type.
    """
    given = voucher.reveal() if isinstance(voucher, Secret) else voucher
    if via is not None and "://" in via:
        link = parse_link(via)
        if link is not None:
            if given is not None:
                raise UsageError("--via is a voucher's link already", hint="leave --voucher out")
            return _as_guest(settings, link)
        return Via(_site(settings, via), _bare(given, via))
    if given is not None and "://" in given:
        link = parse_link(given)
        if link is None:
            raise UsageError(f"{show_url(given)} is no voucher's link", hint="its form is https://…/?s=upload&vid=…")
        found = _as_guest(settings, link)
        if via is not None and _named(settings, via) != found.remote:
            raise UsageError(f"the voucher is of another site than {via}", hint="leave --via out: the link says where")
        return found
    if via is not None:
        return Via(_named(settings, via), _bare(given, via))
    if given is not None:
        raise UsageError(
            "a voucher's id alone does not say where it is from", hint="give its whole link, or the site with --via"
        )
    return Via(_only(settings))


def _as_guest(settings: Settings, link: Link) -> Via:
    if link.kind == "download":
        raise UsageError(
            "this link is for receiving files, not for sending", hint="packhorse get LINK; a voucher has s=upload&vid="
        )
    return Via(_site(settings, link.base), Secret(link.token))


def _bare(voucher: str | None, via: str) -> Secret | None:
    if voucher is None:
        return None
    if not is_token(voucher.strip()):
        raise UsageError(
            f"that is no voucher of {show_text(via)}",
            hint="give the invitation's whole link: …?s=upload&vid=…",
        )
    return Secret(voucher.strip())


def _site(settings: Settings, url: str) -> str:
    """The remote that is configured for a site's address, else that address."""
    base = site_base(url)
    if base is None:
        raise AddressError(
            f"{show_url(url)} is no site's address", hint="--via REMOTE, or https://filesender.example.org"
        )
    for name, remote in settings.remotes.items():
        if remote.kind == "filesender" and remote.url and site_base(remote.url) == base:
            return name
    return base


def _named(settings: Settings, via: str) -> str:
    name = via.rstrip(":")
    try:
        remote = settings.remote(name)
    except SettingsError as error:
        raise AddressError(error.message, hint=f"packhorse remote add {show_text(name)} filesender URL") from None
    if remote.kind != "filesender":
        hint = f"--via {DEMO_FILES}" if name == "demo" else _known(settings) or _ADD
        raise UsageError(f"{name} is a {remote.kind} remote; files go to people through a FileSender site", hint=hint)
    return name


def _only(settings: Settings) -> str:
    names = _names(settings)
    own = [name for name in names if name != DEMO_FILES] or names
    if len(own) == 1:
        return own[0]
    if not own:
        raise UsageError("no FileSender site is configured", hint=f"{_ADD}; to try it: packhorse serve --demo")
    raise UsageError(f"which site? {', '.join(own)} are configured", hint=f"--via {own[0]}")


def _names(settings: Settings) -> list[str]:
    return sorted(name for name, remote in settings.remotes.items() if remote.kind == "filesender" and remote.url)


def _known(settings: Settings) -> str:
    names = _names(settings)
    return f"--via {names[0]}" if names else ""
