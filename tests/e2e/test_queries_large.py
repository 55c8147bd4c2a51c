"""A million rows through the client in bounded memory. The server replays one answer (benchmarks/replayed_rows.py)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[2]
ROWS = 1_000_000
MOST = 300 * 2**20


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["parquet", "tsv", "ndjson"])
def test_a_million_rows_take_300_mib_at_most(kind: str, tmp_path: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "no_proxy": "127.0.0.1"}
    replay = [sys.executable, "-m", "benchmarks.replayed_rows", str(ROWS)]
    with subprocess.Popen(replay, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ, cwd=ROOT) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        try:
            url = f"http://127.0.0.1:{json.loads(server.stdout.readline())['port']}"
            fetch = [sys.executable, "-m", "benchmarks.queries", "--client", kind, "--url", url]
            done = subprocess.run(
                [*fetch, "--folder", str(tmp_path)],
                env={**environ, "PACKHORSE_HOME": str(tmp_path / "home")},
                cwd=ROOT, capture_output=True, text=True, timeout=600, check=False,
            )  # fmt: skip
        finally:
            server.stdin.close()
            server.wait(60)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["rows"] == ROWS
    target = tmp_path / f"rows.{kind}"
    if kind == "parquet":
        assert pq.ParquetFile(target).metadata.num_rows == ROWS
    else:
        with target.open("rb") as file:
            assert sum(piece.count(b"\n") for piece in iter(lambda: file.read(2**20), b"")) == ROWS + (kind == "tsv")
    assert told["peak"] <= MOST, f"{told['peak'] / 2**20:.0f} MiB"
