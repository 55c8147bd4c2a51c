"""Every Python and curl example of the guide runs against our server.

Of the text only import, host, credentials and ids are substituted; what calls an example's function is ours.
"""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import threading
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from .conftest import Demo, Run, md5_of
from .guide import Example, substituted

CURL = "Download individual files with authentication:"
CLIENT = "The flowbio client provides convenient download methods:"
DATA_FILES = "Download Data Files"
EXECUTION = "Download Execution Results"
STREAMING = "For large files, use streaming to avoid memory issues:"
ALL_SAMPLE = "Download All Sample Data"
ALL_EXECUTION = "Download Execution Results (2)"
PROJECT = "Batch Download Projects"
PARALLEL = "Parallel Downloads"
RESUME = "Resume Interrupted Downloads"
SECURE = "Secure Token Handling"
VERIFY = "Verify Downloads"
ROBUST = "Robust Error Handling"
SPACE = "1. Check Available Space"
PROGRESS = "2. Use Progress Indicators"
ORGANIZE = "3. Organize Downloads"
LOG = "4. Log Downloads"
BULK = "Create Bulk Download Job"
BULK_REST = "Using REST API"
MONITOR = "Monitor Download Status"
LIFECYCLE = "Download Job Lifecycle"

REFUSALS = {"Authentication Failed": 401, "File Not Found": 404, "Permission Denied": 403, "Download Expired": 410}
RUN_HERE = {
    CURL,
    CLIENT,
    DATA_FILES,
    EXECUTION,
    STREAMING,
    ALL_SAMPLE,
    ALL_EXECUTION,
    PROJECT,
    PARALLEL,
    RESUME,
    SECURE,
    VERIFY,
    ROBUST,
    SPACE,
    PROGRESS,
    ORGANIZE,
    LOG,
    BULK,
    BULK_REST,
    MONITOR,
    LIFECYCLE,
    *REFUSALS,
}
FIRST_READS, SECOND_READS = "WT_rep1_R1.fastq.gz", "WT_rep1_R2.fastq.gz"
OUTPUTS = (
    "multiqc_report.html",
    "pipeline_report.html",
    "results/counts/all.gene_counts.tsv",
    "results/salmon/salmon.merged.gene_tpm.tsv",
)


@pytest.fixture(scope="session")
def token(demo: Demo) -> str:
    return str(post(f"{demo.base}/login", {"username": "demo", "password": demo.users["demo"]})["token"])


def post(url: str, body: object) -> dict[str, object]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return dict(json.load(answer))


def get(url: str, token: str | None = None) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with closing(error):
            return error.code, error.read()


@pytest.fixture(scope="session")
def originals(demo: Demo, token: str) -> dict[str, bytes]:
    """What the files really hold, fetched with neither our client nor our engine."""
    found: dict[str, bytes] = {}
    for data_id, name in ((789, FIRST_READS), (790, SECOND_READS), (791, "WT_rep2_R1.fastq.gz")):
        found[name] = get(f"{demo.base}/downloads/{data_id}/{name}", token)[1]
    for path in OUTPUTS:
        found[path] = get(f"{demo.base}/executions/456/{path}", token)[1]
    assert all(found.values())
    return found


def signed_in(demo: Demo) -> str:
    """The lines that the guide's examples take for granted."""
    return (
        "import os, sys, time, requests\n"
        "import packhorse.portals.flow as flowbio\n"
        "client = flowbio.Client()\n"
        f"client.login('demo', {demo.users['demo']!r})\n"
    )


def test_every_example_is_run_here(guide: dict[str, Example]) -> None:
    assert set(guide) == RUN_HERE
    assert sum(example.kind == "python" for example in guide.values()) >= 17


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs the curl command: apt install curl")
def test_direct_download(
    guide: dict[str, Example], run: Run, work: Path, demo: Demo, token: str, originals: dict[str, bytes]
) -> None:
    changes = {
        "https://api.flow.bio": demo.base,
        "<token>": token,
        "<data_id>": "789",
        "<filename>": FIRST_READS,
        "<execution_id>": "456",
    }
    run(substituted(guide[CURL], changes), argv=("sh", "-e"))
    assert (work / "output.fastq.gz").read_bytes() == originals[FIRST_READS]
    assert (work / "report.html").read_bytes() == originals["multiqc_report.html"]


