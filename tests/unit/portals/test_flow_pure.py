"""Flow's pure rooms: addresses, rows, refusals, records, errors that requests' users catch."""

import copy
import json
import pickle
import sys

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from packhorse.errors import (
    AddressError,
    AuthenticationError,
    ExpiredError,
    IntegrityError,
    NetworkError,
    NotFoundError,
    PackhorseError,
    PermissionDeniedError,
    ProtocolError,
    ServerError,
    TlsError,
)
from packhorse.model import Digest
from packhorse.portals.flow.compat import as_requests_error
from packhorse.portals.flow.places import Place, link_path, parse_place
from packhorse.portals.flow.record import Record
from packhorse.portals.flow.refusals import REMEDIES, refusal
from packhorse.portals.flow.rows import file_row, item_of, output_rows, record_id, seconds
from packhorse.settings import RemoteSettings

FLOW = RemoteSettings("flow", "flow", "https://app.flow.bio/api")


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("", Place("root")),
        ("/", Place("root")),
        ("data/789", Place("data", "789")),
        ("data/789/", Place("data", "789")),
        ("downloads/789/a b.gz", Place("data", "789", "a b.gz")),
        ("sample/12", Place("samples", "12")),
        ("executions/456/results/x.tsv", Place("executions", "456", "results/x.tsv")),
        ("projects?name=a%20b&owned=true", Place("projects", query=(("name", "a b"), ("owned", "true")))),
        ("search?q=x", Place("search", query=(("q", "x"),))),
        ("samples/123456789012345678", Place("samples", "123456789012345678")),
    ],
)
def test_places(path: str, place: Place) -> None:
    assert parse_place(path) == place


@pytest.mark.parametrize(
    "path",
    [
        *[
            "smples/1",
            "data/x",
            "data/7e2",
            "data/-1",
            "data/0789",
            "data/1/../2",
            "executions/4/../../5",
            "executions/4//x",
        ],
        *["search/1", "data/789?x=1", "executions/456/a\0b", "executions/456/a\\b", "samples/1234567890123456789"],
    ],
)
def test_what_is_no_address_is_refused_with_an_example(path: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_place(path)
    assert caught.value.hint


@given(st.text())
def test_reading_an_address_raises_nothing_else(text: str) -> None:
    try:
        place = parse_place(text)
    except AddressError:
        return
    assert place.id is None or place.id.isdigit()
    assert ".." not in place.rest.split("/")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://app.flow.bio/samples/12", "samples/12"),
        ("https://app.flow.bio/samples/12/?tab=data", "samples/12"),
        ("https://app.flow.bio/data/789", "data/789"),
        ("https://app.flow.bio/api/executions/456", "executions/456"),
        ("https://app.flow.bio/files/downloads/789/a.gz", "data/789"),
        ("https://api.flow.bio/downloads/789/name", "data/789"),
        ("https://api.flow.bio/executions/456/multiqc_report.html", "executions/456/multiqc_report.html"),
        ("https://app.flow.bio/", None),
        ("https://app.flow.bio/samples", None),
        ("https://evil.example.org/samples/12", None),
        ("https://app.flow.bio:8443/samples/12", None),
        ("https://app.flow.bio/executions/4/%2e%2e/%2e%2e/x", None),
        ("https://[/samples/12", None),
    ],
)
def test_pasted_links(url: str, path: str | None) -> None:
    assert link_path(url, FLOW) == path


def test_links_of_a_private_instance() -> None:
    lab = RemoteSettings("lab", "flow", "http://127.0.0.1:8000/api", {"web_url": "https://flow.example.org"})
    assert link_path("http://127.0.0.1:8000/samples/12", lab) == "samples/12"
    assert link_path("http://127.0.0.1:8000/api/downloads/7/x", lab) == "data/7"
    assert link_path("https://flow.example.org/projects/3", lab) == "projects/3"
    assert link_path("https://app.flow.bio/projects/3", lab) is None


