"""CPU time of starting up: ``packhorse --help`` and ``import packhorse``. ``python -m benchmarks.startup``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.clients import packhorse_command

__all__ = ["HELP_LIMIT", "IMPORT_LIMIT", "measure"]

HELP_LIMIT = 0.150
IMPORT_LIMIT = 0.050
ROUNDS = 11


def _cpu(argv: Sequence[str]) -> float:
    """CPU seconds, user and system, of one run."""
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    with process.stderr as errors:
        said = errors.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        raise RuntimeError(f"{Path(argv[0]).name} failed: {said.decode(errors='replace')[-300:]}")
    return usage.ru_utime + usage.ru_stime


def measure(rounds: int = ROUNDS) -> dict[str, Any]:
    """Medians in CPU seconds: ``help``, the bare interpreter's ``python``, and ``import`` beyond that.

    The import's own cost is what ``import packhorse`` takes more than an interpreter that imports nothing, round by
    round.
    """
    bare, imported, shown = [], [], []
    for _ in range(rounds):
        bare.append(_cpu([sys.executable, "-c", "pass"]))
        imported.append(_cpu([sys.executable, "-c", "import packhorse"]))
        shown.append(_cpu([*packhorse_command(), "--help"]))
    return {
        "rounds": rounds,
        "python": median(bare),
        "import": median(with_it - without for with_it, without in zip(imported, bare, strict=True)),
        "import_whole": median(imported),
        "help": median(shown),
    }


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
