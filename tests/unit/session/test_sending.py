"""A session sends, resumes, gives up and manages, against the stand-in for a FileSender site."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import packhorse
from packhorse.errors import NotFoundError, ServerError, UsageError
from packhorse.model import Secret
from packhorse.session import Session
from packhorse.settings import Settings
from packhorse.transfer.outgoing import SendOptions


def stand_in() -> ModuleType:
    path = Path(__file__).parents[1] / "portals/filesender/fake.py"
    spec = importlib.util.spec_from_file_location("fake_filesender_of_the_session", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


FAKE: Any = stand_in()


@pytest.fixture
def fake() -> Iterator[Any]:
    server = FAKE.FakeFileSender().start()
    yield server
    server.stop()


def settings_at(tmp_path: Path, fake: Any) -> Settings:
    environ = {"PACKHORSE_HOME": str(tmp_path / "home"), "HOME": str(tmp_path / "home")}
    environ |= {"PACKHORSE_LAB_USERNAME": FAKE.USER, "PACKHORSE_LAB_APIKEY": FAKE.KEY}
    return Settings.load(environ).add_remote("lab", "filesender", fake.base)


@pytest.fixture
def session(fake: Any, tmp_path: Path) -> Iterator[Session]:
    with Session(settings_at(tmp_path, fake)) as made:
        yield made


@pytest.fixture
def reads(tmp_path: Path) -> Path:
    folder = tmp_path / "reads"
    (folder / "empty").mkdir(parents=True)
    (folder / "a.bin").write_bytes(bytes(range(256)) * 10)
    return folder


def test_send_and_manage_and_get(session: Session, fake: Any, reads: Path, tmp_path: Path) -> None:
    events: list[Any] = []
    outcome = session.send(reads, "ada@example.org", subject="S", on_event=events.append)
    assert outcome.error is None
    assert [email for _, email in fake.mailed] == ["ada@example.org"]
    (recipient,) = outcome.result["recipients"]
    assert recipient["email"] == "ada@example.org"
    assert {"Started", "Placed", "Summary"} <= {type(event).__name__ for event in events}
    site = session.manage()
    (transfer,) = site.transfers()
    assert (str(transfer.id), transfer.subject) == (outcome.id, "S")
    assert asyncio.run(self_managed(session)) == [transfer.id]
    session.get(recipient["download_url"], f"{tmp_path}/got/").raise_for_failures()
    assert (tmp_path / "got/reads/a.bin").read_bytes() == bytes(range(256)) * 10
    with pytest.raises(AttributeError):
        site.nonsense()


async def self_managed(session: Session) -> list[int]:
    return [transfer.id for transfer in await session.amanage("lab").transfers()]


def test_async_callers_send_too(session: Session, reads: Path) -> None:
    outcome = asyncio.run(session.asend(reads / "a.bin", link=True))
    assert outcome.result["recipients"][0]["email"] == ""


def test_prepare_creates_nothing_and_says_what_is_left_out(session: Session, fake: Any, reads: Path) -> None:
    ready = session.prepare([reads], "ada@example.org")
    assert [file.name for file in ready.files] == ["reads/a.bin"]
    assert (ready.empty_folders, ready.size, ready.before) == (("reads/empty",), 2560, None)
    assert fake.called("POST", "transfer") == []
    (reads / "a+b").touch()
    with pytest.raises(UsageError, match="does not take these names"):
        session.prepare([reads], "ada@example.org")


def test_an_interrupted_upload_goes_on_and_can_be_given_up(session: Session, fake: Any, reads: Path) -> None:
    def before(call: Any) -> None:
        if "/chunk/2000" in call.path:
            raise FAKE.Fatal

    fake.before = before
    options = SendOptions(retries=0, jobs=1)
    outcome = session.send(reads, "ada@example.org", expires=2_000_000_000, validity="14d", options=options)
    assert isinstance(outcome.error, ServerError)
    (one,) = session.pending()
    assert (one.key, one.confirmed > 0) == (outcome.key, True)
    fake.before = None
    # Another absolute time, the same words: what was typed again is the same upload.
    again = session.prepare(reads, "ada@example.org", expires=2_000_000_099, validity="14d")
    assert again.key == one.key
    assert again.before is not None
    assert session.send_prepared(again).resumed
    assert session.pending() == []
    fake.before = before
    session.send(reads, "bob@example.org", options=options)
    (left,) = session.pending()
    fake.before = None
    assert session.discard(left.key) == "discarded"
    assert session.discard(left.key) == "nothing"
    with pytest.raises(NotFoundError):
        session.manage("lab").transfer(int(left.id))


def test_what_was_just_sent_is_shown_and_not_sent_again(session: Session, fake: Any, reads: Path) -> None:
    """As after a kill between the journal's removal and the last line on the screen."""
    first = session.send(reads, "ada@example.org")
    events: list[Any] = []
    second = session.send(reads, "ada@example.org", on_event=events.append)
    assert (second.id, second.result, second.error) == (first.id, first.result, None)
    assert second.before is not None
    assert [type(event).__name__ for event in events] == ["Started", "Summary"]
    assert len(fake.mailed) == 1
    assert len(fake.called("POST", "transfer")) == 1
    third = session.send(reads, "ada@example.org", again=True)
    assert (third.before, third.id != first.id, len(fake.mailed)) == (None, True, 2)


