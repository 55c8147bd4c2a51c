"""Uploads through the engine to the fake server: by key, signed, as a guest, encrypted, resumed; early refusals."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from packhorse.errors import (
    AuthenticationError,
    DecryptionError,
    ExpiredError,
    PermissionDeniedError,
    ProtocolError,
    UsageError,
)
from packhorse.model import Secret
from packhorse.portals.filesender.portal import FileSenderPortal
from packhorse.portals.filesender.sending import Sending
from packhorse.transfer.engine import Engine
from packhorse.transfer.outgoing import LocalFile, SendOptions, SendOutcome
from packhorse.transfer.send import discard, gather, pending, send

from .conftest import SIGNED, MakePortal, on_engine
from .fake import KEY, USER, Call, FakeFileSender, Fatal, Refuse
from .test_receiving import pattern

MAILED = Sending(recipients=("bob@example.org", "eve@example.org"), subject="Reads", message="Here <b> &amp; now")
PASSWORD = Secret("correct horse battery staple ü")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files around the fake's chunk of 1000 bytes."""
    made = tmp_path / "data"
    (made / "deep").mkdir(parents=True)
    for size in (0, 1, 999, 1000, 1001, 3000):
        (made / "deep" / f"f{size}").write_bytes(pattern(size))
    return made


def upload(lab: FileSenderPortal, sending: Sending, paths: list[Path], state: Path, **options: Any) -> SendOutcome:
    async def work() -> SendOutcome:
        receiver = await lab.receiver(sending)
        return await send(
            receiver,
            gather(paths),
            SendOptions(**{"retries": 1, **options}),
            lab.api.network,
            lambda _: None,
            state_dir=state,
            pool=Engine.shared().pool,
        )

    return on_engine(work())


def only(fake: FakeFileSender) -> dict[str, Any]:
    assert len(fake.transfers) == 1
    return next(iter(fake.transfers.values()))


def held(transfer: dict[str, Any]) -> dict[str, bytes]:
    return {file["name"]: bytes(file["data"]) for file in transfer["files"].values()}


@pytest.mark.parametrize("version", [2, 3])
def test_files_are_sent_by_key_and_people_are_mailed_once(
    portal: MakePortal, fake: FakeFileSender, folder: Path, tmp_path: Path, version: int
) -> None:
    fake.version = version
    outcome = upload(portal(), MAILED, [folder], tmp_path / "state")
    outcome.raise_for_failures()
    made = only(fake)
    assert made["status"] == "available"
    assert held(made) == {f"data/deep/f{size}": pattern(size) for size in (0, 1, 999, 1000, 1001, 3000)}
    assert sorted(fake.mailed) == [("available", "bob@example.org"), ("available", "eve@example.org")]
    assert made["sent"]["options"] == {"get_a_link": False}
    assert made["sent"]["aup_checked"] is True
    assert (made["subject"], made["message"]) == ("Reads", "Here <b> &amp; now")
    assert all(file["cid"] for file in made["files"].values())
    chunks = fake.called("PUT", "/chunk/")
    assert len(chunks) == 1 + 1 + 1 + 2 + 3
    assert all("signature" not in call.query and call.query["roundtriptoken"] == made["rt"] for call in chunks)
    assert all(call.by == "signed" for call in fake.calls if call.method in ("POST", "PUT") and call not in chunks)
    links = {row["email"]: row["download_url"] for row in outcome.result["recipients"]}
    assert links == {r["email"]: f"{fake.base}/?s=download&token={r['token']}" for r in made["recipients"]}
    assert outcome.result["id"] == made["id"]


def test_without_recipients_there_is_a_link(
    portal: MakePortal, fake: FakeFileSender, folder: Path, tmp_path: Path
) -> None:
    outcome = upload(portal(), Sending(expires=1_950_000_000), [folder / "deep" / "f1"], tmp_path / "state")
    assert only(fake)["sent"]["options"]["get_a_link"] is True
    assert only(fake)["sent"]["expires"] == 1_950_000_000
    assert [row["email"] for row in outcome.result["recipients"]] == [""]
    assert not fake.mailed


