"""The Flow portal against scripted servers: the live service's shapes, lies, refusals, renewal, origins."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from packhorse.credentials import Credential, StoredTokens, TokenStore
from packhorse.errors import (
    AuthenticationError,
    CredentialStoreError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    RemoteError,
    UsageError,
)
from packhorse.model import Secret
from packhorse.net.message import Headers, Request, ResponseHead

from .conftest import Answer, Asked, MakePortal, Script, everything, on_engine

MD5 = "d41d8cd98f00b204e9800998ecf8427e"


def items(portal: Any, path: str) -> list[Any]:
    return on_engine(everything(portal.items(path)))


def entries(portal: Any, path: str) -> list[Any]:
    return on_engine(everything(portal.entries(path)))


def paged(plural: str, rows: list[dict[str, Any]], count: int | None = None) -> Any:
    """A list as the live service pages it, at most 2 a page whatever is asked; ``count`` may lie."""

    def answer(asked: Asked) -> Any:
        start = (int(asked.query.get("page", "1")) - 1) * 2
        stated = len(rows) if count is None else count
        return {"count": stated, "page": 1, plural: rows[start : start + 2]}

    return answer


# Shapes.


def test_the_live_service_s_sample(script: Script, flow: MakePortal) -> None:
    rows = [{"id": str(n), "filename": f"{n}.gz", "size": n, "absolute_path": "/x"} for n in range(1, 6)]
    script.routes["/api/samples/12"] = {
        "id": "12",
        "name": "S",
        "filesets": [{"data": [{"id": "1", "filename": "1.gz"}]}],
    }
    script.routes["/api/samples/12/data"] = paged("data", rows)
    found = items(flow(), "samples/12")
    assert [(item.path, item.size) for item in found] == [(f"{n}.gz", n) for n in range(1, 6)]
    assert {item.labels["sample"] for item in found} == {"S"}
    # One record was asked for digests; it has none, so the others were not.
    assert [path for path in script.paths() if path.startswith("/api/data/")] == ["/api/data/1"]


def test_a_sample_whose_data_list_is_refused_still_has_its_filesets(script: Script, flow: MakePortal) -> None:
    script.routes["/api/samples/12"] = {"id": 12, "name": "S", "filesets": [{"data": [{"id": 1, "filename": "a"}]}]}
    assert [item.path for item in items(flow(), "samples/12")] == ["a"]


def test_digests_that_only_the_records_state_are_asked_for(script: Script, flow: MakePortal) -> None:
    rows = [{"id": str(n), "filename": f"{n}.gz"} for n in (1, 2, 3)]
    script.routes["/api/samples/12"] = {"id": "12", "name": "S", "data": rows}
    for n in (1, 2, 3):
        script.routes[f"/api/data/{n}"] = {"id": str(n), "filename": f"{n}.gz", "size": n, "md5": MD5}
    found = items(flow(), "samples/12")
    assert [(item.size, str(item.digests[0])) for item in found] == [(n, f"md5:{MD5}") for n in (1, 2, 3)]


def test_the_live_service_s_project_and_execution(script: Script, flow: MakePortal) -> None:
    script.routes["/api/projects/3"] = {"id": "3", "name": "P"}
    script.routes["/api/projects/3/samples"] = paged("samples", [{"id": "12", "name": "S"}, {"id": "13", "name": "T"}])
    for number in ("12", "13"):
        data = [{"id": f"{number}0", "filename": "r.gz", "size": 1, "md5": MD5}]
        script.routes[f"/api/samples/{number}"] = {"id": number, "name": f"S{number}", "filesets": []}
        script.routes[f"/api/samples/{number}/data"] = paged("data", data)
    found = items(flow(), "projects/3")
    assert [(item.labels["project"], item.labels["sample"], item.path) for item in found] == [
        ("P", "S12", "r.gz"),
        ("P", "S13", "r.gz"),
    ]
    script.routes["/api/executions/456"] = {
        "id": "456",
        "process_executions": [
            {"downstream_data": [{"id": "1", "filename": "a.html"}]},
            {"downstream_data": [{"id": "1", "filename": "a.html"}, {"id": "2", "filename": "b.tsv"}]},
            {"downstream_data": None},
        ],
    }
    assert [(item.path, item.key) for item in items(flow(), "executions/456")] == [
        ("a.html", "downloads/1/a.html"),
        ("b.tsv", "downloads/2/b.tsv"),
    ]
    # A result that is not listed may be there all the same, under the guide's path.
    (unlisted,) = items(flow(), "executions/456/results/x.tsv")
    assert (unlisted.key, unlisted.size, unlisted.identity) == ("executions/456/results/x.tsv", None, None)


def test_listed_outputs_are_all_there_is(script: Script, flow: MakePortal) -> None:
    rows = [{"id": "1", "filename": "r/a.tsv", "path": "r/a.tsv"}, {"id": "2", "filename": "b.html", "path": "b.html"}]
    script.routes["/api/executions/456"] = {"id": "456", "outputs": rows}
    assert [item.path for item in items(flow(), "executions/456/r")] == ["r/a.tsv"]
    with pytest.raises(NotFoundError, match=r"did you mean 'b\.html'") as caught:
        items(flow(), "executions/456/b.htm")
    assert caught.value.hint == "packhorse ls lab:executions/456"
    assert [(entry.name, entry.kind, entry.address) for entry in entries(flow(), "executions/456")] == [
        ("r", "folder", "lab:executions/456/r"),
        ("b.html", "file", "lab:data/2"),
    ]


def test_a_listing_is_not_taken_whole_unless_a_question_is_asked(script: Script, flow: MakePortal) -> None:
    for path in ("", "samples", "search?q=x"):
        with pytest.raises(UsageError, match="everything there is"):
            items(flow(), path)
    assert script.asked == []
    script.routes["/api/data/search"] = paged("data", [{"id": "7", "filename": "a"}])
    script.routes["/api/data/7"] = {"id": "7", "filename": "a", "size": 1}
    assert [item.path for item in items(flow(), "data?filename=a")] == ["a"]
    assert script.asked[0].query["filename"] == "a"


def test_a_directory_is_not_a_file(script: Script, flow: MakePortal) -> None:
    script.routes["/api/data/7"] = {"id": "7", "filename": "d", "is_directory": True}
    with pytest.raises(UsageError, match="is a directory"):
        items(flow(), "data/7")


def test_listings_show_what_is_mine_first(script: Script, flow: MakePortal) -> None:
    mine = [{"id": "1", "name": "mine"}]

    def search(asked: Asked) -> Any:
        return paged("samples", mine if asked.query.get("owned") else [*mine, {"id": "2", "name": "public"}])(asked)

    script.routes["/api/samples/search"] = search
    script.routes["/api/projects/owned"] = paged("projects", [])
    script.routes["/api/projects/search"] = paged("projects", [{"id": "3", "name": "public"}])
    signed_in = flow(environ={"PACKHORSE_LAB_TOKEN": "t"})
    assert [entry.name for entry in entries(signed_in, "samples")] == ["mine"]
    assert [entry.name for entry in entries(signed_in, "samples?name=u")] == ["mine", "public"]
    assert [entry.name for entry in entries(signed_in, "projects")] == ["public"]
    assert [entry.name for entry in entries(flow(), "samples")] == ["mine", "public"]


# Lies.


@pytest.mark.parametrize("count", [None, 0, 3, 10**12, -1])
def test_a_lying_count_neither_loops_nor_hides_rows_of_full_pages(
    script: Script, flow: MakePortal, count: int | None
) -> None:
    rows = [{"id": str(n), "name": str(n)} for n in range(1, 6)]
    script.routes["/api/samples/search"] = paged("samples", rows, count)
    found = entries(flow(), "samples")
    assert len(found) == (5 if count in (None, 10**12) else 2 if count in (0, -1) else 4)
    assert len(script.asked) <= 4


def test_a_server_that_ignores_page_does_not_loop(script: Script, flow: MakePortal) -> None:
    script.routes["/api/samples/search"] = {"count": 10**9, "samples": [{"id": "1", "name": "x"}]}
    assert len(entries(flow(), "samples")) == 1
    assert len(script.asked) == 2


@pytest.mark.parametrize(
    "answer",
    [
        [],
        "x",
        None,
        {"id": "../../etc", "filename": "x"},
        {"id": "7", "filename": "x", "size": -5},
        {"id": "7"},
        Answer(b"<!doctype html><title>Flow</title>", headers={"Content-Type": "text/html"}),
        Answer(b"{"),
        Answer(b"\xff\xfe"),
        Answer(b"[" * 100_000),
    ],
)
def test_nonsense_is_a_protocol_error(script: Script, flow: MakePortal, answer: Any) -> None:
    script.routes["/api/data/7"] = answer
    with pytest.raises(ProtocolError) as caught:
        items(flow(), "data/7")
    if isinstance(answer, Answer) and b"html" in answer.body:
        assert caught.value.hint is not None
        assert "/api" in caught.value.hint


@pytest.mark.parametrize("record", [{"samples": 3}, {"samples": [3]}, {"samples": [{"id": "x"}]}])
def test_a_project_of_nonsense_is_a_protocol_error(script: Script, flow: MakePortal, record: dict[str, Any]) -> None:
    script.routes["/api/projects/3"] = {"id": "3", **record}
    with pytest.raises(ProtocolError):
        items(flow(), "projects/3")


def test_the_web_application_s_page_is_not_a_file(script: Script, flow: MakePortal) -> None:
    script.routes["/api/data/7"] = {"id": "7", "filename": "reads.gz", "size": 400_000}
    script.routes["/api/data/8"] = {"id": "8", "filename": "report.html", "size": 10}
    portal = flow()

    def check(path: str, kind: str, length: str) -> None:
        (item,) = items(portal, path)
        locator = on_engine(portal.locate(item))
        assert locator.check is not None
        head = ResponseHead(200, Headers([("Content-Type", kind), ("Content-Length", length)]), locator.url)
        locator.check(head)

    with pytest.raises(ProtocolError, match="a web page came instead of the file") as caught:
        check("data/7", "text/html; charset=utf-8", "400")
    assert caught.value.hint is not None
    check("data/7", "text/html", "400000")
    check("data/7", "application/gzip", "400000")
    check("data/8", "text/html", "10")


# Refusals.


def test_refusals_and_redirects(script: Script, flow: MakePortal) -> None:
    script.routes["/api/data/1"] = Answer({"error": "nope", "code": "FORBIDDEN", "status": 403}, 403)
    script.routes["/api/data/3"] = Answer({"error": {"count": ["too many"]}}, 400)
    script.routes["/api/data/4"] = Answer(b"", 302, {"Location": "file:///etc/passwd"})
    with pytest.raises(PermissionDeniedError, match="lab:data/1: nope"):
        items(flow(), "data/1")
    with pytest.raises(NotFoundError) as caught:
        items(flow(), "data/2")
    assert "packhorse login lab" in (caught.value.hint or "")
    with pytest.raises(RemoteError, match="count: too many"):
        items(flow(), "data/3")
    with pytest.raises(ProtocolError):
        items(flow(), "data/4")


# Credentials.


def sign_in_routes(script: Script, tokens: list[str], refresh: str = "r1") -> None:
    """A server that signs ada in, gives the tokens in order, and knows only the last one given."""
    given: list[str] = []

    def give(asked: Asked) -> Any:
        given.append(tokens[len(given)])
        cookie = f"flow_refresh_token={refresh}; Path=/; HttpOnly"
        return Answer({"token": given[-1]}, headers={"Set-Cookie": cookie})

    def login(asked: Asked) -> Any:
        if asked.body == b'{"username":"ada","password":"pw"}':
            return give(asked)
        return Answer({"error": "Invalid credentials"}, 400)

    def token(asked: Asked) -> Any:
        assert "Authorization" not in asked.headers
        if asked.headers.get("Cookie") != f"flow_refresh_token={refresh}":
            return Answer({"error": "x"}, 401)
        return give(asked)

    def me(asked: Asked) -> Any:
        if not given or asked.headers.get("Authorization") != f"Bearer {given[-1]}":
            return Answer({"error": "Invalid or expired token", "code": "UNAUTHENTICATED", "status": 401}, 401)
        return {"id": "1", "username": "ada"}

    script.routes.update({"POST /api/login": login, "/api/token": token, "/api/me": me})


def test_signing_in_keeps_the_tokens_for_the_next_process(script: Script, flow: MakePortal, tmp_path: Path) -> None:
    sign_in_routes(script, ["t1", "t2"])
    me = on_engine(flow().sign_in("ada", Secret("pw")))
    assert me["username"] == "ada"
    assert me["stored"] == str(tmp_path / "state" / "credentials" / "lab.json")
    later = flow()
    assert on_engine(later.whoami())["rung"] == "file"
    # Renewal by another process: this one takes it from the file; then its own goes there.
    assert on_engine(later.api.auth.renew_now())
    stored = TokenStore(tmp_path / "state", "lab").read()
    assert stored is not None
    assert (stored.token, stored.refresh, stored.username) == (Secret("t2"), Secret("r1"), "ada")
    assert on_engine(flow().sign_out())
    assert on_engine(flow().whoami()) == {}


def test_a_wrong_password_is_said_without_it(script: Script, flow: MakePortal) -> None:
    sign_in_routes(script, ["t1"])
    with pytest.raises(AuthenticationError) as caught:
        on_engine(flow().sign_in("ada", Secret("geheim")))
    assert caught.value.message == "lab: the user name or password is wrong"
    assert caught.value.hint == "packhorse login lab"


def test_an_institution_s_sign_in_is_explained(script: Script, flow: MakePortal) -> None:
    script.routes["POST /api/login"] = Answer({"client_id": "x", "domain_url": "y"}, 501)
    with pytest.raises(AuthenticationError, match="takes no passwords"):
        on_engine(flow().sign_in("ada", Secret("pw")))


@pytest.mark.parametrize("answer", [{}, {"token": 3}, {"token": ""}, {"token": "a b"}, [], Answer(b"<html>")])
def test_a_sign_in_without_a_token_is_a_protocol_error(script: Script, flow: MakePortal, answer: Any) -> None:
    script.routes["POST /api/login"] = answer
    with pytest.raises(ProtocolError):
        on_engine(flow().sign_in("ada", Secret("pw")))


def test_an_expired_token_is_renewed_once_for_all(script: Script, flow: MakePortal, tmp_path: Path) -> None:
    sign_in_routes(script, ["new", "newer"])
    TokenStore(tmp_path / "state", "lab").write(StoredTokens(f"{script.url}/api", Secret("old"), Secret("r1"), "ada"))
    portal = flow()

    async def many() -> list[Any]:
        return await asyncio.gather(*(portal.api.record("me") for _ in range(10)))

    assert len(on_engine(many())) == 10
    assert script.paths().count("/api/token") == 1


def test_a_dead_session_is_an_error_with_the_next_command(script: Script, flow: MakePortal, tmp_path: Path) -> None:
    sign_in_routes(script, ["new"], refresh="another")
    TokenStore(tmp_path / "state", "lab").write(StoredTokens(f"{script.url}/api", Secret("old"), Secret("r1")))
    portal = flow()
    for _ in range(3):
        with pytest.raises(AuthenticationError) as caught:
            on_engine(portal.whoami())
        assert caught.value.hint == "Refresh your access token or re-login. packhorse login lab"
    assert script.paths().count("/api/token") == 1


def test_a_password_in_the_environment_signs_in_and_again(script: Script, flow: MakePortal) -> None:
    sign_in_routes(script, ["t1", "t2"])
    portal = flow(environ={"PACKHORSE_LAB_USERNAME": "ada", "PACKHORSE_LAB_PASSWORD": "pw"})
    me = on_engine(portal.whoami())
    assert (me["username"], me["rung"]) == ("ada", "environment")
    portal.api.auth.keeper.refresh = None
    assert on_engine(portal.api.auth.renew_now())
    assert script.paths().count("/api/login") == 2


def test_the_prompt_is_asked_only_when_the_server_wants_someone(script: Script, flow: MakePortal) -> None:
    sign_in_routes(script, ["t1"])
    script.routes["/api/data/7"] = {"id": "7", "filename": "public.gz", "size": 1}
    prompts: list[str] = []

    def prompt(remote: str, username: str | None) -> tuple[str, Secret]:
        prompts.append(remote)
        return "ada", Secret("pw")

    portal = flow(prompt=prompt)
    assert len(items(portal, "data/7")) == 1
    assert prompts == []
    assert on_engine(portal.api.record("me"))["username"] == "ada"
    assert prompts == ["lab"]


def test_an_api_key_is_checked_before_it_is_kept(script: Script, flow: MakePortal, tmp_path: Path) -> None:
    def me(asked: Asked) -> Any:
        good = asked.headers.get("Authorization") == "Bearer key"
        return {"username": "ada"} if good else Answer({"error": "bad"}, 401)

    script.routes["/api/me"] = me
    with pytest.raises(AuthenticationError):
        on_engine(flow().use_token(Secret("wrong")))
    assert TokenStore(tmp_path / "state", "lab").read() is None
    assert on_engine(flow().use_token(Secret("key")))["username"] == "ada"
    stored = TokenStore(tmp_path / "state", "lab").read()
    assert stored is not None
    assert (stored.token, stored.username, stored.refresh) == (Secret("key"), "ada", None)


def test_a_loose_token_file_stops_with_its_remedy(script: Script, flow: MakePortal, tmp_path: Path) -> None:
    store = TokenStore(tmp_path / "state", "lab")
    store.write(StoredTokens(f"{script.url}/api", Secret("t")))
    store.path.chmod(0o644)
    with pytest.raises(CredentialStoreError) as caught:
        items(flow(), "data/7")
    assert caught.value.hint == f"chmod 600 {store.path}"
    assert script.asked == []
    answer = on_engine(flow().credentials())
    assert {attempt.rung: attempt.outcome for attempt in answer.attempts}["file"] == "failed"


def test_flow_s_own_variables_are_for_the_remote_flow_only(script: Script, flow: MakePortal) -> None:
    script.routes["/api/data/7"] = {"id": "7", "filename": "x"}
    environ = {"FLOW_ACCESS_TOKEN": "secret", "FLOW_USERNAME": "ada", "FLOW_PASSWORD": "pw"}
    items(flow("lab", environ), "data/7")
    items(flow("flow", environ), "data/7")
    assert [asked.headers.get("Authorization") for asked in script.asked] == [None, "Bearer secret"]


def test_the_bearer_goes_to_the_remote_s_origin_only(script: Script, flow: MakePortal) -> None:
    portal = flow(explicit=Credential("explicit", "--token", token=Secret("t")))
    for url in ("http://evil.example.org/api/x", f"{script.url}1/api", "https://127.0.0.1/api"):
        signed = on_engine(portal.authorise(Request("GET", url, {"Authorization": "Bearer old"})))
        assert "Authorization" not in signed.headers
    signed = on_engine(portal.authorise(Request("GET", f"{script.url}/elsewhere")))
    assert signed.headers["Authorization"] == Secret("Bearer t")
    assert "Bearer t" not in repr(signed)


def test_a_token_kept_in_the_keyring_is_found_again(script: Script, flow: MakePortal, tmp_path: Path) -> None:
    ring = (
        "import json, os, keyring.backend\n"
        "class Ring(keyring.backend.KeyringBackend):\n"
        "    priority = 1\n"
        "    path = os.environ['TEST_RING']\n"
        "    def _held(self): return json.load(open(self.path)) if os.path.exists(self.path) else {}\n"
        "    def get_password(self, s, u): return self._held().get(s + '/' + u)\n"
        "    def set_password(self, s, u, p): json.dump({**self._held(), s + '/' + u: p}, open(self.path, 'w'))\n"
        "    def delete_password(self, s, u):\n"
        "        held = self._held(); del held[s + '/' + u]; json.dump(held, open(self.path, 'w'))\n"
    )
    (tmp_path / "ring_of_portals.py").write_text(ring)
    environ = {
        "PYTHONPATH": str(tmp_path),
        "PYTHON_KEYRING_BACKEND": "ring_of_portals.Ring",
        "TEST_RING": str(tmp_path / "ring.json"),
    }
    sign_in_routes(script, ["t1", "t2"])
    stored = on_engine(flow("flow", environ, options={}).sign_in("ada", Secret("pw"), store="keyring"))["stored"]
    assert stored == "the keyring, service flow-api, account ada"
    me = on_engine(flow("flow", environ, options={}).whoami())
    assert (me["rung"], me["origin"]) == ("keyring", "service flow-api, account ada")
    assert not (tmp_path / "state" / "credentials" / "flow.json").exists()
    assert on_engine(flow("flow", environ, options={}).sign_out())
    assert (tmp_path / "ring.json").read_text() == "{}"
    with pytest.raises(CredentialStoreError, match="switched off"):
        on_engine(flow("flow", environ).sign_in("ada", Secret("pw"), store="keyring"))
