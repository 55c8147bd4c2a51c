"""Uploads as the documents' scripts send them: plain multipart, tickets, reports (spec immport §4)."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import select
from tests.contract.server.conftest import Demo
from tests.immport_upload import FILES, SAMPLE_COLUMNS, sample, template, zipped

from packhorse.server.config import ServerConfig
from packhorse.server.db.engine import open_database
from packhorse.server.db.immport import RELEASE, Study
from packhorse.server.db.models import ApiKey, User
from packhorse.server.security import hash_key


class Site:
    """The demo as ImmPort's upload host."""

    def __init__(self, demo: Demo, user: str = "demo") -> None:
        self.demo = demo
        self.token = demo.users[user]["filesender_api_key"]

    def request(self, method: str, path: str, **more: Any) -> requests.Response:
        headers = {"Authorization": f"bearer {self.token}", **more.pop("headers", {})}
        return self.demo.http.request(method, self.demo.url + path, headers=headers, timeout=60, **more)

    def json(self, path: str) -> Any:
        answer = self.request("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def workspace(self, category: str = "LSR") -> int:
        found = [one for one in self.json("/workspaces")["workspaces"] if one["category"] == category]
        return int(found[0]["workspaceId"])

    def send(
        self,
        files: Mapping[str, bytes],
        purpose: str = "uploadData",
        *,
        package: str = "",
        path: str = "/data/upload/type/online",
        category: str = "LSR",
        **fields: str,
    ) -> requests.Response:
        form = {
            "workspaceId": str(self.workspace(category)), "packageName": package, "uploadNotes": "",
            "uploadPurpose": purpose, "serverName": "", **fields,
        }  # fmt: skip
        parts: list[Any] = [(name, (None, value)) for name, value in form.items()]
        parts += [("file", (name, io.BytesIO(content), "application/octet-stream")) for name, content in files.items()]
        return self.request("POST", path, files=parts)

    def ticket(self, files: Mapping[str, bytes], purpose: str = "uploadData", **more: str) -> str:
        answer = self.send(files, purpose, **more)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["uploadTicketNumber"])

    def done(self, ticket: str, base: str = "/data/upload") -> str:
        until = time.monotonic() + 60
        while True:
            status = str(self.json(f"{base}/registration/{ticket}/status")["status"])
            if not status.startswith("Pending"):
                return status
            assert time.monotonic() < until, f"{ticket} is {status}"
            time.sleep(0.05)

    def errors(self, ticket: str, base: str = "/data/upload") -> list[str]:
        rows = self.json(f"{base}/registration/{ticket}/reports/summary")["summary"]["uploadRegistrationResults"]
        return [
            f"{row['fileName']}:{row['lineNumber']}: {row['errorMessage']}" for row in rows if row["status"] == "Error"
        ]

    def validate(self, files: Mapping[str, bytes], **more: str) -> tuple[str, str]:
        ticket = self.ticket(files, "validateData", **more)
        answer = self.request("POST", "/data/upload/validation", files={"uploadTicketNumber": (None, ticket)})
        assert answer.status_code == 200, answer.text
        return ticket, str(answer.json()["status"])


@pytest.fixture
def site(demo: Demo) -> Site:
    return Site(demo)


@pytest.fixture
def other(demo: Demo) -> Site:
    return Site(demo, "other")


def renamed(tag: str) -> dict[str, bytes]:
    """The package with IDs of its own: IDs are unique in a workspace."""
    ids = ("mouse study", "flow protocol", "arm 1", "visit 0", "visit 7", "mouse 1", "mouse 2", "blood 1", "blood 2",
           "blood 3", "tube 1", "tube 2")  # fmt: skip
    made = {}
    for name, content in FILES.items():
        text = content
        if name.endswith(".txt") and name != "flow_protocol.txt":
            for one in ids:
                text = re.sub(rb"(?m)(?<=\t)" + one.encode() + rb"(?=\t|$)", f"{one} {tag}".encode(), text)
            text = re.sub(rb"(?m)(?<=\t)flow(?=\t|$)", f"flow {tag}".encode(), text)
        made[name] = text
    return made


