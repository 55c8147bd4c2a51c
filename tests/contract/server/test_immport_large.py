"""A package with a million rows: memory does not grow with it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from packhorse.testing.immport_package import make_package

from .conftest import SOURCE
from .immport_tabs import fresh_config

IMPORT = """
import json, sys
from pathlib import Path
from packhorse.server.config import ServerConfig
from packhorse.server.immport.packages import import_package

def peak():  # not getrusage's ru_maxrss, which begins with what the parent process had
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) >> 10

config = ServerConfig(home=Path(sys.argv[1]))
import_package(config, Path(sys.argv[2]))
before = peak()
report = import_package(config, Path(sys.argv[3]))
print(json.dumps({"rows": report.counts["elisa_result"], "bad": report.bad_rows, "before": before, "after": peak()}))
"""


@pytest.mark.slow
def test_a_million_rows(tmp_path: Path) -> None:
    small, large = tmp_path / "SDY9001-DR1_Tab.zip", tmp_path / "SDY9002-DR1_Tab.zip"
    make_package(small)
    make_package(large, "SDY9002", subjects=500, rows=1_000_000)
    config = fresh_config(tmp_path / "home")
    command = [sys.executable, "-c", IMPORT, str(config.home), str(small), str(large)]
    environment = {"PYTHONPATH": str(SOURCE)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["rows"], found["bad"]) == (1_001_000, 0)
    assert found["after"] - found["before"] <= 100, f"MiB: {found}"
