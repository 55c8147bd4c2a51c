"""The command line. :func:`main` is what the ``packhorse`` script calls."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code (:class:`packhorse.errors.ExitCode`)."""
    from packhorse.cli.app import run

    return run(argv)
