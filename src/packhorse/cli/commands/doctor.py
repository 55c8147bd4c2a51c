"""``packhorse doctor``."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from packhorse.cli.checks import REMOTE_LIMIT, credential_checks, local_checks, remote_checks
from packhorse.cli.context import State, command
from packhorse.errors import ExitCode

__all__ = ["doctor_command"]


@command(
    "doctor",
    examples="""
    packhorse doctor
    packhorse doctor --offline
    """,
)
@click.option("--offline", is_flag=True, help="Ask no remote.")
def doctor_command(state: State, offline: bool) -> int:
    """Explain Python, TLS, proxy, keyring, space, clock and reachability, each with what mends it.

    Exit code 1 where something fails; a warning is none.
    """
    output, settings = state.output, state.settings
    checks = list(local_checks(settings, Path.cwd()))
    checks.extend(credential_checks(settings.remotes, state.session.credentials))
    if not offline:
        checks.extend(remote_checks(settings.remotes, lambda url: _ask(state, url)))
    for check in checks:
        output.data(
            "check", {"name": check.name, "verdict": check.verdict, "found": check.found, "fix": check.fix or None}
        )
    width = max(len(check.name) for check in checks)
    styles = {"ok": "green", "warn": "yellow", "fail": "red"}
    for check in checks:
        output.line(f"{check.verdict:<4}  {check.name:<{width}}  {check.found}", styles[check.verdict])
        if check.fix and check.verdict != "ok":
            output.line(f"{'':4}  {'':{width}}  -> {check.fix}")
    failed = sum(check.verdict == "fail" for check in checks)
    output.line(f"{failed} of {len(checks)} checks fail" if failed else "nothing stands in the way")
    return int(ExitCode.FAILED if failed else ExitCode.DONE)


def _ask(state: State, url: str) -> tuple[int, str | None]:
    """Status and ``Date`` of a remote's answer, within a short limit, by the same network code as every transfer."""
    from packhorse.net.calls import call
    from packhorse.net.message import Request
    from packhorse.transfer.engine import Engine

    async def ask() -> tuple[int, str | None]:
        reply = await asyncio.wait_for(call(network, Request("GET", url), retries=0), REMOTE_LIMIT)
        return reply.status, reply.head.headers.get("date")

    network = state.session.network()
    return Engine.shared().run(ask())
