"""Who is mailed for what, by a whole server; and what it does by itself when time passes."""

from __future__ import annotations

import email
import email.policy
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path

import pytest
from tests.mailserver import MailServer, free_port

from packhorse.server import chores, delivery
from packhorse.server.api.core import Home
from packhorse.server.app import open_home
from packhorse.server.config import MailSettings, ServerConfig
from packhorse.server.db.models import LoginSession, User
from packhorse.server.filesender_keys import create_filesender_key
from packhorse.server.users import create_user

from ..conftest import SOURCE  # noqa: TID252 - the tests' own package has no absolute name
from .conftest import Fs, Site, by_hand

DAY = 24 * 3600


def outbox(home: Path, count: int, seconds: float = 15) -> list[EmailMessage]:
    """The mails of a site, once there are ``count``; a little later there must not be more."""
    folder, end = home / "outbox", time.monotonic() + seconds
    while len(list(folder.glob("*.eml"))) < count:
        assert time.monotonic() < end, f"{len(list(folder.glob('*.eml')))} of {count} mails came"
        time.sleep(0.05)
    time.sleep(0.5)
    found = []
    for path in sorted(folder.glob("*.eml")):
        message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        found.append(message)
    assert len(found) == count, [message["Subject"] for message in found]
    return found


def text_of(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


@contextmanager
def opened(site: Site) -> Iterator[Home]:
    """The site's home in this process too, as another worker would have it."""
    home = open_home(site.config)
    try:
        yield home
    finally:
        home.jobs.stop()
        home.database.close()


def objects(site: Site) -> list[Path]:
    return [path for path in site.config.objects.rglob("*") if path.is_file()]


def test_recipients_are_mailed_once_however_often_it_is_completed(site: Callable[..., Site]) -> None:
    here = site()
    fs = here.user()
    people = ["ada@lab.example", "zoë@müller.example"]
    options = {"get_a_link": False, "email_me_copies": True, "email_upload_complete": True}
    made = fs.send(
        {"run 1/a.txt": b"alpha"}, recipients=people, options=options, subject="Run 1\r\nBcc: x@y.z", message="Hi é"
    )
    for _ in range(3):
        fs.call("PUT", f"/transfer/{made['id']}", {"complete": True})
    found = {message["To"]: message for message in outbox(here.config.home, 4) if "Reply-To" in message}
    assert set(found) == {"ada@lab.example", "zoë@xn--mller-kva.example"}
    for recipient in made["recipients"]:
        message = found[recipient["email"].replace("müller", "xn--mller-kva")]
        assert f"{here.url}/?s=download&token={recipient['token']}" in text_of(message)
        assert "a.txt" in text_of(message)
        assert message["X-Filesender-Context"] == f"recipient-{recipient['id']}"
        assert message["Reply-To"] == "demo@demo.invalid"
        assert message["Bcc"] is None
        assert message["Subject"] == "Run 1 Bcc: x@y.z"
    mine = [message for message in outbox(here.config.home, 4) if message["To"] == "demo@demo.invalid"]
    assert sorted(message["Subject"].partition(":")[0] for message in mine) == ["Copy", "Upload complete"]


def test_a_refused_act_mails_nobody(site: Callable[..., Site]) -> None:
    here = site()
    fs = here.user()
    made = fs.new({"a.txt": 5}, recipients=["ada@lab.example"], options={"get_a_link": False})
    assert fs.call("PUT", f"/transfer/{made['id']}", {"complete": True}).status_code == 500
    outbox(here.config.home, 0)


def test_guests_and_their_hosts(site: Callable[..., Site]) -> None:
    here = site()
    fs = here.user()
    guest = fs.ok(
        "POST",
        "/guest",
        {
            "recipient": "guest@lab.example",
            "from": "demo@demo.invalid",
            "message": "Please",
            "options": {"guest": {}, "transfer": {}},
        },
    )
    invitation, receipt = sorted(outbox(here.config.home, 2), key=lambda message: message["To"] != "guest@lab.example")
    assert f"{here.url}/?s=upload&vid={guest['token']}" in text_of(invitation)
    assert "> Please" in text_of(invitation)
    assert receipt["To"] == "demo@demo.invalid"
    fs.ok("DELETE", f"/guest/{guest['id']}")
    assert outbox(here.config.home, 3)[-1]["Subject"] == "Invitation withdrawn"


def test_expired_transfers_are_ended(site: Callable[..., Site]) -> None:
    here = site()
    fs = here.user()
    options = {"get_a_link": False, "email_me_on_expire": True}
    made = fs.send({"a.txt": b"alpha", "b.txt": b"beta"}, recipients=["ada@lab.example"], options=options)
    kept = fs.send({"c.txt": b"gamma"})
    outbox(here.config.home, 1)
    with opened(here) as home:
        chores.expire(home)
        assert len(objects(here)) == 3  # not before its time
        by_hand(here.config.home, "UPDATE fs_transfers SET expires = ? WHERE id = ?", int(time.time()) - 1, made["id"])
        for _ in range(2):
            chores.expire(home)
        assert len(objects(here)) == 1
        home.mail.deliver()
    letters = outbox(here.config.home, 3)[1:]
    assert sorted(message["To"] for message in letters) == ["ada@lab.example", "demo@demo.invalid"]
    assert all("a.txt" in text_of(message) for message in letters)
    assert fs.log(made).count("transfer_expired") == 1
    assert fs.fetch(made).status_code == 410
    assert fs.fetch(kept).content == b"gamma"


def test_uploads_that_were_given_up_are_swept_away(site: Callable[..., Site]) -> None:
    here = site(cleanup_days=7)
    fs = here.user()
    old, young = fs.new({"a.txt": 5}), fs.new({"b.txt": 5})
    for made in (old, young):
        assert fs.chunk(made["files"][0], 0, b"abc").status_code == 200
    long_ago = int(time.time()) - 7 * DAY - 10
    by_hand(here.config.home, "UPDATE fs_transfers SET touched = ? WHERE id = ?", long_ago, old["id"])
    assert len(objects(here)) == 2
    with opened(here) as home:
        for _ in range(2):
            chores.sweep(home)
    assert len(objects(here)) == 1
    assert fs.call("GET", f"/transfer/{old['id']}").json()["message"] == "transfer_not_found"
    assert fs.chunk(young["files"][0], 3, b"de").status_code == 200


def test_invitations_expire(site: Callable[..., Site]) -> None:
    here = site()
    fs = here.user()
    guest = fs.ok(
        "POST",
        "/guest",
        {"recipient": "guest@lab.example", "from": "demo@demo.invalid", "options": {"guest": {}, "transfer": {}}},
    )
    outbox(here.config.home, 2)
    by_hand(here.config.home, "UPDATE fs_guests SET expires = ? WHERE id = ?", int(time.time()) - 1, guest["id"])
    with opened(here) as home:
        for _ in range(2):
            chores.expire(home)
        home.mail.deliver()
    assert outbox(here.config.home, 3)[-1]["Subject"] == "Invitation expired"
    assert fs.ok("GET", "/guest") == []


def test_old_letters_and_sign_ins_are_forgotten(site: Callable[..., Site]) -> None:
    here = site()
    here.user().send({"a.txt": b"x"}, recipients=["ada@lab.example"], options={"get_a_link": False})
    outbox(here.config.home, 1)
    rows = "SELECT count(*) FROM letters"
    with opened(here) as home:
        delivery.forget(home)
        assert by_hand(here.config.home, rows) == [(1,)]
        by_hand(here.config.home, "UPDATE letters SET created = created - ?", 31 * DAY)
        delivery.forget(home)
        assert by_hand(here.config.home, rows) == [(0,)]
        with home.database.write() as session:
            (user,) = session.query(User).filter(User.username == "demo")
            now = int(time.time())
            session.add(LoginSession(id="old", user_id=user.id, expires=now - 31 * DAY))
            session.add(LoginSession(id="new", user_id=user.id, expires=now + DAY))
        chores.forget_sign_ins(home)
    assert by_hand(here.config.home, "SELECT id FROM login_sessions") == [("new",)]


@pytest.fixture
def silent() -> Iterator[int]:
    """A mail server that takes connections and never says a word."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        over = threading.Event()

        def hold() -> None:
            while not over.is_set():
                try:
                    held.append(listener.accept()[0])
                except TimeoutError:
                    continue

        thread = threading.Thread(target=hold)
        thread.start()
        yield listener.getsockname()[1]
        over.set()
        thread.join()
        assert held, "nobody called"
        for connection in held:
            connection.close()


def test_a_mail_server_that_hangs_keeps_neither_the_answer_nor_the_end(tmp_path: Path, silent: int) -> None:
    """The command line's server, with its mail settings from the file, ends within 3 s of SIGTERM."""
    config = ServerConfig(home=tmp_path / "home")
    create_user(config, "demo", "correct horse", email="demo@demo.invalid")
    key = create_filesender_key(config, "demo")
    file = tmp_path / "config.toml"
    file.write_text(f'[server.mail]\nhost = "127.0.0.1"\nport = {silent}\n')
    environment = {
        **os.environ,
        "PYTHONPATH": str(SOURCE),
        "PACKHORSE_HOME": str(tmp_path),
        "PACKHORSE_CONFIG": str(file),
    }
    command = [
        sys.executable,
        "-m",
        "packhorse.cli",
        "serve",
        "--home",
        str(config.home),
        "--port",
        "0",
        "--ready-json",
    ]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        fs = Fs(json.loads(process.stdout.readline())["url"], "demo", key)
        started = time.monotonic()
        fs.send({"a.txt": b"x"}, recipients=["ada@lab.example"], options={"get_a_link": False})
        assert time.monotonic() - started < 5
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        assert process.wait(20) == 0
        assert time.monotonic() - started < 3
    finally:
        process.kill()
        process.communicate()
    assert by_hand(config.home, "SELECT state FROM letters WHERE sent IS NOT NULL") == []


class Refusing:
    """A mail server that knows nobody."""

    async def handle_RCPT(self, *_: object) -> str:  # noqa: N802 - aiosmtpd's name
        return "550 5.1.1 No such user here"


def test_the_sender_sees_that_a_mail_could_not_be_delivered(site: Callable[..., Site]) -> None:
    port = free_port()
    controller = MailServer(Refusing(), hostname="127.0.0.1", port=port)
    controller.start()
    try:
        fs = site({"mail": MailSettings(host="127.0.0.1", port=port)}).user()
        made = fs.send({"a.txt": b"x"}, recipients=["nobody@lab.example"], options={"get_a_link": False})
        end = time.monotonic() + 15
        while not (errors := fs.ok("GET", f"/transfer/{made['id']}")["recipients"][0]["errors"]):
            assert time.monotonic() < end, "no error was noted"
            time.sleep(0.1)
    finally:
        controller.stop()
    assert errors[0]["type"] == "bounce"
    assert "No such user here" in errors[0]["details"]
    assert abs(errors[0]["date"]["raw"] - time.time()) < 60