def test_a_site_that_wants_signed_chunks_gets_them(
    portal: MakePortal, fake: FakeFileSender, folder: Path, tmp_path: Path
) -> None:
    fake.mode = "auth"
    upload(portal(), MAILED, [folder], tmp_path / "state", concurrent_parts=1, concurrent_files=1).raise_for_failures()
    chunks = fake.called("PUT", "/chunk/")
    assert len([call for call in chunks if "signature" not in call.query]) == 1, "found out once, then remembered"
    assert only(fake)["status"] == "available"


def test_a_wrong_clock_does_not_hinder_an_upload(
    portal: MakePortal, fake: FakeFileSender, folder: Path, tmp_path: Path
) -> None:
    fake.clock, fake.mode = 3600, "auth"
    upload(portal(), MAILED, [folder], tmp_path / "state").raise_for_failures()
    assert only(fake)["status"] == "available"


def test_an_application_sends_for_a_user(
    portal: MakePortal, fake: FakeFileSender, folder: Path, tmp_path: Path
) -> None:
    environ = {"PACKHORSE_LAB_SECRET": "5e" * 32, "PACKHORSE_LAB_USERNAME": "grace@example.org"}
    lab = portal(environ, options={"application": "sequencer"})
    upload(lab, MAILED, [folder], tmp_path / "state").raise_for_failures()
    assert only(fake)["owner"] == "grace@example.org"


@pytest.mark.parametrize("csrf", [True, False])
@pytest.mark.parametrize("to_me", [True, False])
def test_a_guest_sends(
    portal: MakePortal, fake: FakeFileSender, folder: Path, tmp_path: Path, csrf: bool, to_me: bool
) -> None:
    fake.csrf = csrf
    guest = fake.add_guest(options={"can_only_send_to_me": to_me}, transfer={"get_a_link": False})
    lab = portal({}).as_guest(guest["token"])
    wish = Sending() if to_me else Sending(recipients=("bob@example.org",))
    upload(lab, wish, [folder], tmp_path / "state").raise_for_failures()
    assert held(only(fake))["data/deep/f3000"] == pattern(3000)
    assert [email for _, email in fake.mailed] == [USER if to_me else "bob@example.org"]
    writes = [call for call in fake.calls if call.method in ("PUT", "POST")]
    assert all(call.query["vid"] == guest["token"] for call in writes)


def test_a_guest_whose_session_ends_goes_on(
    portal: MakePortal, fake: FakeFileSender, folder: Path, tmp_path: Path
) -> None:
    guest = fake.add_guest(options={"can_only_send_to_me": True})
    lab = portal({}).as_guest(guest["token"])
    seen: list[str] = []

    def forget(call: Call) -> None:
        if "/chunk/" in call.path:
            seen.append(call.path)
            if len(seen) == 3:
                fake.sessions.clear()

    fake.before = forget
    upload(lab, Sending(), [folder], tmp_path / "state").raise_for_failures()
    assert only(fake)["status"] == "available"


def test_a_guest_with_recipients_that_the_voucher_forbids(
    portal: MakePortal, fake: FakeFileSender, folder: Path, tmp_path: Path
) -> None:
    guest = fake.add_guest(options={"can_only_send_to_me": True})
    with pytest.raises(PermissionDeniedError, match="more recipients") as caught:
        upload(portal({}).as_guest(guest["token"]), MAILED, [folder], tmp_path / "state")
    assert "leave --to out" in str(caught.value.hint)


def test_an_expired_voucher(portal: MakePortal, fake: FakeFileSender, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ExpiredError):
        upload(portal({}).as_guest(fake.add_guest(open=False)["token"]), Sending(), [folder], tmp_path / "state")


# Encryption.