def test_workspaces_are_one_for_data_and_one_for_tries(site: Site, other: Site) -> None:
    held = site.json("/workspaces")["workspaces"]
    assert [(one["type"], one["category"]) for one in held] == [("PW", "LSR"), ("PW", "TEST")]
    for one in held:
        assert set(one) == {
            "workspaceId", "name", "type", "category", "dateCreated", "dateLastUpdated", "createdBy", "lastUpdatedBy",
        }  # fmt: skip
        assert isinstance(one["workspaceId"], int)
        assert one["dateCreated"] > 1_600_000_000_000
    assert site.json("/workspaces")["workspaces"] == held
    assert not {one["workspaceId"] for one in held} & {
        one["workspaceId"] for one in other.json("/workspaces")["workspaces"]
    }


def test_without_a_token_and_without_the_workspace_nothing_is_taken(site: Site, other: Site, demo: Demo) -> None:
    bare = demo.http.get(f"{demo.url}/workspaces", timeout=30)
    assert bare.status_code == 401
    assert re.search(r'"error" *:', bare.text)
    answer = other.send({"p.zip": zipped()}, workspaceId=str(site.workspace()))
    assert answer.status_code == 403
    assert "not yours" in answer.json()["message"]
    assert site.request("GET", "/data/upload/documentation/templates/99999999").status_code == 404


def test_the_templates_zip_has_text_and_json_forms(site: Site) -> None:
    answer = site.request("GET", f"/data/upload/documentation/templates/{site.workspace()}")
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        names = set(archive.namelist())
        text = archive.read("txt-templates/bioSamples.txt").decode().splitlines()
        schema = json.loads(archive.read("json-templates/bioSamples.json"))
        study = archive.read("txt-templates/basic_study_design.txt").decode()
    assert {f"txt-templates/experimentSamples.{kind}.txt" for kind in ("ELISA", "QRT-PCR", "CYTOF", "Other")} <= names
    assert {f"json-templates/{name}.json" for name in ("assessments", "Reagent_Sets", "HAI_Results")} <= names
    assert text[0] == "bioSamples\tSchema Version 3.36"
    assert text[1].startswith("Please do not delete or edit this column\t")
    assert text[2].split("\t")[:3] == ["Column Name", "User Defined ID", "Type"]
    item = schema["properties"]["data"]["items"]
    assert schema["properties"]["schemaVersion"]["enum"] == ["3.36"]
    assert item["properties"]["treatmentIds"]["type"] == "array"
    assert item["properties"]["studyTimeCollected"]["type"] == "number"
    assert "userDefinedId" in item["required"]
    assert "\narm_or_cohort\nColumn Name\tUser Defined ID" in study