def test_the_python_client(
    guide: dict[str, Example], run: Run, work: Path, demo: Demo, originals: dict[str, bytes]
) -> None:
    changes = {
        "import flowbio": "import packhorse.portals.flow as flowbio",
        '"username", "password"': f'"demo", "{demo.users["demo"]}"',
    }
    done = run(substituted(guide[CLIENT], changes))
    assert (work / "local_file.fastq.gz").read_bytes() == originals[FIRST_READS]
    size = len(originals[FIRST_READS])
    assert f"local_file.fastq.gz: 100.0% ({size:,} of {size:,} bytes)" in done.stderr


def test_data_files(guide: dict[str, Example], run: Run, work: Path, demo: Demo, originals: dict[str, bytes]) -> None:
    done = run(signed_in(demo) + guide[DATA_FILES].text)
    size = len(originals[FIRST_READS])
    assert done.stdout.splitlines() == [f"File: {FIRST_READS}", f"Size: {size:,} bytes"]
    assert (work / "downloads" / FIRST_READS).read_bytes() == originals[FIRST_READS]


def test_execution_results(
    guide: dict[str, Example], run: Run, work: Path, demo: Demo, originals: dict[str, bytes]
) -> None:
    done = run(signed_in(demo) + guide[EXECUTION].text)
    assert done.stdout.splitlines() == [f"- {path} ({len(originals[path]):,} bytes)" for path in OUTPUTS]
    assert (work / "results" / "multiqc_report.html").read_bytes() == originals["multiqc_report.html"]


def test_streaming(
    guide: dict[str, Example], run: Run, work: Path, demo: Demo, token: str, originals: dict[str, bytes]
) -> None:
    url = f"{demo.base}/downloads/789/{FIRST_READS}"
    done = run(f"{guide[STREAMING].text}\ndownload_streaming({url!r}, 'reads.gz', {token!r})\n")
    assert (work / "reads.gz").read_bytes() == originals[FIRST_READS]
    assert "Progress: 100.0%" in done.stdout
    assert done.stdout.endswith("Download complete!\n")


def test_all_sample_data(
    guide: dict[str, Example], run: Run, work: Path, demo: Demo, originals: dict[str, bytes]
) -> None:
    done = run(f"{signed_in(demo)}{guide[ALL_SAMPLE].text}\ndownload_sample_data(client, 12, 'samples')\n")
    for name in (FIRST_READS, SECOND_READS):
        assert (work / "samples" / "WT_rep1" / name).read_bytes() == originals[name]
        assert f"{name}: 100.0%" in done.stderr
    assert done.stdout.endswith("✓ Downloaded 2 files for WT_rep1\n")


def test_all_execution_results(
    guide: dict[str, Example], run: Run, work: Path, demo: Demo, originals: dict[str, bytes]
) -> None:
    text = guide[ALL_EXECUTION].text
    # The same function over a list with an output that is not there: it is reported, the others still come.
    missing = substituted(guide[ALL_EXECUTION], {"pipeline_report.html": "no_such_report.html"})
    done = run(
        f"{signed_in(demo)}{text}\ndownload_execution_results(client, 456, 'here')\n"
        f"{missing}\ndownload_execution_results(client, 456, 'there')\n"
    )
    for path in OUTPUTS:
        assert (work / "here" / "execution_456" / path).read_bytes() == originals[path]
        assert f"✓ Downloaded {path}" in done.stdout
    assert re.search(r"✗ Failed to download no_such_report\.html: .*not found", done.stdout, re.IGNORECASE)
    assert not (work / "there" / "execution_456" / "no_such_report.html").exists()
    assert (work / "there" / "execution_456" / OUTPUTS[3]).read_bytes() == originals[OUTPUTS[3]]


