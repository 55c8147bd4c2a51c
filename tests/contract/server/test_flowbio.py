"""The unmodified flowbio client (v2) reads from our server."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import Demo

pytest.importorskip("flowbio", reason="flowbio is one of the test dependencies: pip install --group test")


@pytest.fixture
def client(demo: Demo) -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from flowbio.v2 import Client
        from flowbio.v2.auth import UsernamePasswordCredentials

        made = Client(base_url=demo.api)
        made.log_in(UsernamePasswordCredentials("demo", demo.users["demo"]["password"]))
        yield made
        made._transport._client.close()


def test_vocabularies(client: Any) -> None:
    types = {kind.identifier: kind for kind in client.samples.get_types()}
    assert types["RNA-Seq"].name == "RNA-Seq"
    attributes = {entry.identifier: entry for entry in client.samples.get_metadata_attributes()}
    assert "strandedness" in attributes
    assert {organism.id for organism in client.samples.get_organisms()} >= {"Hs", "Mm"}


def test_owned_projects_page_to_the_end(client: Any) -> None:
    assert {project.name for project in client.samples.get_owned_projects()} == {
        "T_cell_activation",
        "Public_reads",
        "SDY1",
    }


def test_raw_reads(client: Any) -> None:
    assert json.loads(client.get_raw("/me"))["username"] == "demo"
    found = json.loads(client.get_raw("/samples/search", [("owned", "true"), ("count", "2")]))
    assert found["count"] == 4
    assert len(found["samples"]) == 2


def test_a_download_and_a_renewal(client: Any, demo: Demo) -> None:
    record = json.loads(client.get_raw("/data/791"))
    body = client._transport.get_bytes(record["download_url"])
    assert hashlib.sha256(body).hexdigest() == record["sha256"]
    client._transport._client.headers["Authorization"] = "Bearer stale"
    assert json.loads(client.get_raw("/me"))["username"] == "demo"  # by the cookie, without the caller's doing


def test_refusals_become_its_exceptions(client: Any, demo: Demo) -> None:
    from flowbio.v2 import exceptions
    from flowbio.v2.auth import UsernamePasswordCredentials

    with pytest.raises(exceptions.NotFoundError):
        client.get_raw("/data/424242")
    with pytest.raises(exceptions.BadRequestError):
        client.log_in(UsernamePasswordCredentials("demo", "wrong password"))
