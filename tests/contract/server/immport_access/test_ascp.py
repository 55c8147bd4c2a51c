"""``packhorse-ascp`` against a server: where files land, what it says, what it ends with (spec immport §5)."""

from __future__ import annotations

import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from packhorse.cli.app import run
from packhorse.cli.ascp import main
from packhorse.server.config import ServerConfig
from packhorse.server.users import create_user

from ..conftest import SOURCE  # noqa: TID252 - the tests' own package has no absolute name
from .conftest import FILES, MODIFIED, Site, add_file

FOLDER = "SDY1/ResultFiles/Flow_cytometry_result"
FCS = f"{FOLDER}/a.1.fcs"
QUOTED = 'SDY1/ResultFiles/ELISA_result/it\'s $(here) "x".3.txt'


@pytest.fixture(scope="module")
def transfer(site: Site) -> str:
    """A transfer token for the whole of SDY1."""
    return str(site.post("/data/download/token", site.token(), json={"paths": ["SDY1"]}).json()["token"])


def named(path: str) -> str:
    """The engine's rule for names that some systems cannot have: a quotation mark is written as %22."""
    return path.replace('"', "%22")


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ASPERA_SCP_TOKEN", "PACKHORSE_ASCP_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PACKHORSE_HOME", str(tmp_path / "packhorse"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def ascp(*argv: str, **environ: str) -> int:
    return main(list(argv), {**os.environ, **environ})


def files() -> dict[str, bytes]:
    """What stands in the current folder, but for the ledger."""
    found = (path for path in Path().rglob("*") if path.is_file() and ".packhorse" not in path.parts)
    return {path.as_posix(): path.read_bytes() for path in found}


def test_a_file_lands_in_a_folder_or_under_its_own_name(transfer: str, capsys: Any) -> None:
    Path("out").mkdir()
    assert ascp("-W", transfer, f"any.example.org:{FCS}", "out") == 0
    assert ascp("-W", transfer, f"any.example.org:/{FCS}", "mine.fcs") == 0
    assert ascp("-d", "-q", f"x:{FCS}", "made/here", ASPERA_SCP_TOKEN=transfer) == 0
    assert files() == dict.fromkeys(("out/a.1.fcs", "mine.fcs", "made/here/a.1.fcs"), FILES[FCS])
    assert Path("mine.fcs").stat().st_mtime == MODIFIED
    assert capsys.readouterr().out.count("Completed:") == 2  # -q says nothing


def test_folders_come_with_what_is_below_them(transfer: str) -> None:
    assert ascp("-QTr", "-d", "-W", transfer, "h:SDY1/ResultFiles", "out") == 0
    below = {path: data for path, data in FILES.items() if path.startswith("SDY1/ResultFiles/")}
    assert files() == {named(path.replace("SDY1", "out", 1)): data for path, data in below.items()}
    assert ascp("-d", "-W", transfer, "--src-base=SDY1/ResultFiles", f"h:{FCS}", "based") == 0
    assert Path("based/Flow_cytometry_result/a.1.fcs").read_bytes() == FILES[FCS]


def test_any_path_is_passed_on_as_it_is(transfer: str) -> None:
    assert ascp("-W", transfer, f"h:{QUOTED}", ".") == 0
    assert ascp("-W", transfer, "h:SDY1/StudyFiles/empty.4.txt", ".") == 0
    assert files() == {named(QUOTED.rpartition("/")[2]): FILES[QUOTED], "empty.4.txt": b""}


def test_lists(transfer: str) -> None:
    Path("list").write_text(f"{FCS}\n/{FOLDER}/b.2.fcs\n")
    assert ascp("-d", "-W", transfer, "--mode=recv", "--host=h", "--file-list=list", "out") == 0
    Path("pairs").write_text(f"/{FCS}\n./{FCS}\n{FCS}\nagain/x.fcs\n")
    assert ascp("-W", transfer, "--mode=recv", "--host=h", "--file-pair-list=pairs", ".") == 0
    found = files()
    assert {name for name in found if name.endswith("fcs")} == {"out/a.1.fcs", "out/b.2.fcs", FCS, "again/x.fcs"}
    assert found["again/x.fcs"] == FILES[FCS]