def test_batch_project(
    guide: dict[str, Example], run: Run, work: Path, demo: Demo, originals: dict[str, bytes]
) -> None:
    run(
        f"{signed_in(demo)}{guide[ALL_SAMPLE].text}\n{guide[PROJECT].text}\n"
        "download_project_data(client, 3, 'projects')\n"
    )
    folder = work / "projects" / "T_cell_activation"
    assert (folder / "WT_rep1" / FIRST_READS).read_bytes() == originals[FIRST_READS]
    assert (folder / "WT_rep2" / "WT_rep2_R1.fastq.gz").read_bytes() == originals["WT_rep2_R1.fastq.gz"]


def test_bulk_job(guide: dict[str, Example], run: Run, work: Path, demo: Demo, originals: dict[str, bytes]) -> None:
    done = run(f"{signed_in(demo)}{guide[BULK].text}\n{guide[MONITOR].text}")
    created, state, ready = done.stdout.splitlines()[:3]
    assert re.fullmatch(r"Download job created: [0-9a-f-]{36}", created)
    assert state == "Status: completed"  # nothing has to be built
    assert ready.startswith(f"Ready to download: {demo.base}/downloads/")
    with zipfile.ZipFile(work / "dataset.zip") as opened:
        assert opened.testzip() is None
        assert {name: opened.read(name) for name in opened.namelist()} == {
            name: originals[name] for name in (FIRST_READS, SECOND_READS, "WT_rep2_R1.fastq.gz")
        }


def expired_job(demo: Demo, token: str) -> str:
    """A job that was completed more than a day ago."""
    body = json.dumps({"data_ids": [789]}).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    with urllib.request.urlopen(urllib.request.Request(f"{demo.base}/downloads", body, headers), timeout=20) as answer:
        job_id = str(json.load(answer)["id"])
    with sqlite3.connect(demo.home / "packhorse.db", timeout=30) as database:
        database.execute("UPDATE bulk_jobs SET finished = finished - 90000 WHERE id = ?", (job_id,))
    database.close()
    return job_id


def test_a_bulk_job_that_is_over(guide: dict[str, Example], run: Run, demo: Demo, token: str) -> None:
    job_id = expired_job(demo, token)
    asked = f"{signed_in(demo)}job = client.get_download_status({job_id!r})\n{guide[MONITOR].text}"
    assert run(asked).stdout.strip() == "Download failed: Download link has expired"


def test_bulk_job_by_rest(guide: dict[str, Example], run: Run, demo: Demo, token: str) -> None:
    text = substituted(guide[BULK_REST], {"https://api.flow.bio": demo.base, "<token>": token})
    job = json.loads(run(text, argv=("sh", "-e")).stdout)
    assert job["name"] == "my_dataset.zip"
    states = set(re.findall(r"\b(pending|processing|completed|expired|failed)\b", guide[LIFECYCLE].text.lower()))
    assert job["status"] in states
    assert get(job["download_url"], token)[0] == 200


def test_parallel(guide: dict[str, Example], run: Run, work: Path, demo: Demo, originals: dict[str, bytes]) -> None:
    files = [(f"/downloads/789/{FIRST_READS}", "a.gz"), (f"/downloads/790/{SECOND_READS}", "b.gz")]
    files += [(f"/executions/456/{path}", Path(path).name) for path in OUTPUTS] + [("/downloads/999999/no.gz", "no.gz")]
    done = run(f"{signed_in(demo)}{guide[PARALLEL].text}\nparallel_download(client, {files!r})\n")
    assert (work / "a.gz").read_bytes() == originals[FIRST_READS]
    assert (work / "b.gz").read_bytes() == originals[SECOND_READS]
    for path in OUTPUTS:
        assert (work / Path(path).name).read_bytes() == originals[path]
    assert done.stdout.count("✓ Downloaded: ") == 6
    assert done.stdout.count("✗ Download failed: ") == 1


@pytest.mark.parametrize("held", [None, 0, 1, 1_000_000])
def test_resume(
    guide: dict[str, Example],
    run: Run,
    work: Path,
    demo: Demo,
    token: str,
    originals: dict[str, bytes],
    held: int | None,
) -> None:
    if held is not None:
        (work / "reads.gz").write_bytes(originals[FIRST_READS][:held])
    url = f"{demo.base}/downloads/789/{FIRST_READS}"
    call = f"import os, requests\n{guide[RESUME].text}\ndownload_with_resume({url!r}, 'reads.gz', {token!r})\n"
    done = run(call)
    assert (work / "reads.gz").read_bytes() == originals[FIRST_READS]
    assert ("Resuming download from byte" in done.stdout) == (held is not None)
    assert "Progress: 100.0%" in done.stdout