def test_a_zip_becomes_records_with_new_accessions(site: Site) -> None:
    files = renamed("zip")
    answer = site.send({"Small.zip": zipped(files, "folder/")})
    body = answer.json()
    ticket = body["uploadTicketNumber"]
    assert set(body) == {"uploadTicketNumber", "uploadPurpose", "workspaceId", "status"}
    assert re.fullmatch(r"demo_[0-9]{8}_[0-9]+", ticket)
    assert (body["uploadPurpose"], body["status"]) == ("uploadData", "Pending")
    assert re.search(r'^  "uploadTicketNumber" : "', answer.text, re.MULTILINE)
    assert site.done(ticket) == "Completed", site.errors(ticket)

    summary = site.json(f"/data/upload/registration/{ticket}/reports/summary")
    head, rows = summary["summary"], summary["summary"]["uploadRegistrationResults"]
    assert (summary["type"], head["fileName"], head["uploadMethod"]) == ("summary", "Small.zip", "Secure Web")
    assert re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", head["dateCreated"])
    statuses = [row["status"] for row in rows]
    assert (statuses[0], statuses[1], statuses[-1]) == ("Registered", "Started", "Completed")
    assert {"Parsing", "Information", "Stored in:file_info", "Stored in:protocols", "Parsed"} <= set(statuses)

    report = site.json(f"/data/upload/registration/{ticket}/reports/database")
    text = report["database"]
    assert report["type"] == "database"
    assert text.startswith("EXPERIMENT DATA UPLOAD REPORT\r\n=====")
    assert f"SUBMISSION TICKET NUMBER:    {ticket}\r\n" in text
    part = text.partition("FILENAME: bioSamples.txt    Total records: 2\r\n")[2].split("\r\n")
    assert part[1].split("\t")[:2] == ["USER_DEFINED_ID", "BIOSAMPLE_ACCESSION"]
    first = part[2].split("\t")
    assert first[0] == "blood 1 zip"
    assert re.fullmatch(r"BS[0-9]+", first[1])
    assert "\r\nexpsample = 2\r\n" in text
    assert "\r\nbiosample = 3\r\n" in text  # the third one by the way, with an experiment sample
    assert "tube_1.fcs" in text


def test_loose_files_need_a_package_name_and_one_zip_none(site: Site) -> None:
    files = renamed("loose")
    assert "packageName must have a value" in site.send(files).json()["message"]
    refused = site.send({"p.zip": zipped(files)}, package="a name")
    assert refused.status_code == 400
    assert "must be empty" in refused.json()["message"]
    ticket = site.ticket(files, package="several files")
    assert site.done(ticket) == "Completed", site.errors(ticket)
    head = site.json(f"/data/upload/registration/{ticket}/reports/summary")["summary"]
    assert head["fileName"] == "several files"


def test_validation_stores_nothing_and_says_so_in_the_documented_text(site: Site) -> None:
    files = renamed("val")
    for _ in range(2):  # stored IDs would be refused the second time
        ticket, status = site.validate({"Val.zip": zipped(files)})
        assert status == "Completed_Validation", site.errors(ticket)
    text = site.json(f"/data/upload/registration/{ticket}/reports/database")["database"]
    lines = text.split("\n")
    assert lines[0].startswith("The validation report is based on ImmPort workspace (workspace_id = ")
    assert lines[3] == ""
    assert lines[4] == "File Name\tLine Number\tStatus\tError Message\tDescription"
    assert lines[-2] == f"{ticket}___Val.zip\t\tCompleted\t\t"
    assert lines[-1] == ""


def test_the_same_upload_again_is_rejected_with_its_reasons(site: Site) -> None:
    files = renamed("twice")
    assert site.done(site.ticket({"a.zip": zipped(files)})) == "Completed"
    ticket = site.ticket({"b.zip": zipped(files)})
    assert site.done(ticket) == "Rejected"
    assert any("'blood 1 twice'" in one and "in the workspace already (BS" in one for one in site.errors(ticket))
    assert site.json(f"/data/upload/registration/{ticket}/reports/database")["database"] is None
    ticket, status = site.validate({"b.zip": zipped(files)})
    assert status == "Rejected_Validation"
    assert "\tError\t" in site.json(f"/data/upload/registration/{ticket}/reports/database")["database"]
    assert site.done(site.ticket({"b.zip": zipped(files)}, category="TEST")) == "Completed"  # another workspace


def test_a_later_package_refers_to_what_is_in_the_workspace(site: Site, other: Site) -> None:
    files = renamed("later")
    assert site.done(site.ticket({"a.zip": zipped(files)})) == "Completed"
    row = sample("blood 9 later", "mouse 1 later", Study_ID="mouse study later", Planned_Visit_ID="visit 7 later")
    more = {"bioSamples.txt": template("bioSamples", SAMPLE_COLUMNS, row).encode()}
    ticket = other.ticket(more, package="more")
    assert other.done(ticket) == "Rejected"  # another user's workspace knows nothing of it
    assert any("'mouse 1 later' is neither an ID" in one for one in other.errors(ticket))
    ticket = site.ticket(more, package="more")
    assert site.done(ticket) == "Completed", site.errors(ticket)


