"""What ``packhorse doctor`` looks at. Each check says ok, warn or fail, what it found, and what mends it.

None of them needs a network to end: what is asked over one has a short limit, and the keyring two seconds.
"""

from __future__ import annotations

import os
import platform
import shutil
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from packhorse.cli.texts import duration, size
from packhorse.errors import PackhorseError, TlsError

if TYPE_CHECKING:
    from packhorse.credentials.ladder import Answer
    from packhorse.settings import RemoteSettings, Settings

__all__ = ["Check", "clock_check", "credential_checks", "local_checks", "remote_checks", "space_check"]

Verdict = Literal["ok", "warn", "fail"]
REMOTE_LIMIT = 5.0
SKEW_WARN, SKEW_FAIL = 5.0, 15.0
"""Seconds. FileSender refuses signatures that are more than 15 s off; tokens tolerate a little more."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report."""

    name: str
    verdict: Verdict
    found: str
    fix: str = ""


def local_checks(settings: Settings, directory: Path) -> Iterator[Check]:
    """Everything that needs no network."""
    yield _python()
    yield from _guarded("libcurl", _libcurl)
    yield from _guarded("certificates", lambda: _certificates(settings))
    yield _proxy(settings)
    yield from _guarded("keyring", lambda: _keyring(settings))
    yield space_check("space here", directory)
    yield _state(settings)
    yield _ascp(settings)


def _guarded(name: str, check: Callable[[], Check]) -> Iterator[Check]:
    """A check that itself fails is a finding, not the end of the report."""
    try:
        yield check()
    except PackhorseError as error:
        yield Check(name, "fail", error.message, error.hint or "")
    except (ImportError, OSError) as error:
        yield Check(name, "fail", f"{type(error).__name__}: {error}", "pip install --force-reinstall packhorse")


def _python() -> Check:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return Check("python", "ok", found)


def _libcurl() -> Check:
    import pycurl

    words = pycurl.version.split()
    curl = next((word for word in words if word.startswith("libcurl/")), "libcurl/?")
    tls = next(
        (
            word
            for word in words
            if word.lower().startswith(
                ("openssl", "libressl", "gnutls", "schannel", "securetransport", "boringssl", "quictls")
            )
        ),
        "",
    )
    http2 = any(word.startswith("nghttp2") for word in words)
    found = f"{curl.partition('/')[2]}, TLS by {tls.replace('/', ' ') or 'nothing'}, HTTP/2 {'yes' if http2 else 'no'}"
    if not tls:
        return Check("libcurl", "fail", found, "install a pycurl wheel: pip install --force-reinstall pycurl")
    return Check("libcurl", "ok", found)


def _certificates(settings: Settings) -> Check:
    from packhorse.net.tls import find_ca_bundle, uses_native_store

    given = settings.network.ca_bundle
    path = given or find_ca_bundle()
    if path is None:
        if uses_native_store():
            return Check("certificates", "ok", "the system's own store")
        return Check(
            "certificates", "fail", "no CA certificates found",
            "install your system's ca-certificates package, or give a file with --ca-bundle or SSL_CERT_FILE",
        )  # fmt: skip
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(path)
        number = context.cert_store_stats()["x509_ca"]
    except (OSError, ssl.SSLError) as error:
        return Check("certificates", "fail", f"{path} cannot be used: {error}", "give a PEM file with --ca-bundle FILE")
    origin = f", named by {settings.network.ca_from}" if given and settings.network.ca_from else ""
    return Check("certificates", "ok", f"{number} in {path}{origin}")


def _proxy(settings: Settings) -> Check:
    network = settings.network
    if network.proxy is not None:
        return Check("proxy", "ok", "set in the settings or with --proxy")
    if network.proxy_variables:
        return Check("proxy", "ok", f"from {', '.join(network.proxy_variables)}")
    return Check("proxy", "ok", "none")


def _keyring(settings: Settings) -> Check:
    from packhorse.credentials.keyrings import KEYRING_LIMIT, look_up

    began = time.monotonic()
    reply = look_up(("flow-api",), None, settings.environ, KEYRING_LIMIT)
    took = duration(time.monotonic() - began)
    if reply.problem is not None:
        return Check(
            "keyring", "warn", f"{reply.problem} ({took})",
            "not needed: credentials then go to a private file; or pip install 'packhorse[keyring]'",
        )  # fmt: skip
    if reply.backend is not None and ".fail." in reply.backend:
        return Check(
            "keyring", "warn", f"none on this machine ({took})", "not needed: credentials go to a private file"
        )
    return Check("keyring", "ok", f"{reply.backend} ({took})")


def space_check(name: str, directory: Path, warn_below: int = 2**30) -> Check:
    """Free space and inodes on the volume of a directory."""
    try:
        free = shutil.disk_usage(directory).free
        inodes = os.statvfs(directory).f_favail if hasattr(os, "statvfs") else None
    except OSError as error:
        return Check(name, "fail", f"{directory}: {error.strerror}", "choose another directory")
    found = f"{size(free)} free at {directory}"
    if not os.access(directory, os.W_OK):
        return Check(name, "warn", f"{found}, but you may not write there", "give a destination with --to DIR")
    if free < warn_below:
        return Check(name, "warn", found, "choose a destination on another volume with --to DIR")
    # file systems that count no inodes (btrfs, some network ones) say 0
    if inodes is not None and 0 < inodes < 1000:
        return Check(name, "warn", f"{found}, but only {inodes} files more", "choose another volume with --to DIR")
    return Check(name, "ok", found)


