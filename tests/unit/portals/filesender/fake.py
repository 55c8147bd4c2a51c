"""A small FileSender written from the spec's probed facts alone: nothing of ``packhorse.wire`` is used here.

It keeps everything in memory and has the traps of the real thing: see the names of its switches.
"""

from __future__ import annotations

import hashlib
import hmac
import html
import json
import math
import re
import threading
import time
import uuid
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

KEY = "c3" * 32
USER = "ada@example.org"
SECRET = "5e" * 32


@dataclass
class Call:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    by: str = ""


class Refuse(Exception):  # noqa: N818 - what the server does
    def __init__(self, status: int, message: str) -> None:
        self.status, self.message = status, message


class Fatal(Exception):  # noqa: N818 - what PHP does
    """A PHP fatal: 500, empty, text/html."""


@dataclass
class FakeFileSender:
    """``version`` is 3 or 2. ``clock`` is how far the server's clock is ahead. ``mode``: chunks by ``key`` or ``auth``.

    ``before`` may answer a call itself: it returns ``(status, headers, body)`` or raises.
    """

    version: int = 3
    clock: float = 0.0
    mode: str = "key"
    chunk: int = 1000
    csrf: bool = True
    algorithm: str = "sha1"
    disclosed: dict[str, Any] = field(default_factory=dict)
    quota: dict[str, int] | None = None
    hide_date: bool = False
    before: Any = None
    calls: list[Call] = field(default_factory=list)
    transfers: dict[int, dict[str, Any]] = field(default_factory=dict)
    guests: dict[int, dict[str, Any]] = field(default_factory=dict)
    mailed: list[tuple[str, str]] = field(default_factory=list)
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    base: str = ""
    port: int = 0
    clamp: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)
    ids: int = 100

    # Helpers for tests.

    def next(self) -> int:
        self.ids += 1
        return self.ids

    def called(self, method: str, pattern: str) -> list[Call]:
        return [call for call in self.calls if call.method == method and re.search(pattern, call.path)]

    def add_transfer(self, files: dict[str, bytes], **more: Any) -> dict[str, Any]:
        number = self.next()
        transfer = {
            "id": number, "owner": USER, "status": "available", "options": {"get_a_link": True}, "salt": "s" * 32,
            "files": {}, "recipients": [], "subject": "", "message": "", "rt": "f" * 32, "encryption": {},
            "guest": None,
            "expires": int(time.time()) + 864000, **more,
        }  # fmt: skip
        for name, data in files.items():
            self.add_file(transfer, name, len(data), data=bytearray(data))
        self.add_recipient(transfer, "")
        self.transfers[number] = transfer
        return transfer

    def add_file(self, transfer: dict[str, Any], name: str, size: int, **more: Any) -> dict[str, Any]:
        file = {
            "id": self.next(), "name": name, "size": size, "puid": str(uuid.uuid4()), "data": bytearray(),
            "done": False, "iv": "", "aead": "", "mime": "application/binary", "have": set(), **more,
        }  # fmt: skip
        transfer["files"][file["id"]] = file
        return file

    def add_recipient(self, transfer: dict[str, Any], email: str) -> dict[str, Any]:
        recipient = {"id": self.next(), "email": email, "token": str(uuid.uuid4())}
        transfer["recipients"].append(recipient)
        return recipient

    def add_guest(self, **more: Any) -> dict[str, Any]:
        number = self.next()
        guest = {
            "id": number, "email": "guest@example.org", "token": str(uuid.uuid4()), "options": {},
            "transfer": {"get_a_link": False},
            "open": True, "owner": USER, "count": 0, "expires": int(time.time()) + 86400, "body": {}, **more,
        }  # fmt: skip
        self.guests[number] = guest
        return guest

    # HTTP.

    def start(self) -> FakeFileSender:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                parts = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                # The server strips stray question marks before the query.
                query = dict(parse_qsl(parts.query.lstrip("?"), keep_blank_values=True))
                call = Call(self.command, unquote(parts.path), query, headers, body)
                with fake.lock:
                    status, more, content = fake.answer(call)
                self.send_response_only(status)
                if not fake.hide_date:
                    self.send_header("Date", formatdate(time.time() + fake.clock, usegmt=True))
                more.setdefault("Content-Length", str(len(content)))
                for name, value in more.items():
                    for one in value if isinstance(value, list) else [value]:
                        self.send_header(name, one)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _any  # noqa: N815 - the names of http.server

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.base = f"http://127.0.0.1:{self.port}/fs"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        return self

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)

    def answer(self, call: Call) -> tuple[int, dict[str, Any], bytes]:
        self.calls.append(call)
        try:
            if self.before is not None and (found := self.before(call)) is not None:
                return found
            if call.path.startswith("/fs/rest.php/"):
                return self.rest(call)
            if call.path == "/fs/download.php":
                return self.download(call)
            if call.path in ("/fs/", "/fs"):
                return self.page(call)
            return 404, {"Content-Type": "text/html"}, b"<html>no such page</html>"
        except Refuse as refused:
            body = {"message": refused.message, "uid": "5f0", "details": None}
            return refused.status, {"Content-Type": "application/json"}, json.dumps(body).encode()
        except Fatal:
            return 500, {"Content-Type": "text/html"}, b""

    # Who asks.

    def who(self, call: Call) -> str:
        """``user:…``, ``app:…``, ``guest:ID`` or nothing. Signatures are checked by hand."""
        query = call.query
        if "vid" in query:
            guest = next((g for g in self.guests.values() if g["token"] == query["vid"]), None)
            if guest is None:
                raise Refuse(404, "guest_not_found")
            if not guest["open"]:
                raise Refuse(500, "guest_expired")
            if call.method != "GET":
                self.guest_tokens(call)
            return f"guest:{guest['id']}"
        if "signature" in query:
            return self.signed(call)
        return ""

    def guest_tokens(self, call: Call) -> None:
        cookies = dict(part.strip().split("=", 1) for part in call.headers.get("cookie", "").split(";") if "=" in part)
        session = self.sessions.get(cookies.get("PHPSESSID", ""))
        if session is None or call.headers.get("x-filesender-security-token") not in session["security"]:
            raise Refuse(400, "rest_security_token_did_not_match")
        if self.csrf and call.headers.get("csrfptoken") not in session["csrf"]:
            raise Refuse(400, "rest_xsrf_token_did_not_match")

    def signed(self, call: Call) -> str:
        query = {name: value for name, value in call.query.items() if name not in ("signature", "_")}
        if time.time() + self.clock - int(query["timestamp"]) > 15:
            raise Refuse(500, "auth_remote_too_late")
        text = "&".join(f"{name}={query[name]}" for name in sorted(query))
        message = f"{call.method.lower()}&127.0.0.1:{self.port}{call.path}?{text}".encode()
        if call.body:
            message += b"&" + call.body
        application = query.get("remote_application")
        if application is not None and application != "sequencer":
            raise Refuse(500, "auth_remote_unknown_application")
        key = SECRET if application else KEY if query.get("remote_user") == USER else "no such user"
        if hmac.new(key.encode(), message, self.algorithm).hexdigest() != call.query["signature"]:
            raise Refuse(500, "auth_remote_signature_check_failed")
        call.by = "signed"
        return f"user:{query.get('remote_user', '')}"

    # Pages.

    def page(self, call: Call) -> tuple[int, dict[str, Any], bytes]:
        kind = call.query.get("s")
        if kind == "exception":
            return 200, {"Content-Type": "text/html"}, b"<html><body>An error</body></html>"
        if kind == "upload":
            guest = next((g for g in self.guests.values() if g["token"] == call.query.get("vid") and g["open"]), None)
            session, security, csrf = uuid.uuid4().hex, str(uuid.uuid4()), uuid.uuid4().hex[:10]
            self.sessions[session] = {"security": {security}, "csrf": {csrf}}
            auth = "guest" if guest else ""
            text = f'<html><body data-security-token="{security}" data-auth-type="{auth}"><p>Upload</body></html>'
            cookies = [f"PHPSESSID={session}; path=/; HttpOnly; SameSite=Strict", f"csrfptoken={csrf}; secure"]
            return 200, {"Content-Type": "text/html; charset=utf-8", "Set-Cookie": cookies}, text.encode()
        if kind == "download":
            found = self.of_token(call.query.get("token", ""))
            rows = "" if found is None else "".join(self.row(found, file) for file in found["files"].values())
            text = f'<html><body data-security-token="{uuid.uuid4()}" data-auth-type="">{rows}</body></html>'
            return 200, {"Content-Type": "text/html; charset=utf-8"}, text.encode()
        return 200, {"Content-Type": "text/html"}, b"<html><body>Home</body></html>"

    def row(self, transfer: dict[str, Any], file: dict[str, Any]) -> str:
        values = {name.replace("_", "-"): value for name, value in self.extended(transfer, file).items()}
        if self.version == 3 and values["encrypted"]:
            values |= {"chunk-size": self.chunk, "crypted-chunk-size": self.chunk + 32}
        values["encrypted"] = "1" if values["encrypted"] else ""
        values["key-version"] = values["key-version"] or ""
        shown = " ".join(f'data-{name}="{html.escape(str(value))}"' for name, value in values.items())
        return f'<div class="file box" {shown}><span>{html.escape(file["name"])}</span></div>'

    def extended(self, transfer: dict[str, Any], file: dict[str, Any]) -> dict[str, Any]:
        crypto = transfer["encryption"]
        return {
            "id": file["id"], "encrypted": bool(crypto), "mime": file["mime"], "name": file["name"],
            "size": file["size"], "encrypted_size": len(file["data"]) if crypto else 0,
            "key_version": crypto.get("key_version", ""), "key_salt": transfer["salt"] if crypto else "",
            "password_version": crypto.get("password_version", ""),
            "password_encoding": crypto.get("password_encoding", ""),
            "password_hash_iterations": crypto.get("password_hash_iterations", ""),
            "client_entropy": crypto.get("client_entropy", ""), "fileiv": file["iv"], "fileaead": file["aead"],
            "transferid": transfer["id"],
        }  # fmt: skip

    def of_token(self, token: str) -> dict[str, Any] | None:
        for transfer in self.transfers.values():
            if transfer["status"] == "available" and any(r["token"] == token for r in transfer["recipients"]):
                return transfer
        return None

    # download.php.

    def download(self, call: Call) -> tuple[int, dict[str, Any], bytes]:
        query = call.query
        if "token" in query:
            transfer = self.of_token(query["token"])
        else:
            who = self.who(call)
            number = int(query["files_ids"].split(",")[0])
            owned = [t for t in self.transfers.values() if number in t["files"] and who == f"user:{t['owner']}"]
            transfer = owned[0] if owned else None
        if transfer is None:
            if "phpsessid" in call.headers.get("cookie", "").lower():
                return 302, {"Location": f"{self.base}/?s=exception&sid=1"}, b""
            raise Fatal
        if "transaction_id" not in query:
            onward = "&".join(f"{name}={value}" for name, value in query.items())
            where = f"{self.base}/download.php??{onward}&transaction_id={uuid.uuid4()}"
            return 302, {"Location": where}, b""
        ids = [int(part) for part in query["files_ids"].split(",")]
        if "archive_format" in query or len(ids) > 1:
            content = b"ARCHIVE " + ",".join(map(str, ids)).encode()
            shown = {"Content-Disposition": 'attachment; filename="transfer.zip"', "Content-Type": "application/x-zip"}
            return 200, shown, content
        file = transfer["files"].get(ids[0])
        if file is None:
            raise Fatal
        return self.bytes_of(call, transfer, file)

    def bytes_of(self, call: Call, transfer: dict[str, Any], file: dict[str, Any]) -> tuple[int, dict[str, Any], bytes]:
        data, size = bytes(file["data"]), file["size"]
        tag = f"t{transfer['id']}_f{file['id']}_s{size}_ranges_"
        asked = call.headers.get("range")
        if asked is None:
            name = file["name"].rpartition("/")[2]
            headers = {
                "Content-Type": file["mime"], "Content-Disposition": f'attachment; filename="{name}"',
                "Accept-Ranges": "bytes", "ETag": f'"{tag}"',
            }  # fmt: skip
            # An encrypted file's unranged body is corrupt: the IVs of its later chunks are missing.
            return 200, headers, data[: self.chunk] if transfer["encryption"] else data
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", asked)
        if match is None:  # open and suffix ranges are wrong on real servers
            return 206, {"Content-Range": f"bytes 0-{size - 1}/{size}", "Content-Length": str(size + 1)}, data
        first, last = int(match[1]), int(match[2])
        if first >= size:
            return 416, {"Content-Range": f"bytes */{size}"}, b""
        if transfer["encryption"]:
            start = first // self.chunk * (self.chunk + 32)
            part = data[start : start + last - first + 1]
            shown = min(last, size - 1) if self.clamp else last
        else:
            shown = min(last, size - 1)
            part = data[first : shown + 1]
        etag = f'"{tag}{first}-{last}"'
        return 206, {"Content-Range": f"bytes {first}-{shown}/{size}", "ETag": etag, "Content-Type": file["mime"]}, part

    # REST.

    def rest(self, call: Call) -> tuple[int, dict[str, Any], bytes]:
        parts = call.path.removeprefix("/fs/rest.php/").split("/")
        name = f"{call.method.lower()}_{parts[0]}"
        handler = getattr(self, name, None)
        if handler is None:
            raise Refuse(501, "rest_method_not_implemented")
        status, value = handler(call, parts[1:])
        text = json.dumps(value).replace("/", "\\/")
        return status, {"Content-Type": "application/json"}, text.encode()

    def data(self, call: Call) -> dict[str, Any]:
        """The JSON body as the server reads it: entities decoded and ``<x`` split before it is parsed."""
        text = html.unescape(call.body.decode())
        return json.loads(re.sub(r"<(\S)", r"< \1", text)) or {}

    def need(self, call: Call) -> str:
        who = self.who(call)
        if not who:
            kind = "rest_authentication_required" if call.method == "GET" else "rest_security_token_did_not_match"
            raise Refuse(403 if call.method == "GET" else 400, kind)
        return who

    def get_info(self, call: Call, rest: list[str]) -> tuple[int, Any]:
        known = {"url": self.base, "name": "Fake", "logon_url": "x?target=__target__", "upload_chunk_size": self.chunk}
        return 200, {**known, **self.disclosed}

    def get_user(self, call: Call, rest: list[str]) -> tuple[int, Any]:
        who = self.need(call)
        if rest[1:] == ["quota"]:
            return 200, self.quota
        return 200, {"id": "7", "saml_id": who.removeprefix("user:"), "created": {"raw": "1", "formatted": ""}}

    def post_transfer(self, call: Call, rest: list[str]) -> tuple[int, Any]:
        who = self.need(call)
        if rest:
            transfer = self.transfers[int(rest[0])]
            recipient = self.add_recipient(transfer, self.data(call)["recipient"])
            self.mailed.append(("available", recipient["email"]))
            return 201, self.recipient(transfer, recipient)
        data = self.data(call)
        if "options" not in data or "recipients" not in data:
            raise Fatal
        guest = self.guests[int(who[6:])] if who.startswith("guest:") else None
        options = dict(guest["transfer"] if guest else data["options"])
        options.setdefault("get_a_link", True)
        for file in data["files"]:
            if re.search("[^\\w \\\\/_.,;:!@#$%^&*)(\\][-]", file["name"]):
                raise Refuse(500, "transfer_file_name_invalid")
        recipients = list(data["recipients"])
        if guest is not None and guest["options"].get("can_only_send_to_me"):
            if recipients:
                raise Refuse(500, "transfer_too_many_recipients")
            recipients, options["get_a_link"] = [guest["owner"]], False
        mine = bool(options.get("add_me_to_recipients"))
        if not options["get_a_link"] and not all("@" in email for email in recipients or (["@"] if mine else ["x"])):
            raise Refuse(500, "transfer_no_recipients")
        transfer = {
            "id": self.next(), "owner": guest["owner"] if guest else who.removeprefix("user:"), "status": "started",
            "options": options, "salt": hashlib.sha256(str(self.ids).encode()).hexdigest()[:32], "files": {},
            "recipients": [], "subject": data.get("subject", ""), "message": data.get("message", ""),
            "rt": uuid.uuid4().hex, "guest": guest["id"] if guest else None, "from": data.get("from"),
            "expires": data.get("expires", int(time.time()) + 864000), "encryption": {}, "sent": data,
        }  # fmt: skip
        if data.get("encryption"):
            transfer["encryption"] = {
                name.removeprefix("encryption_"): value
                for name, value in data.items()
                if name.startswith("encryption_")
            }
            transfer["options"]["encryption"] = True
        rows = []
        folders = set()
        for file in data["files"]:
            made = self.add_file(transfer, file["name"], int(file["size"]))
            made.update({name: file[name] for name in ("iv", "aead", "mime") if name in file})
            cid = file.get("cid")
            made["cid"] = cid if cid and re.fullmatch(r"file_\d+_\d+_\d+_\d*", cid) else False
            for folder in file["name"].split("/")[:-1]:
                if folder not in folders:  # a directory's own entry, in this answer only
                    folders.add(folder)
                    rows.append(
                        {"id": self.next(), "transfer_id": transfer["id"], "puid": "x", "name": folder, "size": 0}
                    )
            rows.append({**self.file(transfer, made), "size": str(made["size"]), "cid": made["cid"]})
        for email in [""] if options["get_a_link"] else recipients:
            self.add_recipient(transfer, email)
        self.transfers[transfer["id"]] = transfer
        shown = self.transfer(transfer) | {"files": rows, "roundtriptoken": transfer["rt"]}
        shown["expires"] = {"raw": str(transfer["expires"]), "formatted": "soon"}
        return 201, shown

    def transfer(self, transfer: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": transfer["id"], "userid": 7, "user_email": USER, "subject": transfer["subject"] or None,
            "message": transfer["message"] or None, "created": {"raw": 1700000000, "formatted": "x"},
            "expires": {"raw": transfer["expires"], "formatted": "x"}, "expiry_date_extension": 5,
            "options": transfer["options"] or [], "salt": transfer["salt"], "roundtriptoken": "",
            "files": [self.file(transfer, file) for file in transfer["files"].values()],
            "recipients": [self.recipient(transfer, recipient) for recipient in transfer["recipients"]],
        }  # fmt: skip

    def file(self, transfer: dict[str, Any], file: dict[str, Any]) -> dict[str, Any]:
        key = "puid" if self.version == 3 else "uid"
        known = {"id": file["id"], "transfer_id": transfer["id"], key: file["puid"], "name": file["name"]}
        return {**known, "size": file["size"], "sha1": None}

    def recipient(self, transfer: dict[str, Any], recipient: dict[str, Any]) -> dict[str, Any]:
        url = f"{self.base}/?s=download&token={recipient['token']}"
        known = {"id": recipient["id"], "transfer_id": transfer["id"], "token": recipient["token"]}
        dates = {"created": {"raw": 1700000000, "formatted": ""}, "last_activity": None}
        return {**known, **dates, "email": recipient["email"], "options": None, "download_url": url, "errors": []}

    def find(self, number: str) -> dict[str, Any]:
        if int(number) not in self.transfers:
            raise Refuse(500, "transfer_not_found")
        return self.transfers[int(number)]

    def keyed(self, call: Call, transfer: dict[str, Any]) -> bool:
        keys = {file["puid"] for file in transfer["files"].values()}
        return call.query.get("puid" if self.version == 3 else "key") in keys and self.mode == "key"

    def owns(self, call: Call, transfer: dict[str, Any]) -> None:
        who = self.need(call)
        if call.method == "GET" and who == f"guest:{transfer['guest']}":
            return
        if who != f"user:{transfer['owner']}":
            raise Refuse(403, "rest_ownership_required")

    def get_transfer(self, call: Call, rest: list[str]) -> tuple[int, Any]:
        if rest in ([], ["@me"]):
            who = self.need(call)
            mine = [t for t in self.transfers.values() if f"user:{t['owner']}" == who and t["status"] == "available"]
            return 200, [self.transfer(transfer) for transfer in reversed(mine)]
        if rest[0] in ("fileids", "fileidsextended"):
            if self.version == 2 or rest[0] == "fileidsextended":
                self.need(call)
            found = self.of_token(call.query["token"])
            if found is None:
                raise Refuse(500, "recipient_not_found")
            rows = [self.extended(found, file) for file in found["files"].values()]
            return 200, rows if rest[0] == "fileidsextended" else [row["id"] for row in rows]
        transfer = self.find(rest[0])
        if "signature" not in call.query and self.keyed(call, transfer) and transfer["status"] == "uploading":
            if transfer["guest"] is not None:
                self.who(call)
            return 200, self.transfer(transfer)
        self.owns(call, transfer)
        if rest[1:] == ["auditlog"]:
            return 200, [
                {"date": {"raw": 5, "formatted": ""}, "event": "transfer_available",
                 "author": {"type": "User", "id": "7", "identity": USER, "ip": ""},
                 "target": {"type": "Transfer", "id": str(transfer["id"])},
                 "time_taken": {"raw": None, "formatted": ""}}
            ]  # fmt: skip
        return 200, self.transfer(transfer)

    def put_transfer(self, call: Call, rest: list[str]) -> tuple[int, Any]:
        transfer = self.find(rest[0])
        data = self.data(call)
        if not (self.keyed(call, transfer) and "signature" not in call.query and "vid" not in call.query):
            who = self.need(call)
            if who not in (f"user:{transfer['owner']}", f"guest:{transfer['guest']}"):
                raise Refuse(403, "rest_ownership_required")
        if transfer["status"] == "closed":
            raise Refuse(403, "cannot_alter_closed_transfer")
        if data.get("complete"):
            self.roundtrip(call, transfer)
            if not all(file["done"] for file in transfer["files"].values()):
                raise Refuse(500, "transfer_files_incomplete")
            transfer["status"] = "available"
            self.mailed += [("available", r["email"]) for r in transfer["recipients"] if r["email"]]
        if data.get("closed"):
            transfer["status"] = "closed"
        if data.get("remind"):
            self.mailed += [("reminder", r["email"]) for r in transfer["recipients"] if r["email"]]
        if "extend_expiry_date" in data:
            transfer["expires"] += 5 * 86400
            return 200, True
        return 200, True if data.get("remind") else self.transfer(transfer)

    def delete_transfer(self, call: Call, rest: list[str]) -> tuple[int, Any]:
        transfer = self.find(rest[0])
        self.owns(call, transfer)
        del self.transfers[transfer["id"]]
        return 200, None

    def roundtrip(self, call: Call, transfer: dict[str, Any]) -> None:
        if transfer["guest"] is not None and call.query.get("roundtriptoken") != transfer["rt"]:
            raise Refuse(403, "rest_roundtrip_token_invalid")

    def put_file(self, call: Call, rest: list[str]) -> tuple[int, Any]:
        number = int(rest[0])
        transfer = next((t for t in self.transfers.values() if number in t["files"]), None)
        if transfer is None:
            raise Refuse(500, "file_not_found")
        file = transfer["files"][number]
        keyed = call.query.get("key") == file["puid"] and self.mode == "key"
        if "signature" in call.query or "vid" in call.query or not keyed:
            if transfer["guest"] is not None and "vid" not in call.query:
                raise Refuse(404, "rest_unknown_principal")
            if "signature" not in call.query and "vid" not in call.query:
                raise Refuse(403, "rest_authentication_required")
            self.need(call)
        self.roundtrip(call, transfer)
        if transfer["status"] == "available":
            raise Refuse(400, "cannot_add_data_to_complete_transfer")
        if rest[1:2] == ["chunk"]:
            return self.put_chunk(call, transfer, file, int(rest[2]))
        stored = file["size"]
        if transfer["encryption"]:
            stored += 32 * math.ceil(file["size"] / self.chunk)
        if self.data(call).get("complete"):
            if len(file["data"]) != stored:
                raise Refuse(500, "file_integrity_check_failed")
            file["done"] = True
        return 200, True

    def put_chunk(self, call: Call, transfer: dict[str, Any], file: dict[str, Any], offset: int) -> tuple[int, Any]:
        headers = call.headers
        if "x-filesender-chunk-size" not in headers and "signature" not in call.query:
            raise Fatal
        encrypted = bool(transfer["encryption"])
        if encrypted and "x-filesender-chunk-size-encrypted" not in headers and "signature" not in call.query:
            raise Fatal
        plain = len(call.body) - (32 if encrypted else 0)
        stated = [
            int(headers["x-filesender-file-size"]) == file["size"],
            int(headers["x-filesender-chunk-offset"]) == offset,
            int(headers["x-filesender-chunk-size"]) == plain,
            headers["x-filesender-digest-sha256"] == hashlib.sha256(call.body).hexdigest(),
            headers["content-type"] == "application/octet-stream",
            not encrypted or headers["x-filesender-encrypted"] == "1",
        ]
        if not all(stated):
            raise Refuse(400, "rest_sanity_check_failed")
        if offset + plain > file["size"]:
            raise Refuse(500, "file_chunk_out_of_bounds")
        if len(call.body) > self.chunk + 32:
            raise Refuse(500, "storage_chunk_too_large")
        transfer["status"] = "uploading"
        at = offset // self.chunk * (self.chunk + 32) if encrypted else offset
        held = file["data"]
        held.extend(bytes(max(0, at + len(call.body) - len(held))))
        held[at : at + len(call.body)] = call.body
        file["have"].add(offset)
        return 200, {"offset": at, "written": len(call.body)}

    def delete_file(self, call: Call, rest: list[str]) -> tuple[int, Any]:
        self.need(call)
        for transfer in self.transfers.values():
            transfer["files"].pop(int(rest[0]), None)
        return 200, None

    def put_recipient(self, call: Call, rest: list[str]) -> tuple[int, Any]:
        self.need(call)
        self.mailed.append(("reminder", rest[0]))
        return 200, True

    def delete_recipient(self, call: Call, rest: list[str]) -> tuple[int, Any]:
        self.need(call)
        return 200, None

    # Guests.

    def guest(self, guest: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": guest["id"], "userid": 7, "user_email": USER, "email": guest["email"], "token": guest["token"],
            "transfer_count": guest["count"], "subject": None, "message": None,
            "transfer_options": guest["transfer"] or [],
            "options": {**guest["options"], "guest": guest["options"] or [], "transfer": guest["transfer"] or []},
            "created": {"raw": 1, "formatted": ""}, "expires": {"raw": str(guest["expires"]), "formatted": ""},
            "upload_url": f"{self.base}/?s=upload&vid={guest['token']}", "expiry_date_extension": 0, "errors": [],
        }  # fmt: skip

    def post_guest(self, call: Call, rest: list[str]) -> tuple[int, Any]:
        self.need(call)
        data = self.data(call)
        if set(data["options"]) != {"guest", "transfer"}:
            raise Fatal
        guest = self.add_guest(
            email=data["recipient"], options=data["options"]["guest"], transfer=data["options"]["transfer"], body=data
        )
        self.mailed.append(("voucher", data["recipient"]))
        return 201, self.guest(guest)

    def get_guest(self, call: Call, rest: list[str]) -> tuple[int, Any]:
        self.need(call)
        if not rest:
            return 200, [self.guest(guest) for guest in self.guests.values() if guest["open"]]
        if int(rest[0]) not in self.guests:
            raise Refuse(500, "guest_not_found")
        return 200, self.guest(self.guests[int(rest[0])])

    def put_guest(self, call: Call, rest: list[str]) -> tuple[int, Any]:
        self.need(call)
        if self.data(call).get("remind"):
            self.mailed.append(("voucher again", self.guests[int(rest[0])]["email"]))
            return 200, True
        raise Refuse(500, "guest_expiry_extension_not_allowed")

    def delete_guest(self, call: Call, rest: list[str]) -> tuple[int, Any]:
        self.need(call)
        self.guests[int(rest[0])]["open"] = False
        return 200, None
