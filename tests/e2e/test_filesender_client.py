"""The unmodified ``filesender-client`` from PyPI, its command line and its library, against our server.

Its guest upload asks one host that is written into it (spec filesender §12.5), so a voucher is filled here by its
library's own classes with the page's tokens handed to them.
"""

from __future__ import annotations

import email
import email.policy
import hashlib
import json
import random
import re
import subprocess
import time
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
import requests

from . import peers
from .typed import DemoServer, demo_server, wait_until

CHUNK = 5 * 1024 * 1024
TOKEN = re.compile(r"[?&](?:amp;)?token=([0-9a-z-]{36})")
VOUCHER = re.compile(r"[?&](?:amp;)?vid=([0-9a-z-]{36})")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("peer")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[DemoServer]:
    with demo_server(folder) as running:
        yield running


@pytest.fixture(scope="module")
def bin_folder() -> Path:
    return peers.environment("filesender-client", peers.FILESENDER_CLIENT)


def typed(bin_folder: Path, server: DemoServer, *words: str, cwd: Path) -> str:
    """One command of the peer; what it wrote."""
    done = subprocess.run(
        [bin_folder / "filesender", "--base-url", server.url, *words],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout + done.stderr


def script(bin_folder: Path, code: str, *words: str, cwd: Path) -> str:
    """A program of the peer's library."""
    done = subprocess.run(
        [bin_folder / "python", "-c", code, *words], capture_output=True, text=True, timeout=120, cwd=cwd, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def some_bytes(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)


def letters(folder: Path, to: str) -> list[EmailMessage]:
    """What the server mailed to somebody, by its outbox."""
    found = []
    for path in sorted((folder / "data" / "outbox").glob("*.eml")):
        letter = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        assert isinstance(letter, EmailMessage)
        if to in str(letter["To"]):
            found.append(letter)
    return found


def body(letter: EmailMessage) -> str:
    part = letter.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def one_letter(folder: Path, to: str) -> str:
    wait_until(lambda: letters(folder, to), f"a letter to {to}", 20)
    time.sleep(0.5)
    (letter,) = letters(folder, to)
    return body(letter)


def user(server: DemoServer) -> list[str]:
    return ["--username", "demo", "--apikey", server.keys["demo"]]


def test_server_info(bin_folder: Path, server: DemoServer, tmp_path: Path) -> None:
    assert "upload_chunk_size" in typed(bin_folder, server, "server-info", cwd=tmp_path)


@pytest.mark.parametrize("chunks", [1, 4])
def test_upload_mail_and_download(
    bin_folder: Path, server: DemoServer, folder: Path, tmp_path: Path, chunks: int
) -> None:
    """Files of every awkward size reach the person they were sent to, who downloads them with the same client."""
    sizes = {"empty": 0, "one": 1, "below": CHUNK - 1, "chunk": CHUNK, "above": CHUNK + 1, "three": 3 * CHUNK}
    source, to = tmp_path / "source", f"peer{chunks}@example.org"
    source.mkdir()
    for seed, (name, size) in enumerate(sizes.items()):
        (source / f"{name}.bin").write_bytes(some_bytes(size, seed))
    names = [str(source / f"{name}.bin") for name in sizes]
    words = [*user(server), "--recipients", to, "--concurrent-chunks", str(chunks)]
    typed(bin_folder, server, "upload", *words, *names, cwd=tmp_path)
    found = TOKEN.search(one_letter(folder, to))
    assert found is not None
    target = tmp_path / "target"
    target.mkdir()
    typed(bin_folder, server, "download", found[1], "--out-dir", str(target), cwd=tmp_path)
    assert {path.name for path in target.iterdir()} == {f"{name}.bin" for name in sizes}
    for name in sizes:
        assert (target / f"{name}.bin").read_bytes() == (source / f"{name}.bin").read_bytes(), name
    assert len(letters(folder, to)) == 1


def test_upload_of_a_folder_by_the_library(bin_folder: Path, server: DemoServer, folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "run1"
    (source / "deep").mkdir(parents=True)
    (source / "a.txt").write_bytes(b"above")
    (source / "deep" / "a.txt").write_bytes(some_bytes(CHUNK + 7, 9))
    code = """
import asyncio, sys
from pathlib import Path
from filesender import FileSenderClient, UserAuth
async def main():
    client = FileSenderClient(base_url=sys.argv[1], auth=UserAuth(username="demo", api_key=sys.argv[2]))
    await client.prepare()
    made = await client.upload_workflow(files=[Path(sys.argv[3])],
        transfer_args={"recipients": ["folder@example.org"], "subject": "two of a name", "message": "see below"})
    print(made["id"])
asyncio.run(main())
"""
    script(bin_folder, code, server.url, server.keys["demo"], str(source), cwd=tmp_path)
    text = one_letter(folder, "folder@example.org")
    assert "see below" in text
    found = TOKEN.search(text)
    assert found is not None
    page = requests.get(f"{server.url}/?s=download&token={found[1]}", timeout=20).text
    assert {"run1/a.txt", "run1/deep/a.txt"} <= set(re.findall(r'data-name="([^"]*)"', page))


def test_invite_and_fill_the_voucher(bin_folder: Path, server: DemoServer, folder: Path, tmp_path: Path) -> None:
    typed(bin_folder, server, "invite", "guest@example.org", *user(server), cwd=tmp_path)
    found = VOUCHER.search(one_letter(folder, "guest@example.org"))
    assert found is not None
    data = tmp_path / "guest.bin"
    data.write_bytes(some_bytes(2 * CHUNK + 3, 11))
    page = requests.get(f"{server.url}/?s=upload&vid={found[1]}", timeout=20)
    security = re.search(r'data-security-token="([^"]+)"', page.text)
    assert security is not None
    cookies = {name: page.cookies[name] for name in ("PHPSESSID", "csrfptoken")}
    code = """
import asyncio, json, sys
from pathlib import Path
from filesender import FileSenderClient, GuestAuth
async def main():
    cookies = json.loads(sys.argv[4])
    auth = GuestAuth(guest_token=sys.argv[2], security_token=sys.argv[3], csrf_token=cookies["csrfptoken"])
    client = FileSenderClient(base_url=sys.argv[1], auth=auth)
    client.http_client.cookies.set("PHPSESSID", cookies["PHPSESSID"])
    await client.prepare()
    args = {"recipients": [], "from": "guest@example.org"}
    await client.upload_workflow(files=[Path(sys.argv[5])], transfer_args=args)
asyncio.run(main())
"""
    script(bin_folder, code, server.url, found[1], security[1], json.dumps(cookies), str(data), cwd=tmp_path)

    def announced() -> list[str]:
        """What told the inviting user of the guest's file, with a link to fetch it."""
        texts = [body(letter) for letter in letters(folder, "demo@demo.invalid")]
        return [text for text in texts if "guest.bin" in text and TOKEN.search(text)]

    wait_until(announced, "a letter about the guest's file", 20)
    token = TOKEN.search(announced()[0])
    assert token is not None
    target = tmp_path / "target"
    target.mkdir()
    typed(bin_folder, server, "download", token[1], "--out-dir", str(target), cwd=tmp_path)
    got = (target / "guest.bin").read_bytes()
    assert hashlib.sha256(got).digest() == hashlib.sha256(data.read_bytes()).digest()
    # the voucher was for one time only
    again = requests.get(f"{server.url}/?s=upload&vid={found[1]}", timeout=20).text
    assert 'data-auth-type=""' in again


def test_a_wrong_key_is_refused(bin_folder: Path, server: DemoServer, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    words = ["--username", "demo", "--apikey", "0" * 64, "--recipients", "nobody@example.org", "a.txt"]
    done = subprocess.run(
        [bin_folder / "filesender", "--base-url", server.url, "upload", *words],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode != 0
    assert "auth_remote_signature_check_failed" in done.stdout + done.stderr
    assert letters(folder, "nobody@example.org") == []