def _state(settings: Settings) -> Check:
    folder = settings.state_dir
    existing = next((parent for parent in (folder, *folder.parents) if parent.exists()), Path("/"))
    if not os.access(existing, os.W_OK):
        return Check("state", "warn", f"{folder} cannot be written", "name another one with PACKHORSE_STATE=DIR")
    return Check("state", "ok", str(folder))


def _ascp(settings: Settings) -> Check:
    from packhorse.portals.immport.aspera.find import INSTALL, find_ascp, find_keys

    remotes = [remote for remote in settings.remotes.values() if remote.kind == "immport"]
    named = next((remote for remote in remotes if remote.options.get("ascp")), None)
    options = named.options if named is not None else {}
    path = find_ascp(options.get("ascp"), settings.environ)
    if path is None:
        wanted = options.get("ascp") or settings.environ.get("ASCP") or settings.environ.get("ASPERA_ASCP")
        if wanted:
            return Check("ascp", "fail", f"{wanted} is no program that can be run", INSTALL)
        if any(remote.options.get("route") == "aspera" for remote in remotes):
            return Check("ascp", "fail", "none, and a remote's route is aspera", INSTALL)
        return Check("ascp", "ok", "none (only for Aspera; HTTPS is used without it)")
    keys = find_keys(path, options.get("ascp_key"), settings.environ)
    return Check("ascp", "ok", f"{path}, keys: {', '.join(key.name for key in keys) or 'none'}")


def clock_check(name: str, date: str | None, before: float, after: float) -> Check | None:
    """This clock against a server's ``Date``, which counts whole seconds; ``before`` and ``after`` bound its answer.

    >>> clock_check("clock", "Thu, 01 Jan 1970 00:01:00 GMT", 59.0, 61.0).verdict
    'ok'
    >>> clock_check("clock", "Thu, 01 Jan 1970 00:02:00 GMT", 59.0, 61.0).verdict
    'fail'
    """
    if not date:
        return None
    try:
        server = parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    skew = max(before - (server + 1), server - after, 0.0)
    if skew <= SKEW_WARN:
        return Check(name, "ok", "agrees with the server's")
    way = "behind" if server > after else "ahead of"
    found = f"{duration(skew)} {way} the server's"
    return Check(name, "warn" if skew <= SKEW_FAIL else "fail", found, "set the clock: sudo timedatectl set-ntp true")


def credential_checks(remotes: Mapping[str, RemoteSettings], climb: Callable[[str], Answer]) -> Iterator[Check]:
    """Which rung of the ladder answers for each remote, without asking any server."""
    for name, remote in sorted(remotes.items()):
        if not remote.url:
            continue
        try:
            answer = climb(name)
        except PackhorseError:  # a kind that has no accounts, or that no plug-in speaks
            continue
        bad = [attempt for attempt in answer.attempts if attempt.outcome == "failed"]
        if bad:
            yield Check(f"login {name}", "warn", f"{bad[0].rung}: {bad[0].detail}", f"packhorse login {name}")
        elif answer.credential is not None:
            yield Check(f"login {name}", "ok", f"{answer.credential.rung}: {answer.credential.origin}")
        else:
            yield Check(f"login {name}", "ok", f"not signed in (packhorse login {name})")


def _probe(remote: RemoteSettings) -> str:
    """What is asked of a remote: of a FileSender site, what only such a site answers."""
    if remote.kind != "filesender":
        return remote.url
    from packhorse.wire.filesender.links import rest_url, site_base

    return rest_url(site_base(remote.url) or remote.url, ["info"])


def remote_checks(
    remotes: Mapping[str, RemoteSettings], ask: Callable[[str], tuple[int, str | None]]
) -> Iterator[Check]:
    """Whether each configured remote answers, and whether the clocks agree. ``ask`` gives status and ``Date``."""
    for name, remote in sorted(remotes.items()):
        if not remote.url:
            continue
        before = time.time()
        try:
            status, date = ask(_probe(remote))
        except TlsError as error:
            yield Check(f"remote {name}", "fail", error.message, error.hint or "")
        except PackhorseError as error:
            yield Check(f"remote {name}", "warn", error.message, "check the network, the proxy and the remote's URL")
        except TimeoutError:
            yield Check(f"remote {name}", "warn", f"no answer in {REMOTE_LIMIT:.0f} s", "check network and proxy")
        else:
            took = duration(time.time() - before)
            if remote.kind == "filesender" and status != 200:
                found, fix = (
                    f"{remote.url} answers {status}: no FileSender site",
                    f"packhorse remote add {name} filesender URL",
                )
                yield Check(f"remote {name}", "warn", found, fix)
            else:
                yield Check(f"remote {name}", "ok", f"{remote.url} answers ({status}, {took})")
            clock = clock_check(f"clock, {name}", date, before, time.time())
            if clock is not None:
                yield clock