KEYRING = '''
import json, os
import keyring.backend

class FileRing(keyring.backend.KeyringBackend):
    """Passwords in a JSON file: {"service": {"account": "password"}}."""
    priority = 1
    def get_password(self, service, username):
        with open(os.environ["TEST_KEYRING_FILE"]) as file:
            return json.load(file).get(service, {}).get(username)
    def set_password(self, service, username, password):
        raise NotImplementedError
    def delete_password(self, service, username):
        raise NotImplementedError
'''


@pytest.fixture
def keyring_environ(tmp_path: Path, environ: dict[str, str], token: str) -> dict[str, str]:
    """A keyring that holds demo's token under the guide's service, found as users' backends are found."""
    (tmp_path / "rings").mkdir()
    (tmp_path / "rings" / "file_ring.py").write_text(KEYRING)
    (tmp_path / "ring.json").write_text(json.dumps({"flow-api": {"demo": token}}))
    return {
        "PYTHONPATH": f"{environ['PYTHONPATH']}:{tmp_path / 'rings'}",
        "PYTHON_KEYRING_BACKEND": "file_ring.FileRing",
        "TEST_KEYRING_FILE": str(tmp_path / "ring.json"),
    }


@pytest.mark.parametrize("where", ["keyring", "environment", "nowhere"])
def test_secure_token_handling(
    guide: dict[str, Example],
    run: Run,
    work: Path,
    demo: Demo,
    token: str,
    originals: dict[str, bytes],
    keyring_environ: dict[str, str],
    where: str,
) -> None:
    account = "demo" if where == "keyring" else "somebody"
    url = f"{demo.base}/downloads/789/{FIRST_READS}"
    program = f"import requests\n{guide[SECURE].text}\nloader = SecureDownloader({account!r})\n"
    if where == "nowhere":
        program += f"try:\n    loader.download({url!r}, 'no.gz')\nexcept ValueError as e:\n    print(e)\n"
        assert run(program, **keyring_environ).stdout == "No access token available\n"
        return
    extra = {"FLOW_ACCESS_TOKEN": token} if where == "environment" else {}
    run(program + f"loader.download({url!r}, 'reads.gz')\n", **keyring_environ, **extra)
    assert (work / "reads.gz").read_bytes() == originals[FIRST_READS]


@pytest.mark.parametrize("where", ["keyring", "environment"])
def test_our_client_finds_the_same_token(
    run: Run, work: Path, token: str, originals: dict[str, bytes], keyring_environ: dict[str, str], where: str
) -> None:
    """The guide's keyring entry and variable, without a line of code about them."""
    extra = {"FLOW_ACCESS_TOKEN": token} if where == "environment" else {"PACKHORSE_FLOW_USERNAME": "demo"}
    run(
        "from packhorse.portals.flow import Client\n"
        f"Client().download_file('/downloads/789/{FIRST_READS}', 'reads.gz')\n",
        **keyring_environ,
        **extra,
    )
    assert (work / "reads.gz").read_bytes() == originals[FIRST_READS]


def test_verify(guide: dict[str, Example], run: Run, work: Path, demo: Demo, originals: dict[str, bytes]) -> None:
    done = run(signed_in(demo) + guide[VERIFY].text + "print(verify_download('file.fastq.gz', '0' * 32))\n")
    good = md5_of(work / "file.fastq.gz")
    assert (work / "file.fastq.gz").read_bytes() == originals[FIRST_READS]
    assert done.stdout.splitlines() == [
        "✓ Verification passed: file.fastq.gz",
        "File is valid",
        "✗ Verification failed: file.fastq.gz",
        f"  Expected: {'0' * 32}",
        f"  Got:      {good}",
        "False",
    ]


