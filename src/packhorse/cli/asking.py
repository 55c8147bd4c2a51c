"""Secrets and consent: from standard input, or asked on the terminal. Never out of the command line's own words."""

from __future__ import annotations

import sys

import click

from packhorse.errors import UsageError
from packhorse.model import Secret

__all__ = ["agreed", "all_lines", "ask_password", "first_line", "new_password"]

_MOST = 64 * 1024


def first_line(what: str) -> Secret:
    """The first line of standard input. Raises :class:`UsageError` where it holds nothing."""
    try:
        line = sys.stdin.readline().rstrip("\r\n")
    except UnicodeDecodeError:
        raise UsageError(f"the {what} on standard input is no text") from None
    if not line:
        raise UsageError(f"standard input holds no {what}", hint=f"echo the {what} into --{what}-stdin")
    return Secret(line)


def all_lines(what: str) -> Secret:
    """All of standard input, for what may be JSON over several lines. Raises :class:`UsageError` where it is empty."""
    try:
        text = sys.stdin.read(_MOST).strip()
    except UnicodeDecodeError:
        raise UsageError(f"the {what} on standard input is no text") from None
    if not text:
        raise UsageError(f"standard input holds no {what}", hint=f"echo the {what} into --{what}-stdin")
    return Secret(text)


def ask_password(question: str, *, otherwise: str) -> Secret:
    """One hidden line. ``otherwise`` is what to type where there is no terminal."""
    _needs_terminal(otherwise)
    return Secret(click.prompt(question, hide_input=True, err=True))


def new_password(question: str, *, otherwise: str) -> Secret:
    """A hidden line, typed twice."""
    _needs_terminal(otherwise)
    return Secret(click.prompt(question, hide_input=True, confirmation_prompt="Once more", err=True))


def agreed(question: str, *, yes: bool) -> bool:
    """Whether what cannot be undone shall be done. Raises :class:`UsageError` where nobody can be asked."""
    if yes:
        return True
    _needs_terminal("give --yes where it shall be done without a question")
    return click.confirm(question, err=True)


def _needs_terminal(otherwise: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask on", hint=otherwise)
