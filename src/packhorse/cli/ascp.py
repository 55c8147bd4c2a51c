"""``packhorse-ascp``: ``ascp``'s arguments, output, logs and exit codes over our own engine (spec immport §3.4, §5).

Programs that were written for ImmPort's Aspera server run with it: it takes the files from the server that issued the
transfer token, whatever host the program names. Every file is verified by its digest before it has its name, and goes
on where it was cut off.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TextIO

from packhorse.cli.ascp_log import TransferLog
from packhorse.cli.ascp_management import Management, error_code
from packhorse.cli.ascp_places import asked_pairs, is_kept, places, remote_path
from packhorse.wire.immport.ascp import AscpError, AscpOptions, parse_ascp
from packhorse.wire.immport.ascplines import USAGE, closing_lines, file_line, redacted
from packhorse.wire.immport.asperatoken import read_token

if TYPE_CHECKING:
    from packhorse.transfer.events import Event
    from packhorse.transfer.options import Outcome

__all__ = ["main"]


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Run one command line; 0 when every file arrived, 1 when not, 112 without arguments, 130 when interrupted."""
    argv = list(sys.argv[1:] if argv is None else argv)
    environ = os.environ if environ is None else environ
    try:
        asked = parse_ascp(argv)
    except AscpError as error:
        _complain(error.text or USAGE)
        return error.exit_code
    if asked.help or asked.version:
        from packhorse import __version__

        _say(USAGE if asked.help else f"packhorse-ascp {__version__}: ascp's arguments, another transport")
        return 0
    try:
        log = TransferLog(asked.log_dir)
    except OSError as error:
        _complain(f"ascp: the log folder {asked.log_dir} cannot be used: {error.strerror}")
        return 1
    told = Told(log, Management(asked.management))
    try:
        return _session(asked, argv, environ, told)
    except KeyboardInterrupt as error:
        return _stop(told, "Cancelled by user; the same command goes on where it was", error, 130)
    except AscpError as error:
        return _stop(told, error.text, error)
    except Exception as error:  # noqa: BLE001 - the last place that can turn it into a line and a code
        from packhorse.cli.failures import explain

        return _stop(told, explain(error).message, error)
    finally:
        told.management.close()
        log.close()


@dataclass(frozen=True, slots=True)
class Told:
    """Who is told, beside the terminal."""

    log: TransferLog
    management: Management

    def say(self, text: str) -> None:
        self.log.say(text)


def _session(asked: AscpOptions, argv: Sequence[str], environ: Mapping[str, str], log: Told) -> int:
    token = asked.token or environ.get("ASPERA_SCP_TOKEN") or ""
    log.say(f"packhorse-ascp {redacted(argv, token)}")
    if asked.send:
        raise AscpError("this command only receives; to submit data: packhorse immport upload")
    if asked.remove_source:
        raise AscpError("nothing can be removed from the server")
    if asked.key is not None and not Path(asked.key).is_file():
        raise AscpError(f"Private key file not found at path {asked.key}")
    base = _server(token, environ)
    log.say(f"the server is {base}")
    pairs = asked_pairs(asked)
    log.management.session(base, pairs[0][0] if len(pairs) == 1 else f"{len(pairs)} paths", asked.destination)
    started = time.monotonic()
    outcome = _fetch(asked, base, token, pairs, log)
    return _close(asked, outcome, time.monotonic() - started, log)


def _server(token: str, environ: Mapping[str, str]) -> str:
    """The server's address: ``PACKHORSE_ASCP_URL``, else the one in the token."""
    if not token:
        raise AscpError("a transfer token is needed: -W TOKEN, or ASPERA_SCP_TOKEN")
    if any(sign.isspace() or not sign.isprintable() for sign in token):
        raise AscpError("the transfer token holds blanks or line breaks")
    read = read_token(token)
    told = environ.get("PACKHORSE_ASCP_URL", "").strip()
    if told:
        if not told.startswith(("http://", "https://")):
            raise AscpError("PACKHORSE_ASCP_URL is no web address: https://YOUR-SERVER")
        return told.rstrip("/")
    if read is None:
        raise AscpError(
            "this token was not issued by a Packhorse server; for ImmPort's own Aspera server use IBM's ascp, "
            "or HTTPS: packhorse get immport:PATH"
        )
    if read.expires <= time.time():
        raise AscpError("the transfer token's time is over: ask for a new one")
    return read.url


