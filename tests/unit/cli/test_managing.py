"""``packhorse transfers``, ``guests`` and ``invite`` over a stand-in for the site."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from packhorse.errors import NotFoundError, PermissionDeniedError
from packhorse.wire.filesender.records import (
    AuditActor,
    AuditEvent,
    AuditTarget,
    Guest,
    Quota,
    Recipient,
    Transfer,
    TransferFile,
    Trouble,
)

from .conftest import FakeSession, Ran

Run = Callable[..., Ran]
DAY = int(datetime(2026, 12, 24, 12).timestamp())
LINK = "https://fs.example.org/?s=download&token=0f5c2a7e-1111-4222-8333-94b6a1c2d3e4"
VOUCHER = "https://fs.example.org/?s=upload&vid=1f5c2a7e-1111-4222-8333-94b6a1c2d3e4"
ADA = Recipient(3, 12, "tok", "ada@example.org", DAY, DAY, None, LINK, (Trouble("bounce"),))
BOB = Recipient(4, 12, "tok2", "bob@example.org", DAY)
FILES = (TransferFile(7, 12, "secret-puid", "reads/a.bam", 2048), TransferFile(8, 12, "p", "\x1b[2Jb", 0))
TRANSFER = Transfer(
    12, 1, "me@example.org", "Reads", "Here", DAY, DAY, 5, {"get_a_link": False, "email_me_copies": True},
    salt="secret-salt", roundtriptoken="secret-round", files=FILES, recipients=(ADA, BOB),
)  # fmt: skip
GUEST = Guest(
    7, 1, "me@example.org", "gil@example.org", "vid", 1, "S", "M", {"valid_only_one_time": True}, {"x": True}, DAY, DAY,
    VOUCHER,
)  # fmt: skip


class FakeManager:
    """A stand-in: what each call answers, and which were made."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {
            "transfers": (TRANSFER,), "transfer": TRANSFER, "recipients": (ADA, BOB), "guests": (GUEST,),
            "guest": GUEST, "guest_transfers": (TRANSFER,), "quota": Quota(1000, 400, 600), "invite": GUEST,
            "add_recipient": ADA, "extend": TRANSFER, "extend_guest": GUEST, "audit_log": (), **answers,
        }  # fmt: skip
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append((name, *args, *([kwargs] if kwargs else [])))
            answer = self.answers.get(name)
            if isinstance(answer, BaseException):
                raise answer
            return answer(*args) if callable(answer) else answer

        return call


@pytest.fixture
def manager() -> FakeManager:
    return FakeManager()


def typed(packhorse: Run, manager: FakeManager, *words: str) -> tuple[Ran, list[str | None]]:
    asked: list[str | None] = []

    def manage(via: str | None) -> FakeManager:
        asked.append(via)
        return manager

    return packhorse(*words, session=FakeSession(manage=manage)), asked


@pytest.mark.parametrize("words", [["transfers"], ["transfers", "list"], ["transfers", "--via", "lab"]])
def test_list_is_what_transfers_means(packhorse: Run, manager: FakeManager, words: list[str]) -> None:
    ran, asked = typed(packhorse, manager, *words)
    assert ran.out.splitlines() == [
        "id  subject   size  files  to                  sent        until",
        "12  Reads    2 KiB      2  ada@example.org +1  2026-12-24  2026-12-24",
        "1 transfer",
    ]
    assert asked == ["lab" if "--via" in words else None]


def test_tables_keep_to_80_columns_whatever_a_server_says(packhorse: Run) -> None:
    long = Transfer(
        10**9, subject="s" * 500 + "\x1b[2J", files=FILES * 100, created=10**30, expires=-(10**30),
        recipients=(Recipient(1, 1, "t", "x" * 300 + "@example.org"),) * 50,
    )  # fmt: skip
    guest = Guest(
        9, email="y" * 300 + "@example.org", options={"valid_only_one_time": True}, errors=(Trouble("z" * 99),)
    )
    site = FakeManager(transfers=(long, TRANSFER), guests=(guest,))
    for word in ("transfers", "guests"):
        ran, _ = typed(packhorse, site, word)
        assert ran.code == 0, ran.err
        assert max(map(len, ran.out.splitlines())) <= 80
        assert "\x1b" not in ran.out


