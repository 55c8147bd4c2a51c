"""``packhorse serve``: thin over :mod:`packhorse.server`."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from packhorse.cli.context import State, command
from packhorse.cli.demo_note import forget_demo, record_demo
from packhorse.errors import PackhorseError

if TYPE_CHECKING:
    from packhorse.server.config import ServerConfig
    from packhorse.server.run import Ready

__all__ = ["serve_command", "server_config", "server_home", "server_home_option"]

server_home_option = click.option("--home", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
                                  help="The server's home. Default: as 'packhorse serve'.")  # fmt: skip


def server_home(state: State, home: Path | None, *, demo: bool = False) -> Path:
    """The server's home: what was given, else a folder in the state directory."""
    return home or state.state_dir / ("demo-server" if demo else "server")


def server_config(state: State, home: Path | None) -> ServerConfig:
    """What the commands that work beside a server need of it."""
    from packhorse.server.config import ServerConfig

    return ServerConfig(home=server_home(state, home))


@command(
    "serve",
    examples="""
    packhorse serve --demo
    packhorse serve --home /srv/packhorse --host 0.0.0.0 --port 443 --tls-cert cert.pem --tls-key key.pem
    """,
)
@click.option("--demo", is_flag=True, help="With demo users and data; the 'demo' remote then points here.")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDR", help="Address to listen on.")
@click.option("--port", "-p", type=click.IntRange(0, 65535), default=8080, show_default=True, metavar="N",
              help="Port; 0 lets the system choose.")  # fmt: skip
@click.option("--home", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Where database and files are. Default: in the state directory.")  # fmt: skip
@click.option("--public-url", metavar="URL", help="What users type to reach it, where that differs.")
@click.option(
    "--tls-cert", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Certificate chain, PEM."
)
@click.option(
    "--tls-key", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Its private key, PEM."
)
@click.option("--smtp-host", metavar="HOST", help="Send mail through this server. Default: files in HOME/outbox.")
@click.option("--smtp-port", type=click.IntRange(1, 65535), metavar="N", help="Its port.")
@click.option("--mail-from", metavar="ADDR", help="Sender of the mail.")
@click.option("--ready-json", is_flag=True, help="Print one line of JSON on standard output when it listens.")
def serve_command(
    state: State,
    *,
    demo: bool,
    ready_json: bool,
    home: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    smtp_host: str | None,
    smtp_port: int | None,
    mail_from: str | None,
    **plain: Any,
) -> int:
    """Run a portal of your own: Flow's API below /api, FileSender's at /. SIGTERM or Ctrl-C ends it cleanly.

    Limits and all about mail may stand in the settings file, in [server.filesender] and [server.mail].
    """
    from packhorse.server.config import ServerConfig
    from packhorse.server.reading import read_server
    from packhorse.server.run import serve

    told = read_server(state.settings)
    given = {"host": smtp_host, "port": smtp_port, "sender": mail_from}
    told["mail"] = replace(told["mail"], **{name: value for name, value in given.items() if value is not None})
    home = server_home(state, home, demo=demo)
    config = ServerConfig(home=home, tls_cert=tls_cert, tls_key=tls_key, **plain, **told)
    recorded: list[str] = []

    def on_ready(ready: Ready) -> None:
        if demo:
            with contextlib.suppress(PackhorseError):  # a read-only state directory must not keep it from running
                record_demo(state.settings, ready.url, config.home)
                recorded.append(ready.url)
        if not ready_json:
            _say(state, ready, demo)

    code = serve(config, demo=demo, ready_json=ready_json, on_ready=on_ready)
    if recorded:
        forget_demo(state.settings, recorded[0])
    return code


def _say(state: State, ready: Ready, demo: bool) -> None:
    output = state.output
    output.data("ready", {"url": ready.url, "users": list(ready.users)})
    output.line(f"serving at {ready.url} (Ctrl-C ends it)")
    if demo:
        for user in ready.users:
            output.line(f"  user {user['username']}, password {user['password']}")
        output.line("in another terminal:")
        output.line("  packhorse login demo")
        output.line("  packhorse get demo:executions/456 results/")
        output.line("or, to send files:")
        output.line("  packhorse login demo-files")
        output.line("  packhorse send FILES --link --via demo-files")
