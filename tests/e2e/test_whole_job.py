"""The main job, on real input: a researcher signs in, downloads a sample, an execution's results and a single file,
is cut off in the middle, types the same command again, and ends with every file complete, checked and recorded."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from .test_kill import sha256_of
from .typed import MIB, DemoServer, Typist, demo_server, wait_until

SAMPLE = ["WT_rep1_R1.fastq.gz", "WT_rep1_R2.fastq.gz"]
RESULTS = [
    "multiqc_report.html",
    "pipeline_report.html",
    "results/counts/all.gene_counts.tsv",
    "results/salmon/salmon.merged.gene_tpm.tsv",
]
BIG = "deep_run_R1.fastq.gz"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[DemoServer]:
    with demo_server(tmp_path / "server") as running:
        yield running


def stated(server: DemoServer, number: int) -> dict[str, object]:
    """What the server's own record says, asked for without Packhorse."""
    asked = urllib.request.Request(
        f"{server.api}/data/{number}", headers={"Authorization": f"Bearer {server.keys['demo']}"}
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=30) as answer:
        said: dict[str, object] = json.load(answer)
    return said


def test_the_whole_job(tmp_path: Path, server: DemoServer) -> None:
    secrets = [*server.passwords.values(), *server.keys.values()]
    typist = Typist(tmp_path / "user", {"PACKHORSE_DEMO_URL": server.api}, secrets)

    # Signs in, and looks.
    password = server.passwords["demo"] + "\n"
    ran = typist("login", "demo", "--username", "demo", "--password-stdin", stdin=password)
    assert ran.code == 0, ran.said
    assert typist("whoami", "demo").out.startswith("demo: demo")
    assert [line for line in SAMPLE if line in typist("ls", "demo:samples/12").out] == SAMPLE

    # Downloads everything with one command, and is cut off in the middle of the large file.
    command = [
        "get",
        "demo:samples/12",
        "demo:executions/456",
        "demo:data/792",
        "d/",
        "--receipt",
        "--limit-rate",
        "32M",
    ]
    with typist.start(*command) as process:
        wait_until(lambda: typist.held(BIG) >= 20 * MIB or process.poll() is not None, "it moves", 90)
        assert process.poll() is None, process.communicate()
        process.kill()
        process.communicate(timeout=30)
    held = typist.held(BIG)
    assert held >= 20 * MIB
    done = [name for name in typist.names() if ".part" not in name]
    assert BIG not in done
    assert "SHA256SUMS" not in done
    assert BIG in typist("status").out
    assert typist("verify", "d").code in (0, 4)  # what is placed is right; perhaps nothing is yet

    # Types the same command again: in another process, it goes on where it was.
    ran = typist(*command, "--json", timeout=120)
    assert ran.code == 0, ran.said
    placed = {event["path"]: event for event in ran.events("placed")}
    assert sorted(placed) == sorted([*SAMPLE, *RESULTS, BIG])
    assert placed[BIG]["kept"] == held
    assert placed[BIG]["fetched"] == placed[BIG]["size"] - held
    assert all(placed[name]["reused"] for name in done), "what was placed before the cut is not fetched again"
    assert {event["proof"] for event in placed.values()} == {"sha256"}

    # Every file complete …
    folder = typist.work / "d"
    assert typist.names() == sorted([*SAMPLE, *RESULTS, BIG, "SHA256SUMS"])
    for number, name in ((789, SAMPLE[0]), (790, SAMPLE[1]), (792, BIG)):
        row = stated(server, number)
        content = (folder / name).read_bytes()
        assert (row["filename"], row["size"]) == (name, len(content))
        assert row["md5"] == hashlib.md5(content, usedforsecurity=False).hexdigest()
    with gzip.open(folder / BIG, "rb") as reads:
        assert reads.read(1) == b"@"
    # … checked, by a tool that knows nothing of Packhorse …
    tool = shutil.which("sha256sum")
    if tool is None:
        pytest.skip("sha256sum is missing: apt install coreutils")
    checked = subprocess.run(
        [tool, "--strict", "-c", "SHA256SUMS"], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.count(": OK") == 7
    # … and recorded.
    ran = typist("verify", "d")
    assert (ran.code, ran.out.splitlines()[-1]) == (0, "7 files, 7 as proven")
    assert typist("status").out == "nothing is interrupted\n"
    ran = typist(*command, "--json")
    assert ran.code == 0
    assert all(event["reused"] for event in ran.events("placed"))
    assert ran.events("summary")[0]["fetched"] == 0
    assert sha256_of(folder / BIG) == stated(server, 792)["sha256"]

    # Signs out, and nothing of the account stays.
    assert typist("logout", "demo").code == 0
    typist.no_secret_on_disk()
    assert not list((typist.home / "state" / "credentials").glob("*.json"))