def test_what_is_gone_at_the_site_or_changed_here_is_sent_anew(session: Session, fake: Any, reads: Path) -> None:
    first = session.send(reads, "ada@example.org")
    session.manage("lab").delete(int(first.id))
    second = session.send(reads, "ada@example.org")
    assert (second.before, second.id != first.id) == (None, True)
    (reads / "a.bin").write_bytes(b"next week's")
    third = session.send(reads, "ada@example.org")
    assert (third.before, third.id != second.id) == (None, True)
    (reads / "b.bin").write_bytes(b"one more")
    assert session.send(reads, "ada@example.org").before is None
    assert len(fake.mailed) == 4


def test_nothing_is_taken_for_sent_when_the_site_cannot_be_asked(session: Session, fake: Any, reads: Path) -> None:
    session.send(reads, "ada@example.org")

    def before(call: Any) -> None:
        if call.method == "GET" and call.path.endswith("/transfer"):
            raise FAKE.Fatal

    fake.before = before
    with pytest.raises(ServerError):
        session.send(reads, "ada@example.org")
    fake.before = None
    assert session.send(reads, "ada@example.org").before is not None
    assert len(fake.mailed) == 1


def test_with_another_password_it_is_not_the_same(session: Session, fake: Any, reads: Path) -> None:
    first = session.send(reads, "ada@example.org", password="the first password")
    assert session.send(reads, "ada@example.org", password="the first password").id == first.id
    other = session.send(reads, "ada@example.org", password="quite another password")
    assert (other.before, other.id != first.id) == (None, True)


def test_another_site_with_the_same_numbers_is_not_taken_for_it(
    session: Session, fake: Any, reads: Path, tmp_path: Path
) -> None:
    """The remote's name points elsewhere, or the site was set up anew: its transfer 101 is another one."""
    first = session.send(reads, "ada@example.org")
    other = FAKE.FakeFileSender().start()
    try:
        with Session(settings_at(tmp_path, other)) as elsewhere:
            second = elsewhere.send(reads, "ada@example.org")
            assert (second.key != first.key, second.before) == (True, None)
        assert len(other.mailed) == 1
    finally:
        other.stop()
    stored = fake.transfers[int(first.id)]
    for file in stored["files"].values():
        file["puid"] = "99999999-9999-4999-8999-999999999999"
    again = session.send(reads, "ada@example.org")
    assert (again.before, len(fake.mailed)) == (None, 2)


@pytest.mark.parametrize("how", ["typed again", "given up"])
def test_another_transfer_of_its_number_is_left_alone(session: Session, fake: Any, reads: Path, how: str) -> None:
    def before(call: Any) -> None:
        if "/chunk/" in call.path:
            raise FAKE.Fatal

    fake.before = before
    first = session.send(reads, "ada@example.org", options=SendOptions(retries=0))
    assert first.error is not None
    fake.before = None
    for file in fake.transfers[int(first.id)]["files"].values():
        file["puid"] = "99999999-9999-4999-8999-999999999999"
    if how == "given up":
        assert session.discard(first.key) == "discarded"
        assert int(first.id) in fake.transfers, "it is not ours to delete"
        return
    second = session.send(reads, "ada@example.org")
    assert second.error is None
    assert second.id != first.id


def test_a_guest_s_upload_is_not_sent_twice_either(session: Session, fake: Any, reads: Path) -> None:
    voucher = f"{fake.base}/?s=upload&vid={fake.add_guest()['token']}"
    first = session.send(reads, "ada@example.org", voucher=voucher)
    second = session.send(reads, "ada@example.org", voucher=voucher)
    assert (second.id, second.before is not None, len(fake.mailed)) == (first.id, True, 1)


def test_the_password_does_not_tell_uploads_apart(session: Session, reads: Path) -> None:
    first = session.prepare(reads, link=True, password="one password for it")
    assert session.with_password(first, Secret("another one for it")).key == first.key
    assert session.prepare(reads, link=True).key != first.key


def test_a_guest_s_upload_is_given_up_by_its_voucher(session: Session, fake: Any, reads: Path) -> None:
    voucher = f"{fake.base}/?s=upload&vid={fake.add_guest()['token']}"

    def before(call: Any) -> None:
        if "/chunk/" in call.path:
            raise FAKE.Fatal

    fake.before = before
    outcome = session.send(reads, "ada@example.org", voucher=voucher, options=SendOptions(retries=0))
    assert outcome.error is not None
    fake.before = None
    with pytest.raises(UsageError, match="begun by a voucher"):
        session.discard(outcome.key)
    assert session.discard(outcome.key, voucher=voucher) == "discarded"


def test_the_short_way(fake: Any, reads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in settings_at(tmp_path, fake).environ.items():
        monkeypatch.setenv(name, value)
    assert packhorse.send(reads, "ada@example.org").size == 2560
    with pytest.raises(UsageError, match="no e-mail address"):
        packhorse.send(reads, "ada")