def test_a_row_is_read_leniently_where_that_is_safe() -> None:
    row = file_row({"id": 789, "filename": "a.gz", "size": "12", "md5": "D41D8CD98F00B204E9800998ECF8427E"})
    assert (row.id, row.size) == ("789", 12)
    assert row.digests == (Digest("md5", "d41d8cd98f00b204e9800998ecf8427e"),)
    assert file_row({"id": "1", "filename": "x", "size": 3.0, "md5": "not a digest"}).digests == ()
    assert file_row({"id": "1", "path": "results/x.tsv"}).filename == "x.tsv"


@pytest.mark.parametrize(
    "row",
    [
        {"id": "../1", "filename": "x"},
        {"id": "7e3", "filename": "x"},
        {"id": True, "filename": "x"},
        {"id": [1], "filename": "x"},
        {"id": "1", "filename": ""},
        {"id": "1", "filename": None},
        {"id": "1", "filename": 3},
        {"id": "1"},
        {"id": "1", "filename": "x", "size": -1},
        {"id": "1", "filename": "x", "size": 1.5},
        {"id": "1", "filename": "x", "size": "many"},
        {"id": "1", "filename": "x", "size": 1e300},
        {"id": "1", "filename": "x", "size": True},
        {"id": "1", "filename": "x", "size": {"$gt": 0}},
    ],
)
def test_nonsense_in_a_row_is_a_protocol_error(row: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        file_row(row)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
KEYS = ["id", "filename", "path", "size", "md5", "sha256", "created", "outputs", "download_url", "data_url"]
keys = st.sampled_from([*KEYS, "process_executions", "downstream_data"])


@given(st.dictionaries(keys, json_values | st.lists(st.dictionaries(keys, json_values, max_size=5), max_size=2)))
def test_hostile_records_raise_protocol_errors_only(record: dict[str, object]) -> None:
    try:
        rows = [file_row(record), *output_rows(record)]
        items = [item_of("flow", row, kind="execution", execution="456") for row in rows]
    except ProtocolError:
        return
    for item in items:
        assert item.key.startswith(("downloads/", "executions/456/"))
        assert "/../" not in item.key


def test_an_item_s_identity_is_its_digest_else_its_id() -> None:
    digest = "d41d8cd98f00b204e9800998ecf8427e"
    stated = item_of("flow", file_row({"id": "789", "filename": "a b.gz", "size": 1, "md5": digest}), kind="data")
    assert stated.identity is not None
    assert (stated.identity.kind, stated.identity.value) == ("digest", f"md5:{digest}")
    assert stated.key == "downloads/789/a%20b.gz"
    assert stated.labels == {"kind": "data", "id": "789"}
    plain = item_of("flow", file_row({"id": "789", "filename": "a.gz"}), kind="project", sample="S", project="P")
    assert plain.identity is not None
    assert plain.identity.kind == "id"
    assert plain.labels == {"kind": "project", "id": "789", "sample": "S", "project": "P"}


def test_an_output_is_fetched_under_the_name_that_its_own_url_states() -> None:
    row = {"id": "1003", "filename": "results/x.tsv", "path": "results/x.tsv", "data_url": "/downloads/1003/x.tsv"}
    item = item_of("flow", file_row(row), kind="execution", execution="456")
    assert (item.key, item.path) == ("downloads/1003/x.tsv", "results/x.tsv")
    lied = item_of("flow", file_row({**row, "data_url": "/downloads/9/x.tsv"}), kind="execution", execution="456")
    assert lied.key == "downloads/1003/results%2Fx.tsv"
    bare = item_of("flow", file_row({"path": "results/x.tsv"}), kind="execution", execution="456")
    assert (bare.key, bare.identity) == ("executions/456/results/x.tsv", None)
    with pytest.raises(ProtocolError):
        item_of("flow", file_row({"path": "../../me"}), kind="execution", execution="456")


def test_times() -> None:
    assert seconds(1_700_000_000) == 1_700_000_000.0
    assert seconds("2024-01-01T00:00:00+00:00") == 1_704_067_200.0
    for nonsense in (None, True, -1, 1e300, "soon", "9" * 100, [], float("nan")):
        assert seconds(nonsense) is None


def test_ids() -> None:
    assert record_id("12", "sample") == record_id(12, "sample") == "12"
    with pytest.raises(ProtocolError, match="sample"):
        record_id("12\x1b[2J", "sample")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (410, ExpiredError),
        (500, ServerError),
    ],
)
def test_refusals_carry_the_guide_s_remedy(status: int, kind: type[PackhorseError]) -> None:
    body = json.dumps({"error": "Said by the server", "code": "X", "status": status}).encode()
    error = refusal(status, body, remote="flow", what="data/789", signed_in=True)
    assert type(error) is kind
    assert error.message == "flow:data/789: Said by the server"
    if status in REMEDIES:
        assert error.hint is not None
        assert error.hint.startswith(REMEDIES[status])
    assert getattr(error, "status") == status  # noqa: B009 - the classes name it differently


