"""Bulk downloads as typed: many files out of one archive, cut again and again, over when nobody expects it."""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from packhorse.testing.link import LinkProxy

from .typed import MIB, DemoServer, Popen, Typist, demo_server, one_error, wait_until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[DemoServer]:
    with demo_server(tmp_path / "server") as running:
        yield running


@pytest.fixture
def link(server: DemoServer) -> Iterator[LinkProxy]:
    host, _, port = server.url.removeprefix("http://").partition(":")
    with LinkProxy((host, int(port)), rtt_ms=2, rate_mbit=300, window_kib=128) as running:
        yield running


@pytest.fixture
def typist(tmp_path: Path, server: DemoServer, link: LinkProxy) -> Typist:
    made = Typist(tmp_path / "user", {"PACKHORSE_DEMO_URL": f"{link.url}/api"}, list(server.passwords.values()))
    signed = made("login", "demo", "--username", "demo", "--password-stdin", stdin=server.passwords["demo"] + "\n")
    assert signed.code == 0, signed.said
    return made


def project(tmp_path: Path, typist: Typist, samples: int, files: int, large: int = 0) -> tuple[str, dict[str, str]]:
    """A project whose samples have files of the same names, the first of some samples ``large`` bytes: its address,
    and the md5 of every file by sample and name."""
    draw, digests = random.Random(7), {}
    for number in range(samples):
        folder = tmp_path / "lab" / f"S{number}"
        folder.mkdir(parents=True)
        for index in range(files):
            size = large if large and index == 0 else draw.randrange(0, 40_000)
            content = draw.randbytes(size)
            (folder / f"reads_{index}.txt").write_bytes(content)
            digests[f"{folder.name}/reads_{index}.txt"] = hashlib.md5(content).hexdigest()
    home = str(tmp_path / "server" / "data")
    ran = typist(
        "server", "import-folder", str(tmp_path / "lab"), "--as", "project", "--owner", "demo", "--home", home, "--json"
    )
    assert ran.code == 0, ran.said
    (imported,) = [one for one in ran.objects if "object_id" in one or "id" in one]
    return f"demo:projects/{imported.get('object_id') or imported['id']}", digests


def arrived(typist: Typist, folder: str = "d") -> dict[str, str]:
    base = typist.work / folder
    return {
        f"{path.parent.name}/{path.name}": hashlib.md5(path.read_bytes()).hexdigest()
        for path in base.rglob("*.txt")
        if ".packhorse" not in path.parts
    }


def jobs(tmp_path: Path) -> list[tuple[str, str]]:
    with sqlite3.connect(tmp_path / "server" / "data" / "packhorse.db", timeout=30) as database:
        found = database.execute("SELECT id, name FROM bulk_jobs ORDER BY created").fetchall()
    database.close()
    return found


def test_above_a_hundred_files_by_itself(tmp_path: Path, typist: Typist) -> None:
    address, digests = project(tmp_path, typist, samples=4, files=30)
    ran = typist("get", address, "d/", "--layout", "patterns", "--json")
    assert ran.code == 0, ran.said
    assert arrived(typist) == digests
    ((_, name),) = jobs(tmp_path)
    assert name == "lab_data.zip"
    assert {event["proof"] for event in ran.events("placed")} == {"sha256"}
    again = typist("get", address, "d/", "--layout", "patterns", "--bulk")
    assert again.code == 0, again.said
    assert len(jobs(tmp_path)) == 1  # nothing is missing, nothing is asked for
    (typist.work / "d" / "lab" / "S1" / "reads_3.txt").unlink()
    third = typist("get", address, "d/", "--layout", "patterns", "--no-bulk")
    assert third.code == 0, third.said
    assert len(jobs(tmp_path)) == 1
    assert arrived(typist) == digests


def test_an_archive_that_is_over_in_the_middle(tmp_path: Path, typist: Typist, link: LinkProxy) -> None:
    address, digests = project(tmp_path, typist, samples=2, files=10, large=12 * MIB)
    before = link.octets[1]
    # one connection: what is asked for after the end must be asked for anew
    words = ["--layout", "patterns", "--bulk", "--jobs", "1", "--limit-rate", "8M"]
    with typist.start("get", address, "d/", *words) as process:
        wait_until(lambda: link.octets[1] - before > 6 * MIB or process.poll() is not None, "it moves", 60)
        with sqlite3.connect(tmp_path / "server" / "data" / "packhorse.db", timeout=30) as database:
            database.execute("UPDATE bulk_jobs SET finished = finished - 90000")
        database.close()
        ran = typist.end(process, 90)
    assert ran.code == 0, ran.said
    assert arrived(typist) == digests
    assert "another one is made" in ran.err
    assert len(jobs(tmp_path)) == 2


def test_what_the_server_cannot_bundle_comes_one_by_one(tmp_path: Path, typist: Typist) -> None:
    address, digests = project(tmp_path, typist, samples=1, files=3)
    changed = tmp_path / "lab" / "S0" / "reads_1.txt"
    changed.write_bytes(b"something else")
    ran = typist("get", address, "d/", "--layout", "patterns", "--bulk")
    assert ran.code == 5, ran.said
    assert "one by one" in ran.err
    assert "reads_1.txt" in ran.err
    assert {name: value for name, value in digests.items() if "reads_1" not in name} == arrived(typist)


def test_without_a_sign_in(tmp_path: Path, server: DemoServer) -> None:
    nobody = Typist(tmp_path / "nobody", {"PACKHORSE_DEMO_URL": server.api})
    one_error(nobody("get", "demo:projects/3", "d/", "--bulk"), 3, "packhorse login demo")
    public = nobody("get", "demo:projects/4", "d/", "--bulk")  # archives need a sign-in, public files do not
    assert public.code in (0, 3), public.said


def _cut(process: Popen, link: LinkProxy, mark: int) -> bool:
    """Kill it when so many bytes went through; whether it was still running then."""
    wait_until(lambda: link.octets[1] > mark or process.poll() is not None, "it moves", 90)
    running = process.poll() is None
    process.kill()
    process.communicate(timeout=30)
    return running


@pytest.mark.slow
def test_a_thousand_files_cut_twenty_times(tmp_path: Path, typist: Typist, link: LinkProxy) -> None:
    address, digests = project(tmp_path, typist, samples=10, files=100, large=24 * MIB)
    total = sum(path.stat().st_size for path in (tmp_path / "lab").rglob("*.txt"))
    command = ["get", address, "d/", "--layout", "patterns", "--bulk", "--jobs", "4"]
    before, cuts = link.octets[1], 0
    for _ in range(20):
        mark = link.octets[1]
        with typist.start(*command) as process:
            cuts += _cut(process, link, mark + total // 22)
    ran = typist(*command, "--json", timeout=180)
    assert ran.code == 0, ran.said
    assert arrived(typist) == digests
    assert cuts == 20
    (summary,) = ran.events("summary")
    assert summary["kept"] > 0
    came = link.octets[1] - before
    mark = link.octets[1]
    assert typist(*command).code == 0
    listing = link.octets[1] - mark  # what a run asks for where nothing is missing
    directory = 1000 * 200
    needless = came - total - 21 * (listing + directory)
    print(json.dumps({"total": total, "needless": needless, "cuts": cuts, "listing": listing}))
    assert needless < cuts * 4 * MIB  # four connections were open
