"""Writes ``examples/immport.postman_collection.json`` from the queries themselves: ``python docs/postman.py``.

A test compares it with what stands in the repository, and sends every request of it to a server.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[1] / "examples" / "immport.postman_collection.json"
VARIABLES = {
    "baseUrl": "https://www.immport.org",
    "username": "REPLACE_WITH_USERNAME",
    "password": "",
    "token": "",
    "studyAccession": "SDY2",
    "experimentAccession": "EXP8311",
    "compoundRole": "Intervention",
    "pivotTable": "biosample",
    "term": "vaccine",
    "fileUUID": "REPLACE_WITH_A_fileUUID_OF_THE_MANIFEST",
    "path": "SDY1",
}
DESCRIPTION = (
    "ImmPort's APIs, as they stand in Packhorse. Set baseUrl, username and password, send 'Sign in' first: it keeps "
    "the token for the other requests. Or put an API key into the variable token. Written by docs/postman.py."
)
TITLES = {
    "result": "Assay results",
    "study": "Study data",
    "search": "Search",
    "lookup": "Lookup tables",
    "ui": "Study metadata of the web pages",
}
KEEP = "pm.collectionVariables.set('token', pm.response.json().access_token);"


def collection() -> dict[str, Any]:
    """The collection, in Postman's format v2.1."""
    from packhorse.wire.immport.queries import QUERIES

    folders = [_folder("Sign in and files", _access())]
    for group, title in TITLES.items():
        queries = [query for query in QUERIES.values() if query.group == group]
        folders.append(_folder(title, [_query(query) for query in queries]))
    return {
        "info": {
            "name": "ImmPort",
            "description": DESCRIPTION,
            "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json",
        },
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{token}}", "type": "string"}]},
        "variable": [{"key": key, "value": value} for key, value in VARIABLES.items()],
        "item": folders,
    }


def _query(query: Any) -> dict[str, Any]:
    path = re.sub(r"\{(\w+)\}", r"{{\1}}", query.path)
    asked: list[tuple[str, str, bool]] = []
    if query.group == "result":
        asked = [("studyAccession", "{{studyAccession}}", True), *((name, "", False) for name in _filters())]
    elif query.group == "search":
        asked = [("term", "{{term}}", True), ("pageSize", "10", True), ("fromRecord", "0", False)]
    elif query.name.endswith("downloadCount"):
        asked = [("studyAccession", "{{studyAccession}}", True)]
    elif query.name.endswith("cntByPgmID"):
        asked = [("programIds", "1", True)]
    if query.group in ("result", "study", "lookup") and query.shape == "rows":
        asked.append(("format", "tsv", False))
    request = _request("GET", f"data/query/{path}", asked)
    if query.group in ("search", "ui"):
        request["auth"] = {"type": "noauth"}
    return {"name": query.name, "request": request}


def _filters() -> Iterable[str]:
    from packhorse.wire.immport.filters import FILTERS

    return [name for name in FILTERS if name not in ("studyAccession", "format")]


def _access() -> list[dict[str, Any]]:
    sign_in = _request("POST", "auth/token")
    sign_in["auth"] = {"type": "noauth"}
    fields = [{"key": name, "value": f"{{{{{name}}}}}"} for name in ("username", "password")]
    sign_in["body"] = {"mode": "urlencoded", "urlencoded": fields}
    script = {"type": "text/javascript", "exec": [KEEP]}
    return [
        {"name": "Sign in", "event": [{"listen": "test", "script": script}], "request": sign_in},
        {"name": "Who am I", "request": _request("GET", "auth/userinfo")},
        {"name": "List a folder", "request": _json(_request("POST", "data/list"), {"path": "{{path}}"})},
        {"name": "Aspera token", "request": _json(_request("POST", "data/download/token"), {"paths": ["{{path}}"]})},
        {"name": "Link by DRS (s3)", "request": _request("GET", "data/query/drs/download/s3/{{fileUUID}}")},
        {"name": "Link by DRS (stream)", "request": _request("GET", "data/query/drs/download/stream/{{fileUUID}}")},
    ]


def _request(method: str, path: str, asked: Sequence[tuple[str, str, bool]] = ()) -> dict[str, Any]:
    shown = "&".join(f"{name}={value}" for name, value, on in asked if on)
    url: dict[str, Any] = {
        "raw": f"{{{{baseUrl}}}}/{path}{'?' if shown else ''}{shown}",
        "host": ["{{baseUrl}}"],
        "path": path.split("/"),
    }
    if asked:
        url["query"] = [
            {"key": name, "value": value, **({} if on else {"disabled": True})} for name, value, on in asked
        ]
    return {"method": method, "header": [], "url": url}


def _json(request: dict[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    request["header"] = [{"key": "Content-Type", "value": "application/json"}]
    request["body"] = {"mode": "raw", "raw": json.dumps(body), "options": {"raw": {"language": "json"}}}
    return request


def _folder(name: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"name": name, "item": items}


def text() -> str:
    """What stands in the file."""
    return json.dumps(collection(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
    sys.stdout.write(f"{TARGET}\n")
