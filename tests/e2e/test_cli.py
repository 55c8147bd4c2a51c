"""The command line as users run it: processes of its own against ``packhorse serve --demo``.

Whatever is asked, what is printed holds no traceback and no secret, and the exit code is the documented one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from packhorse.transfer import events

SOURCE = Path(__file__).parents[2] / "src"
CLI = [sys.executable, "-m", "packhorse.cli"]
MIB = 2**20
BIG = "demo:data/792"
BIG_NAME = "deep_run_R1.fastq.gz"


@dataclass(frozen=True)
class Server:
    url: str
    passwords: dict[str, str]
    state: Path


@dataclass
class Ran:
    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


def environment(home: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PACKHORSE_", "FLOW_"))}
    return {
        **kept,
        "PYTHONPATH": str(SOURCE),
        "PACKHORSE_HOME": str(home),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
        "no_proxy": "127.0.0.1",
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("server")
    command = [*CLI, "serve", "--demo", "--port", "0", "--home", str(home / "data"), "--ready-json"]
    with subprocess.Popen(
        command, env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=home
    ) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        yield Server(ready["url"], {user["username"]: user["password"] for user in ready["users"]}, home / "state")
        process.terminate()
        assert process.wait(20) == 0
        assert not (home / "state/demo.json").exists(), "the note about a server that ended"


Packhorse = Callable[..., Ran]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def environ(tmp_path: Path, server: Server) -> dict[str, str]:
    return {**environment(tmp_path / "home"), "PACKHORSE_DEMO_URL": f"{server.url}/api"}


@pytest.fixture
def anybody(environ: dict[str, str], work: Path, server: Server) -> Packhorse:
    """``packhorse`` without a credential."""

    def run(*arguments: str, stdin: str = "", cwd: Path = work, prefix: Sequence[str] = (), **variables: str) -> Ran:
        done = subprocess.run(
            [*prefix, *CLI, *arguments], env={**environ, **variables}, cwd=cwd, input=stdin, text=True,
            capture_output=True, timeout=120, check=False,
        )  # fmt: skip
        ran = Ran(done.returncode, done.stdout, done.stderr)
        said = ran.out + ran.err
        assert "Traceback" not in said, said
        assert not any(password in said for password in server.passwords.values())
        return ran

    return run


@pytest.fixture
def packhorse(anybody: Packhorse, server: Server) -> Packhorse:
    """``packhorse`` signed in as ``demo``."""
    ran = anybody("login", "demo", "--username", "demo", "--password-stdin", stdin=server.passwords["demo"] + "\n")
    assert ran.code == 0, ran.err
    return anybody


def one_error(ran: Ran, code: int, *words: str) -> None:
    """One clear line, the next thing to type, nothing on standard output, the right exit code."""
    assert ran.code == code, ran.err
    assert ran.out == ""
    first, *rest = ran.err.splitlines()
    assert first.startswith("error: "), ran.err
    assert len(first) < 400
    assert any(line.startswith("hint: ") for line in rest), ran.err
    for word in words:
        assert word in ran.err, ran.err


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# ------------------------------------------------------------------------------------------------ the main job


def test_sample_execution_and_file(packhorse: Packhorse, work: Path) -> None:
    ran = packhorse("get", "demo:samples/12", "demo:executions/456", "demo:data/791", "d/", "--receipt", "--log", "log")
    assert ran.code == 0, ran.err
    assert re.search(r"^7 files, [\d.]+ MiB in .* 7 proven by sha256$", ran.out, re.MULTILINE), ran.out
    done = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=work / "d", capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.count(": OK")) == (0, 7)
    assert not [name for name in names(work / "d") if name.endswith(".part")]
    log = [json.loads(line.partition(" - ")[2]) for line in (work / "log").read_text().splitlines()]
    assert {"789", "790", "791"} <= {entry["file_id"] for entry in log}
    assert all(set(entry) == {"action", "file_id", "filename", "size", "timestamp"} for entry in log)
    again = packhorse("get", "demo:samples/12", "d/")
    assert again.out.splitlines()[-1].endswith(" MiB, all here already, 2 proven by sha256")


def test_json_is_the_documented_event_stream(packhorse: Packhorse) -> None:
    ran = packhorse("get", "demo:executions/456", "d/", "--json")
    assert (ran.code, ran.err) == (0, "")
    kinds = tuple(
        kind
        for kind in vars(events).values()
        if isinstance(kind, type) and issubclass(kind, events.Event) and kind is not events.Event
    )
    decoder = msgspec.json.Decoder(__import__("typing").Union[kinds])
    seen = [decoder.decode(line) for line in ran.out.splitlines()]
    assert all(line["v"] == 1 for line in ran.objects)
    assert isinstance(seen[0], events.Started)
    assert isinstance(seen[-1], events.Summary)
    assert sum(isinstance(event, events.Placed) for event in seen) == 4


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_cut_is_resumed_by_another_process(
    packhorse: Packhorse, environ: dict[str, str], work: Path, ending: signal.Signals
) -> None:
    command = ["get", BIG, "d/", "--limit-rate", "64M"]
    with subprocess.Popen(
        [*CLI, *command], env=environ, cwd=work, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        deadline = time.monotonic() + 60
        while sum(part.stat().st_blocks * 512 for part in work.glob("d/*.part")) < 20 * MIB:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(ending)
        _, err = process.communicate(timeout=60)
    assert not (work / "d" / BIG_NAME).exists()
    assert "Traceback" not in err
    told = 0.0
    if ending is not signal.SIGKILL:
        assert process.returncode == 130
        match = re.search(r"^error: interrupted; ([\d.]+) MiB kept$", err, re.MULTILINE)
        assert match, err
        told = float(match[1])
        assert f"packhorse {' '.join(command)}" in err
    status = packhorse("status")
    assert BIG_NAME in status.out
    assert f"packhorse {' '.join(command)}" in status.out
    again = packhorse(*command)
    match = re.search(rf"^resumed {re.escape(BIG_NAME)}: kept ([\d.]+) MiB of 64\.\d MiB$", again.err, re.MULTILINE)
    assert match, again.err
    assert float(match[1]) >= max(told, 8)
    assert again.code == 0
    assert packhorse("verify", BIG, f"d/{BIG_NAME}").code == 0
    assert packhorse("status").out == "nothing is interrupted\n"
    assert names(work / "d") == [name for name in names(work / "d") if not name.endswith(".part")]


def test_ls_feeds_get(packhorse: Packhorse, work: Path) -> None:
    listed = packhorse("ls", "demo:samples/12", "--quiet")
    assert listed.out.splitlines() == ["demo:data/789", "demo:data/790"]
    ran = packhorse("get", "--from", "-", "--to", "d/", "--quiet", stdin=listed.out)
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert [name for name in names(work / "d") if name.endswith(".gz")] == [
        "WT_rep1_R1.fastq.gz",
        "WT_rep1_R2.fastq.gz",
    ]


def test_dry_run_moves_nothing(packhorse: Packhorse, work: Path) -> None:
    ran = packhorse("get", "demo:executions/456", "d/", "--dry-run", "--include", "*.tsv")
    assert ran.code == 0
    assert re.fullmatch(r"2 files, ([\d.]+ KiB); \1 to fetch into d", ran.out.splitlines()[-1]), ran.out
    assert not (work / "d").exists()


@pytest.mark.parametrize(
    ("layout", "folder"), [("plain", ""), ("organized", "samples/WT_rep1/"), ("patterns", "WT_rep1/")]
)
def test_layouts_of_a_sample(packhorse: Packhorse, work: Path, layout: str, folder: str) -> None:
    assert packhorse("get", "demo:samples/12", "d/", "--layout", layout).code == 0
    assert f"{folder}WT_rep1_R1.fastq.gz" in names(work / "d")


def test_exact_name(packhorse: Packhorse, work: Path) -> None:
    assert packhorse("get", "demo:data/1001", "report.html").code == 0
    assert (work / "report.html").read_bytes().startswith(b"<")


# ------------------------------------------------------------------------------------------------ verify


def test_verify_in_its_four_forms(packhorse: Packhorse, work: Path) -> None:
    assert packhorse("get", "demo:data/789", "demo:data/790", "d/").code == 0
    path = work / "d/WT_rep1_R1.fastq.gz"
    content = path.read_bytes()
    md5, sha = hashlib.md5(content).hexdigest(), hashlib.sha256(content).hexdigest()
    for arguments in (["--md5", md5], ["--sha256", sha.upper()], ["--md5", md5, "--sha256", sha]):
        assert packhorse("verify", str(path), *arguments).code == 0
    assert packhorse("verify", "demo:data/789", str(path)).code == 0
    assert packhorse("verify", "d").out.splitlines()[-1] == "2 files, 2 as proven"
    state = path.stat()
    path.write_bytes(content[:1000] + bytes([content[1000] ^ 1]) + content[1001:])
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))  # nothing but the bytes tells
    for arguments in (["verify", str(path), "--md5", md5], ["verify", "demo:data/789", str(path)]):
        ran = packhorse(*arguments)
        assert ran.code == 1
        assert re.search(r"^  Expected:  (md5|sha256):[0-9a-f]+$", ran.err, re.MULTILINE), ran.err
        assert re.search(r"^  Got:       (md5|sha256):[0-9a-f]+$", ran.err, re.MULTILINE), ran.err
    ran = packhorse("verify", "d", "--json")
    assert ran.code == 1
    assert {Path(line["path"]).name: line["ok"] for line in ran.objects} == {
        "WT_rep1_R1.fastq.gz": False,
        "WT_rep1_R2.fastq.gz": True,
    }


# ------------------------------------------------------------------------------------------------ accounts


def test_who_am_i(packhorse: Packhorse, server: Server) -> None:
    ran = packhorse("whoami", "demo")
    assert ran.out.startswith("demo: demo (Demo Researcher)\ncredential: file, ")
    assert packhorse("logout", "demo").out == "signed out of demo\n"
    one_error(packhorse("whoami", "demo"), 3, "not signed in to demo", "packhorse login demo")
    assert packhorse("logout", "demo").out == "nothing was kept for demo\n"


def test_login_demo_needs_nothing_typed_where_the_server_runs(server: Server, anybody: Packhorse) -> None:
    ran = anybody("login", "demo", PACKHORSE_HOME="", PACKHORSE_STATE=str(server.state), PACKHORSE_DEMO_URL="")
    assert (ran.code, ran.out.splitlines()[0]) == (0, "signed in to demo as demo"), ran.err


def test_wrong_password(anybody: Packhorse) -> None:
    one_error(anybody("login", "demo", "--username", "demo", "--password-stdin", stdin="hunter2hunter2\n"), 3)


def test_a_token_that_is_no_longer_good(anybody: Packhorse, work: Path) -> None:
    ran = anybody(
        "get", "demo:data/789", "d/", PACKHORSE_DEMO_TOKEN="ey.stale.token", FLOW_ACCESS_TOKEN="ey.stale.token"
    )
    one_error(ran, 3, "packhorse login demo")
    assert "ey.stale.token" not in ran.err
    assert not (work / "d").exists()


def test_a_credential_file_that_others_can_read_is_refused(packhorse: Packhorse, tmp_path: Path) -> None:
    (path,) = (tmp_path / "home/state/credentials").glob("*.json")
    path.chmod(0o644)
    one_error(packhorse("get", "demo:data/789", "d/"), 3, "chmod 600")
    assert "warn  login demo" in packhorse("doctor", "--offline").out


# ------------------------------------------------------------------------------------------------ what can be wrong


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["get", "nope:data/1", "d/"], 2, ["packhorse remote"]),
        (["get", "demo:nonsense/1", "d/"], 2, []),
        (["get", "demo:data/abc", "d/"], 2, []),
        (["get", "demo:data/999999", "d/"], 4, ["not found"]),
        (["ls", "demo:samples/999999"], 4, []),
        (["get", "demo:executions/456/none.txt", "d/"], 4, []),
        (["get", "demo:executions/456", "d/", "--include", "*.bam"], 2, ["--include"]),
        (["get", "https://127.0.0.1:1/x", "d/"], 1, ["packhorse doctor"]),
        (["verify", "none.gz", "--md5", "0" * 32], 4, []),
        (["verify", "."], 4, ["no ledger"]),
        (["get", "demo:data/789", "d/", "--ca-bundle", "/none.pem"], 2, []),
        (["remote", "remove", "flow"], 2, ["built in"]),
    ],
)
def test_one_line_and_the_next_command(
    packhorse: Packhorse, work: Path, arguments: list[str], code: int, words: list[str]
) -> None:
    ran = packhorse(*arguments)
    one_error(ran, code, *words)
    assert names(work) == []


def test_forbidden(anybody: Packhorse, server: Server, work: Path) -> None:
    other = server.passwords["other"] + "\n"
    assert anybody("login", "demo", "--username", "other", "--password-stdin", stdin=other).code == 0
    one_error(anybody("get", "demo:data/789", "d/"), 1, "permission")
    assert names(work) == []


@pytest.mark.skipif(os.name != "posix", reason="modes and users are POSIX matters")
def test_a_destination_that_may_not_be_written(packhorse: Packhorse, work: Path, tmp_path: Path) -> None:
    """As an unprivileged user: root writes everywhere."""
    prefix: list[str] = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("setpriv is missing: install util-linux")
        prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        for path in [tmp_path / "home", *(tmp_path / "home").rglob("*")]:
            os.chown(path, 65534, 65534)
        for path in (tmp_path, *tmp_path.parents):  # pytest's folders are closed to others
            if path.stat().st_uid == 0 and not path.stat().st_mode & 0o001:
                path.chmod(path.stat().st_mode | 0o011)
    closed = work / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    usable = subprocess.run(
        [*prefix, *CLI, "--version"], env=environment(tmp_path / "home"), capture_output=True, check=False
    )
    if usable.returncode != 0:
        pytest.skip("another user cannot run this Python: put it where others can read it")
    ran = packhorse("get", "demo:data/789", f"{closed}/", prefix=prefix, cwd=Path("/"))
    assert ran.code == 1
    assert "error: " in ran.err
    assert "--to" in ran.err
    assert names(closed) == []


def test_a_destination_that_is_full(packhorse: Packhorse, work: Path) -> None:
    full = work / "full"
    full.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("a small file system can only be mounted by root, with mount from util-linux")
    done = subprocess.run([mount, "-t", "tmpfs", "-o", "size=8m", "none", str(full)], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("mounting is not allowed here: run as root outside a restricted container")
    try:
        ran = packhorse("get", BIG, f"{full}/")
        assert ran.code == 1
        assert "Required" in ran.err
        assert "Available" in ran.err
        assert not (full / BIG_NAME).exists()
    finally:
        subprocess.run(["umount", str(full)], check=True)


def test_a_file_that_is_something_else_is_not_replaced(packhorse: Packhorse, work: Path) -> None:
    (work / "d").mkdir()
    (work / "d/WT_rep1_R1.fastq.gz").write_bytes(b"mine")
    ran = packhorse("get", "demo:data/789", "d/")
    assert ran.code == 1
    assert "--overwrite" in ran.err
    assert (work / "d/WT_rep1_R1.fastq.gz").read_bytes() == b"mine"
    assert packhorse("get", "demo:data/789", "d/", "--overwrite").code == 0
    assert (work / "d/WT_rep1_R1.fastq.gz").stat().st_size > 10**6


def test_too_little_proof(packhorse: Packhorse, server: Server, work: Path) -> None:
    """A plain page of the server states no digest: the bytes are there, and the exit code says what is missing."""
    ran = packhorse("get", f"{server.url}/healthz", "d/", "--require", "sha256")
    assert ran.code == 6
    assert "error: 1 file with less proof than --require sha256 asks for: healthz (size)" in ran.err
    assert (work / "d/healthz").is_file()


# ------------------------------------------------------------------------------------------------ around it


def test_doctor_works_offline_and_says_what_it_found(packhorse: Packhorse) -> None:
    ran = packhorse("doctor", "--offline")
    assert ran.code == 0
    for name in ("python", "libcurl", "certificates", "proxy", "keyring", "space here", "state", "ascp", "login demo"):
        assert re.search(rf"^(ok|warn) +{name} ", ran.out, re.MULTILINE), ran.out
    rows = packhorse("doctor", "--json", PACKHORSE_FLOW_URL="https://127.0.0.1:1").objects
    verdicts = {row["name"]: row["verdict"] for row in rows}
    assert (verdicts["remote demo"], verdicts["clock, demo"], verdicts["remote flow"]) == ("ok", "ok", "warn")


def test_remotes_and_settings(packhorse: Packhorse, server: Server) -> None:
    assert packhorse("remote", "add", "lab", "flow", f"{server.url}/api").code == 0
    assert "lab" in packhorse("remote", "list", "--quiet").out.split()
    assert "[remotes.lab]" in packhorse("config", "show").out
    one_error(packhorse("get", "lab:data/789", "d/"), 3, "packhorse login lab")
    assert packhorse("remote", "remove", "lab").code == 0
    assert "lab" not in packhorse("remote", "list", "--quiet").out.split()


def test_a_folder_is_imported_and_fetched(anybody: Packhorse, tmp_path: Path, work: Path) -> None:
    home, folder = str(tmp_path / "portal"), tmp_path / "liver 1"
    folder.mkdir()
    (folder / "reads.fastq").write_bytes(b"@r\nACGT\n+\nIIII\n")
    assert anybody("server", "user", "add", "ada", "--password-stdin", "--home", home, stdin="long enough\n").code == 0
    ran = anybody("server", "import-folder", str(folder), "--as", "sample", "--owner", "ada", "--home", home, "--json")
    assert ran.code == 0, ran.err
    sample = ran.objects[0]["id"]
    key = anybody("server", "user", "api-key", "ada", "--home", home, "--quiet").out.strip()
    command = [*CLI, "serve", "--home", home, "--port", "0", "--ready-json"]
    with subprocess.Popen(command, env=environment(tmp_path / "other"), stdout=subprocess.PIPE, cwd=tmp_path) as portal:
        try:
            assert portal.stdout is not None
            url = json.loads(portal.stdout.readline())["url"]
            assert anybody("remote", "add", "lab", "flow", f"{url}/api").code == 0
            assert anybody("login", "lab", "--token-stdin", stdin=f"{key}\n").code == 0
            ran = anybody("get", f"lab:samples/{sample}", "d/")
            assert ran.code == 0, ran.err
            assert (work / "d/reads.fastq").read_bytes() == (folder / "reads.fastq").read_bytes()
            assert key not in ran.out + ran.err
        finally:
            portal.terminate()
            portal.wait(20)


@pytest.mark.slow
def test_the_demo(anybody: Packhorse, tmp_path: Path) -> None:
    ran = anybody("demo", TMPDIR=str(tmp_path))
    assert ran.code == 0, ran.out + ran.err
    assert "sha256sum reads" in ran.out
    assert not list(tmp_path.glob("packhorse-demo-*"))
