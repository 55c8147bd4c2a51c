"""What an ``ascp`` session prints: the line of a file, the last lines, the help, a command line for the log (spec
immport §3.4, §5.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["USAGE", "closing_lines", "file_line", "redacted"]


def file_line(name: str, size: int, width: int = 48) -> str:
    """The line of a file that has arrived.

    >>> file_line("02054141.001.52628.fcs", 242048)
    '02054141.001.52628.fcs                          100%  236KB             --:--    '
    """
    return f"{name:<{width - 1}} 100% {size // 1024:>4}KB{'':13}--:--    "


def closing_lines(size: int, seconds: float, files: int) -> tuple[str, str]:
    """What a finished session ends with.

    >>> closing_lines(242048, 0.5, 1)
    ('Completed: 236K bytes transferred in 0 seconds', ' (3872K bits/sec), in 1 file.')
    """
    rate = int(size * 8 / max(seconds, 0.001) / 1000)
    return (
        f"Completed: {size // 1024}K bytes transferred in {int(seconds)} seconds",
        f" ({rate}K bits/sec), in {files} file{'' if files == 1 else 's'}.",
    )


USAGE: Final = """\
packhorse-ascp: receives files of an ImmPort server, with ascp's arguments.

usage: packhorse-ascp [options] [user@]host:path ... destination
       packhorse-ascp [options] --mode=recv --host=HOST --user=USER path ... destination
       packhorse-ascp [options] --mode=recv --host=HOST --file-pair-list=FILE destination

  -W TOKEN            transfer token of POST /data/download/token (or ASPERA_SCP_TOKEN)
  -L DIR              write aspera-scp-transfer.log there
  -d                  make the destination folder
  -p                  keep the files' times (always done)
  -q, -v              say nothing; say more in the log
  -l RATE             at most so many bits per second (500k, 10m, 1g)
  -k 0|1|2|3          resume; what arrived and agrees is always kept
  --overwrite=never|always|older|diff|diff+older
  --file-list=FILE    one source a line
  --file-pair-list=FILE  a source and a destination, on lines in turn
  --src-base=PREFIX   keep the folders below PREFIX
  -A, -h              version, this help

The server is the one that issued the token, or PACKHORSE_ASCP_URL, whatever the host is called. Other options of
ascp are read and change nothing. No ascp of IBM is involved.
"""


def redacted(argv: Sequence[str], secret: str | None) -> str:
    """A command line for a log, without its token.

    >>> redacted(["-W", "ATM2_x", "h:a", "."], "ATM2_x")
    '-W … h:a .'
    """
    shown = " ".join(argv)
    if secret:
        shown = shown.replace(secret, "…")
    return "".join(sign if sign.isprintable() else "?" for sign in shown)
