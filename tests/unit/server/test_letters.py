"""What the mails say, in text and in HTML, whatever people wrote."""

from __future__ import annotations

import inspect
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from packhorse.server import letters
from packhorse.server.app import open_home
from packhorse.server.config import ServerConfig
from packhorse.server.letters import MailFile
from packhorse.server.mail import Letter, post

EVIL = '<script>alert("1")</script>\r\nBcc: spy@evil.example\r\n\r\n{{ 7 * 7 }} & é'
LINK = "https://portal.example/?s=download&token=0f5c2a7e-1111-4222-8333-94b6a1c2d3e4"
VALUES: dict[str, Any] = {
    "to": "ada@lab.example",
    "sender": "bob@lab.example",
    "who": "ada@lab.example",
    "guest": "guest@lab.example",
    "subject": EVIL,
    "message": EVIL,
    "files": [MailFile("run 1/" + EVIL, 2 << 30), MailFile("b.txt", 0)],
    "recipients": ["ada@lab.example", "eve@lab.example"],
    "links": [LINK],
    "link": LINK,
    "expires": 1796180661,
    "downloads": 3,
    "taken": {("ada@lab.example", "run 1/" + EVIL): 1, ("", "b.txt"): 2},
    "day": 1796169600,
    "once": "daily.7.20789",
    "expired": True,
    "transfer_id": 7,
    "recipient_id": 8,
    "guest_id": 9,
}
ALL = [name for name in letters.__all__ if name.startswith("for_")]


def made(name: str, **more: Any) -> Letter:
    function = getattr(letters, name)
    values = VALUES | more
    letter = function(**{key: values[key] for key in inspect.signature(function).parameters if key in values})
    assert isinstance(letter, Letter)
    return letter


class Reader(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("name", ALL)
def test_every_letter_is_safe_and_can_be_posted(name: str, tmp_path: Path) -> None:
    letter = made(name)
    page = Reader(letter.html)
    assert "script" not in [tag for tag, _ in page.tags]
    assert "49" not in letter.text + letter.subject
    kind, _, number = letter.headers["X-Filesender-Context"].partition("-")
    assert number == {"transfer": "7", "recipient": "8", "guest": "9"}[kind]
    assert letter.about == letter.headers["X-Filesender-Context"]
    assert "\n\n\n" not in letter.text
    assert not letter.text.startswith("\n")
    home = open_home(ServerConfig(home=tmp_path / "home"))
    try:
        with home.database.write() as session:
            post(session, letter)
        assert home.mail.deliver() == 1
    finally:
        home.jobs.stop()
        home.database.close()


@pytest.mark.parametrize("name", ALL)
def test_both_forms_say_the_same(name: str) -> None:
    letter = made(name, subject="Plain", message="One line", files=[MailFile("a.txt", 5), MailFile("b.txt", 6)])
    text = " ".join(letter.text.partition("\n-- \n")[0].replace("> ", "").split())
    page = " ".join(Reader(letter.html).text.split())
    for word in text.replace("(", " ").replace(")", " ").split():
        assert word.strip(":") in page, word


def test_available_has_what_a_recipient_needs() -> None:
    letter = made("for_transfer_available", subject="Run 12", message="Dear Ada,\nhere it is")
    assert letter.subject == "Run 12"
    for part in ("bob@lab.example", "> Dear Ada,\n> here it is", "2 GiB", "b.txt", "2 December 2026, 03:04 UTC", LINK):
        assert part in letter.text, part
    assert letter.headers["Reply-To"] == "bob@lab.example"
    hrefs = [attributes.get("href") for tag, attributes in Reader(letter.html).tags if tag == "a"]
    assert hrefs == [LINK, LINK]
    assert "password" not in letter.text
    assert "password" in made("for_transfer_available", encrypted=True).text


def test_a_sender_who_does_not_want_to_be_named() -> None:
    letter = made("for_transfer_available", sender="", subject=None)
    assert letter.subject == "Somebody sent you 2 files"
    assert "Reply-To" not in letter.headers
    assert "bob" not in letter.text + letter.html


def test_reminders_say_so() -> None:
    assert made("for_transfer_available", reminder=True, subject="Run 12").subject == "Reminder: Run 12"
    assert made("for_guest_invited", reminder=True, subject=None).subject.startswith("Reminder: bob@lab.example")


def test_ten_thousand_files_are_cut_short() -> None:
    letter = made("for_transfer_available", files=[MailFile(f"f{n:05d}", 1 << 20) for n in range(10_000)])
    assert "f00049" in letter.text
    assert "f00050" not in letter.text
    assert "9,950 more files" in letter.text
    assert "9.77 GiB" in letter.text
    assert len(letter.html) < 40_000


def test_a_voucher_that_does_not_expire() -> None:
    assert "Good until" not in made("for_guest_invited", expires=None).text
