"""The program between the two TUN devices of an emulated link: delay, rate, queue and loss, both ways.

Run by `packhorse.testing.link.netns` with the open devices as inherited descriptors; not meant to be called by hand. It
answers every line on standard input with a line of counts, and when standard input ends (also because the parent was
killed) it deletes the namespaces and ends.
"""

from __future__ import annotations

import gc
import json
import math
import os
import random
import select
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from packhorse.testing.link.segments import segment_count, wire_length, without

_BATCH = 64
_LARGEST = 70_000


@dataclass
class Direction:
    """One way of the link. ``rate`` in bytes/s (0: no limit), ``queue`` in bytes, ``delay`` in seconds."""

    delay: float
    rate: float
    queue: float
    loss: float
    draw: random.Random
    frames: int = 0
    segments: int = 0
    octets: int = 0
    lost: int = 0
    overflowed: int = 0
    refused: int = 0
    _free: float = 0.0
    _until_loss: float = -1.0
    _waiting: deque[tuple[float, bytes]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self._until_loss = self._gap()

    def take(self, frame: bytes, now: float) -> None:
        """Lose, drop or queue a frame that came in."""
        count = segment_count(frame)
        if count <= self._until_loss:
            self._until_loss -= count
            self._queue(frame, count, now)
            return
        lost, at = set(), self._until_loss
        while at < count:
            lost.add(int(at))
            at += 1 + self._gap()
        self._until_loss = at - count
        self.lost += len(lost)
        for part in without(frame, lost):
            self._queue(part, segment_count(part), now)

    def due(self, now: float) -> bytes | None:
        """A frame whose time has come, or None."""
        if self._waiting and self._waiting[0][0] <= now:
            return self._waiting.popleft()[1]
        return None

    def next_due(self) -> float:
        """When the next frame is due."""
        return self._waiting[0][0] if self._waiting else math.inf

    def _queue(self, frame: bytes, count: int, now: float) -> None:
        start = max(now, self._free)
        size = wire_length(frame)
        if self.rate:
            if (start - now) * self.rate + size > self.queue:
                self.overflowed += count
                return
            self._free = start + size / self.rate
        else:
            self._free = now
        self.frames += 1
        self.segments += count
        self.octets += size
        self._waiting.append((self._free + self.delay, frame))

    def _gap(self) -> float:
        """How many segments pass before the next one is lost (geometric)."""
        if self.loss <= 0:
            return math.inf
        if self.loss >= 1:
            return 0
        return math.floor(math.log(1 - self.draw.random()) / math.log(1 - self.loss))

    def counts(self) -> dict[str, int]:
        """The counts so far."""
        names = ("frames", "segments", "octets", "lost", "overflowed", "refused")
        return {name: getattr(self, name) for name in names}


def run(up: int, down: int, directions: tuple[Direction, Direction], control: int, say: Callable[[str], None]) -> None:
    """Forward between the devices until ``control`` ends. ``up`` is the client's device, ``down`` the server's."""
    ways = ((up, down, directions[0]), (down, up, directions[1]))
    clock, write = time.monotonic, os.write
    while True:
        wait = min(directions[0].next_due(), directions[1].next_due()) - clock()
        ready, _, _ = select.select([up, down, control], [], [], None if wait == math.inf else max(0.0, wait))
        if control in ready:
            if not os.read(control, 4096):
                return
            say(json.dumps([direction.counts() for direction in directions]))
        for source, target, direction in ways:
            if source in ready:
                _take_all(source, direction)
            now = clock()
            while (frame := direction.due(now)) is not None:
                try:
                    write(target, frame)
                except OSError:  # the device is down or full
                    direction.refused += 1


def _take_all(source: int, direction: Direction) -> None:
    """Take what the device holds, up to a batch, so that the other way gets its turn."""
    for _ in range(_BATCH):
        try:
            frame = os.read(source, _LARGEST)
        except BlockingIOError:
            return
        direction.take(frame, time.monotonic())


def main() -> int:
    """Read the settings from the command line (JSON) and forward."""
    options = json.loads(sys.argv[1])
    gc.freeze()
    gc.disable()  # nothing here makes cycles, and a collection would show up as jitter
    directions = tuple(
        Direction(
            options["delay"],
            options["rate"],
            options["queue"],
            options["loss"],
            random.Random(f"{options['seed']}:{way}"),
        )
        for way in ("up", "down")
    )

    def say(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    try:
        say("ready")
        run(options["up"], options["down"], (directions[0], directions[1]), 0, say)
    except (KeyboardInterrupt, BrokenPipeError):
        pass
    finally:
        for name in options["namespaces"]:
            subprocess.run([options["ip"], "netns", "delete", name], check=False, capture_output=True)  # noqa: S603
    return 0


if __name__ == "__main__":
    sys.exit(main())