def decrypt(transfer: dict[str, Any], password: bytes, chunk: int) -> dict[str, bytes]:
    """By hand (spec §10)."""
    crypto = transfer["encryption"]
    assert crypto["key_version"] == 3
    salt, rounds = transfer["salt"].encode(), crypto["password_hash_iterations"]
    key = hashlib.pbkdf2_hmac("sha256", password, salt, rounds, 32)
    found = {}
    for file in transfer["files"].values():
        iv, aead = base64.b64decode(file["iv"]), base64.b64decode(file["aead"])
        plain = b""
        data = bytes(file["data"])
        for index, at in enumerate(range(0, len(data), chunk + 32)):
            stored = data[at : at + chunk + 32]
            assert stored[:16] == iv + index.to_bytes(4, "little")
            plain += AESGCM(key).decrypt(stored[:16], stored[16:], aead)
        count = -(-file["size"] // chunk)
        assert aead.decode() == (
            f'{{"aeadversion":1,"chunkcount":{count},"chunksize":{chunk},"iv":"{file["iv"]}","aeadterminator":1}}'
        )
        found[file["name"]] = plain
    return found


@pytest.mark.parametrize("mode", ["key", "auth"])
def test_encrypted_files_can_be_read_by_hand(
    portal: MakePortal, fake: FakeFileSender, folder: Path, tmp_path: Path, mode: str
) -> None:
    fake.mode = mode
    wish = Sending(recipients=("bob@example.org",), password=PASSWORD)
    upload(portal(), wish, [folder], tmp_path / "state").raise_for_failures()
    made = only(fake)
    assert decrypt(made, PASSWORD.reveal().encode(), fake.chunk) == {
        f"data/deep/f{size}": pattern(size) for size in (0, 1, 999, 1000, 1001, 3000)
    }
    assert made["encryption"]["password_version"] == 1
    assert made["encryption"]["password_encoding"] == "none"
    assert len(base64.b64decode(made["encryption"]["client_entropy"])) == 32
    ivs = [file["iv"] for file in made["files"].values()]
    assert len(set(ivs)) == len(ivs)
    everything = b"".join(call.body for call in fake.calls).decode("latin-1")
    assert PASSWORD.reveal() not in everything


def test_a_generated_password(portal: MakePortal, fake: FakeFileSender, folder: Path, tmp_path: Path) -> None:
    text = base64.b64encode(bytes(range(32))).decode()
    wish = Sending(password=Secret(text), generated=True)
    upload(portal(), wish, [folder], tmp_path / "state").raise_for_failures()
    assert decrypt(only(fake), bytes(range(32)), fake.chunk)["data/deep/f3000"] == pattern(3000)
    assert only(fake)["encryption"]["password_version"] == 2


def broken_after(fake: FakeFileSender, chunks: int) -> list[Call]:
    """Refuse every chunk after so many, for good."""
    seen: list[Call] = []

    def stop(call: Call) -> None:
        if "/chunk/" in call.path:
            seen.append(call)
            if len(seen) > chunks:
                raise Refuse(500, "storage_not_enough_space_left")

    fake.before = stop
    return seen


@pytest.mark.parametrize("how", ["plain", "encrypted", "guest"])
def test_an_upload_is_resumed_in_the_same_transfer(
    portal: MakePortal, fake: FakeFileSender, folder: Path, tmp_path: Path, how: str
) -> None:
    guest = fake.add_guest(options={"can_only_send_to_me": True})
    wish = {"plain": MAILED, "encrypted": Sending(password=PASSWORD), "guest": Sending()}[how]

    def lab() -> FileSenderPortal:
        return portal({}).as_guest(guest["token"]) if how == "guest" else portal()

    broken_after(fake, 4)
    first = upload(lab(), wish, [folder], tmp_path / "state", concurrent_parts=1, concurrent_files=1)
    assert isinstance(first.error, PermissionDeniedError)
    assert not fake.mailed
    assert only(fake)["status"] == "uploading"
    fake.before = None
    before = len(fake.called("PUT", "/chunk/"))
    again = upload(lab(), wish, [folder], tmp_path / "state")
    again.raise_for_failures()
    assert again.resumed
    assert only(fake)["status"] == "available"
    probes = 1 if how == "guest" else 0
    assert len(fake.called("PUT", "/chunk/")) - before == 8 - 4 + probes, "what was acknowledged is not sent again"
    if how == "encrypted":
        assert decrypt(only(fake), PASSWORD.reveal().encode(), fake.chunk)["data/deep/f3000"] == pattern(3000)
    else:
        assert held(only(fake))["data/deep/f3000"] == pattern(3000)


def test_resuming_with_another_password_is_refused(
    portal: MakePortal, fake: FakeFileSender, folder: Path, tmp_path: Path
) -> None:
    broken_after(fake, 3)
    one = {"concurrent_files": 1, "concurrent_parts": 1}
    upload(portal(), Sending(password=PASSWORD), [folder], tmp_path / "state", **one)
    fake.before = None
    count = len(fake.called("PUT", "/chunk/"))
    with pytest.raises(DecryptionError, match="another password"):
        upload(portal(), Sending(password=Secret("other")), [folder], tmp_path / "state")
    assert len(fake.called("PUT", "/chunk/")) == count
    journals = b"".join(path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file())
    assert PASSWORD.reveal().encode() not in journals
    assert base64.b64encode(PASSWORD.reveal().encode()) not in journals


def test_a_generated_password_is_typed_when_it_is_resumed(
    portal: MakePortal, fake: FakeFileSender, folder: Path, tmp_path: Path
) -> None:
    text = Secret(base64.b64encode(bytes(range(32))).decode())
    broken_after(fake, 3)
    upload(portal(), Sending(password=text, generated=True), [folder], tmp_path / "state")
    fake.before = None
    upload(portal(), Sending(password=text), [folder], tmp_path / "state").raise_for_failures()
    assert decrypt(only(fake), bytes(range(32)), fake.chunk)["data/deep/f3000"] == pattern(3000)


@pytest.mark.parametrize("who", ["user", "guest", "encrypted guest"])
@pytest.mark.parametrize("how", ["same process", "another process"])
@pytest.mark.parametrize("reached", [True, False])
def test_a_lost_answer_to_the_end_does_not_mail_twice(
    portal: MakePortal, fake: FakeFileSender, folder: Path, tmp_path: Path, who: str, reached: bool, how: str
) -> None:
    guest = fake.add_guest()
    wish = replace(MAILED, password=PASSWORD if "encrypted" in who else None)

    def lab() -> FileSenderPortal:
        return portal({}).as_guest(guest["token"]) if "guest" in who else portal()

    lost: list[Call] = []

    def swallow(call: Call) -> Any:
        if call.method == "PUT" and "/transfer/" in call.path and not lost:
            lost.append(call)
            if reached:
                fake.rest(call)
            return 502, {}, b""
        return None

    fake.before = swallow
    retries = {} if how == "same process" else {"retries": 0}
    outcome = upload(lab(), wish, [folder], tmp_path / "state", **retries)
    if outcome.error is not None:
        outcome = upload(lab(), wish, [folder], tmp_path / "state")
    outcome.raise_for_failures()
    assert sorted(email for _, email in fake.mailed) == sorted(MAILED.recipients), "each recipient once"
    assert len(fake.called("PUT", "/transfer/")) == (1 if reached else 2)
    assert {row["email"] for row in outcome.result["recipients"]} == set(MAILED.recipients)
    assert only(fake)["status"] == "available"


def test_discarding_deletes_the_transfer(
    portal: MakePortal, fake: FakeFileSender, folder: Path, tmp_path: Path
) -> None:
    broken_after(fake, 3)
    outcome = upload(portal(), MAILED, [folder], tmp_path / "state")
    fake.before = None
    waiting = pending(tmp_path / "state")
    assert [upload.key for upload in waiting] == [outcome.key]

    async def work() -> str:
        receiver = await portal().receiver(MAILED)
        return await discard(receiver, outcome.key, state_dir=tmp_path / "state", pool=Engine.shared().pool)

    assert on_engine(work()) == "discarded"
    assert not fake.transfers
    assert not pending(tmp_path / "state")


@pytest.mark.parametrize("fault", ["502", "empty 500", "database", "sanity", "lost answer", "html", "too little"])
@pytest.mark.parametrize("encrypted", [True, False])
def test_every_chunk_fails_once_and_nothing_is_damaged(
    portal: MakePortal, fake: FakeFileSender, folder: Path, tmp_path: Path, fault: str, encrypted: bool
) -> None:
    failed: set[str] = set()

    def fail(call: Call) -> Any:
        if "/chunk/" not in call.path or call.path in failed:
            return None
        failed.add(call.path)
        if fault == "empty 500":
            raise Fatal
        if fault in ("database", "sanity"):
            raise Refuse(
                *{"database": (500, "database_access_failure"), "sanity": (400, "rest_sanity_check_failed")}[fault]
            )
        if fault == "lost answer":  # written, and then nothing is heard
            fake.rest(call)
            return 504, {}, b""
        said = {"html": b"<html>proxy</html>", "too little": b'{"offset":0,"written":0}'}.get(fault, b"")
        kind = "text/html" if fault == "html" else "application/json"
        return 502 if fault == "502" else 200, {"Content-Type": kind}, said

    fake.before = fail
    wish = Sending(recipients=("bob@example.org",), password=PASSWORD if encrypted else None)
    upload(portal(), wish, [folder], tmp_path / "state", retries=2).raise_for_failures()
    assert len(failed) == 8
    made = only(fake)
    found = decrypt(made, PASSWORD.reveal().encode(), fake.chunk) if encrypted else held(made)
    assert found == {f"data/deep/f{size}": pattern(size) for size in (0, 1, 999, 1000, 1001, 3000)}
    assert fake.mailed == [("available", "bob@example.org")]
    bodies: dict[str, set[bytes]] = {}
    for call in fake.called("PUT", "/chunk/"):
        bodies.setdefault(call.path, set()).add(call.body)
    assert all(len(different) == 1 for different in bodies.values()), "a nonce is never used for other bytes"


def test_a_guest_must_say_for_whom(portal: MakePortal, fake: FakeFileSender, folder: Path, tmp_path: Path) -> None:
    guest = fake.add_guest()
    with pytest.raises(UsageError) as caught:
        upload(portal({}).as_guest(guest["token"]), Sending(), [folder], tmp_path / "state")
    assert "--to ADDRESS" in str(caught.value.hint)


def test_a_chunk_that_was_not_written_whole_is_sent_again_or_fails(
    portal: MakePortal, fake: FakeFileSender, folder: Path, tmp_path: Path
) -> None:
    kind = {"Content-Type": "application/json"}
    fake.before = lambda call: (200, kind, b'{"offset":0,"written":"7"}') if "/chunk/" in call.path else None
    outcome = upload(portal(), MAILED, [folder / "deep" / "f1000"], tmp_path / "state")
    assert isinstance(outcome.error, ProtocolError)
    assert not fake.called("PUT", "/transfer/")
    assert not [call for call in fake.called("PUT", "/file/") if "/chunk/" not in call.path]


def test_an_empty_500_for_a_chunk_ends_in_a_clear_error(
    portal: MakePortal, fake: FakeFileSender, folder: Path, tmp_path: Path
) -> None:
    def fatal(call: Call) -> None:
        if "/chunk/" in call.path:
            raise Fatal

    fake.before = fatal
    outcome = upload(portal(), MAILED, [folder / "deep" / "f1"], tmp_path / "state")
    assert outcome.error is not None
    assert "without a word" in str(outcome.error)


# Before anything is created.


@pytest.mark.parametrize(
    ("name", "words"),
    [("it's.txt", "character '"), ("setup.exe", ".exe"), ("x.c_", "extension"), ("a=b", "character =")],
)
def test_names_that_would_be_refused_are_found_before(
    portal: MakePortal, fake: FakeFileSender, tmp_path: Path, name: str, words: str
) -> None:
    (tmp_path / name).write_bytes(b"x")
    (tmp_path / "good.txt").write_bytes(b"x")
    with pytest.raises(UsageError) as caught:
        upload(portal(), MAILED, [tmp_path / name, tmp_path / "good.txt"], tmp_path / "state")
    assert name in str(caught.value)
    assert words in str(caught.value)
    assert not fake.called("POST", "transfer")


def test_a_site_that_bans_other_extensions(portal: MakePortal, fake: FakeFileSender, tmp_path: Path) -> None:
    fake.disclosed = {"ban_extension": "zip, scr"}
    (tmp_path / "setup.exe").write_bytes(b"x")
    upload(portal(), MAILED, [tmp_path / "setup.exe"], tmp_path / "state").raise_for_failures()
    (tmp_path / "a.zip").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"\.zip"):
        upload(portal(), MAILED, [tmp_path / "a.zip"], tmp_path / "state")


