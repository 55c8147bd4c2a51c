"""``packhorse send`` over a stand-in session: words, options, passwords, what is printed and what it exits with."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packhorse.cli.arguments import parse_emails, parse_expiry, parse_options, split_id
from packhorse.errors import NetworkError, PermissionDeniedError, UsageError
from packhorse.model import Secret
from packhorse.session import Prepared, Via
from packhorse.transfer.events import Retried, Started
from packhorse.transfer.outgoing import FailedSend, LocalFile, SendOptions, SendOutcome, SentFile
from packhorse.transfer.send import PendingUpload, Sent

from .conftest import FakeSession, Ran

MIB = 2**20
KEY = "0123456789abcdef"
LINK = "https://fs.example.org/?s=download&token=0f5c2a7e-1111-4222-8333-94b6a1c2d3e4"
VOUCHER = "https://fs.example.org/?s=upload&vid=0f5c2a7e-1111-4222-8333-94b6a1c2d3e4"
Run = Callable[..., Ran]


def local(name: str, size: int = 10 * MIB) -> LocalFile:
    return LocalFile(Path("/data") / name, name, size, 1, 2, 3)


def pending(stage: Any = "sending", **more: Any) -> PendingUpload:
    facts: dict[str, Any] = {
        "key": KEY, "remote": "lab", "about": {}, "id": "12", "stage": stage, "files": 1, "size": 10 * MIB,
        "confirmed": 4 * MIB, "running": False, "seen": time.time(), "names": ("a.bin",),
        "paths": (Path("/data/a.bin"),), "journal": Path("/state/x.journal"),
    }  # fmt: skip
    return PendingUpload(**{**facts, **more})


def prepared(*names: str, before: PendingUpload | None = None, **more: Any) -> Prepared:
    files = tuple(local(name) for name in names or ("a.bin",))
    facts: dict[str, Any] = {"empty_folders": (), "loops": (), "key": KEY, "receiver": None, "wishes": None}
    return Prepared(**{"via": Via("lab"), "files": files, "before": before, **facts, **more})


def outcome(ready: Prepared, **more: Any) -> SendOutcome:
    result = {
        "expires": datetime(2026, 12, 24, 12).timestamp(),
        "recipients": [{"id": 1, "email": "ada@example.org", "download_url": LINK}],
    }
    facts: dict[str, Any] = {"result": result, "id": "12", "seconds": 2.0}
    facts["sent"] = [SentFile(file, kept=6 * MIB, sent=4 * MIB) for file in ready.files]
    return SendOutcome("lab", KEY, list(ready.files), **{**facts, **more})


def session_for(ready: Prepared, done: Any = None, **more: Any) -> FakeSession:
    def send_prepared(prepared: Prepared, options: Any, on_event: Callable[[Any], None]) -> SendOutcome:
        on_event(Started(path="", files=1, size=10, direction="up"))
        if isinstance(done, BaseException):
            raise done
        return done or outcome(prepared)

    return FakeSession(
        prepare=ready,
        send_prepared=send_prepared,
        send_options=SendOptions,
        pending=more.pop("pending", []),
        **more,
    )


# Words.


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["ada@example.org"], ("ada@example.org",)),
        (["ada@example.org,bob@example.org"], ("ada@example.org", "bob@example.org")),
        (["ada@example.org; bob@example.org\ncyd@example.org dan@example.org"],
         ("ada@example.org", "bob@example.org", "cyd@example.org", "dan@example.org")),
        (['"Lovelace, Ada" <ada@example.org>, Bob <bob@example.org>'], ("ada@example.org", "bob@example.org")),
        (["a@example.org", "A@EXAMPLE.ORG"], ("a@example.org",)),
        (["o'neill+lab@sub.example.co.uk"], ("o'neill+lab@sub.example.co.uk",)),
        (["", " , ; "], ()),
    ],
)  # fmt: skip
def test_addresses(texts: list[str], found: tuple[str, ...]) -> None:
    assert parse_emails(texts) == found


@pytest.mark.parametrize(
    "text",
    ["ada", "ada@", "@x.org", "a@@x.org", "a@x..org", "a..b@x.org", ".a@x.org", "a.@x.org", "a@-x.org", "a\0b@x.org",
     "a@x.org\x1b[2J", "a@" + "x" * 300, "x" * 65 + "@x.org", "a@x.org>", "<a@x.org"],
)  # fmt: skip
def test_one_bad_address_is_named(text: str) -> None:
    with pytest.raises(UsageError, match="is no mail address") as caught:
        parse_emails(["good@example.org", text])
    assert len(caught.value.message) < 150
    assert "\x1b" not in caught.value.message


@given(st.text(max_size=80))
def test_any_text_is_addresses_or_one_clear_error(text: str) -> None:
    try:
        found = parse_emails([text])
    except UsageError:
        return
    for email in found:
        name, at, host = email.partition("@")
        assert name
        assert at
        assert host
        assert not any(ch.isspace() or ch in ',;<>"()@' for ch in name + host)


def test_expiry_is_a_span_or_a_day() -> None:
    now = datetime(2026, 11, 22, 15, 30).timestamp()
    for text, days in {"14d": 14, "2w": 14, "36h": 1.5, " 1 day ": 1, "3weeks": 21}.items():
        assert parse_expiry(text, now) == round(now + days * 86400), text
    day = datetime.fromtimestamp(parse_expiry("2026-12-24", now))
    assert day == datetime(2026, 12, 24, 15, 30)
    for text in ("", "soon", "14", "-3d", "24.12.2026", "2026-13-01", "2026-02-30", "99999999d", "d", "9999-99-99"):
        with pytest.raises(UsageError, match="is no day"):
            parse_expiry(text, now)
    for text in ("2026-11-22", "0d", "1999-01-01"):
        with pytest.raises(UsageError, match="does not lie ahead"):
            parse_expiry(text, now)


def test_options_and_ids() -> None:
    known = {"email_me_copies", "redirect_url_on_complete"}
    assert parse_options(["email-me-copies=off", "redirect_url_on_complete=https://x/?a=b"], known, "option") == {
        "email_me_copies": False, "redirect_url_on_complete": "https://x/?a=b",
    }  # fmt: skip
    with pytest.raises(UsageError, match="did you mean 'email_me_copies'"):
        parse_options(["email_me_copie"], known, "option")
    assert split_id("lab:guests/7", "guests") == ("lab", 7)
    for text in ("", "x", "-1", "1.5", ":12", "lab:transfers/", "٣", "9" * 30, "lab:guests/12"):
        with pytest.raises(UsageError, match="no number of the transfers"):
            split_id(text, "transfers")


# What the session is asked.


def test_wishes_reach_the_session(packhorse: Run) -> None:
    session = session_for(prepared())
    before = time.time()
    ran = packhorse(
        "send", "a.bin", "dir", "--to", "ada@example.org", "--to", "bob@example.org", "--via", "lab", "-s", "Reads",
        "-m", "Here", "--from", "me@example.org", "--expires", "14d", "--option", "email_download_complete",
        "--jobs", "3", "--limit-rate", "1M", "--retries", "5", session=session,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    (_, words, wishes), *others = session.calls
    assert words == (["a.bin", "dir"],)
    expires = wishes.pop("expires")
    assert before + 14 * 86400 - 1 <= expires <= time.time() + 14 * 86400 + 1
    assert wishes == {
        "to": ("ada@example.org", "bob@example.org"), "via": "lab", "voucher": None, "subject": "Reads",
        "message": "Here", "sender": "me@example.org", "validity": "14d", "link": False, "again": False,
        "transfer_options": {"email_download_complete": True},
    }  # fmt: skip
    options = next(args[1] for name, args, _ in others if name == "send_prepared")
    assert (options.jobs, options.limit_rate, options.retries) == (3, MIB, 5)


@pytest.mark.parametrize(
    ("arguments", "said", "hint"),
    [
        ([], "no file was given", "packhorse send FILES --to"),
        (["a", "--to", "ada"], "'ada' is no mail address", "ada@example.org,bob"),
        (["a", "--to", " "], "--to holds no address", "--to ada"),
        (["a", "--to", "ada@x.org", "--link"], "--to and --link cannot be joined", "leave --link out"),
        (["a", "--expires", "soon"], "'soon' is no day", "14d"),
        (["a", "--option", "get_a_link"], "no transfer option 'get_a_link'", "known are"),
        (["a", "--option", "encryption"], "no transfer option 'encryption'", "known are"),
        (["a", "--password-stdin"], "a password is for --encrypt only", "add --encrypt"),
        (["a", "--encrypt", "--password-stdin", "--generate-password"], "cannot be joined", ""),
        (["a", "--limit-rate", "x"], "not a rate", "--help"),
    ],
)
def test_wrong_words_are_a_line_and_the_way_out(packhorse: Run, arguments: list[str], said: str, hint: str) -> None:
    session = session_for(prepared())
    ran = packhorse("send", *arguments, session=session)
    assert ran.code == 2
    assert said in ran.err
    assert hint in ran.err
    assert not any(name == "send_prepared" for name, _, _ in session.calls)


# What is printed.


def test_links_and_who_was_mailed(packhorse: Run) -> None:
    ran = packhorse("send", "a.bin", "--to", "ada@example.org", session=session_for(prepared()))
    assert ran.out.splitlines() == [
        "file     size  note",
        "a.bin  10 MiB  kept 6 MiB",
        "1 file, 10 MiB in 2.0 s (2 MiB/s) to lab, transfer 12, until 2026-12-24; 6 MiB were there from before",
        "mailed to ada@example.org:",
        f"  {LINK}",
    ]
    assert packhorse("send", "a.bin", "-q", session=session_for(prepared())).out == LINK + "\n"
    sent = packhorse("send", "a.bin", "--json", session=session_for(prepared())).objects[-1]
    assert sent["event"] == "sent"
    assert sent["recipients"] == [{"email": "ada@example.org", "download_url": LINK}]
    assert (sent["id"], sent["files"], sent["size"], sent["encrypted"]) == ("12", 1, 10 * MIB, False)


def test_a_link_says_that_nobody_was_mailed(packhorse: Run) -> None:
    done = outcome(prepared(), result={"recipients": [{"email": "", "download_url": LINK}]})
    ran = packhorse("send", "a.bin", "--link", session=session_for(prepared(), done))
    assert "the link; nobody was mailed, pass it on:\n  " + LINK in ran.out


@pytest.mark.parametrize("result", [None, [], {}, {"recipients": 7}, {"recipients": [None, {"email": None}]}, "x"])
def test_a_portal_may_say_anything_at_the_end(packhorse: Run, result: Any) -> None:
    assert packhorse("send", "a.bin", session=session_for(prepared(), outcome(prepared(), result=result))).code == 0


def test_what_is_left_out_is_said(packhorse: Run) -> None:
    ready = prepared("d/x", empty_folders=("d/empty",), loops=("d/loop",))
    ran = packhorse("send", "d", session=session_for(ready))
    assert "warning: left out d/empty: an empty folder" in ran.err
    assert "warning: left out d/loop: a link to a folder that it lies in" in ran.err


def test_dry_run_sends_nothing_and_asks_no_password(packhorse: Run) -> None:
    session = session_for(prepared("a.bin", "b.bin", before=pending()))
    ran = packhorse("send", "a.bin", "b.bin", "--to", "ada@example.org", "--encrypt", "-n", session=session)
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[-1] == "2 files, 20 MiB to lab; 4 MiB are there already; mail to ada@example.org"
    assert [name for name, _, _ in session.calls] == ["prepare"]
    rows = packhorse("send", "a", "-n", "--json", session=session_for(prepared())).objects
    assert [(row["event"], row["action"], row["path"]) for row in rows] == [("planned", "send", "a.bin")]


def test_what_stopped_it_and_how_to_go_on(packhorse: Run, tmp_path: Path) -> None:
    error = NetworkError("the connection broke")
    failed = FailedSend(local("a.bin"), error, resumable=True)
    session = session_for(prepared(), outcome(prepared(), error=error, failed=[failed], sent=[], result=None))
    ran = packhorse("send", "a.bin", "--to", "ada@example.org", session=session)
    assert ran.code == 1
    assert ran.err.splitlines()[0] == "error: a.bin: the connection broke"
    assert "packhorse send a.bin --to ada@example.org" in ran.err
    assert f"packhorse send --discard {KEY}" in ran.err
    (record,) = (tmp_path / "packhorse-home/state/transfers").glob("*.json")
    assert json.loads(record.read_text())["upload"] == KEY
    said = packhorse("send", "a.bin", "--json", session=session).objects[-1]
    assert (said["event"], said["code"], said["exit_code"]) == ("error", "network", 1)


def test_refused_before_anything_was_begun_leaves_no_note(packhorse: Run, tmp_path: Path) -> None:
    refused = PermissionDeniedError("lab takes at most 30 files", status=413, hint="send fewer")
    ran = packhorse("send", "a.bin", session=session_for(prepared(), refused))
    assert (ran.code, "hint: send fewer" in ran.err) == (1, True)
    assert not list((tmp_path / "packhorse-home/state/transfers").glob("*.json"))


def test_interrupted_says_what_is_there(packhorse: Run) -> None:
    session = session_for(prepared(), KeyboardInterrupt(), pending=[pending()])
    ran = packhorse("send", "a.bin", "--voucher", VOUCHER, session=session)
    assert ran.code == 130
    assert "error: interrupted; 4 MiB of 10 MiB are there" in ran.err
    assert "packhorse send a.bin --voucher 'https://fs.example.org/?…'" in ran.err


def test_a_voucher_is_never_remembered_or_shown(packhorse: Run, tmp_path: Path) -> None:
    for words in (["--voucher", VOUCHER], [f"--voucher={VOUCHER}"], ["--via", VOUCHER],
                  ["--voucher", VOUCHER[-36:], "--via", "lab"]):  # fmt: skip
        session = session_for(prepared(), KeyboardInterrupt(), pending=[pending()])
        ran = packhorse("send", "a.bin", *words, session=session)
        assert "94b6a1c2d3e4" not in ran.err + ran.out
    notes = list((tmp_path / "packhorse-home/state/transfers").glob("*.json"))
    assert notes
    assert not any("94b6a1c2d3e4" in note.read_text() for note in notes)


# Passwords.


def with_password(calls: list[Any]) -> Callable[..., Prepared]:
    def change(ready: Prepared, password: Secret, *, generated: bool = False) -> Prepared:
        calls.append((password.reveal(), generated))
        return ready

    return change


def test_a_generated_password_is_shown_once_and_used(packhorse: Run) -> None:
    used: list[Any] = []
    session = session_for(prepared(), with_password=with_password(used))
    ran = packhorse("send", "a.bin", "--encrypt", "--generate-password", session=session)
    ((password, generated),) = used
    assert generated
    assert len(password) == 44  # base64 of 32 bytes
    assert ran.out.splitlines()[0] == f"password: {password}"
    assert ran.out.count(password) == 1
    assert password not in ran.err
    quiet = packhorse("send", "a.bin", "--encrypt", "--generate-password", "-q", session=session)
    assert quiet.out.splitlines() == [used[1][0], LINK]
    first = packhorse("send", "a.bin", "--encrypt", "--generate-password", "--json", session=session).objects
    assert next(line for line in first if line["event"] == "password")["password"] == used[2][0]
    assert used[0] != used[1] != used[2]


def test_a_password_from_standard_input(packhorse: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse battery\nnot this\n"))
    session = session_for(prepared())
    ran = packhorse("send", "a.bin", "--encrypt", "--password-stdin", session=session)
    assert ran.code == 0, ran.err
    assert session.calls[0][2]["password"] == Secret("correct horse battery")
    assert "horse" not in ran.out + ran.err
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    assert "fewer than 12 characters" in packhorse("send", "a", "--encrypt", "--password-stdin", session=session).err
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    ran = packhorse("send", "a", "--encrypt", "--password-stdin", session=session)
    assert (ran.code, "standard input holds no password" in ran.err) == (2, True)


@pytest.mark.parametrize("how", ["--generate-password", ""])
def test_an_interrupted_encrypted_upload_wants_its_first_password(packhorse: Run, how: str) -> None:
    used: list[Any] = []
    session = session_for(prepared(before=pending()), with_password=with_password(used))
    ran = packhorse("send", "a.bin", "--encrypt", *filter(None, [how]), session=session)
    assert ran.code == 2  # nobody can be asked here
    assert "it needs the same password" in ran.err
    assert "--password-stdin" in ran.err
    assert not used
    assert not any(name == "send_prepared" for name, _, _ in session.calls)


def test_a_journal_that_was_never_begun_takes_a_new_password(packhorse: Run) -> None:
    used: list[Any] = []
    session = session_for(prepared(before=pending("beginning")), with_password=with_password(used))
    assert packhorse("send", "a.bin", "--encrypt", "--generate-password", session=session).code == 0
    assert used[0][1]


def test_what_was_just_sent_is_said_with_its_links_and_asks_for_no_password(packhorse: Run) -> None:
    earlier = Sent(time.time() - 300, "12", outcome(prepared()).result, None, {})
    used: list[Any] = []

    def without(ready: Prepared, password: Secret | None) -> Prepared:
        used.append(password)
        return ready

    ready = prepared(sent=earlier)
    session = session_for(ready, outcome(ready, before=earlier.time), with_password=without)
    ran = packhorse("send", "a.bin", "--encrypt", "--generate-password", session=session)
    assert (ran.code, used) == (0, [None])
    assert "5 min ago; --again sends it anew" in ran.err
    assert LINK in ran.out
    assert "nothing was sent or mailed now" in ran.out
    assert "password: " not in ran.out
    quiet = packhorse("send", "a.bin", "-q", session=session)
    assert quiet.out.splitlines() == [LINK]
    (row,) = [line for line in packhorse("send", "a.bin", "--json", session=session).objects if line["event"] == "sent"]
    assert row["before"] == earlier.time
    plan = packhorse("send", "a.bin", "-n", session=session).out.splitlines()[-1]
    assert "it was sent 5 min ago, as transfer 12" in plan


# Giving up, and status.


def test_discard(packhorse: Run) -> None:
    session = FakeSession(pending=[pending(), pending(key="ff" * 8)], discard="discarded")
    ran = packhorse("send", "--discard", session=session)
    assert (ran.code, "2 uploads are interrupted" in ran.err) == (2, True)
    ran = packhorse("send", "--discard", "0123", session=session)
    assert ran.out == "given up: 1 file, 10 MiB to lab; what was there of it is removed\n"
    assert session.calls[-1] == ("discard", (KEY,), {"voucher": None})
    assert packhorse("send", "--discard", "9999", session=session).code == 2
    only = FakeSession(pending=[pending()], discard="finished")
    assert "it had arrived after all" in packhorse("send", "--discard", session=only).out
    assert packhorse("send", "--discard", session=FakeSession(pending=[])).code == 2


def test_status_shows_the_upload_and_its_command(packhorse: Run, tmp_path: Path) -> None:
    from packhorse.transfer.send.journal import UploadJournal, journal_path

    state = tmp_path / "packhorse-home/state"
    packhorse("send", "a.bin", "--to", "ada@example.org",
              session=session_for(prepared(), KeyboardInterrupt(), pending=[pending()]))  # fmt: skip
    path = journal_path(state, KEY)
    path.parent.mkdir(parents=True, exist_ok=True)
    journal = UploadJournal.open(path)
    journal.describe(KEY, "lab", {}, [local("a.bin")])
    journal.close()
    ran = packhorse("status")
    assert KEY in ran.out
    assert "  packhorse send a.bin --to ada@example.org\n" in ran.out
    assert f"to give it up: packhorse send --discard {KEY}" in ran.out
    (row,) = [line for line in packhorse("status", "--json").objects if line["event"] == "sending"]
    assert (row["key"], row["remote"], row["files"], row["confirmed"]) == (KEY, "lab", 1, 0)
    assert row["command"] == "packhorse send a.bin --to ada@example.org"
    assert packhorse("status", "-q").out == KEY + "\n"


def test_starting_anew_is_said(packhorse: Run) -> None:
    ready = prepared()

    def send_prepared(_: Any, __: Any, on_event: Callable[[Any], None]) -> SendOutcome:
        on_event(Retried(path="", attempt=1, delay=0, why="over", detail="the portal no longer has what was begun"))
        return outcome(ready)

    session = FakeSession(prepare=ready, send_prepared=send_prepared, send_options=SendOptions(), pending=[])
    assert "the portal no longer has what was begun" in packhorse("send", "a.bin", session=session).err
