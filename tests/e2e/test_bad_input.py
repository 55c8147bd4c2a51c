"""What users, servers and disks do wrong: one clear line and what to type next, the documented exit code, nothing
half-written under a final name, no traceback, no secret in anything that is printed or kept.

Against a fault server that speaks enough of Flow; what the embedded server can be asked is in ``test_cli.py``.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from packhorse.testing.faults import (
    Busy,
    Chunked,
    Dribble,
    Fault,
    FaultServer,
    Flip,
    GeneratedFile,
    Html,
    NoRanges,
    Reply,
    Rule,
    Schedule,
    Status,
)

from .test_kill import sha256_of
from .typed import CLI, MIB, Typist, as_nobody, one_error, small_disk, wait_until

TOKEN = "tok3n-that-nobody-may-see"
PASSWORD = "passw0rd-that-nobody-may-see"
SIGNATURE = "s1gnature-that-nobody-may-see"
NAME = "reads.fastq.gz"
FILE = GeneratedFile(6 * MIB + 12345, seed=99)
BYTES = f"/api/downloads/5/{NAME}"


def always(*faults: Fault) -> Schedule:
    """Faults of every answer with the file's bytes."""
    return Schedule.of(*(Rule(fault, path="*reads*", times=None) for fault in faults))


def record(_: object) -> Reply:
    """What Flow says of the file."""
    row = {"id": "5", "filename": NAME, "size": FILE.size, "sha256": FILE.sha256, "md5": FILE.md5}
    return Reply.of(200, json.dumps(row).encode(), "application/json")


def login(_: object) -> Reply:
    return Reply.of(401, b'{"error": "Invalid username or password"}', "application/json")


@dataclass
class Bench:
    """A server, and a typist whose remote ``flow`` is that server, with a token."""

    server: FaultServer
    typist: Typist
    plain: str = field(init=False)

    def __post_init__(self) -> None:
        self.plain = f"{self.server.url}/plain/{NAME}"

    def __call__(self, *arguments: str, **how: object) -> object:
        return self.typist(*arguments, **how)  # type: ignore[arg-type]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """Makes a bench with a schedule. Afterwards: no secret in what was left on disk."""
    typist = Typist(tmp_path, {"FLOW_ACCESS_TOKEN": TOKEN}, [TOKEN, PASSWORD, SIGNATURE])
    servers: list[FaultServer] = []

    def make(schedule: Schedule | None = None) -> Bench:
        routes = {"/api/data/5": record, "/api/login": login}
        server = FaultServer({BYTES: FILE, f"/plain/{NAME}": FILE}, schedule, routes=routes).start()
        servers.append(server)
        typist.variables["FLOW_API_URL"] = f"{server.url}/api"
        return Bench(server, typist)

    yield make
    for server in servers:
        server.close()
    typist.no_secret_on_disk()


Make = Callable[..., Bench]


# ------------------------------------------------------------------------------------------------ what servers say


@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [
        (401, 3, "Refresh your access token or re-login. packhorse login flow"),
        (403, 1, "Request access from the file owner or your group admin."),
        (404, 4, "Verify the file ID and your access permissions."),
        (410, 1, "Request a new download link or create a new bulk download job."),
    ],
)
def test_the_guides_remedies(bench: Make, status: int, code: int, remedy: str) -> None:
    made = bench(always(Status(status)))
    ran = made.typist("get", "flow:data/5", "d/")
    assert ran.code == code
    assert [line for line in ran.err.splitlines() if line.startswith("error: ")][1:] == []
    assert f"hint: {remedy}" in ran.err, ran.err
    assert made.typist.names() == []
    # As a program reads it.
    ran = made.typist("get", "flow:data/5", "d/", "--json")
    (failed,) = ran.events("failed")
    assert (ran.code, failed.get("exit_code", 1)) == (code, code)
    assert remedy in failed["hint"]


