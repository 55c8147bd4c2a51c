"""Files sent, invited for and received by the command line, in processes of their own, against our own server; killed,
resumed, refused. Whom mail reached is read from the server's outbox."""

from __future__ import annotations

import email
import email.policy
import hashlib
import os
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from email.utils import getaddresses
from pathlib import Path

import pytest

from .typed import MIB, DemoServer, Ran, Typist, demo_server, one_error, wait_until

CHUNK = 5 * MIB
LINK = re.compile(r"https?://\S+\?s=download&token=[0-9a-f-]{36}")
DEAD = "0f5c2a7e-1111-4222-8333-94b6a1c2d3e4"
PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DemoServer, Path]]:
    """The demo server, and its outbox."""
    folder = tmp_path_factory.mktemp("site")
    with demo_server(folder) as server:
        yield server, folder / "data" / "outbox"


def typist_at(folder: Path, server: DemoServer, *, key: str | None) -> Typist:
    """Somebody with the site as the remote ``fs``; ``key`` is an API key."""
    variables = {} if key is None else {"PACKHORSE_FS_USERNAME": "demo", "PACKHORSE_FS_APIKEY": key}
    typist = Typist(folder, variables, secrets=[*server.keys.values(), *server.passwords.values(), PASSWORD])
    ran = typist("remote", "add", "fs", "filesender", server.url)
    assert ran.code == 0, ran.said
    return typist


@pytest.fixture
def owner(site: tuple[DemoServer, Path], tmp_path: Path) -> Typist:
    return typist_at(tmp_path / "owner", site[0], key=site[0].keys["demo"])


@pytest.fixture
def nobody(site: tuple[DemoServer, Path], tmp_path: Path) -> Typist:
    """Somebody without account or configuration, who has only a link."""
    return Typist(tmp_path / "nobody", secrets=[PASSWORD])


@pytest.fixture
def person(tmp_path: Path) -> str:
    """A mail address that no other test uses."""
    return f"p{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]}@example.org"