@pytest.mark.parametrize(
    ("overwrite", "kept"),
    [("never", True), ("always", False), ("diff", False), ("older", False), ("diff+older", False)],
)
def test_what_is_there_is_treated_as_asked(transfer: str, overwrite: str, kept: bool) -> None:
    Path("a.1.fcs").write_bytes(b"mine")
    os.utime("a.1.fcs", (1, 1))
    assert ascp(f"--overwrite={overwrite}", "-W", transfer, f"h:{FCS}", ".") == 0
    assert Path("a.1.fcs").read_bytes() == (b"mine" if kept else FILES[FCS])


def test_what_is_newer_is_kept_with_older(transfer: str) -> None:
    Path("a.1.fcs").write_bytes(b"mine")
    assert ascp("--overwrite=older", "-W", transfer, f"h:{FCS}", ".") == 0
    assert Path("a.1.fcs").read_bytes() == b"mine"


def test_a_second_time_nothing_is_fetched(transfer: str, capsys: Any) -> None:
    for size in (len(FILES[FCS]) // 1024, 0):
        assert ascp("-W", transfer, f"h:{FCS}", ".") == 0
        assert f"Completed: {size}K bytes" in capsys.readouterr().out


def test_the_log_has_the_session_but_no_token(transfer: str) -> None:
    Path("log").mkdir()
    assert ascp("-L", "log", "-W", transfer, f"h:{FCS}", ".") == 0
    assert ascp("-L", "log", f"-W{transfer}", "h:SDY1/none", ".") == 1
    text = Path("log/aspera-scp-transfer.log").read_text()
    assert "Completed:" in text
    assert "Session Stop  (Error: There is no file or folder SDY1/none)" in text
    assert transfer not in text
    assert transfer[:20] not in text
    assert Path("log/aspera-scp-transfer.0.log").read_text() == text


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["h:SDY1/none", "."], "There is no file or folder SDY1/none"),
        (["h:SDY9/StudyFiles/secret.5.txt", "."], "The transfer token is not for SDY9"),
        (["h:../../etc/passwd", "."], "cannot be the name of a file"),
        (["h:SDY1/a\nb", "."], "cannot be the name of a file"),
        (["h:SDY1//x", "."], "cannot be the name of a file"),
        ([f"h:{FCS}", "no/such/place"], "there is no folder no/such; -d makes the destination"),
        (["h:SDY1", "nowhere"], "there is no folder nowhere; -d makes it"),
        ([f"h:{FCS}", FCS, "."], "names no host; a source is host:path"),
        (["local", "h:/upload"], "only receives"),
        (["-i", "nokey", f"h:{FCS}", "."], "Private key file not found at path nokey"),
        (["--remove-after-transfer", f"h:{FCS}", "."], "nothing can be removed"),
        (["--host=h", "--file-pair-list=none", "."], "failed to open input file list none"),
        (["--host=h", "--file-pair-list=/", "."], "failed to open input file list"),
        (["--host=h", "--file-pair-list=odd", "."], "a source without a destination"),
        (["--host=h", "--file-pair-list=out", "."], "bad destination in the file pair list"),
        (["--host=h", "--file-pair-list=folder", "."], "is a folder; a file pair list names files"),
        (["--host=h", "--file-list=empty", "."], "the list of files is empty"),
        (["--host=h", "--file-list=binary", "."], "is not UTF-8 text"),
    ],
)
def test_refusals_are_one_line_and_leave_nothing(transfer: str, capsys: Any, argv: list[str], words: str) -> None:
    lists = {
        "odd": b"SDY1/x\n",
        "out": f"{FCS}\n../../x\n".encode(),
        "folder": f"{FOLDER}\nx\n".encode(),
        "empty": b"\n",
        "binary": b"\xff\xfe\n",
    }
    for name, data in lists.items():
        Path(name).write_bytes(data)
    assert ascp("-W", transfer, *argv) == 1
    said = capsys.readouterr()
    blank, line = said.out.splitlines()[-2:]
    assert blank == ""
    assert line.startswith("Session Stop  (Error: ")
    assert words in line
    assert "Traceback" not in said.err
    assert set(files()) == set(lists)


