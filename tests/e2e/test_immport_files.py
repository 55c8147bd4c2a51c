"""ImmPort's files from our own server, by the command line and the documented functions: sign-in, both routes, DRS."""

from __future__ import annotations

import ast
import hashlib
import html
import json
import os
import re
import select
import signal
import subprocess
import sys
import textwrap
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from packhorse.model import Secret
from packhorse.session import Session
from packhorse.settings import Settings

SOURCE = Path(__file__).parents[2] / "src"
SEEDS = Path(__file__).parents[3] / "shared" / "seeds"
CLI = [sys.executable, "-m", "packhorse.cli"]
FCS = "SDY1/ResultFiles/Flow_cytometry_result/02054141.001.52628.fcs"

pytestmark = pytest.mark.skipif(os.name != "posix", reason="runs shell scripts")


@dataclass(frozen=True)
class Site:
    url: str
    passwords: dict[str, str]


@dataclass
class Ran:
    code: int
    out: str
    err: str


def environment(home: Path) -> dict[str, str]:
    dropped = ("PACKHORSE_", "IMMPORT_", "ASCP", "ASPERA_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
    fail = "keyring.backends.fail.Keyring"
    return {**kept, "PYTHONPATH": str(SOURCE), "PACKHORSE_HOME": str(home), "PYTHON_KEYRING_BACKEND": fail}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("immport")
    command = [sys.executable, "-m", "packhorse.server.run", "--demo", "--home", str(home / "data"), "--port", "0"]
    with subprocess.Popen(
        [*command, "--ready-json"], env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=home
    ) as process:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], 120)[0], "the server did not start"
        ready = json.loads(process.stdout.readline())
        yield Site(ready["url"], {user["username"]: user["password"] for user in ready["users"]})
        process.send_signal(signal.SIGTERM)
        process.wait(30)


Packhorse = Callable[..., Ran]


