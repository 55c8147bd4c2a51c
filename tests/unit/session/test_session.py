"""The session: addresses, portals, destinations, accounts; against our own server where bytes move."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import packhorse
from packhorse.errors import (
    AddressError,
    AuthenticationError,
    IntegrityError,
    NotFoundError,
    PermissionDeniedError,
    UsageError,
)
from packhorse.model import Address, ProofLevel, Secret
from packhorse.session import Session
from packhorse.settings import Settings
from packhorse.transfer.engine import Engine


def settings_at(tmp_path: Path, **environ: str) -> Settings:
    return Settings.load({"PACKHORSE_HOME": str(tmp_path / "packhorse"), "HOME": str(tmp_path / "home"), **environ})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    home = tmp_path_factory.mktemp("server") / "home"
    argv = [sys.executable, "-m", "packhorse.server.run", "--demo", "--ready-json", "--port", "0", "--home", str(home)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        yield {"url": ready["url"], **{user["username"]: user["password"] for user in ready["users"]}}
    finally:
        process.send_signal(signal.SIGTERM)
        process.stdout.close()
        process.wait(timeout=20)
        Engine.shared().close()


@pytest.fixture
def session(server: dict[str, str], tmp_path: Path) -> Iterator[Session]:
    with Session(settings_at(tmp_path, FLOW_API_URL=f"{server['url']}/api")) as made:
        made.login("flow", "demo", server["demo"])
        yield made


# Addresses.


def test_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd:name").touch()
    (tmp_path / "here.txt").touch()
    session = Session(settings_at(tmp_path))
    for text, address in {
        "flow:samples/12": Address("flow", "samples/12"),
        " flow:data/789\n": Address("flow", "data/789"),
        "flow://samples/12": Address("flow", "samples/12"),
        "flow:": Address("flow", ""),
        "https://app.flow.bio/samples/12": Address("flow", "samples/12"),
        "https://api.flow.bio/downloads/789/a.gz": Address("flow", "data/789"),
        "HTTPS://host/x.gz?y=1": Address("https", "HTTPS://host/x.gz?y=1"),
        "http://host/x.gz": Address("http", "http://host/x.gz"),
        "./x": Address("local", "./x"),
        "/etc": Address("local", "/etc"),
        "here.txt": Address("local", "here.txt"),
        "odd:name": Address("local", "odd:name"),
        "file:///a%20b": Address("local", "/a b"),
        r"C:\reads": Address("local", r"C:\reads"),
    }.items():
        assert session.resolve(text) == address, text
    assert session.resolve(Address("flow", "x")) == Address("flow", "x")


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("flwo:samples/12", "did you mean 'flow'", "packhorse remote add flwo KIND URL"),
        ("nowhere:x", "no remote called 'nowhere'", "packhorse remote list"),
        ("samples/12", "did you mean flow:samples/12", ""),
        ("flow/samples/12", "did you mean flow:samples/12", ""),
        ("gone.txt", "is no address", "packhorse get flow:samples/12"),
        ("", "an empty address", ""),
        ("a\0b", "NUL", ""),
        ("https://", "is not a web address", ""),
        ("https://[", "is not a web address", ""),
    ],
)
def test_what_means_nothing_is_explained(tmp_path: Path, text: str, said: str, hint: str) -> None:
    with pytest.raises(AddressError) as caught:
        Session(settings_at(tmp_path)).resolve(text)
    assert said in caught.value.message
    assert hint in (caught.value.hint or "")


def test_drs_addresses(tmp_path: Path) -> None:
    session = Session(settings_at(tmp_path))
    assert session.resolve("drs://host.example.org/a%20b") == Address("drs", "drs://host.example.org/a%20b")
    for wrong, said in (("drs://host", "no DRS address"), ("drs://dg.4DFC:f0e1", "compact DRS ids")):
        with pytest.raises(AddressError, match=said):
            session.resolve(wrong)


def test_remotes_without_a_portal(tmp_path: Path) -> None:
    config = tmp_path / "packhorse" / "config.toml"
    config.parent.mkdir()
    config.write_text('[remotes.odd]\nkind = "gopher"\nurl = "https://x.org"\n')
    session = Session(settings_at(tmp_path))
    for name, said in (("demo", "no demo server"), ("demo-immport", "no demo server"), ("odd", "nothing installed")):
        with pytest.raises(UsageError, match=said):
            session.portal(name)
    with pytest.raises(AddressError, match="did you mean 'flow'"):
        session.portal("flo")
    with pytest.raises(UsageError, match="has no accounts"):
        session.whoami("https")


def test_a_plug_in_s_kind_is_found_by_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plug.py").write_text(
        "from packhorse.portals.local import LocalPortal\n"
        "def open_portal(context):\n"
        "    portal = LocalPortal()\n    portal.remote = context.remote.name\n    return portal\n"
    )
    info = tmp_path / "plug-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plug\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[packhorse.portals]\ngopher = plug:open_portal\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    config = tmp_path / "packhorse" / "config.toml"
    config.parent.mkdir()
    config.write_text('[remotes.odd]\nkind = "gopher"\nurl = "https://x.org"\nanything = 1\n')
    assert Session(settings_at(tmp_path)).portal("odd").remote == "odd"


# Getting.


def test_a_sample_goes_into_a_folder_and_again_costs_nothing(session: Session, tmp_path: Path) -> None:
    outcome = session.get("flow:samples/12", tmp_path / "reads")
    assert sorted(path.name for path in (tmp_path / "reads").glob("*.gz")) == [
        "WT_rep1_R1.fastq.gz",
        "WT_rep1_R2.fastq.gz",
    ]
    assert {file.proof.level for file in outcome.placed} == {ProofLevel.SHA256}
    again = session.get("flow:samples/12", tmp_path / "reads")
    assert all(file.reused for file in again.placed)
    planned = session.plan("flow:samples/12", tmp_path / "reads")
    assert [row.action for row in planned] == ["reuse", "reuse"]


def test_the_destination_of_one_file(session: Session, tmp_path: Path) -> None:
    one = "flow:data/789"
    assert session.get(one, tmp_path / "mine.gz").path() == tmp_path / "mine.gz"
    assert session.get(one, f"{tmp_path}/folder/").path() == tmp_path / "folder" / "WT_rep1_R1.fastq.gz"
    assert session.get(one, tmp_path / "folder").path() == tmp_path / "folder" / "WT_rep1_R1.fastq.gz"
    report = "flow:executions/456/multiqc_report.html"
    assert session.get(report, tmp_path / "r.html").path() == tmp_path / "r.html"
    # A sample is a folder, also with one file in it.
    assert session.get("flow:samples/13", tmp_path / "S").path() == tmp_path / "S" / "WT_rep2_R1.fastq.gz"


def test_several_addresses_and_a_pasted_link(session: Session, server: dict[str, str], tmp_path: Path) -> None:
    link = f"{server['url']}/executions/456/multiqc_report.html"
    outcome = session.get(["flow:data/789", link], tmp_path / "all", layout="organized")
    assert sorted(str(file.target.relative_to(tmp_path / "all")) for file in outcome.placed) == [
        "data/WT_rep1_R1.fastq.gz",
        "executions/456/multiqc_report.html",
    ]


def test_async_twins(session: Session, tmp_path: Path) -> None:
    async def both() -> tuple[int, int]:
        entries, outcome = await asyncio.gather(
            session.als("flow:projects/3"), session.aget("flow:data/791", tmp_path / "x.gz")
        )
        assert (await session.ainfo("flow:data/789"))["filename"] == "WT_rep1_R1.fastq.gz"
        assert [row.action for row in await session.aplan("flow:data/791", tmp_path / "x.gz")] == ["reuse"]
        return len(entries), len(outcome.placed)

    assert asyncio.run(both()) == (2, 1)


def test_failures(session: Session, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        session.get("flow:data/999999", tmp_path)
    with pytest.raises(UsageError, match="'layuot' is not an option"):
        session.get("flow:data/789", tmp_path, layuot="plain")
    with pytest.raises(UsageError, match="no address"):
        session.get([], tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFoundError, match="holds no files"):
        session.get(str(tmp_path / "empty"), tmp_path / "x")


def test_looking(session: Session) -> None:
    assert [entry.name for entry in session.ls("flow:")] == ["samples", "projects", "executions", "data"]
    assert session.info("flow:samples/12")["name"] == "WT_rep1"
    assert session.info("flow:executions/456/multiqc_report.html")["id"] == "1001"
    assert session.info("flow:executions/456/results")["files"] == 2
    assert session.info("flow:")["username"] == "demo"


def test_verify_against_the_portal(session: Session, tmp_path: Path) -> None:
    target = session.get("flow:data/789", tmp_path / "x.gz").path()
    assert session.verify("flow:data/789", target).level is ProofLevel.SHA256
    damaged = bytearray(target.read_bytes())
    damaged[100] ^= 1
    (tmp_path / "y.gz").write_bytes(damaged)
    with pytest.raises(IntegrityError) as caught:
        session.verify("flow:data/789", tmp_path / "y.gz")
    assert hashlib.sha256(damaged).hexdigest() in caught.value.got
    with pytest.raises(UsageError, match="2 files"):
        session.verify("flow:samples/12", target)


# Accounts.


def test_an_account_from_login_to_logout(server: dict[str, str], tmp_path: Path) -> None:
    settings = settings_at(tmp_path, FLOW_API_URL=f"{server['url']}/api")
    with Session(settings) as session:
        assert session.whoami("flow") == {}
        with pytest.raises(NotFoundError) as caught:
            session.info("flow:data/999999")
        assert "packhorse login flow" in (caught.value.hint or "")
        with pytest.raises(AuthenticationError):
            session.login("flow", "demo", "wrong")
        with pytest.raises(AuthenticationError, match="no terminal"):
            session.login("flow", "demo")
        with pytest.raises(UsageError, match="no place for tokens"):
            session.login("flow", "demo", "x", store="cloud")
        assert session.login("flow", "other", Secret(server["other"]))["username"] == "other"
        with pytest.raises(PermissionDeniedError):
            session.get("flow:data/789", tmp_path / "x")
    with Session(settings) as session:
        assert (session.whoami("flow")["username"], session.whoami("flow")["rung"]) == ("other", "file")
        assert session.credentials("flow").credential is not None
        assert session.logout("flow")
        assert not session.logout("flow")
        assert session.whoami("flow") == {}
    with Session(settings, prompt=lambda remote, username: ("demo", Secret(server["demo"]))) as session:
        assert session.login("flow")["username"] == "demo"


# The public face.


def test_the_public_names_are_there() -> None:
    for name in packhorse.__all__:
        assert getattr(packhorse, name) is not None
    assert set(packhorse.__all__) <= set(dir(packhorse))
    with pytest.raises(AttributeError, match="'nothing'"):
        packhorse.nothing  # noqa: B018


def test_get_and_verify_without_a_session(
    server: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"PACKHORSE_HOME": str(tmp_path), "FLOW_API_URL": f"{server['url']}/api", "HOME": str(tmp_path)}
    environ |= {"FLOW_USERNAME": "demo", "FLOW_PASSWORD": server["demo"]}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert packhorse.get("flow:data/789", tmp_path / "x.gz").path() == tmp_path / "x.gz"
    assert packhorse.verify("flow:data/789", tmp_path / "x.gz").level is ProofLevel.SHA256
    with pytest.raises(NotFoundError):
        packhorse.get("flow:data/999999", tmp_path)


def test_importing_costs_next_to_nothing() -> None:
    ours = "('packhorse', 'pycurl', 'msgspec')"
    code = f"import sys, packhorse; print([name for name in sys.modules if name.startswith({ours})])"
    environ = {**os.environ, "PYTHONPATH": str(Path(packhorse.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "['packhorse']\n"
