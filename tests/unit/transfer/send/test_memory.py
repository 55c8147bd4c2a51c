"""Memory is bounded by what is in flight, not by the size of the work."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from packhorse.testing.faults import FaultServer, PartStore, Rule, Schedule, StallUpload

MIB = 1 << 20
SRC = Path(__file__).parents[4] / "src"
PROGRAM = """
import json, sys
from pathlib import Path
from packhorse.testing.receiver import send_files
from packhorse.transfer.send import gather

class Turned:
    def encode(self, index, plain):
        return index.to_bytes(4, "big") + plain

url, folder, state, encode = sys.argv[1:]
outcome, _, _ = send_files(
    url, gather([folder]), Path(state), concurrent_parts=8,
    receiver={"part_size": 5 << 20, "encoder": Turned() if encode == "encode" else None},
)
outcome.raise_for_failures()
# Not getrusage's ru_maxrss, which begins with what the parent process had.
status = Path("/proc/self/status").read_text()
peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
print(json.dumps({"peak": peak, "size": outcome.size}))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak of a process is read from /proc")
@pytest.mark.parametrize("encode", ["plain", "encode"])
def test_three_hundred_mebibytes_in_eight_parts_of_five(encode: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with (tmp_path / "data" / "big").open("wb") as file:
        block = random.Random(1).randbytes(MIB)
        for number in range(30):
            file.write(number.to_bytes(4, "big") + block)
        file.truncate(300 * MIB)  # the rest is sparse: it is read and sent all the same
    # Slow enough that all eight are on their way at once, or the bound would mean nothing.
    slow = Schedule.of(Rule(StallUpload(0.1), path="/uploads/*/*/*", method="PUT", times=None))
    with FaultServer({}, slow, store=PartStore(keep=False)) as server:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, server.url, str(tmp_path / "data"), str(tmp_path / "state"), encode],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
            env={**os.environ, "PYTHONPATH": str(SRC)},
        )
        received = sum(one.body_in for one in server.requests(method="PUT"))
        assert len({one.connection for one in server.requests(method="PUT") if one.body_in}) >= 6
    said = json.loads(done.stdout)
    assert said["size"] == 300 * MIB
    assert received >= 300 * MIB
    assert said["peak"] < 130 * MIB, f"{said['peak'] / MIB:.0f} MiB"
