"""ImmPort's documented download programs and shell script run against our server, as users run them.

Of the documents' own text only hosts and credentials are substituted: the folder ``../common/aspera`` is made by
``packhorse immport aspera-dir``. One page lost characters on its way, so that its Python does not parse; its member
``access_token`` and its ``ascp`` options are put into the other page's program.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import sqlite3
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest
import requests

from .conftest import Demo, Run

FOLDER = "SDY1/ResultFiles/Flow_cytometry_result"
SIZES = {"02054141.001.52628.fcs": 242_048, "02054142.001.52644.fcs": 1_523_228, "02054151.001.52646.fcs": 242_048}
DAY = 1_492_646_400  # 2017-04-20


def document(number: str) -> str:
    root = Path(__file__).resolve().parents[2]
    found = sorted((root.parent / "shared" / "seeds").glob(f"{number}*.txt"))
    if not found:
        pytest.skip(f"the document is not here: put it beside the checkout as ../shared/seeds/{number}_….txt")
    return found[0].read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def programs() -> dict[str, str]:
    """The Python blocks by the line of their title."""
    found = re.findall(
        r'^!!! example "(.*?)"\n    ``` python\n(.*?)^    ```$', document("001"), re.MULTILINE | re.DOTALL
    )
    programs = {title: textwrap.dedent(body) for title, body in found}
    assert list(programs) == [
        "Python Helper Functions",
        "Python - Retrieve Result File",
        "Python - Download Multiple Files",
    ]
    return programs


def as_in_000(helper: str) -> str:
    """The helper functions with what the other page has: ``access_token``, and options attached to their values."""
    page = document("000")
    member = re.search(r"return r\.json\(\)(\['access_token'\])", page)
    options = re.search(
        r'^ {4}(command \+= " -v -L ".*?-W ")\n\n {4}(command \+= aspera_token .*?\+ output_directory), shell',
        page,
        re.MULTILINE | re.DOTALL,
    )
    assert member is not None
    assert options is not None
    getting = re.compile(r"(IMMPORT_TOKEN_URL,.*?return r\.json\(\))\['token'\]", re.DOTALL)
    helper, count = getting.subn(rf"\1{member[1]}", helper)
    assert count == 1
    lines = [line.strip() for part in options.groups() for line in part.replace("\\\n", "").splitlines()]
    ours = "".join(f"    {' '.join(line.split()) if line.endswith(' -W ') else line}\n" for line in lines)
    start = helper.index('    command += " -v -L "')
    stop = helper.index("    subprocess.call(command, shell=True)")
    assert "-O33001 -P33001" in ours
    assert "--user=" in ours
    return helper[:start] + ours + helper[stop:]


@pytest.fixture(scope="module")
def site(demo: Demo) -> str:
    """The server's address. Its demo has the study (put in here as long as no package brings it)."""
    with sqlite3.connect(demo.home / "packhorse.db", timeout=20) as connection:
        if not connection.execute("SELECT 1 FROM immport_studies WHERE accession = 'SDY1'").fetchall():
            connection.execute(
                "INSERT INTO immport_packages (id, name, release, sha256, imported, counts) "
                "VALUES (1, '', 'DR1', '', 0, '{}')"
            )
            connection.execute(
                "INSERT INTO immport_studies (accession, number, package_id, restricted) VALUES ('SDY1', 1, 1, 0)"
            )
    connection.close()
    return demo.base.removesuffix("/api")


@pytest.fixture
def aspera(tmp_path: Path, run: Run, environ: dict[str, str]) -> Path:
    """The folder that the programs expect at ``../common/aspera``."""
    folder = tmp_path / "common" / "aspera"
    command = [sys.executable, "-m", "packhorse.cli", "immport", "aspera-dir", str(folder)]
    subprocess.run(command, env=environ, check=True, timeout=60, capture_output=True)
    return folder


def substituted(helper: str, site: str) -> str:
    for old in ("https://api.immport.org", "https://auth.immport.org"):
        assert old in helper
        helper = helper.replace(old, site)
    return helper


