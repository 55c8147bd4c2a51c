"""One application for these tests, with a small awkward study, a restricted one, and SDY139 where it is present."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from packhorse.server.app import create_app
from packhorse.server.config import ServerConfig
from packhorse.server.immport.packages import import_package
from packhorse.server.users import add_share, create_api_key, create_user, find_user

from ..asgi import Answer, Client  # noqa: TID252 - the tests are no package of their own
from .packages import awkward, restricted

REAL = Path(__file__).resolve().parents[5] / "shared" / "data" / "SDY139-DR25_Tab.zip"


@dataclass
class Site:
    """The application; ``get`` takes paths below ``/data/query``, or whole ones, and signs in unless ``user`` is
    ``None``."""

    app: Any
    config: ServerConfig
    keys: dict[str, str]

    def get(self, path: str, user: str | None = "anna", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if user is not None:
            named["Authorization"] = f"bearer {self.keys[user]}"
        answer = Client(self.app).get(path if path.startswith("/") else f"/data/query/{path}", named)
        assert answer.complete
        return answer

    def json(self, path: str, user: str | None = "anna") -> Any:
        answer = self.get(path, user)
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        assert answer.headers["content-type"] == "application/json"
        return answer.json()

    @property
    def database(self) -> Any:
        return self.app.state.home.database


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("immport-query")
    config = ServerConfig(home=folder / "home")
    config.prepare()
    report = import_package(config, awkward(folder / "SDY31-DR25_Tab.zip"))
    assert not report.problems
    import_package(config, restricted(folder / "SDY32-DR25_Tab.zip"), restricted=True)
    if REAL.exists():
        import_package(config, REAL)
    keys = {}
    for name in ("anna", "guest"):
        create_user(config, name, "a long password", email=f"{name}@example.org")
        keys[name] = create_api_key(config, name)
    app = create_app(config)
    with app.state.home.database.write() as session:
        add_share(session, "study", 32, find_user(session, "guest"), 1)
    yield Site(app, config, keys)
    app.state.home.database.close()


@pytest.fixture
def real(site: Site) -> Site:
    if not REAL.exists():
        pytest.skip("the package of SDY139 is not here")
    return site
