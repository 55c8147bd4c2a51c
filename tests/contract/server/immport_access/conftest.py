"""A server in this process with two studies, SDY1 and the restricted SDY9, and plain HTTP to talk to it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from packhorse.server.config import ServerConfig
from packhorse.server.db.engine import open_database
from packhorse.server.db.files import record_file
from packhorse.server.db.immport import Package, Study
from packhorse.server.db.models import StudyFile
from packhorse.server.immport.settings import ImmPortSettings
from packhorse.server.run import Ready, serve
from packhorse.server.storage.disk import DiskStorage
from packhorse.server.users import create_user

PASSWORD = "correct horse"
MODIFIED = 1_492_689_600
FILES = {
    "SDY1/ResultFiles/Flow_cytometry_result/a.1.fcs": b"FCS3.1" + bytes(range(256)) * 900,
    "SDY1/ResultFiles/Flow_cytometry_result/b.2.fcs": b"second",
    'SDY1/ResultFiles/ELISA_result/it\'s $(here) "x".3.txt': b"quoted\n",
    "SDY1/StudyFiles/empty.4.txt": b"",
    "SDY9/StudyFiles/secret.5.txt": b"for few\n",
}


@dataclass
class Site:
    """The running server. ``get`` and ``post`` take paths; ``token`` signs in."""

    config: ServerConfig
    url: str
    http: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.http.trust_env = False

    def request(self, method: str, path: str, token: str | None = None, **options: Any) -> requests.Response:
        headers = {"Accept-Encoding": "identity", **options.pop("headers", {})}
        if token is not None:
            headers["Authorization"] = f"bearer {token}"
        url = path if path.startswith("http") else self.url + path
        return self.http.request(method, url, headers=headers, timeout=30, allow_redirects=False, **options)

    def get(self, path: str, token: str | None = None, **options: Any) -> requests.Response:
        return self.request("GET", path, token, **options)

    def post(self, path: str, token: str | None = None, **options: Any) -> requests.Response:
        return self.request("POST", path, token, **options)

    def token(self, user: str = "demo") -> str:
        answer = self.post("/auth/token", data={"username": user, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])


@contextmanager
def running(config: ServerConfig) -> Iterator[Site]:
    told: list[Ready] = []
    ready = threading.Event()

    def announce(found: Ready) -> None:
        told.append(found)
        ready.set()

    thread = threading.Thread(
        target=serve, args=(config,), kwargs={"demo": False, "ready_json": False, "on_ready": announce}
    )
    thread.start()
    try:
        assert ready.wait(60)
        site = Site(config, told[0].url)
        yield site
        site.http.close()
    finally:
        if told:
            told[0].stop()
        thread.join(20)
    assert not thread.is_alive()


def fill(config: ServerConfig) -> None:
    for name in ("demo", "other", "admin"):
        create_user(config, name, PASSWORD, email=f"{name}@demo.invalid", role="admin" if name == "admin" else "user")
    storage = DiskStorage(config.objects)
    stored = {path: storage.put([data], modified=MODIFIED) for path, data in FILES.items()}
    database = open_database(config)
    with database.write() as session:
        for number in (1, 9):
            package = Package(name=f"SDY{number}-DR1_Tab.zip", release="DR1", sha256="0" * 64, counts={})
            session.add(package)
            session.flush()
            session.add(Study(accession=f"SDY{number}", number=number, package_id=package.id, restricted=number == 9))
        for path, facts in stored.items():
            session.add(StudyFile(path=path, file_id=record_file(session, facts).id, modified=MODIFIED))
    database.close()


def add_file(config: ServerConfig, path: str, data: bytes) -> None:
    """Put one more file into a server that may be running."""
    facts = DiskStorage(config.objects).put([data], modified=MODIFIED)
    database = open_database(config)
    with database.write() as session:
        session.add(StudyFile(path=path, file_id=record_file(session, facts).id, modified=MODIFIED))
    database.close()


@pytest.fixture(scope="package")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with users and files, made once: migrations and passwords take their time."""
    home = tmp_path_factory.mktemp("immport") / "filled"
    fill(ServerConfig(home=home))
    return home


@pytest.fixture(scope="package")
def site(filled: Path) -> Iterator[Site]:
    home = filled.with_name("home")
    shutil.copytree(filled, home)
    with running(ServerConfig(home=home, port=0)) as found:
        yield found


@pytest.fixture
def own_site(tmp_path: Path, filled: Path) -> Callable[..., Any]:
    """Start servers with settings of their own: ``own_site(token_seconds=1)``."""

    @contextmanager
    def begin(config: dict[str, Any] | None = None, **settings: Any) -> Iterator[Site]:
        made = ServerConfig(home=tmp_path / "home", port=0, immport=ImmPortSettings(**settings), **(config or {}))
        shutil.copytree(filled, made.home)
        with running(made) as found:
            yield found

    return begin


def claims(token: str, part: int = 1) -> dict[str, Any]:
    """What a JWT says, read by hand."""
    text = token.split(".")[part]
    found = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    assert isinstance(found, dict)
    return found


def hidden(page: str, name: str = "form_token") -> str:
    found = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)">', page)
    assert found is not None, page
    import html

    return html.unescape(found[1])


class Browser:
    """Pages and cookies of one user, as a browser without scripts has them."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.http = requests.Session()
        self.http.trust_env = False

    def get(self, path: str, **options: Any) -> requests.Response:
        url = path if path.startswith("http") else self.site.url + path
        return self.http.get(url, timeout=30, allow_redirects=False, **options)

    def post(self, path: str, data: dict[str, Any], **headers: str) -> requests.Response:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.post(self.site.url + path, data=data, headers=fields, timeout=30, allow_redirects=False)

    def sign_in(self, user: str = "demo", onward: str = "/auth/api/keys") -> requests.Response:
        page = self.get("/auth/login")
        form = {"form_token": hidden(page.text), "next": onward, "username": user, "password": PASSWORD}
        return self.post("/auth/login", form)


@pytest.fixture
def browser(site: Site) -> Iterator[Browser]:
    found = Browser(site)
    yield found
    found.http.close()


def challenge_of(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
