"""The Postman collection that is shipped: written from the queries, and every request of it answered."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from .conftest import Demo

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "examples" / "immport.postman_collection.json"


def generator() -> Any:
    spec = importlib.util.spec_from_file_location("postman", ROOT / "docs" / "postman.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def items(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for child in node["item"]:
        if "request" in child:
            yield child
        else:
            yield from items(child)


def test_the_collection_is_up_to_date() -> None:
    assert FILE.read_text(encoding="utf-8") == generator().text(), "python docs/postman.py"


def test_every_request_is_answered(demo: Demo) -> None:
    collection = json.loads(FILE.read_text(encoding="utf-8"))
    values = {entry["key"]: entry["value"] for entry in collection["variable"]}
    values |= {"baseUrl": demo.base.removesuffix("/api"), "username": "demo", "password": demo.users["demo"]}

    def filled(text: str) -> str:
        return re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], text)

    bad = []
    count = 0
    with requests.Session() as http:
        http.trust_env = False
        if http.get(f"{values['baseUrl']}/data/query/result/elisa", timeout=30).status_code == 404:
            pytest.skip("this tree has no result queries yet")
        for item in items(collection):
            request = item["request"]
            body = request.get("body", {})
            headers = {entry["key"]: entry["value"] for entry in request["header"]}
            if request.get("auth", collection["auth"])["type"] == "bearer":
                headers["Authorization"] = f"Bearer {values['token']}"
            data: Any = filled(body["raw"]) if body.get("mode") == "raw" else None
            if body.get("mode") == "urlencoded":
                data = {field["key"]: filled(field["value"]) for field in body["urlencoded"]}
            answer = http.request(
                request["method"], filled(request["url"]["raw"]), headers=headers, data=data, timeout=60
            )
            count += 1
            if item["name"] == "Sign in":
                values["token"] = answer.json()["access_token"]
                manifest = http.get(
                    f"{values['baseUrl']}/data/query/api/study/manifest/SDY1?fileType=result_file",
                    headers={"Authorization": f"Bearer {values['token']}"},
                    timeout=60,
                ).json()
                values["fileUUID"] = next(row["fileUUID"] for row in manifest if row["path"].endswith(".52628.fcs"))
            if answer.status_code != 200:
                bad.append((item["name"], answer.status_code, answer.text[:200]))
    assert bad == []
    assert count > 120
