"""Running the server: bind, say so, serve until a signal, end cleanly.

``python -m packhorse.server.run`` is the same thing without the command line's comforts.
"""

from __future__ import annotations

import argparse
import contextlib
import ipaddress
import json
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from packhorse.errors import PackhorseError, SettingsError, UsageError
from packhorse.server.app import create_app
from packhorse.server.config import ServerConfig
from packhorse.server.intake import IntakeProtocol

__all__ = ["Ready", "main", "serve"]

log = logging.getLogger("packhorse.server")


@dataclass(frozen=True, slots=True)
class Ready:
    """What a server says when it really listens. ``stop`` ends it, from any thread."""

    url: str
    users: tuple[dict[str, str], ...]
    stop: Callable[[], None]

    def line(self) -> str:
        """The line of ``--ready-json``."""
        return json.dumps({"url": self.url, "users": list(self.users)})


def serve(
    config: ServerConfig, *, demo: bool, ready_json: bool, on_ready: Callable[[Ready], None] | None = None
) -> int:
    """Serve until SIGTERM or SIGINT (or ``Ready.stop``), then return 0.

    Signals are handled when this runs in the main thread. Raises :class:`UsageError` when the port is taken and
    :class:`SettingsError` for a home, certificate or database that cannot be used.
    """
    _log_to_stderr()
    users: tuple[dict[str, str], ...] = ()
    listener = _listen(config)
    try:
        if demo:
            from packhorse.server.demo import ensure_demo

            users = ensure_demo(config)
        server = _Server(_uvicorn_config(config))
        url = config.public_url or _url(config, listener)

        def announce() -> None:
            ready = Ready(url.rstrip("/"), users, server.stop)
            if ready_json:
                print(ready.line(), flush=True)  # noqa: T201 - the contract of --ready-json
            if on_ready is not None:
                on_ready(ready)

        server.announce = announce
        server.run(sockets=[listener])
    finally:
        listener.close()
    return 0


class _Server(uvicorn.Server):
    """uvicorn, which tells when it listens, and takes a signal for a request to end, not for a failure."""

    announce: Callable[[], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.announce()

    def stop(self) -> None:
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._asked) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _asked(self, _number: int, _frame: object) -> None:
        self.force_exit = self.should_exit  # the second time, do not wait for downloads
        self.should_exit = True


def _uvicorn_config(config: ServerConfig) -> uvicorn.Config:
    if (config.tls_cert is None) != (config.tls_key is None):
        raise SettingsError(
            "a TLS certificate needs its key, and a key its certificate", hint="--tls-cert FILE --tls-key FILE"
        )
    app = create_app(config)
    settings = uvicorn.Config(
        app,
        http=IntakeProtocol,
        loop="asyncio",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,  # queries may hold tokens
        server_header=False,
        proxy_headers=bool(config.trusted_proxies),
        forwarded_allow_ips=list(config.trusted_proxies) or None,
        timeout_keep_alive=65,
        timeout_graceful_shutdown=config.shutdown_seconds,
        ssl_certfile=str(config.tls_cert) if config.tls_cert else None,
        ssl_keyfile=str(config.tls_key) if config.tls_key else None,
    )
    try:
        settings.load()
    except OSError as error:  # ssl.SSLError is one too
        app.state.home.database.close()
        raise SettingsError(f"the TLS certificate or key cannot be used: {error.strerror or error}") from error
    return settings


def _listen(config: ServerConfig) -> socket.socket:
    try:
        found = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        try:
            if sys.platform != "win32":  # there it would let two servers share a port
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(
            f"cannot listen on {config.host} port {config.port}: {reason}",
            hint="packhorse serve --port 0 takes a free one",
        ) from error
    return listener


def _url(config: ServerConfig, listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    shown = f"[{address}]" if address.version == 6 else str(address)
    return f"{'https' if config.tls_cert else 'http'}://{shown}:{port}"


def _log_to_stderr() -> None:
    logger = logging.getLogger("packhorse.server")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
        logger.propagate = False
    logger.setLevel(logging.INFO)
    # uvicorn would report a download that was broken off on purpose; what matters is logged by us
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m packhorse.server.run --home DIR [--port N] [--demo] [--ready-json]``."""
    parser = argparse.ArgumentParser(prog="python -m packhorse.server.run")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--public-url")
    parser.add_argument("--database-url")
    parser.add_argument("--tls-cert", type=Path)
    parser.add_argument("--tls-key", type=Path)
    parser.add_argument("--token-seconds", type=float, default=30 * 60)
    parser.add_argument("--demo", action="store_true")
    parser.add_argument("--ready-json", action="store_true")
    given: dict[str, Any] = vars(parser.parse_args(arguments))
    demo, ready_json = given.pop("demo"), given.pop("ready_json")
    try:
        return serve(ServerConfig(**given), demo=demo, ready_json=ready_json)
    except PackhorseError as error:
        print(f"error: {error.message}", *([f"  {error.hint}"] if error.hint else []), sep="\n", file=sys.stderr)  # noqa: T201
        return int(error.exit_code)


if __name__ == "__main__":
    sys.exit(main())
