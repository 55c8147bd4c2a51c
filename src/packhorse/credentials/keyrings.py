"""The system's keyring, asked in a process of its own.

Backends block for minutes without D-Bus, crash, or print; none of that may reach the caller, so keyring is never
imported here. The whole question has a time limit, and a process group that overruns it is ended.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from packhorse.model import Secret

__all__ = ["KEYRING_LIMIT", "KeyringReply", "forget", "look_up", "remember"]

KEYRING_LIMIT: Final = 2.0
"""Seconds for a probe, the start of its process included."""

# The mark keeps the answer apart from whatever a backend prints.
_MARK: Final = "packhorse-keyring "
_PROGRAM: Final = """
import json, sys
ask = json.loads(sys.stdin.readline())
answer = {"found": []}
try:
    import keyring
    ring = keyring.get_keyring()
    answer["backend"] = type(ring).__module__ + "." + type(ring).__qualname__
    for service in ask["services"]:
        user = ask["username"]
        if ask["do"] == "get" and user:
            answer["found"].append([user, keyring.get_password(service, user)])
        elif ask["do"] == "get":
            found = keyring.get_credential(service, None)
            answer["found"].append([found.username, found.password] if found else [None, None])
        elif ask["do"] == "delete":
            try:
                keyring.delete_password(service, user)
                answer["found"].append([user, ""])
            except keyring.errors.PasswordDeleteError:
                answer["found"].append([user, None])
    if ask["do"] == "set":
        for service, value in ask["values"].items():
            keyring.set_password(service, ask["username"], value)
except BaseException as error:
    answer = {"error": type(error).__name__}
sys.stdout.write("\\n" + "packhorse-keyring " + json.dumps(answer) + "\\n")
sys.stdout.flush()
"""


@dataclass(frozen=True, slots=True)
class KeyringReply:
    """``secrets`` by service. ``problem`` is set when the keyring could not be asked; it names no secret."""

    secrets: Mapping[str, Secret]
    username: str | None = None
    backend: str | None = None
    problem: str | None = None


def look_up(
    services: tuple[str, ...], username: str | None, environ: Mapping[str, str], limit: float = KEYRING_LIMIT
) -> KeyringReply:
    """Ask for the account's secret in each service. Without a user name, backends that can may choose one."""
    answer = _ask({"do": "get", "services": services, "username": username}, environ, limit)
    if isinstance(answer, str):
        return KeyringReply({}, problem=answer)
    secrets: dict[str, Secret] = {}
    found_user = username
    for service, found in zip(services, answer["found"], strict=False):
        user, value = found
        if isinstance(value, str) and value:
            secrets[service] = Secret(value)
            found_user = found_user or user
    return KeyringReply(secrets, found_user, answer.get("backend"))


def remember(values: Mapping[str, Secret], username: str, environ: Mapping[str, str], limit: float) -> str | None:
    """Store a secret per service. Returns what went wrong, or ``None``."""
    plain = {service: value.reveal() for service, value in values.items()}
    answer = _ask({"do": "set", "services": [], "values": plain, "username": username}, environ, limit)
    return answer if isinstance(answer, str) else None


def forget(services: tuple[str, ...], username: str, environ: Mapping[str, str], limit: float) -> bool:
    """Delete the account's secrets. True when there were any."""
    answer = _ask({"do": "delete", "services": services, "username": username}, environ, limit)
    return not isinstance(answer, str) and any(found[1] is not None for found in answer["found"])


def _ask(question: Mapping[str, Any], environ: Mapping[str, str], limit: float) -> dict[str, Any] | str:
    """The answer, or one clause that says why there is none."""
    if not sys.executable:
        return "there is no Python interpreter to ask it with"
    if importlib.util.find_spec("keyring") is None:
        return "the keyring package is not installed (pip install 'packhorse[keyring]')"
    process: subprocess.Popen[bytes]
    try:
        # -P: a keyring.py in the current directory is not the keyring.
        process = subprocess.Popen(  # noqa: S603 - our interpreter, our program; secrets go through the pipe
            [sys.executable, "-P", "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PYTHONWARNINGS": "ignore", **environ},
            start_new_session=True,
        )
    except OSError as error:
        return f"its process cannot be started: {error.strerror or error}"
    timed_out = False
    with process:
        try:
            output, _ = process.communicate(json.dumps(question).encode() + b"\n", timeout=limit)
        except subprocess.TimeoutExpired as expired:
            # An answer counts although a helper that the backend left behind still holds the pipe open.
            output, timed_out = expired.output or b"", True
            _end(process)
        except BaseException:
            _end(process)
            raise
    answer = _parse(output)
    if answer is None:
        return f"it gave no answer in {limit:g} s" if timed_out else f"it died (exit status {process.returncode})"
    if "error" in answer:
        return f"it failed ({str(answer['error'])[:80]})"
    return answer


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process, which was not waited for yet, and whatever it started in its session."""
    with suppress(ProcessLookupError, PermissionError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _parse(output: bytes) -> dict[str, Any] | None:
    for line in reversed(output.decode("utf-8", "replace").splitlines()):
        if line.startswith(_MARK):
            with suppress(ValueError):
                answer = json.loads(line.removeprefix(_MARK))
                if isinstance(answer, dict) and ("error" in answer or _well_formed(answer.get("found"))):
                    return answer
    return None


def _well_formed(found: object) -> bool:
    return isinstance(found, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in found)
