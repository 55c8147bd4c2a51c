"""A server that is killed while it validates: the ticket goes on after its restart, without anybody asking."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path

import pytest
import requests
from tests.immport_upload import SAMPLE_COLUMNS, sample, template, with_files, zipped

from ..conftest import end, start  # noqa: TID252 - the tests' own package has no absolute name

pytestmark = pytest.mark.slow


def test_a_validation_goes_on_after_a_kill(tmp_path: Path) -> None:
    rows = [sample(f"sample {number}", "mouse 1") for number in range(60_000)]
    rows[-1][1] = ""  # the last row is wrong: who finds that has read them all
    package = zipped(with_files(bioSamples_txt=template("bioSamples", SAMPLE_COLUMNS, *rows)))
    home = tmp_path / "home"
    process, ready = start(home, "--demo")
    killed = False
    try:
        user = next(one for one in ready["users"] if one["username"] == "demo")
        headers = {"Authorization": f"bearer {user['filesender_api_key']}"}
        held = requests.get(f"{ready['url']}/workspaces", headers=headers, timeout=30).json()["workspaces"]
        form = {"workspaceId": str(held[0]["workspaceId"]), "packageName": "", "uploadPurpose": "validateData"}
        sent = requests.post(
            f"{ready['url']}/data/upload/type/online", headers=headers, data=form, files={"file": ("a.zip", package)},
            timeout=60,
        )  # fmt: skip
        ticket = sent.json()["uploadTicketNumber"]

        def ask() -> None:
            with contextlib.suppress(requests.RequestException):
                requests.post(
                    f"{ready['url']}/data/upload/validation", headers=headers, data={"uploadTicketNumber": ticket},
                    timeout=60,
                )  # fmt: skip

        asking = threading.Thread(target=ask)
        asking.start()
        time.sleep(0.7)  # under way, or not begun yet: both must go on
        process.kill()
        process.communicate()
        killed = True
        asking.join(60)
    finally:
        if not killed:
            process.kill()
            process.communicate()
    process, ready = start(home, "--demo")
    try:
        url = f"{ready['url']}/data/upload/registration/{ticket}"
        until = time.monotonic() + 150
        while (status := requests.get(f"{url}/status", headers=headers, timeout=30).json()["status"]).startswith("P"):
            assert time.monotonic() < until, status
            time.sleep(0.5)
        assert status == "Rejected_Validation"
        report = requests.get(f"{url}/reports/database", headers=headers, timeout=30).json()["database"]
        assert "bioSamples.txt\t60003\tError\t'Type' is empty" in report
    finally:
        end(process)
