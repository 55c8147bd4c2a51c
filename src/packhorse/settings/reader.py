"""Typed values out of the file's tables and the variables; every complaint names the file and the key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal, cast

from packhorse.errors import SettingsError
from packhorse.model import ProofLevel, Secret
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

__all__ = ["Reader", "read_network", "read_remotes", "read_transfer"]

FLOW_URL: Final = "https://app.flow.bio/api"
IMMPORT_URL: Final = "https://www.immport.org"
CA_VARIABLES: Final = ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
PROXY_VARIABLES: Final = ("https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy", "ALL_PROXY")
_NETWORK_KEYS: Final = ("ca_bundle", "proxy", "no_proxy", "connect_timeout", "stall_timeout", "netrc")
_TRANSFER_KEYS: Final = ("jobs", "retries", "durability", "layout", "require", "limit_rate")
_REMOTE_KEYS: Final = (
    "kind",
    "url",
    "username",
    "token_command",
    "token_timeout",
    "keyring",
    "web_url",
    "application",
    "signature_algorithm",
)
_SERVICES: Final = ("auth_url", "query_url", "data_url", "upload_url", "batch_url")
_IMMPORT_TEXTS: Final = ("aspera_host", "aspera_user", "ascp", "ascp_key", "ascp_rate", "client_id")
_IMMPORT_KEYS: Final = (*_SERVICES, *_IMMPORT_TEXTS, "aspera_port", "route")
ROUTES: Final = ("https", "aspera", "auto")
SIGNATURES: Final = ("sha1", "sha256", "sha512")


class Reader:
    """Takes typed values out of the file's tables; every complaint names the file and the key."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def wrong(self, key: str, wanted: str) -> SettingsError:
        return SettingsError(f"{self.file}: {key} {wanted}")

    def only(self, table: Mapping[str, Any], known: Iterable[str], prefix: str) -> None:
        known = tuple(known)
        for key in table:
            if key not in known:
                raise self.wrong(prefix + key, f"is not a setting{near(key, known)}")

    def table(self, parent: Mapping[str, Any], key: str) -> dict[str, Any]:
        value = parent.get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(key, "must be a table")
        return value

    def text(self, table: Mapping[str, Any], key: str, prefix: str) -> str | None:
        value = table.get(key)
        if value is None:
            return None
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(prefix + key, "must be a text that is not empty")
        return value

    def flag(self, table: Mapping[str, Any], key: str, prefix: str, default: bool) -> bool:
        value = table.get(key, default)
        if not isinstance(value, bool):
            raise self.wrong(prefix + key, "must be true or false")
        return value

    def seconds(self, table: Mapping[str, Any], key: str, prefix: str, default: float) -> float:
        value = table.get(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 86400:
            raise self.wrong(prefix + key, "must be a number of seconds above 0 and below a day")
        return float(value)

    def count(self, table: Mapping[str, Any], key: str, prefix: str, low: int, high: int) -> int | None:
        value = table.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.wrong(prefix + key, f"must be a whole number from {low} to {high}")
        return value

    def choice(self, table: Mapping[str, Any], key: str, prefix: str, choices: Iterable[str]) -> str | None:
        value = table.get(key)
        if value is None:
            return None
        choices = tuple(choices)
        if value not in choices:
            said = near(str(value), choices)
            raise self.wrong(prefix + key, f"must be one of {', '.join(choices)}, not {value!r}{said}")
        return str(value)

    def remote(self, name: str, table: Any, origin: str | None = None) -> RemoteSettings:
        prefix = f"remotes.{name}."
        if not isinstance(table, dict):
            raise self.wrong(prefix[:-1], "must be a table")
        kinds = {
            "flow": "flow",
            "demo": "flow",
            DEMO_FILES: "filesender",
            "immport": "immport",
            DEMO_IMMPORT: "immport",
        }
        default_kind = kinds.get(name)
        kind = self.text(table, "kind", prefix) or default_kind
        if kind is None:
            raise self.wrong(prefix + "kind", f"is missing: one of {', '.join(BUILTIN_KINDS)}")
        if kind in BUILTIN_KINDS:  # the options of other kinds are their plug-in's affair
            self.only(table, _REMOTE_KEYS + _IMMPORT_KEYS * (kind == "immport"), prefix)
        url = self.text(table, "url", prefix) or {"flow": FLOW_URL, "immport": IMMPORT_URL}.get(name, "")
        if not url and name not in BUILTIN_REMOTES:
            raise self.wrong(prefix + "url", "is missing")
        if url:
            url = self.web(url, prefix + "url")
        if "web_url" in table:
            self.web(self.text(table, "web_url", prefix) or "", prefix + "web_url")
        self.text(table, "username", prefix)
        self.text(table, "token_command", prefix)
        self.text(table, "application", prefix)
        self.choice(table, "signature_algorithm", prefix, SIGNATURES)
        self.seconds(table, "token_timeout", prefix, 10.0)
        self.flag(table, "keyring", prefix, default=True)
        if kind == "immport":
            self.immport(table, prefix)
        options = {key: value for key, value in table.items() if key not in ("kind", "url")}
        return RemoteSettings(name, kind, url, options, origin or str(self.file))

    def immport(self, table: Mapping[str, Any], prefix: str) -> None:
        """The settings that only ImmPort's remotes have."""
        for key in _SERVICES:
            if key in table:
                self.web(self.text(table, key, prefix) or "", prefix + key)
        for key in _IMMPORT_TEXTS:
            self.text(table, key, prefix)
        self.choice(table, "route", prefix, ROUTES)
        self.count(table, "aspera_port", prefix, 1, 65535)

    def web(self, url: str, key: str) -> str:
        """A web address without trailing slash; a secret in it would end in lists and messages, so it is refused."""
        try:
            return clean_url(url)
        except ValueError as error:
            raise self.wrong(key, str(error)) from None


def read_network(reader: Reader, table: Mapping[str, Any], env: Mapping[str, str]) -> NetworkSettings:
    reader.only(table, _NETWORK_KEYS, "network.")
    ca_bundle, ca_from = _ca_bundle(reader, table, env)
    proxy = reader.text(table, "proxy", "network.")
    return NetworkSettings(
        ca_bundle=ca_bundle,
        ca_from=ca_from,
        proxy=Secret(proxy) if proxy else None,
        no_proxy=reader.text(table, "no_proxy", "network."),
        connect_timeout=reader.seconds(table, "connect_timeout", "network.", 30.0),
        stall_timeout=reader.seconds(table, "stall_timeout", "network.", 60.0),
        netrc=reader.flag(table, "netrc", "network.", default=False),
        proxy_variables=tuple(name for name in PROXY_VARIABLES if env.get(name)),
    )


def _ca_bundle(reader: Reader, table: Mapping[str, Any], env: Mapping[str, str]) -> tuple[Path | None, str | None]:
    # Our own variable and file speak about Packhorse only, so they come before those that everything reads.
    if env.get("PACKHORSE_CA_BUNDLE"):
        source, text = "PACKHORSE_CA_BUNDLE", env["PACKHORSE_CA_BUNDLE"]
    elif "ca_bundle" in table:
        source, text = f"{reader.file}: network.ca_bundle", reader.text(table, "ca_bundle", "network.") or ""
    else:
        for name in CA_VARIABLES:
            # requests allows a directory here; libcurl wants a file, so another source is looked for.
            if env.get(name) and not Path(env[name]).is_dir():
                source, text = name, env[name]
                break
        else:
            return None, None
    path = Path(text).expanduser()
    if not path.is_file():
        raise SettingsError(f"{source} names {path}, which is not a file of CA certificates")
    return path, source


def read_transfer(reader: Reader, table: Mapping[str, Any]) -> TransferDefaults:
    reader.only(table, _TRANSFER_KEYS, "transfer.")
    require = reader.choice(table, "require", "transfer.", [level.value for level in ProofLevel])
    retries = reader.count(table, "retries", "transfer.", 0, 100)
    durability = reader.choice(table, "durability", "transfer.", ("full", "none")) or "full"
    layout = reader.choice(table, "layout", "transfer.", ("plain", "organized", "patterns")) or "plain"
    return TransferDefaults(
        jobs=reader.count(table, "jobs", "transfer.", 1, 256),
        retries=3 if retries is None else retries,
        durability=cast("Literal['full', 'none']", durability),
        layout=cast("Literal['plain', 'organized', 'patterns']", layout),
        require=ProofLevel(require) if require else None,
        limit_rate=reader.count(table, "limit_rate", "transfer.", 1, 2**53),
    )


def read_remotes(
    reader: Reader, table: Mapping[str, Any], env: Mapping[str, str], demo_url: str
) -> Mapping[str, RemoteSettings]:
    found = {
        "flow": RemoteSettings("flow", "flow", FLOW_URL),
        "immport": RemoteSettings("immport", "immport", IMMPORT_URL),
        "demo": RemoteSettings("demo", "flow", demo_url and f"{demo_url}/api"),
        DEMO_FILES: RemoteSettings(DEMO_FILES, "filesender", demo_url),
        DEMO_IMMPORT: RemoteSettings(DEMO_IMMPORT, "immport", demo_url),
    }
    for name, values in table.items():
        check_remote_name(name)
        found[name] = reader.remote(name, values)
    for name, remote in list(found.items()):
        variable = f"{variable_prefix(name)}_URL"
        if name == "flow" and env.get("FLOW_API_URL") and not env.get(variable):
            variable = "FLOW_API_URL"
        if env.get(variable):
            try:
                found[name] = replace(remote, url=clean_url(env[variable]), origin=variable)
            except ValueError as error:
                raise SettingsError(f"{variable} {error}") from None
    return found
