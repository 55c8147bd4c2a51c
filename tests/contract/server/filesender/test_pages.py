"""The pages: what clients scrape, what people see, and what neither may do (spec filesender §2.2, §2.3, §6, §9).

Pages are read with the standard library's parser, never with our own reader.
"""

from __future__ import annotations

import base64
import configparser
import html
import io
import re
import secrets
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any, Self

import pytest
import requests

from .conftest import CHUNK, Fs, Site, by_hand

EVIL = """<script>alert(1)</script>" onload='x' &amp; é 数 \u202egnp.exe"""
OLD = (
    "id", "name", "size", "mime", "encrypted", "encrypted-size", "key-version", "key-salt", "password-version",
    "password-encoding", "password-hash-iterations", "client-entropy", "fileiv", "fileaead", "transferid",
)  # fmt: skip
NEW = ("chunk-size", "crypted-chunk-size")
VOID = {"meta", "link", "input", "br", "hr", "img"}


@dataclass
class Page:
    """A page as a strict reader sees it."""

    status: int
    body: dict[str, str] = field(default_factory=dict)
    files: list[dict[str, str]] = field(default_factory=list)
    tags: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    text: str = ""

    def links(self) -> list[str]:
        return [attributes["href"] for tag, attributes in self.tags if tag == "a" and "href" in attributes]

    def inputs(self) -> dict[str, str]:
        return {a["name"]: a.get("value", "") for tag, a in self.tags if tag == "input" and "name" in a}


class Reader(HTMLParser):
    def __init__(self, page: Page, text: str) -> None:
        super().__init__()
        self.page = page
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == [], "a tag is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), "an attribute stands twice"
        values = {name: value or "" for name, value in attrs}
        self.page.tags.append((tag, values))
        if tag == "body":
            self.page.body = values
        if "file" in values.get("class", "").split():
            self.page.files.append(values)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "title"):
            self.page.text += data


def read(answer: requests.Response) -> Page:
    """Parse a page, which must be one of ours: safe headers, a language, one heading, no script, labels for fields."""
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] in ("no-referrer", "same-origin")
    page = Page(answer.status_code)
    Reader(page, answer.text)
    names = [tag for tag, _ in page.tags]
    assert "script" not in names
    assert names.count("h1") == names.count("main") == names.count("title") == 1
    assert ("html", {"lang": "en"}) in page.tags
    assert not [a for _, a in page.tags for name in a if name.startswith("on")]
    labelled = {a["for"] for tag, a in page.tags if tag == "label"}
    shown = [a for tag, a in page.tags if tag == "input" and a.get("type") != "hidden"]
    assert all(a["id"] in labelled for a in shown)
    for _, attributes in page.tags:
        for name in ("href", "src", "action"):
            value = attributes.get(name, "")
            assert not re.match(r"\s*(javascript|data|vbscript):", value, re.IGNORECASE)
    return page


def get(url: str, query: dict[str, str] | None = None, **options: Any) -> requests.Response:
    with requests.Session() as http:
        http.trust_env = False
        return http.get(url + "/", params=query, timeout=30, allow_redirects=False, **options)


def download_page(fs: Fs, made: dict[str, Any]) -> Page:
    return read(get(fs.url, {"s": "download", "token": made["recipients"][0]["token"]}))


# downloading


def test_a_download_page_has_every_attribute(alice: Fs) -> None:
    files = {"run 1/réads_1.fastq": b"A" * 2048, "b.txt": b""}
    made = alice.send(files, subject="Run 12", message="Dear all,\nhere they are")
    page = download_page(alice, made)
    assert page.status == 200
    assert [file["data-name"] for file in page.files] == list(files)
    for file, announced in zip(page.files, made["files"], strict=True):
        assert {name for name in file if name.startswith("data-")} == {f"data-{name}" for name in (*OLD, *NEW)}
        assert int(file["data-id"]) == announced["id"]
        assert int(file["data-size"]) == len(files[file["data-name"]])
        assert int(file["data-transferid"]) == made["id"]
        assert file["data-encrypted"] == ""
        assert file["data-key-version"] == ""
        assert len(file["data-key-salt"]) == 32
        assert int(file["data-chunk-size"]) == CHUNK
        assert int(file["data-crypted-chunk-size"]) == CHUNK + 32
    for shown in ("Run 12", "Dear all,\nhere they are", "2 KiB", "2 files", "Available until", "réads_1.fastq"):
        assert shown in page.text, shown


