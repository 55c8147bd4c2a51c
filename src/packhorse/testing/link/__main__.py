"""``python -m packhorse.testing.link``: run a command over an emulated line to a faultless loopback server.

The command follows the options; ``{url}`` in it stands for a file on the far side. Without one, curl fetches it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict

from packhorse.testing.link.netns import NetnsLink

_CURL = ["curl", "-sS", "-o", "/dev/null", "-w", "connect %{time_connect} s, total %{time_total} s\n", "{url}"]


def main(argv: list[str] | None = None) -> int:
    """Make a line, run the command in its client's namespace, print times and the line's counts."""
    parser = argparse.ArgumentParser(prog="python -m packhorse.testing.link", description=__doc__)
    parser.add_argument("--rtt-ms", type=float, default=50)
    parser.add_argument("--rate-mbit", type=float, default=1000, help="0: no limit")
    parser.add_argument("--loss", type=float, default=0.0, help="probability for each packet, each way")
    parser.add_argument("--congestion", metavar="NAME", help="reno, bbr …; default: the machine's")
    parser.add_argument("--mtu", type=int, default=1500)
    parser.add_argument("--no-offload", action="store_true", help="carry each packet by itself (slower)")
    parser.add_argument(
        "--tcp-buffer-kib", type=int, metavar="KIB", help="limit of TCP's buffers; default: the machine's"
    )
    parser.add_argument("--size", type=int, default=32_000_000, metavar="BYTES", help="size of the file")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    options = parser.parse_args(argv)
    if reason := NetnsLink.available():
        print(reason, file=sys.stderr)  # noqa: T201
        return 1
    link = NetnsLink(
        rtt_ms=options.rtt_ms,
        rate_mbit=options.rate_mbit,
        loss=options.loss,
        congestion=options.congestion,
        mtu=options.mtu,
        tcp_buffer_kib=options.tcp_buffer_kib,
        offload=not options.no_offload,
    )
    with link:
        serve = [
            sys.executable,
            "-m",
            "packhorse.testing.faults",
            "--until-eof",
            "--schedule",
            "none",
            "--no-send-buffer",
        ]
        serve += ["--files", "1", "--size", str(options.size), "--host", link.server_address]
        server = link.popen(
            serve,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        url = json.loads(server.stdout.readline() if server.stdout else "{}")["url"] + "/file0.bin"
        command = [word for word in options.command if word != "--"] or _CURL
        began = time.monotonic()
        done = link.run([word.replace("{url}", url) for word in command], check=False)
        seconds = time.monotonic() - began
        counts = asdict(link.stats())
    print(f"exit {done.returncode} after {seconds:.2f} s; the line: {json.dumps(counts)}")  # noqa: T201
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
