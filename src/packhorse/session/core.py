"""The session itself: portals, getting, looking, accounts. Sending stands in :mod:`packhorse.session.sending`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final, Self, TypeVar, cast
from urllib.parse import urlsplit

from packhorse.credentials.ladder import Answer, Credential
from packhorse.credentials.prompt import Prompt
from packhorse.errors import AddressError, AuthenticationError, NotFoundError, SettingsError, UsageError
from packhorse.model import Address, Item, Proof, Secret
from packhorse.net.settings import NetSettings
from packhorse.net.transport import Network
from packhorse.portals.addresses import resolve, shown
from packhorse.portals.ahead import ahead, collect
from packhorse.portals.context import Notify, Passphrase, PortalContext, SignsIn
from packhorse.session.querying import Queries
from packhorse.session.sending import Face, Sends
from packhorse.settings import DEMO_FILES, DEMO_IMMPORT, RemoteSettings, Settings
from packhorse.transfer.engine import Engine
from packhorse.transfer.events import Event, EventHandler
from packhorse.transfer.options import GetOptions, Outcome, Planned, Want
from packhorse.transfer.portal import Entry, Portal

__all__ = ["Addresses", "Session"]

T = TypeVar("T")
Addresses = str | Address | Sequence[str | Address]
Confirm = Callable[[str], bool]

_BUILT_IN: Final = {
    "filesender": "packhorse.portals.filesender.portal:open_portal",
    "flow": "packhorse.portals.flow.portal:open_portal",
    "immport": "packhorse.portals.immport.portal:open_portal",
}


class Session(Sends, Queries):
    """What a program or the command line works with. Threads may share one.

    ``settings``: read from the usual places where not given. ``prompt`` is asked for a user name and password when
    nothing else has a credential and the server wants one; ``confirm`` before anything that cannot be undone;
    ``passphrase`` for the password of an encrypted transfer. ``notify`` is told what no error carries.
    Everything is offered to sync callers and, with an ``a`` in front, to async ones of any event loop; both are thin
    over the same coroutines on the engine's loop.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        prompt: Prompt | None = None,
        confirm: Confirm | None = None,
        passphrase: Passphrase | None = None,
        notify: Notify | None = None,
    ) -> None:
        self.settings = settings or Settings.load()
        self.prompt = prompt
        self.confirm = confirm
        self.passphrase = passphrase
        self.notify = notify
        self._portals: dict[str, tuple[Network, Portal]] = {}
        self._guard = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back what the portals hold. The engine's connections stay for the next session."""
        with self._guard:
            portals = [portal for _, portal in self._portals.values()]
            self._portals.clear()
        for portal in portals:
            self._run(portal.aclose())

    # Addresses and portals.

    def resolve(self, text: str | Address) -> Address:
        """What an address means. Raises :class:`AddressError` or :class:`UsageError`, with what to type instead."""
        return text if isinstance(text, Address) else resolve(text, self.settings)

    def portal(self, remote: str, *, explicit: Credential | None = None) -> Portal:
        """The portal of a remote, of ``https``, ``http``, ``drs`` and ``local``, or of a FileSender site that is not
        configured (its address is the name); one per session. Raises AddressError."""
        network = self.network(netrc=remote in ("http", "https") and self.settings.network.netrc)
        with self._guard:
            held = self._portals.get(remote)
            # After a fork the engine has new networks, and portals of the old ones are of no use.
            if held is None or held[0] is not network or explicit is not None:
                held = (network, self._open(remote, network, explicit))
                self._portals[remote] = held
            return held[1]

    def _open(self, name: str, network: Network, explicit: Credential | None) -> Portal:
        if name == "local":
            return cast("Portal", import_module("packhorse.portals.local").LocalPortal())
        if name in ("http", "https"):
            return cast("Portal", import_module("packhorse.portals.http").HttpPortal(network, name))
        if name == "drs":
            return cast("Portal", import_module("packhorse.portals.drs").DrsPortal(network, self._drs_home))
        pasted = "://" in name  # whoever pastes a link has no account there that we know of
        try:
            remote = RemoteSettings(name, "filesender", name, origin="a link") if pasted else self.settings.remote(name)
        except SettingsError as error:
            raise AddressError(error.message, hint=error.hint) from None
        context = PortalContext(
            remote=remote,
            network=network,
            environ=self.settings.environ,
            state_dir=self.settings.state_dir,
            explicit=explicit,
            anonymous=pasted,
            prompt=self.prompt,
            passphrase=self.passphrase,
            notify=self.notify,
        )
        return _opener(remote)(context)

    def _drs_home(self, host: str) -> tuple[str, Portal | None]:
        """The origin of a DRS host, and the portal of ours with an account there: DRS means HTTPS, unless a configured
        remote is at that host and port by HTTP (a server of one's own)."""
        for name, remote in self.settings.remotes.items():
            parts = urlsplit(remote.url)
            if remote.kind == "immport" and parts.netloc.lower() == host.lower():
                return f"{parts.scheme}://{parts.netloc}", self.portal(name)
        return f"https://{host}", None

    def network(self, *, netrc: bool = False) -> Network:
        """The engine's network under this session's settings."""
        given = self.settings.network
        settings = NetSettings(
            ca_bundle=given.ca_bundle,
            proxy=given.proxy,
            no_proxy=given.no_proxy,
            connect_timeout=given.connect_timeout,
            stall_timeout=given.stall_timeout,
            netrc=netrc,
        )
        return Engine.shared().network(settings)

    # Getting.

    def get(
        self,
        addresses: Addresses,
        destination: str | Path = ".",
        *,
        options: GetOptions | None = None,
        on_event: EventHandler | None = None,
        **overrides: Any,
    ) -> Outcome:
        """Fetch every file at the addresses, and prove it. Failures of single files are in the outcome.

        One address of one file, with a destination that is not a folder and does not end in ``/``, gives exactly that
        file; else the destination is a folder, made where missing. ``overrides`` are fields of :class:`GetOptions`;
        what neither says comes from the settings.
        """
        return self._run(self._get(addresses, destination, self._options(options, overrides), on_event))

    async def aget(
        self,
        addresses: Addresses,
        destination: str | Path = ".",
        *,
        options: GetOptions | None = None,
        on_event: EventHandler | None = None,
        **overrides: Any,
    ) -> Outcome:
        """:meth:`get` for async callers. Cancelling it stops the transfer, which can be resumed."""
        work = self._get(addresses, destination, self._options(options, overrides), on_event)
        return await Engine.shared().bridge(work)

    def plan(
        self,
        addresses: Addresses,
        destination: str | Path = ".",
        options: GetOptions | None = None,
        **overrides: Any,
    ) -> list[Planned]:
        """What :meth:`get` would do; nothing is fetched or written."""
        return self._run(self._plan(addresses, destination, self._options(options, overrides)))

    async def aplan(
        self,
        addresses: Addresses,
        destination: str | Path = ".",
        options: GetOptions | None = None,
        **overrides: Any,
    ) -> list[Planned]:
        """:meth:`plan` for async callers."""
        return await Engine.shared().bridge(self._plan(addresses, destination, self._options(options, overrides)))

    def _options(self, options: GetOptions | None, overrides: Mapping[str, Any]) -> GetOptions:
        if options is None:
            given = self.settings.transfer
            options = GetOptions(
                layout=given.layout,
                require=given.require,
                jobs=given.jobs,
                limit_rate=given.limit_rate,
                retries=given.retries,
                durability=given.durability,
            )
        try:
            return replace(options, **overrides)
        except TypeError:
            wrong = next(name for name in overrides if name not in GetOptions.__dataclass_fields__)
            raise UsageError(f"{wrong!r} is not an option of get") from None

    async def _get(
        self, addresses: Addresses, destination: str | Path, options: GetOptions, on_event: EventHandler | None
    ) -> Outcome:
        from packhorse.transfer.get import get

        wants, folder = await self._wants(addresses, destination)
        return await get(wants, folder, options, self.network(), on_event or _ignore, pool=Engine.shared().pool)

    async def _plan(self, addresses: Addresses, destination: str | Path, options: GetOptions) -> list[Planned]:
        from packhorse.transfer.get import plan

        wants, folder = await self._wants(addresses, destination)
        return await plan(wants, folder, options, Engine.shared().pool)

    async def _wants(self, addresses: Addresses, destination: str | Path) -> tuple[list[Want], Path]:
        asked = [addresses] if isinstance(addresses, str | Address) else list(addresses)
        if not asked:
            raise UsageError("no address was given", hint="packhorse get ADDRESS")
        wants = [want async for found in ahead(_each(map(self.resolve, asked)), self._listed) for want in found]
        folder = Path(destination).expanduser()
        named = not str(destination).endswith(("/", "\\")) and not folder.is_dir() and str(destination) not in ("", ".")
        if named and len(asked) == 1 and len(wants) == 1 and _is_one_file(wants[0].item, self.resolve(asked[0])):
            return [replace(wants[0], target=folder)], folder.parent
        return wants, folder

    async def _listed(self, address: Address) -> list[Want]:
        portal = self.portal(address.remote)
        found = [Want(item, portal) for item in await collect(portal.items(address.path))]
        if not found:
            raise NotFoundError(f"{shown(address)} holds no files", hint=f"packhorse ls {shown(address)}")
        return found

    # Looking.

    def ls(self, address: str | Address) -> list[Entry]:
        """What is at an address, one level."""
        return self._run(self._ls(self.resolve(address)))

    async def als(self, address: str | Address) -> list[Entry]:
        """:meth:`ls` for async callers."""
        return await Engine.shared().bridge(self._ls(self.resolve(address)))

    async def _ls(self, address: Address) -> list[Entry]:
        return await collect(self.portal(address.remote).entries(address.path))

    def info(self, address: str | Address) -> Mapping[str, Any]:
        """The portal's own record of what is at an address."""
        address = self.resolve(address)
        return self._run(self._describe(address))

    async def ainfo(self, address: str | Address) -> Mapping[str, Any]:
        """:meth:`info` for async callers."""
        return await Engine.shared().bridge(self._describe(self.resolve(address)))

    async def _describe(self, address: Address) -> Mapping[str, Any]:
        return await self.portal(address.remote).describe(address.path)

    def verify(self, address: str | Address, path: str | Path) -> Proof:
        """Compare a file here with what the portal states of the one at ``address``. Raises IntegrityError."""
        return self._run(self._verify(self.resolve(address), Path(path)))

    async def averify(self, address: str | Address, path: str | Path) -> Proof:
        """:meth:`verify` for async callers."""
        return await Engine.shared().bridge(self._verify(self.resolve(address), Path(path)))

    async def _verify(self, address: Address, path: Path) -> Proof:
        from packhorse.transfer.verify import verify_file

        found = await collect(self.portal(address.remote).items(address.path))
        if len(found) != 1:
            raise UsageError(
                f"{shown(address)} is {len(found)} files; a file is compared with one",
                hint=f"packhorse ls {shown(address)}",
            )
        return await asyncio.to_thread(verify_file, path, None, found[0])

    # Submitting.

    def submissions(self, remote: str = "immport", *, poll: float = 5.0) -> Any:
        """Uploads and batch updates at an ImmPort remote: the calls of
        :class:`packhorse.portals.immport.uploads.ImmPortUploads`, made to wait for their answers.

        ``poll``: seconds of the first wait between two looks at a ticket; later ones grow to a minute.
        """
        return Face(self._submissions(remote, poll), self._run)

    def asubmissions(self, remote: str = "immport", *, poll: float = 5.0) -> Any:
        """:meth:`submissions` for async callers."""
        return Face(self._submissions(remote, poll), Engine.shared().bridge)

    def _submissions(self, remote: str, poll: float) -> Any:
        from packhorse.portals.immport.uploads import ImmPortUploads, Patience

        name = remote.rstrip(":")
        portal: Any = self.portal(name)
        if self.settings.remote(name).kind != "immport":
            raise UsageError(f"{name} takes no submissions: it is no ImmPort remote", hint="packhorse remote list")
        return ImmPortUploads(portal.api, self.settings.state_dir, Patience(poll, max(poll, 60.0)))

    # Accounts.

    def login(
        self,
        remote: str,
        username: str | None = None,
        password: Secret | str | None = None,
        *,
        token: Secret | str | None = None,
        store: str = "auto",
    ) -> Mapping[str, Any]:
        """Sign in to a remote and keep the tokens; the answer says who, and where they are (``stored``).

        With neither token nor password the prompt is asked. ``store``: ``auto`` (a 0600 file in the state directory),
        ``file``, ``keyring``, or ``none`` for this session only. Raises AuthenticationError, CredentialStoreError.
        """
        portal = self._with_accounts(remote)
        if store not in ("auto", "file", "keyring", "none"):
            raise UsageError(f"{store!r} is no place for tokens", hint="--store auto, file, keyring or none")
        if token is not None:
            return self._run(portal.use_token(_secret(token), username=username, store=store))
        if username is None or password is None:
            entered = self.prompt(remote, username) if self.prompt is not None else None
            if entered is None:
                raise AuthenticationError(
                    f"no password for {remote} was given, and there is no terminal to ask on",
                    hint=f"packhorse login {remote} --username NAME --password-stdin, or --token-stdin",
                )
            username, password = entered
        return self._run(portal.sign_in(username, _secret(password), store=store))

    def login_by_browser(
        self, remote: str, show: Callable[[str], None], *, store: str = "auto", limit: float = 300.0
    ) -> Mapping[str, Any]:
        """Sign in to a remote in the web browser: ``show`` gets the address to open, in a thread, and returns.

        ``limit`` in seconds. Raises UsageError where the remote offers no such way, AuthenticationError.
        """
        portal = self.portal(remote)
        sign_in: Callable[..., Coroutine[Any, Any, Mapping[str, Any]]] | None = getattr(
            portal, "sign_in_by_browser", None
        )
        if sign_in is None:
            raise UsageError(f"{remote} offers no sign-in in the browser", hint=f"packhorse login {remote}")
        return self._run(sign_in(show, store=store, limit=limit))

    def logout(self, remote: str) -> bool:
        """Forget what is kept for a remote. True when there was anything."""
        return self._run(self._with_accounts(remote).sign_out())

    def whoami(self, remote: str) -> Mapping[str, Any]:
        """Who a remote says we are, and which rung of the ladder answered; empty when not signed in."""
        return self._run(self._with_accounts(remote).whoami())

    def credentials(self, remote: str) -> Answer:
        """What every rung of the ladder says for a remote (``doctor``). Raises nothing about credentials."""
        return self._run(self._with_accounts(remote).credentials())

    def _with_accounts(self, remote: str) -> SignsIn:
        portal = self.portal(remote)
        if not isinstance(portal, SignsIn):
            raise UsageError(f"{remote} has no accounts")
        return portal

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return Engine.shared().run(work)


