"""What the commands share that move bytes: a rate as an option, and what SIGTERM does."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import click

from packhorse.cli.texts import parse_rate
from packhorse.errors import UsageError

__all__ = ["rate_option", "terminate_as_interrupt"]


def rate_option(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """``10M``, ``1.5MiB``: bytes per second."""
    try:
        return None if value is None else parse_rate(value)
    except UsageError as error:
        raise click.BadParameter(error.message, ctx, param) from None


@contextmanager
def terminate_as_interrupt() -> Iterator[None]:
    """SIGTERM (a job that is cancelled, a machine that shuts down) ends a transfer as Ctrl-C does, journals written."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