def test_rows_for_programs_hold_no_key(packhorse: Run, manager: FakeManager) -> None:
    for words in (["transfers"], ["transfers", "show", "12"], ["transfers", "files", "12"], ["transfers", "12"]):
        ran, _ = typed(packhorse, manager, *words, "--json")
        assert ran.objects[0]["v"] == 1
        assert "secret-" not in ran.out
    (row,) = typed(packhorse, manager, "transfers", "--json")[0].objects
    assert (row["event"], row["id"], row["size"], row["expires"]) == ("transfer", 12, 2048, DAY)
    assert row["recipients"][0]["download_url"] == LINK
    assert row["recipients"][0]["errors"] == [{"type": "bounce", "date": None, "details": None}]


def test_show(packhorse: Run, manager: FakeManager) -> None:
    for words in (["transfers", "show", "12"], ["transfers", "12"], ["transfers", "lab:transfers/12"]):
        ran, asked = typed(packhorse, manager, *words)
        assert ran.code == 0, ran.err
        assert "transfer 12: Reads" in ran.out
        assert f"ada@example.org: {LINK}" in ran.out
        assert "bounce" in ran.out
        assert "options: email_me_copies\n" in ran.out
        assert asked == ["lab" if ":" in words[-1] else None]
    ran, _ = typed(packhorse, manager, "transfers", "show", "lab:12", "--via", "other")
    assert (ran.code, "leave --via out" in ran.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "calls"),
    [
        (["add", "12", "ada@example.org"], [("add_recipient", 12, "ada@example.org")]),
        (["remind", "12"], [("remind", 12)]),
        (["remind", "12", "BOB@example.org"], [("recipients", 12), ("remind_recipient", 4)]),
        (["remove", "12", "bob@example.org"], [("recipients", 12), ("remove_recipient", 4)]),
        (["remove", "12", "3"], [("recipients", 12), ("remove_recipient", 3)]),
        (["extend", "12"], [("transfer", 12), ("extend", 12, {"until": None, "remind": False})]),
        (["extend", "12", "--remind"], [("transfer", 12), ("extend", 12, {"until": None, "remind": True})]),
        (["close", "12", "--yes"], [("close", 12)]),
        (["delete", "12", "-y"], [("delete", 12)]),
        (["log", "12"], [("audit_log", 12)]),
        (["log", "12", "--mail"], [("mail_audit_log", 12)]),
        (["quota"], [("quota",)]),
    ],
)
def test_each_word_is_its_call(packhorse: Run, manager: FakeManager, words: list[str], calls: list[Any]) -> None:
    for more in ([], ["--json"], ["-q"]):
        manager.calls.clear()
        ran, _ = typed(packhorse, manager, "transfers", *words, *more)
        assert ran.code == 0, ran.err
        assert manager.calls == calls
        assert ran.out or more == ["-q"] or (more == ["--json"] and words == ["log", "12"])


def test_what_cannot_be_undone_is_asked(packhorse: Run, manager: FakeManager) -> None:
    for how in ("close", "delete"):
        ran, _ = typed(packhorse, manager, "transfers", how, "12")
        assert (ran.code, "--yes" in ran.err) == (2, True)
        assert not any(call[0] in ("close", "delete") for call in manager.calls)
    lonely = FakeManager(recipients=(ADA,))
    ran, _ = typed(packhorse, lonely, "transfers", "remove", "12", "ada@example.org")
    assert ran.code == 2
    assert not any(call[0] == "remove_recipient" for call in lonely.calls)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["show", "twelve"], 2, "'twelve' is no number of the transfers"),
        (["remove", "12", "eve@example.org"], 4, "transfer 12 has no recipient eve@example.org"),
        (["add", "12", "eve"], 2, "'eve' is no mail address"),
        (["extend", "12", "--until", "soon"], 2, "'soon' is no day"),
        (["shwo"], 2, "there is no command packhorse transfers shwo"),
    ],
)
def test_wrong_words(packhorse: Run, manager: FakeManager, words: list[str], code: int, said: str) -> None:
    ran, _ = typed(packhorse, manager, "transfers", *words)
    assert (ran.code, said in ran.err) == (code, True), ran.err
    assert "hint: " in ran.err


def test_a_server_s_refusal_is_the_error(packhorse: Run) -> None:
    site = FakeManager(transfer=NotFoundError("lab:transfer/9: there is no such transfer", hint="packhorse transfers"))
    ran, _ = typed(packhorse, site, "transfers", "9")
    assert (ran.code, ran.err) == (4, "error: lab:transfer/9: there is no such transfer\nhint: packhorse transfers\n")