@pytest.mark.parametrize("portal", ["flow", "http"])
def test_a_page_instead_of_data(bench: Make, portal: str) -> None:
    made = bench(always(Html()))
    ran = made.typist("get", "flow:data/5" if portal == "flow" else made.plain, "d/")
    assert ran.code == 1, ran.said
    assert ran.err.startswith("error: ")
    assert "page" in ran.err or "HTML" in ran.err, ran.err
    assert "hint: " in ran.err, ran.err
    assert made.typist.names() == []


def test_other_bytes_than_stated(bench: Make) -> None:
    """Expected and Got, fetched afresh once, then failed; nothing stays that could be taken for the file."""
    made = bench(always(Flip(0.5, 1)))
    ran = made.typist("get", "flow:data/5", "d/")
    assert ran.code == 1
    assert f"  Expected:  sha256:{FILE.sha256}" in ran.err.splitlines(), ran.err
    assert re.search(r"^  Got:       sha256:[0-9a-f]{64}$", ran.err, re.MULTILINE), ran.err
    assert "hint: " in ran.err
    assert made.typist.names() == []
    made.server.settle()
    assert FILE.size * 2 <= made.server.body_bytes_sent() <= FILE.size * 2 + 64 * 1024


def test_too_long_a_wait_says_until_when(bench: Make) -> None:
    made = bench(always(Busy(3600, "seconds", 429)))
    started = time.monotonic()
    ran = made.typist("get", "flow:data/5", "d/")
    assert ran.code == 1
    assert time.monotonic() - started < 20
    assert re.search(r"\d\d:\d\d", ran.err), ran.err
    assert "hint: " in ran.err, ran.err
    assert not made.server.impatient


def test_part_of_it_failed(bench: Make) -> None:
    made = bench()
    ran = made.typist("get", made.plain, f"{made.server.url}/none.txt", "d/")
    assert ran.code == 5
    assert "error: none.txt: " in ran.err
    assert "hint: " in ran.err
    assert made.typist.names() == [NAME]


def test_less_proof_than_was_required(bench: Make) -> None:
    made = bench()
    ran = made.typist("get", made.plain, "d/", "--require", "sha256")
    assert ran.code == 6
    assert f"error: 1 file with less proof than --require sha256 asks for: {NAME} (size)" in ran.err
    assert "hint: " in ran.err
    again = made.typist("get", made.plain, "d/", "--require", "sha256")
    assert again.code == 6, "that it was here already does not prove more"
    assert made.typist("get", "flow:data/5", "e/", "--require", "sha256").code == 0


# ------------------------------------------------------------------------------------------------ credentials


def test_a_wrong_password_is_not_repeated(bench: Make) -> None:
    made = bench()
    ran = made.typist("login", "flow", "--username", "ada", "--password-stdin", stdin=PASSWORD + "\n")
    one_error(ran, 3, "user name or password is wrong", "packhorse login flow")
    assert not (made.typist.home / "state" / "credentials").exists()


def test_a_token_file_that_others_can_read(bench: Make) -> None:
    made = bench()
    loose = made.typist.folder / "home" / "state" / "credentials" / "token"
    loose.parent.mkdir(parents=True)
    loose.write_text(TOKEN)
    loose.chmod(0o644)
    env = {"FLOW_ACCESS_TOKEN": "", "FLOW_TOKEN_FILE": str(loose)}
    one_error(made.typist("get", "flow:data/5", "d/", env=env), 3, "0644", f"chmod 600 {loose}")
    assert made.typist.names() == []
    loose.chmod(0o600)
    assert made.typist("get", "flow:data/5", "d/", env=env).code == 0


def test_a_token_that_has_expired(bench: Make) -> None:
    """Refused in the listing, before anything is begun; with nothing to renew it by."""
    made = bench()
    made.server._routes["/api/data/5"] = lambda _: Reply.of(
        401, b'{"error": "Signature has expired"}', "application/json"
    )
    one_error(made.typist("get", "flow:data/5", "d/"), 3, "Signature has expired", "packhorse login flow")
    assert not (made.typist.work / "d").exists()


