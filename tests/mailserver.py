"""A real mail server (aiosmtpd) on loopback for tests, which leaves nothing open when it ends."""

from __future__ import annotations

import asyncio
import socket
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # aiosmtpd's own, at import
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import SMTP

from packhorse.testing.closing import end_server

__all__ = ["MailServer", "free_port"]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class MailServer(Controller):
    """aiosmtpd's controller stops its loop at once: a connection that just came, or that is about to close, stays open
    then, and is reported in whatever test runs when it is collected. This one ends its sessions first."""

    def factory(self) -> SMTP:
        return SMTP(self.handler, **self.SMTP_kwargs)

    def stop(self, no_assert: bool = False) -> None:
        if self.server is not None and not self.loop.is_closed():
            asyncio.run_coroutine_threadsafe(end_server(self.server), self.loop).result(30)
        super().stop(no_assert)