def test_what_is_not_there_is_404_and_other_peoples_tickets_too(site: Site, other: Site) -> None:
    ticket = site.ticket({"a.zip": zipped(renamed("mine"))}, "validateData")
    for path in (f"/data/upload/registration/{ticket}/status", f"/data/upload/registration/{ticket}/reports/summary"):
        assert other.request("GET", path).status_code == 404
        assert site.request("GET", path).status_code == 200
    for wrong in ("demo_20200101_99999999", "nonsense", "demo_20200101_1'--", "%2e%2e%2fsecret", "a" * 3000):
        answer = site.request("GET", f"/data/upload/registration/{wrong}/status")
        assert answer.status_code == 404, wrong
        assert len(answer.json().get("message", "")) < 200
    answer = site.request("POST", "/data/upload/validation", data={"uploadTicketNumber": "demo_20200101_99999999"})
    assert answer.status_code == 404
    assert "no ticket" in answer.json()["message"]
    assert site.request("GET", f"/data/batch/updater/registration/{ticket}/status").status_code == 404
    stored = site.ticket({"a.zip": zipped(renamed("stored"))})
    answer = site.request("POST", "/data/upload/validation", data={"uploadTicketNumber": stored})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"uploadPurpose": "eat"}, "uploadPurpose must be"),
        ({"uploadPurpose": ""}, "uploadPurpose is required"),
        ({"workspaceId": ""}, "workspaceId is required"),
        ({"workspaceId": "1 OR 1=1"}, "workspaceId must be a number"),
        ({"uploadNotes": "x" * 5000}, "uploadNotes is too long"),
    ],
)
def test_a_wrong_field_is_named(site: Site, fields: dict[str, str], words: str) -> None:
    answer = site.send({"a.zip": zipped()}, **fields)
    assert answer.status_code == 400
    assert words in answer.json()["message"]


def test_forms_that_are_none(site: Site) -> None:
    path = "/data/upload/type/online"
    for body, kind in (
        (b"{}", "application/json"),
        (b"", "multipart/form-data"),
        (b"--x\r\nno header at all\r\n\r\nabc\r\n--x--\r\n", "multipart/form-data; boundary=x"),
        (
            b"--x\r\nContent-Disposition: form-data; name=file; filename=a.txt\r\n\r\nabc",
            "multipart/form-data; boundary=x",
        ),
        (b"garbage", "multipart/form-data; boundary=x"),
    ):
        answer = site.request("POST", path, data=body, headers={"Content-Type": kind})
        assert answer.status_code == 400, (body, answer.text)
        assert answer.json()["message"]
    assert "no file" in site.send({}).json()["message"]


def test_hostile_names_in_the_form_lead_nowhere(site: Site, demo: Demo) -> None:
    ticket = site.ticket({"../../../etc/evil.zip": zipped(renamed("evil"))}, "validateData")
    head = site.json(f"/data/upload/registration/{ticket}/reports/summary")["summary"]
    assert head["fileName"] == "evil.zip"
    assert not list(demo.home.rglob("evil*"))
    assert site.send({"\x01.zip": zipped()}).status_code == 400
    assert site.send({"x" * 300 + ".zip": zipped()}).status_code == 400


def _encrypted() -> bytes:
    raw = bytearray(zipped({"a.txt": b"secret"}))
    at = raw.index(b"PK\x01\x02")
    raw[6] |= 1
    raw[at + 8] |= 1
    return bytes(raw)