def test_secrets_in_addresses_are_not_shown_and_not_kept(bench: Make) -> None:
    """A password before the host, a signature in the query: in no line, record or ledger, also when it is stopped."""
    made = bench(always(Dribble(MIB)))
    address = made.plain.replace("http://", f"http://ada:{PASSWORD}@") + f"?X-Signature={SIGNATURE}"
    with made.typist.start("get", address, "d/", "-v") as process:
        wait_until(lambda: made.typist.held() >= MIB, "it moves")
        process.send_signal(signal.SIGINT)
        ran = made.typist.end(process)
    assert ran.code == 130
    assert "packhorse get " in ran.err
    assert made.typist("status").code == 0
    made.typist.no_secret_on_disk()
    for where in ("/none?X-Signature=", "/none.txt?X-Signature="):
        ran = made.typist("get", f"{made.server.url}{where}{SIGNATURE}", "d/", "--json")
        assert ran.code in (1, 4), ran.said


# ------------------------------------------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    "address",
    [
        "",
        ":",
        "nowhere:data/1",
        "flwo:data/1",
        "flow:",
        "flow:data",
        "flow:data/0x10",
        "flow:data/-1",
        "flow:data/../../etc/passwd",
        "flow:data/5\n6",
        "flow:nonsense/5",
        "ftp://127.0.0.1/x",
        "file:///none/such",
        "http://",
        "http:///x",
        "http://[::1/x",
        "http://127.0.0.1:99999/x",
        "http://exa mple.org/x",
        "immport:SDY1/../../etc/passwd",
        "x" * 5000,
        "flow:data/" + "9" * 5000,
    ],
)
def test_addresses_that_cannot_be(bench: Make, address: str) -> None:
    made = bench()
    ran = made.typist("get", address, "d/")
    one_error(ran, 4 if address.startswith("file:") else 2)
    assert "\x1b" not in ran.err
    assert made.typist.names() == []
    assert made.server.requests() == []


def test_addresses_from_a_file(bench: Make) -> None:
    made = bench()
    (made.typist.work / "list").write_bytes(b"\xff\xfe\x00")
    one_error(made.typist("get", "--from", "list", "--to", "d/"), 2, "list")
    one_error(made.typist("get", "--from", "none", "--to", "d/"), 1, "none")
    one_error(made.typist("get", "--from", "-", "--to", "d/", stdin="# nothing\n\n"), 2)
    ran = made.typist("get", "--from", "-", "--to", "d/", stdin=f"# one\n\n{made.plain}\n  flow:data/5  \n")
    assert ran.code in (0, 5), ran.said


# ------------------------------------------------------------------------------------------------ destinations


def test_a_full_disk_before_the_first_byte(bench: Make, tmp_path: Path) -> None:
    made = bench()
    with small_disk(tmp_path / "small", "4m") as place:
        ran = made.typist("get", "flow:data/5", f"{place}/d/")
        one_error(ran, 1, f"Required: {FILE.size + FILE.size // 10:,} bytes", "Available: ")
        assert list(place.iterdir()) == []
        assert not made.server.requests(BYTES)


def test_a_disk_that_runs_full_where_the_size_was_unknown(bench: Make, tmp_path: Path) -> None:
    made = bench(always(NoRanges(), Chunked()))
    with small_disk(tmp_path / "small", "4m") as place:
        ran = made.typist("get", made.plain, f"{place}/")
        assert ran.code == 1, ran.said
        assert "space" in ran.err
        assert "hint: free some space" in ran.err, ran.err
        assert not (place / NAME).exists()