def test_wrong_arguments(transfer: str, capsys: Any) -> None:
    for argv, code, words in (
        ([], 112, "usage:"),
        (["-k", "9", f"h:{FCS}", "."], 1, "argument to -k must be 0, 1, 2, or 3"),
        (["--x", f"h:{FCS}", "."], 1, "unrecognized option `--x'"),
        (["-L", "nowhere", f"h:{FCS}", "."], 1, "the log folder nowhere cannot be used"),
    ):
        assert ascp(*argv) == code
        assert words in capsys.readouterr().err
    assert ascp("-h") == 0
    assert ascp("--version") == 0
    assert files() == {}


def test_tokens_that_open_nothing(site: Site, transfer: str, capsys: Any) -> None:
    bearer = site.token()
    other = site.post("/data/download/token", bearer, json={"paths": [f"{FOLDER}/b.2.fcs"]}).json()["token"]
    for token, words in (
        (transfer[:-1] + ("0" if transfer[-1] != "0" else "1"), "The transfer token is not valid"),
        (other, "The transfer token is not for SDY1"),
        (bearer, "was not issued by a Packhorse server"),
        ("ATM2_AAEX", "was not issued by a Packhorse server"),
        ("two words", "holds blanks"),
        ("", "a transfer token is needed"),
    ):
        assert ascp("-W", token, f"h:{FCS}", ".") == 1
        assert words in capsys.readouterr().out
    assert ascp(f"h:{FCS}", ".") == 1
    assert ascp("-W", transfer, f"h:{FCS}", ".", PACKHORSE_ASCP_URL="ftp://x") == 1
    assert "is no web address" in capsys.readouterr().out
    assert files() == {}


def test_a_token_that_is_over_is_said_before_anything_is_asked(own_site: Any, capsys: Any) -> None:
    with own_site(transfer_seconds=1) as site:
        token = site.post("/data/download/token", site.token(), json={"paths": [FCS]}).json()["token"]
        time.sleep(1.1)
        assert ascp("-W", token, f"h:{FCS}", ".") == 1
    assert "time is over" in capsys.readouterr().out


def test_a_server_that_is_gone_is_said(transfer: str, capsys: Any) -> None:
    assert ascp("-W", transfer, f"h:{FCS}", ".", PACKHORSE_ASCP_URL="http://127.0.0.1:9") == 1
    assert "Session Stop  (Error: " in capsys.readouterr().out


def test_the_folder_for_scripts(tmp_path: Path, capsys: Any) -> None:
    folder = tmp_path / "it's a folder" / "aspera"
    assert run(["immport", "aspera-dir", str(folder)]) == 0
    for system in ("linux", "linux32", "osx"):
        assert os.access(folder / "cli" / "bin" / system / "ascp", os.X_OK)
    assert (folder / "cli/etc/asperaweb_id_dsa.openssh").stat().st_mode & 0o077 == 0
    assert "PRIVATE KEY" not in (folder / "cli/etc/asperaweb_id_dsa.openssh").read_text()
    assert run(["immport", "aspera-dir", str(folder)]) == 0  # ours may be written again
    (folder / "cli/bin/linux/ascp").write_bytes(b"\x7fELF")
    assert run(["immport", "aspera-dir", str(folder)]) == 1
    assert "is there already, and is not ours" in capsys.readouterr().err
    assert (folder / "cli/bin/linux/ascp").read_bytes() == b"\x7fELF"


