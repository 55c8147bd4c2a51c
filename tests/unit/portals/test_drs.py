"""``drs://`` addresses over a scripted server: objects, bundles, ways to the bytes, refusals."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from packhorse.errors import AuthenticationError, ExitCode, NotFoundError, PermissionDeniedError
from packhorse.model import ProofLevel
from packhorse.session import Session
from packhorse.settings import Settings

from .conftest import Answer, Asked, Script

BASE = "/ga4gh/drs/v1/objects"
DATA = b"the object" * 1000


def session(script: Script, tmp_path: Path, **environ: str) -> Session:
    host = script.url.removeprefix("http://")
    config = tmp_path / "config.toml"
    config.write_text(f'[remotes.lab]\nkind = "immport"\nurl = "{script.url}"\nkeyring = false\n')
    assert host
    return Session(Settings.load({"PACKHORSE_HOME": str(tmp_path), "HOME": str(tmp_path), **environ}, config))


def described(data: bytes, **more: Any) -> dict[str, Any]:
    return {
        "id": "one", "name": "a b.fcs", "size": len(data), "self_uri": "drs://x/one",
        "checksums": [
            {"type": "md5", "checksum": hashlib.md5(data).hexdigest()},
            {"type": "sha-256", "checksum": hashlib.sha256(data).hexdigest()},
        ],
        **more,
    }  # fmt: skip


def test_an_object_by_its_access_id(script: Script, tmp_path: Path) -> None:
    def bytes_(asked: Asked) -> Answer:
        assert {name.lower(): value for name, value in asked.headers.items()}["x-key"] == "k"
        assert "Authorization" not in asked.headers
        return Answer(DATA)

    def guarded(answer: Any) -> Any:
        return lambda asked: answer if asked.headers.get("Authorization") == "Bearer t0ken" else Answer({}, 401)

    access = {"url": f"{script.url}/store/one?X-Amz-Signature=s", "headers": ["X-Key: k"]}
    script.routes[f"{BASE}/one"] = guarded(described(DATA, access_methods=[{"type": "https", "access_id": "s3"}]))
    script.routes[f"{BASE}/one/access/s3"] = guarded(access)
    script.routes["/store/one"] = bytes_
    address = f"drs://{script.url.removeprefix('http://')}/one"
    with session(script, tmp_path, PACKHORSE_LAB_TOKEN="t0ken") as work:
        outcome = work.get(address, tmp_path / "out.fcs")
        assert outcome.placed[0].proof.level is ProofLevel.SHA256
        assert (tmp_path / "out.fcs").read_bytes() == DATA
        assert work.info(address)["id"] == "one"
        assert work.ls(address)[0].name == "a b.fcs"
    with session(script, tmp_path) as work, pytest.raises(AuthenticationError, match="needs a sign-in") as caught:
        work.info(address)
    assert caught.value.hint == "packhorse login lab"


def test_a_bundle_with_a_loop(script: Script, tmp_path: Path) -> None:
    host = script.url.removeprefix("http://")
    plain = {"access_methods": [{"type": "https", "access_url": {"url": f"{script.url}/bytes"}}]}
    script.routes[f"{BASE}/all"] = {"id": "all", "contents": [{"id": "one", "name": "x"}, {"id": "in", "name": "d"}]}
    script.routes[f"{BASE}/in"] = {
        "id": "in",
        "contents": [{"id": "all", "name": "again"}, {"drs_uri": [f"drs://{host}/two"], "name": "../../up"}],
    }
    script.routes[f"{BASE}/one"] = script.routes[f"{BASE}/two"] = described(DATA, **plain)
    script.routes["/bytes"] = Answer(DATA)
    with session(script, tmp_path) as work:
        outcome = work.get(f"drs://{host}/all", tmp_path / "out")
    assert not outcome.failed
    assert len(outcome.placed) == 2
    assert all(tmp_path / "out" in file.target.parents for file in outcome.placed)


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [(404, NotFoundError, ExitCode.NOT_FOUND), (403, PermissionDeniedError, ExitCode.FAILED)],
)
def test_refusals(
    script: Script, tmp_path: Path, status: int, error: type[PermissionDeniedError], code: ExitCode
) -> None:
    script.routes[f"{BASE}/one"] = Answer(json.dumps({"msg": "no", "status_code": status}).encode(), status)
    with session(script, tmp_path) as work, pytest.raises(error) as caught:
        work.info(f"drs://{script.url.removeprefix('http://')}/one")
    assert caught.value.exit_code is code


def test_no_way_by_https(script: Script, tmp_path: Path) -> None:
    script.routes[f"{BASE}/one"] = described(DATA, access_methods=[{"type": "gs", "access_url": {"url": "gs://b/o"}}])
    with session(script, tmp_path) as work:
        outcome = work.get(f"drs://{script.url.removeprefix('http://')}/one", tmp_path / "out")
    assert "no way to get it by HTTPS" in str(outcome.failed[0].error)
