"""``packhorse get`` over a stand-in session: words, options, what is printed and what it exits with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from packhorse.cli.addresses import split_destination
from packhorse.errors import (
    AuthenticationError,
    IntegrityError,
    InterruptedTransfer,
    NetworkError,
    NotFoundError,
    SpaceError,
    UsageError,
)
from packhorse.model import Digest, Item, Proof, ProofLevel, SafePath
from packhorse.transfer.events import Placed, Progress, Resumed, Retried, Started
from packhorse.transfer.options import FailedFile, Outcome, PlacedFile, Planned

from .conftest import FakeSession, Ran

MIB = 2**20
Run = Callable[..., Ran]


def item(name: str, size: int = 10 * MIB) -> Item:
    return Item("flow", "789", name, size)


def placed(folder: Path, name: str, level: ProofLevel = ProofLevel.SHA256, **more: Any) -> PlacedFile:
    digest = Digest("sha256", "ab" * 32) if level is ProofLevel.SHA256 else None
    return PlacedFile(item(name), folder / name, 10 * MIB, Proof(level, digest), **more)


def session_for(outcome: Outcome, *events: Any) -> FakeSession:
    def get(addresses: Any, destination: Any, *, on_event: Callable[[Any], None], **_: Any) -> Outcome:
        for event in events:
            on_event(event)
        return outcome

    return FakeSession(get=get)


@pytest.mark.parametrize(
    ("words", "to", "listed", "expected"),
    [
        (["flow:data/789"], None, [], (["flow:data/789"], ".")),
        (["flow:data/789", "out"], None, [], (["flow:data/789"], "out")),
        (["flow:data/789", "out/"], None, [], (["flow:data/789"], "out/")),
        (["flow:1", "flow:2", "flow:1"], None, [], (["flow:1", "flow:2"], ".")),
        (["a", "b"], "c", [], (["a", "b"], "c")),
        (["/data/x"], None, [], (["/data/x"], ".")),
        (["https://h/x", r"C:\data"], None, [], (["https://h/x"], r"C:\data")),
        ([], "d", ["flow:1"], (["flow:1"], "d")),
        (["d"], None, ["flow:1", "flow:2"], (["flow:1", "flow:2"], "d")),
    ],
)
def test_destination_rule(words: list[str], to: str | None, listed: list[str], expected: Any) -> None:
    assert split_destination(words, to, listed) == expected


@pytest.mark.parametrize(("words", "to"), [([], None), ([], "d"), (["flow:1"], ""), (["flow:1", " "], "d")])
def test_nothing_to_get(words: list[str], to: str | None) -> None:
    with pytest.raises(UsageError):
        split_destination(words, to)


def test_table_and_summary(packhorse: Run, tmp_path: Path) -> None:
    outcome = Outcome(
        tmp_path,
        [
            placed(tmp_path, "a.gz", kept=6 * MIB, fetched=4 * MIB),
            placed(tmp_path, "sub/b.gz", ProofLevel.SIZE, fetched=10 * MIB),
            placed(tmp_path, "c.gz", ProofLevel.MD5, reused=True, kept=10 * MIB),
        ],
        seconds=2.0,
    )
    ran = packhorse("get", "flow:data/789", str(tmp_path), session=session_for(outcome))
    assert ran.code == 0
    *rows, summary = ran.out.splitlines()
    assert rows == [
        "file        size  proof   note",
        "a.gz      10 MiB  sha256  kept 6 MiB",
        "c.gz      10 MiB  md5     was here",
        "sub/b.gz  10 MiB  size",
    ]
    assert summary == (
        "3 files, 30 MiB in 2.0 s (7 MiB/s), 1 proven by sha256, 1 by md5, 1 checked by size only; "
        "kept 6 MiB from before; 1 were here already"
    )
    assert ran.err == ""


def test_everything_was_here(packhorse: Run, tmp_path: Path) -> None:
    outcome = Outcome(tmp_path, [placed(tmp_path, "a.gz", reused=True)], seconds=0.01)
    ran = packhorse("get", "flow:data/789", session=session_for(outcome))
    assert ran.out.splitlines()[-1] == "1 file, 10 MiB, all here already, 1 proven by sha256"


def test_resumed_is_said(packhorse: Run, tmp_path: Path) -> None:
    event = Resumed(path="a.gz", kept=6 * MIB, size=10 * MIB, discarded=MIB, why="block 3 differs")
    ran = packhorse("get", "flow:1", session=session_for(Outcome(tmp_path, [placed(tmp_path, "a.gz")]), event))
    assert "resumed a.gz: kept 6 MiB of 10 MiB, 1 MiB did not agree and come again (block 3 differs)" in ran.err


def test_retries_are_said_when_asked(packhorse: Run, tmp_path: Path) -> None:
    outcome, event = (
        Outcome(tmp_path, [placed(tmp_path, "a.gz")]),
        Retried(path="a.gz", attempt=2, delay=1, why="network"),
    )
    assert "again" not in packhorse("get", "flow:1", session=session_for(outcome, event)).err
    ran = packhorse("get", "flow:1", "--verbose", session=session_for(outcome, event))
    assert "trying a.gz again in 1.0 s, try 2 (network)" in ran.err


def test_quiet_says_nothing(packhorse: Run, tmp_path: Path) -> None:
    ran = packhorse("get", "flow:1", "-q", session=session_for(Outcome(tmp_path, [placed(tmp_path, "a.gz")])))
    assert (ran.out, ran.err) == ("", "")


def test_json_is_the_event_stream(packhorse: Run, tmp_path: Path) -> None:
    events = [Started(path="a.gz", size=10), Placed(path="a.gz", size=10, proof="md5")]
    ran = packhorse(
        "--json", "get", "flow:1", session=session_for(Outcome(tmp_path, [placed(tmp_path, "a.gz")]), *events)
    )
    assert [(line["v"], line["event"]) for line in ran.objects] == [(1, "started"), (1, "placed")]
    assert ran.err == ""


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (NotFoundError("Data file not found", hint="Verify the ID"), 4, ["error: Data file not found", "hint: Verify"]),
        (AuthenticationError("Invalid or expired token"), 3, ["hint: packhorse login REMOTE"]),
        (NetworkError("no answer"), 1, ["hint: packhorse doctor"]),
        (IntegrityError("not the stated bytes", expected="md5:" + "0" * 32, got="md5:" + "1" * 32), 1,
         ["Expected:  md5:000", "Got:       md5:111"]),
        (SpaceError("no space", required=2000, available=1000), 1,
         ["Required:  2,000 bytes", "Available: 1,000 bytes"]),
        (PermissionError(13, "Permission denied", "/root/x"), 1, ["error: Permission denied: /root/x", "--to DIR"]),
        (OSError(28, "No space left on device"), 1, ["error: No space left on device"]),
        (ValueError("token=hunter2"), 1, ["error: a bug in packhorse: ValueError"]),
    ],
)  # fmt: skip
def test_errors_are_a_line_and_the_next_command(packhorse: Run, error: Exception, code: int, words: list[str]) -> None:
    for arguments in (["get", "flow:1"], ["get", "flow:1", "--json"]):
        ran = packhorse(*arguments, session=FakeSession(get=error))
        assert ran.code == code
        assert all(word in ran.err for word in words), ran.err
        assert "Traceback" not in ran.err
        assert "hunter2" not in ran.err + ran.out
        if "--json" in arguments:
            (said,) = ran.objects
            assert (said["v"], said["event"], said["exit_code"]) == (1, "error", code)
        else:
            assert ran.out == ""


def test_a_failed_file_is_named_with_its_cause_and_the_command(packhorse: Run, tmp_path: Path) -> None:
    failed = FailedFile(item("b.gz"), tmp_path / "b.gz", NetworkError("the connection broke"), resumable=True)
    outcome = Outcome(tmp_path, [placed(tmp_path, "a.gz")], [failed], seconds=1)
    ran = packhorse("get", "flow:1", "out dir", session=session_for(outcome))
    assert ran.code == 5
    assert "error: b.gz: the connection broke" in ran.err
    assert "  packhorse get flow:1 'out dir'" in ran.err
    assert "; 1 failed" in ran.out


def test_too_little_proof_is_exit_6(packhorse: Run, tmp_path: Path) -> None:
    outcome = Outcome(tmp_path, [placed(tmp_path, "a.gz", ProofLevel.SIZE)], require=ProofLevel.MD5)
    ran = packhorse("get", "flow:1", "--require", "md5", session=session_for(outcome))
    assert ran.code == 6
    assert "error: 1 file with less proof than --require md5 asks for: a.gz (size)" in ran.err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), InterruptedTransfer("stopped")])
def test_interrupted_says_what_is_kept_and_what_to_type(packhorse: Run, error: BaseException) -> None:
    def get(*_: Any, on_event: Callable[[Any], None], **__: Any) -> None:
        on_event(Placed(path="a.gz", size=5 * MIB, proof="md5", fetched=5 * MIB))
        raise error

    ran = packhorse("get", "flow:1", "d/", session=FakeSession(get=get))
    assert ran.code == 130
    assert "error: interrupted; 5 MiB kept" in ran.err
    assert "packhorse get flow:1 d/" in ran.err
    said = packhorse("get", "flow:1", "d/", "--json", session=FakeSession(get=get)).objects[-1]
    assert (said["exit_code"], said["kept"], said["command"]) == (130, 5 * MIB, "packhorse get flow:1 d/ --json")


def test_a_begun_transfer_is_remembered_and_a_done_one_forgotten(packhorse: Run, tmp_path: Path) -> None:
    folder = tmp_path / "packhorse-home/state/transfers"
    packhorse("get", "flow:1", "d/", session=FakeSession(get=KeyboardInterrupt()))
    (path,) = folder.glob("*.json")
    assert json.loads(path.read_text())["command"] == "packhorse get flow:1 d/"
    assert path.stat().st_mode & 0o077 == 0
    packhorse("get", "flow:1", "d/", session=session_for(Outcome(tmp_path)))
    assert not list(folder.iterdir())


def test_a_proxy_password_is_never_remembered_or_shown(packhorse: Run, tmp_path: Path) -> None:
    for proxy in (
        ["--proxy", "http://me:hunter2@proxy:3128"],
        ["--proxy=http://me:hunter2@proxy:3128"],
        ["--proxy", "me:hunter2@p"],
    ):
        ran = packhorse("get", "flow:1", *proxy, session=FakeSession(get=KeyboardInterrupt()))
        assert "hunter2" not in ran.err + ran.out
        assert "@p" in ran.err
    for path in (tmp_path / "packhorse-home").rglob("*"):
        assert path.is_dir() or "hunter2" not in path.read_text()


def test_dry_run(packhorse: Run, tmp_path: Path) -> None:
    planned = [
        Planned(item("a.gz"), SafePath(("a.gz",)), tmp_path / "a.gz", "resume", held=4 * MIB),
        Planned(item("../b.gz"), SafePath(("b.gz",)), tmp_path / "b.gz", "fetch", renamed=True),
        Planned(item("c.gz"), SafePath(("c.gz",)), tmp_path / "c.gz", "reuse", held=10 * MIB),
    ]
    ran = packhorse("get", "flow:1", f"{tmp_path}/", "--dry-run", session=FakeSession(plan=planned))
    assert ran.code == 0
    assert ran.out.splitlines()[-1] == f"3 files, 30 MiB; 16 MiB to fetch into {tmp_path}, 1 here already"
    assert "renamed" in ran.out
    clash = [Planned(item("a.gz"), SafePath(("a.gz",)), tmp_path / "a.gz", "conflict", reason="holds something else")]
    ran = packhorse("get", "flow:1", "-n", "--json", session=FakeSession(plan=clash))
    assert ran.code == 1
    assert [line["event"] for line in ran.objects] == ["planned", "error"]


def test_addresses_from_a_file_and_from_standard_input(
    packhorse: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    (tmp_path / "list").write_text("# mine\nflow:1\n\nflow:2\n")
    session = session_for(Outcome(tmp_path))
    assert packhorse("get", "--from", str(tmp_path / "list"), "d/", session=session).code == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("flow:3\n"))
    assert packhorse("get", "--from", "-", session=session).code == 0
    assert [call[1] for call in session.calls] == [(["flow:1", "flow:2"], "d/"), (["flow:3"], ".")]
    ran = packhorse("get", "--from", str(tmp_path / "none"), session=session)
    assert (ran.code, "No such file" in ran.err) == (1, True)


def test_receipt_may_stand_before_the_address(packhorse: Run, tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(b"x")
    outcome = Outcome(tmp_path, [placed(tmp_path, "a.gz")])
    ran = packhorse("get", "--receipt", "flow:1", session=session_for(outcome))
    assert (ran.code, (tmp_path / "SHA256SUMS").read_text()) == (0, "ab" * 32 + "  a.gz\n")
    assert f"receipt: {tmp_path / 'SHA256SUMS'}" in ran.out


def test_a_plain_line_from_time_to_time(tmp_path: Path) -> None:
    import io
    import time

    from packhorse.cli.output import Output
    from packhorse.cli.progress import Display

    err = io.StringIO()
    with Display(Output(out=io.StringIO(), err=err), every=0.05) as display:
        display(Started(files=2, size=10 * MIB))
        display(Progress(done=MIB, size=10 * MIB, rate=MIB))
        deadline = time.monotonic() + 5
        while not err.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
    assert err.getvalue().splitlines()[0] == "1 MiB of 10 MiB (10%), 1 MiB/s, 9.0 s left, 0 of 2 files"


def test_bars_on_a_terminal_are_gone_at_the_end(packhorse: Run, tmp_path: Path) -> None:
    events = [
        Started(files=1, size=10 * MIB),
        Progress(done=MIB, size=10 * MIB, rate=MIB),
        Progress(path="a\x1b[2Jb.gz", done=MIB, size=10 * MIB, rate=MIB),
        Resumed(path="a\x1b[2Jb.gz", kept=MIB),
        Placed(path="a\x1b[2Jb.gz", size=10 * MIB, proof="sha256"),
    ]
    outcome = Outcome(tmp_path, [placed(tmp_path, "a\x1b[2Jb.gz")])
    ran = packhorse("get", "flow:1", terminal=True, session=session_for(outcome, *events))
    assert ran.code == 0
    assert "\x1b[2J" not in ran.err + ran.out
    assert "a\\x1b[2Jb.gz" in ran.out
    assert (
        packhorse("get", "flow:1", "--no-progress", terminal=True, session=session_for(outcome, *events)).err.count("━")
        == 0
    )


def lines(text: str) -> Iterator[str]:
    yield from text.splitlines()