def listened(argv: list[str]) -> tuple[int, list[dict[str, str]]]:
    """Run with a management port: the exit code, and the messages."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        heard: list[bytes] = []

        def listen() -> None:
            connection, _ = listener.accept()
            with connection:
                while data := connection.recv(65536):
                    heard.append(data)

        thread = threading.Thread(target=listen)
        thread.start()
        code = ascp("-M", str(listener.getsockname()[1]), *argv)
        thread.join(20)
        assert not thread.is_alive()
    blocks = b"".join(heard).decode().split("\n\n")
    assert blocks.pop() == ""
    messages = []
    for block in blocks:
        first, *lines = block.split("\n")
        assert first == "FASPMGR 2"
        messages.append(dict(line.split(": ", 1) for line in lines if ": " in line))
    return code, messages


def test_the_management_port_is_told(transfer: str) -> None:
    code, messages = listened(["-W", transfer, f"h:{FCS}", "."])
    assert code == 0
    kinds = [message["Type"] for message in messages]
    assert kinds[:2] == ["INIT", "SESSION"]
    assert kinds[-1] == "DONE"
    stop = next(message for message in messages if message["Type"] == "STOP")
    assert (stop["File"], stop["Size"]) == ("a.1.fcs", str(len(FILES[FCS])))
    code, messages = listened(["-W", transfer, "h:SDY1/none", "."])
    assert code == 1
    assert (messages[-1]["Type"], messages[-1]["Code"]) == ("ERROR", "4")
    assert all(transfer not in str(message) for message in messages)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        assert ascp("-M", str(nobody.getsockname()[1]), "-W", transfer, f"h:{FCS}", "again.fcs") == 0


def test_a_killed_one_goes_on_where_it_was(own_site: Any, capsys: Any) -> None:
    with own_site() as site:
        path = "SDY1/StudyFiles/big.9.bin"
        data = random.Random(7).randbytes(12 << 20)
        add_file(site.config, path, data)
        token = site.post("/data/download/token", site.token(), json={"paths": [path]}).json()["token"]
        command = [sys.executable, "-m", "packhorse.cli.ascp", "-L", ".", "-W", token, f"h:{path}", "."]
        environ = {**os.environ, "PYTHONPATH": str(SOURCE)}
        first = subprocess.Popen([*command, "-l", "24m"], env=environ, stdout=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while sum(part.stat().st_blocks for part in Path().glob("*.part")) * 512 < 4 << 20:
            assert time.monotonic() < until
            assert first.poll() is None
            time.sleep(0.05)
        first.kill()
        first.wait()
        assert not Path("big.9.bin").exists()
        subprocess.run(command, env=environ, check=True, timeout=60, stdout=subprocess.DEVNULL)
    assert Path("big.9.bin").read_bytes() == data
    assert list(Path().glob("*.part")) == []
    kept = re.search(r"big\.9\.bin: (\d+) bytes were here already", Path("aspera-scp-transfer.log").read_text())
    assert kept is not None
    assert int(kept[1]) >= 1 << 20


def test_clients_are_registered_and_forgotten_by_hand(tmp_path: Path, capsys: Any) -> None:
    home = ["--home", str(tmp_path / "server")]
    create_user(ServerConfig(home=tmp_path / "server"), "ada", "correct horse")
    assert run(["server", "client", "add", "notebook", "--redirect", "http://127.0.0.1/callback", *home]) == 0
    assert "registered notebook" in capsys.readouterr().out
    command = ["server", "client", "add", "pipeline", "--confidential", "--user", "ada", "--scope", "browse"]
    assert run([*command, *home]) == 0
    assert re.search(r"^[A-Za-z0-9_-]{43}$", capsys.readouterr().out, re.MULTILINE)
    assert run(["server", "client", "add", "x", "--redirect", "http://app.example.org/", *home]) == 2
    assert "is not https" in capsys.readouterr().err
    assert run(["server", "client", "remove", "notebook", *home]) == 0
    assert run(["server", "client", "remove", "notebook", *home]) == 4
    assert run(["server", "share", "study", "SDY77", "ada", *home]) == 4
    assert "no study SDY77" in capsys.readouterr().err