def test_a_disk_that_others_fill_meanwhile(bench: Make, tmp_path: Path) -> None:
    """What arrived stays; with room again, the same command goes on from there."""
    made = bench(always(Dribble(2 * MIB)))
    with small_disk(tmp_path / "small", "9m") as place:
        (place / "d").mkdir()
        (made.typist.work / "d").symlink_to(place / "d")
        command = ["get", "flow:data/5", "d/", "--json"]
        with made.typist.start(*command) as process:
            wait_until(lambda: made.typist.held() >= MIB, "it moves")
            filler = os.open(place / "filler", os.O_WRONLY | os.O_CREAT)
            with contextlib.suppress(OSError):
                while os.write(filler, bytes(64 * 1024)):
                    pass
            os.close(filler)
            ran = made.typist.end(process)
        assert ran.code == 1, ran.said
        (failed,) = ran.events("failed")
        assert (failed["code"], failed["resumable"]) == ("no-space", True)
        assert not (place / "d" / NAME).exists()
        held = made.typist.held()
        (place / "filler").unlink()
        ran = made.typist(*command)
        assert ran.code == 0, ran.said
        assert ran.events("placed")[0]["kept"] == held > 0
        assert sha256_of(place / "d" / NAME) == FILE.sha256


def test_a_destination_that_an_unprivileged_user_may_not_use(bench: Make) -> None:
    made = bench()
    typist = made.typist
    for name, mode in (("closed", 0o555), ("blind", 0o333), ("locked", 0o000)):
        (typist.work / name).mkdir()
        (typist.work / name).chmod(mode)
    secret = typist.work / "secret.txt"
    secret.write_text("root's own")
    secret.chmod(0o600)
    prefix = as_nobody(typist)
    for name in ("closed", "locked", "closed/below", "locked/below"):
        ran = typist("get", "flow:data/5", f"{name}/", prefix=prefix)
        assert ran.code == 1, (name, ran.said)
        assert "ermission denied" in ran.err, ran.err
        assert "--to" in ran.err, ran.err
    ran = typist("get", str(secret), "mine/", prefix=prefix)
    assert ran.code == 1, ran.said
    assert "ermission denied" in ran.err, ran.err
    one_error(typist("get", "--from", str(secret), "--to", "mine/", prefix=prefix), 1, "ermission denied")
    ran = typist("verify", str(secret), "--md5", "0" * 32, prefix=prefix)
    assert ran.code == 1, ran.said
    assert "ermission denied" in ran.err
    if prefix:
        assert typist("get", "flow:data/5", "mine/", prefix=prefix).code == 0
    for name in ("closed", "blind", "locked"):
        (typist.work / name).chmod(0o755)
    assert typist.names("closed") == typist.names("locked") == []


def test_a_state_directory_that_cannot_be_written_stops_no_transfer(bench: Make) -> None:
    made = bench()
    prefix = as_nobody(made.typist)
    state = made.typist.folder / "readonly"
    state.mkdir(mode=0o555)
    ran = made.typist("get", "flow:data/5", "d/", prefix=prefix, env={"PACKHORSE_STATE": str(state)})
    assert ran.code == 0, ran.said
    assert list(state.iterdir()) == []


def test_what_stands_there_is_not_replaced(bench: Make) -> None:
    made = bench()
    there = made.typist.work / "d" / NAME
    there.parent.mkdir()
    for address in (made.plain, "flow:data/5"):
        for content in (b"mine", bytes(FILE.size)):
            there.write_bytes(content)
            ran = made.typist("get", address, "d/")
            assert ran.code == 1, ran.said
            assert "is there already" in ran.err
            assert "--overwrite" in ran.err
            assert there.read_bytes() == content
            assert made.typist.names() == [NAME]
        assert made.typist("get", address, "d/", "--overwrite").code == 0
        assert sha256_of(there) == FILE.sha256