@pytest.fixture
def packhorse(site: Site, tmp_path: Path) -> Packhorse:
    """``packhorse`` with the remote ``demo-immport`` at the server."""

    def run(*arguments: str, stdin: str = "", **variables: str) -> Ran:
        environ = {**environment(tmp_path / "home"), "PACKHORSE_DEMO_IMMPORT_URL": site.url, **variables}
        done = subprocess.run(
            [*CLI, *arguments], env=environ, cwd=tmp_path, input=stdin, text=True, capture_output=True, timeout=120,
            check=False,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert "Traceback" not in said, said
        assert not any(password in said for password in site.passwords.values())
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


def sign_in(packhorse: Packhorse, site: Site, user: str = "demo") -> None:
    ran = packhorse("login", "demo-immport", "-u", user, "--password-stdin", stdin=site.passwords[user] + "\n")
    assert ran.code == 0, ran.err
    assert "it holds until" in ran.out


def token(site: Site, user: str = "demo") -> str:
    form = {"username": user, "password": site.passwords[user]}
    answer = requests.post(f"{site.url}/auth/token", data=form, timeout=30)
    return str(answer.json()["token"])


def ascp(folder: Path) -> Path:
    """Our ``ascp``, as the entry point runs it."""
    program = folder / "ascp"
    folder.mkdir(parents=True, exist_ok=True)
    program.write_text(
        f"#!/bin/sh\nPYTHONPATH={SOURCE} exec {sys.executable} -c "
        "'import sys; from packhorse.cli.ascp import main; sys.exit(main())' \"$@\"\n"
    )
    program.chmod(0o755)
    return program


def test_sign_in_list_get_verify(packhorse: Packhorse, site: Site, tmp_path: Path) -> None:
    ran = packhorse("ls", "demo-immport:SDY1")
    assert ran.code == 3
    assert "packhorse login demo-immport" in ran.err
    sign_in(packhorse, site)
    assert packhorse("whoami", "demo-immport").out.startswith("demo-immport: demo")
    listed = packhorse("ls", "demo-immport:")
    assert all(f"demo-immport:{study}" in listed.out for study in ("SDY1", "SDY2", "SDY4"))
    ran = packhorse("get", "demo-immport:SDY1?fileType=result_file&pattern=*.fcs", "out/", "--require", "md5")
    assert ran.code == 0, ran.err
    assert "3 files" in ran.out
    assert packhorse("verify", f"demo-immport:{FCS}", f"out/{FCS}").code == 0
    by_subject = packhorse("info", "demo-immport:SDY1")
    assert "title:" in by_subject.out
    assert packhorse("logout", "demo-immport").code == 0
    assert packhorse("whoami", "demo-immport").code == 3


def test_by_our_own_ascp(packhorse: Packhorse, site: Site, tmp_path: Path) -> None:
    sign_in(packhorse, site)
    program = str(ascp(tmp_path / "bin"))
    ran = packhorse(
        "get", "demo-immport:SDY1/ResultFiles/Flow_cytometry_result", "out/", "--route", "aspera", ASCP=program
    )
    assert ran.code == 0, ran.err
    assert "3 proven by md5" in ran.out
    assert packhorse("get", f"demo-immport:{FCS}", "other/", "--route", "https").code == 0
    assert (tmp_path / "out" / FCS).read_bytes() == (tmp_path / "other" / FCS).read_bytes()
    assert program in packhorse("doctor", "--offline", ASCP=program).out
    none = packhorse("get", f"demo-immport:{FCS}", "none/", "--route", "aspera", PATH="/nowhere", HOME=str(tmp_path))
    assert none.code == 1
    assert "install one" in none.err


def test_what_is_refused(packhorse: Packhorse, site: Site) -> None:
    sign_in(packhorse, site, "other")
    assert packhorse("get", "demo-immport:SDY99", "out/").code == 4
    assert packhorse("get", "demo-immport:SDY1/none.fcs", "out/").code == 4
    assert packhorse("get", "demo-immport:SDY5", "out/").code == 1
    assert packhorse("get", "demo-immport:SDY1?gendr=x", "out/").code == 2


def test_an_api_key_as_people_paste_it(packhorse: Packhorse, site: Site) -> None:
    key = json.dumps({"id": "x", "api_key": token(site), "expires_at": "2100-01-01T00:00:00.000000000Z"}, indent=2)
    ran = packhorse("login", "demo-immport", "--token-stdin", stdin=key)
    assert ran.code == 0, ran.err
    assert packhorse("whoami", "demo-immport").out.startswith("demo-immport: demo")
    assert packhorse("login", "demo-immport", "--token-stdin", stdin="not.a.key").code == 3


def test_drs_addresses(packhorse: Packhorse, site: Site, tmp_path: Path) -> None:
    sign_in(packhorse, site)
    described = json.loads(packhorse("info", f"demo-immport:{FCS}", "--json").out.splitlines()[0])
    uuid = re.search(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", json.dumps(described))
    assert uuid is not None
    address = f"drs://{urlsplit(site.url).netloc}/{uuid[0]}"
    ran = packhorse("get", address, "one.fcs")
    assert ran.code == 0, ran.err
    assert hashlib.md5((tmp_path / "one.fcs").read_bytes()).hexdigest() in json.dumps(described)


def test_the_browser_signs_in(site: Site, tmp_path: Path) -> None:
    """The whole way through our server's pages, by a browser without scripts."""

    def visit(url: str) -> None:
        threading.Thread(target=browse, args=(url,)).start()

    def browse(url: str) -> None:
        with requests.Session() as http:
            page = http.get(url, timeout=30)
            form = {"form_token": hidden(page.text), "next": hidden(page.text, "next")}
            form |= {"username": "demo", "password": site.passwords["demo"]}
            page = http.post(f"{site.url}/auth/login", form, timeout=30)
            asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
            form = {"form_token": hidden(page.text), **asked, "decision": "allow"}
            told = http.post(f"{site.url}/auth/oauth2/authorize", form, timeout=30, allow_redirects=False)
        with urllib.request.urlopen(told.headers["Location"]) as answer:
            assert answer.status == 200

    environ = {**environment(tmp_path / "home"), "PACKHORSE_DEMO_IMMPORT_URL": site.url}
    with Session(Settings.load(environ)) as session:
        who = session.login_by_browser("demo-immport", visit, store="file", limit=60)
        assert who["username"] == "demo"
    with Session(Settings.load(environ)) as again:
        assert len(again.ls("demo-immport:SDY1")) > 2


def hidden(page: str, name: str = "form_token") -> str:
    found = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)">', page)
    assert found is not None, page
    return html.unescape(found[1])


def test_the_pages_calls_with_our_functions(site: Site, tmp_path: Path) -> None:
    """The calls that the page shows, with import lines, host and credentials in place of its own."""
    found = sorted(SEEDS.glob("001_*.txt"))
    if not found:
        pytest.skip("the page is not here")
    text = found[0].read_text(encoding="utf-8")
    examples = [textwrap.dedent(block) for block in re.findall(r"``` python\n(.*?)```", text, re.DOTALL)][1:]
    assert len(examples) == 2
    ast.parse("\n".join(examples))
    program = "\n".join(
        [
            "import os, shutil",
            "import packhorse.portals.immport as immport",
            "from packhorse.portals.immport import api_file_download",
            f"immport.API_ENDPOINT_BASE_URL = {site.url!r}",
            f"immport.IMMPORT_TOKEN_URL = {site.url + '/auth/token'!r}",
            f"immport.ASPERA_BIN_DIR = {str(tmp_path / 'cli/bin')!r}",
            f"USERNAME, PASSWORD = 'demo', {site.passwords['demo']!r}",
            *examples,
        ]
    )
    for route in ("https", "aspera"):
        if route == "aspera":
            ascp(tmp_path / "cli/bin")
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, env=environment(tmp_path / "home"), capture_output=True,
            text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "ERROR" not in done.stdout
        names = {"02054141.001.52628.fcs": 242048, "02054142.001.52644.fcs": 1523228, "02054151.001.52646.fcs": 242048}
        assert {path.name: path.stat().st_size for path in (tmp_path / "output").glob("*.fcs")} == names


def test_a_password_of_the_environment(site: Site, tmp_path: Path) -> None:
    environ = {
        **environment(tmp_path / "home"),
        "PACKHORSE_IMMPORT_URL": site.url,
        "IMMPORT_USERNAME": "demo",
        "IMMPORT_PASSWORD": site.passwords["demo"],
    }
    with Session(Settings.load(environ)) as session:
        outcome: Any = session.get(f"immport:{FCS}", tmp_path / "one.fcs")
        assert outcome.placed[0].proof.level == "md5"
        assert session.whoami("immport")["rung"] == "environment"
        with pytest.raises(Exception, match="password is wrong"):
            session.login("immport", "demo", Secret("wrong"), store="none")