@pytest.mark.parametrize(
    ("disclosed", "words"),
    [
        ({"max_transfer_files": 5}, "at most 5 files"),
        ({"max_transfer_size": "6000"}, "at most 6,000 bytes in one transfer"),
        ({"max_transfer_file_size": 2000}, "at most 2,000 bytes in a file"),
        ({"max_transfer_recipients": 1}, "at most 1 recipients"),
    ],
)
def test_limits_are_found_before(
    portal: MakePortal, fake: FakeFileSender, folder: Path, tmp_path: Path, disclosed: dict[str, Any], words: str
) -> None:
    fake.disclosed = disclosed
    with pytest.raises(PermissionDeniedError) as caught:
        upload(portal(), MAILED, [folder], tmp_path / "state")
    assert words in str(caught.value)
    assert not fake.called("POST", "transfer")


def test_the_quota_is_found_before(portal: MakePortal, fake: FakeFileSender, folder: Path, tmp_path: Path) -> None:
    fake.quota = {"total": 10_000, "used": 9_000, "available": 1_000}
    with pytest.raises(PermissionDeniedError, match="1,000 are left"):
        upload(portal(), MAILED, [folder], tmp_path / "state")
    assert not fake.called("POST", "transfer")


def test_two_files_that_would_become_one(portal: MakePortal, fake: FakeFileSender, tmp_path: Path) -> None:
    files = [LocalFile(tmp_path / str(n), "same.txt", 1, 0, 0, n) for n in range(2)]

    async def work() -> None:
        receiver = await portal().receiver(MAILED)
        await receiver.begin(files)

    with pytest.raises(UsageError, match="become one"):
        on_engine(work())
    assert not fake.called("POST", "transfer")


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (Sending(recipients=("a@b.org",), link=True), "recipients or a link"),
        (Sending(recipients=("no address",)), "no e-mail address"),
        (Sending(options={"email_me_copy": True}), "did you mean 'email_me_copies'"),
        (Sending(chunk_size=1001), "1 to 1,000 bytes"),
        (Sending(chunk_size=500, password=PASSWORD), "the site's own chunks"),
    ],
)
def test_wishes_that_cannot_be(portal: MakePortal, fake: FakeFileSender, wish: Sending, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        on_engine(portal().receiver(wish))
    assert not fake.called("POST", "transfer")


def test_nobody_sends_without_a_key(portal: MakePortal) -> None:
    with pytest.raises(AuthenticationError, match="sending needs an API key"):
        on_engine(portal({}).receiver(MAILED))


def test_a_wrong_key_is_found_at_once(portal: MakePortal, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(AuthenticationError):
        upload(portal({**SIGNED, "PACKHORSE_LAB_APIKEY": KEY[::-1]}), MAILED, [folder], tmp_path / "state")


def test_about_is_the_same_tomorrow(portal: MakePortal) -> None:
    def about(**more: Any) -> Any:
        wish = Sending(recipients=("b@x.org", "a@x.org"), validity="14d", **more)
        return on_engine(portal().receiver(wish)).about

    assert about(expires=1, password=PASSWORD, generated=True) == about(expires=2, password=Secret("other"))
    assert about() != about(subject="x")
    assert PASSWORD.reveal() not in repr(about(password=PASSWORD))