def test_other_things_of_that_name(bench: Make) -> None:
    made = bench()
    work = made.typist.work
    (work / "d" / NAME).mkdir(parents=True)
    for more in ([], ["--overwrite"]):
        ran = made.typist("get", "flow:data/5", "d/", *more)
        assert ran.code == 1, ran.said
        assert "hint: " in ran.err
        assert (work / "d" / NAME).is_dir()
    (work / "e").mkdir()
    (work / "e" / NAME).symlink_to(work / "nowhere")
    assert made.typist("get", "flow:data/5", "e/").code == 1
    assert not (work / "nowhere").exists()
    (work / "plain").write_text("a file")
    ran = made.typist("get", "flow:data/5", "plain/")
    assert ran.code == 1, ran.said
    assert "plain" in ran.err
    assert "hint: " in ran.err
    assert (work / "plain").read_text() == "a file"
    (work / "d2").mkdir()
    (work / "d2" / ".packhorse").write_text("no folder")
    ran = made.typist("get", "flow:data/5", "d2/")
    assert ran.code == 1, ran.said
    assert NAME not in made.typist.names("d2"), "what the ledger cannot note is not placed"


# ------------------------------------------------------------------------------------------------ interruptions


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_stopped_and_typed_again(bench: Make, ending: signal.Signals) -> None:
    made = bench(always(Dribble(MIB)))
    command = ["get", made.plain, "d/"]
    with made.typist.start(*command) as process:
        wait_until(lambda: made.typist.held() >= 2 * MIB, "it moves")
        process.send_signal(ending)
        ran = made.typist.end(process, 20)
    assert ran.code == 130
    assert ran.err.splitlines()[-1].strip() == f"packhorse {shlex.join(command)}", ran.err
    assert NAME not in made.typist.names()
    held = made.typist.held()
    ran = made.typist(*command, "--json")
    assert ran.code == 0, ran.said
    assert ran.events("placed")[0]["kept"] >= held - MIB
    assert sha256_of(made.typist.work / "d" / NAME) == FILE.sha256
    assert made.typist.names() == [NAME]


def test_ctrl_c_ends_a_long_wait_at_once(bench: Make) -> None:
    made = bench(always(Busy(300, "seconds", 503)))
    with made.typist.start("get", "flow:data/5", "d/") as process:
        wait_until(lambda: made.server.requests(BYTES), "it asks")
        time.sleep(0.3)
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        ran = made.typist.end(process, 20)
    assert ran.code == 130, ran.said
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("mode", ["--json", "-v"])
def test_the_reader_goes_away(bench: Make, mode: str) -> None:
    """``| head -1``: what was begun is brought to its end, and the exit code is that of a broken pipe."""
    made = bench(always(Dribble(4 * MIB)))
    with made.typist.start("get", "flow:data/5", "d/", mode) as process:
        assert process.stdout is not None
        if mode == "--json":
            process.stdout.readline()
        process.stdout.close()
        process.stdout = None
        _, err = process.communicate(timeout=60)
    assert process.returncode == 141, (process.returncode, err)
    assert "Traceback" not in err
    assert "rror" not in err, err
    assert sha256_of(made.typist.work / "d" / NAME) == FILE.sha256


def test_without_any_standard_stream(bench: Make) -> None:
    """Closed streams free the lowest descriptors: what is printed must not land in a file that took one."""
    made = bench(always(Status(503), Dribble(8 * MIB)))
    script = 'exec "$@" <&- >&- 2>&-'
    for arguments in (
        ["get", made.plain, "d/", "--retries", "0"],
        ["get", "flow:data/5", "d/", "--json", "--retries", "0"],
        ["get", "nowhere:x", "d/"],
    ):
        subprocess.run(
            ["sh", "-c", script, "sh", *CLI, *arguments], env=made.typist.environ(), cwd=made.typist.work,
            timeout=60, check=False,
        )  # fmt: skip
    assert made.typist.names() == []
    fine = bench()
    done = subprocess.run(
        ["sh", "-c", script, "sh", *CLI, "get", fine.plain, "d/"], env=fine.typist.environ(), cwd=fine.typist.work,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 141)
    assert sha256_of(made.typist.work / "d" / NAME) == FILE.sha256
    assert made.typist.names() == [NAME]