def _bomb() -> bytes:
    return zipped({f"{number}.txt": bytes(1 << 20) for number in range(4)})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"not a zip at all", "no ZIP"),
        (zipped()[:-30], "no ZIP"),
        (zipped({"../up.txt": b"x"}), "outside"),
        (zipped({"/etc/passwd": b"x"}), "outside"),
        (_encrypted(), "encrypted"),
        (zipped({"a/bioSamples.txt": b"x", "b/BioSamples.txt": b"y"}), "could not tell which"),
        (zipped({}), "no template with a row"),
        (_bomb(), "no template with a row"),
    ],
    ids=["text", "cut", "dots", "root", "encrypted", "doubles", "empty", "harmless zeros"],
)
def test_a_hostile_or_broken_zip_is_rejected_in_words(site: Site, content: bytes, words: str) -> None:
    ticket, status = site.validate({"bad.zip": content})
    assert status == "Rejected_Validation"
    (error,) = site.errors(ticket)
    assert words in error


def test_damaged_bytes_of_a_result_file_are_not_taken(site: Site) -> None:
    files = renamed("damaged")
    files["tube_1.fcs"] = bytes(range(256)) * 200
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:  # stored, so that one byte can be changed in place
        for name, content in files.items():
            archive.writestr(name, content)
    raw = bytearray(held.getvalue())
    at = raw.index(bytes(range(256)) * 3)
    raw[at + 7] ^= 1
    ticket = site.ticket({"damaged.zip": bytes(raw)})
    assert site.done(ticket) == "Rejected"
    assert "checksum" in site.errors(ticket)[0]
    assert site.done(site.ticket({"whole.zip": zipped(files)})) == "Completed"  # nothing of it had been stored


def test_curl_sends_it_as_documented(site: Site, demo: Demo, tmp_path: Path) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed: apt install curl")
    (tmp_path / "Test.zip").write_bytes(zipped(renamed("curl")))
    form = [
        f"workspaceId={site.workspace()}",
        "packageName=",
        "uploadNotes=",
        "uploadPurpose=uploadData",
        "serverName=",
    ]
    command = [curl, "-sS", "--noproxy", "*", "-k", "-X", "POST", "-H", f"Authorization: bearer {site.token}"]
    for part in [*form, "serverName=", f"file=@{tmp_path}/Test.zip"]:
        command += ["-F", part]
    ran = subprocess.run(
        [*command, f"{demo.url}/data/upload/type/online"], capture_output=True, text=True, timeout=60, check=True
    )
    found = re.search(r'"uploadTicketNumber" : "([^"]+)"', ran.stdout)
    assert found is not None, ran.stdout
    assert site.done(found[1]) == "Completed", site.errors(found[1])