def md5s(demo: Demo) -> dict[str, str]:
    with sqlite3.connect(demo.home / "packhorse.db", timeout=20) as connection:
        rows = connection.execute(
            "SELECT path, md5 FROM study_files JOIN stored_files ON stored_files.id = file_id "
            "WHERE path LIKE 'SDY1/Res%'"
        ).fetchall()
    connection.close()
    return {path.rpartition("/")[2]: md5 for path, md5 in rows}


@pytest.mark.parametrize("variant", ["001", "000"])
@pytest.mark.parametrize("title", ["Python - Retrieve Result File", "Python - Download Multiple Files"])
def test_the_documented_downloads_run(
    programs: dict[str, str],
    demo: Demo,
    site: str,
    run: Run,
    work: Path,
    aspera: Path,
    variant: str,
    title: str,
) -> None:
    helper = programs["Python Helper Functions"]
    helper = substituted(as_in_000(helper) if variant == "000" else helper, site)
    credentials = f"\nUSERNAME = 'demo'\nPASSWORD = {demo.users['demo']!r}\n\n"
    done = run(helper + credentials + programs[title])

    wanted = list(SIZES) if "Multiple" in title else list(SIZES)[:1]
    known = md5s(demo)
    for name in wanted:
        got = work / "output" / name
        assert got.stat().st_size == SIZES[name]
        assert hashlib.md5(got.read_bytes()).hexdigest() == known[name]
        assert DAY <= got.stat().st_mtime < DAY + 86_400
    assert sorted(path.name for path in (work / "output").glob("[!.]*")) == sorted(
        [*wanted, "aspera-scp-transfer.0.log", "aspera-scp-transfer.log"]
    )
    log, second = (work / "output" / f"aspera-scp-transfer{middle}.log" for middle in ("", ".0"))
    assert log.stat().st_nlink == second.stat().st_nlink == 2
    assert "ATM2_" not in log.read_text()
    # as the page prints it, but for the rate
    for name, kilobytes in zip(wanted, (236, 1487, 236), strict=False):
        first = rf"^{re.escape(name)} +100% +{kilobytes}KB +--:-- +$"
        second = rf"^Completed: {kilobytes}K bytes transferred in \d+ seconds$"
        third = r"^ \(\d+K bits/sec\), in 1 file\.$"
        assert re.search(f"{first}\n{second}\n{third}", done.stdout, re.MULTILINE), done.stdout


@pytest.mark.parametrize(
    ("user", "path", "line"),
    [
        ("nobody", f"{FOLDER}/02054141.001.52628.fcs", "Credentials incorrect for ImmPort, unable to retrieve token"),
        ("demo", f"{FOLDER}/nothing.fcs", "Unable to obtain Aspera token"),
        ("demo", f"{FOLDER}/$(touch pwned).fcs", "Unable to obtain Aspera token"),
        ("demo", "../../etc/passwd", "Unable to obtain Aspera token"),
    ],
)
def test_the_documented_errors_are_printed(
    programs: dict[str, str], demo: Demo, site: str, run: Run, work: Path, aspera: Path, user: str, path: str, line: str
) -> None:
    (work / "output").mkdir()
    call = f"\nprint(api_file_download({user!r}, {demo.users['demo']!r}, {path!r}, 'output'))\n"
    done = run(substituted(programs["Python Helper Functions"], site) + call)
    assert done.stdout.splitlines() == [f"ERROR: {line}", "None"]
    assert sorted(path.name for path in work.rglob("*")) == ["output"]


