"""A command that prints a token (``token_command``): run without a shell, with a time limit, its output never shown."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping

from packhorse.errors import CredentialStoreError
from packhorse.model import Secret

__all__ = ["token_from_command"]


def token_from_command(command: str, environ: Mapping[str, str], limit: float, remote: str) -> Secret:
    """The first line that the command prints. Raises :class:`CredentialStoreError`, which never quotes its output."""
    key = f"remotes.{remote}.token_command"
    try:
        argv = shlex.split(command)
    except ValueError as error:
        raise CredentialStoreError(f"{key} cannot be read as a command: {error}") from None
    if not argv:
        raise CredentialStoreError(f"{key} is empty")
    try:
        # Its stderr is the user's: such programs ask for a passphrase or say what is wrong there.
        done = subprocess.run(  # noqa: S603 - the user's own command, without a shell
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=limit, env=dict(environ), check=False
        )
    except subprocess.TimeoutExpired:
        raise CredentialStoreError(f"{key}: {argv[0]} did not end in {limit:g} s") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CredentialStoreError(f"{key}: {argv[0]} cannot be run: {reason}") from None
    if done.returncode != 0:
        raise CredentialStoreError(f"{key}: {argv[0]} ended with status {done.returncode}")
    token = done.stdout.decode("utf-8", "replace").strip().partition("\n")[0].strip()
    if not token:
        raise CredentialStoreError(f"{key}: {argv[0]} printed nothing")
    return Secret(token)
