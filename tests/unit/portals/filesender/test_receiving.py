"""Downloads through the engine from the fake server: links, owners, encryption, dead tokens, pages instead of files."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from packhorse.errors import (
    AddressError,
    AuthenticationError,
    NotFoundError,
    ProtocolError,
    UsageError,
)
from packhorse.model import ProofLevel, Secret
from packhorse.portals.filesender.places import fits, parse_place
from packhorse.portals.filesender.portal import FileSenderPortal
from packhorse.transfer.engine import Engine
from packhorse.transfer.get import get
from packhorse.transfer.options import GetOptions, Outcome, Want

from .conftest import MakePortal, everything, on_engine
from .fake import Call, FakeFileSender

PASSWORD = "correct horse battery staple ü"
ITERATIONS = 1500


def fetch(lab: FileSenderPortal, path: str, folder: Path, **options: Any) -> Outcome:
    async def work() -> Outcome:
        items = await everything(lab.items(path))
        wants = [Want(item, lab) for item in items]
        network = lab.api.network
        return await get(wants, folder, GetOptions(**options), network, lambda _: None, pool=Engine.shared().pool)

    return on_engine(work())


def pattern(size: int) -> bytes:
    return hashlib.shake_256(str(size).encode()).digest(size)


def encrypted(fake: FakeFileSender, files: dict[str, bytes], version: int, password: str = PASSWORD) -> dict[str, Any]:
    """A transfer encrypted by hand (spec §10)."""
    salt = base64.b64encode(os.urandom(24)).decode()
    generated = password.endswith("=")
    raw = base64.b64decode(password) if generated else password.encode()
    key = hashlib.sha256(raw).digest()
    if version:
        key = hashlib.pbkdf2_hmac("sha256", raw, salt.encode(), ITERATIONS, 32)
    transfer = fake.add_transfer({}, salt=salt)
    transfer["options"]["encryption"] = True
    transfer["encryption"] = {
        "key_version": version,
        "password_version": 2 if generated else 1,
        "password_encoding": "base64" if generated else "none",
        "password_hash_iterations": ITERATIONS,
    }
    for name, data in files.items():
        chunks = [data[at : at + fake.chunk] for at in range(0, len(data), fake.chunk)]
        stored = bytearray()
        iv = os.urandom(12 if version == 3 else 16)
        iv64 = base64.b64encode(iv).decode()
        aead = ""
        if version == 3:
            aead = (
                f'{{"aeadversion":1,"chunkcount":{len(chunks)},"chunksize":{fake.chunk},"iv":"{iv64}",'
                '"aeadterminator":1}'
            )
        for number, chunk in enumerate(chunks):
            if version == 3:
                nonce = iv + number.to_bytes(4, "little")
                stored += nonce + AESGCM(key).encrypt(nonce, chunk, aead.encode())
            else:
                nonce = os.urandom(16)
                padding = 16 - len(chunk) % 16
                cbc = Cipher(algorithms.AES(key), modes.CBC(nonce)).encryptor()
                stored += nonce + cbc.update(chunk + bytes([padding]) * padding) + cbc.finalize()
        fake.add_file(transfer, name, len(data), data=stored, iv=iv64, aead=base64.b64encode(aead.encode()).decode())
    return transfer


def token_of(transfer: dict[str, Any]) -> str:
    return str(transfer["recipients"][0]["token"])


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("signed", [True, False])
def test_a_link_is_fetched_with_and_without_an_account(
    portal: MakePortal, fake: FakeFileSender, tmp_path: Path, version: int, signed: bool
) -> None:
    fake.version = version
    files = {"empty": b"", "one": b"1", "reads/a.gz": pattern(5000), "big.bin": pattern(3_000_000)}
    made = fake.add_transfer(files)
    outcome = fetch(portal() if signed else portal({}), token_of(made), tmp_path)
    assert not outcome.failed
    for name, data in files.items():
        assert (tmp_path / name).read_bytes() == data
    assert {placed.proof.level for placed in outcome.placed} == {ProofLevel.SIZE}
    by_page = bool(fake.called("GET", "^/fs/$"))
    assert by_page is not signed
    downloads = fake.called("GET", "download.php")
    assert all("signature" not in call.query for call in downloads)
    of_one = {
        call.query["transaction_id"] for call in downloads if call.query["files_ids"] == str(_id(made, "big.bin"))
    }
    assert len(of_one) == 1, "one transaction id for all ranges of a file"
    assert all(call.headers.get("range", "bytes=0-0").count("-") == 1 for call in downloads)
    assert not any(call.headers.get("range", "").endswith("-") for call in downloads), "closed ranges only"


def _id(made: dict[str, Any], name: str) -> int:
    return next(int(file["id"]) for file in made["files"].values() if file["name"] == name)


def test_hostile_names_stay_within_the_folder(portal: MakePortal, fake: FakeFileSender, tmp_path: Path) -> None:
    made = fake.add_transfer({"../../x": b"evil", "/etc/y": b"evil", "a\x1b[2J": b"odd"})
    folder = tmp_path / "deep" / "er"
    outcome = fetch(portal({}), token_of(made), folder)
    assert not outcome.failed
    assert not (tmp_path / "x").exists()
    for placed in outcome.placed:
        assert folder in placed.target.parents


def test_names_and_patterns_choose_files(portal: MakePortal, fake: FakeFileSender, tmp_path: Path) -> None:
    made = fake.add_transfer({"a/1.csv": b"1", "a/2.txt": b"2", "b.csv": b"3"})
    token = token_of(made)

    def named(path: str) -> list[str]:
        return [item.path for item in on_engine(everything(portal({}).items(path)))]

    assert named(f"{token}/a") == ["a/1.csv", "a/2.txt"]
    assert named(f"{token}/*.csv") == ["a/1.csv", "b.csv"]
    assert named(f"{token}/b.csv") == ["b.csv"]
    assert named(f"{token}?files={_id(made, 'b.csv')}") == ["b.csv"]
    assert named(f"{fake.base}/?s=download&token={token}") == ["a/1.csv", "a/2.txt", "b.csv"]
    with pytest.raises(NotFoundError, match=r"did you mean 'b\.csv'"):
        named(f"{token}/c.csv")


def test_a_dead_token_is_not_found(portal: MakePortal, fake: FakeFileSender) -> None:
    for lab in (portal(), portal({})):
        with pytest.raises(NotFoundError, match="nothing is behind this link") as caught:
            on_engine(everything(lab.items("00000000-1111-2222-3333-444444444444")))
        assert caught.value.exit_code == 4


@pytest.mark.parametrize("status", [404, 410])
def test_a_site_that_answers_a_dead_link_with_an_error_status(
    portal: MakePortal, fake: FakeFileSender, status: int
) -> None:
    page = b"<html><body data-auth-type=''>gone</body></html>"
    fake.before = lambda call: (status, {"Content-Type": "text/html"}, page) if call.path == "/fs/" else None
    with pytest.raises(NotFoundError, match="nothing is behind this link"):
        on_engine(everything(portal({}).items("00000000-1111-2222-3333-444444444444")))


def test_a_voucher_is_told_from_a_download_token(portal: MakePortal, fake: FakeFileSender) -> None:
    guest = fake.add_guest()
    for path in (guest["token"], f"voucher/{guest['token']}", f"{fake.base}/?s=upload&vid={guest['token']}"):
        with pytest.raises(UsageError, match="this is a voucher: it invites you to send") as caught:
            on_engine(everything(portal({}).items(path)))
        assert "s=download&token=" in str(caught.value.hint)


def test_the_owner_needs_no_token(portal: MakePortal, fake: FakeFileSender, tmp_path: Path) -> None:
    made = fake.add_transfer({"a.txt": b"abc", "big": pattern(2_500_000)})
    assert not fetch(portal(), f"transfers/{made['id']}", tmp_path).failed
    assert (tmp_path / "big").read_bytes() == pattern(2_500_000)
    downloads = fake.called("GET", "download.php")
    assert downloads
    assert all(call.by == "signed" and "token" not in call.query for call in downloads)
    with pytest.raises(AuthenticationError):
        on_engine(everything(portal({}).items(f"transfers/{made['id']}")))
    with pytest.raises(NotFoundError):
        on_engine(everything(portal().items("transfers/99999")))


def test_a_redirect_with_two_question_marks_is_followed(
    portal: MakePortal, fake: FakeFileSender, tmp_path: Path
) -> None:
    made = fake.add_transfer({"a.txt": b"abc"})

    def forgetful(call: Call) -> Any:
        if call.path.endswith("download.php") and "hop" not in call.query:
            where = f"{fake.base}/download.php??hop=1&token={call.query['token']}&files_ids={call.query['files_ids']}"
            return 302, {"Location": where + "&transaction_id=00000000-1111-2222-3333-444444444444"}, b""
        return None

    fake.before = forgetful
    assert not fetch(portal({}), token_of(made), tmp_path).failed
    assert (tmp_path / "a.txt").read_bytes() == b"abc"


@pytest.mark.parametrize("size", [13, 2_000_000])
def test_an_exception_page_is_never_saved(portal: MakePortal, fake: FakeFileSender, tmp_path: Path, size: int) -> None:
    made = fake.add_transfer({"data.csv": pattern(size), "page.html": pattern(size)})

    def to_page(call: Call) -> Any:
        if call.path.endswith("download.php"):
            held = base64.b64encode(json.dumps({"message": "transfer_expired"}).encode()).decode()
            return 302, {"Location": f"{fake.base}/?s=exception&exception={held}"}, b""
        if call.query.get("s") == "exception":
            return 200, {"Content-Type": "text/html"}, b"E" * size
        return None

    fake.before = to_page
    outcome = fetch(portal({}), token_of(made), tmp_path, retries=0)
    assert {failed.error.code for failed in outcome.failed} == {"expired"}
    assert not list(tmp_path.glob("*.csv")) + list(tmp_path.glob("*.html"))


@pytest.mark.parametrize("kind", ["text/html", "application/octet-stream"])
def test_an_unmarked_answer_is_no_file(portal: MakePortal, fake: FakeFileSender, tmp_path: Path, kind: str) -> None:
    made = fake.add_transfer({"data.csv": pattern(100)})
    fake.before = lambda call: (200, {"Content-Type": kind}, b"404" * 9) if "download" in call.path else None
    outcome = fetch(portal({}), token_of(made), tmp_path, retries=0)
    assert len(outcome.failed) == 1
    assert not (tmp_path / "data.csv").exists()


def test_an_empty_500_while_fetching_is_explained_by_the_link(
    portal: MakePortal, fake: FakeFileSender, tmp_path: Path
) -> None:
    made = fake.add_transfer({"data.csv": pattern(100)})

    def closes(call: Call) -> Any:
        if "download" in call.path:
            made["status"] = "closed"

    fake.before = closes
    outcome = fetch(portal({}), token_of(made), tmp_path, retries=0)
    assert outcome.failed[0].error.code == "not-found"


def test_archives_only_on_request(portal: MakePortal, fake: FakeFileSender, tmp_path: Path) -> None:
    made = fake.add_transfer({"a": b"1", "b": b"2"})
    ids = ",".join(str(number) for number in made["files"])
    assert not fetch(portal({}), token_of(made) + "?archive=zip", tmp_path).failed
    assert (tmp_path / f"transfer_{made['id']}.zip").read_bytes() == b"ARCHIVE " + ids.encode()
    secret = encrypted(fake, {"a": b"1"}, 3)
    with pytest.raises(UsageError, match="nobody can read"):
        on_engine(everything(portal({}).items(token_of(secret) + "?archive=tar")))


# Encryption.


@pytest.mark.parametrize("version", [0, 1, 3])
@pytest.mark.parametrize("server", [2, 3])
@pytest.mark.parametrize("clamp", [True, False])
def test_encrypted_files_are_decrypted(
    portal: MakePortal, fake: FakeFileSender, tmp_path: Path, version: int, server: int, clamp: bool
) -> None:
    fake.version, fake.clamp, fake.chunk = server, clamp, 1024
    sizes = [0, 1, 1023, 1024, 1025, 3 * 1024, 2048 + 160]
    made = encrypted(fake, {f"f{size}": pattern(size) for size in sizes}, version)
    asked: list[str] = []

    def password(what: str) -> Secret:
        asked.append(what)
        return Secret(PASSWORD)

    outcome = fetch(portal({}, passphrase=password), token_of(made), tmp_path)
    assert not outcome.failed, outcome.failed
    for size in sizes:
        assert (tmp_path / f"f{size}").read_bytes() == pattern(size)
    assert len(asked) == 1, "once per transfer"
    proofs = {placed.item.path: placed.proof.level for placed in outcome.placed}
    assert proofs["f1025"] is (ProofLevel.AEAD if version == 3 else ProofLevel.SIZE)
    assert all("range" in call.headers for call in fake.called("GET", "download.php"))


def test_a_larger_encrypted_file_and_a_generated_password(
    portal: MakePortal, fake: FakeFileSender, tmp_path: Path
) -> None:
    fake.chunk = 300_000
    password = base64.b64encode(bytes(range(32))).decode()
    made = encrypted(fake, {"big": pattern(4_000_001)}, 3, password)
    assert not fetch(portal({}, passphrase=lambda _: Secret(password)), token_of(made), tmp_path).failed
    assert (tmp_path / "big").read_bytes() == pattern(4_000_001)


def test_an_owner_reads_encrypted_files_too(portal: MakePortal, fake: FakeFileSender, tmp_path: Path) -> None:
    made = encrypted(fake, {"a": pattern(2500)}, 3)
    lab = portal(passphrase=lambda _: Secret(PASSWORD))
    assert not fetch(lab, f"transfers/{made['id']}", tmp_path).failed
    assert (tmp_path / "a").read_bytes() == pattern(2500)


@pytest.mark.parametrize("version", [1, 3])
def test_a_wrong_password_is_one_error_and_nothing_is_placed(
    portal: MakePortal, fake: FakeFileSender, tmp_path: Path, version: int
) -> None:
    fake.chunk = 1024
    made = encrypted(fake, {"a": pattern(2000), "b": pattern(30), "c": pattern(20)}, version)
    tries = iter(["wrong one", "wrong two", "wrong three"])
    outcome = fetch(portal({}, passphrase=lambda _: Secret(next(tries))), token_of(made), tmp_path, jobs=1)
    assert {failed.error.code for failed in outcome.failed} == {"decryption"}
    assert {str(failed.error) for failed in outcome.failed} == {"lab: the password is wrong; nothing was written"}
    assert not any(path.is_file() and path.suffix != ".lock" for path in tmp_path.glob("[abc]*"))
    smallest = str(_id(made, "c"))
    assert {call.query["files_ids"] for call in fake.called("GET", "download.php")} == {smallest}


def test_the_second_try_may_be_right(portal: MakePortal, fake: FakeFileSender, tmp_path: Path) -> None:
    made = encrypted(fake, {"a": pattern(2000)}, 3)
    tries = iter(["wrong one", PASSWORD])
    assert not fetch(portal({}, passphrase=lambda _: Secret(next(tries))), token_of(made), tmp_path).failed


def test_without_a_password_nothing_is_asked_of_the_server(
    portal: MakePortal, fake: FakeFileSender, tmp_path: Path
) -> None:
    made = encrypted(fake, {"a": pattern(2000)}, 3)
    outcome = fetch(portal({}), token_of(made), tmp_path)
    assert isinstance(outcome.failed[0].error, AuthenticationError)
    assert not fake.called("GET", "download.php")


@pytest.mark.parametrize("change", ["chunk count", "iv", "chunk size", "cut", "swapped", "flipped", "version 2"])
def test_whatever_does_not_go_together_is_refused(
    portal: MakePortal, fake: FakeFileSender, tmp_path: Path, change: str
) -> None:
    made = encrypted(fake, {"a": pattern(3000)}, 3)
    file = next(iter(made["files"].values()))
    aead = base64.b64decode(file["aead"]).decode()
    if change == "chunk count":
        file["aead"] = base64.b64encode(aead.replace('"chunkcount":3', '"chunkcount":4').encode()).decode()
    elif change == "iv":
        file["iv"] = base64.b64encode(bytes(12)).decode()
    elif change == "chunk size":
        file["aead"] = base64.b64encode(aead.replace('"chunksize":1000', '"chunksize":999').encode()).decode()
    elif change == "cut":
        file["size"], file["data"] = 2000, file["data"][: 2 * 1032]
    elif change == "swapped":
        file["data"] = file["data"][1032:2064] + file["data"][:1032] + file["data"][2064:]
    elif change == "flipped":
        file["data"][2500] ^= 1
    else:
        made["encryption"]["key_version"] = 2
    outcome = fetch(portal({}, passphrase=lambda _: Secret(PASSWORD)), token_of(made), tmp_path, retries=0)
    assert outcome.failed[0].error.code in ("protocol", "integrity", "decryption")
    assert not (tmp_path / "a").exists()


def test_an_absurd_number_of_iterations_is_refused(portal: MakePortal, fake: FakeFileSender, tmp_path: Path) -> None:
    made = encrypted(fake, {"a": b"x"}, 3)
    made["encryption"]["password_hash_iterations"] = 10**12
    started = time.monotonic()
    outcome = fetch(portal({}, passphrase=lambda _: Secret(PASSWORD)), token_of(made), tmp_path)
    assert isinstance(outcome.failed[0].error, ProtocolError)
    assert time.monotonic() - started < 10


# Looking.


def test_ls_and_info(portal: MakePortal, fake: FakeFileSender) -> None:
    made = fake.add_transfer({"a/1.csv": b"1", "b.csv": b"333"}, subject="Reads")
    guest = fake.add_guest()
    lab = portal()
    root = on_engine(everything(lab.entries("")))
    assert [(entry.address, entry.name, entry.kind, entry.size) for entry in root] == [
        (f"lab:transfers/{made['id']}", "Reads", "transfer", 4)
    ]
    level = on_engine(everything(lab.entries(token_of(made))))
    assert [(entry.name, entry.kind) for entry in level] == [("a", "folder"), ("b.csv", "file")]
    below = on_engine(everything(lab.entries(f"{token_of(made)}/a")))
    assert [(entry.name, entry.size) for entry in below] == [("1.csv", 1)]
    assert [entry.name for entry in on_engine(everything(lab.entries("guests")))] == [guest["email"]]
    assert on_engine(lab.describe(token_of(made)))["size"] == 4
    assert on_engine(lab.describe(f"{token_of(made)}/b.csv"))["name"] == "b.csv"
    assert on_engine(lab.describe(f"transfers/{made['id']}"))["subject"] == "Reads"
    assert on_engine(portal({}).describe(""))["chunk_size"] == fake.chunk


@pytest.mark.parametrize("path", ["nonsense", "transfers/x", "voucher/x", "transfers/1?what=2", "https://h/other"])
def test_what_is_no_address_is_refused(path: str) -> None:
    with pytest.raises(AddressError):
        parse_place(path)


def test_brackets_in_names_are_found_as_names() -> None:
    assert fits("a[1].txt", "a[1].txt")
    assert fits("a/b/c.txt", "a/b")
    assert not fits("ab/c.txt", "a")
