"""The ladder: explicit, environment, command, keyring, 0600 file, prompt (ANCHORS N7).

The first rung that has something answers. A rung that is empty says so; a file that must not be used, or a command
that fails, is an error, because going on without would hide it. What each rung said is kept for ``whoami`` and
``doctor``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from packhorse.credentials.command import token_from_command
from packhorse.credentials.keyrings import KEYRING_LIMIT, look_up
from packhorse.credentials.private import read_private
from packhorse.credentials.prompt import Prompt
from packhorse.credentials.store import TokenStore
from packhorse.errors import CredentialStoreError
from packhorse.model import Secret

__all__ = ["RUNGS", "Answer", "Attempt", "Credential", "Rung", "Source", "climb", "sendable"]

Rung = Literal["explicit", "environment", "command", "keyring", "file", "prompt"]
RUNGS: tuple[Rung, ...] = ("explicit", "environment", "command", "keyring", "file", "prompt")


@dataclass(frozen=True, slots=True)
class Credential:
    """A token (with what renews it), or a user name and password. ``origin`` is shown: a variable's name, a path …"""

    rung: Rung
    origin: str
    token: Secret | None = None
    refresh: Secret | None = None
    username: str | None = None
    password: Secret | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one rung said."""

    rung: Rung
    outcome: Literal["answered", "empty", "failed"]
    detail: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The credential, if any rung had one, and what every rung that was asked said."""

    credential: Credential | None
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Where one remote's credentials may be. The portal says it; the ladder only looks.

    ``token_variables``, ``token_file_variables`` and ``password_variables`` (pairs) in order of preference. The
    keyring's account is ``username``; ``keyring_services`` are the token's and the refresh token's service.
    ``token_files`` are further private files that hold nothing but a token. ``reads`` takes the token out of what a
    rung holds, where that can be more than the token itself; it gets the text and its origin, and may block.
    """

    remote: str
    url: str
    environ: Mapping[str, str] = field(repr=False)
    store: TokenStore
    explicit: Credential | None = None
    token_variables: tuple[str, ...] = ()
    token_file_variables: tuple[str, ...] = ()
    password_variables: tuple[tuple[str, str], ...] = ()
    username: str | None = None
    command: str | None = None
    command_limit: float = 10.0
    keyring_services: tuple[str, ...] = ()
    keyring_limit: float = KEYRING_LIMIT
    token_files: tuple[Path, ...] = ()
    prompt: Prompt | None = None
    reads: Callable[[Secret, str], Secret] | None = None


def climb(source: Source, *, ask: bool = False, every_rung: bool = False) -> Answer:
    """Ask the rungs in order until one answers. Blocks (files, processes, a person): call it in a thread.

    ``ask`` includes the prompt. ``every_rung`` is for ``doctor``: all but the prompt are asked, nothing is raised,
    and the first that has something is the answer. Raises :class:`CredentialStoreError` otherwise.
    """
    attempts: list[Attempt] = []
    answer: Credential | None = None
    rungs: dict[Rung, Callable[[Source], Credential | str]] = {
        "explicit": _explicit,
        "environment": _environment,
        "command": _command,
        "keyring": _keyring,
        "file": _file,
    }
    if ask:
        rungs["prompt"] = _prompt
    for rung, look in rungs.items():
        try:
            found = look(source)
            if isinstance(found, Credential) and found.token is not None:
                found = replace(found, token=(source.reads or sendable)(found.token, found.origin))
        except CredentialStoreError as error:
            if not every_rung:
                raise
            attempts.append(Attempt(rung, "failed", error.message + (f" ({error.hint})" if error.hint else "")))
            continue
        if isinstance(found, str):
            attempts.append(Attempt(rung, "empty", found))
            continue
        attempts.append(Attempt(rung, "answered", found.origin))
        answer = answer or found
        if not every_rung:
            break
    return Answer(answer, tuple(attempts))


def sendable(token: Secret, origin: str) -> Secret:
    """The token as a header can carry it: one printable word, without a ``Bearer`` in front.

    Raises :class:`CredentialStoreError`, which names the place and not the text.
    """
    text = token.reveal().strip()
    if text[:7].lower() == "bearer ":
        text = text[7:].strip()
    if not text or not all("!" <= ch <= "~" for ch in text):
        raise CredentialStoreError(f"{origin} does not hold a token: one word of printable characters is wanted")
    return Secret(text)


def _explicit(source: Source) -> Credential | str:
    return source.explicit or "none was given"


def _environment(source: Source) -> Credential | str:
    env = source.environ
    for name in source.token_variables:
        if env.get(name, "").strip():
            return Credential("environment", name, token=Secret(env[name]), username=source.username)
    for name in source.token_file_variables:
        if env.get(name):
            path = Path(env[name]).expanduser()
            token = _token_file(path, source)
            if token is None:
                raise CredentialStoreError(f"{name} names {path}, which does not exist")
            return Credential("environment", f"{name} ({path})", token=token, username=source.username)
    for user, password in source.password_variables:
        if env.get(user) and env.get(password):
            origin = f"{user} and {password}"
            return Credential("environment", origin, username=env[user], password=Secret(env[password]))
    wanted = [*source.token_variables, *source.token_file_variables]
    wanted += [f"{user} with {password}" for user, password in source.password_variables]
    return f"not set: {', '.join(wanted)}" if wanted else "no variable is looked at"


def _command(source: Source) -> Credential | str:
    if source.command is None:
        return f"remotes.{source.remote}.token_command is not set"
    token = token_from_command(source.command, source.environ, source.command_limit, source.remote)
    return Credential("command", f"remotes.{source.remote}.token_command", token=token, username=source.username)


def _keyring(source: Source) -> Credential | str:
    if not source.keyring_services:
        return "switched off in the settings"
    service = source.keyring_services[0]
    reply = look_up(source.keyring_services, source.username, source.environ, source.keyring_limit)
    if reply.problem is not None:
        return reply.problem
    if service not in reply.secrets:
        whose = f"account {source.username}" if source.username else "no account known"
        return f"nothing under service {service} ({whose}; {reply.backend})"
    refresh = next((reply.secrets[name] for name in source.keyring_services[1:] if name in reply.secrets), None)
    origin = f"service {service}, account {reply.username}"
    return Credential("keyring", origin, token=reply.secrets[service], refresh=refresh, username=reply.username)


def _file(source: Source) -> Credential | str:
    said: list[str] = []
    stored = source.store.read()
    if stored is None:
        said.append(f"{source.store.path} does not exist")
    elif stored.url != source.url:
        # A token goes only to the server that issued it, whatever the remote's name points to now.
        said.append(f"{source.store.path} is for {stored.url}")
    else:
        origin = str(source.store.path)
        return Credential("file", origin, stored.token, stored.refresh, stored.username)
    for path in source.token_files:
        token = _token_file(path, source)
        if token is not None:
            return Credential("file", str(path), token=token, username=source.username)
        said.append(f"{path} does not exist")
    return "; ".join(said)


def _token_file(path: Path, source: Source) -> Secret | None:
    text = read_private(path)
    return None if text is None else (source.reads or sendable)(Secret(text), str(path))


def _prompt(source: Source) -> Credential | str:
    entered = source.prompt(source.remote, source.username) if source.prompt is not None else None
    if entered is None:
        return "there is no terminal to ask on"
    username, password = entered
    return Credential("prompt", "the terminal", username=username, password=password)