def test_the_download_tool_s_command_line_runs(
    demo: Demo, site: str, work: Path, aspera: Path, environ: dict[str, str]
) -> None:
    token = requests.post(
        f"{site}/auth/token", data={"username": "demo", "password": demo.users["demo"]}, timeout=30
    ).json()["token"]
    paths = [f"/{FOLDER}/{name}" for name in SIZES]
    transfer = requests.post(
        f"{site}/data/download/token",
        json={"paths": paths},
        headers={"Authorization": f"bearer {token}"},
        timeout=30,
    ).json()["token"]
    (work / "pairs").write_text("".join(f"{path}\n.{path}\n" for path in paths))
    (work / "log").mkdir()
    line = (
        f"{aspera}/cli/bin/linux/ascp -v -L log -i {aspera}/cli/etc/asperaweb_id_dsa.openssh -O 33001 -P 33001 "
        f"-W {transfer} --user=databrowser --host=aspera-immport.niaid.nih.gov --mode=recv -p --file-pair-list=pairs ."
    )
    done = subprocess.run(
        ["bash", "-c", line], cwd=work, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    known = md5s(demo)
    for name in SIZES:
        assert hashlib.md5((work / FOLDER / name).read_bytes()).hexdigest() == known[name]
    assert "in 3 files." in done.stdout
    assert (work / "log" / "aspera-scp-transfer.log").is_file()


def test_our_own_download_tool_runs(
    demo: Demo, site: str, work: Path, aspera: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    archive = requests.get(f"{site}/data/download/tool/immport-data-download-tool.zip", timeout=30).content
    zipfile.ZipFile(io.BytesIO(archive)).extractall(tmp_path)
    script = tmp_path / "immport-data-download-tool" / "bin" / "immport-download.sh"
    (work / "manifest.txt").write_text("".join(f"/{FOLDER}/{name}\n" for name in SIZES))
    environment = {
        **environ,
        "IMMPORT_TOKEN_URL": f"{site}/auth/token",
        "IMMPORT_DATA_API_BASE_URL": f"{site}/data",
        "IMMPORT_PASSWORD": demo.users["demo"],
        "PACKHORSE_ASCP": str(aspera / "cli" / "bin" / "linux" / "ascp"),
    }

    def tool(user: str, manifest: str = "manifest.txt") -> subprocess.CompletedProcess[str]:
        return subprocess.run(["bash", str(script), user, manifest], cwd=work, env=environment, capture_output=True,
                              text=True, timeout=60, check=False)  # fmt: skip

    done = tool("demo")
    assert done.returncode == 0, done.stdout + done.stderr
    for name, size in SIZES.items():
        assert (work / FOLDER / name).stat().st_size == size
    assert (tool("nobody").returncode, tool("nobody").stderr.strip()) == (1, "Bad credentials")
    (work / "bad.txt").write_text('SDY1/"; touch pwned; "\n')
    done = tool("demo", "bad.txt")
    assert done.returncode == 1
    assert "There is no file or folder" in done.stderr
    assert not (work / "pwned").exists()


def shell_script() -> str:
    text = document("002")
    found = re.search(r"^#!/bin/bash\n.*?(?=^Results$)", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[0]


def test_the_shell_script_s_token(demo: Demo, site: str, run: Run) -> None:
    script = shell_script().replace("https://www.immport.org", site).replace("REPLACE_WITH_USERNAME", "demo")
    script = script.replace("REPLACE_WITH_PASSWORD", demo.users["demo"])
    token_line = next(line for line in script.splitlines() if line.startswith("export token="))
    done = run(f'{token_line}\nprintf %s "$token"\n', argv=("bash",))
    assert re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){2}", done.stdout)
    answer = requests.get(f"{site}/auth/userinfo", headers={"Authorization": f"bearer {done.stdout}"}, timeout=30)
    assert answer.json()["sub"] == "demo"


def test_the_shell_script_runs_whole(demo: Demo, site: str, run: Run) -> None:
    """Both lines, as they stand; what it prints begins with the two rows that the page shows, to the byte."""
    script = shell_script().replace("https://www.immport.org", site).replace("REPLACE_WITH_USERNAME", "demo")
    done = run(script.replace("REPLACE_WITH_PASSWORD", demo.users["demo"]), argv=("bash",))
    shown = re.search(r"^Results\n(\[ \{\n.*?\n\}),\.+", document("002"), re.MULTILINE | re.DOTALL)
    assert shown is not None
    assert done.stdout.startswith(shown[1])
    rows = json.loads(done.stdout)
    assert {row["studyAccession"] for row in rows} == {"SDY2", "SDY4"}
    # an analyte's accession stands where it is known
    assert {tuple(name for name in row if name != "analyteAccession") for row in rows} == {tuple(rows[0])}