def test_the_log_and_the_quota(packhorse: Run) -> None:
    event = AuditEvent(
        DAY,
        "download_ended",
        AuditActor("Recipient", "3", email="ada@example.org"),
        AuditTarget("File", "7", "a.bam"),
        1.5,
    )
    site = FakeManager(audit_log=(event,), quota=None)
    ran, _ = typed(packhorse, site, "transfers", "log", "12")
    assert "download_ended  ada@example.org  a.bam" in ran.out
    (row,) = typed(packhorse, site, "transfers", "log", "12", "--json")[0].objects
    assert (row["event"], row["name"], row["author"]["email"]) == ("logged", "download_ended", "ada@example.org")
    assert "sets you no quota" in typed(packhorse, site, "transfers", "quota")[0].out
    assert "600 B of 0.98 KiB are free" in typed(packhorse, FakeManager(), "transfers", "quota")[0].out


# Guests.


def test_guests(packhorse: Run, manager: FakeManager) -> None:
    ran, _ = typed(packhorse, manager, "guests")
    assert ran.out.splitlines() == [
        "id  guest            sent  invited     until       note",
        " 7  gil@example.org     1  2026-12-24  2026-12-24  once",
        "1 guest",
    ]
    ran, _ = typed(packhorse, manager, "guests", "show", "GIL@example.org")
    assert VOUCHER in ran.out
    assert "transfer 12 (reads/a.bam" in ran.out
    assert "\x1b" not in ran.out


@pytest.mark.parametrize(
    ("word", "call"), [("remind", "remind_guest"), ("extend", "extend_guest"), ("revoke", "revoke_guest")]
)
@pytest.mark.parametrize("who", ["7", "lab:guests/7", "gil@example.org"])
def test_each_word_of_guests_is_its_call(packhorse: Run, manager: FakeManager, word: str, call: str, who: str) -> None:
    ran, _ = typed(packhorse, manager, "guests", word, who)
    assert ran.code == 0, ran.err
    assert manager.calls[-1] == (call, 7)


def test_a_guest_is_not_guessed(packhorse: Run) -> None:
    twice = FakeManager(guests=(GUEST, Guest(8, email="gil@example.org")))
    ran, _ = typed(packhorse, twice, "guests", "revoke", "gil@example.org")
    assert (ran.code, "7, 8" in ran.err) == (2, True)
    assert typed(packhorse, twice, "guests", "revoke", "eve@example.org")[0].code == 4
    assert not any(call[0] == "revoke_guest" for call in twice.calls)


@pytest.mark.parametrize("words", [["invite"], ["guests", "invite"]])
def test_invite(packhorse: Run, manager: FakeManager, words: list[str]) -> None:
    ran, asked = typed(
        packhorse, manager, *words, "gil@example.org", "--via", "lab", "--once", "--only-to-me", "-s", "S", "-m", "M",
        "--expires", "2199-01-01", "--option", "email_upload_started=no", "--option", "email_me_copies",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert ran.out == f"mailed a voucher to gil@example.org, until 2026-12-24:\n  {VOUCHER}\n"
    assert asked == ["lab"]
    ((_, invitation),) = manager.calls
    assert invitation.recipient == "gil@example.org"
    assert (invitation.subject, invitation.message, invitation.sender) == ("S", "M", None)
    assert datetime.fromtimestamp(invitation.expires).date().isoformat() == "2199-01-01"
    assert invitation.options == {
        "valid_only_one_time": True, "can_only_send_to_me": True, "email_upload_started": False,
    }  # fmt: skip
    assert invitation.transfer_options == {"email_me_copies": True}


def test_what_was_made_before_a_failure_is_said(packhorse: Run) -> None:
    def invite(invitation: Any) -> Guest:
        if invitation.recipient.startswith("bob"):
            raise PermissionDeniedError("lab: as many guests as the site allows", status=500, hint="revoke one")
        return GUEST

    ran, _ = typed(packhorse, FakeManager(invite=invite), "invite", "gil@example.org", "bob@example.org", "--json")
    assert ran.code == 1
    assert [line["event"] for line in ran.objects] == ["invited", "error"]
    ran, _ = typed(packhorse, FakeManager(), "invite", "gil@example.org", "bob")
    assert (ran.code, ran.out) == (2, "")  # nobody is mailed when one address is wrong
