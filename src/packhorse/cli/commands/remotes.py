"""``packhorse remote`` and ``packhorse config``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from packhorse.cli.context import Group, State, command, global_options
from packhorse.cli.texts import Column
from packhorse.errors import SettingsError, UsageError
from packhorse.model import Secret
from packhorse.settings import DEMO_FILES, DEMO_IMMPORT

__all__ = ["config_command", "remote_command"]


@click.group("remote", cls=Group)
@global_options(hidden=True)
def remote_command() -> None:
    """Add, list and remove remotes."""


@command(
    "add",
    group=remote_command,
    examples="""
    packhorse remote add lab flow https://flow.example.org/api
    packhorse remote add lab flow https://flow.example.org/api --set username=ada
    """,
)
@click.argument("name")
@click.argument("kind")
@click.argument("url")
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="A further setting of this remote.")
def add(state: State, name: str, kind: str, url: str, pairs: tuple[str, ...]) -> None:
    """Add a remote NAME of KIND (flow, immport, filesender) at URL, or replace one."""
    settings = state.settings.add_remote(name, kind, url, dict(_pair(pair) for pair in pairs))
    remote = settings.remotes[name]
    state.output.data("remote", {"name": name, "kind": remote.kind, "url": remote.url, "origin": remote.origin})
    state.output.line(f"added {name} ({remote.kind}, {remote.url}) to {settings.file}")
    state.output.note(f"next: packhorse login {name}", "dim")


def _pair(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise UsageError(f"--set wants KEY=VALUE, not {text!r}")
    if value in ("true", "false"):
        return key, value == "true"
    if value.isascii() and value.isdigit() and key.endswith("port"):
        return key, int(value)
    return key, float(value) if value.replace(".", "", 1).isdigit() and key.endswith("timeout") else value


@command("list", group=remote_command, examples="packhorse remote list")
def list_(state: State) -> None:
    """List the remotes: their names, kinds, addresses and where each is defined."""
    rows = []
    for name, remote in sorted(state.settings.remotes.items()):
        state.output.data("remote", {"name": name, "kind": remote.kind, "url": remote.url, "origin": remote.origin})
        state.output.value(name)
        rows.append([name, remote.kind, remote.url or _absent(name), remote.origin])
    columns = (Column("name"), Column("kind"), Column("url", flexible=True), Column("defined in", flexible=True))
    state.output.table(columns, rows)


def _absent(name: str) -> str:
    return "(start one: packhorse serve --demo)" if name in ("demo", DEMO_FILES, DEMO_IMMPORT) else "(not set)"


@command("remove", group=remote_command, examples="packhorse remote remove lab")
@click.argument("name")
def remove(state: State, name: str) -> None:
    """Remove a remote from the settings file. Its credential stays: 'packhorse logout NAME' first forgets that."""
    file = state.settings.remove_remote(name).file
    state.output.data("removed", {"name": name})
    state.output.line(f"removed {name} from {file}")


@click.group("config", cls=Group)
@global_options(hidden=True)
def config_command() -> None:
    """Show the settings and where each came from."""


@command("show", group=config_command, examples="packhorse config show")
def show(state: State) -> None:
    """Show every setting that holds, and where it came from. Secrets are not shown."""
    try:
        settings = state.settings
    except SettingsError as error:
        error.hint = "mend that line of the file, or use another one with --config FILE"
        raise
    output = state.output
    exists = "" if settings.file.exists() else " (does not exist: everything is a default)"
    plain = {
        "file": str(settings.file),
        "state_dir": str(settings.state_dir),
        "network": _plain(settings.network),
        "transfer": _plain(settings.transfer),
        "remotes": {name: _plain(remote) for name, remote in settings.remotes.items()},
    }
    output.data("settings", plain)
    output.line(f"file: {settings.file}{exists}")
    output.line(f"state: {settings.state_dir}")
    for section in ("network", "transfer"):
        output.line(f"[{section}]", "bold")
        for key, value in plain[section].items():
            if value not in (None, [], ""):
                output.line(f"  {key} = {_shown(value)}")
    for name, remote in sorted(settings.remotes.items()):
        output.line(f"[remotes.{name}]  {remote.origin}", "bold")
        output.line(f"  kind = {remote.kind}")
        output.line(f"  url = {remote.url or _absent(name)}")
        for key, value in remote.options.items():
            output.line(f"  {key} = {_shown(value)}")


def _plain(value: Any) -> Any:
    """The value for JSON, without secrets."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, (Secret, Path)):
        return str(value)
    return value


def _shown(value: Any) -> str:
    return {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value)
