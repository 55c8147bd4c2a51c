"""One *send* in a process of its own: ``child.py URL STATE PART_SIZE RATE FOLDER [encode]``. Prints the outcome."""

from __future__ import annotations

import sys
from pathlib import Path

from packhorse.testing.receiver import send_files
from packhorse.transfer.send import gather


class Shift:
    """An encoder that anybody can undo: its index, and each byte plus one."""

    def encode(self, index: int, plain: bytes) -> bytes:
        return index.to_bytes(4, "big") + plain.translate(bytes((byte + 1) % 256 for byte in range(256)))


def main() -> None:
    url, state, part_size, rate, folder, *more = sys.argv[1:]
    receiver = {"part_size": int(part_size), "encoder": Shift() if more else None}
    outcome, _, there = send_files(
        url, gather([folder]), Path(state), receiver=receiver, limit_rate=int(rate) or None, retries=6
    )
    outcome.raise_for_failures()
    print(sum(one.sent for one in outcome.sent), sum(one.kept for one in outcome.sent), *there.calls)


if __name__ == "__main__":
    main()