def test_the_batch_updater_changes_records_by_accession(site: Site) -> None:
    base = "/data/batch/updater"
    ticket = site.ticket({"a.zip": zipped(renamed("batch"))})
    assert site.done(ticket) == "Completed"
    text = site.json(f"/data/upload/registration/{ticket}/reports/database")["database"]
    found = re.search(r"blood 1 batch\t(BS[0-9]+)", text)
    assert found is not None
    accession = found[1]
    head = "# a comment\ntable_name\tbiosample\nformat\tupdate_value\nkey_columns\tbiosample_accession\n"
    head += "data_columns\tname~description\n"

    def batch(purpose: str, rows: str, **more: str) -> str:
        return site.ticket({"UpdateValue.Biosample.txt": (head + rows).encode()}, purpose, path=base, **more)

    checked = batch("batchUpdateValidate", f"{accession}\tA name\tA text\n")
    assert site.json(f"{base}/registration/{checked}/status")["status"] == "Pending_Batch_Updater_Validation"
    answer = site.request("POST", f"{base}/validation", files={"uploadTicketNumber": (None, checked)})
    assert answer.json()["status"] == "Completed_Batch_Updater_Validation"
    text = site.json(f"{base}/registration/{checked}/reports/database")["database"]
    assert "* Batch Updater Job Report *" in text
    assert "[data_columns => name~description, format => update_value, " in text
    assert f"whose value is [{accession}]" in text
    assert "Report is Empty" in text

    done = batch("batchUpdateUpload", f"{accession}\tA name\tA text\n")
    assert site.done(done, base) == "Completed_Batch_Updater"
    statuses = [
        row["status"]
        for row in site.json(f"{base}/registration/{done}/summary")["summary"]["uploadRegistrationResults"]
    ]
    assert statuses[:3] == ["Registered_Batch_Updater", "Started_Batch_Updater", "Parsing"]
    assert statuses[-2:] == ["Parsed", "Completed_Batch_Updater"]
    report = site.json(f"{base}/registration/{done}/reports/database")["database"]
    assert f"{accession}\tA name\tA text" in report.partition("Database Submission Report")[2]

    wrong = batch("batchUpdateUpload", f"{accession}\tonly one\nBS1\tA\tB\n{accession}\tx\ty\n{accession}\tx\ty\n")
    assert site.done(wrong, base) == "Rejected_Batch_Updater"
    errors = "\n".join(site.errors(wrong, base))
    assert "the line has 2 cells; 3 are needed" in errors
    assert "there twice, first in line 8" in errors
    refused = site.send({"a.txt": b"x"}, "batchUpdateUpload", path=base, package="a name")
    assert refused.status_code == 400
    names = zipfile.ZipFile(io.BytesIO(site.request("GET", f"{base}/documentation/templates").content)).namelist()
    assert "UpdateValue.biosample.txt" in names


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("table_name\tbiosample", "table_name\tusers"), "no table 'users'"),
        (("update_value", "drop_table"), "format must be update_value"),
        (("key_columns\tbiosample_accession", "key_columns\tname"), "key_columns must be biosample_accession"),
        (("name~description", "name~subject_accession"), "'subject_accession' is no column"),
        (("format\tupdate_value\n", ""), "the header has no format"),
        (("BS1\ta\tb\n", ""), "no row below its header"),
        (("BS1", "BS1000"), "is no biosample of this workspace"),
    ],
)
def test_a_wrong_batch_file_is_told_by_line(site: Site, change: tuple[str, str], words: str) -> None:
    text = (
        "table_name\tbiosample\nformat\tupdate_value\nkey_columns\tbiosample_accession\n"
        "data_columns\tname~description\nBS1\ta\tb\n"
    ).replace(*change)
    ticket = site.ticket({"u.txt": text.encode()}, "batchUpdateUpload", path="/data/batch/updater")
    assert site.done(ticket, "/data/batch/updater") == "Rejected_Batch_Updater"
    assert any(words in one for one in site.errors(ticket, "/data/batch/updater"))


def test_a_missing_file_and_a_broken_template_are_told_by_line(site: Site) -> None:
    files = renamed("lines")
    del files["tube_1.fcs"]
    files["bioSamples.txt"] = files["bioSamples.txt"].replace(b"\tSubtype\t", b"\tSubtyp\t")
    ticket, status = site.validate({"a.zip": zipped(files)})
    assert status == "Rejected_Validation"
    errors = site.errors(ticket)
    assert any("holds no file 'tube_1.fcs'" in one and ":4:" in one for one in errors)
    assert any("'Subtyp' is not known in this template; did you mean 'Subtype'" in one for one in errors)


def test_an_offline_registration_waits_for_its_package(site: Site) -> None:
    answer = site.send({}, package="big.zip", path="/data/upload/type/offline")
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "Pending"
    assert site.send({"a.zip": b"x"}, package="big.zip", path="/data/upload/type/offline").status_code == 400
    assert site.send({}, package="../big.zip", path="/data/upload/type/offline").status_code == 400


