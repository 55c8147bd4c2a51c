"""Settings: one TOML file and a few variables, read once by :meth:`Settings.load` and injected everywhere else.

The file is ``packhorse/config.toml`` in the user's configuration directory (``PACKHORSE_CONFIG`` names another); a
missing file is an empty one::

    [network]
    ca_bundle = "/etc/ssl/site-ca.pem"      # else SSL_CERT_FILE, CURL_CA_BUNDLE, REQUESTS_CA_BUNDLE
    proxy = "http://proxy.example.org:3128" # else the usual variables (https_proxy, ALL_PROXY …)
    no_proxy = "localhost,.example.org"
    connect_timeout = 30                    # seconds
    stall_timeout = 60                      # seconds without any byte; there is no total timeout
    netrc = false                           # whether plain http(s) addresses may use ~/.netrc

    [transfer]
    jobs = 8                                # connections per host, at most
    retries = 3                             # tries without progress, after the first
    durability = "full"                     # or "none": no fsync before a file counts as placed
    layout = "plain"                        # or "organized", "patterns"
    require = "md5"                         # the weakest proof that counts as done

    [remotes.lab]
    kind = "flow"
    url = "https://flow.example.org/api"
    username = "ada"                        # the account to look up in the keyring
    token_command = "pass show flow/lab"    # prints a token; run without a shell
    token_timeout = 10                      # seconds
    keyring = true                          # false: never ask the keyring
    web_url = "https://flow.example.org"    # where pasted web links come from, if not the API's host

    [remotes.files]
    kind = "filesender"
    url = "https://filesender.example.org"
    application = "sequencer"               # sign as this remote application; the token is then its secret
    signature_algorithm = "sha1"            # what the site verifies (sha1, sha256, sha512)

    [remotes.immport]                       # what is not said is at the usual places of the address
    auth_url = "https://www.immport.org/auth"   # also query_url, data_url, upload_url, batch_url
    route = "auto"                          # how files come: "https" (DRS), "aspera", or whichever there is
    aspera_host = "aspera-immport.niaid.nih.gov"  # also aspera_user, aspera_port
    ascp = "/opt/aspera/bin/ascp"           # else it is looked for in the usual places
    ascp_key = "~/keys/aspera_bypass_rsa.pem"   # tried before the keys that lie beside it
    ascp_rate = "300m"                      # its target rate, in bits per second
    client_id = "packhorse"                 # for packhorse login --browser

    [server]                                # for packhorse serve; see packhorse.server.reading

``PACKHORSE_HOME`` moves everything (tests), ``PACKHORSE_STATE`` the state directory. Nothing is read at import.
Every error is a :class:`~packhorse.errors.SettingsError` that names the file and the key.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

from packhorse.errors import SettingsError
from packhorse.settings.edit import parse, private_write, with_remote, without_remote
from packhorse.settings.reader import ROUTES, Reader, read_network, read_remotes, read_transfer
from packhorse.settings.values import (
    BUILTIN_KINDS,
    BUILTIN_REMOTES,
    DEMO_FILES,
    DEMO_IMMPORT,
    NetworkSettings,
    RemoteSettings,
    TransferDefaults,
    check_remote_name,
    clean_url,
    near,
    variable_prefix,
)

__all__ = [
    "BUILTIN_KINDS",
    "DEMO_FILES",
    "DEMO_IMMPORT",
    "NetworkSettings",
    "RemoteSettings",
    "Settings",
    "TransferDefaults",
    "check_remote_name",
    "clean_url",
    "near",
    "private_write",
    "variable_prefix",
]

_TABLES: Final = ("network", "transfer", "remotes", "server")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that was configured. ``file`` need not exist. ``environ`` is the environment it was read from."""

    file: Path
    state_dir: Path
    network: NetworkSettings = field(default_factory=NetworkSettings)
    transfer: TransferDefaults = field(default_factory=TransferDefaults)
    remotes: Mapping[str, RemoteSettings] = field(default_factory=dict)
    server: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, path: Path | None = None) -> Self:
        """Read the file (``path`` before ``PACKHORSE_CONFIG`` before the usual place) and the variables.

        Raises :class:`SettingsError` for what cannot be read or understood.
        """
        env = dict(os.environ if environ is None else environ)
        file = path or _config_file(env)
        table = parse(_text(file), file)
        reader = Reader(file)
        reader.only(table, _TABLES, "")
        state = _state_dir(env)
        server = reader.table(table, "server")
        return cls(
            file=file,
            state_dir=state,
            network=read_network(reader, reader.table(table, "network"), env),
            transfer=read_transfer(reader, reader.table(table, "transfer")),
            remotes=read_remotes(reader, reader.table(table, "remotes"), env, _demo_url(state)),
            server=server,
            environ=env,
        )

    def remote(self, name: str) -> RemoteSettings:
        """The remote of this name. Raises :class:`SettingsError` with the nearest name."""
        found = self.remotes.get(name)
        if found is None:
            raise SettingsError(
                f"there is no remote called {name!r}{near(name, self.remotes)}",
                hint=f"packhorse remote add {name} KIND URL",
            )
        return found

    def with_network(self, **changes: Any) -> Self:
        """A copy with these network settings (``--ca-bundle`` and the like)."""
        return replace(self, network=replace(self.network, **changes))

    def with_route(self, route: str) -> Self:
        """A copy in which files of every ImmPort remote come by this route (``--route``): https, aspera or auto.

        Raises :class:`SettingsError` for another word.
        """
        if route not in ROUTES:
            raise SettingsError(f"there is no route {route!r}{near(route, ROUTES)}", hint=f"one of {', '.join(ROUTES)}")
        remotes = {
            name: replace(remote, options={**remote.options, "route": route}) if remote.kind == "immport" else remote
            for name, remote in self.remotes.items()
        }
        return replace(self, remotes=remotes)

    @property
    def demo_file(self) -> Path:
        """Where a running demo server leaves its address."""
        return self.state_dir / "demo.json"

    def record_demo(self, url: str) -> None:
        """Remember the origin (``http://127.0.0.1:N``) of the demo server that was started last."""
        private_write(self.demo_file, json.dumps({"url": url}).encode() + b"\n")

    def add_remote(self, name: str, kind: str, url: str, options: Mapping[str, Any] | None = None) -> Self:
        """Write a remote to the file, over one of the same name there, and read the settings again."""
        check_remote_name(name)
        wanted = {"kind": kind, "url": url, **(options or {})}
        Reader(self.file).remote(name, wanted)
        private_write(self.file, with_remote(_text(self.file), name, wanted).encode())
        return type(self).load(self.environ, self.file)

    def remove_remote(self, name: str) -> Self:
        """Take a remote out of the file. Raises :class:`SettingsError` when the file does not define it."""
        text = _text(self.file)
        defined = parse(text, self.file).get("remotes", {})
        if name not in defined:
            if name in BUILTIN_REMOTES:
                raise SettingsError(f"the remote {name!r} is built in and cannot be removed")
            raise SettingsError(f"{self.file} defines no remote called {name!r}{near(name, defined)}")
        private_write(self.file, without_remote(text, name).encode())
        return type(self).load(self.environ, self.file)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _config_file(env: Mapping[str, str]) -> Path:
    if env.get("PACKHORSE_CONFIG"):
        return Path(env["PACKHORSE_CONFIG"]).expanduser()
    if env.get("PACKHORSE_HOME"):
        return Path(env["PACKHORSE_HOME"]).expanduser() / "config.toml"
    import platformdirs

    return Path(platformdirs.user_config_dir("packhorse", appauthor=False)) / "config.toml"


def _state_dir(env: Mapping[str, str]) -> Path:
    if env.get("PACKHORSE_STATE"):
        return Path(env["PACKHORSE_STATE"]).expanduser()
    if env.get("PACKHORSE_HOME"):
        return Path(env["PACKHORSE_HOME"]).expanduser() / "state"
    import platformdirs

    return Path(platformdirs.user_state_dir("packhorse", appauthor=False))


def _demo_url(state: Path) -> str:
    # The demo is a guest: a missing or broken note only means that none was started here.
    try:
        return clean_url(json.loads((state / "demo.json").read_bytes())["url"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""