def _fetch(asked: AscpOptions, base: str, token: str, pairs: Sequence[tuple[str, str | None]], log: Told) -> Outcome:
    from packhorse.cli.ascp_source import TransferSource
    from packhorse.session import Session
    from packhorse.settings import Settings
    from packhorse.transfer.engine import Engine
    from packhorse.transfer.get import get
    from packhorse.transfer.options import GetOptions

    paths = [remote_path(source) for source, _ in pairs]
    with Session(Settings.load()) as session:
        network = session.network()
        source = TransferSource(network, base, token)
        found = Engine.shared().run(source.files(paths))
        wants, folder = places(asked, paths, pairs, found, source)
        for want in [want for want in wants if is_kept(asked, want, folder)]:
            log.say(f"{want.target or want.item.path} is kept as it is (--overwrite={asked.overwrite})")
            wants.remove(want)
        if not wants:
            from packhorse.transfer.options import Outcome

            return Outcome(folder)
        given = session.settings.transfer
        options = GetOptions(
            overwrite=asked.overwrite != "never",
            limit_rate=max(asked.rate // 8, 1) if asked.rate else given.limit_rate,
            jobs=given.jobs,
            retries=given.retries,
            durability=given.durability,
        )
        work = get(wants, folder, options, network, lambda event: _tell(asked, event, log), pool=Engine.shared().pool)
        return Engine.shared().run(work)


def _tell(asked: AscpOptions, event: Event, log: Told) -> None:
    from packhorse.transfer.events import Failed, Placed, Progress, Resumed, Retried

    if isinstance(event, Progress):
        if not event.path:
            log.management.progress(event.done, event.size)
    elif isinstance(event, Placed):
        log.management.placed(event.path, event.size)
        log.say(f"{event.path}: {event.size} bytes, proven by {event.proof}{', was here' if event.reused else ''}")
        if not asked.quiet:
            _say(file_line(PurePosixPath(event.path).name, event.size))
    elif isinstance(event, Resumed):
        log.say(f"{event.path}: {event.kept} bytes were here already")
    elif isinstance(event, Retried):
        log.say(f"{event.path}: try {event.attempt + 1} in {event.delay:.1f} s, because of {event.why}")
    elif isinstance(event, Failed):
        log.say(f"{event.path}: {event.message}")
        _complain(f"ascp: {event.path}: {event.message}")


def _close(asked: AscpOptions, outcome: Outcome, seconds: float, log: Told) -> int:
    size = sum(file.fetched for file in outcome.placed)
    if outcome.failed:
        reason = outcome.failed[0].error.message
        if len(outcome.failed) > 1:
            reason = f"{len(outcome.failed)} files failed; the first: {reason}"
        return _stop(log, reason, outcome.failed[0].error)
    first, second = closing_lines(size, seconds, len(outcome.placed))
    log.say(f"{first}{second}")
    log.management.done(size)
    if not asked.quiet:
        _say(first)
        _say(second)
    return 0


def _stop(log: Told, reason: str, error: BaseException, code: int = 1) -> int:
    from packhorse.net.redact import show_text

    log.management.failed(error_code(error), reason)
    line = f"Session Stop  (Error: {show_text(reason, 1000)})"
    with contextlib.suppress(OSError, ValueError):
        log.say(line)
    _say("")
    _say(line)
    return code


def _say(text: str) -> None:
    _write(text, sys.stdout)


def _complain(text: str) -> None:
    _write(text, sys.stderr)


def _write(text: str, to: TextIO) -> None:
    """Lines without control characters, in what the terminal can show."""
    clean = "".join(sign if sign.isprintable() or sign == "\n" else "?" for sign in text)
    encoding = to.encoding or "utf-8"
    with contextlib.suppress(BrokenPipeError):
        print(clean.encode(encoding, "backslashreplace").decode(encoding), file=to, flush=True)


if __name__ == "__main__":
    sys.exit(main())