@pytest.mark.parametrize("key", sorted(REFUSALS))
def test_refusals_are_the_guide_s_bodies(guide: dict[str, Example], demo: Demo, token: str, key: str) -> None:
    other = str(post(f"{demo.base}/login", {"username": "other", "password": demo.users["other"]})["token"])
    name, credential = {
        401: (f"789/{FIRST_READS}", "not.a.token"),
        403: (f"789/{FIRST_READS}", other),
        404: ("999999/no.gz", token),
        410: (expired_job(demo, token), token),
    }[REFUSALS[key]]
    status, body = get(f"{demo.base}/downloads/{name}", credential)
    assert status == REFUSALS[key]
    assert json.loads(body) == json.loads(guide[key].text)


# "Robust Error Handling": success, 401 and renewal, 404, 403, a server that is not there, an empty file.


def test_safe_download_succeeds_and_shows_progress(
    guide: dict[str, Example], run: Run, work: Path, demo: Demo, originals: dict[str, bytes]
) -> None:
    done = run(
        f"{signed_in(demo)}{guide[ROBUST].text}\n"
        f"print(safe_download(client, '/downloads/789/{FIRST_READS}', 'reads.gz'))\n"
    )
    assert done.stdout.splitlines() == ["✓ Successfully downloaded: reads.gz", "True"]
    assert (work / "reads.gz").read_bytes() == originals[FIRST_READS]


def test_safe_download_gives_up_on_404_and_names_403(
    guide: dict[str, Example], run: Run, work: Path, demo: Demo
) -> None:
    done = run(
        f"{signed_in(demo)}{guide[ROBUST].text}\n"
        "print(safe_download(client, '/downloads/999999/no.gz', 'no.gz'))\n"
        f"client.login('other', {demo.users['other']!r})\n"
        f"print(safe_download(client, '/downloads/789/{FIRST_READS}', 'no.gz'))\n"
    )
    lines = done.stdout.splitlines()
    assert lines[:2] == ["File not found: /downloads/999999/no.gz", "False"]
    assert len([line for line in lines if line.startswith("HTTP error 403: ")]) == 3
    assert lines[-2:] == ["✗ Failed to download after 3 attempts", "False"]
    assert not (work / "no.gz").exists()


def test_safe_download_waits_for_a_server_that_is_not_there(guide: dict[str, Example], run: Run, work: Path) -> None:
    done = run(
        "import os, time, requests\nfrom packhorse.portals.flow import Client\n"
        f"client = Client('http://127.0.0.1:9/api')\n{guide[ROBUST].text}\n"
        "print(safe_download(client, '/downloads/789/x.gz', 'x.gz', max_retries=1))\n"
    )
    assert done.stdout.splitlines() == [
        "Connection error (attempt 1/1)",
        "✗ Failed to download after 1 attempts",
        "False",
    ]
    assert not (work / "x.gz").exists()


class _Refusing(BaseHTTPRequestHandler):
    """In front of the real server: the first three requests for bytes are told that their token is no good.

    Two refusals our client settles by itself (the next test); the third reaches the guide's own handler.
    """

    behind = ""
    left = 3
    renewals = 0

    def do_GET(self) -> None:
        kind = type(self)
        if self.path.endswith("/token"):
            kind.renewals += 1
        if "/executions/456/" in self.path and kind.left:
            kind.left -= 1
            self._answer(401, b'{"error":"Invalid or expired token","code":"UNAUTHENTICATED","status":401}', {})
        else:
            self._pass_on(None)

    def do_POST(self) -> None:
        self._pass_on(self.rfile.read(int(self.headers["Content-Length"])))

    def _pass_on(self, body: bytes | None) -> None:
        names = ("Authorization", "Cookie", "Content-Type", "Range", "If-Range")
        headers = {name: self.headers[name] for name in names if self.headers[name]}
        request = urllib.request.Request(self.behind + self.path, body, headers, method=self.command)
        with urllib.request.urlopen(request, timeout=20) as answer:
            names = ("Content-Type", "Content-Range", "ETag", "Set-Cookie")
            self._answer(answer.status, answer.read(), {n: answer.headers[n] for n in names if answer.headers[n]})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body)), "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def refusing(demo: Demo) -> Iterator[type[_Refusing]]:
    handler = type("Handler", (_Refusing,), {"behind": demo.base.removesuffix("/api"), "left": 3, "renewals": 0})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.base = f"http://127.0.0.1:{server.server_address[1]}/api"  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


