"""Chaos in the suite: fixed seeds always, fresh ones as many as fit five minutes (``-m slow``, ``make chaos N=…``)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .chaos import play

CHAOS = Path(__file__).with_name("chaos.py")
SEEDS = (1, 4, 5, 10, 13, 14, 27, 30, 36, 44, 48, 60)
"""Each of them once broke the engine or a promise's check, or is the only one of its kind among the first."""
SECONDS = 270.0
HANDS = 3
"""Rounds mostly wait; more at once than cores makes more of them, and other orders of threads."""


@pytest.mark.parametrize("seed", SEEDS)
def test_chaos_of_fixed_seeds(seed: int) -> None:
    print(play(seed))


@pytest.mark.slow
def test_chaos_of_fresh_seeds(capfd: pytest.CaptureFixture[str]) -> None:
    """PACKHORSE_CHAOS: how many rounds (else as many as fit the time); PACKHORSE_CHAOS_SEED: the first seed."""
    count = int(os.environ.get("PACKHORSE_CHAOS") or 0)
    first = int(os.environ.get("PACKHORSE_CHAOS_SEED") or time.time_ns() % 10**9)
    seconds = SECONDS if not count else 10.0 * count + 60
    each = -(-count // HANDS) if count else 10_000
    command = [sys.executable, "-W", "error", str(CHAOS)]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    hands = [
        subprocess.Popen(
            [*command, str(first + hand), str(each), "--step", str(HANDS), "--seconds", str(seconds)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environ,
        )
        for hand in range(HANDS)
    ]
    said: list[str] = []
    try:
        for hand in hands:
            said.append(hand.communicate(timeout=seconds + 120)[0])
    finally:
        for hand in hands:
            hand.kill()
            hand.communicate()
    lines = [line for text in said for line in text.splitlines()]
    played = [line for line in lines if line.startswith("seed ")]
    broken = [text[text.index("BROKEN") :] for text in said if "BROKEN" in text]
    with capfd.disabled():
        print(f"\nchaos: {len(played)} rounds from seed {first} (PACKHORSE_CHAOS_SEED={first} plays them again)")
        if count:
            print("\n".join(played))
    assert not broken, "\n".join(broken)
    assert all(hand.returncode == 0 for hand in hands), said
    assert len(played) >= (count or 30)