def test_its_links_give_the_files_and_its_command_is_right(alice: Fs) -> None:
    files = {"a.txt": b"alpha", "b/c.txt": b"beta"}
    made = alice.send(files)
    page = download_page(alice, made)
    token = made["recipients"][0]["token"]
    given = [link for link in page.links() if link.startswith("download.php") and "archive_format" not in link]
    fetched = [requests.get(f"{alice.url}/{link}", timeout=30).content for link in given]
    assert fetched == list(files.values())
    ids = ",".join(str(file["id"]) for file in made["files"])
    for kind in ("zip", "tar"):
        assert f"download.php?token={token}&files_ids={ids}&archive_format={kind}" in page.links()
    whole = requests.get(f"{alice.url}/download.php?token={token}&files_ids={ids}&archive_format=zip", timeout=30)
    with zipfile.ZipFile(io.BytesIO(whole.content)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == files
    assert f"packhorse get '{alice.url}/?s=download&token={token}'" in page.text


def test_an_encrypted_transfer(alice: Fs) -> None:
    """The values stand where browsers and clients look for them; there is no link to bytes nobody can read."""
    entropy = base64.b64encode(secrets.token_bytes(32)).decode()
    iv = base64.b64encode(secrets.token_bytes(12)).decode()
    text = f'{{"aeadversion":1,"chunkcount":1,"chunksize":{CHUNK},"iv":"{iv}","aeadterminator":1}}'
    aead = base64.b64encode(text.encode()).decode()
    made = alice.ok(
        "POST",
        "/transfer",
        {
            "files": [{"name": "secret.bin", "size": 10, "iv": iv, "aead": aead}],
            "recipients": [],
            "options": {"get_a_link": True, "encryption": True},
            "encryption": True,
            "encryption_key_version": 3,
            "encryption_password_version": 1,
            "encryption_password_encoding": "none",
            "encryption_password_hash_iterations": 150000,
            "encryption_client_entropy": entropy,
        },
    )
    (file,) = made["files"]
    stored = secrets.token_bytes(42)
    headers = {
        "X-Filesender-File-Size": "10",
        "X-Filesender-Chunk-Offset": "0",
        "X-Filesender-Chunk-Size": "10",
        "X-Filesender-Encrypted": "1",
        "X-Filesender-Chunk-Size-Encrypted": "42",
    }
    assert alice.chunk(file, 0, stored, headers=headers, stated=False).status_code == 200
    assert alice.complete(file).json() is True
    alice.ok("PUT", f"/transfer/{made['id']}", {"complete": True})
    page = download_page(alice, made)
    expected = {
        "data-id": str(file["id"]), "data-name": "secret.bin", "data-size": "10", "data-encrypted": "1",
        "data-encrypted-size": "42", "data-key-version": "3", "data-key-salt": made["salt"],
        "data-password-version": "1", "data-password-encoding": "none", "data-password-hash-iterations": "150000",
        "data-client-entropy": entropy, "data-fileiv": iv, "data-fileaead": aead,
    }  # fmt: skip
    assert expected.items() <= page.files[0].items()
    assert "encrypted" in page.text
    assert not [link for link in page.links() if "download.php" in link]


def test_hostile_texts_stay_texts(alice: Fs, demo: Any) -> None:
    made = alice.send({"a.txt": b"x"}, subject=EVIL, message=EVIL)
    # names like this are refused at the door; one that came in some other way must do no harm either
    by_hand(demo.home, "UPDATE fs_files SET name = ? WHERE id = ?", EVIL + "/../../x", made["files"][0]["id"])
    answer = get(alice.url, {"s": "download", "token": made["recipients"][0]["token"]})
    page = read(answer)
    assert page.files[0]["data-name"] == EVIL + "/../../x"
    assert page.text.count("<script>alert(1)</script>") >= 1
    assert "<script" not in answer.text


@pytest.mark.parametrize(
    ("token", "status"),
    [
        ("", 400),
        ("x", 400),
        ("00000000-0000-4000-8000-000000000000", 404),
        ("../../etc/passwd", 400),
        ("<script>", 400),
        ("a" * 5000, 400),
        ("\x00", 400),
    ],
)
def test_tokens_that_are_none(demo: Any, token: str, status: int) -> None:
    page = read(get(demo.url, {"s": "download", "token": token}))
    assert page.status == status
    assert page.files == []
    assert ("This link leads nowhere" in page.text) == (token != "\x00")


def test_a_transfer_that_is_over_or_not_ready(alice: Fs, demo: Any) -> None:
    uploading = alice.new({"a.txt": 1})
    page = download_page(alice, uploading)
    assert (page.status, page.files) == (404, [])
    assert "not ready yet" in page.text
    closed = alice.send({"a.txt": b"x"})
    alice.ok("PUT", f"/transfer/{closed['id']}", {"closed": True})
    page = download_page(alice, closed)
    assert (page.status, page.files) == (410, [])
    assert "no longer available" in page.text
    expired = alice.send({"a.txt": b"x"})
    by_hand(demo.home, "UPDATE fs_transfers SET expires = ? WHERE id = ?", int(time.time()) - 1, expired["id"])
    page = download_page(alice, expired)
    assert (page.status, page.files) == (410, [])
    assert "expired" in page.text


def test_a_sender_who_does_not_want_to_be_named(alice: Fs) -> None:
    options = {"get_a_link": True, "hide_sender_email": True}
    assert alice.user not in download_page(alice, alice.send({"a.txt": b"x"}, options=options)).text
    assert alice.user in download_page(alice, alice.send({"a.txt": b"x"})).text


def test_files_for_users_only(alice: Fs, demo: Any) -> None:
    made = alice.send({"a.txt": b"x"}, options={"get_a_link": True, "must_be_logged_in_to_download": True})
    token = made["recipients"][0]["token"]
    page = download_page(alice, made)
    assert page.files == []
    assert page.inputs()["token"] == token
    with Browser(demo.url) as browser:
        answer = browser.sign_in("other", demo.users["other"]["password"], token=token)
        assert answer.headers["location"] == f"?s=download&token={token}"
        assert len(read(browser.get(s="download", token=token)).files) == 1


# guests


def invite(fs: Fs, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = fs.ok(
        "POST",
        "/guest",
        {"recipient": "guest@lab.example", "from": fs.user, "options": {"guest": {}, "transfer": {}}, **more},
    )
    return made


def test_a_guest_page_opens_a_session_that_can_upload(other: Fs, demo: Any) -> None:
    guest = invite(other, subject="Your reads", message=EVIL)
    with Browser(demo.url) as browser:
        answer = browser.get(s="upload", vid=guest["token"])
        page = read(answer)
        assert page.status == 200
        assert page.body["data-auth-type"] == "guest"
        assert re.fullmatch(r"[a-z0-9]{8}(-[a-z0-9]{4}){3}-[a-z0-9]{12}", page.body["data-security-token"])
        session, csrf = cookie(answer, "PHPSESSID"), cookie(answer, "csrfptoken")
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= session.flags
        assert re.fullmatch(r"[0-9a-f]{10}", csrf.value)
        for shown in ("Your reads", other.user, f"packhorse send FILES --voucher '{guest['upload_url']}'"):
            assert shown in page.text, shown
        headers = {"X-Filesender-Security-Token": page.body["data-security-token"], "csrfptoken": csrf.value}
        body = {"files": [{"name": "g.txt", "size": 3}], "recipients": [], "options": {}, "aup_checked": True}
        url = f"{demo.url}/rest.php/transfer?vid={guest['token']}"
        made = browser.http.post(url, json=body, headers=headers, timeout=30)
        assert made.status_code == 201, made.text
        assert browser.http.post(url, json=body, timeout=30).status_code == 400


def test_a_reload_goes_on_with_the_session(other: Fs, demo: Any) -> None:
    guest = invite(other)
    with Browser(demo.url) as browser:
        first = browser.get(s="upload", vid=guest["token"])
        again = browser.get(s="upload", vid=guest["token"])
        assert read(first).body == read(again).body
        assert cookie(first, "PHPSESSID").value == cookie(again, "PHPSESSID").value


def test_vouchers_that_are_over(other: Fs, demo: Any) -> None:
    closed, expired = invite(other), invite(other)
    other.ok("DELETE", f"/guest/{closed['id']}")
    by_hand(demo.home, "UPDATE fs_guests SET expires = ? WHERE id = ?", int(time.time()) - 1, expired["id"])
    for token, status in ((closed["token"], 410), (expired["token"], 410), ("0" * 36, 404), ("x'", 404)):
        answer = get(demo.url, {"s": "upload", "vid": token})
        page = read(answer)
        assert page.status == status
        assert page.body["data-auth-type"] == ""
        assert page.body["data-security-token"] == ""
        assert "set-cookie" not in answer.headers


def test_who_invited_is_told_once_that_the_page_was_opened(other: Fs, demo: Any) -> None:
    options = {"guest": {"email_upload_page_access": True}, "transfer": {}}
    guest = invite(other, options=options)
    for _ in range(3):
        get(demo.url, {"s": "upload", "vid": guest["token"]})
    found = by_hand(
        demo.home, "SELECT recipient FROM letters WHERE about = ? AND subject LIKE '%opened%'", f"guest-{guest['id']}"
    )
    assert found == [(guest["user_email"],)]


# users


@dataclass(frozen=True)
class Cookie:
    value: str
    flags: set[str]


def cookie(answer: requests.Response, name: str) -> Cookie:
    for line in answer.raw.headers.getlist("set-cookie"):
        first, *flags = [part.strip() for part in line.split(";")]
        if first.startswith(f"{name}="):
            return Cookie(first.partition("=")[2], set(flags))
    raise AssertionError(f"no cookie {name}")


class Browser:
    """Keeps cookies, sends forms."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = requests.Session()
        self.http.trust_env = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def get(self, **query: str) -> requests.Response:
        return self.http.get(self.url + "/", params=query, timeout=30, allow_redirects=False)

    def post(self, page: str, headers: dict[str, str] | None = None, **form: str) -> requests.Response:
        return self.http.post(f"{self.url}/?s={page}", data=form, headers=headers, timeout=30, allow_redirects=False)

    def sign_in(self, name: str, password: str, **more: str) -> requests.Response:
        return self.post("logon", username=name, password=password, **more)

    def csrf(self) -> str:
        return read(self.get(s="user")).inputs()["csrfptoken"]


def test_a_user_makes_a_key_signs_with_it_and_deletes_it(site: Callable[..., Site]) -> None:
    here = site(site_name="Lab <b>portal</b>")
    with Browser(here.url) as browser:
        page = read(browser.get(s="user"))
        assert page.body["data-auth-type"] == ""
        assert {"username", "password"} <= set(page.inputs())
        answer = browser.sign_in("demo", "correct horse")
        assert (answer.status_code, answer.headers["location"]) == (303, "?s=user")
        assert {"HttpOnly", "SameSite=strict"} <= cookie(answer, "PHPSESSID").flags
        page = read(browser.get(s="user"))
        assert page.body["data-auth-type"] == "sp"
        assert page.body["data-security-token"]
        assert here.keys["demo"] in page.text
        assert "Lab <b>portal</b>" in page.text

        assert browser.post("user", csrfptoken=browser.csrf(), action="create").status_code == 303
        found = re.findall(r"\b[0-9a-f]{64}\b", read(browser.get(s="user")).text)
        assert len(found) == 1
        assert found[0] != here.keys["demo"]
        answer = Fs(here.url, "demo@demo.invalid", found[0]).call("GET", "/user/@me")
        assert answer.status_code == 200
        assert here.user().call("GET", "/user/@me").status_code == 500  # the old key is dead

        ini = browser.get(s="user", ini="1")
        assert ini.headers["content-disposition"] == 'attachment; filename="filesender.py.ini"'
        assert ini.headers["cache-control"] == "no-store"
        read_ini = configparser.ConfigParser()
        read_ini.read_string(ini.text)
        assert read_ini["system"]["base_url"] == here.url + "/rest.php"
        assert dict(read_ini["user"]) == {"username": "demo@demo.invalid", "apikey": found[0]}

        assert browser.post("user", csrfptoken=browser.csrf(), action="delete").status_code == 303
        assert "no key yet" in read(browser.get(s="user")).text
        assert browser.get(s="user", ini="1").status_code == 404
        assert Fs(here.url, "demo@demo.invalid", found[0]).call("GET", "/user/@me").status_code == 500

        assert browser.post("logout", csrfptoken=browser.csrf()).status_code == 303
        assert "password" in read(browser.get(s="user")).inputs()


def test_the_session_of_a_page_is_good_for_the_rest_service(site: Callable[..., Site]) -> None:
    here = site()
    with Browser(here.url) as browser:
        csrf = cookie(browser.sign_in("demo", "correct horse"), "csrfptoken").value
        page = read(browser.get(s="user"))
        url = here.url + "/rest.php/transfer"
        assert browser.http.get(here.url + "/rest.php/user/@me", timeout=30).status_code == 200
        body = {"files": [{"name": "a.txt", "size": 3}], "recipients": [], "options": {}}
        token = {"X-Filesender-Security-Token": page.body["data-security-token"]}
        made = browser.http.post(url, json=body, headers={**token, "csrfptoken": csrf}, timeout=30)
        assert made.status_code == 201, made.text
        wrong = {"X-Filesender-Security-Token": "0" * 36, "csrfptoken": csrf}
        assert browser.http.post(url, json=body, headers=wrong, timeout=30).status_code == 400


def test_forms_from_elsewhere_do_nothing(site: Callable[..., Site]) -> None:
    here = site()
    with Browser(here.url) as browser:
        assert browser.sign_in("demo", "correct horse").status_code == 303
        token = browser.csrf()
        for headers in (
            {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"},
            {"Origin": "null"}, {"Origin": here.url + ".evil.example"},
        ):  # fmt: skip
            refused = browser.post("user", headers, csrfptoken=token, action="create")
            assert read(refused).status == 403, headers
        for wrong in ("", "0" * 10, token.upper() + "x", "é"):
            assert browser.post("user", csrfptoken=wrong, action="create").status_code == 400
        assert browser.post("logout", csrfptoken="x").status_code == 400
        assert browser.post("user", csrfptoken=token, action="other").status_code == 400
        assert here.keys["demo"] in read(browser.get(s="user")).text
        for headers in ({"Sec-Fetch-Site": "same-origin"}, {"Origin": here.url}):
            assert browser.post("user", headers, csrfptoken=browser.csrf(), action="create").status_code == 303


def test_a_form_without_a_session(demo: Any) -> None:
    with Browser(demo.url) as browser:
        assert read(browser.post("user", csrfptoken="x", action="create")).status == 403


def test_guessing_passwords_is_stopped(site: Callable[..., Site]) -> None:
    here = site({"signin_attempts": 3})
    with Browser(here.url) as browser:
        for _ in range(3):
            answer = browser.sign_in("demo", EVIL)
            assert answer.status_code == 400
            page = read(answer)
            assert "wrong" in page.text
            assert page.inputs()["username"] == "demo"
            assert page.inputs()["password"] == ""
        answer = browser.sign_in("demo", "correct horse")
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) > 0
        assert "Too many" in read(answer).text
        assert read(browser.sign_in(EVIL, EVIL)).status == 400


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{}", "application/json"),
        (b"a=b" * 10_000, "application/x-www-form-urlencoded"),
        (b"&".join(b"a=b" for _ in range(50)), "application/x-www-form-urlencoded"),
        (b"username=%ff&password=%ff", "application/x-www-form-urlencoded"),
        (b"\xff\x00", "application/x-www-form-urlencoded"),
        (b"username=a%00b&password=c", "application/x-www-form-urlencoded"),
        (b"x", ""),
    ],
)
def test_forms_that_are_none(demo: Any, body: bytes, kind: str) -> None:
    answer = requests.post(demo.url + "/?s=logon", data=body, headers={"Content-Type": kind}, timeout=30)
    assert read(answer).status == 400


def test_text_that_is_no_unicode(demo: Any) -> None:
    for query in ("s=download&token=%ff%fe", "s=%ed%a0%80", "s=user&%00=1", "s[]=user", "s=download&s=user&token[a]=1"):
        answer = requests.get(f"{demo.url}/?{query}", timeout=30)
        assert answer.status_code < 500, query
        read(answer)


def test_other_pages(demo: Any) -> None:
    for name, status in (
        ("", 200),
        ("home", 200),
        ("exception", 200),
        ("logon", 200),
        ("nothing", 404),
        ("logout", 404),
    ):
        page = read(get(demo.url, {"s": name}))
        assert (page.status, page.files) == (status, []), name
    page = read(get(demo.url))
    assert page.status == 200
    assert "./?s=user" in page.links()
    assert html.unescape(demo.url) in page.text
    assert requests.put(demo.url + "/", timeout=30).status_code == 405


def test_https_sites_have_secure_cookies_and_their_own_address(site: Callable[..., Site]) -> None:
    here = site({"public_url": "https://files.lab.example/fs"})
    local = f"http://127.0.0.1:{here.port}"
    with Browser(local) as browser:
        answer = browser.sign_in("demo", "correct horse")
        assert "Secure" in cookie(answer, "PHPSESSID").flags
        assert "https://files.lab.example/fs/rest.php" in read(browser.get()).text


def test_a_refused_download_is_a_page_too(alice: Fs, nobody: Fs) -> None:
    made = alice.send({"a.txt": b"x"})
    alice.ok("PUT", f"/transfer/{made['id']}", {"closed": True})
    answer = alice.fetch(made)
    page = read(answer)
    assert page.status == 410
    assert "no longer available" in page.text
    assert answer.headers["x-filesender-error"] == "transfer_presumed_expired"
    assert "./?s=home" in page.links()  # which leads home from download.php as well