def test_safe_download_refreshes_on_401(
    guide: dict[str, Example],
    run: Run,
    work: Path,
    demo: Demo,
    originals: dict[str, bytes],
    refusing: type[_Refusing],
) -> None:
    done = run(
        f"{signed_in(demo)}{guide[ROBUST].text}\n"
        f"print(safe_download(client, '/executions/456/{OUTPUTS[0]}', 'report.html'))\n",
        FLOW_API_URL=refusing.base,  # type: ignore[attr-defined]
    )
    assert done.stdout.splitlines() == [
        "Authentication failed, refreshing token...",
        "✓ Successfully downloaded: report.html",
        "True",
    ]
    assert refusing.renewals == 3
    assert (work / "report.html").read_bytes() == originals[OUTPUTS[0]]


def test_a_token_that_expires_is_renewed_without_a_word(
    guide: dict[str, Example], run: Run, work: Path, short_lived: Demo
) -> None:
    done = run(
        f"{signed_in(short_lived)}{guide[ROBUST].text}\ntime.sleep(2.5)\nold = client.access_token\n"
        f"print(safe_download(client, '/downloads/789/{FIRST_READS}', 'reads.gz'))\n"
        "print(client.access_token != old)\n",
        FLOW_API_URL=short_lived.base,
    )
    assert done.stdout.splitlines() == ["✓ Successfully downloaded: reads.gz", "True", "True"]


# "Best Practices".


def test_disk_space(guide: dict[str, Example], run: Run) -> None:
    done = run(
        f"{guide[SPACE].text}\ncheck_disk_space('.', 1)\n"
        "try:\n    check_disk_space('.', 10**18)\nexcept IOError as e:\n    print(e)\n"
    )
    assert done.stdout.startswith("Insufficient disk space. Required: 1,000,000,000,000,000,000 bytes, Available: ")


def test_progress_bar(
    guide: dict[str, Example], run: Run, work: Path, demo: Demo, token: str, originals: dict[str, bytes]
) -> None:
    url = f"{demo.base}/downloads/789/{FIRST_READS}"
    done = run(f"import requests\n{guide[PROGRESS].text}\ndownload_with_progress({url!r}, 'reads.gz', {token!r})\n")
    assert (work / "reads.gz").read_bytes() == originals[FIRST_READS]
    assert "100%" in done.stderr


def test_organize(guide: dict[str, Example], run: Run, work: Path, demo: Demo, originals: dict[str, bytes]) -> None:
    report = OUTPUTS[0]
    wanted = [
        {
            "type": "sample",
            "name": "WT_rep1",
            "id": 789,
            "filename": FIRST_READS,
            "url": f"/downloads/789/{FIRST_READS}",
        },
        {"type": "execution", "name": "run", "id": 456, "filename": report, "url": f"/executions/456/{report}"},
        {"type": "data", "name": "x", "id": 790, "filename": SECOND_READS, "url": f"/downloads/790/{SECOND_READS}"},
    ]
    run(f"{signed_in(demo)}{guide[ORGANIZE].text}\norganize_downloads(client, {wanted!r})\n")
    assert (work / "downloads" / "samples" / "WT_rep1" / FIRST_READS).read_bytes() == originals[FIRST_READS]
    assert (work / "downloads" / "executions" / "456" / report).read_bytes() == originals[report]
    assert (work / "downloads" / "data" / SECOND_READS).read_bytes() == originals[SECOND_READS]


def test_log(guide: dict[str, Example], run: Run, work: Path, demo: Demo) -> None:
    run(
        f"{signed_in(demo)}{guide[LOG].text}\nlogger = setup_download_logging()\ndata = client.get_data(789)\n"
        "client.download_file(data.download_url, data.filename)\nlog_download(logger, data)\n"
    )
    lines = (work / "downloads.log").read_text().splitlines()
    logged = [json.loads(line.partition(" - ")[2]) for line in lines]
    assert len(logged) == 1  # our library writes nothing into a program's log at this level
    assert logged[0]["action"] == "download"
    assert (logged[0]["file_id"], logged[0]["filename"]) == ("789", FIRST_READS)
    assert logged[0]["size"] == (work / FIRST_READS).stat().st_size
