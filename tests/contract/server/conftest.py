"""One demo server process for the whole session, and small helpers to talk to it by plain HTTP."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

SOURCE = Path(__file__).resolve().parents[3] / "src"


def start(home: Path, *more: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """A server process and its ready line."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-m", "packhorse.server.run", "--home", str(home), "--port", "0", "--ready-json", *more]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], 60)
    line = process.stdout.readline() if readable else ""
    if not line:
        process.kill()
        pytest.fail(f"the server did not start: {process.communicate()[1]}")
    return process, json.loads(line)


def end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """End a server with SIGTERM: its exit code and what it wrote."""
    process.send_signal(signal.SIGTERM)
    try:
        out, err = process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        pytest.fail("the server did not end within 20 s of SIGTERM")
    return process.returncode, out, err


@dataclass
class Demo:
    """The running demo server. ``get`` takes paths below ``/api``."""

    url: str
    users: dict[str, dict[str, str]]
    home: Path
    http: requests.Session

    @property
    def api(self) -> str:
        return self.url + "/api"

    def get(self, path: str, user: str | None = None, **options: Any) -> requests.Response:
        headers = {"Accept-Encoding": "identity", **options.pop("headers", {})}
        if user is not None:
            headers["Authorization"] = f"Bearer {self.users[user]['filesender_api_key']}"
        method = options.pop("method", "GET")
        return self.http.request(method, self.api + path, headers=headers, timeout=30, allow_redirects=False, **options)

    def json(self, path: str, user: str | None = None, **options: Any) -> Any:
        answer = self.get(path, user, **options)
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        return answer.json()

    def login(self, user: str) -> requests.Response:
        entry = self.users[user]
        body = {"username": user, "password": entry["password"]}
        return requests.post(self.api + "/login", json=body, timeout=30)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    home = tmp_path_factory.mktemp("demo-home") / "home"
    process, ready = start(home, "--demo")
    with requests.Session() as http:
        http.trust_env = False
        yield Demo(ready["url"], {user["username"]: user for user in ready["users"]}, home, http)
    code, out, err = end(process)
    assert code == 0
    assert out == ""  # the ready line was the only one
    assert "Traceback" not in err, err
