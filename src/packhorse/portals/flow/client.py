"""The Python client of Flow's guide "Downloading Data", to the letter; the engine does the moving.

>>> from packhorse.portals.flow import Client
>>> client = Client("http://127.0.0.1:8000/api")
>>> client
Client('http://127.0.0.1:8000/api')
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urljoin, urlsplit

from packhorse.errors import AuthenticationError, PackhorseError, SettingsError, UsageError
from packhorse.model import Item, Secret
from packhorse.net.redact import show_url
from packhorse.net.redirect import same_origin
from packhorse.net.settings import NetSettings
from packhorse.portals.context import PortalContext
from packhorse.portals.flow.bulk import create, job_fields, status
from packhorse.portals.flow.compat import as_requests_error
from packhorse.portals.flow.listing import sample_files, whole_samples
from packhorse.portals.flow.portal import FlowPortal
from packhorse.portals.flow.progress import ProgressLine
from packhorse.portals.flow.record import Record
from packhorse.portals.flow.rows import FileRow, file_row, item_of, output_rows, rows_of
from packhorse.settings import RemoteSettings, Settings, clean_url
from packhorse.transfer.engine import Engine
from packhorse.transfer.events import Event, EventHandler
from packhorse.transfer.get import get
from packhorse.transfer.options import GetOptions, Want
from packhorse.transfer.paths import safe_component
from packhorse.transfer.portal import Portal
from packhorse.wire.flow import download_path, parse_download_path, parse_id

__all__ = ["Client"]

T = TypeVar("T")


class Client:
    """A Flow server. One client may be shared by any number of threads.

    ``api_url``: the base of the API; without it ``FLOW_API_URL``, else the configured remote ``flow``. ``timeout`` in
    seconds without any byte. Until :meth:`login` is called, the credentials that ``packhorse login flow`` would find
    are used; with an ``api_url`` of another server, none are.

    Every method raises a :class:`~packhorse.errors.PackhorseError`, which where requests is installed is also a
    ``requests.exceptions.HTTPError`` (with ``response.status_code``) or ``ConnectionError``.
    """

    def __init__(
        self, api_url: str | None = None, *, timeout: float | None = None, settings: Settings | None = None
    ) -> None:
        settings = settings or Settings.load()
        remote = settings.remote("flow")
        self._anonymous = False
        if api_url is not None:
            try:
                url = clean_url(api_url)
            except ValueError as error:
                raise SettingsError(f"api_url {error}") from None
            self._anonymous = url != remote.url
            remote = remote if not self._anonymous else RemoteSettings("flow", "flow", url, {}, "api_url")
        self._remote = remote
        self._settings = settings
        network = settings.network
        self._net = NetSettings(
            ca_bundle=network.ca_bundle,
            proxy=network.proxy,
            no_proxy=network.no_proxy,
            connect_timeout=min(network.connect_timeout, timeout or network.connect_timeout),
            stall_timeout=timeout or network.stall_timeout,
        )
        self._guard = threading.Lock()
        self._portal: FlowPortal | None = None
        self._known: dict[str, FileRow] = {}

    def __repr__(self) -> str:
        return f"Client({self._remote.url!r})"

    @property
    def api_url(self) -> str:
        """The base of the API, without a trailing slash."""
        return self._remote.url

    @property
    def access_token(self) -> str | None:
        """The token in use, in the clear, for programs that make their own requests."""
        portal = self._attached()
        self._call(portal.api.auth.ready())
        token = portal.api.auth.keeper.token
        return token.reveal() if token is not None else None

    # Signing in.

    def login(self, username: str, password: str) -> Record:
        """Sign in. The tokens stay in this client. Raises AuthenticationError for a wrong name or password."""
        return Record(self._call(self._attached().sign_in(username, Secret(password), store="none")))

    def login_with_token(self, token: str) -> Record:
        """Use an API key or access token. Raises AuthenticationError when the server refuses it."""
        return Record(self._call(self._attached().use_token(Secret(token), username=None, store="none")))

    def refresh_token(self) -> str:
        """Get a new access token with the refresh cookie (or by signing in again) and return it."""
        auth = self._attached().api.auth

        async def refresh() -> str:
            await auth.ready()
            old = auth.keeper.token
            if not await auth.renew_now() or auth.keeper.token is None:
                raise AuthenticationError(
                    f"{self._remote.name}: the session cannot be renewed",
                    hint=f"sign in again: client.login(…), or packhorse login {self._remote.name}",
                )
            if auth.keeper.token == old:
                raise AuthenticationError(f"{self._remote.name}: the server gave the same token again")
            return auth.keeper.token.reveal()

        return self._call(refresh())

    def me(self) -> Record:
        """Who is signed in. Raises AuthenticationError when nobody is."""
        return Record(self._call(self._attached().api.record("me")))

    # Records.

    def get_data(self, data_id: int | str) -> Record:
        """A data file: ``id``, ``filename``, ``size`` (bytes), ``md5`` (``None`` where none is stated) …"""
        record = self._call(self._attached().api.record(f"data/{_number(data_id)}"))
        return self._file(record)

    def get_sample(self, sample_id: int | str) -> Record:
        """A sample, with all its files in ``data``."""
        api = self._attached().api

        async def fetch() -> Record:
            sample = await api.record(f"samples/{_number(sample_id)}")
            return self._sample(sample, await sample_files(api, sample))

        return self._call(fetch())

    def get_project(self, project_id: int | str) -> Record:
        """A project, with ``samples``, each with its files in ``data``."""
        api = self._attached().api

        async def fetch() -> Record:
            project = await api.record(f"projects/{_number(project_id)}")
            samples = [self._sample(sample, rows) async for sample, rows in whole_samples(api, project)]
            return Record({**project, "samples": samples})

        return self._call(fetch())

    def get_execution(self, execution_id: int | str) -> Record:
        """A pipeline execution, with its result files in ``outputs`` (``filename``, ``size``, ``path``)."""
        execution = self._call(self._attached().api.record(f"executions/{_number(execution_id)}"))
        rows = rows_of(execution, "outputs")
        if rows is not None:
            return Record({**execution, "outputs": [self._file(row) for row in rows]})
        outputs = [
            {"id": row.id, "filename": row.filename, "path": row.path, "size": row.size}
            for row in output_rows(execution)
        ]
        return Record({**execution, "outputs": [self._file(row) for row in outputs]})

    def search(self, query: str, **params: str) -> Record:
        """Whatever matches a text: ``results.samples``, ``.projects``, ``.executions``, ``.data``."""
        return Record(self._call(self._attached().api.get("search", [("q", query), *params.items()])))

    def create_bulk_download(self, data_ids: Sequence[int | str], name: str = "") -> Record:
        """Ask for an archive of data files: a job with ``id`` and ``status`` (guide, "Create Bulk Download Job")."""
        ids = [_number(one) for one in data_ids]
        return Record(job_fields(self._call(create(self._attached().api, ids, name))))

    def get_download_status(self, job_id: str) -> Record:
        """How a job is: ``status``, ``progress`` (0 to 100), ``download_url`` when completed, else ``error``."""
        if not re.fullmatch(r"[0-9A-Za-z-]{1,64}", job_id):
            raise UsageError(f"{job_id[:40]!r} is no download job")
        return Record(job_fields(self._call(status(self._attached().api, job_id))))

    def _sample(self, sample: Mapping[str, Any], rows: list[Mapping[str, Any]]) -> Record:
        return Record({**sample, "data": [self._file(row) for row in rows]})

    def _file(self, row: Mapping[str, Any]) -> Record:
        """A file's record with all the fields that the guide reads, remembered for its digest."""
        file = file_row(row)
        filled: dict[str, Any] = {"md5": None, **row, "filename": file.filename, "size": file.size}
        if file.id is not None:
            filled["id"] = file.id
            filled.setdefault("download_url", download_path(file.id, file.filename))
            if file.digests:
                self._known[file.id] = file
        return Record(filled)

    # Bytes.

    def download_file(
        self,
        url: str,
        dest: str | os.PathLike[str],
        progress: bool = False,
        *,
        on_event: EventHandler | None = None,
    ) -> Path:
        """Fetch ``url`` (absolute, or a path below the base) to the file ``dest``, and return its path.

        Folders are made; a file that is there is replaced, but only when the new one is complete and, where the
        server states a digest, proven. What an earlier, interrupted call left is used. ``progress`` shows percent and
        bytes on standard error. Raises NotFoundError, PermissionDeniedError, ExpiredError, NetworkError,
        IntegrityError, SpaceError …
        """
        portal = self._attached()
        target = Path(dest)
        handler = on_event or (ProgressLine(target.name) if progress else _ignore)
        full = self.url(url)

        async def fetch() -> Path:
            item, source = await self._item(portal, full)
            exact = target / _name(item.path) if target.is_dir() else target
            want = Want(item, source, exact)
            defaults = self._settings.transfer
            options = GetOptions(
                overwrite=True, jobs=defaults.jobs, retries=defaults.retries, durability=defaults.durability
            )
            network, pool = portal.api.network, Engine.shared().pool
            outcome = await get([want], exact.parent, options, network, handler, pool=pool)
            return outcome.raise_for_failures().path()

        return self._call(fetch(), url=full)

    def url(self, url_or_path: str) -> str:
        """The whole URL: an absolute one as it is, a path joined to the base with one slash.

        >>> Client("https://flow.example.org/api").url("/downloads/789/a.gz")
        'https://flow.example.org/api/downloads/789/a.gz'
        """
        if not url_or_path.strip():
            raise UsageError("an empty address")
        if urlsplit(url_or_path).scheme.lower() in ("http", "https"):
            return url_or_path
        if url_or_path.startswith("//"):
            return urljoin(self.api_url, url_or_path)
        return f"{self.api_url}/{url_or_path.lstrip('/')}"

    async def _item(self, portal: FlowPortal, url: str) -> tuple[Item, Portal]:
        """The item behind a URL, with the digest that the server states for it, and who fetches it."""
        if not (same_origin(url, self.api_url) and url.startswith(self.api_url + "/")):
            return await _elsewhere(url, portal)
        path = url.removeprefix(self.api_url)
        found = parse_download_path(urlsplit(path).path)
        if found is not None:
            data_id, name = found
            row = self._known.get(data_id)
            if row is None:
                record = await portal.api.maybe_record(f"data/{data_id}")
                row = file_row(record) if record is not None else None
            # Another name than the record's is for the server to judge, and its digest is not this file's.
            if row is not None and name in (row.filename, row.stated_name):
                return item_of(self._remote.name, row, kind="data"), portal
        name = _name(urlsplit(path).path)
        return Item(self._remote.name, path.lstrip("/"), name), portal

    # The engine.

    def _attached(self) -> FlowPortal:
        """The portal on the engine's present network: after a fork the engine, and so the network, is a new one."""
        network = Engine.shared().network(self._net)
        with self._guard:
            if self._portal is None:
                context = PortalContext(
                    remote=self._remote,
                    network=network,
                    environ=self._settings.environ,
                    state_dir=self._settings.state_dir,
                    anonymous=self._anonymous,
                )
                self._portal = FlowPortal(context)
            elif network is not self._portal.api.network:
                self._portal.attach(network)
            return self._portal

    def _call(self, coroutine: Coroutine[Any, Any, T], url: str = "") -> T:
        try:
            return Engine.shared().run(coroutine)
        except PackhorseError as error:
            raise as_requests_error(error, show_url(url or self.api_url)) from None


async def _elsewhere(url: str, portal: FlowPortal) -> tuple[Item, Portal]:
    """The item behind a URL of another server, which gets no bearer token of ours."""
    from packhorse.portals.http import HttpPortal

    web = HttpPortal(portal.api.network, urlsplit(url).scheme.lower())
    return await web.item(url), web


def _number(value: int | str) -> str:
    number = parse_id(value)
    if number is None:
        raise UsageError(f"{str(value)[:40]!r} is no id: ids are written in digits")
    return str(number)


def _name(path: str) -> str:
    """The last component of a URL's path or of a name that a server gave: safe as a file's name."""
    return safe_component(unquote(path.rpartition("/")[2])) if path.rpartition("/")[2] else "download"


def _ignore(_event: Event) -> None:
    """Nobody looks."""
