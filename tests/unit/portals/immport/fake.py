"""A small ImmPort written from the spec's facts alone, with a store beside it: nothing of ``packhorse.wire`` is used.

It keeps everything in memory; its switches are the traps of the real thing.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

USER, PASSWORD = "ada", "p&ss+w%rd ü"


def jwt(lasts: float, **claims: Any) -> str:
    """A token that looks like ImmPort's; nobody here verifies a signature."""

    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    body = {"exp": int(time.time() + lasts), "user_name": USER, "jti": str(uuid.uuid4()), **claims}
    return f"{part({'alg': 'RS256'})}.{part(body)}.c2lnbmF0dXJl"


@dataclass
class Call:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes


@dataclass
class Stored:
    """A file of the fake. ``lost``: the store does not have it; ``gone``: nobody does."""

    path: str
    data: bytes
    kind: str = "result_file"
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    restricted: bool = False
    lost: bool = False
    gone: bool = False
    md5: str | None = None
    subjects: tuple[str, ...] = ("SUB1",)


class Refuse(Exception):  # noqa: N818 - what the server does
    def __init__(self, status: int, message: str) -> None:
        self.status, self.message = status, message


@dataclass
class FakeImmPort:
    """``generation`` 1 has no manifest and no DRS. ``lasts``: seconds that tokens hold; ``member``: their name.

    ``signed_for``: seconds that addresses of the store hold; ``cut_after``: the store's first answer for a file ends
    after so many bytes; ``before`` may answer a call itself: ``(status, headers, body)``.
    """

    generation: int = 3
    lasts: float = 3600.0
    member: str = "access_token"
    signed_for: int = 3600
    cut_after: int | None = None
    userinfo: bool = True
    unsigned_stream: bool = False
    no_store: bool = False
    store_refuses: int = 0
    before: Any = None
    files: dict[str, Stored] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    aspera_tokens: dict[str, list[str]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    store_calls: list[Call] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    refreshes: dict[str, str] = field(default_factory=dict)
    clients: dict[str, str] = field(default_factory=dict)
    cuts: Counter[str] = field(default_factory=Counter)
    base: str = ""
    store: str = ""
    lock: threading.RLock = field(default_factory=threading.RLock)

    def add(self, path: str, data: bytes, **more: Any) -> Stored:
        file = Stored(path, data, **more)
        self.files[file.uuid] = file
        return file

    def called(self, pattern: str) -> list[Call]:
        return [call for call in self.calls if re.search(pattern, call.path)]

    def start(self) -> FakeImmPort:
        self._servers = [
            ThreadingHTTPServer(("127.0.0.1", 0), _handler(self, answer)) for answer in (self.answer, self.answer_store)
        ]
        self.base, self.store = (f"http://127.0.0.1:{server.server_address[1]}" for server in self._servers)
        self._threads = []
        for server in self._servers:
            server.daemon_threads = True
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
            thread.start()
            self._threads.append(thread)
        return self

    def stop(self) -> None:
        for server, thread in zip(self._servers, self._threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()

    # The service.

    def answer(self, call: Call) -> tuple[int, dict[str, str], bytes]:
        self.calls.append(call)
        try:
            if self.before is not None and (given := self.before(call)) is not None:
                return given  # type: ignore[no-any-return]
            found = self.route(call)
        except Refuse as refusal:
            body = {"timestamp": "now", "status": refusal.status, "error": "No", "message": refusal.message}
            return refusal.status, {"Content-Type": "application/json"}, json.dumps(body, indent=1).encode()
        if isinstance(found, tuple):
            return found
        return 200, {"Content-Type": "application/json"}, json.dumps(found).encode()

    def route(self, call: Call) -> Any:
        path = call.path
        if path == "/auth/token" and call.method == "POST":
            return self.password_token(call)
        if path.startswith("/auth/"):
            return self.oidc(call)
        if re.fullmatch(r"/data/query(/ui)?/study/findAllStudyAccessions", path):
            return {"studyAccessions": sorted({file.path.split("/")[0] for file in self.files.values()})}
        if path == "/drs/bytes":
            return self.stream_bytes(call)
        self.check_token(call)
        if path == "/data/download/token":
            return self.aspera_token(call)
        if path == "/data/list":
            return self.list_folder(call)
        if path == "/data/query/result/filePath":
            return self.file_paths(call)
        if self.generation > 1:
            if path.endswith("/getRestrictedStudyAccessions"):
                return []
            if found := re.fullmatch(r"/data/query/api/study/manifest/(\w+)", path):
                return self.manifest(found[1], call)
            if found := re.fullmatch(r"/data/query/api/study/summary/(\w+)", path):
                return {"studyAccession": found[1], "title": "A study"}
            if found := re.fullmatch(r"/data/query/drs/download/(s3|stream)/([\w-]+)", path):
                return self.drs(found[1], found[2])
        raise Refuse(404, f"no such path {path}")

    def check_token(self, call: Call) -> str:
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or token not in self.tokens:
            raise Refuse(401, "Full authentication is required to access this resource")
        exp = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "==")) if token.count(".") == 2 else {}
        if exp.get("exp", 9e9) <= time.time():
            raise Refuse(401, "token expired")
        return token

    def issue(self, lasts: float | None = None) -> str:
        token = jwt(self.lasts if lasts is None else lasts)
        self.tokens.add(token)
        return token

    def password_token(self, call: Call) -> Any:
        form = dict(parse_qsl(call.body.decode()))
        if (form.get("username"), form.get("password")) != (USER, PASSWORD):
            raise Refuse(401, "Bad credentials")
        return {"status": 200, self.member: self.issue()}

    def manifest(self, study: str, call: Call) -> Any:
        wanted = call.query.get("fileType", ["all"])
        rows = []
        for number, file in enumerate(self.files.values()):
            if file.path.split("/")[0] != study or (wanted != ["all"] and file.kind not in wanted):
                continue
            rows.append(
                {
                    "fileDetailsId": float(number), "reportedMD5": None, "studyAccession": study,
                    "generatedMD5": file.md5 if file.md5 is not None else hashlib.md5(file.data).hexdigest(),
                    "filesizeBytes": len(file.data), "fileType": file.kind, "fileName": file.path.rpartition("/")[2],
                    "path": file.path, "dateFileUpdated": "2017-04-20T00:00:00.000+0000", "fileUUID": file.uuid,
                }
            )  # fmt: skip
        return rows

    def file_paths(self, call: Call) -> Any:
        subjects = {one for value in call.query.get("subjectAccession", []) for one in value.split(",")}
        study = call.query["studyAccession"][0]
        rows = []
        for number, file in enumerate(self.files.values()):
            if file.kind != "result_file" or file.path.split("/")[0] != study:
                continue
            rows += [
                {"fileInfoId": number, "filesizeBytes": len(file.data), "subjectAccession": subject,
                 "filePath": f"/{file.path}"}
                for subject in file.subjects if not subjects or subject in subjects
            ]  # fmt: skip
        return rows

    def list_folder(self, call: Call) -> Any:
        folder = json.loads(call.body)["path"].strip("/")
        inside: dict[str, Any] = {}
        for file in self.files.values():
            if not file.path.startswith(f"{folder}/"):
                continue
            name, slash, _ = file.path.removeprefix(f"{folder}/").partition("/")
            row = {"path": f"/{folder}/{name}", "basename": name, "type": "directory" if slash else "file"}
            if not slash:
                row |= {"size": len(file.data), "mtime": "2017-04-20T00:00:00Z"}
            inside[name] = row
        if not inside:
            raise Refuse(404, f"{folder} not found")
        return {"self": {"path": f"/{folder}", "type": "directory"}, "items": list(inside.values())}

    def aspera_token(self, call: Call) -> Any:
        paths = [path.strip("/") for path in json.loads(call.body)["paths"]]
        for path in paths:
            if not any(file.path == path or file.path.startswith(f"{path}/") for file in self.files.values()):
                raise Refuse(400, f"path {path} not found")
        token = f"ATM2_{uuid.uuid4().hex}"
        self.aspera_tokens[token] = paths
        return {"token": token}

    def drs(self, way: str, number: str) -> Any:
        file = self.files.get(number)
        if file is None or (way == "stream" and file.gone):
            raise Refuse(404, "no such object")
        if file.restricted:
            raise Refuse(403, "Access is denied")
        if way == "s3" and self.no_store:
            raise Refuse(500, "the store is not configured")
        if way == "stream":
            query = f"id={number}" + ("" if self.unsigned_stream else f"&token={self.ticket()}")
            return {"message": "ok", "url": f"{self.base}/drs/bytes?{query}", "status": 200}
        query = urlencode(
            {
                "X-Amz-Date": datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"),
                "X-Amz-Expires": str(self.signed_for),
                "X-Amz-Signature": self.ticket(),
            }
        )
        return {"message": "ok", "url": f"{self.store}/bucket/{number}?{query}", "status": 200}

    def ticket(self) -> str:
        return f"{time.time() + self.signed_for:.3f}"

    def stream_bytes(self, call: Call) -> Any:
        if self.unsigned_stream:
            self.check_token(call)
        elif float(call.query["token"][0]) < time.time():
            raise Refuse(403, "the address is over")
        file = self.files[call.query["id"][0]]
        return _bytes(call, file.data, {})

    # OpenID Connect.

    def oidc(self, call: Call) -> Any:
        if call.path == "/auth/.well-known/openid-configuration":
            return {
                "issuer": f"{self.base}/auth",
                "authorization_endpoint": f"{self.base}/auth/oauth2/authorize",
                "token_endpoint": f"{self.base}/auth/oauth2/token",
            }
        if call.path == "/auth/userinfo" and self.userinfo:
            self.check_token(call)
            return {"sub": USER, "email": "ada@example.org"}
        if call.path == "/auth/oauth2/authorize":
            query = {name: values[0] for name, values in call.query.items()}
            code = uuid.uuid4().hex
            self.codes[code] = query
            back = f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"
            return 302, {"Location": back}, b""
        if call.path == "/auth/oauth2/token":
            return self.grant(call, dict(parse_qsl(call.body.decode())))
        raise Refuse(404, "no such service")

    def grant(self, call: Call, form: dict[str, str]) -> Any:
        kind = form["grant_type"]
        if kind == "client_credentials":
            pair = base64.b64decode(call.headers["authorization"].split()[1]).decode().split(":", 1)
            if self.clients.get(pair[0]) != pair[1]:
                raise Refuse(401, "invalid_client")
            return {"access_token": self.issue(), "token_type": "Bearer", "expires_in": int(self.lasts)}
        if kind == "refresh_token":
            if self.refreshes.pop(form["refresh_token"], None) != form["client_id"]:
                raise Refuse(400, "invalid_grant")
        else:
            asked = self.codes.pop(form["code"], None)
            made = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
            right = asked is not None and asked["code_challenge"] == made.decode()
            if not right or asked["redirect_uri"] != form["redirect_uri"]:  # type: ignore[index]
                raise Refuse(400, "invalid_grant")
        refresh = uuid.uuid4().hex
        self.refreshes[refresh] = form["client_id"]
        return {"access_token": self.issue(), "refresh_token": refresh, "expires_in": int(self.lasts)}

    # The store.

    def answer_store(self, call: Call) -> tuple[int, dict[str, str], bytes]:
        self.store_calls.append(call)
        number = call.path.rpartition("/")[2]
        if "authorization" in call.headers:
            return _store_refusal(400, "InvalidArgument")
        file = self.files.get(number)
        if file is None or file.lost or file.gone:
            return _store_refusal(404, "NoSuchKey")
        if self.store_refuses:
            self.store_refuses -= 1
            return _store_refusal(403, "AccessDenied")
        if float(call.query["X-Amz-Signature"][0]) < time.time():
            return _store_refusal(403, "AccessDenied")
        with self.lock:
            cut = self.cut_after if not self.cuts[number] else None
            self.cuts[number] += 1
        status, headers, body = _bytes(call, file.data, {"ETag": f'"{uuid.uuid4().hex}"'})
        if cut is not None:
            headers["Content-Length"] = str(len(body))
            body = body[:cut]
        return status, headers, body


def _bytes(call: Call, data: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    found = re.fullmatch(r"bytes=(\d+)-(\d+)", call.headers.get("range", ""))
    headers = {"Content-Type": "application/octet-stream", **headers}
    if not found:
        return 200, headers, data
    start, stop = int(found[1]), min(int(found[2]) + 1, len(data))
    if start >= len(data):
        return 416, {"Content-Range": f"bytes */{len(data)}"}, b""
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
    return 206, headers, data[start:stop]


def _store_refusal(status: int, code: str) -> tuple[int, dict[str, str], bytes]:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>"
    return status, {"Content-Type": "application/xml"}, body.encode()


def _handler(fake: FakeImmPort, answer: Any) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            call = Call(self.command, parts.path, parse_qs(parts.query), headers, body)
            status, extra, content = answer(call)
            self.send_response_only(status)
            extra.setdefault("Date", self.date_time_string())
            extra.setdefault("Content-Length", str(len(content)))
            for name, value in extra.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
            if int(extra["Content-Length"]) > len(content):
                self.close_connection = True

        do_GET = do_POST = _any  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            """Quiet."""

    return Handler
