"""Our FileSender client against our server: sizes around the chunk × encrypted or not × user, application, guest ×
sites that take chunks by key or signed ones only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from packhorse.credentials.ladder import Credential
from packhorse.errors import AuthenticationError, DecryptionError, ExpiredError, NotFoundError, UsageError
from packhorse.model import ProofLevel, Secret
from packhorse.net.settings import NetSettings
from packhorse.portals.context import PortalContext
from packhorse.portals.filesender import FileSenderPortal, Invitation, Sending
from packhorse.server.config import ServerConfig
from packhorse.server.filesender_keys import create_application
from packhorse.settings import RemoteSettings
from packhorse.transfer.engine import Engine
from packhorse.transfer.get import get
from packhorse.transfer.options import GetOptions, Outcome, Want
from packhorse.transfer.outgoing import SendOptions, SendOutcome
from packhorse.transfer.send import gather, send

from .typed import DemoServer, demo_server

CHUNK = 64 * 1024
SIZES = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 5 * CHUNK + 77)
PASSWORD = Secret("correct horse battery staple ü")
TO = "reader@example.org"


@dataclass(frozen=True)
class Site:
    server: DemoServer
    secret: str
    folder: Path

    def portal(self, who: str = "user", **context: Any) -> FileSenderPortal:
        explicit = None
        options: dict[str, Any] = {"keyring": False}
        if who in ("user", "application"):
            key = self.server.keys["demo"] if who == "user" else self.secret
            explicit = Credential("explicit", "the test", token=Secret(key), username="demo")
        if who == "application":
            options["application"] = "sequencer"
        return FileSenderPortal(
            PortalContext(
                remote=RemoteSettings("fs", "filesender", self.server.url, options),
                network=Engine.shared().network(NetSettings()),
                environ={"HOME": str(self.folder)},
                state_dir=self.folder / "state",
                explicit=explicit,
                anonymous=explicit is None,
                **context,
            )
        )


@pytest.fixture(scope="module", params=["key", "auth"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp(f"site-{request.param}")
    (folder / "home").mkdir()
    text = f"[server.filesender]\nchunk_size = {CHUNK}\nchunk_security = '{request.param}'\n"
    (folder / "home" / "config.toml").write_text(text)
    with demo_server(folder) as server:
        secret = create_application(ServerConfig(home=folder / "data"), "sequencer")
        yield Site(server, secret, folder)


def run(work: Any) -> Any:
    return Engine.shared().run(work)


def upload(portal: FileSenderPortal, sending: Sending, folder: Path, state: Path) -> SendOutcome:
    async def work() -> SendOutcome:
        receiver = await portal.receiver(sending)
        pool, network = Engine.shared().pool, portal.api.network
        files = gather([folder])
        return await send(receiver, files, SendOptions(), network, lambda _: None, state_dir=state, pool=pool)

    outcome: SendOutcome = run(work())
    return outcome


def download(portal: FileSenderPortal, path: str, folder: Path) -> Outcome:
    async def work() -> Outcome:
        wants = [Want(item, portal) async for item in portal.items(path)]
        pool, network = Engine.shared().pool, portal.api.network
        return await get(wants, folder, GetOptions(), network, lambda _: None, pool=pool)

    outcome: Outcome = run(work())
    return outcome


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "set" / "deep"
    made.mkdir(parents=True)
    for size in SIZES:
        (made / f"f{size}").write_bytes(hashlib.shake_256(str(size).encode()).digest(size))
    return made.parent


def same(one: Path, other: Path) -> bool:
    return all((one / "deep" / f"f{size}").read_bytes() == (other / "deep" / f"f{size}").read_bytes() for size in SIZES)


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("who", ["user", "application", "guest"])
def test_what_is_sent_is_received(site: Site, folder: Path, tmp_path: Path, who: str, encrypted: bool) -> None:
    portal = site.portal(who)
    if who == "guest":
        wish = Invitation("guest@example.org", sender="demo@example.org")
        portal = site.portal("nobody").as_guest(run(site.portal().manage.invite(wish)).token)
    sending = Sending(recipients=(TO,), subject="Reads", password=PASSWORD if encrypted else None)
    outcome = upload(portal, sending, folder, tmp_path / "state").raise_for_failures()
    (recipient,) = outcome.result["recipients"]
    assert recipient["email"] == TO

    asked: list[str] = []

    def password(what: str) -> Secret:
        asked.append(what)
        return PASSWORD

    for number, reader in enumerate((site.portal("nobody", passphrase=password), site.portal(passphrase=password))):
        out = tmp_path / f"out{number}"
        got = download(reader, recipient["download_url"], out)
        assert not got.failed, got.failed
        assert same(folder, out / "set")
        levels = {placed.proof.level for placed in got.placed if placed.size}
        assert levels == {ProofLevel.AEAD if encrypted else ProofLevel.SHA256}, "our server states digests"
    assert len(asked) == (2 if encrypted else 0)

    owned = site.portal(passphrase=password)
    assert not download(owned, f"transfers/{outcome.result['id']}", tmp_path / "owned").failed
    assert same(folder, tmp_path / "owned" / "set")
    events = [event.event for event in run(owned.manage.audit_log(outcome.result["id"]))]
    assert events.count("transfer_available") == 1


def test_bad_ends_are_clear(site: Site, folder: Path, tmp_path: Path) -> None:
    sent = upload(site.portal(), Sending(password=PASSWORD), folder, tmp_path / "state").raise_for_failures()
    link = sent.result["recipients"][0]["download_url"]
    wrong = download(site.portal("nobody", passphrase=lambda _: Secret("wrong")), link, tmp_path / "wrong")
    assert {type(failed.error) for failed in wrong.failed} == {DecryptionError}
    run(site.portal().manage.close(sent.result["id"]))
    with pytest.raises(NotFoundError):
        download(site.portal("nobody"), link, tmp_path / "closed")
    guest = run(site.portal().manage.invite(Invitation("g@example.org", sender="demo@example.org")))
    with pytest.raises(UsageError, match="this is a voucher"):
        download(site.portal("nobody"), guest.upload_url, tmp_path / "voucher")
    run(site.portal().manage.revoke_guest(guest.id))
    with pytest.raises(ExpiredError):
        upload(site.portal("nobody").as_guest(guest.token), Sending(), folder, tmp_path / "state")
    with pytest.raises(AuthenticationError):
        run(site.portal("nobody").use_token(Secret("0" * 64), username="demo", store="none"))


def test_everything_that_is_managed(site: Site, folder: Path, tmp_path: Path) -> None:
    sent = upload(site.portal(), Sending(recipients=(TO,)), folder, tmp_path / "state").raise_for_failures()
    manage, number = site.portal().manage, sent.result["id"]
    assert number in [transfer.id for transfer in run(manage.transfers())]
    assert len(run(manage.files(number))) == len(SIZES)
    assert run(manage.file(run(manage.files(number))[0].id)).transfer_id == number
    added = run(manage.add_recipient(number, "late@example.org"))
    run(manage.remind_recipient(added.id))
    run(manage.remind(number))
    run(manage.remove_recipient(added.id))
    assert [recipient.email for recipient in run(manage.recipients(number))] == [TO]
    run(manage.delete(number))
    with pytest.raises(NotFoundError):
        run(manage.transfer(number))
    assert run(manage.user()).id > 0
    run(manage.quota())
    guest = run(
        manage.invite(Invitation("g2@example.org", sender="demo@example.org", options={"can_only_send_to_me": True}))
    )
    assert run(manage.guest(guest.id)).options["can_only_send_to_me"]
    run(manage.remind_guest(guest.id))
    assert run(manage.guest_transfers(guest.id)) == ()
    run(manage.revoke_guest(guest.id))


@pytest.mark.parametrize("who", ["user", "guest"])
@pytest.mark.parametrize("encrypted", [False, True])
def test_whether_it_is_finished_is_known_without_repeating_it(
    site: Site, tmp_path: Path, who: str, encrypted: bool
) -> None:
    portal = site.portal()
    if who == "guest":
        wish = Invitation("guest@example.org", sender="demo@example.org")
        portal = site.portal("nobody").as_guest(run(site.portal().manage.invite(wish)).token)
    (tmp_path / "empty").write_bytes(b"")

    async def work() -> None:
        receiver = await portal.receiver(Sending(recipients=(TO,), password=PASSWORD if encrypted else None))
        begun = await receiver.begin(gather([tmp_path / "empty"]))
        assert await receiver.finished(begun.state) is None
        assert await receiver.alive(begun.state) is not None
        await receiver.finish_file(begun.refs["empty"])
        assert await receiver.finished(begun.state) is None
        result = await receiver.finish(begun.state)
        again = await receiver.finished(begun.state)
        assert again is not None
        assert again["recipients"] == result["recipients"]

    run(work())
