"""Asking the person, on a terminal only."""

from __future__ import annotations

import atexit
import contextlib
import getpass
import sys
from collections.abc import Callable

from packhorse.model import Secret

__all__ = ["Prompt", "terminal_passphrase", "terminal_prompt"]

Prompt = Callable[[str, str | None], tuple[str, Secret] | None]
"""``(remote, user name if known) -> (user name, password)``, or ``None`` when nobody can be asked."""


def terminal_prompt(remote: str, username: str | None) -> tuple[str, Secret] | None:
    """Ask for user name and password on the terminal; ``None`` when there is none or nothing is entered."""
    if not _somebody():
        return None
    try:
        if username is None:
            print(f"User name for {remote}: ", end="", file=sys.stderr, flush=True)  # noqa: T201
            username = sys.stdin.readline().strip()
        password = _hidden(f"Password of {username} for {remote}: ") if username else ""
    except EOFError:
        return None
    return (username, Secret(password)) if password else None


def terminal_passphrase(what: str) -> Secret | None:
    """Ask for one hidden line on the terminal; ``None`` when there is no terminal or nothing is entered."""
    if not _somebody():
        return None
    try:
        text = _hidden(f"{what}: ")
    except EOFError:
        return None
    return Secret(text) if text else None


def _somebody() -> bool:
    return bool(sys.stdin and sys.stdin.isatty() and sys.stderr and sys.stderr.isatty())


def _hidden(question: str) -> str:
    """Without echo. The asking thread may be given up by Ctrl-C: then the echo is put back when the program ends."""
    try:
        import termios
    except ImportError:  # Windows
        return getpass.getpass(question)
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def restore() -> None:
        with contextlib.suppress(termios.error, ValueError, OSError):
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)

    atexit.register(restore)
    text = getpass.getpass(question)
    atexit.unregister(restore)
    return text