def data(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def write(typist: Typist, **files: bytes) -> None:
    for name, content in files.items():
        path = typist.work / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def letters(outbox: Path, person: str) -> list[str]:
    """The subjects of what was mailed to somebody."""
    found = []
    for path in sorted(outbox.glob("*.eml")) if outbox.is_dir() else []:
        letter = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        if person in [address for _, address in getaddresses([str(letter["To"])])]:
            found.append(str(letter["Subject"]))
    return found


def mailed_once(outbox: Path, person: str) -> None:
    wait_until(lambda: letters(outbox, person), f"a letter to {person}")
    time.sleep(0.5)  # a second one would come now
    assert len(letters(outbox, person)) == 1, letters(outbox, person)


def killed_midway(typist: Typist, *words: str, at_least: int = CHUNK, stdin: str | None = None) -> str:
    """Begin a send, kill -9 it once so many bytes are confirmed. The upload's key."""
    from packhorse.transfer.send import pending

    state = typist.home / "state"
    with typist.start("send", *words, "--limit-rate", "10M", **({"stdin": -1} if stdin else {})) as process:
        if stdin and process.stdin:
            process.stdin.write(stdin)
            process.stdin.close()
            process.stdin = None
        wait_until(
            lambda: process.poll() is not None or any(one.confirmed >= at_least for one in pending(state)), "a part"
        )
        assert process.poll() is None, process.communicate()
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
    (one,) = pending(state)
    assert one.confirmed >= at_least
    return one.key


def link_of(ran: Ran) -> str:
    found = LINK.search(ran.out)
    assert found is not None, ran.said
    return found[0]


# Sending and receiving.


def test_files_and_folders_arrive_and_each_person_is_mailed_once(
    site: tuple[DemoServer, Path], owner: Typist, nobody: Typist, person: str
) -> None:
    files = {"a.bin": data(CHUNK + 1), "d__e__x.txt": b"hi\n", "d__empty.txt": b"", "d__Ünï (1).tsv": b"1\t2\n"}
    write(owner, **files)
    (owner.work / "d/nothing").mkdir()
    other = f"other-{person}"
    ran = owner("send", "a.bin", "d", "--to", f"{person},{other}", "--subject", "Reads", "--json")
    assert ran.code == 0, ran.said
    assert "left out d/nothing: an empty folder" in ran.err
    (sent,) = ran.events("sent")
    assert (sent["remote"], sent["files"], sent["size"], sent["encrypted"]) == (
        "fs", 4, sum(map(len, files.values())), False,
    )  # fmt: skip
    assert [row["email"] for row in sent["recipients"]] == [person, other]
    for one in (person, other):
        mailed_once(site[1], one)
    for row in sent["recipients"]:
        folder = row["email"]
        got = nobody("get", row["download_url"], f"{folder}/")
        assert got.code == 0, got.said
        for name, content in files.items():
            assert (nobody.work / folder / name.replace("__", "/")).read_bytes() == content
    got = nobody("get", sent["recipients"][0]["download_url"], "some/", "--include", "*.tsv")
    assert nobody.names("some") == ["d/Ünï (1).tsv"], got.said
    listed = nobody("ls", sent["recipients"][0]["download_url"], "-q")
    assert nobody("get", "--from", "-", "listed/", stdin=listed.out).code == 0
    assert nobody.names("listed")
    own = owner("get", f"fs:transfers/{sent['id']}", "own/")
    assert own.code == 0, own.said
    assert (owner.work / "own/a.bin").read_bytes() == files["a.bin"]


def test_a_link_mails_nobody(site: tuple[DemoServer, Path], owner: Typist, nobody: Typist) -> None:
    before = Counter(path.name for path in site[1].glob("*.eml"))
    write(owner, **{"a.txt": b"a"})
    ran = owner("send", "a.txt", "--link", "--expires", "3d", "--via", "fs")
    assert ran.code == 0, ran.said
    assert "nobody was mailed" in ran.out
    assert nobody("get", link_of(ran), "d/").code == 0
    assert (nobody.work / "d/a.txt").read_bytes() == b"a"
    time.sleep(0.5)
    assert Counter(path.name for path in site[1].glob("*.eml")) == before


def test_kill_9_then_the_same_command_goes_on_and_mails_once(
    site: tuple[DemoServer, Path], owner: Typist, nobody: Typist, person: str
) -> None:
    content = data(5 * CHUNK + 17)
    write(owner, **{"big.bin": content, "small.txt": b"small"})
    command = ["big.bin", "small.txt", "--to", person, "--expires", "5d"]
    key = killed_midway(owner, *command)
    assert letters(site[1], person) == []
    status = owner("status")
    assert key in status.out
    assert f"packhorse send big.bin small.txt --to {person} --expires 5d --limit-rate 10M" in status.out
    ran = owner("send", *command, "--json")
    assert ran.code == 0, ran.said
    (sent,) = ran.events("sent")
    assert sent["resumed"]
    kept = sum(event.get("kept", 0) for event in ran.events("placed"))
    assert kept >= CHUNK, "what was there is not sent again"
    mailed_once(site[1], person)
    assert owner("status").out == "nothing is interrupted\n"
    got = nobody("get", sent["recipients"][0]["download_url"], "d/")
    assert got.code == 0, got.said
    assert (nobody.work / "d/big.bin").read_bytes() == content
    # The same command once more shows the same links; only asked for it is another upload.
    same = owner("send", *command, "--json").events("sent")[0]
    assert (same["id"], same["recipients"]) == (sent["id"], sent["recipients"])
    assert same["before"] <= time.time()
    mailed_once(site[1], person)
    again = owner("send", *command, "--json", "--again").events("sent")[0]
    assert again["id"] != sent["id"]


def test_sigterm_ends_it_with_what_to_type(owner: Typist, person: str) -> None:
    write(owner, **{"big.bin": data(4 * CHUNK)})
    from packhorse.transfer.send import pending

    with owner.start("send", "big.bin", "--to", person, "--limit-rate", "8M") as process:
        wait_until(lambda: any(one.confirmed >= CHUNK for one in pending(owner.home / "state")), "a part")
        process.send_signal(signal.SIGTERM)
        ran = owner.end(process)
    assert ran.code == 130
    assert f"packhorse send big.bin --to {person} --limit-rate 8M" in ran.err
    given_up = owner("send", "--discard", "--json")
    assert given_up.code == 0, given_up.said
    (fields,) = given_up.events("discarded")
    assert fields["how"] == "discarded"
    assert owner("transfers", "show", fields["id"]).code == 4
    assert owner("status").out == "nothing is interrupted\n"


def test_a_file_that_changed_since_is_not_mixed(site: tuple[DemoServer, Path], owner: Typist, person: str) -> None:
    write(owner, **{"big.bin": data(4 * CHUNK)})
    key = killed_midway(owner, "big.bin", "--to", person)
    write(owner, **{"big.bin": data(4 * CHUNK, seed=2)})
    one_error(owner("send", "big.bin", "--to", person), 1, "changed", f"packhorse send --discard {key}")
    assert letters(site[1], person) == []


# Encryption.


def test_encrypted_killed_resumed_and_read_with_the_right_password_only(
    site: tuple[DemoServer, Path], owner: Typist, nobody: Typist, person: str
) -> None:
    content = data(4 * CHUNK + 3)
    write(owner, **{"big.bin": content})
    command = ["big.bin", "--to", person, "--encrypt", "--password-stdin"]
    killed_midway(owner, *command, stdin=f"{PASSWORD}\n")
    wrong = owner("send", *command, stdin="another password than that\n")
    one_error(wrong, 3, "another password")
    ran = owner("send", *command, "--json", stdin=f"{PASSWORD}\n")
    assert ran.code == 0, ran.said
    (sent,) = ran.events("sent")
    assert sent["resumed"]
    assert sent["encrypted"]
    mailed_once(site[1], person)
    link = sent["recipients"][0]["download_url"]
    refused = nobody("get", link, "d/", "--password-stdin", stdin="another password than that\n")
    assert refused.code == 3, refused.said
    assert "the password is wrong" in refused.err
    asked = nobody("get", link, "d/")
    assert (asked.code, "no password was given" in asked.err) == (3, True), asked.said
    assert not (nobody.work / "d/big.bin").exists()
    got = nobody("get", link, "d/", "--password-stdin", "--require", "aead", stdin=f"{PASSWORD}\n")
    assert got.code == 0, got.said
    assert (nobody.work / "d/big.bin").read_bytes() == content
    for typist in (owner, nobody):
        typist.no_secret_on_disk()


def test_a_generated_password_goes_on_when_it_is_typed(owner: Typist, nobody: Typist, tmp_path: Path) -> None:
    content = data(3 * CHUNK + 3)
    write(owner, **{"big.bin": content})
    out = tmp_path / "out.txt"
    from packhorse.transfer.send import pending

    with out.open("w") as stream:
        command = ["send", "big.bin", "--link", "--encrypt", "--generate-password", "--limit-rate", "8M"]
        with owner.start(*command, stdout=stream) as process:
            wait_until(lambda: any(one.confirmed >= CHUNK for one in pending(owner.home / "state")), "a part")
            process.kill()
            process.wait(10)
    password = re.search(r"password: (\S{44})", out.read_text())
    assert password is not None
    again = owner(*command)
    assert (again.code, "the same password" in again.err, "--password-stdin" in again.err) == (2, True, True)
    ran = owner("send", "big.bin", "--link", "--encrypt", "--password-stdin", stdin=password[1] + "\n")
    assert ran.code == 0, ran.said
    assert "were there from before" in ran.out
    got = nobody("get", link_of(ran), "d/", "--password-stdin", stdin=password[1] + "\n")
    assert got.code == 0, got.said
    assert (nobody.work / "d/big.bin").read_bytes() == content


# Guests.


def test_a_guest_sends_without_an_account(
    site: tuple[DemoServer, Path], owner: Typist, nobody: Typist, person: str
) -> None:
    ran = owner("invite", person, "--from", "demo@demo.invalid", "--once", "--expires", "5d", "--json")
    assert ran.code == 0, ran.said
    (made,) = ran.events("invited")
    mailed_once(site[1], person)
    voucher = made["upload_url"]
    one_error(nobody("get", voucher), 2, "voucher", "packhorse send")
    write(nobody, **{"theirs.txt": b"theirs"})
    to = f"boss-{person}"
    ran = nobody("send", "theirs.txt", "--voucher", voucher, "--to", to, "--json")
    assert ran.code == 0, ran.said
    mailed_once(site[1], to)
    (sent,) = ran.events("sent")
    rows = owner("transfers", "--json").events("transfer")
    assert int(sent["id"]) in [row["id"] for row in rows]
    again = nobody("send", "theirs.txt", "--voucher", voucher, "--to", to)
    assert again.code == 1, "the voucher was for once"
    assert "voucher" in again.err
    nobody.secrets.append(voucher[-36:])
    nobody.no_secret_on_disk()


def test_a_voucher_that_was_revoked_or_expired_says_so(owner: Typist, nobody: Typist, person: str) -> None:
    (made,) = owner("invite", person, "--from", "demo@demo.invalid", "--json").events("invited")
    assert owner("guests", "revoke", person).code == 0
    write(nobody, **{"a.txt": b"a"})
    ran = nobody("send", "a.txt", "--voucher", made["upload_url"], "--to", person)
    one_error(ran, 1, "this voucher is closed, over or unknown", "ask who invited you")


# Managing.


def test_a_transfer_is_managed_by_its_owner_only(
    site: tuple[DemoServer, Path], owner: Typist, nobody: Typist, person: str, tmp_path: Path
) -> None:
    write(owner, **{"a.txt": b"a"})
    number = owner("send", "a.txt", "--to", person, "--json").events("sent")[0]["id"]
    link = owner("transfers", "recipients", number, "--json").events("recipient")[0]["download_url"]
    assert nobody("get", link, "d/").code == 0
    log = owner("transfers", "log", number, "--json").events("logged")
    assert {"transfer_available", "download_ended"} <= {row["name"] for row in log}
    stranger = typist_at(tmp_path / "stranger", site[0], key=site[0].keys["other"])
    stranger.variables["PACKHORSE_FS_USERNAME"] = "other"
    for words in (["show", number], ["close", number, "--yes"], ["delete", number, "--yes"], ["log", number]):
        ran = stranger("transfers", *words)
        one_error(ran, 1, "it belongs to another user")
    before = owner("transfers", number, "--json").events("transfer")[0]["expires"]
    after = owner("transfers", "extend", number, "--json").events("transfer")[0]["expires"]
    assert after > before
    one_error(owner("transfers", "close", number), 2, "no terminal", "--yes")
    assert owner("transfers", "close", number, "--yes").code == 0
    gone = nobody("get", link, "d2/")
    one_error(gone, 4, "nothing is behind this link")
    assert not (nobody.work / "d2").exists() or nobody.names("d2") == []


# What goes wrong.


def test_a_dead_token(site: tuple[DemoServer, Path], nobody: Typist, owner: Typist) -> None:
    for typist, address in ((nobody, f"{site[0].url}/?s=download&token={DEAD}"), (owner, f"fs:{DEAD}")):
        one_error(typist("get", address, "d/"), 4, "nothing is behind this link", "the whole link")
        assert typist.names("d") == []


def test_a_wrong_key_or_user(site: tuple[DemoServer, Path], tmp_path: Path) -> None:
    for user, key in (("demo", "0" * 64), ("nobody", site[0].keys["demo"])):
        typist = typist_at(tmp_path / user, site[0], key=key)
        typist.variables["PACKHORSE_FS_USERNAME"] = user
        write(typist, **{"a.txt": b"a"})
        one_error(typist("send", "a.txt", "--link"), 3, "the user name or the API key is wrong")
    typist = typist_at(tmp_path / "none", site[0], key=None)
    write(typist, **{"a.txt": b"a"})
    one_error(typist("send", "a.txt", "--link"), 3, "packhorse login fs --username")
    wrong = typist("login", "fs", "--username", "demo", "--token-stdin", stdin="f" * 64 + "\n")
    assert wrong.code == 3
    assert not list((typist.home / "state/credentials").glob("*.json"))
    right = typist("login", "fs", "--username", "demo", "--token-stdin", stdin=site[0].keys["demo"] + "\n")
    assert right.code == 0, right.said
    assert typist("whoami", "fs").code == 0
    typist.no_secret_on_disk()


@pytest.mark.parametrize("name", ["a+b.txt", "x.exe", "what?.txt", 'q".txt'])
def test_a_refused_name_is_found_before_the_first_byte(owner: Typist, name: str) -> None:
    (owner.work / name).write_bytes(b"x")
    before = len(owner("transfers", "--json").objects)
    one_error(owner("send", name, "--link"), 2, "rename")
    assert len(owner("transfers", "--json").objects) == before
    assert owner("status").out == "nothing is interrupted\n"


def test_limits_of_the_site(tmp_path: Path) -> None:
    """Too many files, too much, a quota, an expiry too far off: each a line, and nothing begun."""
    folder = tmp_path / "strict"
    (folder / "home").mkdir(parents=True)
    limits = "max_transfer_files = 2\nmax_transfer_size = 5000\nuser_quota = 3000\nchunk_size = 1000\n"
    (folder / "home/config.toml").write_text(f"[server.filesender]\n{limits}[server.mail]\nsender = 'a@b.example'\n")
    with demo_server(folder) as server:
        typist = typist_at(tmp_path / "owner", server, key=server.keys["demo"])
        write(typist, a=b"a", b=b"b", c=b"c", big=bytes(6000), middle=bytes(4000), fits=bytes(2500))
        for words, said in (
            (["a", "b", "c"], "2 files"),
            (["big"], "5,000 bytes"),
            (["middle"], "quota"),
            (["a", "--expires", "90d"], "expiry"),
        ):
            ran = typist("send", *words, "--link")
            one_error(ran, 2 if said == "expiry" else 1, said)
            assert typist("status").out == "nothing is interrupted\n"
        assert typist("send", "fits", "--link").code == 0
        quota = typist("transfers", "quota", "--json").objects[0]
        assert (quota["total"], quota["used"], quota["available"]) == (3000, 2500, 500)


def test_a_server_setting_that_cannot_be(tmp_path: Path) -> None:
    typist = Typist(tmp_path)
    typist.home.mkdir()
    for text, said in (
        ("[server]\nmial = 1\n", "did you mean 'mail'"),
        ("[server.mail]\nsecurity = 'ssl'\n", "none, starttls, tls"),
        ("[server.filesender]\nmax_days = 'x'\n", "server.filesender.max_days must be a whole number"),
        ("[server.filesender]\nextensions = 3\n", "must be a list"),
    ):
        (typist.home / "config.toml").write_text(text)
        ran = typist("serve", "--port", "0")
        assert (ran.code, said in ran.err) == (2, True), ran.said
