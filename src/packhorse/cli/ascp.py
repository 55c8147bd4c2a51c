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
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final, TextIO

from packhorse.cli.ascp_log import TransferLog
from packhorse.wire.immport.ascp import (
    USAGE,
    AscpError,
    AscpOptions,
    closing_lines,
    file_line,
    parse_ascp,
    read_lines,
    read_pairs,
    redacted,
)
from packhorse.wire.immport.asperatoken import read_token

if TYPE_CHECKING:
    from packhorse.cli.ascp_source import TransferSource
    from packhorse.model import Item
    from packhorse.transfer.events import Event
    from packhorse.transfer.options import Outcome, Want

__all__ = ["main"]

_LIST_LIMIT: Final = 64 << 20


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
    try:
        return _session(asked, argv, environ, log)
    except KeyboardInterrupt:
        return _stop(log, "Cancelled by user; the same command goes on where it was", 130)
    except AscpError as error:
        return _stop(log, error.text)
    except Exception as error:  # noqa: BLE001 - the last place that can turn it into a line and a code
        from packhorse.cli.failures import explain

        return _stop(log, explain(error).message)
    finally:
        log.close()


def _session(asked: AscpOptions, argv: Sequence[str], environ: Mapping[str, str], log: TransferLog) -> int:
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
    pairs = _pairs(asked)
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


def _pairs(asked: AscpOptions) -> list[tuple[str, str | None]]:
    """What is asked for: remote paths, each with its place here where the command names one."""
    if asked.file_pair_list is not None:
        return [(asked.source_prefix + source, here) for source, here in read_pairs(_text(asked.file_pair_list))]
    if asked.file_list is not None:
        sources = read_lines(_text(asked.file_list))
    else:
        local = [source.path for source in asked.sources if source.host is None]
        if local:
            raise AscpError(f"{local[0]} names no host; a source is host:path")
        sources = [source.path for source in asked.sources]
    if not sources:
        raise AscpError("the list of files is empty")
    return [(asked.source_prefix + source, None) for source in sources]


def _text(name: str) -> str:
    try:
        with Path(name).open("rb") as file:
            raw = file.read(_LIST_LIMIT + 1)
    except OSError as error:
        raise AscpError(f"failed to open input file list {name}: {error.strerror}") from None
    if len(raw) > _LIST_LIMIT:
        raise AscpError(f"the file list {name} is too long")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise AscpError(f"the file list {name} is not UTF-8 text") from None


def _fetch(
    asked: AscpOptions, base: str, token: str, pairs: Sequence[tuple[str, str | None]], log: TransferLog
) -> Outcome:
    from packhorse.cli.ascp_source import TransferSource
    from packhorse.session import Session
    from packhorse.settings import Settings
    from packhorse.transfer.engine import Engine
    from packhorse.transfer.get import get
    from packhorse.transfer.options import GetOptions

    paths = [_remote_path(source) for source, _ in pairs]
    with Session(Settings.load()) as session:
        network = session.network()
        source = TransferSource(network, base, token)
        found = Engine.shared().run(source.files(paths))
        wants, folder = _places(asked, paths, pairs, found, source)
        wants = [want for want in wants if not _kept(asked, want, folder, log)]
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


def _remote_path(text: str) -> str:
    """A path as it is asked for. Raises :class:`AscpError` for what can be none."""
    from packhorse.errors import UsageError
    from packhorse.wire.immport.paths import check_path

    try:
        return check_path(text.removeprefix("./"))
    except UsageError as error:
        raise AscpError(error.message) from None


def _places(
    asked: AscpOptions,
    paths: Sequence[str],
    pairs: Sequence[tuple[str, str | None]],
    found: Sequence[Item],
    source: TransferSource,
) -> tuple[list[Want], Path]:
    """Where every file goes: exactly where a pair says, else by its name (a folder's with the folder) in the
    destination; a single file may name its place itself, as with ``cp``."""
    from packhorse.transfer.options import Want

    base = Path(asked.destination)
    if asked.file_pair_list is not None:
        by_path = {item.path: item for item in found}
        wants = []
        for path, (_, here) in zip(paths, pairs, strict=True):
            item = by_path.get(path)
            if item is None:
                raise AscpError(f"{path} is a folder; a file pair list names files")
            wants.append(Want(item, source, _local(base, here or "")))
        return wants, base
    is_folder = base.is_dir() or asked.make_folder or asked.destination.endswith(("/", os.sep))
    if asked.make_folder:
        base.mkdir(parents=True, exist_ok=True)
    single = len(found) == 1 and len(paths) == 1 and found[0].path == paths[0]
    if not is_folder and single and asked.src_base is None:
        if not base.parent.is_dir():
            raise AscpError(f"there is no folder {base.parent}; -d makes the destination")
        return [Want(found[0], source, base)], base.parent
    if not base.is_dir():
        raise AscpError(f"there is no folder {base}; -d makes it")
    return [Want(replace(item, path=_below(asked, item.path, paths)), source) for item in found], base


def _below(asked: AscpOptions, path: str, paths: Sequence[str]) -> str:
    """The path of a file below the destination."""
    if asked.src_base is not None:
        start = asked.src_base.strip("/")
        if start and not path.startswith(start + "/"):
            raise AscpError(f"{path} does not lie below --src-base {asked.src_base}")
        return path[len(start) :].lstrip("/")
    asked_for = max((given for given in paths if path == given or path.startswith(given + "/")), key=len, default="")
    return path[len(asked_for.rpartition("/")[0]) :].lstrip("/")


def _local(base: Path, line: str) -> Path:
    if "\0" in line or ".." in PurePosixPath(line.replace("\\", "/")).parts:
        raise AscpError(f"bad destination in the file pair list: {line[:200]!r}")
    return base / line


def _kept(asked: AscpOptions, want: Want, folder: Path, log: TransferLog) -> bool:
    """Whether a file that is here stays as it is: always with ``never``, and when it is not older with ``older``."""
    target = want.target or folder / want.item.path
    if asked.overwrite not in ("never", "older", "diff+older") or not target.exists():
        return False
    newer = want.item.modified is None or target.stat().st_mtime >= want.item.modified
    if asked.overwrite == "never" or newer:
        log.say(f"{target} is kept as it is (--overwrite={asked.overwrite})")
        return True
    return False


def _tell(asked: AscpOptions, event: Event, log: TransferLog) -> None:
    from packhorse.transfer.events import Failed, Placed, Resumed, Retried

    if isinstance(event, Placed):
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


def _close(asked: AscpOptions, outcome: Outcome, seconds: float, log: TransferLog) -> int:
    size = sum(file.fetched for file in outcome.placed)
    if outcome.failed:
        reason = outcome.failed[0].error.message
        if len(outcome.failed) > 1:
            reason = f"{len(outcome.failed)} files failed; the first: {reason}"
        return _stop(log, reason)
    first, second = closing_lines(size, seconds, len(outcome.placed))
    log.say(f"{first}{second}")
    if not asked.quiet:
        _say(first)
        _say(second)
    return 0


def _stop(log: TransferLog, reason: str, code: int = 1) -> int:
    from packhorse.net.redact import show_text

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