def _opener(remote: RemoteSettings) -> Callable[[PortalContext], Portal]:
    if not remote.url and remote.name in ("demo", DEMO_FILES, DEMO_IMMPORT):
        raise AddressError("no demo server was started here", hint="packhorse serve --demo")
    if remote.kind in _BUILT_IN:
        module, _, name = _BUILT_IN[remote.kind].partition(":")
        return cast("Callable[[PortalContext], Portal]", getattr(import_module(module), name))
    for plugin in entry_points(group="packhorse.portals", name=remote.kind):
        return cast("Callable[[PortalContext], Portal]", plugin.load())
    raise AddressError(
        f"the remote {remote.name!r} is of kind {remote.kind!r}, which nothing installed here speaks",
        hint=f"kinds: {', '.join(_BUILT_IN)}; others come with plug-ins",
    )


async def _each(addresses: Iterable[Address]) -> AsyncIterator[Address]:
    for address in addresses:
        yield address


def _is_one_file(item: Item, address: Address) -> bool:
    """Whether the address names this file itself, and not a sample or folder that happens to hold one file."""
    if address.remote in ("http", "https"):
        return True
    if address.remote == "local":
        return Path(address.path).expanduser().is_file()
    path = address.path.strip("/")
    return item.labels.get("kind") == "data" or path == item.path or path.endswith(f"/{item.path}")


def _secret(text: Secret | str) -> Secret:
    return text if isinstance(text, Secret) else Secret(text)


def _ignore(_event: Event) -> None:
    """Nobody looks."""
