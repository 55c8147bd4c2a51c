"""``python -m packhorse.testing.faults``: a faulty server to try by hand; it logs every request as a line."""

from __future__ import annotations

import argparse
import json
import sys
import time

from packhorse.testing.faults.content import GeneratedFile
from packhorse.testing.faults.schedule import Schedule
from packhorse.testing.faults.server import FaultServer


def main(argv: list[str] | None = None) -> int:
    """Serve until Ctrl-C or, if told, until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m packhorse.testing.faults", description=__doc__)
    parser.add_argument("--size", type=int, default=8_000_000, metavar="BYTES", help="size of each file")
    parser.add_argument("--files", type=int, default=2, metavar="N", help="how many: file0.bin, file1.bin …")
    parser.add_argument("--schedule", choices=("none", "random", "hostile"), default="random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--intensity", type=float, default=0.5, help="0 to 1, for --schedule random")
    parser.add_argument("--bearer", metavar="TOKEN", help="ask for this token")
    parser.add_argument("--tls", action="store_true", help="serve https, with a certificate of its own")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (an IP address)")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--no-send-buffer", action="store_true", help="leave SO_SNDBUF alone (for long links)")
    parser.add_argument("--until-eof", action="store_true", help="end when standard input ends")
    options = parser.parse_args(argv)
    schedule = Schedule()
    if options.schedule == "random":
        schedule = Schedule.random(options.seed, options.intensity)
    elif options.schedule == "hostile":
        schedule = Schedule.hostile(options.seed)
    files = {f"file{number}.bin": GeneratedFile(options.size, options.seed + number) for number in range(options.files)}
    server = FaultServer(
        files,
        schedule,
        bearer=options.bearer,
        tls=options.tls,
        host=options.host,
        port=options.port,
        send_buffer=None if options.no_send_buffer else 256 * 1024,
    )
    with server:
        digests = {name: file.sha256 for name, file in files.items()}
        ca_file = str(server.ca_file) if server.ca_file else None
        _line(json.dumps({"url": server.url, "ca_file": ca_file, "sha256": digests}))
        if schedule.rules:
            print(schedule.describe(), file=sys.stderr)  # noqa: T201
        try:
            if options.until_eof:
                sys.stdin.buffer.read()
            else:
                _follow(server)
        except KeyboardInterrupt:
            pass
    return 0


def _follow(server: FaultServer) -> None:
    shown = 0
    while True:
        time.sleep(0.2)
        while shown < len(server.log) and server.log[shown].ended is not None:
            one = server.log[shown]
            _line(
                f"{one.method} {one.target} {one.range or '-'} {one.status} {one.body_sent} {one.outcome} {one.faults}"
            )
            shown += 1


def _line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
