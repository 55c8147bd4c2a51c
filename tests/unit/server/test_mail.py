"""Letters: what is built, when they go out, and what happens when the mail server does not want them.

The mail server is a real one (aiosmtpd) on loopback.
"""

from __future__ import annotations

import email
import email.policy
import itertools
import stat
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # aiosmtpd's own, at import
    from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword

from tests.mailserver import MailServer, free_port

from packhorse.errors import SettingsError, UsageError
from packhorse.server.api.core import Home
from packhorse.server.app import open_home
from packhorse.server.config import MailSettings, ServerConfig
from packhorse.server.db.letters import FAILED, QUEUED, SENDING, SENT, QueuedLetter
from packhorse.server.delivery import Mailer
from packhorse.server.mail import GIVE_UP, SENDING_LIMIT, Letter, check_address, post, wait_after
from packhorse.testing.faults.tls import server_context


class Receiver:
    """A mail server: keeps what it accepts, refuses as told."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, list[str], EmailMessage]] = []
        self.rcpt: Callable[[str], str | None] = lambda _address: None
        self.data: Callable[[int], str | None] = lambda _count: None
        self._count = itertools.count(1)
        self.sessions: set[int] = set()

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Any, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        refusal = self.rcpt(address)
        if refusal:
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Envelope) -> str:  # noqa: N802
        refusal = self.data(next(self._count))
        if refusal:
            return refusal
        assert isinstance(envelope.content, bytes)
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.mails.append((envelope.mail_from or "", list(envelope.rcpt_tos), message))
        self.sessions.add(id(session))
        return "250 OK"


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def port(receiver: Receiver) -> Iterator[int]:
    number = free_port()
    controller = MailServer(receiver, hostname="127.0.0.1", port=number, enable_SMTPUTF8=True)
    controller.start()
    yield number
    controller.stop()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    opened = open_home(ServerConfig(home=tmp_path / "home"))
    yield opened
    opened.jobs.stop()
    opened.database.close()


def mailer(home: Home, **settings: Any) -> Mailer:
    settings = {"host": "127.0.0.1", "sender": "portal@lab.example", **settings}
    return Mailer(replace(home.config, mail=MailSettings(**settings)), home.database, home.jobs.stopping)


def posted(home: Home, *letters: Letter) -> None:
    with home.database.write() as session:
        for letter in letters:
            post(session, letter)


def states(home: Home) -> list[tuple[str, str]]:
    with home.database.read() as session:
        return [(row.state, row.error) for row in session.scalars(select(QueuedLetter).order_by(QueuedLetter.id))]


def make_due(home: Home, **more: Any) -> None:
    with home.database.write() as session:
        session.execute(update(QueuedLetter).values(due=0, **more))


def letter(to: str = "ada@lab.example", **more: Any) -> Letter:
    return Letter(**{"to": to, "subject": "Files for you", "text": "Hello\n", **more})


# what is sent


def test_a_mail_says_what_was_posted(home: Home, receiver: Receiver, port: int) -> None:
    text = "Grüße, 数据\n" + "x" * 2000 + "\n.\nFrom here\n"
    given = letter(
        subject="Proben für Zoë 🧬",
        text=text,
        html="<p>Grüße &amp; mehr</p>",
        headers={"X-Filesender-Context": "transfer-7", "Reply-To": "bob@müller.example"},
        about="transfer-7",
    )
    posted(home, given)
    assert mailer(home, port=port, sender_name='O"Neil, Lab').deliver() == 1
    ((sender, recipients, mail),) = receiver.mails
    assert (sender, recipients) == ("portal@lab.example", ["ada@lab.example"])
    assert mail["Subject"] == "Proben für Zoë 🧬"
    assert mail["From"].addresses[0].display_name == 'O"Neil, Lab'
    assert mail["From"].addresses[0].addr_spec == "portal@lab.example"
    assert mail["Reply-To"] == "bob@xn--mller-kva.example"
    assert mail["X-Filesender-Context"] == "transfer-7"
    assert mail["Auto-Submitted"] == "auto-generated"
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert plain.get_content().replace("\r\n", "\n") == text
    assert html.get_content().strip() == "<p>Grüße &amp; mehr</p>"
    assert states(home) == [(SENT, "")]
    assert mailer(home, port=port).deliver() == 0  # and never again
    assert len(receiver.mails) == 1


def test_nothing_goes_out_for_an_act_that_was_rolled_back(home: Home, receiver: Receiver, port: int) -> None:
    def act() -> None:
        with home.database.write() as session:
            post(session, letter())
            session.flush()
            raise RuntimeError("the act failed")

    with pytest.raises(RuntimeError):
        act()
    assert mailer(home, port=port).deliver() == 0
    assert receiver.mails == []


@pytest.mark.parametrize("sign", ["\n", "\r", "\r\n", "\v", "\x00", "\u2028", "\x85", "\x1c"])
def test_no_header_can_be_smuggled_in(home: Home, receiver: Receiver, port: int, sign: str) -> None:
    evil = f"Hello{sign}Bcc: spy@evil.example{sign}{sign}body"
    posted(home, letter(subject=evil, headers={"X-Note": evil}))
    mailer(home, port=port, sender_name="Lab").deliver()
    ((_, recipients, mail),) = receiver.mails
    assert recipients == ["ada@lab.example"]
    assert mail["Bcc"] is None
    assert mail["Subject"].split() == ["Hello", "Bcc:", "spy@evil.example", "body"]
    assert set(mail.keys()) >= {"X-Note", "Message-ID", "Date"}
    for bad in (f"ada@lab.example{sign}Bcc: spy@evil.example", f"ada{sign}@lab.example"):
        with pytest.raises(UsageError):
            posted(home, letter(to=bad))


@pytest.mark.parametrize("name", ["To", "Bcc", "Subject", "X-A\nB", "X-", "From", "x y", "Content-Type"])
def test_headers_that_may_not_be_set(home: Home, name: str) -> None:
    with pytest.raises(ValueError):
        posted(home, letter(headers={name: "x"}))


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("a.b+c@lab.example", "a.b+c@lab.example"),
        (" Ada@LAB.Example ", "Ada@lab.example"),
        ("zoë@müller.example", "zoë@xn--mller-kva.example"),
        ("x@localhost", "x@localhost"),
    ],
)
def test_addresses(text: str, known: str) -> None:
    assert check_address(text) == known


@pytest.mark.parametrize(
    "text",
    ["", "@", "a@", "@b", "a", "a b@c.d", "a@b@c.d", "a@b..c", "a@-b.c", ".a@b.c", "a..b@c.d", "a,b@c.d", "<a@b.c>",
     "a@[127.0.0.1]", '"a"@b.c', "a@b.c, d@e.f", "a\u200b@b.c",
     "x" * 65 + "@b.c", "a@" + "b" * 64 + ".c", "\ud800@b.c"],
)  # fmt: skip
def test_texts_that_are_no_address(text: str) -> None:
    with pytest.raises(UsageError):
        check_address(text)


@given(st.text())
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        known = check_address(text)
    except UsageError:
        return
    assert known.count("@") == 1
    assert not any(sign.isspace() or ord(sign) < 32 for sign in known)
    assert check_address(known) == known


def test_a_name_that_is_not_ascii_gets_its_mail(home: Home, receiver: Receiver, port: int) -> None:
    posted(home, letter(to="zoë@lab.example"))
    assert mailer(home, port=port).deliver() == 1
    assert receiver.mails[0][1] == ["zoë@lab.example"]


def test_a_server_that_cannot_take_such_a_name(home: Home, receiver: Receiver) -> None:
    number = free_port()
    controller = MailServer(receiver, hostname="127.0.0.1", port=number, enable_SMTPUTF8=False)
    controller.start()
    try:
        posted(home, letter(to="zoë@lab.example"), letter())
        mailer(home, port=number).deliver()
    finally:
        controller.stop()
    assert [state for state, _ in states(home)] == [FAILED, SENT]


# refusals


def test_refused_for_now_and_then_taken(home: Home, receiver: Receiver, port: int) -> None:
    receiver.data = lambda count: "451 4.7.1 Greylisted, come back" if count == 1 else None
    way = mailer(home, port=port)
    posted(home, letter())
    before = time.time()
    assert way.deliver() == 0
    ((state, error),) = states(home)
    assert state == QUEUED
    assert "451" in error
    assert "Greylisted" in error
    with home.database.read() as session:
        waiting = session.scalars(select(QueuedLetter)).one()
    assert before + 59 <= waiting.due <= time.time() + 61
    assert way.deliver() == 0  # not before its time
    make_due(home)
    assert way.deliver() == 1
    assert receiver.mails[0][2]["Message-ID"] == waiting.message_id


def test_refused_for_good(home: Home, receiver: Receiver, port: int) -> None:
    receiver.rcpt = lambda address: "550 5.1.1 No such user" if address.startswith("nobody") else None
    posted(home, letter(to="nobody@lab.example"), letter())
    assert mailer(home, port=port).deliver() == 1
    assert states(home) == [(FAILED, "550 5.1.1 No such user"), (SENT, "")]
    make_due(home)
    assert mailer(home, port=port).deliver() == 0


def test_a_content_refused_for_good(home: Home, receiver: Receiver, port: int) -> None:
    receiver.data = lambda count: "554 5.7.1 Spam" if count == 1 else None
    posted(home, letter())
    mailer(home, port=port).deliver()
    assert states(home)[0][0] == FAILED
    assert "Spam" in states(home)[0][1]


def test_a_server_that_is_down_and_comes_up(home: Home, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    number = free_port()
    way = mailer(home, port=number)
    posted(home, letter(), letter(to="bob@lab.example"))
    for _ in range(3):
        assert way.deliver() == 0
    assert [state for state, _ in states(home)] == [QUEUED, QUEUED]
    assert caplog.text.count("the mail server cannot be used") == 1  # said once
    controller = MailServer(receiver, hostname="127.0.0.1", port=number)
    controller.start()
    try:
        assert way.deliver() == 2  # nobody had to wait for the server's fault
    finally:
        controller.stop()


def test_a_letter_is_given_up_after_three_days(home: Home, receiver: Receiver, port: int) -> None:
    receiver.rcpt = lambda _address: "450 4.2.0 Mailbox busy"
    way = mailer(home, port=port)
    posted(home, letter())
    make_due(home, created=int(time.time()) - GIVE_UP + 60)
    way.deliver()
    assert states(home)[0][0] == QUEUED
    make_due(home, created=int(time.time()) - GIVE_UP - 60)
    way.deliver()
    assert states(home) == [(FAILED, "450 4.2.0 Mailbox busy")]


def test_given_up_too_when_the_server_never_comes_back(home: Home) -> None:
    posted(home, letter())
    make_due(home, created=int(time.time()) - GIVE_UP - 60)
    mailer(home, port=free_port()).deliver()
    assert states(home)[0][0] == FAILED


def test_waits_grow_from_a_minute_to_six_hours() -> None:
    waits = [wait_after(attempts) for attempts in range(1, 12)]
    assert waits[0] == 60
    assert waits == sorted(waits)
    assert waits[-1] == 6 * 3600
    assert wait_after(10**9) == 6 * 3600


# crashes and company


def test_a_letter_left_behind_is_sent_after_a_time_with_the_same_name(
    home: Home, receiver: Receiver, port: int
) -> None:
    way = mailer(home, port=port)
    posted(home, letter())
    with home.database.read() as session:
        number, name = session.execute(select(QueuedLetter.id, QueuedLetter.message_id)).one()
    taken = way._take(number)  # and then the process dies
    assert taken is not None
    assert states(home)[0][0] == SENDING
    assert way.deliver() == 0
    assert SENDING_LIMIT - 5 <= taken.due - time.time() <= SENDING_LIMIT + 5
    make_due(home)
    assert way.deliver() == 1
    assert receiver.mails[0][2]["Message-ID"] == name


def test_the_same_letter_gives_the_same_bytes(home: Home) -> None:
    posted(home, letter(html="<p>x</p>"))
    home.mail.deliver()
    (first,) = (home.config.home / "outbox").glob("*.eml")
    content = first.read_bytes()
    make_due(home, state=QUEUED)
    time.sleep(1.1)
    home.mail.deliver()
    assert [path.read_bytes() for path in (home.config.home / "outbox").iterdir()] == [content]


def test_a_thousand_letters_by_two_processes_at_once(home: Home, receiver: Receiver, port: int) -> None:
    posted(home, *(letter(to=f"reader{number}@lab.example") for number in range(1000)))
    ways = [mailer(home, port=port) for _ in range(2)]
    threads = [threading.Thread(target=way.deliver) for way in ways]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(mail[1][0] for mail in receiver.mails) == sorted(f"reader{n}@lab.example" for n in range(1000))
    assert {state for state, _ in states(home)} == {SENT}
    assert len(receiver.sessions) < 200  # connections are used again


def test_a_post_starts_the_delivery(home: Home) -> None:
    home.jobs.start(home)
    posted(home, letter())
    outbox = home.config.home / "outbox"
    end = time.monotonic() + 10
    while not (outbox.exists() and list(outbox.glob("*.eml"))):
        assert time.monotonic() < end, "no letter came"
        time.sleep(0.02)
    (path,) = outbox.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(outbox.stat().st_mode) == 0o700
    mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert mail["To"] == "ada@lab.example"
    assert mail["From"].addresses[0].addr_spec == "packhorse@localhost"


# TLS and passwords


class Login:
    def __call__(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        return AuthResult(success=(data.login, data.password) == (b"portal", b"s\xc3\xa9cret"), handled=False)


def test_starttls_and_password(home: Home, receiver: Receiver, tmp_path: Path) -> None:
    context, cert = server_context(tmp_path, "127.0.0.1")
    number = free_port()
    controller = MailServer(
        receiver, hostname="127.0.0.1", port=number, tls_context=context, require_starttls=True,
        authenticator=Login(), auth_required=True,
    )  # fmt: skip
    controller.start()
    try:
        posted(home, letter())
        settings = {"port": number, "security": "starttls", "user": "portal"}
        assert mailer(home, **settings, password="sécret").deliver() == 0  # the certificate is not trusted
        assert "certificate" in states(home)[0][1].lower()
        assert mailer(home, **settings, password="wrong", ca_file=cert).deliver() == 0
        ((state, error),) = states(home)
        assert (state, error[:3]) == (QUEUED, "535")
        assert "wrong" not in error
        make_due(home)
        assert mailer(home, **settings, password="sécret", ca_file=cert).deliver() == 1
    finally:
        controller.stop()


def test_a_server_without_starttls_gets_nothing(home: Home, receiver: Receiver, port: int) -> None:
    posted(home, letter())
    assert mailer(home, port=port, security="starttls").deliver() == 0
    assert receiver.mails == []
    assert states(home)[0][0] == QUEUED


@pytest.mark.parametrize(
    "wrong",
    [
        {"security": "ssl"},
        {"port": 70000},
        {"sender": "a@b.c\nBcc: d@e.f"},
        {"host": "mail.lab.example", "user": "portal", "password": "p"},
    ],
)
def test_settings_that_cannot_be_meant(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        MailSettings(**wrong)


def test_settings_never_show_the_password() -> None:
    assert "hunter2" not in repr(MailSettings(host="127.0.0.1", password="hunter2"))


@pytest.mark.parametrize(
    ("public", "sender"),
    [
        ("https://portal.lab.example/fs", "packhorse@portal.lab.example"),
        ("https://[::1]:8443", "packhorse@localhost"),
        ("http://10.0.0.7", "packhorse@localhost"),
        (None, "packhorse@localhost"),
    ],
)
def test_letters_come_from_the_portals_own_name(home: Home, public: str | None, sender: str) -> None:
    config = replace(home.config, public_url=public)
    assert Mailer(config, home.database, home.jobs.stopping).sender == sender
