"""The three functions of ImmPort's Python page, by their names and arguments, without their faults (spec immport §5.6).

They read the eight constants of :mod:`packhorse.portals.immport` at every call, so that these may be assigned anew.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec

from packhorse.credentials.ladder import Credential
from packhorse.errors import AuthenticationError, PackhorseError, ProtocolError, RemoteError
from packhorse.model import Item, ProofLevel, Secret
from packhorse.net.calls import call
from packhorse.net.message import Request
from packhorse.net.settings import NetSettings
from packhorse.net.transport import Network
from packhorse.portals.ahead import collect
from packhorse.portals.context import PortalContext
from packhorse.portals.immport.aspera.find import find_ascp, tool_folder
from packhorse.portals.immport.bases import token_urls
from packhorse.portals.immport.password import password_token
from packhorse.portals.immport.portal import ImmPortPortal
from packhorse.settings import RemoteSettings, Settings
from packhorse.transfer.engine import Engine
from packhorse.transfer.events import Event
from packhorse.transfer.get import get
from packhorse.transfer.options import GetOptions, Outcome, Want

__all__ = ["DEFAULTS", "api_file_download", "request_aspera_token", "request_immport_token"]

DEFAULTS: Final = {
    "API_ENDPOINT_BASE_URL": "https://api.immport.org",
    "DATA_QUERY_URL": "https://api.immport.org/data/query",
    "IMMPORT_TOKEN_URL": "https://auth.immport.org/auth/token",
    "ASPERA_BIN_DIR": "../common/aspera/cli/bin",
    "ASPERA_TOKEN_URL": "https://api.immport.org/data/download/token",
    "ASPERA_PRIVATE_KEY_FILE": "../common/aspera/cli/etc/asperaweb_id_dsa.openssh",
    "ASPERA_USERNAME": "databrowser",
    "ASPERA_SERVER": "aspera-immport.niaid.nih.gov",
}
"""The constants as the page has them (seed 001)."""
_BELOW: Final = {"DATA_QUERY_URL": "/data/query", "ASPERA_TOKEN_URL": "/data/download/token"}
_SUPPORTED: Final = ("Linux", "Darwin", "Windows")
_MOST_PORTALS: Final = 8
_REMOTE: Final = "immport"

_portals: dict[tuple[str, ...], tuple[Network, ImmPortPortal]] = {}


def _constant(name: str) -> str:
    """A constant as it stands now; the two that are made of the base follow it, unless they were assigned too."""
    home = sys.modules["packhorse.portals.immport"]
    value = str(getattr(home, name))
    if name in _BELOW and value == DEFAULTS[name]:
        return str(home.API_ENDPOINT_BASE_URL).rstrip("/") + _BELOW[name]
    return value


def request_immport_token(username: str, password: str) -> str | None:
    """Request an ImmPort token: ``token`` or ``access_token`` of the answer, ``None`` where the sign-in is refused.

    Raises :class:`~packhorse.errors.NetworkError` when the server cannot be reached.
    """
    network = _network(Settings.load())
    work = password_token(network, token_urls(_constant("IMMPORT_TOKEN_URL")), username, Secret(password))
    try:
        token, _ = Engine.shared().run(work)
    except (AuthenticationError, ProtocolError, RemoteError):
        return None
    return token.reveal()


def request_aspera_token(file_path: str, immport_token: str) -> str | None:
    """Request an Aspera token for a file's path, by an ImmPort token; ``None`` where it is refused.

    Raises :class:`~packhorse.errors.NetworkError` when the server cannot be reached.
    """
    body = msgspec.json.encode({"paths": [file_path]})
    headers: dict[str, str | Secret] = {
        "Authorization": Secret(f"bearer {immport_token}"),
        "Content-Type": "application/json",
        "Accept": "application/json",
    }
    request = Request("POST", _constant("ASPERA_TOKEN_URL"), headers, body, len(body), idempotent=True)
    reply = Engine.shared().run(call(_network(Settings.load()), request))
    if reply.status != 200:
        return None
    try:
        answer = reply.json()
    except ProtocolError:
        return None
    token = answer.get("token") if isinstance(answer, dict) else None
    return token if isinstance(token, str) and token and all("!" <= ch <= "~" for ch in token) else None


def api_file_download(username: str, password: str, file_path: str, output_directory: str) -> str | None:
    """Download a file, or the files of a folder, into ``output_directory``.

    By ``ascp`` where :data:`ASPERA_BIN_DIR` has one; else by HTTPS, and by any ``ascp`` that is found for what HTTPS
    does not have. ``"Success"`` when everything arrived with the digest that the server states; else a line that begins
    with ``ERROR:`` is printed and ``None`` returned. One sign-in serves many calls; a file that is there is not fetched
    again.
    """
    settings = Settings.load()
    try:
        portal = _portal(settings, username, password)
        if not _signed_in(portal):
            _say("Credentials incorrect for ImmPort, unable to retrieve token")
            return None
        if platform.system() not in _SUPPORTED:
            _say(f"Unsupported operatin system: {platform.system()}")
            return None
        items = Engine.shared().run(_items(portal, file_path))
        if not items:
            _say("Unable to obtain Aspera token")
            return None
        outcome = Engine.shared().run(_fetch(portal, settings, items, file_path, Path(output_directory)))
    except PackhorseError as error:
        _say(error.message)
        return None
    for failed in outcome.failed:
        _say(f"{failed.item.path}: {failed.error}")
    return None if outcome.failed else "Success"


def _say(words: str) -> None:
    print(f"ERROR: {words}")  # noqa: T201 - the documented lines


def _network(settings: Settings) -> Network:
    given = settings.network
    return Engine.shared().network(
        NetSettings(
            ca_bundle=given.ca_bundle,
            proxy=given.proxy,
            no_proxy=given.no_proxy,
            connect_timeout=given.connect_timeout,
            stall_timeout=given.stall_timeout,
        )
    )


def _portal(settings: Settings, username: str, password: str) -> ImmPortPortal:
    """The portal for these constants and this user, kept for the next call with its token."""
    network = _network(settings)
    constants = [_constant(name) for name in DEFAULTS]
    who = hashlib.sha256(f"{username}\0{password}".encode()).hexdigest()
    key = (*constants, who)
    held = _portals.get(key)
    if held is not None and held[0] is network:
        return held[1]
    while len(_portals) >= _MOST_PORTALS:
        _portals.pop(next(iter(_portals)))
    options: dict[str, Any] = {
        "query_url": _constant("DATA_QUERY_URL").rstrip("/"),
        "data_url": _constant("ASPERA_TOKEN_URL").removesuffix("/download/token"),
        "aspera_host": _constant("ASPERA_SERVER"),
        "aspera_user": _constant("ASPERA_USERNAME"),
        "ascp_key": _constant("ASPERA_PRIVATE_KEY_FILE"),
        "keyring": False,
    }
    if _constant("IMMPORT_TOKEN_URL") != DEFAULTS["IMMPORT_TOKEN_URL"]:
        options["auth_url"] = _constant("IMMPORT_TOKEN_URL").removesuffix("/token")
    ascp = _own_ascp(settings)
    if ascp is not None:
        options.update(ascp=str(ascp), route="aspera")
    context = PortalContext(
        remote=RemoteSettings(_REMOTE, "immport", _constant("API_ENDPOINT_BASE_URL").rstrip("/"), options),
        network=network,
        environ=settings.environ,
        state_dir=settings.state_dir,
        explicit=Credential("explicit", "api_file_download", username=username, password=Secret(password)),
    )
    portal = ImmPortPortal(context)
    _portals[key] = (network, portal)
    return portal


def _own_ascp(settings: Settings) -> Path | None:
    """The program of :data:`ASPERA_BIN_DIR` for this machine, if it is there."""
    folder = Path(_constant("ASPERA_BIN_DIR"))
    for name in (tool_folder(platform.system(), platform.machine()), ""):
        program = folder / name / "ascp"
        if program.is_file() and os.access(program, os.X_OK):
            return find_ascp(str(program.absolute()), settings.environ)
    return None


def _signed_in(portal: ImmPortPortal) -> bool:
    try:
        return Engine.shared().run(portal.api.auth.token()) is not None
    except AuthenticationError:
        return False


async def _items(portal: ImmPortPortal, file_path: str) -> list[Item]:
    """The files at a path; nothing where the server knows no such path or does not give it to us."""
    try:
        return await collect(portal.items(file_path.partition("?")[0]))
    except PackhorseError as error:
        if getattr(error, "status", None) in (400, 403, 404) or error.exit_code == 2:
            return []
        raise


async def _fetch(portal: ImmPortPortal, settings: Settings, items: list[Item], file_path: str, folder: Path) -> Outcome:
    """As ``ascp`` places them: a file by its name, a folder with what is in it below its name."""
    above = file_path.strip("/").rpartition("/")[0]
    wants = []
    for item in items:
        below = item.path.removeprefix(f"{above}/") if above else item.path
        wants.append(Want(replace(item, path=below), portal))
    given = settings.transfer
    options = GetOptions(overwrite=True, require=ProofLevel.SIZE, retries=given.retries, durability=given.durability)
    return await get(wants, folder, options, portal.api.network, _ignore, pool=Engine.shared().pool)


def _ignore(_event: Event) -> None:
    """Nobody looks."""
