"""Limits of what is taken in, and what a refused package leaves behind: nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from packhorse.server.app import create_app
from packhorse.server.config import ServerConfig
from packhorse.server.db.immport_uploads import Registration
from packhorse.server.immport.settings import ImmPortSettings
from packhorse.server.users import add_api_key, add_user

from ..asgi import Answer, Client  # noqa: TID252 - the tests' own package has no absolute name

KEY = "k" * 40


class Small:
    """A server that takes 10,000 bytes in two files."""

    def __init__(self, home: Path) -> None:
        app = create_app(ServerConfig(home=home, immport=ImmPortSettings(package_size=10_000, package_files=2)))
        self.home = app.state.home
        self.client = Client(app)
        with self.home.database.write() as session:
            add_api_key(session, add_user(session, "ada", "a long password"), key=KEY)
        headers = {"Authorization": f"Bearer {KEY}"}
        self.workspace = self.client.get("/workspaces", headers).json()["workspaces"][0]["workspaceId"]

    def send(self, *parts: str) -> Answer:
        fields = {"workspaceId": str(self.workspace), "packageName": "p", "uploadPurpose": "validateData"}
        form = "".join(
            f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
        )
        body = form + "".join(f"--x\r\n{part}\r\n" for part in parts) + "--x--\r\n"
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "multipart/form-data; boundary=x"}
        return self.client.request("POST", "/data/upload/type/online", headers, body.encode())

    def left(self) -> list[Path]:
        """Objects on disk, and tickets."""
        with self.home.database.read() as session:
            assert session.scalar(select(func.count()).select_from(Registration)) == 0
        return [path for path in (self.home.config.objects / "uploads").rglob("*") if path.is_file()]


def part(name: str, content: str = "x", field: str = "file") -> str:
    return f'Content-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n{content}'


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    made = Small(tmp_path / "home")
    yield made
    made.home.jobs.stop()
    made.home.database.close()


@pytest.mark.parametrize(
    ("parts", "status", "words"),
    [
        ([part("a.txt"), part("b.txt", "y" * 20_000)], 413, "10,000 bytes"),
        ([part("a.txt"), part("b.txt"), part("c.txt")], 413, "2 files"),
        ([part("a.txt"), part("b.txt", field="other")], 400, "field 'file', not 'other'"),
        ([part("a.txt"), part("..")], 400, "no name"),
        ([part("a.txt"), "Content-Disposition: form-data; name=workspaceId\r\n\r\nnonsense"], 400, "must be a number"),
        ([part("a.txt"), "X: y\r\n" * 30 + "\r\nz"], 400, "cannot be read"),
        ([part("a.txt"), f"X: {'y' * 9000}\r\nX: {'y' * 9000}\r\n\r\nz"], 413, "bytes"),
    ],
    ids=["size", "files", "field", "name", "workspace", "headers", "long"],
)
def test_a_refused_package_leaves_nothing(small: Small, parts: list[str], status: int, words: str) -> None:
    answer = small.send(*parts)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["message"]
    assert small.left() == []


def test_what_fits_is_taken(small: Small) -> None:
    answer = small.send(part("a.txt"), part("b.txt", ""))
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "Pending_Validation"