def test_the_live_service_s_bare_404_says_how_to_sign_in() -> None:
    error = refusal(404, b"", remote="flow", what="data/789", signed_in=False)
    assert error.message == "flow:data/789: Data file not found"
    assert error.hint == "Verify the file ID and your access permissions. You are not signed in: packhorse login flow"


@given(st.binary(), st.integers(400, 599))
def test_no_body_breaks_a_refusal(body: bytes, status: int) -> None:
    error = refusal(status, body, remote="flow", what="x", signed_in=True)
    assert error.message.isprintable()


def test_a_record_is_attributes_items_and_a_dict() -> None:
    record = Record({"id": "1", "data": [{"filename": "a"}], "owner": {"name": "Ada"}, "keys": 3})
    assert record.data[0].filename == record["data"][0]["filename"] == "a"
    assert record.owner.name == "Ada"
    assert record["keys"] == 3
    assert json.loads(json.dumps(record)) == record
    assert pickle.loads(pickle.dumps(record)).owner.name == "Ada"
    assert copy.deepcopy(record).data[0].filename == "a"
    assert "owner" in dir(record)
    assert repr(Record({"a": 1})) == "Record({'a': 1})"
    record.extra = {"deep": 1}
    assert record.extra.deep == 1
    assert not hasattr(record, "nothing")


@pytest.mark.parametrize(
    ("error", "theirs"),
    [
        (NotFoundError("gone", hint="h"), requests.exceptions.HTTPError),
        (PermissionDeniedError("no", status=403), requests.exceptions.HTTPError),
        (AuthenticationError("who"), requests.exceptions.HTTPError),
        (NetworkError("cut"), requests.exceptions.ConnectionError),
        (TlsError("cert"), requests.exceptions.ConnectionError),
    ],
)
def test_errors_are_also_those_of_requests(error: PackhorseError, theirs: type[Exception]) -> None:
    twin = as_requests_error(error, "https://host/x")
    assert isinstance(twin, type(error))
    assert isinstance(twin, theirs)
    assert (str(twin), twin.hint, twin.code, twin.exit_code) == (str(error), error.hint, error.code, error.exit_code)
    assert type(twin) is type(as_requests_error(error))
    if theirs is requests.exceptions.HTTPError:
        response = twin.response  # type: ignore[attr-defined]
        assert response.status_code == error.status  # type: ignore[attr-defined]
        assert response.url == "https://host/x"
        assert response.text == ""


def test_errors_that_requests_has_no_word_for_stay_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    error = IntegrityError("bytes", expected="md5:0", got="md5:1")
    assert as_requests_error(error) is error
    monkeypatch.setitem(sys.modules, "requests", None)
    missing = NotFoundError("gone")
    assert as_requests_error(missing) is missing