def test_json_templates_are_taken_too(site: Site) -> None:
    held = {
        "name": "treatments", "fileName": "treatments.json", "schemaVersion": "3.36", "templateType": "single",
        "data": [{"userDefinedId": "stim json", "name": "stim", "useTreatment": "Yes", "durationValue": 1.50,
                  "durationUnit": "Hours"}],
    }  # fmt: skip
    ticket = site.ticket({"treatments.json": json.dumps(held).encode()}, package="json")
    assert site.done(ticket) == "Completed", site.errors(ticket)
    held["data"][0]["durationUnits"] = "Hours"  # type: ignore[index]
    ticket, status = site.validate({"treatments.json": json.dumps(held).encode()}, package="json")
    assert status == "Rejected_Validation"
    assert any(
        "'durationUnits' is not known in this template; did you mean 'durationUnit'" in one
        for one in site.errors(ticket)
    )


def test_the_documented_sign_in_is_good_for_uploads_and_a_key_without_the_scope_is_not(site: Site, demo: Demo) -> None:
    """The scripts of the first generation cut the token out of the answer with sed."""
    user = demo.users["demo"]
    form = {"username": "demo", "password": user["password"]}
    text = demo.http.post(f"{demo.url}/auth/token", data=form, timeout=30).text
    found = re.search(r'"token" : "([^"]+)"', text)
    assert found is not None
    headers = {"Authorization": f"bearer {found[1]}"}
    assert demo.http.get(f"{demo.url}/workspaces", headers=headers, timeout=30).status_code == 200
    key = "only-for-browsing-0123456789abcdef"
    database = open_database(ServerConfig(home=demo.home))
    try:
        with database.write() as session:
            owner = session.scalar(select(User).where(User.username == "demo"))
            assert owner is not None
            session.add(ApiKey(user_id=owner.id, prefix=key[:12], key_hash=hash_key(key), scopes="browse download"))
    finally:
        database.close()
    for method, path in (
        ("GET", "/workspaces"),
        ("POST", "/data/upload/type/online"),
        ("POST", "/data/upload/validation"),
    ):
        answer = demo.http.request(method, demo.url + path, headers={"Authorization": f"Bearer {key}"}, timeout=30)
        assert answer.status_code == 403, path
        assert "scope upload" in answer.json()["message"]


def test_accessions_and_terms_of_imported_studies_count(site: Site, demo: Demo) -> None:
    """The demo's studies were imported from release packages: their subjects and vocabularies may be used."""
    database = open_database(ServerConfig(home=demo.home))
    try:
        with database.read() as session:
            study = session.scalars(select(Study).where(Study.accession == "SDY1")).one()
            visits = RELEASE["planned_visit"]
            visit = session.scalar(
                select(visits.c.planned_visit_accession).where(
                    visits.c.package_id == study.package_id, visits.c.study_accession == "SDY1"
                )
            )
            links, arms = RELEASE["arm_2_subject"], RELEASE["arm_or_cohort"]
            subject = session.scalar(
                select(links.c.subject_accession)
                .join(arms, arms.c.arm_accession == links.c.arm_accession)
                .where(links.c.package_id == study.package_id, arms.c.study_accession == "SDY1")
            )
    finally:
        database.close()
    assert visit
    assert subject
    good = sample("of SDY1", str(subject), Study_ID="SDY1", Planned_Visit_ID=str(visit))
    text = template("bioSamples", SAMPLE_COLUMNS, good).encode()
    ticket, status = site.validate({"bioSamples.txt": text}, package="sdy1")
    assert status == "Completed_Validation", site.errors(ticket)
    wrong = text.replace(b"SDY1\t", b"SDY99999\t").replace(b"Whole blood", b"Whole bloot")
    ticket, status = site.validate({"bioSamples.txt": wrong}, package="sdy1")
    assert status == "Rejected_Validation"
    first, second = site.errors(ticket)
    assert "'Whole bloot' is no term of lk_sample_type; near to it: Whole blood" in first
    assert "'SDY99999' is neither an ID of a study" in second
